// SPDX-License-Identifier: MIT
#include "sched/sched.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fence.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "sched/g.h"
#include "sched/linger.h"
#include "sched/park.h"
#include "sched/pin.h"
#include "sched/seed.h"
#include "sched/spawn.h"

#define SPIN_ROUNDS 4 // tours of all others before an M sleeps
#define OFFER_CYCLES                                                                     \
    500000 // 150 to 200 us: a few times what a wake and the first misses cost
#define GLOBAL_MOST (RUNQ_SIZE / 8 ? RUNQ_SIZE / 8 : 1) // from the global queue at a time
#define OLDEST_NS 1000000  // between two turns of the oldest new one
#define REFUSED_NS 200000  // until a thief that may not take anything looks again (F5)
#define THIEF_PATIENCE 200 // breaths that a thief gives a 'next' before it takes it

// ---- Queues ----------------------------------------------------------------------------------

// Only when p has not been without such for so long that the wake is worth its price.
void sched_offer(struct p *p)
{
    // relaxed: a look
    if (p->sched->n_p == 1 || load_relaxed(&p->sched->idle.n) == 0) return;
    int64_t now = clock_cycles();
    if (p->was_empty) p->queued_since = now;
    p->was_empty = false;
    if (now - p->queued_since < OFFER_CYCLES && !maybe("offer at once")) return;
    p->queued_since = now;
    if (maybe("published, not yet looked")) choice_point();
    idle_wake(p->sched);
}

// Puts g behind the others of p.
static void push_tail(struct p *p, struct g *g)
{
    struct queue overflow = {0};
    unsigned n = runq_push(&p->runq, g, &overflow);

    if (n > 0) globq_push(&p->sched->globq, &overflow, n);
    if (++p->pushes % SCHED_OFFER_EVERY == 0) sched_offer(p);
}

void sched_push(struct m *m, struct g *g)
{
    if (m->p)
        push_tail(m->p, g);
    else
        sched_push_outside(g);
}

// Puts a list of n behind all that wait: behind the ring, and where that has overflowed behind
// the overflow too. Else who comes back again and again keeps the ring full, and what stands in
// the global queue gets one run in SCHED_FAIR_TICKS.
static void push_behind_all(struct m *m, struct queue *batch, uint32_t n)
{
    if (m->p && n > 0 && globq_len(&m->sched->globq) > 0)
        globq_push(&m->sched->globq, batch,
                   n); // wakes nobody: we come there ourselves (W5)
    else
        for (struct queue_node *node; (node = queue_pop(batch));)
            sched_push(m, g_of_node(node));
}

static void push_one_behind_all(struct m *m, struct g *g)
{
    struct queue one = {0};

    queue_push(&one, &g->node);
    push_behind_all(m, &one, 1);
}

void sched_push_next(struct m *m, struct g *g)
{
    if (!m->p) {
        sched_push_outside(g);
        return;
    }
    struct g *kicked = runq_put_next(&m->p->runq, g);

    if (kicked) push_tail(m->p, kicked); // a lone one wakes nobody (W4)
}

void sched_push_overflow(struct p *p, struct g *g)
{
    struct queue overflow = {0};
    unsigned n = fresh_make_room(&p->runq.fresh, &overflow);

    if (n > 0) globq_push(&p->sched->globq, &overflow, n);
    must(fresh_push(&p->runq.fresh, g));
}

void sched_push_outside(struct g *g)
{
    struct sched *s = g->sched;
    struct queue one = {0};

    queue_push(&one, &g->node);
    globq_push(&s->globq, &one, 1);
    idle_wake(s);
}

// ---- Choosing --------------------------------------------------------------------------------

// Where 'next' is empty or had its runs.
static __attribute__((noinline)) struct g *pick_behind_next(struct p *p, uint32_t tick)
{
    struct g *g;

    p->next_runs = 0;
    // New ones and those who come back take turns.
    if (tick % 2 && (g = fresh_pop(&p->runq.fresh))) return g;
    if ((runq_ring_len(&p->runq) > 0 && (g = runq_pop(&p->runq))) ||
        (g = fresh_pop(&p->runq.fresh))) {
        if (tick % SCHED_OFFER_EVERY == 0) sched_offer(p);
        return g;
    }
    p->was_empty = true;
    return runq_take_next(&p->runq);
}

