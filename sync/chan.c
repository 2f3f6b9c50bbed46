// SPDX-License-Identifier: MIT
// chan - a ring of values and two queues of waiters, under one lock.
//
//     buffer full:    senders wait    [s1 s2 s3]      receivers none
//     buffer empty:   senders none                    receivers wait  [r1 r2]
//
// C1  Somebody waits to receive only while the buffer is empty and nobody waits to send; somebody
//     waits to send only while the buffer is full and nobody waits to receive.
// C2  Who meets a waiter hands over directly, from stack to stack, and takes it off the queue; a
//     value is copied once on each side of the buffer, and once where there is none.
// C3  Order is that of arrival: a receiver takes the oldest buffered value, and the oldest waiting
//     sender's value takes the freed place.
// C4  What a waiter was promised is decided by the claim of its wait (base/waiter.h). A waiter that
//     lost its claim to a deadline or a cancel is dropped from the queue, its value untouched.
// C5  After the lock is released, only the woken task is touched: the woken one may free the
//     channel.
//
// C6  A timer's channel takes no sends and its buffer is empty for ever: who receives makes the
//     value (tick.h). Who waits there sleeps until it is due; the first to look gets it.
//
// Source: the shape of Go's runtime/chan.go (hchan, sudog), without its select race: the claim
// decides.
#include "sync/chan.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bias.h"
#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "base/waiter.h"
#include "sched/park_inline.h"

#define SIZE_MOST ((size_t)64 << 10)
#ifdef COIR_MODEL
#define CLOSE_BATCH 2
#else
#define CLOSE_BATCH 64 // waiters that a close wakes at a time
#endif

struct coir_chan {
    // Constant.
    size_t size, capacity;
    bool ticks; // a timer's (C6)

    atomic_u32 refs;

    // Guarded by lock.
    struct bias lock;
    bool closed;         // to sends: by a close, or a timer's (C6)
    struct tick *tick;   // a timer's; NULL: an ordinary channel
    size_t count, first; // values in the buffer, and where the oldest is
    struct list senders, receivers;

    alignas(16) char buffer[];
};

int coir_chan_make(size_t size, size_t capacity, coir_chan **ret_chan)
{
    size_t bytes;

    if (!ret_chan || size > SIZE_MOST) return -EINVAL;
    if (__builtin_mul_overflow(size, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(coir_chan), &bytes) || bytes > PTRDIFF_MAX)
        return -EINVAL;
    coir_chan *c = os_alloc(bytes, CACHE_LINE);
    if (!c) return -ENOMEM;
    c->size = size;
    c->capacity = capacity;
    store_relaxed(&c->refs, 1); // relaxed: nobody else knows it
    bias_init(&c->lock, LOCK_RANK_OBJECT, park_lone_worker());
    list_init(&c->senders);
    list_init(&c->receivers);
    *ret_chan = c;
    return 0;
}

coir_chan *coir_chan_ref(coir_chan *c)
{
    if (c) add_relaxed(&c->refs, 1); // relaxed: the caller holds one
    return c;
}

void coir_chan_unref(coir_chan *c)
{
    // [CHAN-UNREF] acq_rel, pairs with itself: who frees sees what the others did.
    if (!c || add_acq_rel(&c->refs, (uint32_t)-1) != 1) return;
    must(list_empty(&c->senders) && list_empty(&c->receivers)); // they hold no reference
    os_free(c);
}

// ---- The buffer ----------------------------------------------------------------------------

static void copy(const coir_chan *c, void *to, const void *from)
{
    if (__builtin_expect(c->size == sizeof(uint64_t), 1)) // most are numbers or pointers
        memcpy(to, from, sizeof(uint64_t));
    else if (c->size)
        memcpy(to, from, c->size);
}

static char *place_locked(coir_chan *c, size_t i)
{
    size_t at = c->first + i;

    return c->buffer + (at < c->capacity ? at : at - c->capacity) * c->size;
}

static void put_locked(coir_chan *c, const void *value)
{
    check(c->count < c->capacity);
    copy(c, place_locked(c, c->count), value);
    c->count++;
}

static void take_locked(coir_chan *c, void *ret_value)
{
    check(c->count > 0);
    if (ret_value) copy(c, ret_value, place_locked(c, 0));
    c->first = c->first + 1 < c->capacity ? c->first + 1 : 0;
    c->count--;
}

