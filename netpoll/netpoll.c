// SPDX-License-Identifier: MIT
#include "netpoll/netpoll.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "base/platform.h"
#include "netpoll/backend.h"

#define FIRST_SLOTS 64u
#define NO_SLOT UINT32_MAX

// ---- Open and close --------------------------------------------------------------------------

static void set_break_fd(struct poller *np, int fd)
{
    lock_acquire(&np->lock);
    np->break_fd = fd;
    lock_release(&np->lock);
}

static int open_kernels_half(struct poller *np, unsigned entries)
{
    int err, fd = os_eventfd();

    if (fd < 0) return fd;
    set_break_fd(np, fd);
    err = np->backend->open(np, entries);
    if (err >= 0) return 0;
    set_break_fd(np, -1);
    os_close(fd);
    return err;
}

static int open_as(enum poller_kind kind, unsigned entries, struct os_pump *pump,
                   bool is_hosted, const struct memory *mem, struct poller **ret_poller)
{
    struct poller *np = MEMORY_GET(mem, struct poller, 1);
    int err;

    if (!np) return -ENOMEM;
    np->backend = kind == POLLER_URING ? &backend_uring : &backend_epoll;
    np->first_free = np->box_first = NO_SLOT;
    np->pump = pump;
    np->memory = mem;
    np->is_hosted = is_hosted;
    lock_init(&np->lock, LOCK_RANK_POLLER);
    lock_init(&np->reap, LOCK_RANK_REAP);
    np->gen_first = 1;
    err = open_kernels_half(np, entries);
    if (err < 0) {
        MEMORY_PUT(mem, np, struct poller, 1);
        return err;
    }
    *ret_poller = np;
    return 0;
}

int poller_open(enum poller_kind kind, unsigned entries, struct os_pump *pump,
                const struct memory *mem, struct poller **ret_poller)
{
    return open_as(kind, entries, pump, false, mem, ret_poller);
}

int poller_open_hosted(enum poller_kind kind, const struct memory *mem,
                       struct poller **ret_poller)
{
    return open_as(kind, 0, NULL, true, mem, ret_poller);
}

void poller_close(struct poller *np)
{
    if (!np) return;
    poller_shut(np);
    MEMORY_PUT(np->memory, np, struct poller, 1);
}

static void free_slots(struct poller *np)
{
    struct ask *asks;
    uint32_t n;

    // A key of this time must find nothing in the next (N3).
    for (uint32_t i = 0; i < np->n_slots; i++)
        if (np->slots[i].gen >= np->gen_first) np->gen_first = np->slots[i].gen + 1;
    if (np->gen_first == 0) np->gen_first = 1;
    MEMORY_PUT(np->memory, np->slots, struct op_slot, np->n_slots);
    np->slots = NULL;
    np->n_slots = 0;
    np->first_free = NO_SLOT;
    lock_acquire(&np->lock);
    asks = np->asks;
    n = np->n_asks;
    np->asks = NULL;
    np->n_asks = np->n_box = 0;
    np->box_first = NO_SLOT;
    store_relaxed(&np->box_filled, 0); // relaxed: under the lock
    lock_release(&np->lock);
    MEMORY_PUT(np->memory, asks, struct ask, n);
}

void poller_shut(struct poller *np)
{
    int fd = np->break_fd;

    must(load_own(&np->in_flight) == 0);
    if (!np->impl) return;
    set_break_fd(np,
                 -1); // first: a late break must not end a read that is being torn down
    np->backend->close(np);
    np->impl = NULL;
    free_slots(np);
    os_close(fd);
}

int poller_reopen(struct poller *np, unsigned entries, struct os_pump *pump)
{
    np->pump = pump;
    return open_kernels_half(np, entries);
}

const char *poller_mode(const struct poller *np)
{
    return np->backend->mode(np);
}

bool poller_performs(const struct poller *np, enum op_code code)
{
    return np->backend->performs(np, code);
}

