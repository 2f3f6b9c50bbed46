// SPDX-License-Identifier: MIT
#include "tests/model/oracle.h"

#include "runtime/runtime.h"
#include "sched/g.h"
#include "tests/model/sim.h"

#define PATIENCE_NS 3000000
#define TAKE_NS 15000000 // until a P is taken from one who computes

static coir_runtime *watched;
static int64_t stands_since; // work, behind one who computes; 0: none does
static bool none_was_idle;   // by then
static uint64_t moves; // coroutines run, Ps taken, and takes that a cap forbade by then

void oracle_watch(coir_runtime *rt)
{
    watched = rt;
}

void oracle_reset(void)
{
    watched = NULL;
    stands_since = 0;
    moves = 0;
    none_was_idle = false;
}

static bool somebody_computes(void)
{
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait == SIM_HOG || sim.threads[i].wait == SIM_NAP) return true;
    return false;
}

// Somebody naps until a lock is free (base/lock.c): what it is about stands between two places.
static bool somebody_naps(void)
{
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait == SIM_SLEEP && sim.threads[i].ranks) return true;
    return false;
}

// Plain reads: nobody runs, and a look must not be a point.
static void check_coroutine(const struct g *g)
{
    uint32_t state = g->task.state.value;

    if (state == G_DEAD || state == G_PARKED) return;
    sim_fail("coroutine %llu is %s and nobody runs", (unsigned long long)g->id,
             state == G_RUNNABLE  ? "runnable"
             : state == G_RUNNING ? "running"
                                  : "parking");
}

static bool has_ring_work(struct sched *s)
{
    for (uint32_t i = 0; i < s->n_p; i++)
        if (s->ps[i].runq.head.value != s->ps[i].runq.tail.value) return true;
    return false;
}

static bool has_new(struct sched *s)
{
    for (uint32_t i = 0; i < s->n_p; i++)
        if (s->ps[i].runq.fresh.head.value != s->ps[i].runq.fresh.tail.value) return true;
    return false;
}

static bool has_next(struct sched *s)
{
    for (uint32_t i = 0; i < s->n_p; i++)
        if (s->ps[i].runq.next.value) return true;
    return false;
}

static void check_queues(struct sched *s)
{
    if (s->globq.n.value) sim_fail("work stands in the global queue and nobody runs");
    if (has_ring_work(s)) sim_fail("work stands in a ring and nobody runs");
    if (has_new(s)) sim_fail("a new coroutine stands there and nobody runs");
    if (has_next(s)) sim_fail("work stands in a 'next' and nobody runs");
}

static uint64_t count_moves(struct sched *s)
{
    uint64_t sum = s->handoff.n_taken.value + s->handoff.n_refused.value;

    // Taken by a reserved M's hand (sched/pin.h), a P moves its epoch alone.
    for (uint32_t i = 0; i < s->n_p; i++)
        sum += s->ps[i].tick.value + (s->ps[i].word.value >> 32);
    return sum;
}

// Somebody computes outside the runtime. What stands behind him wakes others only after a while
// (sched/idle.h, W4 and W5), but sysmon looks every millisecond and finds it at the second look.
static void check_behind_hog(struct sched *s)
{
    bool nobody_idle = s->idle.n.value == 0;

    // Where there is no idle P the next who runs may compute too: from then on again.
    bool moved = nobody_idle ? count_moves(s) != moves : none_was_idle;

    if (!(s->globq.n.value || has_ring_work(s) || has_next(s)) || moved) {
        moves = count_moves(s);
        none_was_idle = nobody_idle;
        stands_since = 0;
        return;
    }
    if (!stands_since) stands_since = sim.now;
    if (sim.jumps || sim.threads_fail || sim.allocs_fail || sim.short_turns) return;
    if (sim.now - stands_since > (nobody_idle ? TAKE_NS : PATIENCE_NS))
        sim_fail("work stands behind one who computes for %lld ms, and %u Ps are idle",
                 (long long)(sim.now - stands_since) / 1000000, s->idle.n.value);
}

// Somebody keeps a P until a thread can be had (sched/pin.h, B3).
static bool wants_thread(struct sched *s)
{
    if (!sim.threads_fail) return false;
    for (uint32_t i = 0; i < s->n_ms.value; i++)
        if (m_is_reserved(s->ms[i])) return true;
    return false;
}

void oracle_idle(void)
{
    if (!watched || somebody_naps()) return;
    struct sched *s = &watched->sched;
    if (somebody_computes()) {
        check_behind_hog(s);
        return;
    }
    if (wants_thread(s)) return;
    stands_since = 0;
    check_queues(s);
    for (uint32_t i = 0; i < GTABLE_CHUNKS && s->gtable.chunks[i]; i++)
        for (uint32_t k = 0; k < GTABLE_CHUNK; k++)
            if (s->gtable.chunks[i][k]) check_coroutine(s->gtable.chunks[i][k]);
}
