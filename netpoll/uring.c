// SPDX-License-Identifier: MIT
// uring - a ring behind a poller: entries queue up and go to the kernel once per look.
//
//     submit --> SQ --enter--> kernel --CQ--> finish
//       '-- full --> backlog --'  ^ '-- -EAGAIN of a foreign O_NONBLOCK descriptor: POLL_ADD,
//                                 |     then the operation again
//                                 '-- cancel: ASYNC_CANCEL by user_data, behind its operation
//
// U1  An operation enters the SQ before any cancel for it: both are queued here, in that order.
// U2  user_data is the key (slot and generation); two small numbers are our own: the read of the
//     break descriptor and the answers to cancels, which say nothing that the operation's own
//     completion does not.
// U3  The break is armed before anybody may sleep, and stays armed over many sleeps.
//
// U4  While lent, another thread writes the SQ and reads the CQ. It never enters a ring that has an
//     issuer of its own (DEFER, COOP): it publishes, and the pump's handler enters for it. A plain
//     ring it enters itself.
//
// U5  In a host's loop (poller_open_hosted) nobody sleeps here: the ring tells the break descriptor
//     itself, which the host polls. A ring with DEFER_TASKRUN is never readable while it has work
//     to run; the other kinds, which end the host's own system calls with EINTR, are not used here
//     (docs/adr/0059).
//
// Modes, found by trying (decision 1): DEFER_TASKRUN batches best and gives foreign code no
// phantom EINTR; COOP_TASKRUN before 6.1; without either from 5.15, and where no pump is to be
// had. liburing's header on old distributions lacks the newest constants: they stand here.
#include <assert.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "netpoll/backend.h"

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15)
#endif
#ifndef IORING_CQE_F_SOCK_NONEMPTY
#define IORING_CQE_F_SOCK_NONEMPTY (1U << 2)
#endif

// Among so many file operations in flight a sleep is for several of them: a quarter, at most eight
// (docs/adr/0058).
#ifdef COIR_MODEL
#define ENTRIES 4u // small, so that seeds meet a full queue
#define GATHER_FROM 2u
#define GATHERED(n) (n)
#else
#define ENTRIES 256u
#define GATHER_FROM 16u
#define GATHERED(n) ((n) / 4 < 8 ? (n) / 4 : 8)
#endif
#define CQ_PER_SQ 16u
// The kernel's threads for operations that block, a ring: as many as there are helpers without one.
// Those for files stay at the kernel's own bound, four a processor.
#define IO_WQ_MOST 512u

static_assert(OP_COUNT <= 32, "a bit for each in 'knows'");

enum { DATA_BREAK = 1, DATA_CANCEL = 2, DATA_TEST = 3 }; // below any key (U2)

struct uring {
    struct os_ring *ring;
    const char *mode;
    uint32_t knows;      // a bit for each operation
    struct list backlog; // ops that found the SQ full
    uint64_t break_value;
    bool break_armed;
    bool is_plain;
    bool by_other;     // lent, and the ring is not plain
    uint32_t rounds;   // enters; one that may have slept counts twice
    bool is_hosted;    // entered by a thread of the host's
    uint32_t n_writes; // in flight, each of which may raise SIGPIPE on who enters
    uint32_t n_files;  // in flight, of files: READ .. WRITEV
    bool gathers;      // the kernel can sleep for several
    uint64_t thread;   // that opened it
};

static const struct {
    unsigned flags;
    const char *mode;
} modes[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
     "uring defer"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, "uring coop"},
    {0, "uring plain"},
};

static struct uring *uring_of(const struct poller *np)
{
    return np->impl;
}

// ---- The submission side -------------------------------------------------------------------

static void enter(struct uring *u, bool wait, int64_t deadline)
{
    struct os_hush hush;
    bool holds = u->is_hosted && u->n_writes > 0;

    if (holds) os_sigpipe_hold(&hush);
    // Whatever it says (-EINTR, -ETIME, -EAGAIN, or -EBUSY: the CQ is full), the caller reaps and
    // comes again.
    (void)os_ring_enter(u->ring, wait, deadline);
    if (holds) os_sigpipe_release(&hush, true);
    u->rounds += wait ? 2 : 1;
}

