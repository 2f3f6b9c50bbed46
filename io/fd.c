// SPDX-License-Identifier: MIT
#include "io/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "io/fd_object.h"
#include "sched/park.h"

#define CHUNK 256
#define CHUNKS 8192 // two million descriptors

struct chunk {
    struct fd fds[CHUNK];
};

static atomic_ptr(struct chunk) table[CHUNKS];
static atomic_u32 n_chunks; // those above have never been there

// ---- The table -----------------------------------------------------------------------------

static struct chunk *add_chunk(int i)
{
    struct chunk *fresh = os_alloc(sizeof(*fresh), alignof(struct chunk));
    struct chunk *was = NULL;

    if (!fresh) return NULL;
    os_on_fork(
        fd_forget_all); // without memory for it a child may find locks that are held
    uint32_t n = load_relaxed(&n_chunks); // relaxed, both: who forks has seen its own
    while (n <= (uint32_t)i && !cas_relaxed(&n_chunks, &n, (uint32_t)i + 1)) continue;
    for (int j = 0; j < CHUNK; j++) {
        struct fd *f = &fresh->fds[j];
        lock_init(&f->lock, LOCK_RANK_FD);
        list_init(&f->uses);
        for (int side = 0; side < FD_SIDES; side++) list_init(&f->turns[side]);
    }
    // [FD-TABLE] acq_rel, pairs with itself and [FD-FIND]: who sees the chunk sees it whole.
    if (cas_acq_rel(&table[i], &was, fresh)) return fresh;
    os_free(fresh);
    return was;
}

int fd_find(int number, struct fd **ret_fd)
{
    if (number < 0 || number >= CHUNK * CHUNKS) return -EBADF;
    // [FD-FIND] acquire, pairs with [FD-TABLE].
    struct chunk *chunk = load_acquire(&table[number / CHUNK]);
    if (!chunk) chunk = add_chunk(number / CHUNK);
    if (!chunk) return -ENOMEM;
    *ret_fd = &chunk->fds[number % CHUNK];
    return 0;
}

void fd_forget_all(void)
{
    // relaxed, both: there is no other thread. The chunks stay: their locks may be held.
    for (uint32_t i = 0; i < load_relaxed(&n_chunks); i++) store_relaxed(&table[i], NULL);
}

// ---- Begin and end -------------------------------------------------------------------------

static int know_locked(struct fd *f, int number, enum fd_side side)
{
    if (f->closing) return -EBADF;
    if (f->known && side != FD_POLLS) return 0;
    int kind = os_fd_kind(number);
    if (kind < 0) return kind;
    // Libraries that only wait here close their descriptors themselves: nothing is kept.
    if (side == FD_POLLS) return 0;
    f->known = true;
    f->is_socket = kind == S_IFSOCK;
    f->is_file = kind == S_IFREG || kind == S_IFBLK;
    f->is_direct = f->is_file && os_fcntl_getfl(number) & O_DIRECT;
    f->more = false;
    f->at_once = true; // who connects mostly says something at once
    return 0;
}

// Sleeps as a waiter of this use until claimed; called with the lock held, returns with it.
static int sleep_locked(struct fd_use *use, const char *on, int64_t deadline)
{
    struct task here;
    struct fd *f = use->fd;
    int outcome;

    use->waiter = (struct waiter){.node = use->waiter.node, .task = task_self(&here)};
    use->waiter.ticket = wait_open(use->waiter.task, on, f);
    use->waits = true;
    lock_release(&f->lock);
    outcome = park(use->waiter.task, deadline);
    lock_acquire(&f->lock);
    use->waits = false;
    return outcome;
}

