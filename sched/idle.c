// SPDX-License-Identifier: MIT
#include "sched/idle.h"

#include "base/clock.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "sched/sched.h"
#include "sched/sysmon.h"

void idle_init(struct idle *idle)
{
    lock_init(&idle->lock, LOCK_RANK_IDLE);
    list_init(&idle->ps);
}

static void put_idle_locked(struct idle *idle, struct p *p)
{
    list_push_front(&idle->ps, &p->idle_node);
    store_relaxed(&idle->n, load_own(&idle->n) + 1); // relaxed: [IDLE-FENCE] follows
}

static void remove_idle_locked(struct idle *idle, struct p *p)
{
    list_remove(&p->idle_node);
    store_relaxed(&idle->n, load_own(&idle->n) - 1); // relaxed: a hint
    if (p->expects) idle->n_expecting--;
    p->expects = false;
}

void idle_add(struct sched *s, struct p *p)
{
    lock_acquire(&s->idle.lock);
    list_push_back(&s->idle.ps, &p->idle_node);
    store_relaxed(&s->idle.n, load_own(&s->idle.n) + 1); // relaxed: no worker runs yet
    lock_release(&s->idle.lock);
}

static void hold(struct m *m, struct p *p)
{
    m->p = p;
    m->mine = load_relaxed(&p->word) & ~(uint64_t)0xffff; // relaxed: it is ours
}

void idle_take_first(struct sched *s, struct m *m)
{
    struct p *p = &s->ps[0];

    lock_acquire(&s->idle.lock);
    remove_idle_locked(&s->idle, p);
    p_take(p, m->index);
    p->m = m;
    lock_release(&s->idle.lock);
    hold(m, p);
}

// ---- The waking side ---------------------------------------------------------------------

// p serves nobody any more.
static void retire(struct sched *s, struct p *p)
{
    lock_acquire(&s->idle.lock);
    p_give(p);
    // relaxed: a look
    store_relaxed(&s->idle.n_retired, load_own(&s->idle.n_retired) + 1);
    lock_release(&s->idle.lock);
    if (s->log)
        s->log(s->log_arg, 1, "coir: a worker could not be started, going on with fewer");
}

// Takes an idle P, gives it to an M and wakes that one. The caller counted it as spinning.
static bool wake_one(struct sched *s)
{
    lock_acquire(&s->idle.lock);
    struct list_node *node = list_first(&s->idle.ps);
    if (!node) {
        lock_release(&s->idle.lock);
        return false;
    }

    struct p *p = container_of(node, struct p, idle_node);
    struct m *m = p->m;
    bool is_new = !m;
    if (is_new &&
        load_relaxed(&s->exiting)) { // relaxed: under the lock that the stop takes too
        lock_release(&s->idle.lock);
        return false; // those without a thread stand last: nobody else is left to wake
    }
    remove_idle_locked(&s->idle, p);
    if (is_new) {
        p->m = m = &s->ms[p->id];
        // relaxed: join_workers asks behind this lock
        store_relaxed(&m->launch, M_LAUNCHING);
    }
    p_take(p, m->index);
    m->given = p;
    lock_release(&s->idle.lock);

    sysmon_wake(s);
    if (!is_new) {
        poller_break(m->poller);
        return true;
    }
    if (m_launch(m, sched_m_main) == 0) return true;
    m->given = NULL;
    retire(s, p);
    return false;
}

// A lone coroutine in a 'next' slot does not count (W4).
static bool work_anywhere(struct sched *s)
{
    if (globq_len(&s->globq) > 0) return true;
    for (uint32_t i = 0; i < s->n_p; i++)
        if (runq_len(&s->ps[i].runq) > 0) return true;
    // relaxed: ordered by the caller's fence
    return load_relaxed(&s->exiting) != 0;
}

bool idle_is_quiet(struct sched *s, uint64_t *ret_epoch)
{
    *ret_epoch = 0;
    lock_acquire(&s->idle.lock);
    // relaxed, all: written under this lock, but for a P's way from USER to RT and back
    bool quiet = s->idle.n_expecting == 0 && !work_anywhere(s) &&
                 load_relaxed(&s->idle.n) + load_relaxed(&s->idle.n_retired) == s->n_p;
    for (uint32_t i = 0; i < s->n_p; i++)
        *ret_epoch += load_relaxed(&s->ps[i].word) >> 32;
    lock_release(&s->idle.lock);
    return quiet;
}

// Wakes one for the caller, who counted it as spinning. False: nobody was there, the count is as
// before, and work stands that another pusher may have left to us (W2).
static bool wake_or_look(struct sched *s)
{
    if (wake_one(s)) return true;
    // [SPIN-END] seq_cst, pairs with [SPIN-CLAIM].
    add_seq_cst(&s->idle.n_spinning, (uint32_t)-1);
    // [SPIN-FAILED] seq_cst, pairs with [WAKE-FENCE]: off the count, now look: while we stood on
    // it who pushed woke nobody, and a worker may have gone to sleep since we found none.
    fence_seq_cst();
    // relaxed: a runtime that ends has no work, and its stop breaks every sleep
    return !work_anywhere(s) || load_relaxed(&s->exiting);
}

