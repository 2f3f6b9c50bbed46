# file: sched/globq.c
# scene: fed
# A taker moves what stands at the pushers' end without their lock: two stores with a push between.
/^static void fill_front(/,/^}/ {
    s/^    lock_acquire(&q->lock);$/    struct queue all = q->queue;\n    choice_point();/
    s/^    queue_append(&q->front, &q->queue);$/    q->queue = (struct queue){0};\n    queue_append(\&q->front, \&all);/
    /^    lock_release(&q->lock);$/d
}
