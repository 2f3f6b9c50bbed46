// SPDX-License-Identifier: MIT
// platform_noring - the ring's half of the seam where the library is built without liburing
// (meson option 'ring'): no ring can be had, so nothing after os_ring_open is ever reached.
#include <errno.h>

#include "base/panic.h"
#include "base/platform.h"

int os_ring_open(unsigned entries, unsigned cq_entries, unsigned flags,
                 const struct memory *mem, struct os_ring **ret_ring,
                 struct os_ring_info *ret_info)
{
    (void)entries, (void)cq_entries, (void)flags, (void)mem;
    (void)ret_ring, (void)ret_info;
    return -ENOSYS;
}

void os_ring_close(struct os_ring *ring)
{
    must(!ring);
}

void os_ring_cap_workers(struct os_ring *ring, unsigned most)
{
    (void)ring, (void)most;
    panic("built without a ring");
}

int os_ring_tells(struct os_ring *ring, int fd)
{
    (void)ring, (void)fd;
    panic("built without a ring");
}

bool os_ring_knows(struct os_ring *ring, unsigned op)
{
    (void)ring, (void)op;
    panic("built without a ring");
}

struct io_uring_sqe *os_ring_sqe(struct os_ring *ring)
{
    (void)ring;
    panic("built without a ring");
}

unsigned os_ring_unsubmitted(struct os_ring *ring)
{
    (void)ring;
    panic("built without a ring");
}

int os_ring_enter(struct os_ring *ring, bool wait, int64_t deadline)
{
    (void)ring, (void)wait, (void)deadline;
    panic("built without a ring");
}

int os_ring_gather(struct os_ring *ring, unsigned n, int64_t deadline)
{
    (void)ring, (void)n, (void)deadline;
    panic("built without a ring");
}

bool os_ring_needs_enter(struct os_ring *ring)
{
    (void)ring;
    panic("built without a ring");
}

struct io_uring_cqe *os_ring_cqe(struct os_ring *ring)
{
    (void)ring;
    panic("built without a ring");
}

void os_ring_cqe_done(struct os_ring *ring)
{
    (void)ring;
    panic("built without a ring");
}

void os_ring_publish(struct os_ring *ring)
{
    (void)ring;
    panic("built without a ring");
}

void os_ring_pumped_by(struct os_ring *ring, struct os_pump *pump)
{
    (void)ring, (void)pump;
    panic("built without a ring");
}