// How many completions a sleep is for. Who waits for anything but files is answered at once; a
// break and a cancel from elsewhere then come up to OS_GATHER_NS late.
static unsigned gathered(struct poller *np, const struct uring *u, int64_t deadline)
{
    if (!u->gathers || u->n_files < GATHER_FROM) return 1;
    if (u->n_files < load_own(&np->in_flight)) return 1;
    // The kernel does not look at the deadline before that time has passed.
    if (deadline != CLOCK_NEVER && deadline < clock_after(OS_GATHER_NS)) return 1;
    return GATHERED(u->n_files);
}

static void sleep_in_ring(struct poller *np, struct uring *u, int64_t deadline)
{
    unsigned n = gathered(np, u, deadline);

    if (n <= 1) {
        enter(u, true, deadline);
        return;
    }
    (void)os_ring_gather(u->ring, n, deadline); // as in enter; nobody hosted sleeps
    u->rounds += 2;
}

static struct io_uring_sqe *get_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = os_ring_sqe(u->ring);

    if (sqe) return sqe;
    if (u->by_other) return NULL; // U4: later
    enter(u, false, CLOCK_PAST);
    return os_ring_sqe(u->ring);
}

static void fill(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->opcode = op_rows[op->code].ring;
    sqe->fd = op->fd;
    sqe->user_data = op->key;
    op_rows[op->code].fill(sqe, op);
}

static void fill_wait(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = op->fd;
    sqe->poll32_events = op_reads(op) ? POLLIN : POLLOUT;
    sqe->user_data = op->key;
}

// Queues what the op does next: itself, or the wait for readiness. False: no room.
static bool queue_op(struct uring *u, struct op *op)
{
    struct io_uring_sqe *sqe = get_sqe(u);

    if (!sqe) return false;
    op->round = u->rounds;
    if (op->polling)
        fill_wait(sqe, op);
    else
        fill(sqe, op);
    return true;
}

static void queue_or_keep(struct uring *u, struct op *op)
{
    op->wait_node = (struct list_node){0};
    if (!list_empty(&u->backlog) || !queue_op(u, op))
        list_push_back(&u->backlog, &op->wait_node);
}

static bool may_raise(const struct op *op)
{
    return op->code == OP_WRITE || op->code == OP_WRITEV;
}

static void finish(struct poller *np, struct op *op, int32_t result)
{
    uring_of(np)->n_writes -= may_raise(op);
    uring_of(np)->n_files -= op->is_file;
    poller_finish(np, op, result);
}

static void uring_submit(struct poller *np, struct op *op)
{
    uring_of(np)->n_writes += may_raise(op);
    uring_of(np)->n_files += op->is_file;
    op->polling = false;
    queue_or_keep(uring_of(np), op);
}

static bool uring_cancel(struct poller *np, struct op *op)
{
    struct uring *u = uring_of(np);

    if (list_linked(&op->wait_node)) { // the kernel has never seen it
        list_remove(&op->wait_node);
        finish(np, op, -ECANCELED);
        return true;
    }

    struct io_uring_sqe *sqe = get_sqe(u);
    if (!sqe) return false;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = op->key;
    sqe->user_data = DATA_CANCEL;
    return true;
}

static void push_backlog(struct uring *u)
{
    while (!list_empty(&u->backlog)) {
        struct list_node *node = list_first(&u->backlog);

        if (!queue_op(u, container_of(node, struct op, wait_node))) return;
        list_remove(node);
    }
}

static bool arm_break(struct poller *np)
{
    struct uring *u = uring_of(np);

    if (u->break_armed) return true;
    struct io_uring_sqe *sqe = get_sqe(u);
    if (!sqe) return false;
    sqe->opcode = IORING_OP_READ;
    sqe->addr = (uintptr_t)&u->break_value;
    sqe->len = sizeof(u->break_value);
    sqe->fd = np->break_fd;
    sqe->user_data = DATA_BREAK;
    u->break_armed = true;
    return true;
}

// ---- The completion side -------------------------------------------------------------------

// An operation that would have to wait on a descriptor whose owner made it O_NONBLOCK.
static bool must_poll(const struct op *op, int32_t res)
{
    if (res == -EINPROGRESS) return op->code == OP_CONNECT;
    return res == -EAGAIN && op_waits(op) && op->code != OP_POLL && !op_wants_eagain(op);
}

// The readiness that an op waited for came: the op itself again.
static void polled(struct poller *np, struct op *op, int32_t res)
{
    if (res < 0 || op->why) {
        finish(np, op, res < 0 ? res : -ECANCELED);
    } else if (op->code == OP_CONNECT) {
        int err = 0;
        socklen_t len = sizeof(err);
        int got = os_getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &err, &len);
        finish(np, op, got < 0 ? got : -err);
    } else {
        op->polling = false;
        queue_or_keep(uring_of(np), op);
    }
}

