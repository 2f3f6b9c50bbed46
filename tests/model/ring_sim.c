// SPDX-License-Identifier: MIT
// ring_sim - io_uring on the kernel's own structs, with everything that it may do.
//
//     SQ --enter--> in flight --kernel_step--> task work --enter by its owner--> CQ
//                      |                    (DEFER_TASKRUN)                      |
//                      '-- cancel: 0, or -EALREADY and it ends either way        |
//                                                       full: overflow --enter---'
//
// A completion comes at any time after its submission, also before the submitting call returns;
// operations end in no order; transfers are short; the CQ may be tiny; enter fails with -EBUSY,
// -EAGAIN and -EINTR and takes fewer entries than it was given.
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <string.h>

#include "base/platform.h"
#include "sched/g.h"
#include "sched/m.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_CQE_F_SOCK_NONEMPTY
#define IORING_CQE_F_SOCK_NONEMPTY (1U << 2)
#endif

#define OPS 128
#define QUEUE 256u
#define SQ_MOST 256u

enum { STEP_ENTER = 48, STEP_FINISH };

struct completions {
    struct io_uring_cqe at[QUEUE];
    uint32_t head, n;
};

struct os_ring {
    uint32_t flags, sq_entries, cq_entries;
    uint32_t owner; // worker + 1, once it entered
    struct io_uring_sqe sq[SQ_MOST];
    uint32_t n_queued, n_published; // the pump submits what is published
    struct completions cq, overflow, tasks;
    struct file *told; // an eventfd, or NULL
};

static struct kernel_op {
    struct os_ring *ring; // NULL: free
    struct io_uring_sqe sqe;
    struct file *file; // NULL: needs none
    bool canceled;
} ops[OPS];

// The pump: a box a worker, the ring that its handler enters, and whether the signal is under way.
static struct os_pump pumps[SIM_THREADS];
static struct os_ring *pumped[SIM_THREADS];

void ring_reset(void)
{
    memset(ops, 0, sizeof(ops));
    memset(pumps, 0, sizeof(pumps));
    memset(pumped, 0, sizeof(pumped));
}

static void push(struct completions *c, const struct io_uring_cqe *cqe)
{
    if (c->n == QUEUE) sim_fail("too many completions: nobody takes them");
    c->at[(c->head + c->n++) % QUEUE] = *cqe;
}

static const struct io_uring_cqe *pop(struct completions *c)
{
    const struct io_uring_cqe *cqe = &c->at[c->head];

    c->head = (c->head + 1) % QUEUE;
    c->n--;
    return cqe;
}

// To where the owner sees it without a system call.
static void show(struct os_ring *r, const struct io_uring_cqe *cqe)
{
    if (r->cq.n >= r->cq_entries || r->overflow.n)
        push(&r->overflow, cqe);
    else
        push(&r->cq, cqe);
}

static void run_tasks(struct os_ring *r)
{
    while (r->overflow.n && r->cq.n < r->cq_entries) push(&r->cq, pop(&r->overflow));
    while (r->tasks.n) show(r, pop(&r->tasks));
}

static void post(struct os_ring *r, uint64_t user_data, int32_t res, uint32_t flags)
{
    struct io_uring_cqe cqe = {.user_data = user_data, .res = res, .flags = flags};

    sim_note(STEP_FINISH << 8 | (uint32_t)res);
    if (r->flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN))
        push(&r->tasks, &cqe);
    else
        show(r, &cqe);
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait == SIM_RING && sim.threads[i].word == r) sim_wake(i);
    if (r->told) {
        r->told->count++;
        kernel_changed();
    }
}

// ---- Operations -----------------------------------------------------------------------

static void *address(uint64_t a)
{
    return (void *)(uintptr_t)a;
}

static bool is_socket(const struct file *f)
{
    return f->kind == FILE_SOCKET || f->kind == FILE_LISTEN;
}

static int32_t transfer(const struct kernel_op *op, bool reads)
{
    const struct io_uring_sqe *sqe = &op->sqe;
    struct iovec one = {address(sqe->addr), sqe->len};
    const struct iovec *iov = &one;
    int n = 1;

    if (sqe->opcode == IORING_OP_READV || sqe->opcode == IORING_OP_WRITEV) {
        iov = address(sqe->addr);
        n = (int)sqe->len;
    } else if (sqe->opcode == IORING_OP_RECVMSG || sqe->opcode == IORING_OP_SENDMSG) {
        const struct msghdr *msg = address(sqe->addr);
        iov = msg->msg_iov;
        n = (int)msg->msg_iovlen;
    }
    if (reads && op->file->kind == FILE_DISK)
        return (int32_t)file_read_at(op->file, iov, n, (int64_t)sqe->off);
    return (int32_t)(reads ? file_read(op->file, iov, n) : file_write(op->file, iov, n));
}

