// SPDX-License-Identifier: MIT
// transfer - read and write in all their shapes: one operation each, or until the count is full.
//
// A socket is read by recv and written by send with MSG_NOSIGNAL, whatever the call is named, so
// that SIGPIPE is never raised; other descriptors by read and write.
#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/io.h"
#include "io/fd.h"
#include "sched/park.h"

#define MOST                                                                             \
    ((size_t)INT32_MAX) // of one operation; a longer one moves less, as read(2) may

static uint32_t clip(size_t n)
{
    return (uint32_t)(n < MOST ? n : MOST);
}

// read(2) of no bytes returns at once: from a socket it takes no message, where recv(2) of none
// waits for one and takes it; from a pipe or a terminal a poll before it would wait. writev(2) of
// none sends no empty message.
// 1: it is such a call | 0: it is not, or of a file, which never waits | -errno
static int moves_nothing(int fd, size_t n)
{
    struct fd_use use;
    int err = n > 0 ? 0 : park_canceled();

    if (n > 0 || err < 0) return err;
    if ((err = fd_begin(fd, FD_NO_TURN, CLOCK_NEVER, &use)) < 0) return err;
    bool at_once = !fd_is_file(&use);
    fd_end(&use);
    return at_once;
}

// MSG_WAITALL of a stream. What comes along with a peek, or in messages, is there at once or not.
static bool wants_all(const struct op *op)
{
    int type = 0;
    socklen_t len = sizeof(type);

    if (!(op->flags & MSG_WAITALL) || op->flags & MSG_PEEK || op_wants_eagain(op))
        return false;
    return os_getsockopt(op->fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           type == SOCK_STREAM;
}

// A call that does not wait forgets MSG_WAITALL, so the waiting is done here, in one turn.
static int32_t receive(struct fd_use *use, struct op *op, int64_t deadline)
{
    bool all = wants_all(op);
    int32_t sum = 0, got;

    op->flags &= ~MSG_WAITALL;
    do {
        fd_guess_receive(use, op);
        got = fd_run(use, op, deadline);
        fd_note_receive(use, op);
        if (got <= 0) break; // the next call says why it is less
        sum += got;
        op->buf = (char *)op->buf + got;
        op->len -= (uint32_t)got;
    } while (all && op->len > 0);
    return sum > 0 ? sum : got;
}

static int32_t run(struct fd_use *use, struct op *op, int64_t deadline)
{
    return op->code == OP_RECV ? receive(use, op, deadline) : fd_run(use, op, deadline);
}

// Runs op in its turn. 'as_socket' is what it becomes on a socket.
static ssize_t transfer(struct op *op, enum fd_side side, uint8_t as_socket,
                        int64_t deadline)
{
    struct fd_use use;
    int err = park_canceled();

    if (err < 0) return err;
    if ((err = fd_begin(op->fd, side, deadline, &use)) < 0) return err;
    // A ring would wait for readiness before it says so, and of a file without end.
    bool is_wrong = !fd_is_socket(&use) && op->code == as_socket;
    if (fd_is_socket(&use)) op->code = as_socket;
    int32_t result = is_wrong ? -ENOTSOCK : run(&use, op, deadline);
    fd_end(&use);
    return result;
}

ssize_t coir_recv(int fd, void *buf, size_t n, int flags, int64_t deadline)
{
    struct op op = {
        .code = OP_RECV, .fd = fd, .buf = buf, .len = clip(n), .flags = flags};

    if (!buf && n) return -EINVAL;
    return transfer(&op, FD_READS, OP_RECV, deadline);
}

ssize_t coir_send(int fd, const void *buf, size_t n, int flags, int64_t deadline)
{
    struct op op = {.code = OP_SEND,
                    .fd = fd,
                    .buf = (void *)(uintptr_t)buf,
                    .len = clip(n),
                    .flags = flags};

    if (!buf && n) return -EINVAL;
    return transfer(&op, FD_WRITES, OP_SEND, deadline);
}

ssize_t coir_read(int fd, void *buf, size_t n, int64_t deadline)
{
    struct op op = {.code = OP_READ, .fd = fd, .buf = buf, .len = clip(n)};

    if (!buf && n) return -EINVAL;
    int is_nothing = moves_nothing(fd, n);
    if (is_nothing) return is_nothing < 0 ? is_nothing : 0;
    return transfer(&op, FD_READS, OP_RECV, deadline);
}

ssize_t coir_write(int fd, const void *buf, size_t n, int64_t deadline)
{
    struct op op = {.code = OP_WRITE,
                    .fd = fd,
                    .buf = (void *)(uintptr_t)buf,
                    .len = clip(n)};

    if (!buf && n) return -EINVAL;
    return transfer(&op, FD_WRITES, OP_SEND, deadline);
}

// ---- Vectors -------------------------------------------------------------------------------

static ssize_t transfer_vector(int fd, const struct iovec *iov, int n, enum fd_side side,
                               int64_t deadline)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                         .msg_iovlen = (size_t)n};
    struct fd_use use;
    int err = park_canceled();

    if (err < 0 || (err = fd_begin(fd, side, deadline, &use)) < 0) return err;
    struct op op = {.fd = fd};
    if (fd_is_socket(&use)) {
        op.code = side == FD_READS ? OP_RECVMSG : OP_SENDMSG;
        op.msg = &msg;
    } else {
        op.code = side == FD_READS ? OP_READV : OP_WRITEV;
        op.iov = iov;
        op.len = (uint32_t)n;
    }
    int32_t result = fd_run(&use, &op, deadline);
    fd_end(&use);
    return result;
}

