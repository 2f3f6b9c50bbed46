// SPDX-License-Identifier: MIT
// fd_run - performs an operation that has a use of its descriptor, and waits for its end.
//
//     at once        a direct call that does not wait, where one is likely to do
//     else           a coroutine: the poller, or a helper where the kernel would block
//                    a thread: poll(2) on the descriptor and a break
//     a file's rest  the same again, until all of it was moved
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/platform.h"
#include "io/fd_object.h"
#include "io/offload.h"
#include "sched/park.h"

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

bool fd_run_cached(struct op *op, uint32_t *ret_life)
{
    int32_t moved;
    struct fd *f;

    op->result = 0;
    if (fd_find(op->fd, &f) < 0 || park_real_io() < 0 || !fd_begin_attempt(f))
        return false;
    *ret_life = f->life;
    op->is_file = true;
    do {
        moved = op_try(op, false);
        if (moved <= 0) break;
        op->result += moved;
        advance(op, moved);
    } while (op->len > 0);
    fd_end_attempt(f);
    op->tried = moved == -EAGAIN;
    return moved >= 0;
}

int32_t fd_run(struct fd_use *use, struct op *op, int64_t deadline)
{
    op->is_file =
        use->fd->is_file && moves_bytes(op); // poll(2) of a file is like any other
    if (try_first(use, op, deadline)) {
        op->result = op->tried ? -EAGAIN : op_try(op, false);
        if (op->is_file) fd_note_cached(use->fd, op->result > 0);
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
