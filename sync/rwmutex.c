// SPDX-License-Identifier: MIT
// rwmutex - one word: how many read, or who writes; and two queues for those who must wait.
//
//     word:   [ readers, or the writer's number : 62 | WRITTEN | WAITED ]
//
//     0 --rlock, one CAS--> 1 reader ... k readers --runlock--> ... 0
//     0 --lock, one CAS--> me|WRITTEN --unlock, one CAS--> 0
//
//     WAITED sends those who come and those who go to the queues, under the lock. Who gives it
//     back then hands it on: the word is its own alone, as me|WRITTEN or, the last reader's, as
//     0|WRITTEN, until its last store:
//
//     a writer goes:       all waiting readers come in; else the first waiting writer is woken
//     the last reader goes: the first waiting writer is woken; else all waiting readers come in
//
// R1  While a writer waits no new reader comes in. Readers that waited come in after a write at the
//     latest: neither side keeps the other out.
// R2  Between writers barging, bounded, as in mutex.c: a woken writer competes; one that came too
//     late once stands in front and is handed the lock.
// R3  What is handed over is stored under the lock: who gets it is readied, or takes the lock,
//     afterwards. A free word is stored behind the release of the lock, as the last access: a
//     writer may take it by one CAS and free the memory. Both leave WAITED, so whoever queued
//     itself in between is seen by the next one who goes.
// R4  A writer in the queue means WAITED; a free word with WAITED means a woken writer under way.
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "base/waiter.h"
#include "coir/sync.h"
#include "sched/park.h"

#define SPINS 40 // as in mutex.c

struct rwmutex {
    atomic_u64 word;
    struct lock lock;
    struct list readers, writers; // waiting; guarded by lock; zero-filled is empty
};

static_assert(sizeof(struct rwmutex) == sizeof(coir_rwmutex),
              "lives in the user's words");

#define WAITED UINT64_C(1)
#define WRITTEN UINT64_C(2)
#define READER UINT64_C(4)

enum { WOKEN = 0, HANDED = 1 };     // outcomes
enum { COMPETES = 0, INSISTS = 1 }; // a writer's tag (R2)

static struct rwmutex *rwmutex_of(coir_rwmutex *m)
{
    return (struct rwmutex *)(void *)m;
}

// The word of a caller who writes. A thread's mark moves to the highest bit there is room for.
static uint64_t my_word(void)
{
    uint64_t id = task_id_self();

    return ((id & ~(UINT64_C(1) << 62)) | (id >> 62) << 61) << 2 | WRITTEN;
}

static void init_queues_locked(struct rwmutex *m)
{
    if (m->readers.head.next) return;
    list_init(&m->readers);
    list_init(&m->writers);
}

static void lock_queues(struct rwmutex *m)
{
    lock_acquire(&m->lock);
    init_queues_locked(m);
}

// ---- Taking ------------------------------------------------------------------------------------

// A reader that finds no writer, and nobody waiting.
static bool try_read(struct rwmutex *m)
{
    uint64_t was = load_relaxed(&m->word); // relaxed: the CAS decides

    while (!(was & (WRITTEN | WAITED))) {
        // [RW-TAKE] acquire, pairs with [RW-GIVE].
        if (cas_acquire(&m->word, &was, was + READER)) return true;
    }
    return false;
}

// The same where WAITED stands: while nobody writes and no writer is in the queue.
static bool try_read_locked(struct rwmutex *m)
{
    uint64_t was = load_relaxed(&m->word); // relaxed: the CAS decides

    if (!list_empty(&m->writers)) return false; // R1
    while (!(was & WRITTEN)) {
        uint64_t next = was + READER;

        if (list_empty(&m->readers)) next &= ~WAITED;
        // [RW-TAKE] acquire, pairs with [RW-GIVE].
        if (cas_acquire(&m->word, &was, next)) return true;
    }
    return false;
}

// A free lock, keeping WAITED.
static bool try_write(struct rwmutex *m, uint64_t mine)
{
    uint64_t was = load_relaxed(&m->word); // relaxed: the CAS decides

    // [RW-TAKE] acquire, pairs with [RW-GIVE].
    return was <= WAITED && cas_acquire(&m->word, &was, mine | was);
}