// 1: there is something to move | 0 | -EINVAL, which a call that only tries may take for another
// answer, and wait
static int check_vector(const struct iovec *iov, int n)
{
    int some = 0;

    if (n < 0 || n > IOV_MAX || (!iov && n)) return -EINVAL;
    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len > SSIZE_MAX) return -EINVAL;
        some |= iov[i].iov_len > 0;
    }
    return some;
}

static ssize_t move_vector(int fd, const struct iovec *iov, int n, enum fd_side side,
                           int64_t deadline)
{
    int some = check_vector(iov, n);

    if (some < 0) return some;
    int is_nothing = moves_nothing(fd, (size_t)some);
    if (is_nothing) return is_nothing < 0 ? is_nothing : 0;
    return transfer_vector(fd, iov, n, side, deadline);
}

ssize_t coir_readv(int fd, const struct iovec *iov, int n, int64_t deadline)
{
    return move_vector(fd, iov, n, FD_READS, deadline);
}

ssize_t coir_writev(int fd, const struct iovec *iov, int n, int64_t deadline)
{
    return move_vector(fd, iov, n, FD_WRITES, deadline);
}

// ---- Messages ------------------------------------------------------------------------------

ssize_t coir_recvmsg(int fd, struct msghdr *msg, int flags, int64_t deadline)
{
    // Descriptors that come along are close-on-exec like all that are made here. MSG_WAITALL is
    // what a ring would heed and a direct call would not.
    struct op op = {.code = OP_RECVMSG,
                    .fd = fd,
                    .msg = msg,
                    .flags = (flags & ~MSG_WAITALL) | MSG_CMSG_CLOEXEC};

    if (!msg) return -EINVAL;
    return transfer(&op, FD_READS, OP_RECVMSG, deadline);
}

ssize_t coir_sendmsg(int fd, const struct msghdr *msg, int flags, int64_t deadline)
{
    struct op op = {.code = OP_SENDMSG,
                    .fd = fd,
                    .msg = (struct msghdr *)(uintptr_t)msg,
                    .flags = flags};

    if (!msg) return -EINVAL;
    return transfer(&op, FD_WRITES, OP_SENDMSG, deadline);
}

ssize_t coir_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                      socklen_t *len, int64_t deadline)
{
    struct iovec one = {buf, clip(n)};
    struct msghdr msg = {.msg_name = addr, .msg_iov = &one, .msg_iovlen = 1};

    if ((!buf && n) || (addr && !len)) return -EINVAL;
    msg.msg_namelen = addr ? *len : 0;
    ssize_t got = coir_recvmsg(fd, &msg, flags, deadline);
    if (got >= 0 && addr) *len = msg.msg_namelen;
    return got;
}

ssize_t coir_sendto(int fd, const void *buf, size_t n, int flags,
                    const struct sockaddr *addr, socklen_t len, int64_t deadline)
{
    struct iovec one = {(void *)(uintptr_t)buf, clip(n)};
    struct msghdr msg = {.msg_name = (void *)(uintptr_t)addr,
                         .msg_namelen = addr ? len : 0,
                         .msg_iov = &one,
                         .msg_iovlen = 1};

    if (!buf && n) return -EINVAL;
    return coir_sendmsg(fd, &msg, flags, deadline);
}

// ---- The whole count -----------------------------------------------------------------------

ssize_t coir_read_full(int fd, void *buf, size_t n, int64_t deadline)
{
    size_t done = 0;

    if (!buf && n) return -EINVAL;
    while (done < n) {
        ssize_t got = coir_read(fd, (char *)buf + done, n - done, deadline);

        if (got < 0 && done == 0) return got;
        if (got <= 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

ssize_t coir_write_all(int fd, const void *buf, size_t n, int64_t deadline)
{
    size_t done = 0;

    if (!buf && n) return -EINVAL;
    while (done < n) {
        ssize_t put = coir_write(fd, (const char *)buf + done, n - done, deadline);

        if (put < 0 && done == 0) return put;
        if (put <= 0) break;
        done += (size_t)put;
    }
    return (ssize_t)done;
}