// What runs next on this M without looking further; NULL: nothing, or it is time to look
// everywhere (every SCHED_FAIR_TICKS).
static inline struct g *pick(struct p *p)
{
    uint32_t tick = load_own(&p->tick) + 1;
    struct g *g;

    store_relaxed(&p->tick, tick); // relaxed: a statistic for thieves and sysmon
    if (__builtin_expect(tick % SCHED_FAIR_TICKS == 0, 0)) return NULL;
    if (__builtin_expect(p->next_runs < SCHED_NEXT_RUNS && (g = runq_take_next(&p->runq)),
                         1)) {
        p->next_runs++;
        return g;
    }
    return pick_behind_next(p, tick);
}

// Up to 'most' of the global queue: one to run, the others into the own ring.
static struct g *take_global(struct m *m, uint32_t most)
{
    struct queue batch = {0};

    if (globq_pop(&m->sched->globq, most, &batch) == 0) return NULL;
    struct g *first = g_of_node(queue_pop(&batch));
    for (struct queue_node *n; (n = queue_pop(&batch));) sched_push(m, g_of_node(n));
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

// Every SCHED_FAIR_TICKS: one of those whom others overtake.
static struct g *take_overtaken(struct m *m)
{
    struct p *p = m->p;
    struct g *g = take_oldest(p);

    if (!g) g = take_global(m, 1);
    // It counts as a run of its own: whoever is handed this P while it blocks must not come here
    // again before the ring had its turn.
    if (g) store_relaxed(&p->tick, load_own(&p->tick) + 1); // relaxed: as in pick
    return g;
}

// This P's share of the global queue: as much as its empty ring takes well, and as the cache keeps
// of what globq_pop fetches.
static uint32_t global_share(struct sched *s)
{
    uint32_t share = globq_len(&s->globq) / s->n_p + 1;

    return share < GLOBAL_MOST ? share : GLOBAL_MOST;
}

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
    push_behind_all(m, &batch, n);
}

static void run_timers(struct m *m, struct timers *ts)
{
    if (load_relaxed(&ts->earliest) == CLOCK_NEVER) return; // relaxed: a look
    struct queue due = timers_run(ts, clock_now());
    for (struct queue_node *n; (n = queue_pop(&due));) {
        struct g *g = g_of_node(n);

        if (g_ready(g)) push_one_behind_all(m, g);
    }
}

