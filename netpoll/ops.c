// SPDX-License-Identifier: MIT
#include "netpoll/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"

static int32_t clip(ssize_t n)
{
    return n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

// ---- Entries of a ring -----------------------------------------------------------------------

static void fill_nothing(struct io_uring_sqe *sqe, const struct op *op)
{
    (void)sqe, (void)op;
}

static void fill_transfer(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->addr = (uintptr_t)op->buf;
    sqe->len = op->len;
    // -1: a stream's current position; what has none ignores it.
    sqe->off = op->positioned ? (uint64_t)op->offset : (uint64_t)-1;
}

static void fill_recv(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->addr = (uintptr_t)op->buf;
    sqe->len = op->code == OP_RECVMSG ? 1 : op->len;
    sqe->msg_flags = (uint32_t)op->flags;
    // Where nothing is likely to be there yet, an attempt costs more than the poll behind it; where
    // the peer answers while a round's batch is still being made, the poll does.
    if (!op->more_likely && !op_wants_eagain(op))
        sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
}

static void fill_send(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->addr = (uintptr_t)op->buf;
    sqe->len = op->code == OP_SENDMSG ? 1 : op->len;
    sqe->msg_flags = (uint32_t)op->flags | MSG_NOSIGNAL;
}

static void fill_accept(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->addr = (uintptr_t)op->addr;
    sqe->addr2 = (uintptr_t)op->addr_len;
    sqe->accept_flags = (uint32_t)op->flags;
}

static void fill_connect(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->addr = (uintptr_t)op->addr;
    sqe->off = op->len;
}

static void fill_poll(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->poll32_events = (uint32_t)op->flags;
}

// What names a path: the mode or the mask is in len, flags in a word that all opcodes share.
static void fill_path(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->addr = (uintptr_t)op->path;
    sqe->len = op->len;
    sqe->open_flags = (uint32_t)op->flags;
}

static void fill_statx(struct io_uring_sqe *sqe, const struct op *op)
{
    fill_path(sqe, op);
    sqe->off = (uintptr_t)op->statx;
}

static void fill_rename(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->addr = (uintptr_t)op->path;
    sqe->len = (uint32_t)AT_FDCWD;
    sqe->addr2 = (uintptr_t)op->path_to;
}

static void fill_fsync(struct io_uring_sqe *sqe, const struct op *op)
{
    sqe->fsync_flags = op->flags ? IORING_FSYNC_DATASYNC : 0;
}

#ifndef IORING_OP_WAITID
#define IORING_OP_WAITID 50
#endif
static void fill_child(struct io_uring_sqe *sqe, const struct op *op)
{
    // The id stands where others have their descriptor, the options where splice has its other one.
    sqe->len = op->fd > 0 ? P_PID : op->fd == -1 ? P_ALL : P_PGID;
    sqe->fd = op->fd == -1 ? 0 : op->fd < 0 ? -op->fd : op->fd;
    sqe->splice_fd_in = WEXITED | WNOWAIT;
}

// ---- Reads and writes ------------------------------------------------------------------------

static int64_t offset_of(const struct op *op)
{
    return op->positioned ? op->offset : -1;
}

static const struct iovec *vector_of(const struct op *op, struct iovec *one, int *ret_n)
{
    bool is_vector = op->code == OP_READV || op->code == OP_WRITEV;

    *one = (struct iovec){op->buf, op->len};
    *ret_n = is_vector ? (int)op->len : 1;
    return is_vector ? op->iov : one;
}

// RWF_NOWAIT is not known here. A position on what has none is a mistake of the caller's.
static bool cannot_say(const struct op *op, ssize_t result)
{
    return result == -EOPNOTSUPP || result == -EINVAL ||
           (result == -ESPIPE && !op->positioned);
}

static bool is_ready_now(const struct op *op, short events)
{
    struct pollfd one = {.fd = op->fd, .events = events};

    return os_poll(&one, 1, CLOCK_PAST) > 0;
}

// What to do on a descriptor that cannot say whether it would block (T1, T2).
enum remedy { CALL_IT, LEAVE_IT, GIVE_IT };

static enum remedy remedy(const struct op *op, short events, bool is_ready)
{
    if (op->is_file) return GIVE_IT;
    int flags = os_fcntl_getfl(op->fd);
    if (flags < 0 || flags & O_NONBLOCK) return CALL_IT;
    return is_ready || is_ready_now(op, events) ? GIVE_IT : LEAVE_IT;
}

static int32_t try_read(struct op *op, bool is_ready)
{
    struct iovec one;
    int n;
    const struct iovec *iov = vector_of(op, &one, &n);
    ssize_t got = os_readv_nowait(op->fd, iov, n, offset_of(op));

    if (!cannot_say(op, got)) return clip(got);
    switch (remedy(op, POLLIN, is_ready)) {
    case CALL_IT: return clip(os_readv(op->fd, iov, n, offset_of(op)));
    case LEAVE_IT: return -EAGAIN;
    default: return OP_NEEDS_HELPER;
    }
}

static int32_t call_read(struct op *op)
{
    struct iovec one;
    int n;
    const struct iovec *iov = vector_of(op, &one, &n);

    return clip(os_readv(op->fd, iov, n, offset_of(op)));
}

// At most PIPE_BUF bytes of what the op writes: after readiness that much never blocks.
static int32_t write_some(const struct op *op)
{
    struct iovec one;
    int n;
    const struct iovec *iov = vector_of(op, &one, &n);

    while (n > 1 && iov->iov_len == 0) iov++, n--;
    struct iovec some = {iov->iov_base,
                         iov->iov_len < PIPE_BUF ? iov->iov_len : PIPE_BUF};
    return clip(os_writev(op->fd, &some, 1, offset_of(op)));
}

static int32_t call_write(struct op *op)
{
    struct iovec one;
    int n;
    const struct iovec *iov = vector_of(op, &one, &n);

    if (!op->is_file) return write_some(op); // T2
    return clip(os_writev(op->fd, iov, n, offset_of(op)));
}

static int32_t try_write(struct op *op, bool is_ready)
{
    struct iovec one;
    int n;
    const struct iovec *iov = vector_of(op, &one, &n);
    ssize_t put = os_writev_nowait(op->fd, iov, n, offset_of(op));

    if (!cannot_say(op, put)) return clip(put);
    switch (remedy(op, POLLOUT, is_ready)) {
    case CALL_IT: return clip(os_writev(op->fd, iov, n, offset_of(op)));
    case LEAVE_IT: return -EAGAIN;
    default: return OP_NEEDS_HELPER;
    }
}

// ---- Sockets ----------------------------------------------------------------------------------

static int32_t try_recv(struct op *op, bool is_ready)
{
    (void)is_ready;
    return clip(os_recv(op->fd, op->buf, op->len, op->flags | MSG_DONTWAIT));
}

static int32_t try_send(struct op *op, bool is_ready)
{
    (void)is_ready;
    return clip(os_send(op->fd, op->buf, op->len, op->flags | MSG_DONTWAIT));
}

static int32_t try_recvmsg(struct op *op, bool is_ready)
{
    (void)is_ready;
    return clip(os_recvmsg(op->fd, op->msg, op->flags | MSG_DONTWAIT));
}

static int32_t try_sendmsg(struct op *op, bool is_ready)
{
    (void)is_ready;
    return clip(os_sendmsg(op->fd, op->msg, op->flags | MSG_DONTWAIT));
}

static int32_t call_accept(struct op *op)
{
    return os_accept(op->fd, op->addr, op->addr_len, op->flags);
}

// Nothing would ever be ready to be accepted, and the kernel says so at once. 0: it listens
static int32_t does_not_listen(int fd)
{
    int listens = 0, type = 0;
    socklen_t len = sizeof(listens), type_len = sizeof(type);
    int err = os_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);

    if (err < 0 || listens) return err;
    err = os_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len);
    if (err < 0) return err;
    return type == SOCK_STREAM || type == SOCK_SEQPACKET ? -EINVAL : -EOPNOTSUPP;
}

