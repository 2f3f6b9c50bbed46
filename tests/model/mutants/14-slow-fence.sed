# file: sched/p.c
# scene: toy_hold
# Where no heavy fence is to be had, a thread that comes back has none of its own either.
/^bool p_enter_slow(/,/^}/ s/^    if (!h->light) fence_seq_cst();$//