// ---- Slots: a key names one submission (N3) ------------------------------------------------

static uint64_t key_of(uint32_t slot, uint32_t gen)
{
    return (uint64_t)gen << 32 | slot;
}

// Room for what may be asked of n slots; those who ask find it under the lock.
static bool add_asks(struct poller *np, uint32_t n)
{
    struct ask *asks = MEMORY_GET(np->memory, struct ask, n);
    struct ask *old;
    uint32_t n_old;

    if (!asks) return false;
    lock_acquire(&np->lock);
    old = np->asks;
    n_old = np->n_asks;
    if (n_old) memcpy(asks, old, n_old * sizeof(*asks));
    np->asks = asks;
    np->n_asks = n;
    lock_release(&np->lock);
    MEMORY_PUT(np->memory, old, struct ask, n_old);
    return true;
}

static bool add_slots(struct poller *np)
{
    uint32_t n = np->n_slots ? np->n_slots * 2 : FIRST_SLOTS;

    // Owner's: it alone makes them more. Larger than the slots after a failure below.
    if (np->n_asks < n && !add_asks(np, n)) return false;
    struct op_slot *slots = MEMORY_GET(np->memory, struct op_slot, n);
    if (!slots) return false;
    if (np->n_slots) memcpy(slots, np->slots, np->n_slots * sizeof(*slots));
    for (uint32_t i = n; i-- > np->n_slots;) {
        slots[i].gen = np->gen_first;
        slots[i].next_free = np->first_free;
        np->first_free = i;
    }
    MEMORY_PUT(np->memory, np->slots, struct op_slot, np->n_slots);
    np->slots = slots;
    np->n_slots = n;
    return true;
}

struct op *poller_find(struct poller *np, uint64_t key)
{
    uint32_t slot = (uint32_t)key;

    if (slot >= np->n_slots || np->slots[slot].gen != key >> 32) return NULL;
    return np->slots[slot].op;
}

static void give_back(struct poller *np, struct op *op, int32_t result)
{
    op->result = result;
    queue_push(&np->done, &op->node);
    np->n_done++;
}

// What finished, for the caller of poll or serve.
static struct queue take_done(struct poller *np)
{
    struct queue done = np->done;

    // relaxed: others only look
    store_relaxed(&np->in_flight, load_own(&np->in_flight) - np->n_done);
    np->done = (struct queue){0};
    np->n_done = 0;
    return done;
}

void poller_finish(struct poller *np, struct op *op, int32_t result)
{
    struct op_slot *slot = &np->slots[(uint32_t)op->key];

    check(slot->op == op);
    // What happened wins; an op that ended only because it was asked to ends with the reason.
    if (op->why && (result == -ECANCELED || result == -EINTR)) result = op->why;
    slot->op = NULL;
    if (++slot->gen == 0) slot->gen = 1;
    slot->next_free = np->first_free;
    np->first_free = (uint32_t)op->key;
    give_back(np, op, result);
}

uint64_t poller_submit(struct poller *np, struct op *op)
{
    op->why = 0;
    op->more = false;
    // relaxed: others only look
    store_relaxed(&np->in_flight, load_own(&np->in_flight) + 1);
    if (np->first_free == NO_SLOT && !add_slots(np)) {
        op->key = 0;
        give_back(np, op, -ENOMEM);
        return 0;
    }

    uint32_t i = np->first_free;
    np->first_free = np->slots[i].next_free;
    np->slots[i].op = op;
    store_relaxed(&np->submitted, load_own(&np->submitted) + 1); // relaxed: a statistic
    op->key = key_of(i, np->slots[i].gen);
    np->backend->submit(np, op);
    return op->key;
}

// ---- Cancel ----------------------------------------------------------------------------------

