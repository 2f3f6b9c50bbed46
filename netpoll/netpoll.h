// SPDX-License-Identifier: MIT
// netpoll - operation records in, finished operation records out. Knows no coroutine.
//
//       submit             flush or poll                 poll
//   op ---------> queued ---------------> in flight ---------------> in the returned list
//                    '---- cancel(key) only asks ----'    exactly once, whatever happened
//
// One poller per M, owned by that M's thread: it alone submits, flushes and polls. Any thread may
// cancel and break. Behind it stands one of two backends with the same promises (backend.h):
// a ring (uring.c) or epoll (epoll.c).
//
// N1  Every submitted op comes back from poller_poll exactly once; until then its buffer, its
//     addresses and the record itself belong to the poller.
// N2  A cancel only asks. If the operation finished first, its result stands (what happened
//     wins); else its result is the 'why' of the cancel that reached it first.
// N3  A key names one submission of one op: it is unique while any cancel for it may be queued
//     (slot index and 32-bit generation). A stale key does nothing.
// N5  A poller whose owner's thread is stuck in foreign code is lent: whoever holds its reap
// lock may
//     take cancels and completions for the owner. The owner takes it back before it touches it.
// N4  A break that comes before the sleep is kept: no wake is lost (sched's decision 10 builds
//     on it). Breaks coalesce.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/list.h"

enum op_code {
    OP_NOP,
    OP_READ,    // buf, len              not for sockets; at 'offset' if positioned
    OP_WRITE,   // buf, len
    OP_READV,   // iov, len = count
    OP_WRITEV,  // iov, len = count
    OP_RECV,    // buf, len, flags
    OP_SEND,    // buf, len, flags       MSG_NOSIGNAL is added
    OP_RECVMSG, // msg, flags
    OP_SENDMSG, // msg, flags
    OP_ACCEPT,  // addr, addr_len, flags
    OP_CONNECT, // addr, len = its length
    OP_POLL,    // flags = events        result: revents
    OP_OPEN, // path, flags, len = mode              fd = AT_FDCWD, as for all with a path
    OP_FSYNC,  // flags != 0: the data only
    OP_STATX,  // fd = the folder, path, flags, len = mask, statx
    OP_UNLINK, // path
    OP_RENAME, // path, path_to
    OP_MKDIR,  // path, len = mode
    OP_CHILD,  // fd = a pid as waitpid(2) means it: one of them ended; nothing is taken
    OP_COUNT
};

struct statx;

// Lives in the frame of the call that waits (I5).
struct op {
    // The caller's.
    struct queue_node node; // links what poller_poll returned
    void *owner;            // opaque here: who waits
    uint8_t code;           // enum op_code
    bool more_likely; // RECV: data is likely to be there already: try before polling
    bool positioned;  // READ .. WRITEV: at 'offset', which stays
    bool is_file; // READ .. WRITEV of a file or a disk: always ready, may take its time
    bool tried;   // op_try has just said -EAGAIN
    int fd;
    int flags;
    uint32_t len;
    union {
        void *buf;
        const struct iovec *iov;
        struct msghdr *msg;
        struct sockaddr *addr;
        const char *path;
    };
    union {
        socklen_t *addr_len;
        int64_t offset;
        struct statx *statx;
        const char *path_to;
    };

    // The poller's answer.
    int32_t result; // >= 0 | -errno
    bool more;      // RECV: the socket had more when this finished
    bool at_once;   // RECV: the data was there when the kernel first looked

    // The poller's own while in flight.
    uint64_t key;
    int32_t why;    // of the first cancel, 0: none
    bool polling;   // waits for readiness first
    uint32_t round; // when it was queued, in enters or waits
    struct list_node
        wait_node; // epoll: waits for readiness of fd; ring: found no room yet
};

// A result that is no error of any call: it can be done, but only by a call that may block.
#define OP_NEEDS_HELPER (-4096)

// Does what the op is for as a direct call that does not block, and returns its result. Any
// thread. 'is_ready': the descriptor was reported ready. -EAGAIN: not now | OP_NEEDS_HELPER
int32_t op_try(struct op *op, bool is_ready);
// The same as a call that may block: for threads that may.
int32_t op_call(struct op *op);
// False for what the kernel answers in its own time, for which there is no readiness.
bool op_waits(const struct op *op);
// True if the caller of this op wants -EAGAIN itself (MSG_DONTWAIT, or flags that never wait).
bool op_wants_eagain(const struct op *op);

// "read", "accept": static.
const char *op_name(uint8_t code);

enum poller_kind { POLLER_URING, POLLER_EPOLL };

struct poller;

struct memory;
struct os_pump;

