// SPDX-License-Identifier: MIT
#include "sched/gtable.h"

#include <errno.h>

#include "sched/g.h"

void gtable_init(struct gtable *t, const struct memory *mem)
{
    t->memory = mem;
    lock_init(&t->lock, LOCK_RANK_GTABLE);
}

void gtable_fini(struct gtable *t)
{
    for (uint32_t i = 0; i < GTABLE_CHUNKS; i++)
        MEMORY_PUT(t->memory, t->chunks[i], struct g *, GTABLE_CHUNK);
}

int gtable_set(struct gtable *t, uint32_t index, struct g *g)
{
    struct g ***chunk = &t->chunks[index / GTABLE_CHUNK];
    int err = 0;

    if (index / GTABLE_CHUNK >= GTABLE_CHUNKS) return -ENOMEM;
    lock_acquire(&t->lock);
    if (!*chunk) *chunk = MEMORY_GET(t->memory, struct g *, GTABLE_CHUNK);
    if (*chunk)
        (*chunk)[index % GTABLE_CHUNK] = g;
    else
        err = -ENOMEM;
    lock_release(&t->lock);
    return err;
}

void gtable_clear(struct gtable *t, uint32_t index)
{
    lock_acquire(&t->lock);
    t->chunks[index / GTABLE_CHUNK][index % GTABLE_CHUNK] = NULL;
    lock_release(&t->lock);
}

void gtable_each(struct gtable *t, void (*fn)(void *arg, struct g *g), void *arg)
{
    lock_acquire(&t->lock);
    for (uint32_t i = 0; i < GTABLE_CHUNKS; i++) {
        for (uint32_t j = 0; t->chunks[i] && j < GTABLE_CHUNK; j++) {
            struct g *g = t->chunks[i][j];

            // [G-WALK] acquire, pairs with [G-READY] and [G-END]: a look; g may end meanwhile,
            // its memory stays.
            if (g && load_acquire(&g->task.state) != G_DEAD) fn(arg, g);
        }
    }
    lock_release(&t->lock);
}

static bool offer(struct g *g, bool (*take)(void *arg, struct g *g), void *arg)
{
    // [G-WALK] acquire, pairs with [G-READY] and [G-END]: as above.
    return g && load_acquire(&g->task.state) != G_DEAD && take(arg, g);
}

enum gtable_look gtable_next(struct gtable *t, uint32_t *index,
                             bool (*take)(void *arg, struct g *g), void *arg)
{
    uint32_t chunk = *index / GTABLE_CHUNK;
    bool taken = false;

    lock_acquire(&t->lock);
    while (chunk < GTABLE_CHUNKS && !t->chunks[chunk]) *index = ++chunk * GTABLE_CHUNK;
    if (chunk < GTABLE_CHUNKS) {
        uint32_t end = (chunk + 1) * GTABLE_CHUNK;

        while (*index < end && !taken)
            taken = offer(t->chunks[chunk][(*index)++ % GTABLE_CHUNK], take, arg);
    }
    lock_release(&t->lock);
    if (taken) return GTABLE_TAKEN;
    return chunk < GTABLE_CHUNKS ? GTABLE_MORE : GTABLE_END;
}