// ---- Waiters -------------------------------------------------------------------------------

// The oldest waiter whose wait is still open, claimed and off the queue (C4); NULL: none.
static inline struct waiter *claim_locked(struct list *queue)
{
    while (!list_empty(queue)) {
        struct waiter *w = container_of(queue->head.next, struct waiter, node);

        list_remove(&w->node);
        if (waiter_claim(w)) return w;
    }
    return NULL;
}

// The same of who sends. Those of a closed channel are the close's, which comes to them in batches:
// another of them has heard of it already.
static inline struct waiter *claim_sender_locked(coir_chan *c)
{
    return __builtin_expect(c->closed, 0) ? NULL : claim_locked(&c->senders);
}

// Waits on 'queue' for a partner; called with the lock held, returns without.
static inline __attribute__((always_inline)) int wait_locked(coir_chan *c,
                                                             const struct caller *me,
                                                             struct list *queue,
                                                             void *value,
                                                             int64_t deadline)
{
    struct task here;
    struct task *t = me->task ? me->task : task_self(&here);
    uint64_t ticket =
        wait_open_inline(me, t, queue == &c->senders ? "chan send" : "chan recv", c);
    struct waiter w = {.task = t, .ticket = ticket, .value = value};

    list_push_back(queue, &w.node);
    bias_release(&c->lock, me->alone);
    int outcome = park_inline(me, t, deadline);
    if (__builtin_expect(outcome == 0, 1)) return 0;
    if (outcome == CHAN_SHUT) return -EPIPE;
    // Else a partner took w off (C2). Here it is maybe another thread's.
    if (outcome < 0) chan_unlink(c, park_alone(), &w);
    return outcome;
}

static inline int release(coir_chan *c, const struct caller *me)
{
    bias_release(&c->lock, me->alone);
    return 0;
}

// Releases the lock and makes the claimed waiter run.
static inline int release_and_ready(coir_chan *c, const struct caller *me,
                                    struct waiter *w)
{
    struct task *t = w->task;

    t->outcome = (int32_t)w->tag;
    bias_release(&c->lock, me->alone);
    ready_inline(me, t); // C5
    return 0;
}

// ---- Send and receive ----------------------------------------------------------------------

static inline __attribute__((always_inline)) int send_locked(coir_chan *c,
                                                             const struct caller *me,
                                                             const void *value,
                                                             int64_t deadline)
{
    struct waiter *w;

    if (c->closed) {
        int err = c->ticks ? -EINVAL : -EPIPE;
        bias_release(&c->lock, me->alone);
        return err;
    }
    if ((w = claim_locked(&c->receivers))) {
        if (w->value) copy(c, w->value, value);
        return release_and_ready(c, me, w);
    }
    if (c->count < c->capacity) {
        put_locked(c, value);
        return release(c, me);
    }
    if (deadline <= CLOCK_PAST) {
        bias_release(&c->lock, me->alone);
        return park_in_vain();
    }
    return wait_locked(c, me, &c->senders, (void *)(uintptr_t)value, deadline);
}

// A thread's, and those of a coroutine that is cancelled, has used up its budget, or is in a scope
// with a deadline.
static __attribute__((noinline)) int send_slowly(coir_chan *c, const void *value,
                                                 int64_t deadline)
{
    struct caller me;
    int err = park_begin(&me, deadline);

    if (err < 0) return err;
    bias_acquire(&c->lock, me.alone);
    return send_locked(c, &me, value, deadline);
}

int coir_chan_send(coir_chan *c, const void *value, int64_t deadline)
{
    struct caller me;

    if (!c || (!value && c->size)) return -EINVAL;
    if (!park_begin_inline(&me, deadline)) return send_slowly(c, value, deadline);
    bias_acquire(&c->lock, me.alone);
    return send_locked(c, &me, value, deadline);
}

