// SPDX-License-Identifier: MIT
#include "sched/find.h"

#include "base/clock.h"
#include "base/fence.h"
#include "base/maybe.h"
#include "sched/g.h"
#include "sched/linger.h"
#include "sched/park.h"
#include "sched/pin.h"
#include "sched/push.h"
#include "sched/sched.h"
#include "sched/seed.h"

#define SPIN_ROUNDS 4 // tours of all others before an M sleeps
#define GLOBAL_MOST (RUNQ_SIZE / 8 ? RUNQ_SIZE / 8 : 1) // from the global queue at a time
#define OLDEST_NS 1000000  // between two turns of the oldest new one
#define REFUSED_NS 200000  // until a thief that may not take anything looks again (F5)
#define THIEF_PATIENCE 200 // breaths that a thief gives a 'next' before it takes it

// ---- On this P --------------------------------------------------------------------------------

// Where 'next' is empty or had its runs.
struct g *find_behind_next(struct p *p, uint32_t tick)
{
    struct g *g;

    p->next_runs = 0;
    // New ones and those who come back take turns.
    if (tick % 2 && (g = fresh_pop(&p->runq.fresh))) return g;
    if ((runq_ring_len(&p->runq) > 0 && (g = runq_pop(&p->runq))) ||
        (g = fresh_pop(&p->runq.fresh))) {
        if (tick % PUSH_OFFER_EVERY == 0) push_offer(p);
        return g;
    }
    p->was_empty = true;
    return runq_take_next(&p->runq);
}

// ---- From the global queue --------------------------------------------------------------------

// Up to 'most' of the global queue: one to run, the others into the own ring.
static struct g *take_global(struct m *m, uint32_t most)
{
    struct queue batch = {0};

    if (globq_pop(&m->sched->globq, most, &batch) == 0) return NULL;
    struct g *first = g_of_node(queue_pop(&batch));
    for (struct queue_node *n; (n = queue_pop(&batch));) push_behind(m, g_of_node(n));
    return first;
}

// The oldest of the new ones, if it is time. Not at every fair tick: where all that run are short,
// each of these turns begins one more part of a tree before the last one is through, and what was
// spawned there and waits fills memory that is not warm (docs/adr/0015).
static struct g *take_oldest(struct p *p)
{
    int64_t now = load_relaxed(&p->sched->coarse); // relaxed: we have just written it

    if (now - p->oldest_at < OLDEST_NS && !maybe("the oldest at once")) return NULL;
    p->oldest_at = now;
    return fresh_pop_oldest(&p->runq.fresh);
}

// Every FIND_FAIR_TICKS: one of those whom others overtake.
static struct g *take_overtaken(struct m *m)
{
    struct p *p = m->p;
    struct g *g = take_oldest(p);

    if (!g) g = take_global(m, 1);
    // It counts as a run of its own: whoever is handed this P while it blocks must not come here
    // again before the ring had its turn.
    if (g) store_relaxed(&p->tick, load_own(&p->tick) + 1); // relaxed: as in find_here
    return g;
}

// This P's share of the global queue: as much as its empty ring takes well, and as the cache keeps
// of what globq_pop fetches.
static uint32_t global_share(struct sched *s)
{
    uint32_t share = globq_len(&s->globq) / s->n_p + 1;

    return share < GLOBAL_MOST ? share : GLOBAL_MOST;
}

// ---- From the kernel and the clock ------------------------------------------------------------

// Makes the coroutines of finished operations run.
static void ready_ops(struct m *m, struct queue done)
{
    struct queue batch = {0};
    uint32_t n = 0;

    for (struct queue_node *node; (node = queue_pop(&done));) {
        struct g *g = container_of(node, struct op, node)->owner;

        if (maybe("completion seen, not yet ready")) choice_point();
        if (!g_ready(g)) continue;
        queue_push(&batch, &g->node);
        n++;
    }
    push_all_behind(m, &batch, n);
}

