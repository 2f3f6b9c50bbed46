// SPDX-License-Identifier: MIT
#include "sched/globq.h"

#include "sched/g.h"

#define STACK_LINES 8 // below the descriptor: the frames of one that waits

void globq_init(struct globq *q)
{
    *q = (struct globq){0};
    lock_init(&q->take, LOCK_RANK_TAKE);
    lock_init(&q->lock, LOCK_RANK_GLOBQ);
}

void globq_push(struct globq *q, struct queue *batch, uint32_t n)
{
    lock_acquire(&q->lock);
    queue_append(&q->queue, batch);
    // relaxed: the pusher's fence follows
    store_relaxed(&q->n_in, load_own(&q->n_in) + n);
    lock_release(&q->lock);
}

// Whoever stood here has not run for long: what it will run on comes while the others are taken.
// All of it lies around the descriptor, on one page: one look into the page tables does.
static void fetch(struct queue_node *n)
{
    char *g = (char *)g_of_node(n);

    for (int i = 1; i <= STACK_LINES; i++) __builtin_prefetch(g - i * CACHE_LINE, 1);
    __builtin_prefetch(g + CACHE_LINE, 1);
    __builtin_prefetch(g + 2 * CACHE_LINE, 1);
}

// Holder of take.
static void fill_front(struct globq *q)
{
    lock_acquire(&q->lock);
    queue_append(&q->front, &q->queue);
    lock_release(&q->lock);
}

uint32_t globq_pop(struct globq *q, uint32_t most, struct queue *ret_batch)
{
    uint32_t taken = 0;

    if (globq_len(q) == 0) return 0;
    lock_acquire(&q->take);
    if (queue_empty(&q->front))
        fill_front(q); // once: each time takes the line from who pushes
    for (struct queue_node *node; taken < most && (node = queue_pop(&q->front));
         taken++) {
        fetch(node);
        queue_push(ret_batch, node);
    }
    store_relaxed(&q->n_out, load_own(&q->n_out) + taken); // relaxed: a hint
    lock_release(&q->take);
    return taken;
}