// Puts it into the box, unless that holds one for the same submission, which came first, or for a
// later one of its slot.
static void ask_locked(struct poller *np, uint64_t key, int why)
{
    uint32_t slot = (uint32_t)key;
    uint32_t gen = (uint32_t)(key >> 32);

    if (gen == 0 || slot >= np->n_asks) return; // it never was in flight
    struct ask *ask = &np->asks[slot];
    if (ask->why && (int32_t)(gen - ask->gen) <= 0) return;
    if (!ask->why) {
        ask->next = NO_SLOT;
        if (np->box_first == NO_SLOT)
            np->box_first = slot;
        else
            np->asks[np->box_last].next = slot;
        np->box_last = slot;
        np->n_box++;
    }
    ask->gen = gen;
    ask->why = why;
    // relaxed: the break orders it, see [POLLER-BREAK]
    store_relaxed(&np->box_filled, 1);
}

static void ask(struct poller *np, uint64_t key, int why)
{
    lock_acquire(&np->lock);
    ask_locked(np, key, why);
    lock_release(&np->lock);
}

void poller_cancel_owner(struct poller *np, uint64_t key, int why)
{
    struct op *op = poller_find(np, key);

    if (!op) return; // over
    if (!op->why) op->why = why;
    if (!np->backend->cancel(np, op)) ask(np, key, why); // once more at the next flush
}

void poller_cancel_any(struct poller *np, uint64_t key, int why)
{
    ask(np, key, why);
    poller_break(np);
}

// The oldest of the box. False: it is empty.
static bool take_ask(struct poller *np, uint64_t *ret_key, int *ret_why)
{
    lock_acquire(&np->lock);
    uint32_t slot = np->box_first;
    if (slot != NO_SLOT) {
        struct ask *ask = &np->asks[slot];

        *ret_key = key_of(slot, ask->gen);
        *ret_why = ask->why;
        ask->why = 0;
        np->box_first = ask->next;
        np->n_box--;
    }
    // relaxed: under the lock
    if (np->box_first == NO_SLOT) store_relaxed(&np->box_filled, 0);
    lock_release(&np->lock);
    return slot != NO_SLOT;
}

// Takes what has been asked for; what finds no room again stays for the next time.
static void take_cancels(struct poller *np)
{
    uint64_t key;
    int why;

    // relaxed: a hint, or ordered by the break
    if (!load_relaxed(&np->box_filled)) return;
    lock_acquire(&np->lock);
    uint32_t n = np->n_box;
    lock_release(&np->lock);
    while (n-- > 0 && take_ask(np, &key, &why)) poller_cancel_owner(np, key, why);
}

// ---- Flush and poll ---------------------------------------------------------------------------

void poller_flush(struct poller *np)
{
    take_cancels(np);
    np->backend->flush(np);
}

struct queue poller_poll(struct poller *np, int64_t deadline)
{
    take_cancels(np);
    // [POLLER-NOTIFIED] acquire, pairs with [POLLER-BREAK]: a break that came first is kept (N4).
    // relaxed: a cancel that found no room, which must not wait behind the sleep, is our own note.
    if (!queue_empty(&np->done) || load_relaxed(&np->box_filled) ||
        load_acquire(&np->state) == POLLER_NOTIFIED)
        deadline = CLOCK_PAST;
    np->backend->wait(np, deadline);
    take_cancels(np);
    return take_done(np);
}

bool poller_pending(const struct poller *np)
{
    return !queue_empty(&np->done) ||
           // relaxed: a hint; a sleep looks behind the break
           load_relaxed(&np->box_filled) || np->backend->pending(np);
}

unsigned poller_in_flight(const struct poller *np)
{
    return load_relaxed(&np->in_flight); // relaxed: own, or a look
}

uint64_t poller_submitted(const struct poller *np)
{
    return load_relaxed(&np->submitted); // relaxed: a statistic
}

// ---- Lending -----------------------------------------------------------------------------------

void poller_reap_lock(struct poller *np)
{
    lock_acquire(&np->reap);
}

void poller_reap_unlock(struct poller *np)
{
    lock_release(&np->reap);
}

