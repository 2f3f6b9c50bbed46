// SPDX-License-Identifier: MIT
// scope - a tree of scopes and coroutines, and the walk that carries a cancel down it.
//
//      scope A  opened by main         children: f, g
//        '- scope B  opened by main    children: h
//        '- scope C  opened by f       children: 100,000 more
//
// A scope knows its children and the scopes opened inside it by its opener or its children; each
// coroutine and thread knows the innermost scope around it (sched/cancel.h). A cancel of A marks
// A, then walks: A's opener and children get their bit and lose their wait, B and C are marked
// and walked in their turn.
//
// S1  'canceled' is set once, by whoever then walks; what comes into a marked scope afterwards, a
//     child or an inner scope, is born cancelled. So the walk reaches each once, and ends.
// S2  Children and inner scopes stand in one of two lists, not yet reached and reached: the walk
//     moves them from one to the other, a few under each hold of the lock, so that a child's end
//     never waits for a walk over a hundred thousand.
// S3  Who walks a scope is counted in 'walkers'; it closes when no child lives and nobody walks.
//     The decrease, under the lock, is a walker's and a child's last access (the memory is free
//     to be used again).
// S4  Locks nest from a scope to one inside it, never the other way.
// S5  When the opener leaves a scope, its own bits become those that the scope around says, under
//     that one's lock: a walk of the outer one comes before (and is seen) or after (and sets them
//     again, because a walk reaches the opener of every scope that it marks). They are set, not
//     only kept: an inner scope that the walk had not marked yet may have taken them back.
// S6  What was first decides: a failure is kept if no failure was before; a child's -ECANCELED is
//     no failure where a cancel or the deadline made it. Deadlines: sched/cancel.h, K2.
//
// Rejected: a timer a scope (a walk for each that expires, and late by what the walk takes); one
// lock a tree (every child's end would meet there).
#include "coir/scope.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/waiter.h"
#include "runtime/runtime.h"
#include "sched/g.h"
#include "sched/park.h"
#include "sched/spawn.h"

#define WALK_STEP 32 // reached under one hold of the lock
#define OPEN_MARK UINT64_C(0x6f70656e73636f70)

enum { UNREACHED, REACHED, LISTS };

struct scope {
    struct bound bound; // first

    // Constant while it is open.
    uint64_t mark; // OPEN_MARK and its own address: it is open
    int64_t deadline;
    struct scope *parent;
    struct cancel *opener;
    struct g *opener_g; // NULL: an ordinary thread
    void *low_mark;     // the opener's before

    struct lock lock;
    // Guarded by lock.
    uint32_t live;    // children that have not ended
    uint32_t walkers; // S3
    int32_t failure;  // of the first child that failed
    bool canceled;
    struct list children[LISTS];
    struct list inner[LISTS];
    struct waiter *waiter; // the opener, in coir_scope_wait

    // Guarded by the parent's lock.
    struct list_node inner_node;

    // Its walker's: the next scope to walk.
    struct scope *next;
};

static_assert(sizeof(struct scope) <= sizeof(coir_scope), "lives in the user's words");

static uint64_t mark_of(const struct scope *s)
{
    return OPEN_MARK ^ (uintptr_t)s;
}

// NULL: there is none, or it is not open.
static struct scope *scope_of(coir_scope *user)
{
    struct scope *s = (struct scope *)(void *)user;

    return s && s->mark == mark_of(s) ? s : NULL;
}

static struct scope *scope_of_bound(struct bound *b)
{
    return b ? container_of(b, struct scope, bound) : NULL;
}

static bool is_timed(const struct scope *s)
{
    return s && s->bound.until != CLOCK_NEVER;
}

// ---- The walk ------------------------------------------------------------------------------

// Marks s; true: the caller has to walk it.
static bool mark_locked(struct scope *s)
{
    if (s->canceled) return false;
    s->canceled = true;
    s->walkers++;
    return true;
}

// Nothing keeps the scope open any more: the opener's wait, claimed, for the caller to ready.
static struct task *end_locked(struct scope *s)
{
    struct waiter *w = s->waiter;

