# file: sched/sched.c
# scene: park_ready_race
# A ready that came while the coroutine was parking leaves a mark; the successor overlooks it.
/^static inline void commit_park(/,/^}/ s/^    if (__builtin_expect(!parked, 0)) push_behind(m, g);$//
