// SPDX-License-Identifier: MIT
#include "tests/model/oracle.h"

#include <string.h>

#include "runtime/runtime.h"
#include "sched/g.h"
#include "tests/model/sim.h"

#define PATIENCE_NS 3000000
#define TAKE_NS 15000000 // until a P is taken from one who computes

static coir_runtime *watched;
// Work at a place (a P, or behind them all the global queue) behind one who computes.
struct stand {
    int64_t since;  // 0: none does
    uint64_t moves; // by then: what says that it is other work now
};

static struct stand stands[SIM_THREADS + 1];
static bool none_was_idle; // by then

void oracle_watch(coir_runtime *rt)
{
    watched = rt;
}

void oracle_reset(void)
{
    watched = NULL;
    memset(stands, 0, sizeof(stands));
    none_was_idle = false;
}

static bool somebody_computes(void)
{
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait == SIM_HOG || sim.threads[i].wait == SIM_NAP) return true;
    return false;
}

// It counts as one that looks, and may not take anything yet (sched/fresh.h, F5).
static bool is_refused_thief(const struct m *m)
{
    return sim.refuses_fences && m->spinning;
}

// Somebody naps (lock_breathe): until a lock is free, and then what it is about stands between two
// places; in a coroutine's call, which is not over; or before it looks again.
static bool somebody_naps(void)
{
    for (uint32_t i = 0; i < SIM_THREADS; i++) {
        const struct sim_thread *t = &sim.threads[i];
        const struct m *m = t->self;

        if (t->wait != SIM_SLEEP) continue;
        if (t->ranks || (m && (m->g || is_refused_thief(m)))) return true;
    }
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
    if (s->globq.n_in.value != s->globq.n_out.value)
        sim_fail("work stands in the global queue and nobody runs");
    if (has_ring_work(s)) sim_fail("work stands in a ring and nobody runs");
    if (has_new(s)) sim_fail("a new coroutine stands there and nobody runs");
    if (has_next(s)) sim_fail("work stands in a 'next' and nobody runs");
}

// Coroutines run, Ps taken, and takes that a cap forbade by now.
static uint64_t count_moves(struct sched *s)
{
    uint64_t sum = s->handoff.n_taken.value + s->handoff.n_refused.value;

    // Taken by a reserved M's hand (sched/pin.h), a P moves its epoch alone.
    for (uint32_t i = 0; i < s->n_p; i++)
        sum += s->ps[i].tick.value + (s->ps[i].word.value >> 32);
    return sum;
}

// Changes when the work that stands at a place is not the same any more: p's worker ran somebody,
// or a thief took some. From there on the next one has to wait as long: sysmon sees him anew.
static uint64_t moves_at(struct sched *s, uint32_t place)
{
    if (s->idle.n.value == 0) return count_moves(s); // who runs next may compute too
    if (place == s->n_p) return 0;                   // wakes at once
    const struct p *p = &s->ps[place];
    return (uint64_t)p->tick.value + p->runq.head.value + (p->word.value >> 32);
}

static bool stands_at(struct sched *s, uint32_t place)
{
    if (place == s->n_p) return s->globq.n_in.value != s->globq.n_out.value;
    const struct runq *q = &s->ps[place].runq;
    return q->head.value != q->tail.value || q->next.value;
}

// Somebody computes outside the runtime. What stands behind him wakes others only after a while
// (sched/idle.h, W4 and W5), but sysmon looks every millisecond and finds it at the second look.
// Each place by itself: while what stood at one is taken, work comes to stand at another.
static void check_behind_hog(struct sched *s)
{
    bool nobody_idle = s->idle.n.value == 0, turned = nobody_idle != none_was_idle;
    bool excused = sim.jumps || sim.threads_fail || sim.allocs_fail;

    none_was_idle = nobody_idle;
    for (uint32_t place = 0; place <= s->n_p; place++) {
        struct stand *at = &stands[place];
        uint64_t moves = moves_at(s, place);

        if (!stands_at(s, place) || moves != at->moves || turned) {
            *at = (struct stand){.moves = moves};
            continue;
        }
        if (!at->since) at->since = sim.now;
        if (!excused && sim.now - at->since > (nobody_idle ? TAKE_NS : PATIENCE_NS))
            sim_fail(
                "work stands behind one who computes for %lld ms, and %u Ps are idle",
                (long long)(sim.now - at->since) / 1000000, s->idle.n.value);
    }
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
    memset(stands, 0, sizeof(stands));
    check_queues(s);
    for (uint32_t i = 0; i < GTABLE_CHUNKS && s->gtable.chunks[i]; i++)
        for (uint32_t k = 0; k < GTABLE_CHUNK; k++)
            if (s->gtable.chunks[i][k]) check_coroutine(s->gtable.chunks[i][k]);
}
