// SPDX-License-Identifier: MIT
#include "sched/pin.h"

#include <errno.h>

#include "base/clock.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "sched/push.h"
#include "sched/sched.h"

#define AGAIN_NS 1000000 // until a thread that could not be had is asked for again

// ---- What coroutines call -------------------------------------------------------------

bool pin_reserve(struct sched *s)
{
    // relaxed: a count. One more than stays is seen for a moment by another that is refused.
    if (add_relaxed(&s->n_pinned, 1) + 1 + s->n_p <= s->m_most) return true;
    pin_unreserve(s);
    return false;
}

void pin_unreserve(struct sched *s)
{
    add_relaxed(&s->n_pinned, (uint32_t)-1); // relaxed: a count
}

int sched_pin(void)
{
    struct m *m = m_self();

    if (!m || !m->g) return -EPERM;
    struct g *g = m->g;
    if (m->sched->seeded || m->hosted) return 0; // there is one thread
    if (g->pins == UINT16_MAX) return -EAGAIN;
    if (g->pins == 0) {
        if (!pin_reserve(m->sched)) return -EAGAIN;
        g->home = m;
        m->pinned = g;
        m->detours = true;
        idle_want_spares(m->sched, 1);
    }
    g->pins++;
    return 0;
}

int sched_unpin(void)
{
    struct m *m = m_self();

    if (!m || !m->g) return -EPERM;
    if (m->sched->seeded || m->hosted) return 0;
    if (m->g->pins == 0) return -EINVAL;
    if (--m->g->pins > 0) return 0;
    m->g->home = NULL;
    m->pinned = NULL;
    m->detours = sched_tells(m->sched);
    pin_unreserve(m->sched);
    return 0;
}

void pin_spoil(struct m *m)
{
    if (!m->pinned) return;
    m->pinned = NULL;
    m->spoiled = true; // and counts until its thread ends: it serves nobody else
}

// ---- The main loop of an M ------------------------------------------------------------

bool pin_fits_slow(struct m *m, struct g *g)
{
    if (g->pins && !g->home && !m_is_reserved(m)) { // spawned with a pin
        g->home = m;
        m->pinned = g;
        m->detours = true;
        idle_want_spares(m->sched, 1);
    }
    return g->pins ? g->home == m : !m_is_reserved(m);
}

struct g *pin_take_own(struct m *m)
{
    // [PIN-TAKEN] acquire, pairs with [PIN-BROUGHT]: what its last M left.
    struct g *g = load_acquire(&m->own);

    // relaxed: the next one is brought when this one has parked
    if (g) store_relaxed(&m->own, NULL);
    return g;
}

// The P that home is to run its coroutine with: NULL where it holds one. False: that would be m's,
// which needs it itself.
static bool find_p_locked(struct m *m, struct m *home, struct p **ret_p)
{
    *ret_p = NULL;
    if (idle_has_p_locked(m->sched, home)) return true;
    *ret_p = idle_home_locked(m->sched, home);
    if (*ret_p) return true;
    if (load_relaxed(&m->own)) return false; // relaxed: under the lock
    *ret_p = m->p;
    p_give(m->p);
    m->p = NULL;
    return true;
}

// B2. False: g has to wait in the queue.
static bool bring_home(struct m *m, struct g *g)
{
    struct sched *s = m->sched;
    struct m *home = g->home;
    struct p *p;

    lock_acquire(&s->idle.lock);
    bool goes = find_p_locked(m, home, &p);
    if (goes) {
        must(!load_relaxed(&home->own)); // relaxed: it is one coroutine
        // [PIN-BROUGHT] release, pairs with [PIN-TAKEN].
        store_release(&home->own, g);
    }
    if (p) idle_give_locked(s, home, p);
    lock_release(&s->idle.lock);
    if (!p) return goes;
    sysmon_wake(s);
    if (maybe("given, not yet broken")) choice_point();
    poller_break(home->poller);
    return true;
}

// Gives m's P to a spare, which comes out looking. False: there is none, or no need.
static bool hand_on(struct m *m)
{
    struct sched *s = m->sched;
    struct m *spare = NULL;

    lock_acquire(&s->idle.lock);
    if (!load_relaxed(&m->own) && // relaxed: under the lock
        (spare = idle_spare_locked(s))) {
        p_give(m->p);
        idle_give_locked(s, spare, m->p);
        m->p = NULL;
    }
    lock_release(&s->idle.lock);
    if (spare) poller_break(spare->poller);
    return spare != NULL;
}

// B3. A spare is on its way here, or none can be had for now.
static void wait_for_spare(struct m *m)
{
    struct idle *idle = &m->sched->idle;

    if (load_relaxed(&m->own)) return; // relaxed: a look
    bool is_coming = idle_want_spares(m->sched, 1);
    uint32_t coming = load_relaxed(&idle->n_coming); // relaxed: a count
    if (coming > 0)
        os_futex_wait(&idle->n_coming, coming, clock_after(AGAIN_NS));
    else if (!is_coming)
        os_sleep_until(clock_after(AGAIN_NS));
}

void pin_leave_p(struct m *m)
{
    if (idle_spin_end(m)) idle_wake(m->sched);
    if (!hand_on(m)) wait_for_spare(m);
}

void pin_pass_on(struct m *m, struct g *g)
{
    // W3: what was found may be the first of many.
    if (idle_spin_end(m)) idle_wake(m->sched);
    if (g->pins && g->home) {
        if (!bring_home(m, g)) push_behind(m, g);
        return;
    }
    push_next(m, g);
    if (!hand_on(m)) wait_for_spare(m);
}
