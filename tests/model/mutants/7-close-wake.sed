# file: sync/chan.c
# scene: close_wakes_all
# A close forgets those who wait to send.
/^static bool claim_closed_locked(/,/^}/ s/^    n += claim_some_locked(&c->senders, .*$//