static void complete(struct poller *np, struct op *op, int32_t res, uint32_t flags)
{
    if (res == -EPIPE && !op_reads(op) && !np->is_hosted) os_sigpipe_drop();
    if (op->polling) {
        polled(np, op, res);
    } else if (must_poll(op, res) && !op->why) {
        op->polling = true;
        queue_or_keep(uring_of(np), op);
    } else {
        op->more = flags & IORING_CQE_F_SOCK_NONEMPTY;
        op->at_once = res > 0 && uring_of(np)->rounds - op->round <= 1;
        finish(np, op, must_poll(op, res) ? -ECANCELED : res);
    }
}

static void reap(struct poller *np)
{
    struct uring *u = uring_of(np);

    for (struct io_uring_cqe *cqe; (cqe = os_ring_cqe(u->ring));) {
        uint64_t data = cqe->user_data;
        int32_t res = cqe->res;
        uint32_t flags = cqe->flags;

        os_ring_cqe_done(u->ring);
        if (data == DATA_BREAK) {
            u->break_armed = false;
        } else if (data != DATA_CANCEL) {
            struct op *op = poller_find(np, data);
            must(op); // N1: one completion a submission
            complete(np, op, res, flags);
        }
    }
}

static void uring_flush(struct poller *np)
{
    struct uring *u = uring_of(np);

    push_backlog(u);
    if (os_ring_unsubmitted(u->ring)) enter(u, false, CLOCK_PAST);
}

static void uring_lend(struct poller *np)
{
    struct uring *u = uring_of(np);

    u->by_other = !u->is_plain;
}

static void uring_reclaim(struct poller *np)
{
    uring_of(np)->by_other = false;
}

static void uring_serve(struct poller *np)
{
    struct uring *u = uring_of(np);

    push_backlog(u);
    reap(np);
    if (!u->is_plain) os_ring_publish(u->ring);
    if (!os_ring_unsubmitted(u->ring) && !os_ring_needs_enter(u->ring)) return;
    if (u->is_plain) {
        enter(u, false, CLOCK_PAST);
        reap(np);
    } else if (np->pump) {
        os_pump_send(np->pump);
    }
}

static bool uring_pending(const struct poller *np)
{
    struct uring *u = uring_of(np);

    return os_ring_unsubmitted(u->ring) || !list_empty(&u->backlog) ||
           os_ring_cqe(u->ring) || os_ring_needs_enter(u->ring);
}

static void uring_wait(struct poller *np, int64_t deadline)
{
    struct uring *u = uring_of(np);

    push_backlog(u);
    reap(np);
    // Who found no room, because an enter was interrupted, must not wait behind our sleep.
    if (!queue_empty(&np->done) || !list_empty(&u->backlog)) deadline = CLOCK_PAST;
    // Without an armed break nobody could end the sleep (U3): come back and try again. Behind the
    // reap, which may have taken the end of the one that was armed.
    if (deadline > CLOCK_PAST && !arm_break(np)) deadline = CLOCK_PAST;
    if (deadline > CLOCK_PAST)
        sleep_in_ring(np, u, deadline);
    else if (os_ring_unsubmitted(u->ring) || os_ring_needs_enter(u->ring))
        enter(u, false, CLOCK_PAST);
    reap(np);
}

// ---- Open and close --------------------------------------------------------------------------

// A signal, or a shortage that passes, says nothing about the ring.
static bool passes(int err)
{
    return err >= 0 || err == -EINTR || err == -EAGAIN || err == -EBUSY;
}

// One operation there and back: a ring that cannot do that is none.
static int self_test(struct os_ring *ring)
{
    int64_t deadline = clock_after(1000000000);
    struct io_uring_sqe *sqe = os_ring_sqe(ring);
    struct io_uring_cqe *cqe;
    int err;

    if (!sqe) return -EIO;
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = DATA_TEST;
    do {
        err = os_ring_enter(ring, true, deadline);
        cqe = os_ring_cqe(ring);
    } while (!cqe && passes(err) && clock_now() < deadline);
    if (!cqe) return err < 0 ? err : -EIO;
    err = cqe->res;
    os_ring_cqe_done(ring);
    return err;
}