// What the operation gives now; -EAGAIN: it waits on.
static int32_t attempt(const struct kernel_op *op)
{
    const struct io_uring_sqe *sqe = &op->sqe;

    switch (sqe->opcode) {
    case IORING_OP_NOP: return 0;
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
        if (!is_socket(op->file)) return -ENOTSOCK;
        return transfer(op, true);
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
        if (!is_socket(op->file)) return -ENOTSOCK;
        return transfer(op, false);
    case IORING_OP_READ:
    case IORING_OP_READV: return transfer(op, true);
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV: return transfer(op, false);
    case IORING_OP_ACCEPT:
        return file_accept(op->file, address(sqe->addr), address(sqe->addr2));
    case IORING_OP_CONNECT:
        return file_connect(op->file, address(sqe->addr), (socklen_t)sqe->off);
    case IORING_OP_POLL_ADD: {
        int32_t events =
            file_events(op->file) & (int32_t)(sqe->poll32_events | POLLERR | POLLHUP);
        return events ? events : -EAGAIN;
    }
    default: return -EINVAL;
    }
}

// True if attempt would not say -EAGAIN: without doing anything.
static bool could_end(const struct kernel_op *op)
{
    short events = op->file ? file_events(op->file) : 0;

    if (op->canceled || !op->file) return true;
    switch (op->sqe.opcode) {
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_ACCEPT: return events & (POLLIN | POLLHUP | POLLERR);
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
        return events & (POLLOUT | POLLHUP | POLLERR) || !op->file->writes ||
               !op->file->peer;
    case IORING_OP_POLL_ADD:
        return events & (int)(op->sqe.poll32_events | POLLERR | POLLHUP);
    default: return true;
    }
}

static void end(struct kernel_op *op, int32_t res)
{
    struct os_ring *r = op->ring;
    struct file *f = op->file;
    uint32_t flags = 0;

    if (res > 0 && f && f->kind == FILE_SOCKET && f->n)
        flags |= IORING_CQE_F_SOCK_NONEMPTY;
    op->ring = NULL;
    post(r, op->sqe.user_data, res, flags);
    if (f) file_put(f);
}

// Ends op if it can. False: it waits on.
static bool try_end(struct kernel_op *op)
{
    int32_t res = attempt(op);

    if (res == -EAGAIN && op->canceled) res = sim_choose(2, 4) ? -EINTR : -ECANCELED;
    if (res == -EAGAIN) return false;
    end(op, res);
    return true;
}

static bool pump_step(void);

bool ring_step(void)
{
    uint32_t can[OPS];
    uint32_t n = 0;

    if (pump_step()) return true;
    for (uint32_t i = 0; i < OPS; i++)
        if (ops[i].ring && could_end(&ops[i])) can[n++] = i;
    while (n) {
        uint32_t k = sim_choose(n, 1);
        if (try_end(&ops[can[k]])) return true;
        can[k] = can[--n];
    }
    return false;
}

static struct kernel_op *find_op(const struct os_ring *r, uint64_t user_data)
{
    for (uint32_t i = 0; i < OPS; i++)
        if (ops[i].ring == r && ops[i].sqe.user_data == user_data) return &ops[i];
    return NULL;
}

static void cancel(struct os_ring *r, const struct io_uring_sqe *sqe)
{
    struct kernel_op *op = find_op(r, sqe->addr);

    if (!op) {
        post(r, sqe->user_data, -ENOENT, 0);
        return;
    }
    switch (sim_choose(4, 1)) {
    case 0:
        post(r, sqe->user_data, 0, 0);
        end(op, -ECANCELED);
        break;
    case 1:
        end(op, -ECANCELED);
        post(r, sqe->user_data, 0, 0);
        break;
    case 2: // too late to stop it: it ends as it likes
        op->canceled = true;
        post(r, sqe->user_data, -EALREADY, 0);
        kernel_changed();
        break;
    default: // it was ending just then
        if (!try_end(op)) end(op, -ECANCELED);
        post(r, sqe->user_data, sim_choose(2, 1) ? -ENOENT : -EALREADY, 0);
    }
}