static void run_timers(struct m *m, struct timers *ts)
{
    if (load_relaxed(&ts->earliest) == CLOCK_NEVER) return; // relaxed: a look
    struct queue due = timers_run(ts, clock_now());
    for (struct queue_node *n; (n = queue_pop(&due));) {
        struct g *g = g_of_node(n);

        if (g_ready(g)) push_one_behind(m, g);
    }
}

// What the kernel and the clock have for this M.
static void look_outside(struct m *m)
{
    if (poller_pending(m->poller)) ready_ops(m, poller_poll(m->poller, CLOCK_PAST));
    run_timers(m, &m->p->timers);
}

void find_look(struct m *m)
{
    ready_ops(m, poller_poll(m->poller, CLOCK_PAST));
    run_timers(m, &m->p->timers);
}

// Heavy fences are refused by now: p's new ones go by full ones, if it has thieves (F5).
static void heed_refusal(struct p *p)
{
    // relaxed: it is seen the next time
    if (load_relaxed(&fence_refused) && p->sched->n_p > 1) fresh_go_full(&p->runq.fresh);
}

// Before those who stand in the ring of a P that somebody was stuck with come those whose time is
// over. Else in a crowd that blocks, where a turn takes until the next look of sysmon, nobody's
// deadline is kept.
// True: somebody was.
static bool put_overdue_first(struct m *m)
{
    struct runq *q = &m->p->runq;
    uint32_t others = runq_ring_len(q);
    struct queue due = timers_run(&m->p->timers, clock_now());

    if (queue_empty(&due)) return false;
    for (struct queue_node *n; (n = queue_pop(&due));)
        if (g_ready(g_of_node(n))) push_tail(m->p, g_of_node(n));
    for (struct g *g; others-- > 0 && (g = runq_pop(q));) push_tail(m->p, g);
    return true;
}

// ---- From other Ps ----------------------------------------------------------------------------

// Gives the owner of v a moment to come to its 'next' itself: true if it did not.
static bool waits_in_vain(struct p *v)
{
    uint32_t tick = load_relaxed(&v->tick); // relaxed: a statistic

    if (!load_relaxed(&v->runq.next)) return false; // relaxed: a look
    for (int i = 0; i < THIEF_PATIENCE; i++) {
        os_pause();
        if (load_relaxed(&v->tick) != tick) return false; // relaxed: a statistic
    }
    return true;
}

// *ret_later: new ones stand somewhere and a thief comes too soon (F4).
static struct g *steal_round(struct m *m, bool last, bool *ret_later)
{
    struct sched *s = m->sched;
    uint32_t from = rand_below(&m->p->rand, s->n_p);

    for (uint32_t i = 0; i < s->n_p; i++) {
        struct p *v = &s->ps[(from + i) % s->n_p];
        struct g *g;

        if (v == m->p) continue;
        run_timers(m, &v->timers); // it may be busy, or stuck
        if ((g = runq_pop(&m->p->runq))) return g;
        if (runq_empty(&v->runq)) continue;
        if (fresh_too_soon(&v->runq.fresh))
            *ret_later = true;
        else if ((g = fresh_steal(&m->p->runq.fresh, &v->runq.fresh)))
            return g;
        if ((g = runq_steal(&m->p->runq, &v->runq, last && waits_in_vain(v)))) return g;
    }
    return NULL;
}

static struct g *steal(struct m *m, bool *ret_later)
{
    if (m->sched->n_p == 1 || !idle_spin_begin(m)) return NULL;
    for (int i = 1; i <= SPIN_ROUNDS; i++) {
        struct g *g = steal_round(m, i == SPIN_ROUNDS, ret_later);

        if (g) {
            struct p_counts *c = &m->p->counts;
            store_relaxed(&c->steals, load_own(&c->steals) + 1); // relaxed: a statistic
            return g;
        }
    }
    return NULL;
}

