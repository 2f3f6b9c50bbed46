// SPDX-License-Identifier: MIT
#include "io/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "io/offload.h"
#include "sched/park.h"

#define CHUNK 256
#define CHUNKS 8192 // two million descriptors

struct fd {
    // Guarded by lock.
    struct lock lock;
    bool known, closing;
    bool is_socket, is_pipe, is_file;
    bool is_direct; // a file that goes past the page cache: nothing comes without waiting
    bool busy[FD_SIDES];
    struct list uses;
    struct list turns[FD_SIDES]; // waiters, by their nodes
    struct waiter *closer;       // the close that waits for the last use

    // Written by the reader whose turn it is.
    bool more;    // the socket had more when the last receive finished
    bool at_once; // the last receive found its data there

    uint32_t life; // closes so far; changes where there is neither a use nor an attempt
    // Atomic: whether a file may be attempted without a use, and how many do so now (D4).
    atomic_u32 cache;
};

//     CACHE_UNKNOWN <--an attempt by who has a use: found nothing, something--> CACHE_HAS
//           ^                                  |                                    |
//           '-- the number goes -- CACHE_CLOSES <---------- a close begins ---------'
enum { CACHE_UNKNOWN, CACHE_HAS, CACHE_CLOSES, CACHE_STATE = 3, CACHE_ATTEMPT };

#define BREATHS 200  // that a close gives an attempt before it naps
#define NAP_NS 20000 // the first nap ...
#define NAP_NS_MOST 1000000

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

// 0 | -EBADF | -ENOMEM
static int find(int number, struct fd **ret_fd)
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
    f->is_pipe = kind == S_IFIFO;
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

    if (err < 0 || (err = find(number, &f)) < 0) return err;
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

bool fd_is_pipe(const struct fd_use *use)
{
    return use->fd->is_pipe;
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
        outcome = sleep_locked(use, "accept again", when < deadline ? when : deadline);
    lock_release(&f->lock);
    if (outcome != -ETIMEDOUT) return outcome;
    return when < deadline ? 0 : -ETIMEDOUT;
}

// ---- Running an operation ------------------------------------------------------------------

// park_io calls this when the operation can be cancelled; a close may have come before. What is
// noted stays when the operation is over: its key names nothing any more (netpoll.h, N3).
static void note_operation(void *arg, struct poller *np, uint64_t key)
{
    struct fd_use *use = arg;

    lock_acquire(&use->fd->lock);
    use->np = np;
    use->key = key;
    bool closing = use->fd->closing;
    lock_release(&use->fd->lock);
    if (closing) poller_cancel_owner(np, key, -EBADF);
}

// Where a thread that waits in poll(2) can be reached; -EBADF: it closes already.
static int open_break(struct fd_use *use)
{
    struct fd *f = use->fd;
    int number = os_eventfd();
    int err = number < 0 ? number : 0;

    lock_acquire(&f->lock);
    if (err == 0 && f->closing) err = -EBADF;
    use->break_fd = err == 0 ? number : -1;
    lock_release(&f->lock);
    if (err < 0 && number >= 0) os_close(number);
    return err;
}

static void close_break(struct fd_use *use)
{
    struct fd *f = use->fd;

    lock_acquire(&f->lock);
    int number = use->break_fd;
    use->break_fd = -1;
    lock_release(&f->lock);
    os_close(number);
}

// The descriptor is ready; this thread may block, should another process be quicker.
static int32_t try_or_call(struct op *op)
{
    int32_t result = op_try(op, true);

    return result == OP_NEEDS_HELPER ? op_call(op) : result;
}

static short events_of(const struct op *op, enum fd_side side)
{
    if (op->code == OP_POLL) return (short)op->flags;
    return side == FD_READS ? POLLIN : POLLOUT;
}

static bool is_closing(struct fd *f)
{
    lock_acquire(&f->lock);
    bool closing = f->closing;
    lock_release(&f->lock);
    return closing;
}

// poll(2) where a cancel of the thread's scopes, and their deadline, end it too.
static int poll_in_reach(struct pollfd fds[2], int64_t deadline)
{
    int err = park_break_begin(fds[1].fd);

    if (err < 0) return err;
    int n = os_poll(fds, 2, park_until(deadline));
    park_break_end();
    return n;
}