// Receives from a timer's channel: waits until the value is due, as often as that changes.
static __attribute__((noinline)) int recv_tick_locked(coir_chan *c, struct caller me,
                                                      void *ret_value, int64_t deadline)
{
    int outcome = CHAN_AGAIN;

    while (c->tick && outcome >= 0) {
        int64_t value, until = c->tick->due < deadline ? c->tick->due : deadline;

        if (tick_take(c->tick, &value)) {
            if (ret_value) memcpy(ret_value, &value, sizeof(value));
            return release(c, &me);
        }
        if (deadline <= CLOCK_PAST) break;
        outcome = wait_locked(c, &me, &c->receivers, ret_value, until);
        if (outcome == -ETIMEDOUT) {
            if (until == deadline) deadline = CLOCK_PAST; // one look more, and no more
            outcome = CHAN_AGAIN;
        }
        if (outcome < 0) return outcome;
        me = park_caller();
        bias_acquire(&c->lock, me.alone);
    }
    bool ticks = c->tick;
    bias_release(&c->lock, me.alone);
    return ticks ? park_in_vain() : -EPIPE;
}

static inline __attribute__((always_inline)) int recv_locked(coir_chan *c,
                                                             const struct caller *me,
                                                             void *ret_value,
                                                             int64_t deadline)
{
    struct waiter *w = claim_sender_locked(c);

    if (w) {
        if (c->count > 0) {
            take_locked(c, ret_value);
            put_locked(c, w->value); // C3
        } else if (ret_value) {
            copy(c, ret_value, w->value);
        }
        return release_and_ready(c, me, w);
    }
    if (c->count > 0) {
        take_locked(c, ret_value);
        return release(c, me);
    }
    if (c->tick) return recv_tick_locked(c, *me, ret_value, deadline);
    if (c->closed || deadline <= CLOCK_PAST) {
        bool is_closed = c->closed;
        bias_release(&c->lock, me->alone);
        return is_closed ? -EPIPE : park_in_vain();
    }
    return wait_locked(c, me, &c->receivers, ret_value, deadline);
}

static __attribute__((noinline)) int recv_slowly(coir_chan *c, void *ret_value,
                                                 int64_t deadline)
{
    struct caller me;
    int err = park_begin(&me, deadline);

    if (err < 0) return err;
    bias_acquire(&c->lock, me.alone);
    return recv_locked(c, &me, ret_value, deadline);
}

int coir_chan_recv(coir_chan *c, void *ret_value, int64_t deadline)
{
    struct caller me;

    if (!c) return -EINVAL;
    if (!park_begin_inline(&me, deadline)) return recv_slowly(c, ret_value, deadline);
    bias_acquire(&c->lock, me.alone);
    return recv_locked(c, &me, ret_value, deadline);
}

// ---- Close ---------------------------------------------------------------------------------

// Claims up to 'most' that wait on 'queue'; those that were claimed already are dropped (C4).
// The number claimed.
static int claim_some_locked(struct list *queue, int32_t how, int most,
                             struct list *woken)
{
    int n = 0;

    for (struct waiter *w; n < most && (w = claim_locked(queue)); n++) {
        w->task->outcome = how | (int32_t)w->tag;
        list_push_back(woken, &w->node);
    }
    return n;
}

static void claim_all_locked(struct list *queue, int32_t how, struct list *woken)
{
    claim_some_locked(queue, how, INT_MAX, woken);
}

static void ready_all(struct list *woken)
{
    for (struct list_node *n; (n = list_pop_front(woken));)
        ready(container_of(n, struct waiter, node)->task);
}

// A closed channel's next waiters. True: there may be more.
static bool claim_closed_locked(coir_chan *c, struct list *woken)
{
    int n = claim_some_locked(&c->receivers, CHAN_SHUT, CLOSE_BATCH, woken);

    n += claim_some_locked(&c->senders, CHAN_SHUT, CLOSE_BATCH - n, woken);
    return n == CLOSE_BATCH;
}

// Nobody comes to wait any more: those who do are woken a batch at a time, while what was read of
// them for the claim is still in the cache. In between a woken one may free the channel (C5): the
// batches have a reference of their own.
int coir_chan_close(coir_chan *c)
{
    struct list woken;

    if (!c) return -EINVAL;
    list_init(&woken);
    struct bias_owner *alone = park_alone();
    bias_acquire(&c->lock, alone);
    if (c->closed) {
        int err = c->ticks ? -EINVAL : -EALREADY;
        bias_release(&c->lock, alone);
        return err;
    }
    c->closed = true;
    bool more = claim_closed_locked(c, &woken);
    coir_chan *kept = more ? coir_chan_ref(c) : NULL;
    bias_release(&c->lock, alone);
    ready_all(&woken);
    while (more) {
        bias_acquire(&c->lock, alone);
        more = claim_closed_locked(c, &woken);
        bias_release(&c->lock, alone);
        ready_all(&woken);
    }
    coir_chan_unref(kept);
    return 0;
}

