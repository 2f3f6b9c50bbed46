# file: sched/globq.c
# scene: fed
# Of two who push at once one count gets lost, and what it stood for is not seen by who looks.
/^void globq_push(/,/^}/ {
    /relaxed: the pusher's fence follows/d
    /^    store_relaxed(&q->n_in/d
    s/^    lock_release(&q->lock);$/&\n    store_relaxed(\&q->n_in, load_own(\&q->n_in) + n);/
}
