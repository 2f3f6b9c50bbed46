// SPDX-License-Identifier: MIT
#include "sched/park.h"

#include <errno.h>

#include "base/bias.h"
#include "base/clock.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "netpoll/netpoll.h"
#include "sched/g.h"
#include "sched/hosted.h"
#include "sched/park_inline.h"
#include "sched/push.h"
#include "sched/sched.h"

enum { LOG_WARNING = 4 }; // COIR_LOG_WARNING

#define IN_PLACE_BYTES ((size_t)8 << 20) // as a helper has

// ---- Who waits --------------------------------------------------------------------------------

bool on_coroutine(void)
{
    return g_self() != NULL;
}

struct task *task_self(struct task *here)
{
    struct g *g = g_self();

    if (g) return &g->task;
    *here = (struct task){.is_thread = true};
    return here;
}

uint64_t task_id_self(void)
{
    struct g *g = g_self();

    // Thread numbers stand above every coroutine's, which count up from 1.
    return g ? g->id : os_thread_id() | UINT64_C(1) << 62;
}

static struct cancel *cancel_of(struct task *t)
{
    return t->is_thread ? &thread_cancel()->cancel : &g_of_task(t)->cancel;
}

static uint64_t open_wait(struct task *t, uint64_t kind, const char *on, const void *at)
{
    if (!t->is_thread) return wait_open_of(g_of_task(t), kind, on, at);
    uint64_t ticket = wait_next_ticket(t, kind, cancel_of(t)->shields);
    // [WAIT-OPEN] release, pairs with [WAIT-CLAIM]: as a coroutine's.
    store_release(&t->wait, ticket);
    return ticket;
}

uint64_t wait_open(struct task *t, const char *on, const void *at)
{
    return open_wait(t, WAIT_OPEN, on, at);
}

uint64_t wait_open_shielded(struct task *t, const char *on, const void *at)
{
    return open_wait(t, WAIT_OPEN | WAIT_DEAF, on, at);
}

// ---- Who watches -------------------------------------------------------------------------------

__typeof__(park_watcher) park_watcher;

__attribute__((cold, noinline)) void park_watch_tell(const char *what)
{
    struct g *g = g_self();

    // relaxed, both: set before it is watched; own
    if (!what) what = load_relaxed(&g->waits_on);
    load_relaxed (&park_watcher)(g->id, g->named ? g->name : "", what, g->site);
}

// ---- Sleeping ---------------------------------------------------------------------------------

// Ends the caller's own wait with 'why', unless somebody else did already.
static void claim_own(struct task *t, int why)
{
    if (!wait_claim(t, t->ticket)) return;
    t->outcome = why;
    ready(t);
}

// Puts the wait of a thread that has a scope open within reach of a cancel, or ends it at once.
static void expose(struct thread_cancel *tc, struct task *t)
{
    lock_acquire(&tc->lock);
    tc->waits = t;
    if (load_own(&tc->cancel.asked) & CANCEL_ASKED) claim_own(t, -ECANCELED);
    lock_release(&tc->lock);
}

static void hide(struct thread_cancel *tc)
{
    lock_acquire(&tc->lock);
    tc->waits = NULL;
    lock_release(&tc->lock);
}

static int park_thread(struct task *t, int64_t deadline)
{
    struct thread_cancel *tc = thread_cancel();
    bool in_reach = tc->cancel.bound && !(t->ticket & WAIT_DEAF);

    if (in_reach) expose(tc, t);
    if (parker_park(&t->parker, deadline) == -ETIMEDOUT) {
        claim_own(t, -ETIMEDOUT);
        parker_park(&t->parker, CLOCK_NEVER); // ours or the winner's: it is on its way
    }
    if (in_reach) hide(tc);
    return t->outcome;
}

static int arm(struct m *m, struct g *g, int64_t deadline)
{
    return m->p ? timer_arm(&m->p->timers, g, deadline) : idle_arm(m, g, deadline);
}

// The deadline of a wait that was opened: a timer, or the end at once.
static void set_deadline(struct m *m, struct g *g, int64_t deadline)
{
    int err = -ETIMEDOUT;

    if (deadline == CLOCK_NEVER) return;
    if (deadline > CLOCK_PAST) err = arm(m, g, deadline);
    if (err < 0) claim_own(&g->task, err);
}

static int park_coroutine(struct m *m, struct g *g, int64_t deadline)
{
    park_watch_leave(NULL);
    sched_enter_to_wait(m);
    g->budget = G_TICKS;
    set_deadline(m, g, deadline);
    park_leave(m, g);
    if (deadline != CLOCK_NEVER) timer_disarm(&g->timer);
    return g->task.outcome;
}