void poller_lend_locked(struct poller *np)
{
    store_relaxed(&np->lent, 1); // relaxed: under the lock, or a look
    if (np->backend->lend) np->backend->lend(np);
    // [PUMP-LEND] release, pairs with [PUMP-OPEN]: the handler finds the ring as it was left.
    if (np->pump) store_release(&np->pump->open, 1);
}

void poller_reclaim(struct poller *np)
{
    lock_acquire(&np->reap);
    store_relaxed(&np->lent, 0); // relaxed: under the lock, or a look
    // relaxed, both: the handler runs on this very thread, and what it may touch is touched by us
    // only behind the release below.
    if (np->pump) {
        store_relaxed(&np->pump->open, 0);
        store_relaxed(&np->pump->asked,
                      PUMP_UNASKED); // whoever asked meant what was here
    }
    if (np->backend->reclaim) np->backend->reclaim(np);
    lock_release(&np->reap);
}

bool poller_lent(const struct poller *np)
{
    return load_relaxed(&np->lent); // relaxed: a look
}

struct queue poller_serve(struct poller *np)
{
    struct queue done = {0};

    lock_acquire(&np->reap);
    if (load_own(&np->lent)) {
        take_cancels(np);
        np->backend->serve(np);
        done = take_done(np);
    }
    lock_release(&np->reap);
    return done;
}

// ---- Sleep and wake ----------------------------------------------------------------------------
//
//            announce                     break: write the eventfd
//     RUNS ------------> SLEEPS --------------------------------> NOTIFIED
//      ^ '---------------------- break -----------------------------^  |
//      '----------------------- awake ---------------------------------'

void poller_announce(struct poller *np)
{
    uint32_t was = POLLER_RUNS;

    // [POLLER-ANNOUNCE] seq_cst, pairs with [POLLER-BREAK]: announced, then the sleeper looks for
    // work behind a fence of its own.
    if (cas_seq_cst(&np->state, &was, POLLER_SLEEPS))
        arrow("poller", POLLER_RUNS, POLLER_SLEEPS);
}

void poller_awake(struct poller *np)
{
    // [POLLER-AWAKE] acq_rel, pairs with [POLLER-BREAK]: what came with the break is seen.
    uint32_t was = swap_acq_rel(&np->state, POLLER_RUNS);

    (void)was;
    arrow("poller", was, POLLER_RUNS);
}

void poller_break(struct poller *np)
{
    uint64_t one = 1;
    // [POLLER-BREAK] seq_cst, pairs with [POLLER-ANNOUNCE], [POLLER-NOTIFIED], [POLLER-AWAKE].
    uint32_t was = swap_seq_cst(&np->state, POLLER_NOTIFIED);

    arrow("poller", was, POLLER_NOTIFIED);
    if (was != POLLER_SLEEPS) return;
    // Under the lock: the owner may have woken by itself and ended since, and the number of its
    // descriptor be somebody else's.
    lock_acquire(&np->lock);
    if (np->break_fd >= 0) os_write(np->break_fd, &one, sizeof(one));
    lock_release(&np->lock);
}

// ---- In a host's loop --------------------------------------------------------------------------

int poller_fd(const struct poller *np)
{
    return np->backend->fd(np);
}

int poller_adopt(struct poller *np)
{
    return np->backend->adopt ? np->backend->adopt(np) : 0;
}

bool poller_is_broken(const struct poller *np)
{
    // [POLLER-NOTIFIED] acquire, pairs with [POLLER-BREAK].
    return load_acquire(&np->state) == POLLER_NOTIFIED;
}

bool poller_rest(struct poller *np)
{
    bool more = np->backend->rest(np);

    // The break behind the emptying, which may have taken its byte.
    // relaxed: who filled it breaks; or a cancel of ours that found no room
    return more || !queue_empty(&np->done) || load_relaxed(&np->box_filled) ||
           poller_is_broken(np);
}
