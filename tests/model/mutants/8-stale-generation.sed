# file: netpoll/netpoll.c
# scene: generated
# The generation of a slot does not move when its operation ends: a late cancel meets the next one.
/^void poller_finish(/,/^}/ s/^    if (++slot->gen == 0) slot->gen = 1;$//