// Which operations it can do, of those that it must be able to do all.
static int probe(struct uring *u)
{
    u->knows = 0;
    for (unsigned code = 0; code < OP_COUNT; code++) {
        const struct op_row *row = &op_rows[code];

        if (os_ring_knows(u->ring, row->ring))
            u->knows |= UINT32_C(1) << code;
        else if (row->needed)
            return -ENOSYS;
    }
    return os_ring_knows(u->ring, IORING_OP_ASYNC_CANCEL) ? 0 : -ENOSYS;
}

static int try_mode(struct poller *np, struct uring *u, size_t mode, unsigned entries)
{
    struct os_ring_info info;
    int err = os_ring_open(entries, entries * CQ_PER_SQ, modes[mode].flags, np->memory,
                           &u->ring, &info);

    if (err < 0) return err;
    err = probe(u);
    if (err == 0) err = self_test(u->ring);
    // Sleeping with a deadline and losing no completion need these (5.11).
    if (err == 0 &&
        !(info.features & IORING_FEAT_EXT_ARG && info.features & IORING_FEAT_NODROP))
        err = -ENOSYS;
    if (err == 0 && np->is_hosted) err = os_ring_tells(u->ring, np->break_fd);
    if (err < 0) {
        os_ring_close(u->ring);
        u->ring = NULL;
        return err;
    }
    u->mode = modes[mode].mode;
    // Only where a sleep's first completion ends it once the least time is over; in the other modes
    // the kernel then still waits for all of them, and a break must not wait for a disk.
    u->gathers = modes[mode].flags & IORING_SETUP_DEFER_TASKRUN &&
                 info.features & IORING_FEAT_MIN_TIMEOUT;
    os_ring_cap_workers(u->ring, IO_WQ_MOST);
    u->is_plain = modes[mode].flags == 0;
    return 0;
}

static int uring_open(struct poller *np, unsigned entries)
{
    struct uring *u = MEMORY_GET(np->memory, struct uring, 1);
    int err = -ENOSYS;

    if (!u) return -ENOMEM;
    list_init(&u->backlog);
    size_t n_all = sizeof(modes) / sizeof(modes[0]);
    size_t n = np->is_hosted ? 1 : n_all; // U5
    for (size_t i = np->pump || np->is_hosted ? 0 : n_all - 1; i < n; i++) {
        err = try_mode(np, u, i, entries ? entries : ENTRIES);
        if (err != -EINVAL) break; // an unknown flag: try the next mode
    }
    if (err < 0) {
        MEMORY_PUT(np->memory, u, struct uring, 1);
        return err;
    }
    u->is_hosted = np->is_hosted;
    u->thread = os_thread_id();
    np->impl = u;
    if (np->pump) os_ring_pumped_by(u->ring, np->pump);
    return 0;
}

static void uring_close(struct poller *np)
{
    struct uring *u = uring_of(np);

    os_ring_close(u->ring);
    MEMORY_PUT(np->memory, u, struct uring, 1);
}

// ---- In a host's loop ------------------------------------------------------------------------

static int uring_fd(const struct poller *np)
{
    return np->break_fd;
}

// Empties the eventfd, then looks: what came before was told by it and shows in the ring now, what
// comes later tells again.
static bool uring_rest(struct poller *np)
{
    uint64_t value;
    struct iovec one = {&value, sizeof(value)};

    os_readv_nowait(np->break_fd, &one, 1, -1);
    return uring_pending(np);
}

// A ring with an issuer belongs to the thread that opened it.
static int uring_adopt(struct poller *np)
{
    struct uring *old = uring_of(np);

    if (old->thread == os_thread_id()) return 0;
    int err = uring_open(np, 0);
    if (err < 0) return err;
    os_ring_close(old->ring);
    MEMORY_PUT(np->memory, old, struct uring, 1);
    return 0;
}

static bool uring_performs(const struct poller *np, enum op_code code)
{
    return uring_of(np)->knows >> code & 1;
}

static const char *uring_mode(const struct poller *np)
{
    return uring_of(np)->mode;
}

const struct backend backend_uring = {
    .open = uring_open,
    .close = uring_close,
    .submit = uring_submit,
    .cancel = uring_cancel,
    .flush = uring_flush,
    .wait = uring_wait,
    .pending = uring_pending,
    .performs = uring_performs,
    .lend = uring_lend,
    .reclaim = uring_reclaim,
    .serve = uring_serve,
    .mode = uring_mode,
    .fd = uring_fd,
    .rest = uring_rest,
    .adopt = uring_adopt,
};