// Sets WAITED, which sends whoever goes to the queues; false: it is free meanwhile.
static bool mark_locked(struct rwmutex *m)
{
    uint64_t was = load_relaxed(&m->word); // relaxed: the CAS decides

    while (was > WAITED) {
        // [RW-MARK] acq_rel, pairs with [RW-GIVE]: the fast ways fail from here.
        if (was & WAITED || cas_acq_rel(&m->word, &was, was | WAITED)) return true;
    }
    return false;
}

static bool spin_write(struct rwmutex *m, uint64_t mine)
{
    for (int i = 0; i < SPINS; i++) {
        if (try_write(m, mine)) return true;
        os_pause();
    }
    return false;
}

// ---- Waking ------------------------------------------------------------------------------------

// Claims all readers that wait. Their number.
static uint64_t claim_readers_locked(struct rwmutex *m, int outcome, struct list *woken)
{
    uint64_t n = 0;

    for (struct list_node *node; (node = list_pop_front(&m->readers));) {
        struct waiter *w = container_of(node, struct waiter, node);

        if (!waiter_claim(w)) continue;
        w->task->outcome = outcome;
        list_push_back(woken, node);
        n++;
    }
    return n;
}

// Claims the first writer that waits. The word that it leaves behind; 0: none.
static uint64_t claim_writer_locked(struct rwmutex *m, struct list *woken)
{
    for (struct list_node *node; (node = list_pop_front(&m->writers));) {
        struct waiter *w = container_of(node, struct waiter, node);

        if (!waiter_claim(w)) continue;
        w->task->outcome = w->tag == INSISTS ? HANDED : WOKEN;
        list_push_back(woken, node);
        return w->tag == INSISTS ? (uint64_t)(uintptr_t)w->value | WAITED : WAITED;
    }
    return 0;
}

static void ready_all(struct list *woken)
{
    for (struct list_node *n; (n = list_pop_front(woken));)
        ready(container_of(n, struct waiter, node)->task);
}

// The word is 'mine'|WAITED and the caller's alone, the lock is held. Gives both back (R3).
static void hand_on_locked(struct rwmutex *m, uint64_t mine, bool readers_first)
{
    struct list woken;
    uint64_t next = 0;

    list_init(&woken);
    for (;;) {
        uint64_t was = mine;

        if (!readers_first) next = claim_writer_locked(m, &woken);
        if (!next) next = claim_readers_locked(m, HANDED, &woken) * READER;
        if (!next) next = claim_writer_locked(m, &woken);
        if (next) break;
        // relaxed: still ours, and marks come under the lock
        store_relaxed(&m->word, mine);
        lock_release(&m->lock);
        // [RW-GIVE] release, pairs with [RW-TAKE]: somebody may have come meanwhile.
        if (cas_release(&m->word, &was, 0)) return;
        lock_acquire(&m->lock);
    }
    bool handed = next != WAITED;
    // [RW-GIVE] release, pairs with [RW-TAKE] (R3).
    if (handed) store_release(&m->word, next | WAITED);
    lock_release(&m->lock);
    // [RW-GIVE] release, pairs with [RW-TAKE]: the last access (R3).
    if (!handed) store_release(&m->word, WAITED);
    ready_all(&woken);
}

// ---- Waiting -----------------------------------------------------------------------------------

// A waiter leaves unheard. If it was the last writer, those readers that it kept out look again.
static void leave(struct rwmutex *m, struct waiter *w)
{
    struct list woken;

    list_init(&woken);
    lock_acquire(&m->lock);
    if (list_linked(&w->node)) list_remove(&w->node);
    uint64_t word = load_relaxed(&m->word); // relaxed: who writes hands on to them
    if (list_empty(&m->writers) && !(word & WRITTEN))
        claim_readers_locked(m, WOKEN, &woken);
    lock_release(&m->lock);
    ready_all(&woken);
}

// Stands in a queue; called with the lock held, returns without. HANDED | WOKEN: look again |
// -ETIMEDOUT | -ECANCELED | -ENOMEM
static int wait_locked(struct rwmutex *m, struct list *queue, struct waiter *w,
                       int64_t deadline)
{
    struct task here;

    w->task = task_self(&here);
    w->ticket = wait_open(w->task, "rwmutex", m);
    if (w->tag == INSISTS)
        list_push_front(queue, &w->node);
    else
        list_push_back(queue, &w->node);
    lock_release(&m->lock);
    int outcome = park(w->task, deadline);
    if (outcome < 0) leave(m, w);
    return outcome;
}