    if (s->live || s->walkers || !w || !waiter_claim(w)) return NULL;
    s->waiter = NULL;
    w->task->outcome = 0;
    return w->task;
}

static struct list_node *next_unreached(struct list lists[LISTS])
{
    struct list_node *n = list_pop_front(&lists[UNREACHED]);

    if (n) list_push_back(&lists[REACHED], n);
    return n;
}

// Reaches one child or marks one inner scope, which then stands in *todo. False: there is none.
static bool reach_one_locked(struct scope *s, struct scope **todo)
{
    struct list_node *n = next_unreached(s->children);

    if (n) {
        sched_cancel(container_of(n, struct g, child_node), CANCEL_SCOPE);
        return true;
    }
    if (!(n = next_unreached(s->inner))) return false;
    struct scope *inner = container_of(n, struct scope, inner_node);
    lock_acquire(&inner->lock);
    if (mark_locked(inner)) {
        inner->next = *todo;
        *todo = inner;
    }
    lock_release(&inner->lock);
    return true;
}

static bool reach_some(struct scope *s, struct scope **todo)
{
    bool more = true;

    lock_acquire(&s->lock);
    for (int i = 0; more && i < WALK_STEP; i++) more = reach_one_locked(s, todo);
    lock_release(&s->lock);
    return more;
}

static void reach_opener(struct scope *s)
{
    if (s->opener_g)
        sched_cancel(s->opener_g, CANCEL_SCOPE);
    else
        cancel_thread(container_of(s->opener, struct thread_cancel, cancel),
                      CANCEL_SCOPE);
}

// Carries the cancel of 's', which the caller marked, to all below.
static void walk(struct scope *s)
{
    struct scope *todo = NULL;

    while (s) {
        reach_opener(s);
        while (reach_some(s, &todo)) continue;

        lock_acquire(&s->lock);
        s->walkers--;
        struct task *t = end_locked(s);
        lock_release(&s->lock); // S3
        if (t) ready(t);
        s = todo;
        if (s) todo = s->next;
    }
}

static void cancel(struct scope *s)
{
    lock_acquire(&s->lock);
    bool first = mark_locked(s);
    lock_release(&s->lock);
    if (first) walk(s);
}

void coir_scope_cancel(coir_scope *user)
{
    struct scope *s = scope_of(user);

    if (s) cancel(s);
}

// ---- Open ----------------------------------------------------------------------------------

static bool is_own(struct scope *s, struct cancel *c)
{
    return s && s->opener == c;
}

static void keep_frame(struct scope *s, struct g *g)
{
    uintptr_t at = (uintptr_t)s & ~(uintptr_t)15;

    s->low_mark = g->low_mark;
    if (at > (uintptr_t)g->stack.low && at < (uintptr_t)g->low_mark)
        g->low_mark = (void *)at;
}

static void join_parent(struct scope *s)
{
    struct scope *parent = s->parent;

    lock_acquire(&parent->lock);
    s->canceled = parent->canceled; // S1
    list_push_back(&parent->inner[s->canceled], &s->inner_node);
    lock_release(&parent->lock);
}

int coir_scope_open(coir_scope *user, int64_t deadline)
{
    struct scope *s = (struct scope *)(void *)user;
    struct cancel *c = cancel_self();
    struct scope *parent = scope_of_bound(c->bound);

    if (!s) return -EINVAL;
    for (struct scope *own = parent; is_own(own, c); own = own->parent)
        if (own == s) return -EINVAL;
    *s = (struct scope){.bound = {.until = deadline},
                        .mark = mark_of(s),
                        .deadline = deadline,
                        .parent = parent,
                        .opener = c,
                        .opener_g = g_self()};
    if (parent && parent->bound.until < deadline) s->bound.until = parent->bound.until;
    lock_init(&s->lock, LOCK_RANK_SCOPE);
    for (int i = 0; i < LISTS; i++) {
        list_init(&s->children[i]);
        list_init(&s->inner[i]);
    }
    if (s->opener_g) keep_frame(s, s->opener_g);
    if (parent) join_parent(s);
    // [CANCEL-NOTE] acq_rel, pairs with [CANCEL-SET]: one word, others set its other bits.
    if (is_timed(s)) or_acq_rel(&c->asked, CANCEL_TIMED);
    c->bound = &s->bound;
    return 0;
}