// New ones stand elsewhere that cannot be taken yet.
static void wait_for_new(void)
{
    if (load_relaxed(&fence_refused)) // relaxed: a hint
        os_sleep_until(clock_after(REFUSED_NS));
    else
        os_pause();
}

// ---- From anywhere ----------------------------------------------------------------------------

// Without a P: looks for one in a region that may block, else sleeps. False: this M ends.
static bool find_p(struct m *m)
{
    handoff_back(m);
    if (m->spoiled && poller_in_flight(m->poller) == 0) return false; // B4
    if (!m_is_reserved(m) && handoff_take_blocked(m)) return true;
    struct queue done = idle_sleep(m);
    if (!m->p && !m->spoiled && !queue_empty(&done)) idle_take_any(m);
    ready_ops(m, done);
    return !m->ends;
}

// The next one of a seeded run: any of those that can run. NULL: the runtime ends.
static struct g *find_seeded(struct m *m, struct seeded *run)
{
    for (;;) {
        struct runq *q = &m->p->runq;
        struct g *g;

        // [EXIT-SEEN] acquire, pairs with [EXIT-SET].
        if (load_acquire(&m->sched->exiting)) return NULL;
        run_timers(m, &m->p->timers);
        while (seed_has_room(run) &&
               ((g = runq_take_next(q)) || (g = fresh_pop(&q->fresh)) ||
                (g = runq_pop(q)) || (g = take_global(m, 1))))
            seed_add(run, g);
        sched_note_time(m->sched);
        if ((g = seed_draw(run))) return g;
        int64_t earliest = load_own(&m->p->timers.earliest);
        if (earliest != CLOCK_NEVER)
            seed_jump(run, earliest);
        else
            ready_ops(m, idle_sleep(m));
    }
}

struct g *find_work(struct m *m)
{
    if (m->sched->seeded) return find_seeded(m, m->sched->seeded);
    for (;;) {
        bool later = false;
        struct g *g;

        // [EXIT-SEEN] acquire, pairs with [EXIT-SET].
        if (load_acquire(&m->sched->exiting)) return NULL;
        if (!m->p) {
            if (!find_p(m)) return NULL;
            if (!m->p) continue;
            put_overdue_first(m);
        }
        if (m->detours && (g = pin_take_own(m))) return g;
        if (m->spoiled) {
            pin_leave_p(m);
            continue;
        }
        if ((g = m->picked)) {
            m->picked = NULL;
            return g;
        }
        if (load_own(&m->p->tick) % FIND_FAIR_TICKS == 0) {
            look_outside(m);
            sched_note_time(m->sched);
            heed_refusal(m->p);
            if ((g = take_overtaken(m))) return g;
        }
        if ((g = find_here(m->p))) return g;
        if (load_own(&m->p->tick) % FIND_FAIR_TICKS == 0) continue;
        look_outside(m); // a round is over: submit what it queued
        if ((g = find_here(m->p))) return g;
        if (!runq_empty(&m->p->runq)) { // that was a fair tick, or a thief is at the last
            os_pause();
            continue;
        }
        if ((g = take_global(m, global_share(m->sched)))) return g;
        if ((g = steal(m, &later))) return g;
        if (m->sched->n_p > 1 && stack_depot_ahead(&m->sched->depot)) continue;
        if (later) { // it would be up again at once
            wait_for_new();
            continue;
        }
        if (linger(m)) continue;
        ready_ops(m, idle_sleep(m));
    }
}

bool find_has_queued(struct m *m)
{
    return !runq_empty(&m->p->runq) || globq_len(&m->sched->globq) > 0;
}

struct g *find_queued(struct m *m)
{
    for (;;) {
        struct g *g = find_here(m->p);

        if (g) return g;
        if (load_own(&m->p->tick) % FIND_FAIR_TICKS)
            return take_global(m, global_share(m->sched));
        sched_note_time(m->sched);
        if ((g = take_overtaken(m))) return g;
    }
}
