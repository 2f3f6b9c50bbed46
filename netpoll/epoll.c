// SPDX-License-Identifier: MIT
// epoll - readiness behind a poller: the same records, the calls made here.
//
//     submit --> try the call --done--> finish
//                   '-- would block --> the descriptor's list, one-shot interest --event--> try
//
// E1  A descriptor's entry holds those who wait to read and those who wait to write, each in
//     order; the kernel is told the union, one-shot, and told again while anybody waits. So a
//     number that was closed and used again is armed afresh (ADD after ENOENT), and an old
//     event costs one try too many, no more.
// E2  A call is made only where it cannot block: MSG_DONTWAIT on sockets, RWF_NOWAIT elsewhere;
//     where a descriptor cannot say (-EOPNOTSUPP), only after readiness, and at most PIPE_BUF
//     bytes are written. Files, which epoll refuses, are always ready.
// E3  accept and connect know no MSG_DONTWAIT: listeners and sockets that io/ makes are
//     O_NONBLOCK under this backend; on a foreign blocking one, connect makes it so while it
//     lasts, and accept waits for readiness first.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "netpoll/backend.h"

#define EVENTS 128

// Who waits for one descriptor.
struct interest {
    struct list readers, writers;
    bool known; // the kernel has it, as far as we know
};

struct epoll {
    int fd;
    struct interest **by_fd; // grows; NULL: never waited for
    int n_fds;
};

static struct epoll *epoll_of(const struct poller *np)
{
    return np->impl;
}

// ---- The calls ---------------------------------------------------------------------------------

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
    return is_ready ? os_readv(op->fd, iov, n) : -EAGAIN; // E2
}

// At most PIPE_BUF bytes of what the op writes: after readiness that much never blocks.
static ssize_t write_some(const struct op *op)
{
    const struct iovec *iov = op->iov;
    struct iovec one = {op->buf, op->len};

    if (op->code == OP_WRITE) iov = &one;
    for (uint32_t i = 0; op->code == OP_WRITEV && i < op->len && iov->iov_len == 0; i++)
        iov++;
    return os_write(op->fd, iov->iov_base,
                    iov->iov_len < PIPE_BUF ? iov->iov_len : PIPE_BUF);
}

static ssize_t write_now(const struct op *op, bool is_ready)
{
    struct iovec one = {op->buf, op->len};
    const struct iovec *iov = op->code == OP_WRITE ? &one : op->iov;
    int n = op->code == OP_WRITE ? 1 : (int)op->len;
    ssize_t put = os_writev_nowait(op->fd, iov, n);

    if (put != -EOPNOTSUPP && put != -ESPIPE && put != -EINVAL) return put;
    return is_ready ? write_some(op) : -EAGAIN; // E2
}

