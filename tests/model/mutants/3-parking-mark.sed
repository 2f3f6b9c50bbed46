# file: sched/sched.c
# scene: park_ready_race
# A ready that came while the coroutine was parking leaves a mark; the successor overlooks it.
/^static inline void commit_park(/,/^}/ s/^    if (!parked) sched_push(m, g);$//