static int32_t try_accept(struct op *op, bool is_ready)
{
    int flags = os_fcntl_getfl(op->fd);

    if (flags < 0) return flags;
    if (flags & O_NONBLOCK) return call_accept(op);
    int32_t err = does_not_listen(op->fd);
    if (err < 0) return err;
    return is_ready || is_ready_now(op, POLLIN) ? OP_NEEDS_HELPER : -EAGAIN; // T2
}

// Asked again when it is ready, it says what came of it: readiness may have been of something else.
static int32_t try_connect(struct op *op, bool is_ready)
{
    int flags = os_fcntl_getfl(op->fd);

    if (flags < 0) return flags;
    if (!(flags & O_NONBLOCK)) os_fcntl_setfl(op->fd, flags | O_NONBLOCK); // T3
    int err = os_connect(op->fd, op->addr, op->len);
    if (!(flags & O_NONBLOCK)) os_fcntl_setfl(op->fd, flags);
    if (is_ready && err == -EISCONN) return 0;
    if (is_ready && err == -EALREADY) return -EAGAIN;
    return err == -EINPROGRESS || err == -EINTR ? -EAGAIN : err;
}

static int32_t try_poll(struct op *op, bool is_ready)
{
    struct pollfd one = {.fd = op->fd, .events = (short)op->flags};
    int n = os_poll(&one, 1, CLOCK_PAST);

    (void)is_ready;
    if (n < 0) return n;
    return n == 0 ? -EAGAIN : one.revents;
}

// ---- Files and paths --------------------------------------------------------------------------