// An ordinary thread: poll(2) on the descriptor and the break, then the call (rule 5).
static int32_t run_on_thread(struct fd_use *use, struct op *op, int64_t deadline)
{
    int32_t result = -EAGAIN;

    if (op->is_file || !op_waits(op)) return op_call(op);
    int err = open_break(use);
    if (err < 0) return err;
    while (result == -EAGAIN) {
        struct pollfd fds[2] = {{.fd = op->fd, .events = events_of(op, use->side)},
                                {.fd = use->break_fd, .events = POLLIN}};
        int n = poll_in_reach(fds, deadline);

        if (n < 0)
            result = n;
        else if (fds[1].revents)
            result = is_closing(use->fd) ? -EBADF : -ECANCELED;
        else if (fds[0].revents)
            result = try_or_call(op);
        else if (clock_now() >= deadline)
            result = -ETIMEDOUT;
        else if ((err = park_canceled()) < 0)
            result = err;
    }
    close_break(use);
    return result;
}

// A job waits for a helper; a close withdraws it, and one may have come before.
static void note_wait(void *arg, struct waiter *w)
{
    struct fd_use *use = arg;

    lock_acquire(&use->fd->lock);
    use->waiter = (struct waiter){.task = w->task, .ticket = w->ticket};
    use->waits = true;
    bool withdrawn = use->fd->closing && waiter_claim(w);
    if (withdrawn) w->task->outcome = -EBADF;
    lock_release(&use->fd->lock);
    if (withdrawn) ready(w->task);
}

static void call_op(void *arg)
{
    struct op *op = arg;

    op->result = op_call(op);
}

static int32_t run_on_helper(struct fd_use *use, struct op *op, int64_t deadline)
{
    int err = offload_run(call_op, op, deadline, note_wait, use);

    lock_acquire(&use->fd->lock);
    use->waits = false;
    lock_release(&use->fd->lock);
    return err < 0 ? err : op->result;
}

// Whoever can wait for it does it.
static int32_t run_waiting(struct fd_use *use, struct op *op, int64_t deadline)
{
    int32_t result = OP_NEEDS_HELPER;

    if (!on_coroutine()) return run_on_thread(use, op, deadline);
    if (park_performs(op) && (park_uses_ring() || !op->is_file))
        result = park_io(op, deadline, note_operation, use);
    if (result != OP_NEEDS_HELPER) return result;
    // It was seen to be ready: so a deadline that has passed does not count.
    return run_on_helper(use, op, deadline <= CLOCK_PAST ? CLOCK_NEVER : deadline);
}

// The op names what is left of it.
static void advance(struct op *op, int32_t moved)
{
    op->buf = (char *)op->buf + moved;
    op->len -= (uint32_t)moved;
    if (op->positioned) op->offset += moved;
}

// A file's READ or WRITE that stopped short, at the end or where the cache ended: the rest.
static int32_t finish(struct fd_use *use, struct op *op, int64_t deadline, int32_t moved)
{
    int32_t sum = moved;

    while (moved > 0 && (uint32_t)moved < op->len) {
        advance(op, moved);
        moved = op_try(op, false);
        if (moved == -EAGAIN || moved == OP_NEEDS_HELPER)
            moved = run_waiting(use, op, deadline);
        if (moved > 0) sum += moved; // else the next call says why it is less
    }
    return sum;
}

// Whether a direct call comes first. A receive is rarely answered at once; a send mostly is, but
// among others it is cheaper in their batch (decision 6). What a file has in the page cache is
// cheapest by a direct call (docs/files.md has the figures); a vector is not, because what it
// leaves would have to be cut out of it.
static bool try_first(const struct fd_use *use, const struct op *op, int64_t deadline)
{
    if (!op_waits(op)) return false;
    if (op->is_file)
        return !use->fd->is_direct && (op->code == OP_READ || op->code == OP_WRITE);
    if (deadline <= CLOCK_PAST || !on_coroutine() || op_wants_eagain(op)) return true;
    if (op->code == OP_SEND || op->code == OP_SENDMSG) return !park_has_company();
    return op->code == OP_RECV && use->fd->more && !park_has_company();
}

