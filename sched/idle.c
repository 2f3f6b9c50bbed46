// SPDX-License-Identifier: MIT
#include "sched/idle.h"

#include <limits.h>

#include "base/clock.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "sched/linger.h"
#include "sched/sched.h"
#include "sched/sysmon.h"

#define CROWD_NS 4000       // of patience for each that was due beside another ...
#define PATIENCE_NS 200000  // ... and the most of it (docs/adr/0034)
#define SPARE_NS 1000000000 // how long a spare waits to be wanted

void idle_init(struct idle *idle)
{
    lock_init(&idle->lock, LOCK_RANK_IDLE);
    list_init(&idle->ps);
    list_init(&idle->spares);
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

static void put_spare_locked(struct idle *idle, struct m *m)
{
    list_push_front(&idle->spares, &m->spare_node);
    store_relaxed(&idle->n_spares, load_own(&idle->n_spares) + 1); // relaxed: a hint
}

static void remove_spare_locked(struct idle *idle, struct m *m)
{
    list_remove(&m->spare_node);
    store_relaxed(&idle->n_spares, load_own(&idle->n_spares) - 1); // relaxed: a hint
}

void idle_add(struct sched *s, struct p *p)
{
    lock_acquire(&s->idle.lock);
    list_push_back(&s->idle.ps, &p->idle_node);
    store_relaxed(&s->idle.n, load_own(&s->idle.n) + 1); // relaxed: no worker runs yet
    lock_release(&s->idle.lock);
}

// A thread that was started as a spare sleeps as one, or has found a P before.
static void arrived(struct m *m)
{
    if (!m->coming) return;
    m->coming = false;
    add_relaxed(&m->sched->idle.n_coming, (uint32_t)-1); // relaxed: a count
    os_futex_wake(&m->sched->idle.n_coming, INT_MAX);    // pin.c
}

void idle_hold(struct m *m, struct p *p)
{
    arrived(m);
    m->p = p;
    hold_set(&m->hold, load_relaxed(&p->word)); // relaxed: it is ours
}

void idle_take_first(struct sched *s, struct m *m)
{
    struct p *p = &s->ps[0];

    lock_acquire(&s->idle.lock);
    remove_idle_locked(&s->idle, p);
    p_take(p, m->index);
    p->m = m;
    lock_release(&s->idle.lock);
    idle_hold(m, p);
}

// ---- The waking side ---------------------------------------------------------------------

// p serves nobody any more. It never had a thread, so it has no timers.
static void retire(struct sched *s, struct p *p)
{
    lock_acquire(&s->idle.lock);
    if (p_word_state(load_relaxed(&p->word)) != P_IDLE) p_give(p); // relaxed: ours
    p->m = NULL;
    // relaxed: a look
    store_relaxed(&s->idle.n_retired, load_own(&s->idle.n_retired) + 1);
    lock_release(&s->idle.lock);
    if (s->log)
        s->log(s->log_arg, 1, "coir: a worker could not be started, going on with fewer");
}

struct m *idle_spare_locked(struct sched *s)
{
    struct list_node *node = list_first(&s->idle.spares);

    if (!node) return NULL;
    struct m *m = container_of(node, struct m, spare_node);
    remove_spare_locked(&s->idle, m);
    return m;
}

void idle_put_spare_locked(struct sched *s, struct m *spare)
{
    put_spare_locked(&s->idle, spare);
}

static void give_locked(struct m *m, struct p *p)
{
    p_take(p, m->index);
    p->m = m;
    m->given = p;
}

void idle_give_locked(struct sched *s, struct m *spare, struct p *p)
{
    give_locked(spare, p);
    // [SPIN-CLAIM] acq_rel, pairs with [SPIN-END]: whoever is given a P comes out looking.
    add_acq_rel(&s->idle.n_spinning, 1);
}

bool idle_has_p_locked(struct sched *s, const struct m *m)
{
    for (uint32_t i = 0; i < s->n_p; i++) {
        uint64_t word = load_relaxed(&s->ps[i].word); // relaxed: under the lock

        if (p_word_state(word) != P_IDLE && p_word_m(word) == m->index) return true;
    }
    return false;
}

struct p *idle_home_locked(struct sched *s, struct m *m)
{
    for (struct list_node *n = s->idle.ps.head.next; n != &s->idle.ps.head; n = n->next) {
        struct p *p = container_of(n, struct p, idle_node);

        if (p->m != m) continue;
        remove_idle_locked(&s->idle, p);
        return p;
    }
    return NULL;
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
    if (!m &&
        load_relaxed(&s->exiting)) { // relaxed: under the lock that the stop takes too
        lock_release(&s->idle.lock);
        return false; // those without a thread stand last: nobody else is left to wake
    }
    remove_idle_locked(&s->idle, p);
    if (m && m_is_reserved(m)) { // it would only pass it on (B1)
        struct m *spare = idle_spare_locked(s);
        if (spare) m = spare;
    }
    bool is_new = !m && !(m = idle_spare_locked(s));
    if (is_new) m = sched_new_m(s);
    if (m) give_locked(m, p);
    lock_release(&s->idle.lock);

    sysmon_wake(s);
    if (!is_new) {
        poller_break(m->poller);
        return true;
    }
    // Where it fails, m is whoever's wants a thread next (sched_new_m).
    if (m && m_launch(m, sched_m_main) == 0) return true;
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
    // relaxed, all: written under this lock, but for an ask, which leaves the epoch
    bool quiet = s->idle.n_expecting == 0 && !work_anywhere(s) &&
                 load_relaxed(&s->idle.n) + load_relaxed(&s->idle.n_retired) == s->n_p;
    for (uint32_t i = 0; i < s->n_p; i++) {
        // A thief may have run them while their home went to sleep: so they are asked themselves.
        if (load_relaxed(&s->ps[i].timers.earliest) != CLOCK_NEVER) quiet = false;
        *ret_epoch += load_relaxed(&s->ps[i].word) >> 32;
    }
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

// Comes back to life: with the P that somebody gave, else with the home P if nobody took it, else
// without. 'late': a spare that nobody wanted for a while.
static void come_out(struct m *m, struct p *home, bool late)
{
    struct idle *idle = &m->sched->idle;
    struct p *p = NULL;

    lock_acquire(&idle->lock);
    if (m->given) {
        p = m->given;
        m->given = NULL;
        m->spinning = true; // counted by the giver
    } else if (home && home->m == m && list_linked(&home->idle_node)) {
        p = home;
        remove_idle_locked(idle, p);
        p_take(p, m->index);
    } else if (list_linked(&m->spare_node)) {
        remove_spare_locked(idle, m);
        // relaxed: under the lock
        m->ends =
            late && load_relaxed(&idle->n_spares) > 0 && poller_in_flight(m->poller) == 0;
    }
    lock_release(&idle->lock);
    if (p) idle_hold(m, p);
}

void idle_take_given(struct m *m)
{
    if (!m->p) come_out(m, NULL, false);
}

void idle_retire(struct m *m)
{
    struct p *p = m->given;

    arrived(m);
    if (!p) return; // a spare, or the first worker: sched_start says so
    m->given = NULL;
    retire(m->sched, p);
    // [SPIN-END] seq_cst, pairs with [SPIN-CLAIM]: the promise passes to another.
    add_seq_cst(&m->sched->idle.n_spinning, (uint32_t)-1);
    idle_wake(m->sched);
}

// To bed: at home, or among the spares; reserved and without a P: on no list. False: its own
// coroutine came meanwhile (B2), or the runtime ends, and nobody would wake a spare.
static bool lie_down(struct m *m, struct p *home, bool *ret_keeper)
{
    struct sched *s = m->sched;
    bool stays = true;

    lock_acquire(&s->idle.lock);
    if (load_relaxed(&m->own)) { // relaxed: under the lock
        stays = false;
    } else if (home) {
        p_give(home);
        home->m = m;
        put_idle_locked(&s->idle, home);
        home->expects = poller_in_flight(m->poller) > 0;
        if (home->expects) s->idle.n_expecting++;
        m->p = NULL;
    } else if (load_relaxed(&s->exiting)) { // relaxed: idle_wake_spares holds the lock
        stays = false;
    } else if (m_is_reserved(m)) {
        *ret_keeper = true;
    } else {
        *ret_keeper = list_empty(&s->idle.spares);
        put_spare_locked(&s->idle, m);
    }
    lock_release(&s->idle.lock);
    arrived(m);
    return stays;
}

// No timer of p's ends a sleep before this (W8). Its M.
static int64_t soonest_alarm(const struct p *p)
{
    // relaxed: it decides only how long we sleep
    uint64_t beside = load_relaxed(&p->timers.expired) - p->expired_before;

    if (beside-- <= 1) return CLOCK_PAST;
    return p->alarm +
           (beside < PATIENCE_NS / CROWD_NS ? (int64_t)beside * CROWD_NS : PATIENCE_NS);
}

// A sleep of p's M was ended by its timers. Its M.
static void note_alarm(struct p *p, int64_t now)
{
    p->alarm = now;
    p->expired_before = load_relaxed(&p->timers.expired); // relaxed: as in soonest_alarm
}

struct queue idle_sleep(struct m *m)
{
    struct sched *s = m->sched;
    struct p *home = m->p;
    struct queue done = {0};
    int64_t soonest = home ? soonest_alarm(home) : CLOCK_PAST;
    int64_t before = load_relaxed(&s->coarse); // relaxed: says no more than itself
    int64_t until;

    poller_announce(m->poller);
    bool keeper = false; // the one spare that is kept
    bool stays = lie_down(m, home, &keeper);
    if (m->p) { // it stays up
        poller_awake(m->poller);
        return done;
    }
    idle_spin_end(m);
    if (maybe("announced, not yet looked")) choice_point();

    // [IDLE-FENCE] seq_cst, pairs with [WAKE-FENCE]: announced, now look for work (W1).
    fence_seq_cst();
    sched_went_idle(s);
    bool found = home ? work_anywhere(s) : !stays;
    // relaxed: [IDLE-FENCE] or the lock orders it: whoever arms a timer there later holds that
    // P, or breaks our sleep (idle_arm). Who is kept, or must not end (I6), sleeps for good.
    until = home ? load_relaxed(&home->timers.earliest)
            : keeper || poller_in_flight(m->poller) > 0 ? CLOCK_NEVER
                                                        : clock_after(SPARE_NS);
    if (until < soonest) until = soonest;
    done = poller_poll(m->poller, found ? CLOCK_PAST : until);
    poller_awake(m->poller);
    int64_t now = sched_note_time(s);
    bool late = now >= until;
    come_out(m, home, !home && queue_empty(&done) && late);
    if (late && home && m->p == home) note_alarm(home, now);
    if (m->p) linger_note(m, now - before);
    // Who pushed that work may have counted on us and woken nobody: W3 holds for it too.
    if (found && m->p)
        count_spinning(m);
    else if (found && home)
        idle_wake(s); // the P went with another
    if (m->p) sysmon_wake(s);
    return done;
}

bool idle_rest(struct m *m)
{
    struct sched *s = m->sched;
    struct p *home = m->p;
    bool keeper;

    poller_announce(m->poller);
    lie_down(m, home, &keeper);
    idle_spin_end(m);
    if (maybe("announced, not yet looked")) choice_point();
    // [IDLE-FENCE] seq_cst, pairs with [WAKE-FENCE]: announced, now look for work (W1).
    fence_seq_cst();
    bool found = work_anywhere(s) || !runq_empty(&home->runq);
    return poller_rest(m->poller) || found;
}

void idle_rise(struct m *m)
{
    poller_awake(m->poller);
    come_out(m, &m->sched->ps[0], false);
}

// ---- Without a P --------------------------------------------------------------------------

// The P whose home a spare may best displace: one without operations in flight, which ends if it is
// not wanted. One with some stays until they end.
static struct p *least_missed_locked(struct idle *idle)
{
    struct list_node *first = list_first(&idle->ps);

    for (struct list_node *n = first; n && n != &idle->ps.head; n = n->next) {
        struct p *p = container_of(n, struct p, idle_node);
        if (!p->expects) return p;
    }
    return first ? container_of(first, struct p, idle_node) : NULL;
}

bool idle_take_any(struct m *m)
{
    struct sched *s = m->sched;

    if (load_relaxed(&s->idle.n) == 0) return false; // relaxed: a look
    lock_acquire(&s->idle.lock);
    // One that was given a P comes out with that (pin.h).
    struct p *p = m->given ? NULL : least_missed_locked(&s->idle);
    if (p) {
        struct m *home = p->m;
        bool may_end = !p->expects;
        remove_idle_locked(&s->idle, p);
        p_take(p, m->index);
        p->m = m;
        if (home && home != m && !m_is_reserved(home)) {
            put_spare_locked(&s->idle, home); // W6
            // It sleeps as a home does, for good; as a spare it may be one too many.
            if (may_end) poller_break(home->poller);
        }
        idle_hold(m, p);
    }
    lock_release(&s->idle.lock);
    if (p) sysmon_wake(s);
    return p != NULL;
}

int idle_arm(struct m *m, struct g *g, int64_t when)
{
    struct sched *s = m->sched;
    struct p *p = m->lost;
    int err = timer_arm(&p->timers, g, when);

    // Behind the lock: if p is idle its home is asleep, or will read the earliest time behind our
    // lock; if it is held, its M reads it before it sleeps.
    lock_acquire(&s->idle.lock);
    if (err == 0 && list_linked(&p->idle_node) && p->m) poller_break(p->m->poller);
    lock_release(&s->idle.lock);
    return err;
}

// ---- Spares -------------------------------------------------------------------------------

static bool launch_spare(struct sched *s)
{
    struct m *m = NULL;

    lock_acquire(&s->idle.lock);
    if (!load_relaxed(&s->exiting)) m = sched_new_m(s); // relaxed: under the lock
    lock_release(&s->idle.lock);
    if (!m) {
        add_relaxed(&s->handoff.n_refused, 1); // relaxed: a count
        return false;
    }
    m->coming = true;
    add_relaxed(&s->idle.n_coming, 1); // relaxed: a count
    if (m_launch(m, sched_m_main) == 0) return true;
    add_relaxed(&s->idle.n_coming, (uint32_t)-1); // relaxed: a count
    return false;
}

bool idle_want_spares(struct sched *s, uint32_t n)
{
    // relaxed, both: counts
    uint32_t have = load_relaxed(&s->idle.n_spares) + load_relaxed(&s->idle.n_coming);

    for (; have < n; have++)
        if (!launch_spare(s)) return false;
    return true;
}

void idle_wake_spare(struct sched *s)
{
    lock_acquire(&s->idle.lock);
    struct list_node *node = list_first(&s->idle.spares);
    if (node) poller_break(container_of(node, struct m, spare_node)->poller);
    lock_release(&s->idle.lock);
    if (!node) launch_spare(s);
}

void idle_wake_spares(struct sched *s)
{
    lock_acquire(&s->idle.lock);
    for (struct list_node *n = s->idle.spares.head.next; n != &s->idle.spares.head;
         n = n->next)
        poller_break(container_of(n, struct m, spare_node)->poller);
    lock_release(&s->idle.lock);
}
