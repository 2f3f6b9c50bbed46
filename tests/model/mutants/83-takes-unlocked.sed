# file: sched/globq.c
# scene: queue_overflow
# Of two who take at once one count gets lost: work is seen where none is, and nobody ever sleeps.
/^uint32_t globq_pop(/,/^}/ {
    /^    lock_release(&q->take);$/d
    s/^    store_relaxed(&q->n_out/    lock_release(\&q->take);\n&/
}
