// SPDX-License-Identifier: MIT
// globq - the global queue: what has no P of its own, under one lock, moved in batches.
//
// Who looks without the lock reads 'n' only; decision 10's fences order that look.
#pragma once

#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"

struct globq {
    struct lock lock;
    struct queue queue; // guarded by lock

    // Atomic: written under the lock, read by anybody.
    atomic_u32 n;
};

void globq_init(struct globq *q);

// Appends a list of n nodes; empties it. Any thread.
void globq_push(struct globq *q, struct queue *batch, uint32_t n);

// Takes up to 'most' from the front into *ret_batch. Any thread. The number taken.
uint32_t globq_pop(struct globq *q, uint32_t most, struct queue *ret_batch);

static inline uint32_t globq_len(struct globq *q)
{
    return load_relaxed(&q->n); // relaxed: a hint, or ordered by the caller's fence
}
