# file: sched/push.c
# scene: park_ready_race
# The pusher's half of the pair in decision 10: without the fence its look for sleepers may pass its
# push. On x86 the queue's lock before it happens to be a barrier, so the mutant does what the fence
# forbids: it looks first.
/^void push_outside(/,/^}/ {
    s/^    idle_wake(s);$//
    s/^    globq_push(&s->globq, &one, 1);$/    idle_wake(s);\n&/
}