// ---- Close ---------------------------------------------------------------------------------

static void wait_for_all(struct scope *s)
{
    struct task here;
    struct waiter w = {.task = task_self(&here)};

    lock_acquire(&s->lock);
    while (s->live || s->walkers) {
        w.ticket = wait_open_shielded(w.task, "scope", s);
        s->waiter = &w;
        lock_release(&s->lock);
        park(w.task, CLOCK_NEVER);
        lock_acquire(&s->lock);
    }
    lock_release(&s->lock);
}

// The opener's bits become what the scope around says (S5).
static void leave_locked(struct scope *s)
{
    struct scope *parent = s->parent;
    struct cancel *c = s->opener;
    uint32_t keep = 0;

    if (parent && parent->canceled) keep |= CANCEL_SCOPE;
    if (is_timed(parent)) keep |= CANCEL_TIMED;
    uint32_t drop = (CANCEL_SCOPE | CANCEL_TIMED) & ~keep;
    // [CANCEL-NOTE] acq_rel, both, pairs with [CANCEL-SET].
    if (load_own(&c->asked) & drop) and_acq_rel(&c->asked, ~drop);
    // A scope inside this one may have taken back what the walk gives only once (S5).
    if (keep & ~load_own(&c->asked)) or_acq_rel(&c->asked, keep);
    c->bound = parent ? &parent->bound : NULL;
    if (s->opener_g) s->opener_g->low_mark = s->low_mark;
}

// The scope around hears of a refusal if its own deadline had passed too.
static void pass_refusal_on(struct scope *s)
{
    int64_t when =
        load_relaxed(&s->bound.refused); // relaxed: who wrote it has ended, or is us
    struct scope *parent = s->parent;

    // relaxed: as above; of several the last one counts, and each is late enough
    if (parent && when && when >= parent->bound.until)
        store_relaxed(&parent->bound.refused, when);
}

static int result_of(struct scope *s)
{
    int64_t refused = load_relaxed(&s->bound.refused); // relaxed: who wrote it has ended

    if (s->failure) return s->failure;
    if (refused && refused >= s->deadline) return -ETIMEDOUT;
    return s->canceled || refused ? -ECANCELED : 0;
}

// False: somebody walks it again.
static bool try_close(struct scope *s, int *ret_result)
{
    struct scope *parent = s->parent;

    if (parent) lock_acquire(&parent->lock);
    lock_acquire(&s->lock);
    bool closes = !s->live && !s->walkers;
    if (closes) {
        if (parent) list_remove(&s->inner_node);
        leave_locked(s);
        pass_refusal_on(s);
        *ret_result = result_of(s);
        s->mark = 0;
    }
    lock_release(&s->lock);
    if (parent) lock_release(&parent->lock);
    return closes;
}

static int close_scope(struct scope *s)
{
    int result = 0;

    do wait_for_all(s);
    while (!try_close(s, &result));
    atomics_end();
    return result;
}

int coir_scope_wait(coir_scope *user)
{
    struct scope *s = scope_of(user);
    struct cancel *c = cancel_self();

    if (!s) return -EINVAL;
    if (s->opener != c) return -EPERM;
    if (c->bound != &s->bound) return -EINVAL;
    return close_scope(s);
}

// ---- Children ------------------------------------------------------------------------------

// Before anybody can see g.
static void adopt(void *arg, struct g *g)
{
    struct scope *s = arg;
    uint32_t asked = is_timed(s) ? CANCEL_TIMED : 0;

    lock_acquire(&s->lock);
    s->live++;
    list_push_back(&s->children[s->canceled], &g->child_node);
    if (s->canceled) asked |= CANCEL_SCOPE; // S1
    store_relaxed(&g->cancel.asked, asked); // relaxed: the lock shows g to a walk
    lock_release(&s->lock);
    g->cancel.bound = &s->bound;
}