// The scopes around a wait if their deadline comes before its own; else NULL.
static struct bound *earlier_bound(struct task *t, int64_t deadline)
{
    struct cancel *c = cancel_of(t);

    // relaxed: the bit is the caller's own note
    if (!(load_relaxed(&c->asked) & CANCEL_TIMED) || t->ticket & WAIT_DEAF) return NULL;
    return c->bound->until < deadline ? c->bound : NULL;
}

int park_slow(struct m *m, struct task *t, int64_t deadline)
{
    struct bound *bound = earlier_bound(t, deadline);
    int64_t until = bound ? bound->until : deadline;
    int outcome =
        t->is_thread ? park_thread(t, until) : park_coroutine(m, g_of_task(t), until);

    if (outcome == -ETIMEDOUT && bound && cancel_late(bound)) return -ECANCELED;
    return outcome;
}

int park(struct task *t, int64_t deadline)
{
    struct m *m = m_self();

    // Most waits are a coroutine's without any deadline.
    if (t->is_thread) return park_slow(m, t, deadline);
    struct caller me = caller_on(m);
    return park_inline(&me, t, deadline);
}

void park_turning(struct task *t)
{
    if (t->is_thread && thread_cancel()->hosted)
        hosted_turn_until(&t->parker);
    else
        park(t, CLOCK_NEVER);
}

int64_t park_until(int64_t deadline)
{
    struct cancel *c = cancel_self();

    if (!(load_relaxed(&c->asked) & CANCEL_TIMED) || c->shields > 0) // relaxed: own note
        return deadline;
    return c->bound->until < deadline ? c->bound->until : deadline;
}

int32_t park_io(struct op *op, int64_t deadline,
                void (*armed)(void *arg, struct poller *np, uint64_t key), void *arg)
{
    // relaxed: whoever misses it is not watched yet
    if (load_relaxed(&park_watcher)) park_watch_tell(op_name(op->code));
    struct m *m = m_self();
    struct g *g = m->g;

    sched_enter_to_wait(m);
    if (!m->p) handoff_back(m); // its own poller it may use
    open_wait(&g->task, WAIT_OPEN_IO, op_name(op->code), (void *)(intptr_t)op->fd);
    op->owner = g;
    struct bound *bound = earlier_bound(&g->task, deadline);
    if (bound) deadline = bound->until;
    g->budget = G_TICKS;
    uint64_t key = poller_submit(m->poller, op);
    // [IO-PAIR] release, both, pairs with [IO-PAIR-SEEN]: a canceller that sees either sees the
    // ticket that they belong to.
    store_release(&g->io_poller, m->poller);
    store_release(&g->io_key, key);
    if (armed) armed(arg, m->poller, key);
    if (deadline <= CLOCK_PAST)
        poller_cancel_owner(m->poller, key, -ETIMEDOUT);
    else if (deadline != CLOCK_NEVER && arm(m, g, deadline) < 0)
        poller_cancel_owner(m->poller, key, -ENOMEM);
    sched_park(m, g);
    if (deadline != CLOCK_NEVER) timer_disarm(&g->timer);
    // relaxed: late cancels compare with the number
    store_relaxed(&g->task.wait, g->task.ticket & ~(uint64_t)WAIT_LOW);
    if (op->result == -ETIMEDOUT && bound && cancel_late(bound)) op->result = -ECANCELED;
    return op->result;
}

// ---- Waking -----------------------------------------------------------------------------------

static void ready_outside(struct g *g)
{
    struct sched *s = g->sched;

    sched_come_in(s);
    if (g_ready(g)) push_outside(g);
    sched_go_out(s);
}

static void ready_here(struct m *m, struct g *g)
{
    if (load_own(&m->hold.at) == P_RT) {
        push_behind(m, g); // on the M's own stack, or as a successor that finishes a park
    } else {
        sched_enter_as(m);
        push_next(m, g);
        if (m->p) sched_leave(m);
    }
}

void ready_slow(struct m *m, struct task *t)
{
    if (t->is_thread) {
        parker_unpark(&t->parker);
        return;
    }

    struct g *g = g_of_task(t);
    if (!m || !m->p || m->sched != g->sched)
        ready_outside(g);
    else if (g_ready(g)) // else it is still leaving, and its successor queues it
        ready_here(m, g);
}

void ready_lost(struct m *m, struct g *g)
{
    handoff_lost(m);
    push_next(m, g);
}

void ready(struct task *t)
{
    ready_slow(t->is_thread ? NULL : m_self(), t);
}

struct caller park_caller(void)
{
    return caller_on(m_self());
}

struct bias_owner *park_alone(void)
{
    struct m *m = m_self();

