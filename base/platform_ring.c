// SPDX-License-Identifier: MIT
// platform_ring - the ring's half of the seam, on liburing.
#include <errno.h>
#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/platform.h"
#include "base/platform_call.h"
#include "base/platform_fault.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#define PROBE_OPS 256
#define PROBE_BYTES                                                                      \
    (sizeof(struct io_uring_probe) + PROBE_OPS * sizeof(struct io_uring_probe_op))

// Rings are mapped without libc, so ThreadSanitizer does not know that a mapping is new where
// an older ring of another thread was: these two tell it.
static atomic_u32 n_left;

struct os_ring {
    struct io_uring ring;
    struct io_uring_probe *probe;
    struct fault fault;
    const struct memory *memory;
};

// What the kernel knows. 0 | -errno: it does not tell (a filter that refuses io_uring_register)
static int probe(struct os_ring *r)
{
    r->probe = memory_get(r->memory, PROBE_BYTES, alignof(struct io_uring_probe));
    if (!r->probe) return -ENOMEM;
    if (r->fault.probe) return -(int)r->fault.probe;
    int err = io_uring_register_probe(&r->ring, r->probe, PROBE_OPS);
    return err < 0 ? err : 0;
}

static void free_probe(struct os_ring *r)
{
    memory_put(r->memory, r->probe, PROBE_BYTES, alignof(struct io_uring_probe));
}

int os_ring_open(unsigned entries, unsigned cq_entries, unsigned flags,
                 const struct memory *mem, struct os_ring **ret_ring,
                 struct os_ring_info *ret_info)
{
    struct io_uring_params params = {.flags = flags};
    // valgrind (3.19) keeps its one lock over a sleep in io_uring_enter: nobody else would run.
    if (RUNNING_ON_VALGRIND) return -ENOSYS;
    if (fault_here(FAULT_RING)) return -ENOMEM;

    struct os_ring *r = MEMORY_GET(mem, struct os_ring, 1);
    if (!r) return -ENOMEM;
    r->memory = mem;
    r->fault = fault_read();
    if (r->fault.sq) entries = r->fault.sq;
    if (r->fault.cq) cq_entries = r->fault.cq;
    if (cq_entries) {
        params.flags |= IORING_SETUP_CQSIZE;
        params.cq_entries = cq_entries;
    }
    int err = fault_setup(&r->fault, flags);
    if (err == 0) err = io_uring_queue_init_params(entries, &r->ring, &params);
    if (err < 0) goto free_ring;
    // [RING-MAPPED] acquire, pairs with [RING-LEFT].
    (void)load_acquire(&n_left);
    io_uring_ring_dontfork(&r->ring); // a child's writes must not reach our rings
    if ((err = probe(r)) < 0) goto exit_ring;
    fault_count(1);
    *ret_info = (struct os_ring_info){.features = params.features & ~r->fault.lack,
                                      .sq_entries = params.sq_entries,
                                      .cq_entries = params.cq_entries};
    *ret_ring = r;
    return 0;

exit_ring:
    free_probe(r);
    // [RING-LEFT] release, pairs with [RING-MAPPED]: the last look at its memory.
    add_release(&n_left, 1);
    io_uring_queue_exit(&r->ring);
free_ring:
    MEMORY_PUT(mem, r, struct os_ring, 1);
    return err;
}

void os_ring_close(struct os_ring *r)
{
    if (!r) return;
    fault_count(-1);
    free_probe(r);
    // [RING-LEFT] release, pairs with [RING-MAPPED]: the last look at its memory.
    add_release(&n_left, 1);
    io_uring_queue_exit(&r->ring);
    MEMORY_PUT(r->memory, r, struct os_ring, 1);
}

void os_ring_cap_workers(struct os_ring *r, unsigned most)
{
    unsigned values[2] = {0, most}; // bounded ones as they are

    io_uring_register_iowq_max_workers(&r->ring, values);
}

int os_ring_tells(struct os_ring *r, int fd)
{
    return io_uring_register_eventfd(&r->ring, fd);
}

bool os_ring_knows(struct os_ring *r, unsigned op)
{
    if (r->fault.op && r->fault.op == op) return false;
    return io_uring_opcode_supported(r->probe, (int)op);
}

struct io_uring_sqe *os_ring_sqe(struct os_ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

    if (sqe) *sqe = (struct io_uring_sqe){0};
    return sqe;
}

// The kernel's own head counts: entries that an enter published and left are still to be submitted.
unsigned os_ring_unsubmitted(struct os_ring *r)
{
    return io_uring_sq_ready(&r->ring);
}

void os_ring_publish(struct os_ring *r)
{
    struct io_uring_sq *sq = &r->ring.sq;

    if (sq->sqe_head == sq->sqe_tail) return;
    sq->sqe_head = sq->sqe_tail;
    io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
}

void os_ring_pumped_by(struct os_ring *r, struct os_pump *pump)
{
    pump->ring_fd = r->ring.ring_fd;
    pump->entries = r->ring.sq.ring_entries;
}

int os_ring_enter(struct os_ring *r, bool wait, int64_t deadline)
{
    struct io_uring_cqe *cqe;
    int err = fault_enter(&r->fault);

    if (err < 0) return err;
    if (!wait) return io_uring_submit_and_get_events(&r->ring);
    if (deadline == INT64_MAX) return io_uring_submit_and_wait(&r->ring, 1);

    int64_t left = deadline - os_now();
    struct __kernel_timespec ts = {0};
    if (left > 0) {
        ts.tv_sec = left / 1000000000;
        ts.tv_nsec = left % 1000000000;
    }
    return io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, &ts, NULL);
}

// io_uring_getevents_arg, whose padding has a meaning since 6.12.
struct gather {
    uint64_t sigmask;
    uint32_t sigmask_bytes;
    uint32_t least_us;
    uint64_t at_most; // struct __kernel_timespec; without one the least is all
};

int os_ring_gather(struct os_ring *r, unsigned n, int64_t deadline)
{
    struct __kernel_timespec day = {.tv_sec = 86400}, left;
    struct gather arg = {.least_us = OS_GATHER_NS / 1000, .at_most = (uintptr_t)&day};
    int err = fault_enter(&r->fault);

    if (err < 0) return err;
    if (deadline != INT64_MAX) {
        int64_t ns = deadline - os_now();
        left.tv_sec = ns > 0 ? ns / NS_PER_SEC : 0;
        left.tv_nsec = ns > 0 ? ns % NS_PER_SEC : 0;
        arg.at_most = (uintptr_t)&left;
    }
    os_ring_publish(r);
    return ONCE(
        (int)syscall(SYS_io_uring_enter, r->ring.ring_fd, io_uring_sq_ready(&r->ring), n,
                     IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg)));
}

bool os_ring_needs_enter(struct os_ring *r)
{
    return IO_URING_READ_ONCE(*r->ring.sq.kflags) &
           (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN);
}

struct io_uring_cqe *os_ring_cqe(struct os_ring *r)
{
    struct io_uring_cqe *cqe = NULL;
    unsigned head;

    io_uring_for_each_cqe(&r->ring, head, cqe) return cqe;
    return NULL;
}

void os_ring_cqe_done(struct os_ring *r)
{
    io_uring_cq_advance(&r->ring, 1);
}