int coir_scope_commit_(coir_scope *user, const coir_options *opts, void (*fn)(void),
                       const coir_site *site)
{
    struct scope *s = scope_of(user);

    return s ? runtime_spawn_captured(NULL, opts, fn, site, adopt, s) : -EINVAL;
}

int coir_scope_spawn(coir_scope *user, const coir_options *opts, int (*fn)(void *),
                     void *arg)
{
    static const coir_site anywhere = {"?", "?", 0, true, sizeof(int)};
    struct arch_call call = {.ints = {(uintptr_t)arg}};
    struct scope *s = scope_of(user);
    struct spawn how = {.call = &call,
                        .only_ints = true,
                        .fn = (void (*)(void))fn,
                        .site = &anywhere,
                        .born = adopt,
                        .born_arg = s};

    return s ? runtime_spawn(m_self(), NULL, opts, &how) : -EINVAL;
}

// What fn left in the result register, as the type that it was spawned with says.
static int32_t failure_in(const struct g *g, uintptr_t value)
{
    unsigned bytes = (unsigned)g->site->returns;
    unsigned above = 64 - 8 * bytes;

    if (!bytes) return 0;
    int64_t n = (int64_t)((uint64_t)value << above) >> above;
    if (n >= 0) return 0;
    return n < INT_MIN ? INT_MIN : (int32_t)n;
}

// S6
static bool is_failure_locked(struct scope *s, int32_t err)
{
    if (err >= 0 || s->failure) return false;
    // relaxed: who was refused is the child itself, or told it
    return err != -ECANCELED || !(s->canceled || load_relaxed(&s->bound.refused));
}

static void child_ends(struct scope *s, struct g *g, int32_t err)
{
    bool first = false;

    lock_acquire(&s->lock);
    list_remove(&g->child_node);
    s->live--;
    if (is_failure_locked(s, err)) {
        s->failure = err;
        first = mark_locked(s);
    }
    struct task *t = end_locked(s);
    lock_release(&s->lock); // S3, unless we walk
    if (t) ready(t);
    if (first) walk(s);
}

static void name_leaver(struct g *g)
{
    const struct coir_site *site = g->site;

    runtime_log(container_of(g->sched, coir_runtime, sched), COIR_LOG_WARNING,
                "coir: coroutine %llu (%s) spawned at %s:%d returned with a scope "
                "open; it is cancelled and waited for",
                (unsigned long long)g->id, g->named ? g->name : "no name",
                site ? site->file : "?", site ? site->line : 0);
}

// The innermost scope that the caller opened and did not close.
static void close_leftover(struct scope *s)
{
    must(s->mark == mark_of(s)); // else its frame was used for something else
    if (s->opener_g) name_leaver(s->opener_g);
    cancel(s);
    close_scope(s);
}

static void close_leftovers(struct g *g)
{
    struct scope *s;

    while (is_own(s = scope_of_bound(g->cancel.bound), &g->cancel)) close_leftover(s);
}

static bool stands_open(struct cancel *c, const void *low, const void *high)
{
    struct scope *s = scope_of_bound(c->bound);

    for (; is_own(s, c); s = s->parent)
        if ((void *)s >= low && (void *)s < high) return true;
    return false;
}

void scope_memory_ends(const void *low, const void *high)
{
    struct cancel *c = cancel_self();

    while (stands_open(c, low, high)) close_leftover(scope_of_bound(c->bound));
}

void scope_coroutine_ends(struct g *g, uintptr_t value)
{
    close_leftovers(g);
    if (g->has_locals) {
        locals_end(g);
        close_leftovers(g);
    }

    struct scope *s = scope_of_bound(g->cancel.bound);
    g->cancel.bound = NULL;
    if (s) child_ends(s, g, failure_in(g, value));
}