void idle_wake(struct sched *s)
{
    uint32_t none;

    do {
        none = 0;
        // [WAKE-FENCE] seq_cst, pairs with [IDLE-FENCE] and [SPIN-FAILED]: the work was
        // published, now look for sleepers (W1).
        fence_seq_cst();
        if (load_relaxed(&s->idle.n) == 0) return; // relaxed, both: ordered by the fence
        if (load_relaxed(&s->idle.n_spinning) != 0) return;
        // [SPIN-CLAIM] acq_rel, pairs with [SPIN-END]: of many pushers one wakes.
        if (!cas_acq_rel(&s->idle.n_spinning, &none, 1)) return;
    } while (!wake_or_look(s));
}

void idle_wake_any(struct sched *s)
{
    // [SPIN-CLAIM] acq_rel, pairs with [SPIN-END].
    add_acq_rel(&s->idle.n_spinning, 1);
    if (!wake_or_look(s)) idle_wake(s);
}

void idle_drain_stacks(struct sched *s)
{
    struct idle *idle = &s->idle;

    // Whoever wants a P of this list takes it off under the lock: what it has is ours as long.
    lock_acquire(&idle->lock);
    for (struct list_node *n = idle->ps.head.next; n != &idle->ps.head; n = n->next)
        stack_cache_drain(&container_of(n, struct p, idle_node)->stacks);
    lock_release(&idle->lock);
}

// ---- The sleeping side -------------------------------------------------------------------

static void count_spinning(struct m *m)
{
    if (m->spinning) return;
    m->spinning = true;
    // [SPIN-CLAIM] acq_rel, pairs with [SPIN-END].
    add_acq_rel(&m->sched->idle.n_spinning, 1);
}

bool idle_spin_begin(struct m *m)
{
    struct sched *s = m->sched;

    if (m->spinning) return true;
    // relaxed, both: at most half of the busy ones spin, roughly
    uint32_t busy = s->n_p - load_relaxed(&s->idle.n);
    if (2 * load_relaxed(&s->idle.n_spinning) >= busy) return false;
    count_spinning(m);
    return true;
}

bool idle_spin_end(struct m *m)
{
    if (!m->spinning) return false;
    m->spinning = false;
    // [SPIN-END] seq_cst, pairs with [SPIN-CLAIM]: off the count first, then the last look (W2).
    return add_seq_cst(&m->sched->idle.n_spinning, (uint32_t)-1) == 1;
}

// Comes back to life with a P: the one that a waker gave, else the one that was given up.
static void take_back(struct m *m, struct p *own)
{
    struct idle *idle = &m->sched->idle;

    lock_acquire(&idle->lock);
    if (m->given) {
        own = m->given;
        m->given = NULL;
        m->spinning = true; // counted by the waker
    } else {
        remove_idle_locked(idle, own);
        p_take(own, m->index);
    }
    lock_release(&idle->lock);
    hold(m, own);
}

void idle_take_given(struct m *m)
{
    if (!m->p) take_back(m, NULL);
}

void idle_retire(struct m *m)
{
    struct p *p = m->given;

    if (!p) return; // the first worker: sched_start says so
    m->given = NULL;
    retire(m->sched, p);
    // [SPIN-END] seq_cst, pairs with [SPIN-CLAIM]: the promise passes to another.
    add_seq_cst(&m->sched->idle.n_spinning, (uint32_t)-1);
    idle_wake(m->sched);
}

struct queue idle_sleep(struct m *m)
{
    struct sched *s = m->sched;
    struct p *own = m->p;
    struct queue done;

    poller_announce(m->poller);
    lock_acquire(&s->idle.lock);
    p_give(own);
    put_idle_locked(&s->idle, own);
    // relaxed: our own timers, until the P is taken
    own->expects = poller_in_flight(m->poller) > 0 ||
                   load_relaxed(&own->timers.earliest) != CLOCK_NEVER;
    if (own->expects) s->idle.n_expecting++;
    m->p = NULL;
    lock_release(&s->idle.lock);
    idle_spin_end(m);
    if (maybe("announced, not yet looked")) choice_point();

    // [IDLE-FENCE] seq_cst, pairs with [WAKE-FENCE]: announced, now look for work (W1).
    fence_seq_cst();
    sched_went_idle(s);
    bool found = work_anywhere(s);
    if (found)
        done = poller_poll(m->poller, CLOCK_PAST);
    else
        // relaxed: our own timers; whoever moves one there holds the P that we gave up
        done = poller_poll(m->poller, load_relaxed(&own->timers.earliest));
    poller_awake(m->poller);
    sched_note_time(s);
    take_back(m, own);
    // Who pushed that work may have counted on us and woken nobody: W3 holds for it too.
    if (found) count_spinning(m);
    sysmon_wake(s);
    return done;
}
