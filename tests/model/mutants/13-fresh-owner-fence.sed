# file: sched/fresh.h
# scene: spawn_tree
# Where thieves cannot pay for both, the owner looks at the claim before its step is visible.
s/^    if (__builtin_expect(!load_own(&f->light), 0)) fence_seq_cst();$//
