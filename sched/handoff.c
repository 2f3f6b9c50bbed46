// SPDX-License-Identifier: MIT
#include "sched/handoff.h"

#include "base/clock.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "sched/g.h"
#include "sched/push.h"
#include "sched/sched.h"

// ---- The taker -----------------------------------------------------------------------------

bool handoff_worth(struct sched *s, struct p *p, struct m *m)
{
    // relaxed: a look
    return !runq_empty(&p->runq) || globq_len(&s->globq) > 0 ||
           load_relaxed(&p->timers.earliest) <= clock_now() ||
           poller_in_flight(m->poller) > 0;
}

// H3. The idle lock is held. True: m holds p no more.
static bool steal_locked(struct sched *s, struct p *p, uint64_t seen, bool blocks)
{
    struct m *m = s->ms[p_word_m(seen)];

    poller_reap_lock(m->poller);
    bool taken = p_steal(p, seen);
    if (taken) {
        m->counted_blocked = blocks;
        // relaxed, both: counts
        add_relaxed(blocks ? &s->handoff.n_blocked : &s->handoff.n_computing, 1);
        add_relaxed(&s->handoff.n_taken, 1);
        if (!blocks) add_relaxed(&s->handoff.n_stalls, 1); // relaxed: a count
        if (maybe("taken, not yet lent")) choice_point();
        poller_lend_locked(m->poller);
    }
    poller_reap_unlock(m->poller);
    return taken;
}

// The idle lock is held: so the cap is exact.
static bool over_cap_locked(struct sched *s, bool blocks)
{
    struct handoff *h = &s->handoff;
    // relaxed, all: counts
    bool over = blocks ? load_relaxed(&h->n_blocked) >= h->blocked_most
                       : load_relaxed(&h->n_computing) >= h->computing_most;

    if (over) add_relaxed(&h->n_refused, 1);
    return over;
}

bool handoff_take(struct sched *s, struct p *p, uint64_t seen, bool blocks)
{
    struct m *m = s->ms[p_word_m(seen)];
    // relaxed: a look; without a spare it is not taken (H4)
    bool asks = p_word_state(seen) == P_HELD && load_relaxed(&s->idle.n_spares) > 0;
    bool taken = false;

    // Before the locks: its fence takes long.
    if (asks && !p_ask(p, seen, &m->hold)) return false;
    lock_acquire(&s->idle.lock);
    struct m *spare = over_cap_locked(s, blocks) ? NULL : idle_spare_locked(s); // H4
    if (spare) {
        taken = steal_locked(s, p, seen, blocks);
        if (taken)
            idle_give_locked(s, spare, p);
        else
            idle_put_spare_locked(s, spare);
    }
    lock_release(&s->idle.lock);
    if (taken)
        poller_break(spare->poller);
    else if (asks)
        p_withdraw(p, seen);
    return taken;
}

bool handoff_take_blocked(struct m *m)
{
    struct sched *s = m->sched;

    for (uint32_t i = 0; i < s->n_p; i++) {
        struct p *p = &s->ps[i];
        // [P-SEEN] acquire, pairs with [P-BLOCK]: what its M has noted about itself.
        uint64_t seen = load_acquire(&p->word);
        bool taken;

        if (p_word_state(seen) != P_BLOCK || !handoff_worth(s, p, s->ms[p_word_m(seen)]))
            continue;
        lock_acquire(&s->idle.lock);
        bool over = over_cap_locked(s, true);
        taken = !over && steal_locked(s, p, seen, true);
        if (taken) {
            p_take(p, m->index);
            p->m = m;
            idle_hold(m, p);
        }
        lock_release(&s->idle.lock);
        if (taken || over) return taken;
    }
    return false;
}

// ---- Serving -------------------------------------------------------------------------------

static void ready_all(struct queue done)
{
    for (struct queue_node *n; (n = queue_pop(&done));) {
        struct g *g = container_of(n, struct op, node)->owner;

        if (g_ready(g)) push_outside(g);
    }
}

bool handoff_serve(struct sched *s)
{
    // [MS-SEEN] acquire, pairs with [MS-GROWN]: the entries below are written.
    uint32_t n = load_acquire(&s->n_ms);
    bool busy = false;

    for (uint32_t i = 0; i < n; i++) {
        struct m *m = s->ms[i];

        // [M-START-SEEN] acquire, pairs with [M-STARTED]: it has its poller.
        if (load_acquire(&m->started) != M_STARTED || !poller_lent(m->poller)) continue;
        if (poller_in_flight(m->poller) == 0) continue;
        ready_all(poller_serve(m->poller));
        busy = true;
    }
    return busy;
}

// ---- The thread that was stuck -----------------------------------------------------------------

void handoff_lost(struct m *m)
{
    if (!m->p) {
        store_relaxed(&m->hold.at, P_RT); // relaxed: own (P2)
        return;
    }
    m->lost = m->p;
    m->p = NULL;
    m->away = true;
}

void handoff_back(struct m *m)
{
    struct handoff *h = &m->sched->handoff;

    if (!m->away) return;
    m->away = false;
    poller_reclaim(m->poller); // H3
    // relaxed: a count
    add_relaxed(m->counted_blocked ? &h->n_blocked : &h->n_computing, (uint32_t)-1);
}

void handoff_regain(struct m *m)
{
    if (idle_take_any(m)) handoff_back(m);
}

// ---- Regions that may block ------------------------------------------------------------------

void sched_blocking_begin(void)
{
    struct m *m = m_self();

    if (!m || !m->g || m->sched->seeded || m->hosted || m->g->blocking++ > 0) return;
    sched_enter_as(m);
    if (!m->p) return; // stolen already
    bool wanted = handoff_worth(m->sched, m->p, m);
    struct sched *s = m->sched;
    p_leave_blocking(m->p, &m->hold);
    if (wanted) idle_wake_spare(s);
}

void sched_blocking_end(void)
{
    struct m *m = m_self();

    if (!m || !m->g || m->g->blocking == 0 || --m->g->blocking > 0) return;
    sched_enter_as(m);
    if (!m->p) handoff_regain(m);
    if (m->p) sched_leave(m);
}
