// SPDX-License-Identifier: MIT
#include "sched/sched.h"

#include <errno.h>

#include "base/maybe.h"
#include "base/panic.h"
#include "sched/find.h"
#include "sched/g.h"
#include "sched/park.h"
#include "sched/pin.h"
#include "sched/push.h"
#include "sched/seed.h"
#include "sched/spawn.h"

// ---- Between coroutines -----------------------------------------------------------------------

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
    if (__builtin_expect(!parked, 0)) push_behind(m, g);
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
        push_one_behind(m, g);
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
        next = find_here(m->p);

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

// ---- From the M's own stack -------------------------------------------------------------------

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

uint32_t sched_run_queued(struct m *m, uint32_t most)
{
    uint32_t n = 0;

    if (sched_tells(m->sched))
        for (struct g *g; n < most && (g = find_queued(m)); n++) run(m, g, true);
    else
        for (struct g *g; n < most && (g = find_queued(m)); n++) run(m, g, false);
    return n;
}

// ---- The worker's thread ----------------------------------------------------------------------

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
