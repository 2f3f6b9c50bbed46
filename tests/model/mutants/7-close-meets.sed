# file: sync/chan.c
# scene: close_is_for_all
# A receiver claims who sends on a closed channel and was not woken yet.
/claim_sender_locked(coir_chan \*c)$/,/^}/ s/c->closed/false/
