# file: sched/idle.c
# scene: generated
# The sleeper's half: without the fence its look may pass its announcement. On x86 the lock before it
# happens to be a barrier, so the mutant does what the fence forbids: it looks first.
/^struct queue idle_sleep(/,/^}/ {
    s/^    bool found = home ? work_anywhere(s) : !stays;$/    found = home ? found : !stays;/
    s/^    poller_announce(m->poller);$/    bool found = work_anywhere(s);\n&/
    s/^    fence_seq_cst();$//
}