static void start(struct os_ring *r, const struct io_uring_sqe *sqe)
{
    uint32_t i = 0;

    if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
        cancel(r, sqe);
        return;
    }
    while (i < OPS && ops[i].ring) i++;
    if (i == OPS) sim_fail("too many operations in flight");
    struct kernel_op *op = &ops[i];
    *op = (struct kernel_op){.ring = r, .sqe = *sqe};
    if (sqe->opcode != IORING_OP_NOP) {
        op->file = file_of(sqe->fd);
        if (!op->file) {
            op->ring = NULL;
            post(r, sqe->user_data, -EBADF, 0);
            return;
        }
        file_get(op->file);
    }
    kernel_changed();
    // A descriptor that its owner made non-blocking: the operation does not wait.
    if (op->file && op->file->nonblock && op->file->kind != FILE_EVENT &&
        sqe->opcode != IORING_OP_POLL_ADD && !could_end(op))
        end(op, -EAGAIN);
    else if (sim_choose(2, 4))
        try_end(op);
}

// ---- The seam -------------------------------------------------------------------------

int os_ring_open(unsigned entries, unsigned cq_entries, unsigned flags,
                 const struct memory *mem, struct os_ring **ret_ring,
                 struct os_ring_info *ret_info)
{
    static const uint32_t sizes[] = {0, 2, 4, 8};

    (void)mem;
    sim_step(STEP_ENTER);
    if (sim.ring_mode && flags & IORING_SETUP_DEFER_TASKRUN) return -EINVAL;
    if (sim.ring_mode > 1 && flags & IORING_SETUP_COOP_TASKRUN) return -EINVAL;
    struct os_ring *r = os_alloc(sizeof(*r), 64);
    if (!r) return -ENOMEM;
    uint32_t tiny = sizes[sim_choose(4, 2)];
    r->flags = flags;
    r->sq_entries = entries < SQ_MOST ? entries : SQ_MOST;
    r->cq_entries = cq_entries ? cq_entries : 2 * entries;
    if (tiny && tiny < r->cq_entries) r->cq_entries = tiny;
    if (r->cq_entries > QUEUE) r->cq_entries = QUEUE;
    // IORING_FEAT_MIN_TIMEOUT: one who knows DEFER_TASKRUN is new enough for it.
    unsigned newest = flags & IORING_SETUP_DEFER_TASKRUN ? 1U << 15 : 0;
    *ret_info =
        (struct os_ring_info){.features = newest | IORING_FEAT_NODROP |
                                          IORING_FEAT_EXT_ARG |
                                          IORING_FEAT_SUBMIT_STABLE |
                                          IORING_FEAT_SINGLE_MMAP | IORING_FEAT_FAST_POLL,
                              .sq_entries = r->sq_entries,
                              .cq_entries = r->cq_entries};
    *ret_ring = r;
    return 0;
}

void os_ring_close(struct os_ring *r)
{
    uint32_t left = 0;

    if (!r) return;
    for (uint32_t i = 0; i < OPS; i++) {
        if (ops[i].ring != r) continue;
        left++;
        ops[i].ring = NULL;
        if (ops[i].file) file_put(ops[i].file);
    }
    // One is the read of its break descriptor.
    if (left > 1) sim_fail("a ring was closed with %u operations in flight", left);
    if (r->told) file_put(r->told);
    os_free(r);
}

void os_ring_cap_workers(struct os_ring *r, unsigned most)
{
    (void)r, (void)most;
}

int os_ring_tells(struct os_ring *r, int fd)
{
    sim_step(STEP_ENTER);
    r->told = file_of(fd);
    if (!r->told) return -EBADF;
    file_get(r->told);
    return 0;
}

bool os_ring_knows(struct os_ring *r, unsigned op)
{
    (void)r, (void)op;
    return true;
}

struct io_uring_sqe *os_ring_sqe(struct os_ring *r)
{
    if (r->n_queued == r->sq_entries) return NULL;
    struct io_uring_sqe *sqe = &r->sq[r->n_queued++];
    *sqe = (struct io_uring_sqe){0};
    return sqe;
}

unsigned os_ring_unsubmitted(struct os_ring *r)
{
    return r->n_queued;
}

static uint32_t submit(struct os_ring *r)
{
    uint32_t n = r->n_queued;

    if (n > 1 && sim_choose(2, 16)) n = 1 + sim_choose(n - 1, 1);
    for (uint32_t i = 0; i < n; i++) start(r, &r->sq[i]);
    memmove(r->sq, r->sq + n, (r->n_queued - n) * sizeof(r->sq[0]));
    r->n_queued -= n;
    r->n_published -= n < r->n_published ? n : r->n_published;
    while (sim.kernel_works && sim_choose(2, 4)) kernel_step();
    return n;
}

