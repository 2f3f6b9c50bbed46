# file: sched/p.h
# scene: hogs_everywhere
# A thread that comes back does not see that its P was taken.
/^static inline bool p_enter(/,/^}/ s/ return p_enter_slow(p, h);$/ return true;/
