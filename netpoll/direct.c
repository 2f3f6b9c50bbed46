// SPDX-License-Identifier: MIT
// direct - an operation as a system call that does not block: for the epoll backend, for ordinary
// threads, and for coroutines that are alone on their worker.
//
// D1  A call is made only where it cannot block: MSG_DONTWAIT on sockets, RWF_NOWAIT elsewhere;
//     where a descriptor cannot say (-EOPNOTSUPP), only after readiness, and at most PIPE_BUF
//     bytes are written.
// D2  accept and connect know no MSG_DONTWAIT. A blocking listener is asked only after readiness;
//     connect makes a blocking socket O_NONBLOCK while the call lasts.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "netpoll/netpoll.h"

static int32_t clip(ssize_t n)
{
    return n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

static ssize_t read_now(const struct op *op, bool is_ready)
{
    struct iovec one = {op->buf, op->len};
    const struct iovec *iov = op->code == OP_READ ? &one : op->iov;
    int n = op->code == OP_READ ? 1 : (int)op->len;
    ssize_t got = os_readv_nowait(op->fd, iov, n);

    if (got != -EOPNOTSUPP && got != -ESPIPE && got != -EINVAL) return got;
    return is_ready ? os_readv(op->fd, iov, n) : -EAGAIN; // D1
}

// At most PIPE_BUF bytes of what the op writes: after readiness that much never blocks.
static ssize_t write_some(const struct op *op)
{
    const struct iovec *iov = op->iov;
    struct iovec one = {op->buf, op->len};

    if (op->code == OP_WRITE) iov = &one;
    for (uint32_t i = 0; op->code == OP_WRITEV && i < op->len && iov->iov_len == 0; i++)
        iov++;
    struct iovec some = {iov->iov_base,
                         iov->iov_len < PIPE_BUF ? iov->iov_len : PIPE_BUF};
    return os_writev(op->fd, &some, 1);
}

static ssize_t write_now(const struct op *op, bool is_ready)
{
    struct iovec one = {op->buf, op->len};
    const struct iovec *iov = op->code == OP_WRITE ? &one : op->iov;
    int n = op->code == OP_WRITE ? 1 : (int)op->len;
    ssize_t put = os_writev_nowait(op->fd, iov, n);

    if (put != -EOPNOTSUPP && put != -ESPIPE && put != -EINVAL) return put;
    return is_ready ? write_some(op) : -EAGAIN; // D1
}

static int accept_now(const struct op *op, bool is_ready)
{
    int flags = os_fcntl_getfl(op->fd);

    if (flags < 0) return flags;
    if (!(flags & O_NONBLOCK) && !is_ready) return -EAGAIN; // D2
    return os_accept(op->fd, op->addr, op->addr_len, op->flags);
}

static int connect_now(struct op *op, bool is_ready)
{
    int err = 0;
    socklen_t len = sizeof(err);

    if (is_ready) {
        int got = os_getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &err, &len);
        return got < 0 ? got : -err;
    }
    int flags = os_fcntl_getfl(op->fd);
    if (flags < 0) return flags;
    if (!(flags & O_NONBLOCK)) os_fcntl_setfl(op->fd, flags | O_NONBLOCK); // D2
    err = os_connect(op->fd, op->addr, op->len);
    if (!(flags & O_NONBLOCK)) os_fcntl_setfl(op->fd, flags);
    return err == -EINPROGRESS || err == -EINTR ? -EAGAIN : err;
}

static int32_t poll_now(const struct op *op)
{
    struct pollfd one = {.fd = op->fd, .events = (short)op->flags};
    int n = os_poll(&one, 1, CLOCK_PAST);

    if (n < 0) return n;
    return n == 0 ? -EAGAIN : one.revents;
}

int32_t op_try(struct op *op, bool is_ready)
{
    switch (op->code) {
    case OP_NOP: return 0;
    case OP_READ:
    case OP_READV: return clip(read_now(op, is_ready));
    case OP_WRITE:
    case OP_WRITEV: return clip(write_now(op, is_ready));
    case OP_RECV:
        return clip(os_recv(op->fd, op->buf, op->len, op->flags | MSG_DONTWAIT));
    case OP_SEND:
        return clip(os_send(op->fd, op->buf, op->len, op->flags | MSG_DONTWAIT));
    case OP_RECVMSG: return clip(os_recvmsg(op->fd, op->msg, op->flags | MSG_DONTWAIT));
    case OP_SENDMSG: return clip(os_sendmsg(op->fd, op->msg, op->flags | MSG_DONTWAIT));
    case OP_ACCEPT: return accept_now(op, is_ready);
    case OP_CONNECT: return connect_now(op, is_ready);
    case OP_POLL: return poll_now(op);
    default: panic("no such operation");
    }
}