static int enter(struct os_ring *r, unsigned n, int64_t deadline)
{
    // A sleep for several ends with the first one, once this time has passed.
    int64_t patience = n > 1 ? sim.now + OS_GATHER_NS : 0;

    sim_step(STEP_ENTER);
    sim_drain();
    bool bound = r->flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN);
    if (bound && r->owner && r->owner != sim.current + 1)
        sim_fail("a ring was entered by a foreign thread");
    r->owner = sim.current + 1;
    run_tasks(r);
    if (r->overflow.n && sim_choose(2, 4)) return -EBUSY;
    if (r->n_queued && sim_choose(2, 64)) return -EAGAIN;
    int submitted = (int)submit(r);
    run_tasks(r);
    if (r->n_queued) return submitted; // the kernel does not sleep when it left entries
    while (r->cq.n < n) {
        if (r->cq.n && patience <= sim.now) break;
        if (sim_choose(2, 64)) return -EINTR;
        if (deadline <= sim.now) return -ETIME;
        sim_block(SIM_RING, r, patience > sim.now ? patience : deadline);
        run_tasks(r);
    }
    return submitted;
}

int os_ring_enter(struct os_ring *r, bool wait, int64_t deadline)
{
    return enter(r, wait, deadline);
}

int os_ring_gather(struct os_ring *r, unsigned n, int64_t deadline)
{
    return enter(r, n, deadline);
}

void os_ring_publish(struct os_ring *r)
{
    r->n_published = r->n_queued;
}

// ---- The pump -------------------------------------------------------------------------

int os_pump_begin(int wanted)
{
    return wanted ? wanted : 60;
}

void os_pump_end(int signal)
{
    (void)signal;
}

struct os_pump *os_pump_get(int signal)
{
    struct os_pump *p = &pumps[sim.current];

    *p = (struct os_pump){.thread = sim.current + 1, .signal = signal, .ring_fd = -1};
    pumped[sim.current] = NULL;
    return p;
}

void os_pump_put(struct os_pump *p)
{
    if (p) pumped[p - pumps] = NULL;
}

void os_ring_pumped_by(struct os_ring *r, struct os_pump *p)
{
    pumped[p - pumps] = r;
}

// The signal comes when the kernel likes: kernel_step.
bool os_pump_send(struct os_pump *p)
{
    sim_step(STEP_ENTER);
    sim_drain();
    bool under_way = p->sent.value;
    p->sent.value = 1;
    kernel_changed();
    return !under_way;
}

bool os_pump_answered(struct os_pump *p)
{
    sim_step(STEP_ENTER);
    kernel_changed(); // it may come now
    return !p->sent.value;
}

// The handler, at a point of its thread: all that it does happens between two points.
static void handle(struct os_pump *p)
{
    struct os_ring *r = pumped[p - pumps];

    sim_note(STEP_FINISH << 8 | 255);
    sim_drain_thread((uint32_t)p->thread - 1); // an interrupt
    if (p->open.value && r) {
        uint32_t n = r->n_published;
        run_tasks(r);
        for (uint32_t i = 0; i < n; i++) start(r, &r->sq[i]);
        memmove(r->sq, r->sq + n, (r->n_queued - n) * sizeof(r->sq[0]));
        r->n_queued -= n;
        r->n_published = 0;
        run_tasks(r);
    }
    if (p->open.value && p->asked.value == PUMP_ASKED) {
        const struct m *m = sim.threads[p->thread - 1].self;
        p->frames[0] = m->g->id; // whose frames they would be
        p->n_frames = 1;
        p->asked.value = PUMP_ANSWERED;
    }
    p->sent.value = 0;
}

static bool pump_step(void)
{
    for (uint32_t i = 0; i < SIM_THREADS; i++) {
        if (!pumps[i].sent.value || sim_choose(2, 4)) continue;
        handle(&pumps[i]);
        return true;
    }
    return false;
}

bool os_ring_needs_enter(struct os_ring *r)
{
    return r->tasks.n || r->overflow.n;
}

struct io_uring_cqe *os_ring_cqe(struct os_ring *r)
{
    return r->cq.n ? &r->cq.at[r->cq.head] : NULL;
}

void os_ring_cqe_done(struct os_ring *r)
{
    pop(&r->cq);
}
