# file: sched/idle.c
# scene: a_hog_loses_its_queue
# The pusher's half of the pair in decision 10: it looks for sleepers while its push is still in its
# store buffer.
/^void idle_wake(/,/^}/ s/^    fence_seq_cst();$//
