// SPDX-License-Identifier: MIT
// gtable - every coroutine by the index of its stack: for cancel-all, dumps and walks.
//
// Chunks of pointers that never move. An entry is set when a stack first becomes a coroutine and
// names the same memory ever after; only a stack with a mapping of its own takes its entry away.
// Who walks holds the lock, so such a mapping cannot go away under it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "base/memory.h"

struct g;

#define GTABLE_CHUNK 1024u
#define GTABLE_CHUNKS 4096u

struct gtable {
    struct lock lock;
    const struct memory *memory;      // constant
    struct g **chunks[GTABLE_CHUNKS]; // guarded by lock
};

void gtable_init(struct gtable *t, const struct memory *mem);
void gtable_fini(struct gtable *t);

// Any thread. 0 | -ENOMEM (no memory, or over four million coroutines)
int gtable_set(struct gtable *t, uint32_t index, struct g *g);
void gtable_clear(struct gtable *t, uint32_t index);

// Calls fn for every coroutine that is not dead, under the lock: fn must not park or spawn.
void gtable_each(struct gtable *t, void (*fn)(void *arg, struct g *g), void *arg);

// Looks at the entries from *index on, a chunk of them at most, and offers each coroutine that is
// not dead to 'take', under the lock: the first that it takes (true) ends the look. *index is then
// behind it. For walks that must not hold the lock for long.
// TAKEN | MORE: none here, call again | END
enum gtable_look { GTABLE_TAKEN, GTABLE_MORE, GTABLE_END };
enum gtable_look gtable_next(struct gtable *t, uint32_t *index,
                             bool (*take)(void *arg, struct g *g), void *arg);