static int accept_now(const struct op *op, bool is_ready)
{
    int flags = os_fcntl_getfl(op->fd);

    if (flags < 0) return flags;
    if (!(flags & O_NONBLOCK) && !is_ready) return -EAGAIN; // E3
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
    if (!(flags & O_NONBLOCK)) os_fcntl_setfl(op->fd, flags | O_NONBLOCK); // E3
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

// Does what the op is for, without blocking. -EAGAIN: not now.
static int32_t attempt(struct op *op, bool is_ready)
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

// True if the caller of this op wants -EAGAIN itself.
static bool wants_eagain(const struct op *op)
{
    return op->flags & MSG_DONTWAIT && (op->code == OP_RECV || op->code == OP_SEND ||
                                        op->code == OP_RECVMSG || op->code == OP_SENDMSG);
}

// ---- Interest ----------------------------------------------------------------------------------

static struct interest *interest_in(struct epoll *e, int fd)
{
    if (fd >= e->n_fds) {
        int n = e->n_fds ? e->n_fds : 64;
        while (n <= fd) n *= 2;
        struct interest **bigger = os_alloc((size_t)n * sizeof(*bigger), alignof(void *));
        if (!bigger) return NULL;
        if (e->n_fds) memcpy(bigger, e->by_fd, (size_t)e->n_fds * sizeof(*bigger));
        os_free(e->by_fd);
        e->by_fd = bigger;
        e->n_fds = n;
    }
    if (!e->by_fd[fd]) {
        e->by_fd[fd] = os_alloc(sizeof(struct interest), alignof(struct interest));
        if (!e->by_fd[fd]) return NULL;
        list_init(&e->by_fd[fd]->readers);
        list_init(&e->by_fd[fd]->writers);
    }
    return e->by_fd[fd];
}

static uint32_t poll_events(struct list *ops)
{
    uint32_t events = 0;

    for (struct list_node *n = ops->head.next; n != &ops->head; n = n->next) {
        const struct op *op = container_of(n, struct op, wait_node);
        if (op->code == OP_POLL)
            events |= (uint32_t)op->flags; // EPOLL* are POLL*'s numbers
    }
    return events;
}

// Tells the kernel what is waited for on fd, one-shot. 0 | -EPERM (a file) | -EBADF | -ENOMEM
static int arm(struct epoll *e, int fd, struct interest *in)
{
    struct epoll_event event = {.events = EPOLLONESHOT, .data.fd = fd};

    if (!list_empty(&in->readers)) event.events |= EPOLLIN | EPOLLRDHUP;
    if (!list_empty(&in->writers)) event.events |= EPOLLOUT;
    event.events |= poll_events(&in->readers) | poll_events(&in->writers);
    int err = os_epoll_ctl(e->fd, in->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    if (err == -ENOENT) err = os_epoll_ctl(e->fd, EPOLL_CTL_ADD, fd, &event); // E1
    if (err == -EEXIST) err = os_epoll_ctl(e->fd, EPOLL_CTL_MOD, fd, &event);
    in->known = err == 0;
    return err;
}

static bool waits_for_write(const struct op *op)
{
    if (op->code == OP_POLL) return op->flags & POLLOUT && !(op->flags & POLLIN);
    return !op_reads(op);
}

// Puts the op on its descriptor's list and arms it.
static void wait_for(struct poller *np, struct op *op)
{
    struct epoll *e = epoll_of(np);
    struct interest *in = op->fd >= 0 ? interest_in(e, op->fd) : NULL;

    if (!in) {
        poller_finish(np, op, op->fd >= 0 ? -ENOMEM : -EBADF);
        return;
    }
    list_push_back(waits_for_write(op) ? &in->writers : &in->readers, &op->wait_node);
    int err = arm(e, op->fd, in);
    if (err == 0) return;
    list_remove(&op->wait_node);
    poller_finish(np, op, err == -EPERM ? attempt(op, true) : err); // E2: files are ready
}

static void epoll_submit(struct poller *np, struct op *op)
{
    int32_t result = attempt(op, false);

    op->wait_node = (struct list_node){0};
    if (result == -EAGAIN && !wants_eagain(op))
        wait_for(np, op);
    else
        poller_finish(np, op, result);
}

static bool epoll_cancel(struct poller *np, struct op *op)
{
    if (list_linked(&op->wait_node)) list_remove(&op->wait_node);
    poller_finish(np, op, -ECANCELED);
    return true;
}

// ---- Events ------------------------------------------------------------------------------------

// Tries those who wait, in order, until one would have to wait longer.
static void try_waiters(struct poller *np, struct list *ops)
{
    struct list_node *next;

    for (struct list_node *n = ops->head.next; n != &ops->head; n = next) {
        struct op *op = container_of(n, struct op, wait_node);
        int32_t result = attempt(op, true);

        next = n->next;
        if (result == -EAGAIN && op->code == OP_POLL)
            continue; // others may wait for less
        if (result == -EAGAIN) return;
        list_remove(&op->wait_node);
        poller_finish(np, op, result);
    }
}

static void handle(struct poller *np, const struct epoll_event *event)
{
    struct epoll *e = epoll_of(np);
    int fd = event->data.fd;
    uint64_t value;

    if (fd == np->break_fd) {
        os_read(fd, &value, sizeof(value));
        return;
    }
    struct interest *in = e->by_fd[fd];
    uint32_t end = event->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI);

    if (end || event->events & EPOLLIN) try_waiters(np, &in->readers);
    if (end || event->events & EPOLLOUT) try_waiters(np, &in->writers);
    if (list_empty(&in->readers) && list_empty(&in->writers)) return;
    if (arm(e, fd, in) == 0) return;
    in->known = false;
    // Closed under them: each call says so itself.
    try_waiters(np, &in->readers);
    try_waiters(np, &in->writers);
}

static void epoll_wait_(struct poller *np, int64_t deadline)
{
    struct epoll_event events[EVENTS];

    if (!queue_empty(&np->done)) deadline = CLOCK_PAST;
    if (deadline <= CLOCK_PAST && np->in_flight == 0) return;
    int n = os_epoll_wait(epoll_of(np)->fd, events, EVENTS, deadline);
    for (int i = 0; i < n; i++) handle(np, &events[i]);
}

static void epoll_flush(struct poller *np)
{
    (void)np; // every submit has gone to the kernel already
}

static bool epoll_pending(const struct poller *np)
{
    return np->in_flight > 0; // only a system call can tell
}

// ---- Open and close ----------------------------------------------------------------------------

static int epoll_open(struct poller *np, unsigned entries)
{
    struct epoll *e = os_alloc(sizeof(*e), alignof(struct epoll));

    (void)entries;
    if (!e) return -ENOMEM;
    e->fd = os_epoll_open();
    struct epoll_event event = {.events = EPOLLIN, .data.fd = np->break_fd};
    int err = e->fd;
    if (err >= 0) err = os_epoll_ctl(e->fd, EPOLL_CTL_ADD, np->break_fd, &event);
    if (err < 0) {
        if (e->fd >= 0) os_close(e->fd);
        os_free(e);
        return err;
    }
    np->impl = e;
    return 0;
}

static void epoll_close(struct poller *np)
{
    struct epoll *e = epoll_of(np);

    for (int i = 0; i < e->n_fds; i++) os_free(e->by_fd[i]);
    os_free(e->by_fd);
    os_close(e->fd);
    os_free(e);
}

static const char *epoll_mode(const struct poller *np)
{
    (void)np;
    return "epoll";
}

const struct backend backend_epoll = {
    .open = epoll_open,
    .close = epoll_close,
    .submit = epoll_submit,
    .cancel = epoll_cancel,
    .flush = epoll_flush,
    .wait = epoll_wait_,
    .pending = epoll_pending,
    .mode = epoll_mode,
};