// ---- Questions -----------------------------------------------------------------------------

size_t coir_chan_len(coir_chan *c)
{
    if (!c) return 0;
    struct bias_owner *alone = park_alone();
    bias_acquire(&c->lock, alone);
    size_t n = c->tick ? tick_is_due(c->tick) : c->count;
    bias_release(&c->lock, alone);
    return n;
}

size_t coir_chan_cap(coir_chan *c)
{
    return c ? c->capacity : 0;
}

// ---- Select ------------------------------------------------------------------------------------

struct bias *chan_lock(coir_chan *c)
{
    return &c->lock;
}

int chan_check(const coir_chan *c, coir_direction dir, const void *value)
{
    if (dir == COIR_RECV) return 0;
    return dir == COIR_SEND && (value || !c->size) && !c->ticks ? 0 : -EINVAL;
}

static int try_send_locked(coir_chan *c, const void *value, struct waiter **ret_met)
{
    if (c->closed) return -EPIPE;
    if ((*ret_met = claim_locked(&c->receivers))) {
        if ((*ret_met)->value) copy(c, (*ret_met)->value, value);
        return 0;
    }
    if (c->count == c->capacity) return -ETIMEDOUT;
    put_locked(c, value);
    return 0;
}

static int try_recv_locked(coir_chan *c, void *ret_value, struct waiter **ret_met)
{
    struct waiter *w = *ret_met = claim_sender_locked(c);
    int64_t due;

    if (c->count > 0) {
        take_locked(c, ret_value);
        if (w) put_locked(c, w->value); // C3
        return 0;
    }
    if (w) {
        if (ret_value) copy(c, ret_value, w->value);
        return 0;
    }
    if (!c->tick) return c->closed ? -EPIPE : -ETIMEDOUT;
    if (!tick_take(c->tick, &due)) return -ETIMEDOUT;
    if (ret_value) memcpy(ret_value, &due, sizeof(due));
    return 0;
}

int chan_try_locked(coir_chan *c, coir_direction dir, void *value,
                    struct task **ret_woken)
{
    struct waiter *met = NULL;
    int result = dir == COIR_SEND ? try_send_locked(c, value, &met)
                                  : try_recv_locked(c, value, &met);

    *ret_woken = met ? met->task : NULL;
    if (met) met->task->outcome = (int32_t)met->tag;
    return result;
}

int chan_try(coir_chan *c, coir_direction dir, void *value, const struct caller *me)
{
    struct task *woken;

    bias_acquire(&c->lock, me->alone);
    int result = chan_try_locked(c, dir, value, &woken);
    bias_release(&c->lock, me->alone);
    if (woken) ready_inline(me, woken); // C5
    return result;
}

void chan_link_locked(coir_chan *c, coir_direction dir, struct waiter *w)
{
    list_push_back(dir == COIR_SEND ? &c->senders : &c->receivers, &w->node);
}

void chan_unlink(coir_chan *c, struct bias_owner *alone, struct waiter *w)
{
    bias_acquire(&c->lock, alone);
    if (list_linked(&w->node)) list_remove(&w->node);
    bias_release(&c->lock, alone);
}

int64_t chan_due_locked(const coir_chan *c)
{
    return c->tick ? c->tick->due : CLOCK_NEVER;
}

// ---- A timer's channel -------------------------------------------------------------------------

int chan_make_ticking(struct tick *t, coir_chan **ret_chan)
{
    coir_chan *c;
    int err = coir_chan_make(sizeof(int64_t), 1, &c);

    if (err < 0) return err;
    c->ticks = c->closed = true; // C6
    c->tick = t;
    *ret_chan = c;
    return 0;
}

void chan_rearm_locked(coir_chan *c, struct bias_owner *alone)
{
    struct list woken;

    list_init(&woken);
    claim_all_locked(&c->receivers, CHAN_AGAIN, &woken);
    bias_release(&c->lock, alone);
    ready_all(&woken);
}

void chan_stop_ticking(coir_chan *c)
{
    struct bias_owner *alone = park_alone();
    struct list woken;

    list_init(&woken);
    bias_acquire(&c->lock, alone);
    c->tick = NULL;
    claim_all_locked(&c->receivers, CHAN_SHUT, &woken);
    bias_release(&c->lock, alone);
    ready_all(&woken);
}