// One turn of a reader that could not come in at once.
static int read_turn(struct rwmutex *m, int64_t deadline)
{
    struct waiter w = {0};
    int outcome = WOKEN;

    lock_queues(m);
    if (try_read_locked(m))
        outcome = HANDED;
    else if (deadline <= CLOCK_PAST)
        outcome = -ETIMEDOUT;
    else if (!list_empty(&m->writers) ||
             mark_locked(m)) // R4: a free word may have a queue
        return wait_locked(m, &m->readers, &w, deadline);
    lock_release(&m->lock);
    return outcome;
}

int coir_rwmutex_rlock(coir_rwmutex *user, int64_t deadline)
{
    struct rwmutex *m = rwmutex_of(user);

    if (!m) return -EINVAL;
    park_lock_begins(deadline);
    if (try_read(m)) return 0;
    // relaxed: only we write our own number
    if ((load_relaxed(&m->word) & ~WAITED) == my_word()) return -EDEADLK;
    for (;;) {
        int outcome = read_turn(m, deadline);

        if (outcome == HANDED) return 0;
        if (outcome == -ETIMEDOUT && deadline <= CLOCK_PAST) return park_in_vain();
        if (outcome != WOKEN) return outcome;
    }
}

static int write_turn(struct rwmutex *m, uint64_t mine, uint32_t tag, int64_t deadline)
{
    struct waiter w = {.value = (void *)(uintptr_t)mine, .tag = tag};

    lock_queues(m);
    if (mark_locked(m)) return wait_locked(m, &m->writers, &w, deadline);
    lock_release(&m->lock);
    return WOKEN;
}

static int write_slow(struct rwmutex *m, uint64_t mine, int64_t deadline)
{
    uint32_t tag = COMPETES;

    // relaxed: only we write our own number
    if ((load_relaxed(&m->word) & ~WAITED) == mine) return -EDEADLK;
    if (spin_write(m, mine)) return 0;
    while (!try_write(m, mine)) {
        if (deadline <= CLOCK_PAST) return park_in_vain();
        int outcome = write_turn(m, mine, tag, deadline);
        if (outcome == HANDED) return 0;
        if (outcome < 0) return outcome;
        tag = INSISTS;
    }
    return 0;
}

int coir_rwmutex_lock(coir_rwmutex *user, int64_t deadline)
{
    struct rwmutex *m = rwmutex_of(user);
    uint64_t was = 0;

    if (!m) return -EINVAL;
    park_lock_begins(deadline);
    uint64_t mine = my_word();
    // [RW-TAKE] acquire, pairs with [RW-GIVE].
    if (cas_acquire(&m->word, &was, mine)) return 0;
    return write_slow(m, mine, deadline);
}

// ---- Giving back -------------------------------------------------------------------------------

int coir_rwmutex_unlock(coir_rwmutex *user)
{
    struct rwmutex *m = rwmutex_of(user);

    if (!m) return -EINVAL;
    uint64_t mine = my_word();
    uint64_t was = mine;
    // [RW-GIVE] release, pairs with [RW-TAKE].
    if (cas_release(&m->word, &was, 0)) return 0;
    if ((was & ~WAITED) != mine) return -EPERM;
    lock_queues(m);
    hand_on_locked(m, mine, true);
    return 0;
}

// The last reader, with WAITED: makes the word its own and hands on. False: it is not the last.
static bool last_reader(struct rwmutex *m)
{
    uint64_t was = READER | WAITED;

    lock_queues(m);
    // [RW-OWN] acq_rel, pairs with [RW-GIVE]: what the readers did comes before the next writer.
    if (!cas_acq_rel(&m->word, &was, WRITTEN | WAITED)) {
        lock_release(&m->lock);
        return false;
    }
    hand_on_locked(m, WRITTEN, false);
    return true;
}

int coir_rwmutex_runlock(coir_rwmutex *user)
{
    struct rwmutex *m = rwmutex_of(user);

    if (!m) return -EINVAL;
    uint64_t was = load_relaxed(&m->word); // relaxed: the CAS decides
    for (;;) {
        if (was & WRITTEN || was < READER) return -EPERM;
        if (was == (READER | WAITED)) {
            if (last_reader(m)) return 0;
            was = load_relaxed(&m->word); // relaxed: the CAS decides
            continue;
        }
        // [RW-GIVE] release, pairs with [RW-TAKE].
        if (cas_release(&m->word, &was, was - READER)) return 0;
    }
}
