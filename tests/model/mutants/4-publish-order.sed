# file: sched/runq.c
# scene: toy_runq
# The tail shows a slot that is not yet written.
/^unsigned runq_push(/,/^}/ {
    s/^            store_relaxed(&q->slots\[tail % RUNQ_SIZE\], g);$/            store_release(\&q->tail, tail + 1);/
    t
    s/^            store_release(&q->tail, tail + 1);$/            store_relaxed(\&q->slots[tail % RUNQ_SIZE], g);/
}