// What the kernel and the clock have for this M.
static void look_outside(struct m *m)
{
    if (poller_pending(m->poller)) ready_ops(m, poller_poll(m->poller, CLOCK_PAST));
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

// The next coroutine for this M, from anywhere; NULL: the runtime ends, or this M.
static struct g *find_work(struct m *m)
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
        if (load_own(&m->p->tick) % SCHED_FAIR_TICKS == 0) {
            look_outside(m);
            sched_note_time(m->sched);
            heed_refusal(m->p);
            if ((g = take_overtaken(m))) return g;
        }
        if ((g = pick(m->p))) return g;
        if (load_own(&m->p->tick) % SCHED_FAIR_TICKS == 0) continue;
        look_outside(m); // a round is over: submit what it queued
        if ((g = pick(m->p))) return g;
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

// ---- Switching -------------------------------------------------------------------------------

// False: a ready came meanwhile.
static inline bool commit_and_look(struct g *g)
{
    // Read before it may run elsewhere.
    uint64_t ticket = load_own(&g->task.wait);

    if (!g_commit(g)) return false;
    if (maybe("committed, not yet looked")) choice_point();
    // [CANCEL-LOOK] seq_cst, pairs with [CANCEL-SET]; behind [G-COMMIT].
    if (__builtin_expect(load_seq_cst(&g->cancel.asked) & CANCEL_ASKED, 0))
        sched_cancel_wait(g, ticket);
    return true;
}

// It may run and end elsewhere before the look: its memory stays, but for a mapping of its own,
// which goes only after gtable_clear.
static __attribute__((noinline)) bool commit_sized(struct g *g)
{
    struct gtable *keeps = &g->sched->gtable;

    lock_acquire(&keeps->lock);
    bool parked = commit_and_look(g);
    lock_release(&keeps->lock);
    return parked;
}

// The coroutine's wait is committed; if it was cancelled before that could be seen, ends it.
static inline void commit_park(struct m *m, struct g *g)
{
    if (maybe("left its stack, not yet committed")) choice_point();
    bool parked = __builtin_expect(g->sized, 0) ? commit_sized(g) : commit_and_look(g);
    if (__builtin_expect(!parked, 0)) sched_push(m, g);
}

// Finishes what the coroutine that ran before on this M began (I4).
static inline void finish_left(struct m *m)
{
    enum leave how = m->left_how;
    struct g *g = m->left;

    m->left_how = LEAVE_NOTHING;
    if (__builtin_expect(how == LEAVE_PARK, 1))
        commit_park(m, g);
    else if (how == LEAVE_YIELD)
        push_one_behind_all(m, g);
    else if (how == LEAVE_END)
        spawn_release(m, g);
}

// First thing in a coroutine that was switched to.
static inline __attribute__((always_inline)) void arrive(struct m *m)
{
    finish_left(m);
    *m->errno_here = m->g->saved_errno;
    if (__builtin_expect(m->exceptions != NULL, 0)) *m->exceptions = m->g->exceptions;
    sched_leave(m);
}

// Leaves g for whoever is next; returns when g runs again, maybe on another M.
static inline __attribute__((always_inline)) void leave(struct m *m, struct g *g,
                                                        enum leave how)
{
    struct context *to = &m->context;
    struct g *next = NULL;

    if (__builtin_expect(!m->p, 0))
        handoff_back(m); // before g may end (H3)
    else if (__builtin_expect(!m->detours, 1))
        next = pick(m->p);

    if (__builtin_expect(next && next->pins, 0)) { // pin.h
        m->picked = next;
        next = NULL;
    }
    if (__builtin_expect(next != NULL, 1)) {
        g_run(next);
        to = &next->context;
    }
    g->saved_errno = *m->errno_here;
    if (__builtin_expect(m->exceptions != NULL, 0)) g->exceptions = *m->exceptions;
    m->g = next;
    m->left = g;
    m->left_how = how;
    choice_point();
    arrive(context_switch(&g->context, to, m, how == LEAVE_END));
}

void sched_park(struct m *m, struct g *g)
{
    leave(m, g, LEAVE_PARK);
}

void sched_step_aside(struct m *m)
{
    struct g *g = m->g;

    sched_enter_to_wait(m);
    g->budget = G_TICKS;
    g_yield(g);
    leave(m, g, LEAVE_YIELD);
}

void sched_enter_g(void *word)
{
    arrive(word);
}

void sched_leave_g(uintptr_t value)
{
    struct m *m = m_self();

    if (m && (m->g->cancel.bound || m->g->has_locals)) {
        m->sched->ending(m->g, value);
        m = m_self();
    }
    if (!m) os_thread_end(); // in a child of fork: there is nobody to go on with
    if (m->detours) pin_spoil(m);
    sched_enter_as(m);
    leave(m, m->g, LEAVE_END);
    panic("a coroutine that ended was resumed");
}

// ---- The worker thread -----------------------------------------------------------------------

// A hook of the host's is user code (I8): while it runs the P can be taken, and its calls are an
// ordinary thread's, for it stands on no coroutine. Where the P was taken, g runs all the same, as
// one does whose thread was stuck.
static void tell_in(struct m *m, struct g *g)
{
    struct sched *s = m->sched;

    if (!s->switch_in) return;
    sched_leave(m);
    os_self_set(NULL);
    s->switch_in(s->switch_arg, g->id, &g->host_slot);
    os_self_set(m);
    sched_enter_as(m);
}

// g has left, and nobody can run it before finish_left. To who looks from outside it is still here.
static void tell_out(struct m *m, struct g *g, bool ends)
{
    struct sched *s = m->sched;
    bool holds = m->p != NULL;

    m->g = g;
    if (holds) sched_leave(m);
    os_self_set(NULL);
    if (s->switch_out) s->switch_out(s->switch_arg, g->id, &g->host_slot, ends);
    os_self_set(m);
    if (holds) sched_enter_as(m);
    if (!m->p) handoff_back(m); // before g may end (H3)
    m->g = NULL;
    if (ends) g->host_slot = NULL;
}

// 'told' is constant where this is called: who is not told pays nothing.
__attribute__((always_inline)) static inline void run(struct m *m, struct g *g, bool told)
{
    // W3: what was found may be the first of many.
    if (idle_spin_end(m)) idle_wake(m->sched);
    g_run(g);
    m->g = g;
    if (told) tell_in(m, g);
    choice_point();
    context_switch(&m->context, &g->context, m, false);
    if (m->exceptions) *m->exceptions = (struct os_exceptions){0};
    if (told) tell_out(m, g, m->left_how == LEAVE_END);
    finish_left(m);
}

// ---- The turn of a host ----------------------------------------------------------------------

void sched_look(struct m *m)
{
    ready_ops(m, poller_poll(m->poller, CLOCK_PAST));
    run_timers(m, &m->p->timers);
}

bool sched_has_queued(struct m *m)
{
    return !runq_empty(&m->p->runq) || globq_len(&m->sched->globq) > 0;
}

// What runs next of what stands in the queues; NULL: nothing does.
static struct g *find_queued(struct m *m)
{
    for (;;) {
        struct g *g = pick(m->p);

        if (g) return g;
        if (load_own(&m->p->tick) % SCHED_FAIR_TICKS)
            return take_global(m, global_share(m->sched));
        sched_note_time(m->sched);
        if ((g = take_overtaken(m))) return g;
    }
}

uint32_t sched_run_queued(struct m *m, uint32_t most)
{
    uint32_t n = 0;

    if (sched_tells(m->sched))
        for (struct g *g; n < most && (g = find_queued(m)); n++) run(m, g, true);
    else
        for (struct g *g; n < most && (g = find_queued(m)); n++) run(m, g, false);
    return n;
}

// ---- The worker's thread ---------------------------------------------------------------------

// The poller, then a P. Says through m->started how it went.
static int start_here(struct m *m)
{
    struct sched *s = m->sched;
    int err;

    m->errno_here = os_errno();
    m->exceptions = os_exceptions();
    context_adopt(&m->context);
    store_relaxed(&m->thread_id, os_thread_id()); // relaxed: a hint
    if (s->handoff.pump_signal && !(m->pump = os_pump_get(s->handoff.pump_signal)))
        err = -EAGAIN;
    else if (m->poller)
        err = poller_reopen(m->poller, 0, m->pump);
    else
        err = poller_open(s->poller_kind, 0, m->pump, s->memory, &m->poller);
    m_goes_light(m);
    // [M-STARTED] release, pairs with [M-START-SEEN].
    store_release(&m->started, err < 0 ? (uint32_t)-err : M_STARTED);
    os_futex_wake(&m->started, 1);
    return err;
}

__attribute__((always_inline)) static inline void run_all(struct m *m, bool told)
{
    for (struct g *g; (g = find_work(m));)
        if (pin_fits(m, g))
            run(m, g, told);
        else
            pin_pass_on(m, g);
}

static void live(struct m *m)
{
    struct sched *s = m->sched;
    // The pump's handler too must not need room on the stack of a coroutine.
    bool wants_altstack = s->altstacks || s->handoff.pump_signal;
    void *altstack = wants_altstack ? os_altstack_begin() : NULL;

    os_self_set(m);
    if (s->seeded) os_clock_set(&s->seeded->clock);
    m->detours = s->seeded || sched_tells(s);
    if (start_here(m) < 0) {
        idle_retire(m);
    } else {
        idle_take_given(m);
        if (sched_tells(s))
            run_all(m, true);
        else
            run_all(m, false);
        poller_shut(m->poller);
    }
    m_goes_light_no_more(m);
    os_pump_put(m->pump);
    m->pump = NULL;
    if (m->spoiled) pin_unreserve(s);
    m->ends = m->spoiled = m->detours = false;
    context_fini(&m->context);
    os_clock_set(NULL);
    os_self_set(NULL);
    os_altstack_end(altstack);
}

void sched_m_main(void *arg)
{
    struct m *m = arg;
    struct sched *s = m->sched;

    if (s->thread_start) s->thread_start(s->thread_arg);
    live(m);
    if (s->thread_stop) s->thread_stop(s->thread_arg);
    sched_note_thread(s, -1);
    // [M-ENDED] release, pairs with [M-REUSED]: the last access but that of its kernel half.
    store_release(&m->ended, M_ENDS);
}