static int take_turn_locked(struct fd_use *use, int64_t deadline)
{
    struct fd *f = use->fd;

    if (use->side >= FD_SIDES) return 0;
    if (!f->busy[use->side]) {
        f->busy[use->side] = true;
        return 0;
    }
    if (deadline <= CLOCK_PAST) return -ETIMEDOUT;
    list_push_back(&f->turns[use->side], &use->waiter.node);
    int outcome =
        sleep_locked(use, use->side == FD_READS ? "turn to read" : "turn to write",
                     deadline);
    if (list_linked(&use->waiter.node)) list_remove(&use->waiter.node);
    return outcome; // 0: who had the turn passed it on
}

// The next in line has the turn of this side; nobody: it is free. Returns whom to ready.
static struct task *pass_turn_locked(struct fd *f, enum fd_side side)
{
    for (struct list_node *n; (n = list_pop_front(&f->turns[side]));) {
        struct waiter *w = container_of(n, struct waiter, node);

        if (!waiter_claim(w)) continue;
        w->task->outcome = 0;
        return w->task;
    }
    f->busy[side] = false;
    return NULL;
}

// The use is gone; returns the close to ready if it was the last.
static struct task *leave_locked(struct fd_use *use)
{
    struct fd *f = use->fd;

    list_remove(&use->node);
    if (!f->closer || !list_empty(&f->uses) || !waiter_claim(f->closer)) return NULL;
    f->closer->task->outcome = 0;
    return f->closer->task;
}

int fd_begin(int number, enum fd_side side, int64_t deadline, struct fd_use *use)
{
    struct task *closer = NULL;
    struct fd *f;
    int err = park_real_io();

    if (err < 0 || (err = fd_find(number, &f)) < 0) return err;
    *use = (struct fd_use){.fd = f, .side = side, .break_fd = -1};
    lock_acquire(&f->lock);
    err = know_locked(f, number, side);
    if (err == 0) {
        list_push_back(&f->uses, &use->node);
        err = take_turn_locked(use, deadline);
        if (err < 0) closer = leave_locked(use);
    }
    lock_release(&f->lock);
    if (closer) ready(closer);
    return err;
}

void fd_end(struct fd_use *use)
{
    struct fd *f = use->fd;
    struct task *next = NULL;

    lock_acquire(&f->lock);
    if (use->side < FD_SIDES) next = pass_turn_locked(f, use->side);
    struct task *closer = leave_locked(use);
    lock_release(&f->lock);
    if (next) ready(next);
    if (closer) ready(closer);
}

bool fd_is_socket(const struct fd_use *use)
{
    return use->fd->is_socket;
}

bool fd_is_file(const struct fd_use *use)
{
    return use->fd->is_file;
}

void fd_guess_receive(const struct fd_use *use, struct op *op)
{
    op->more_likely = use->fd->more || use->fd->at_once;
}

void fd_note_receive(struct fd_use *use, const struct op *op)
{
    use->fd->more = op->more;
    use->fd->at_once = op->at_once;
}

int fd_back_off(struct fd_use *use, int64_t when, int64_t deadline)
{
    struct fd *f = use->fd;
    int outcome = -EBADF;

    lock_acquire(&f->lock);
    if (!f->closing)
        outcome = sleep_locked(use, "another try", when < deadline ? when : deadline);
    lock_release(&f->lock);
    if (outcome != -ETIMEDOUT) return outcome;
    return when < deadline ? 0 : -ETIMEDOUT;
}

// ---- Attempts (D4) -----------------------------------------------------------------------------

void fd_note_cached(struct fd *f, bool has)
{
    uint32_t now = has ? CACHE_HAS : CACHE_UNKNOWN;
    uint32_t was = has ? CACHE_UNKNOWN : CACHE_HAS;

    // relaxed, both: a hint; with an attempt beside it is left to the next one
    if (load_relaxed(&f->cache) == was) cas_relaxed(&f->cache, &was, now);
}

bool fd_begin_attempt(struct fd *f)
{
    // relaxed: a look
    if ((load_relaxed(&f->cache) & CACHE_STATE) != CACHE_HAS) return false;
    // [FD-ATTEMPT] acq_rel, pairs with [FD-CLOSES]: one of the two sees the other, in one word.
    uint32_t was = add_acq_rel(&f->cache, CACHE_ATTEMPT);
    if ((was & CACHE_STATE) == CACHE_HAS) return true;
    add_relaxed(&f->cache, -(uint32_t)CACHE_ATTEMPT); // relaxed: it did nothing
    return false;
}