    return m ? m->alone : &bias_stranger;
}

struct bias_owner *park_lone_worker(void)
{
    struct m *m = m_self();

    return m && m->sched->n_p == 1 ? m->alone : &bias_stranger;
}

int park_begin(struct caller *ret_caller, int64_t deadline)
{
    if (park_begin_inline(ret_caller, deadline)) return 0;
    struct m *m = m_self();
    // A call that may not wait returns on its own thread: a charge may yield.
    if (m && m->g && deadline > CLOCK_PAST && --m->g->budget == 0) {
        sched_step_aside(m);
        m = m_self();
    }
    if (cancel_asked(m && m->g ? &m->g->cancel : &thread_cancel()->cancel))
        return -ECANCELED;
    *ret_caller = caller_on(m);
    return 0;
}

int park_canceled(void)
{
    return cancel_asked(cancel_self()) ? -ECANCELED : 0;
}

void park_charge(void)
{
    struct m *m = m_self();

    if (m && m->g && --m->g->budget == 0) sched_step_aside(m);
}

bool park_has_company(void)
{
    struct m *m = m_self();

    if (!m || !m->g) return false;
    sched_enter_as(m); // the poller's own fields are ours only inside
    if (!m->p) return false;
    bool company = !runq_empty(&m->p->runq) || poller_pending(m->poller);
    sched_leave(m);
    return company;
}

bool park_uses_ring(void)
{
    struct m *m = m_self();

    return m && m->g && m->sched->poller_kind == POLLER_URING;
}

bool park_performs(const struct op *op)
{
    struct m *m = m_self();

    return m && m->g && poller_performs(m->poller, op->code);
}

int park_real_io(void)
{
    struct m *m = m_self();

    return m && m->g && m->sched->seeded ? -ENOTSUP : 0;
}

int park_in_place(void (*fn)(void *), void *arg)
{
    struct m *m = m_self();

    if (!m || !m->g || !m->sched->seeded) return 0;
    int err = m->sched->on_big_stack(IN_PLACE_BYTES, fn, arg);
    return err < 0 ? err : 1;
}

struct offload *park_helpers(void)
{
    struct m *m = m_self();

    return m && m->g ? m->sched->helpers : NULL;
}

const struct memory *park_memory(void)
{
    struct g *g = g_self();

    return g ? g->sched->memory : NULL;
}

void park_say(const char *line)
{
    struct m *m = m_self();

    if (m && m->g && m->sched->log) m->sched->log(m->sched->log_arg, LOG_WARNING, line);
}

// ---- Cancel -----------------------------------------------------------------------------------

// The operation of g's wait 'ticket'. False: that wait is over, or only just opened, with no
// operation yet; then g's successor looks at the flag itself [CANCEL-LOOK].
static bool find_op(struct g *g, uint64_t ticket, struct poller **ret_np,
                    uint64_t *ret_key)
{
    // [IO-PAIR-SEEN] acquire, both, pairs with [IO-PAIR]: if either is of a later wait, the
    // ticket below is too.
    *ret_np = load_acquire(&g->io_poller);
    *ret_key = load_acquire(&g->io_key);
    // relaxed: ordered by the acquires
    return *ret_np && load_relaxed(&g->task.wait) == ticket;
}

void sched_cancel_wait(struct g *g, uint64_t ticket)
{
    struct poller *np;
    uint64_t key;

    if (ticket & WAIT_DEAF) return;
    if ((ticket & WAIT_KIND) == WAIT_OPEN_IO) {
        if (find_op(g, ticket, &np, &key)) poller_cancel_any(np, key, -ECANCELED);
    } else if ((ticket & WAIT_KIND) == WAIT_OPEN && wait_claim(&g->task, ticket)) {
        g->task.outcome = -ECANCELED;
        ready(&g->task);
    }
}

void sched_cancel(struct g *g, uint32_t why)
{
    // [CANCEL-SET] seq_cst, pairs with [G-COMMIT] and [CANCEL-LOOK]: the flag is set, now look
    // at the wait; who commits a wait afterwards sees the flag.
    or_seq_cst(&g->cancel.asked, why);
    // [CANCEL-STATE] seq_cst, pairs with [G-COMMIT]: before the commit its own successor looks
    // at the flag.
    if (load_seq_cst(&g->task.state) != G_PARKED) return;
    sched_cancel_wait(g, load_relaxed(&g->task.wait)); // relaxed: the claim checks it
}

static void cancel_one(void *arg, struct g *g)
{
    (void)arg;
    sched_cancel(g, CANCEL_STOP);
}

void sched_cancel_all(struct sched *s)
{
    gtable_each(&s->gtable, cancel_one, NULL);
}
