// SPDX-License-Identifier: MIT
// globq - the global queue: what has no P of its own, moved in batches.
//
//     push:  behind 'queue', under 'lock'
//     take:  from 'front', under 'take'; when that is empty it becomes all of 'queue'
//
// Who pushes waits for a few stores, never for a walk along coroutines that another core wrote
// (docs/adr/0083). Who looks without a lock reads the two counts only; decision 10's fences order
// that look.
#pragma once

#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"

struct globq {
    // Guarded by take.
    struct lock take;
    struct queue front; // before those in 'queue'

    // Atomic: written under take, read by anybody.
    atomic_u32 n_out; // taken ever; wraps

    // Guarded by lock; nothing beside it that takers write.
    alignas(CACHE_LINE) struct lock lock;
    struct queue queue;

    // Atomic: written under the lock, read by anybody.
    atomic_u32 n_in; // pushed ever; wraps
};

void globq_init(struct globq *q);

// Appends a list of n nodes; empties it. Any thread.
void globq_push(struct globq *q, struct queue *batch, uint32_t n);

// Takes up to 'most' from the front into *ret_batch, one at least if there is one. Any thread. The
// number taken.
uint32_t globq_pop(struct globq *q, uint32_t most, struct queue *ret_batch);

// While others push and take: 0 only if all that was pushed before the look had been taken.
static inline uint32_t globq_len(struct globq *q)
{
    // relaxed, both: a hint, or ordered by the caller's fence
    uint32_t out = load_relaxed(&q->n_out);

    return load_relaxed(&q->n_in) - out;
}