static bool moves_bytes(const struct op *op)
{
    return op->code == OP_READ || op->code == OP_WRITE || op->code == OP_READV ||
           op->code == OP_WRITEV;
}

// The next call of this file may leave the use out, or need not.
static void note_cached(struct fd *f, bool has)
{
    uint32_t now = has ? CACHE_HAS : CACHE_UNKNOWN;
    uint32_t was = has ? CACHE_UNKNOWN : CACHE_HAS;

    // relaxed, both: a hint; with an attempt beside it is left to the next one
    if (load_relaxed(&f->cache) == was) cas_relaxed(&f->cache, &was, now);
}

// True: no close gives the number away before end_attempt.
static bool begin_attempt(struct fd *f)
{
    // relaxed: a look
    if ((load_relaxed(&f->cache) & CACHE_STATE) != CACHE_HAS) return false;
    // [FD-ATTEMPT] acq_rel, pairs with [FD-CLOSES]: one of the two sees the other, in one word.
    uint32_t was = add_acq_rel(&f->cache, CACHE_ATTEMPT);
    if ((was & CACHE_STATE) == CACHE_HAS) return true;
    add_relaxed(&f->cache, -(uint32_t)CACHE_ATTEMPT); // relaxed: it did nothing
    return false;
}

static void end_attempt(struct fd *f)
{
    // [FD-ATTEMPTED] release, pairs with [FD-CLOSES-LOOK]: its system calls are over.
    add_release(&f->cache, -(uint32_t)CACHE_ATTEMPT);
}

bool fd_run_cached(struct op *op, uint32_t *ret_life)
{
    int32_t moved;
    struct fd *f;

    op->result = 0;
    if (find(op->fd, &f) < 0 || park_real_io() < 0 || !begin_attempt(f)) return false;
    *ret_life = f->life;
    op->is_file = true;
    do {
        moved = op_try(op, false);
        if (moved <= 0) break;
        op->result += moved;
        advance(op, moved);
    } while (op->len > 0);
    end_attempt(f);
    return moved >= 0;
}

bool fd_lives_on(const struct fd_use *use, uint32_t life)
{
    return use->fd->life == life;
}

int32_t fd_run(struct fd_use *use, struct op *op, int64_t deadline)
{
    op->is_file =
        use->fd->is_file && moves_bytes(op); // poll(2) of a file is like any other
    if (try_first(use, op, deadline)) {
        op->result = op_try(op, false);
        if (op->is_file) note_cached(use->fd, op->result > 0);
        if (op->result == -EAGAIN && !op_wants_eagain(op)) {
            if (deadline <= CLOCK_PAST) return op->result = -ETIMEDOUT;
        } else if (op->result != OP_NEEDS_HELPER) {
            if (op->is_file) op->result = finish(use, op, deadline, op->result);
            // Who only tries returns on its thread, which a yield might not.
            if (deadline > CLOCK_PAST) park_charge();
            return op->result;
        }
    }
    // A file that cannot say what it has is as ready as it will ever be.
    if (op->is_file && deadline <= CLOCK_PAST) deadline = CLOCK_NEVER;
    return op->result = run_waiting(use, op, deadline);
}

int32_t fd_run_path(struct op *op)
{
    int err = park_real_io();

    if (err < 0) return err;
    if (!on_coroutine()) return op_call(op);
    if (park_performs(op)) return park_io(op, CLOCK_NEVER, NULL, NULL);
    err = offload_run(call_op, op, CLOCK_NEVER, NULL, NULL);
    return err < 0 ? err : op->result;
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

// An attempt does not wait, so it is over soon: as for a lock (base/lock.h).
static void wait_for_attempts(struct fd *f)
{
    int64_t nap = NAP_NS;

    // [FD-CLOSES-LOOK] acquire, pairs with [FD-ATTEMPTED].
    for (uint32_t i = 0; load_acquire(&f->cache) >= CACHE_ATTEMPT; i++) {
        if (i < BREATHS) {
            os_pause();
            continue;
        }
        os_sleep_until(clock_after(nap)); // the kernel has taken its processor
        if (nap < NAP_NS_MOST) nap *= 2;
    }
}

int fd_close(int number)
{
    struct list woken;
    struct fd *f;
    int err = find(number, &f);

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
