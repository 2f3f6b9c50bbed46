// SPDX-License-Identifier: MIT
// transfer - read and write in all their shapes: one operation each, or until the count is full.
//
// A socket is read by recv and written by send with MSG_NOSIGNAL, whatever the call is named, so
// that SIGPIPE is never raised; other descriptors by read and write.
#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "coir/io.h"
#include "io/fd.h"
#include "sched/park.h"

#define MOST                                                                             \
    ((size_t)INT32_MAX) // of one operation; a longer one moves less, as read(2) may

static uint32_t clip(size_t n)
{
    return (uint32_t)(n < MOST ? n : MOST);
}

// read(2) of no bytes from a socket returns at once and takes no message, where recv(2) of none
// waits for one and takes it; from a pipe it returns at once too, where a poll before it would
// wait. 1: it is such a read | 0 | -errno
static int reads_nothing(int fd, size_t n)
{
    struct fd_use use;
    int err = n > 0 ? 0 : park_canceled();

    if (n > 0 || err < 0) return err;
    if ((err = fd_begin(fd, FD_NO_TURN, CLOCK_NEVER, &use)) < 0) return err;
    bool at_once = fd_is_socket(&use) || fd_is_pipe(&use);
    fd_end(&use);
    return at_once;
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
    if (op->code == OP_RECV) fd_guess_receive(&use, op);
    int32_t result = is_wrong ? -ENOTSOCK : fd_run(&use, op, deadline);
    if (op->code == OP_RECV) fd_note_receive(&use, op);
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
    int is_nothing = reads_nothing(fd, n);
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

    if (!iov || n < 0 || n > IOV_MAX) return -EINVAL;
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

// Enough of the sum to tell whether it is 0.
static size_t bytes_of(const struct iovec *iov, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n && sum == 0; i++) sum += iov[i].iov_len;
    return sum;
}

ssize_t coir_readv(int fd, const struct iovec *iov, int n, int64_t deadline)
{
    int is_nothing = iov && n >= 0 ? reads_nothing(fd, bytes_of(iov, n)) : 0;

    if (is_nothing) return is_nothing < 0 ? is_nothing : 0;
    return transfer_vector(fd, iov, n, FD_READS, deadline);
}

ssize_t coir_writev(int fd, const struct iovec *iov, int n, int64_t deadline)
{
    return transfer_vector(fd, iov, n, FD_WRITES, deadline);
}

// ---- Messages ------------------------------------------------------------------------------

ssize_t coir_recvmsg(int fd, struct msghdr *msg, int flags, int64_t deadline)
{
    // Descriptors that come along are close-on-exec like all that are made here.
    struct op op = {.code = OP_RECVMSG,
                    .fd = fd,
                    .msg = msg,
                    .flags = flags | MSG_CMSG_CLOEXEC};

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
