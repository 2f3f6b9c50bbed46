# file: sched/handoff.c
# scene: in_flight_behind_a_hog
# The poller of a thread that is stuck is forgotten.
/^static bool steal_locked(/,/^}/ s/^        poller_lend_locked(m->poller);$//