void fd_end_attempt(struct fd *f)
{
    // [FD-ATTEMPTED] release, pairs with [FD-CLOSES-LOOK]: its system calls are over.
    add_release(&f->cache, -(uint32_t)CACHE_ATTEMPT);
}

bool fd_lives_on(const struct fd_use *use, uint32_t life)
{
    return use->fd->life == life;
}

// ---- Close ---------------------------------------------------------------------------------

// Asks one use to end.
static void disturb_locked(struct fd_use *use, struct list *woken)
{
    uint64_t one = 1;

    if (use->waits && waiter_claim(&use->waiter)) {
        use->waiter.task->outcome = -EBADF;
        if (list_linked(&use->waiter.node)) list_remove(&use->waiter.node);
        list_push_back(woken, &use->waiter.node);
    }
    if (use->np) poller_cancel_any(use->np, use->key, -EBADF);
    if (use->break_fd >= 0) os_write(use->break_fd, &one, sizeof(one));
}

static void disturb_all_locked(struct fd *f, struct list *woken)
{
    list_init(woken);
    for (struct list_node *n = f->uses.head.next; n != &f->uses.head; n = n->next)
        disturb_locked(container_of(n, struct fd_use, node), woken);
}

// Waits until the last use is gone; called with the lock held, returns with it. Deaf to cancel:
// a close that began ends the descriptor.
static void wait_for_uses_locked(struct fd *f)
{
    struct task here;
    struct waiter w = {.task = task_self(&here)};

    while (!list_empty(&f->uses)) {
        w.ticket = wait_open_shielded(w.task, "close", f);
        f->closer = &w;
        lock_release(&f->lock);
        park_turning(w.task);
        lock_acquire(&f->lock);
        f->closer = NULL;
    }
}

static void forbid_attempts(struct fd *f)
{
    uint32_t was = load_relaxed(&f->cache); // relaxed: the CAS checks it

    // [FD-CLOSES] acq_rel, pairs with [FD-ATTEMPT].
    while (!cas_acq_rel(&f->cache, &was, (was & ~(uint32_t)CACHE_STATE) | CACHE_CLOSES))
        continue;
}

// An attempt takes no lock and does not wait, so it is over soon.
static void wait_for_attempts(struct fd *f)
{
    // [FD-CLOSES-LOOK] acquire, pairs with [FD-ATTEMPTED].
    for (uint32_t looks = 0; load_acquire(&f->cache) >= CACHE_ATTEMPT; looks++)
        lock_breathe(looks);
}

int fd_close(int number)
{
    struct list woken;
    struct fd *f;
    int err = fd_find(number, &f);

    if (err == -EBADF) return err;
    if (err < 0) return os_close(number); // never known here
    lock_acquire(&f->lock);
    if (f->closing) {
        lock_release(&f->lock);
        return -EBADF;
    }
    f->closing = true;
    forbid_attempts(f);
    disturb_all_locked(f, &woken);
    lock_release(&f->lock);
    for (struct list_node *n; (n = list_pop_front(&woken));)
        ready(container_of(n, struct waiter, node)->task);
    wait_for_attempts(f);

    lock_acquire(&f->lock);
    wait_for_uses_locked(f);
    // Under the lock: a use that began between the reset and close(2) would be of a file that
    // nobody will close again. Who gets the number next waits here for a moment.
    err = os_close(number);
    f->life++;
    // relaxed: who comes now finds nothing known, and asks under the lock. Some may be counted that
    // saw the close and go.
    add_relaxed(&f->cache, CACHE_UNKNOWN - (uint32_t)CACHE_CLOSES);
    f->known = f->closing = false; // D3
    lock_release(&f->lock);
    return err;
}