// Any thread; the poller belongs to the thread that first submits, flushes or polls
// (SINGLE_ISSUER: the caller must be that thread). 'pump' is how that thread is reached while it is
// stuck; NULL: a ring that needs none. 'mem' (base/memory.h) outlives it.
// 0 | -errno of the setup (-ENOSYS, -EPERM, -ENOMEM, -EMFILE ...)
int poller_open(enum poller_kind kind, unsigned entries, struct os_pump *pump,
                const struct memory *mem, struct poller **ret_poller);
// For an owner that never sleeps here but in the loop of a host, which polls a descriptor
// (poller_fd): a ring needs no pump then.
int poller_open_hosted(enum poller_kind kind, const struct memory *mem,
                       struct poller **ret_poller);
// Nothing may be in flight. NULL is allowed.
void poller_close(struct poller *np);
// The owner's thread ends, with nothing in flight: gives the kernel's half back and keeps what late
// cancels and breaks may name; poller_reopen is for the next thread. As poller_open.
void poller_shut(struct poller *np);
int poller_reopen(struct poller *np, unsigned entries, struct os_pump *pump);
// "uring defer", "uring coop", "uring plain", "epoll".
const char *poller_mode(const struct poller *np);
// True if submitting an op of this code gets it done here; false: it needs a thread that may block.
bool poller_performs(const struct poller *np, enum op_code code);

// Owner. Queues op and returns the key by which it can be cancelled (also in op->key). Never
// fails and never blocks: what cannot be done comes back as a result from poller_poll.
uint64_t poller_submit(struct poller *np, struct op *op);

// Asks that the op named by key ends with 'why' (-ETIMEDOUT, -ECANCELED, -EBADF).
void poller_cancel_owner(struct poller *np, uint64_t key, int why);
// The same from any thread: a message that the owner takes at its next flush or poll; wakes it
// if it sleeps. Needs no memory. The poller must outlive the call (M's are type-stable).
void poller_cancel_any(struct poller *np, uint64_t key, int why);

// Owner. Hands queued operations to the kernel without waiting. A system call only if there is
// something to hand over.
void poller_flush(struct poller *np);

// Owner. Finished operations, oldest first; empty where there are none. CLOCK_PAST: looks only,
// with a system call only if operations are queued or the kernel says it has work for this
// thread. Else sleeps until something finished, a break, or the deadline.
// Flushes first. Sleep only between poller_announce and poller_awake.
struct queue poller_poll(struct poller *np, int64_t deadline);
// Owner. True when poll might return something, or flush do something, without sleeping: no
// system call, no fence.
bool poller_pending(const struct poller *np);
// Operations submitted and not yet returned (exact for the owner); those ever submitted. Any
// thread: old news.
unsigned poller_in_flight(const struct poller *np);
uint64_t poller_submitted(const struct poller *np);

// ---- Lending (N5) --------------------------------------------------------------------------
//
//     taker                                    owner's thread, in foreign code
//     poller_reap_lock
//     takes its P: only while that M is in user code
//     poller_lend_locked
//     poller_reap_unlock
//     poller_serve, now and then               comes back, finds its P gone
//                                              poller_reclaim, and only then touches the poller

void poller_reap_lock(struct poller *np);
void poller_reap_unlock(struct poller *np);
// The holder of the reap lock, who knows that the owner is outside and will reclaim before it comes
// in.
void poller_lend_locked(struct poller *np);
// Owner: it is its own again. Waits for who serves it just then.
void poller_reclaim(struct poller *np);
// A look.
bool poller_lent(const struct poller *np);
// Any thread: if the poller is lent, passes cancels on, takes what finished and returns it; what
// only the owner's thread can do, it is sent a signal for.
struct queue poller_serve(struct poller *np);

// Sleep and wake, state word RUN, SLEEP, NOTIFIED. The owner announces (its break descriptor is
// armed by then), looks for work once more behind a full fence, and only then sleeps in poll.
void poller_announce(struct poller *np);
void poller_awake(struct poller *np); // ends the announcement, takes a kept break
// Any thread: ends the owner's sleep, or keeps its next one from happening.
void poller_break(struct poller *np);

// ---- In a host's loop -----------------------------------------------------------------------
//
//     owner                                     the host, on the same thread
//     poller_awake, poller_poll(CLOCK_PAST)
//     ...
//     poller_announce
//     full fence, looks for work
//     poller_rest: true? come again             polls the descriptor: readable when something
//                                               finished, or for a break

// Readable while there is something to take; the same as long as the poller lives. Any thread.
int poller_fd(const struct poller *np);
// The calling thread is the owner from now on; nothing is in flight. 0 | -errno as poller_open:
// then it is not.
int poller_adopt(struct poller *np);
// Owner, announced: empties the descriptor of what was taken already. True: there is something
// that it may not tell of any more.
bool poller_rest(struct poller *np);
// Owner. A break was kept.
bool poller_is_broken(const struct poller *np);