static int32_t try_nothing(struct op *op, bool is_ready)
{
    (void)op, (void)is_ready;
    return 0;
}

// The kernel may go to the disk for it, and has no form that says so.
static int32_t try_not(struct op *op, bool is_ready)
{
    (void)op, (void)is_ready;
    return OP_NEEDS_HELPER;
}

static int32_t call_open(struct op *op)
{
    return os_open(op->path, op->flags, (mode_t)op->len);
}

static int32_t call_fsync(struct op *op)
{
    return os_fsync(op->fd, op->flags != 0);
}

static int32_t call_statx(struct op *op)
{
    return os_statx(op->fd, op->path, op->flags, op->len, op->statx);
}

static int32_t call_unlink(struct op *op)
{
    return os_unlink(op->path);
}

static int32_t call_rename(struct op *op)
{
    return os_rename(op->path, op->path_to);
}

static int32_t call_mkdir(struct op *op)
{
    return os_mkdir(op->path, (mode_t)op->len);
}

static int32_t try_child(struct op *op, bool is_ready)
{
    (void)is_ready;
    return os_child_ended(op->fd, false);
}

static int32_t call_child(struct op *op)
{
    return os_child_ended(op->fd, true);
}

// ---- The table --------------------------------------------------------------------------------

#define READS OP_WAITS_TO_READ
#define WRITES OP_WAITS_TO_WRITE
#define NOT OP_WAITS_NOT

// clang-format off
const struct op_row op_rows[OP_COUNT] = {
    [OP_NOP] = {"nop", IORING_OP_NOP, true, NOT, fill_nothing, try_nothing, NULL},
    [OP_READ] = {"read", IORING_OP_READ, true, READS, fill_transfer, try_read, call_read},
    [OP_WRITE] = {"write", IORING_OP_WRITE, true, WRITES, fill_transfer, try_write, call_write},
    [OP_READV] = {"readv", IORING_OP_READV, true, READS, fill_transfer, try_read, call_read},
    [OP_WRITEV] = {"writev", IORING_OP_WRITEV, true, WRITES, fill_transfer, try_write, call_write},
    [OP_RECV] = {"recv", IORING_OP_RECV, true, READS, fill_recv, try_recv, NULL},
    [OP_SEND] = {"send", IORING_OP_SEND, true, WRITES, fill_send, try_send, NULL},
    [OP_RECVMSG] = {"recvmsg", IORING_OP_RECVMSG, true, READS, fill_recv, try_recvmsg, NULL},
    [OP_SENDMSG] = {"sendmsg", IORING_OP_SENDMSG, true, WRITES, fill_send, try_sendmsg, NULL},
    [OP_ACCEPT] = {"accept", IORING_OP_ACCEPT, true, READS, fill_accept, try_accept, call_accept},
    [OP_CONNECT] = {"connect", IORING_OP_CONNECT, true, WRITES, fill_connect, try_connect, NULL},
    [OP_POLL] = {"poll", IORING_OP_POLL_ADD, true, READS, fill_poll, try_poll, NULL},
    [OP_OPEN] = {"open", IORING_OP_OPENAT, false, NOT, fill_path, try_not, call_open},
    [OP_FSYNC] = {"fsync", IORING_OP_FSYNC, false, NOT, fill_fsync, try_not, call_fsync},
    [OP_STATX] = {"statx", IORING_OP_STATX, false, NOT, fill_statx, try_not, call_statx},
    [OP_UNLINK] = {"unlink", IORING_OP_UNLINKAT, false, NOT, fill_path, try_not, call_unlink},
    [OP_RENAME] = {"rename", IORING_OP_RENAMEAT, false, NOT, fill_rename, try_not, call_rename},
    [OP_MKDIR] = {"mkdir", IORING_OP_MKDIRAT, false, NOT, fill_path, try_not, call_mkdir},
    [OP_CHILD] = {"child", IORING_OP_WAITID, false, NOT, fill_child, try_child, call_child},
};
// clang-format on

int32_t op_try(struct op *op, bool is_ready)
{
    check(op->code < OP_COUNT);
    return op_rows[op->code].attempt(op, is_ready);
}

int32_t op_call(struct op *op)
{
    const struct op_row *row = &op_rows[op->code];

    return row->call ? row->call(op) : row->attempt(op, true);
}

bool op_waits(const struct op *op)
{
    return op_rows[op->code].waits != OP_WAITS_NOT;
}

bool op_wants_eagain(const struct op *op)
{
    // The kernel waits neither for urgent data nor for an error's message.
    if (op->code == OP_RECV || op->code == OP_RECVMSG)
        return op->flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE);
    return op->flags & MSG_DONTWAIT && (op->code == OP_SEND || op->code == OP_SENDMSG);
}

const char *op_name(uint8_t code)
{
    return code < OP_COUNT ? op_rows[code].name : "operation";
}
