// SPDX-License-Identifier: MIT
#include "tests/model/oracle.h"

#include "runtime/runtime.h"
#include "sched/g.h"
#include "tests/model/sim.h"

static coir_runtime *watched;

void oracle_watch(coir_runtime *rt)
{
    watched = rt;
}

void oracle_reset(void)
{
    watched = NULL;
}

static bool somebody_computes(void)
{
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait == SIM_HOG) return true;
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

static void check_queues(struct sched *s)
{
    if (s->globq.n.value) sim_fail("work stands in the global queue and nobody runs");
    if (has_ring_work(s)) sim_fail("work stands in a ring and nobody runs");
    for (uint32_t i = 0; i < s->n_p; i++)
        if (s->ps[i].runq.next.value)
            sim_fail("work stands in the next of P %u and nobody runs", i);
}

// Somebody computes outside the runtime: what stands behind him is for the idle ones, but for a
// lone coroutine in a 'next', which sysmon finds (sched/idle.h, W4).
static void check_behind_hog(struct sched *s)
{
    if (s->idle.n.value == 0) return;
    if (s->globq.n.value || has_ring_work(s))
        sim_fail("work stands behind one who computes, and %u Ps are idle",
                 s->idle.n.value);
}

void oracle_idle(void)
{
    if (!watched) return;
    struct sched *s = &watched->sched;
    if (somebody_computes()) {
        check_behind_hog(s);
        return;
    }
    check_queues(s);
    for (uint32_t i = 0; i < GTABLE_CHUNKS && s->gtable.chunks[i]; i++)
        for (uint32_t k = 0; k < GTABLE_CHUNK; k++)
            if (s->gtable.chunks[i][k]) check_coroutine(s->gtable.chunks[i][k]);
}
