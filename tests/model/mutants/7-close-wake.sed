# file: sync/chan.c
# scene: close_wakes_all
# A close forgets those who wait to send.
/^int coir_chan_close(/,/^}/ s/^    claim_all_locked(&c->senders, CHAN_SHUT, &woken);$//
