// SPDX-License-Identifier: MIT
#include "sched/seed.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "sched/g.h"
#include "sched/park.h"
#include "sched/sched.h"

#define FIRST_ROOM 64
#define FNV_PRIME UINT64_C(0x100000001b3)
#define FNV_START UINT64_C(0xcbf29ce484222325)

__typeof__(seed_runs) seed_runs;

int seed_open(const struct memory *memory, uint64_t seed, struct seeded **ret_run)
{
    struct seeded *run = MEMORY_GET(memory, struct seeded, 1);

    if (!run) return -ENOMEM;
    run->memory = memory;
    // Neighbours among seeds shall not begin alike.
    rand_init(&run->rand, seed * UINT64_C(0x9e3779b97f4a7c15) ^ seed >> 32);
    for (int i = 0; i < 8; i++) rand_next(&run->rand);
    run->clock = SEED_START_NS;
    store_relaxed(&run->hash, FNV_START); // relaxed, both: before any thread; a count
    add_relaxed(&seed_runs, 1);
    *ret_run = run;
    return 0;
}

void seed_close(struct seeded *run)
{
    if (!run) return;
    add_relaxed(&seed_runs, (uint32_t)-1); // relaxed: a count
    MEMORY_PUT(run->memory, run->pool, struct g *, run->room);
    MEMORY_PUT(run->memory, run, struct seeded, 1);
}

// ---- The hash ---------------------------------------------------------------------------------

// Fowler, Noll, Vo, byte by byte of what is small.
static uint64_t mix(uint64_t hash, uint64_t value)
{
    for (int i = 0; i < 64; i += 8) hash = (hash ^ (value >> i & 0xff)) * FNV_PRIME;
    return hash;
}

static void note(struct seeded *run, uint32_t at, const struct g *g)
{
    uint64_t hash = load_own(&run->hash);
    const char *on = load_relaxed(&g->waits_on); // relaxed: its own, and it does not run

    hash = mix(hash, (uint64_t)run->n << 32 | at);
    hash = mix(hash, (uint64_t)run->clock);
    for (; on && *on; on++) hash = (hash ^ (unsigned char)*on) * FNV_PRIME;
    store_relaxed(&run->hash, hash); // relaxed, both: statistics
    store_relaxed(&run->events, load_own(&run->events) + 1);
}

// ---- The pool ---------------------------------------------------------------------------------

bool seed_has_room(struct seeded *run)
{
    if (run->n < run->room) return true;
    uint32_t room = run->room ? run->room * 2 : FIRST_ROOM;
    struct g **pool = MEMORY_GET(run->memory, struct g *, room);

    if (!pool) return false;
    if (run->n) memcpy(pool, run->pool, run->n * sizeof(*pool));
    MEMORY_PUT(run->memory, run->pool, struct g *, run->room);
    run->pool = pool;
    run->room = room;
    return true;
}

void seed_add(struct seeded *run, struct g *g)
{
    run->pool[run->n++] = g;
}

struct g *seed_draw(struct seeded *run)
{
    if (run->n == 0) return NULL;
    uint32_t at = rand_below(&run->rand, run->n);
    struct g *g = run->pool[at];

    run->clock += SEED_RUN_NS;
    note(run, at, g);
    run->pool[at] = run->pool[--run->n];
    run->tries = 0;
    g->budget = (uint8_t)(1 + rand_below(&run->rand, SEED_CALLS));
    g->task.chance = rand_next(&run->rand) | 1;
    return g;
}

void seed_jump(struct seeded *run, int64_t when)
{
    if (when > run->clock) run->clock = when;
}

// ---- What calls ask ---------------------------------------------------------------------------

void seed_call(void)
{
    struct m *m = m_self();

    if (m && m->g && m->sched->seeded && --m->g->budget == 0) sched_step_aside(m);
}

void seed_try(void)
{
    struct m *m = m_self();

    if (m && m->g && m->sched->seeded && ++m->sched->seeded->tries == SEED_TRIES)
        sched_step_aside(m);
}

void seed_look(void)
{
    struct m *m = m_self();

    if (m && m->g && m->sched->seeded) m->sched->seeded->clock += SEED_LOOK_NS;
}
