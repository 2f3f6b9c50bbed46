// SPDX-License-Identifier: MIT
// epoll - readiness behind a poller: the same records, the calls made here.
//
//     submit --> try the call --done--> finish
//                   '-- would block --> the descriptor's list, one-shot interest --event--> try
//
// E1  A descriptor's entry holds those who wait to read and those who wait to write, each in
//     order; the kernel is told the union of what they wait for and no more, one-shot, and told
//     again while anybody waits: an event that serves nobody would come for ever. So a
//     number that was closed and used again is armed afresh (ADD after ENOENT), and an old
//     event costs one try too many, no more.
// E2  A call is made only where it cannot block (ops.h); what has to be done by a helper ends with
//     OP_NEEDS_HELPER, for the floor above. What epoll refuses is always ready.
#include <errno.h>
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
    uint32_t rounds; // waits; one that may have slept counts twice
};

static struct epoll *epoll_of(const struct poller *np)
{
    return np->impl;
}

// ---- Interest ---------------------------------------------------------------------------------

static struct interest *interest_in(struct poller *np, int fd)
{
    struct epoll *e = epoll_of(np);

    if (fd >= e->n_fds) {
        int n = e->n_fds ? e->n_fds : 64;
        while (n <= fd) n *= 2;
        struct interest **bigger = MEMORY_GET(np->memory, struct interest *, (size_t)n);
        if (!bigger) return NULL;
        if (e->n_fds) memcpy(bigger, e->by_fd, (size_t)e->n_fds * sizeof(*bigger));
        MEMORY_PUT(np->memory, e->by_fd, struct interest *, (size_t)e->n_fds);
        e->by_fd = bigger;
        e->n_fds = n;
    }
    if (!e->by_fd[fd]) {
        e->by_fd[fd] = MEMORY_GET(np->memory, struct interest, 1);
        if (!e->by_fd[fd]) return NULL;
        list_init(&e->by_fd[fd]->readers);
        list_init(&e->by_fd[fd]->writers);
    }
    return e->by_fd[fd];
}

// What these ops wait for: polls for what they name, the others for 'moves'. More would be told
// again and again while nobody takes it.
static uint32_t events_of(struct list *ops, uint32_t moves)
{
    uint32_t events = 0;

    for (struct list_node *n = ops->head.next; n != &ops->head; n = n->next) {
        const struct op *op = container_of(n, struct op, wait_node);
        // EPOLL* are POLL*'s numbers.
        events |= op->code == OP_POLL ? (uint32_t)op->flags : moves;
    }
    return events;
}

// Tells the kernel what is waited for on fd, one-shot. 0 | -EPERM (a file) | -EBADF | -ENOMEM
static int arm(struct epoll *e, int fd, struct interest *in)
{
    struct epoll_event event = {.events = EPOLLONESHOT, .data.fd = fd};

    event.events |= events_of(&in->readers, EPOLLIN | EPOLLRDHUP);
    event.events |= events_of(&in->writers, EPOLLOUT);
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
    struct interest *in = op->fd >= 0 ? interest_in(np, op->fd) : NULL;

    if (!in) {
        poller_finish(np, op, op->fd >= 0 ? -ENOMEM : -EBADF);
        return;
    }
    op->round = e->rounds;
    list_push_back(waits_for_write(op) ? &in->writers : &in->readers, &op->wait_node);
    int err = arm(e, op->fd, in);
    if (err == 0) return;
    list_remove(&op->wait_node);
    poller_finish(np, op, err == -EPERM ? op_try(op, true) : err); // E2
}

static void note_end(struct poller *np, struct op *op, int32_t result, bool at_once)
{
    // What did not fill the buffer was all that there was.
    op->more = op->code == OP_RECV && result > 0 && (uint32_t)result == op->len;
    op->at_once = at_once && result > 0;
    poller_finish(np, op, result);
}

static void epoll_submit(struct poller *np, struct op *op)
{
    int32_t result = -EAGAIN;

    op->wait_node = (struct list_node){0};
    // Where nothing is likely to be there yet, an attempt is a call in vain (as in fill_recv).
    if (op->code != OP_RECV || op->more_likely || op_wants_eagain(op))
        result = op_try(op, false);
    if (result == -EAGAIN && !op_wants_eagain(op))
        wait_for(np, op);
    else
        note_end(np, op, result, true);
}

static bool epoll_cancel(struct poller *np, struct op *op)
{
    int32_t result = -EAGAIN;

    if (list_linked(&op->wait_node)) list_remove(&op->wait_node);
    // A receive that was not attempted: what is there wins over a deadline that has passed.
    if (op->code == OP_RECV && op->why == -ETIMEDOUT) result = op_try(op, true);
    if (result == -EAGAIN)
        poller_finish(np, op, -ECANCELED);
    else
        note_end(np, op, result, false);
    return true;
}

// ---- Events -----------------------------------------------------------------------------------

// Tries those who wait, in order: transfers until one would have to wait longer, polls all, since
// each waits for something else.
static void try_waiters(struct poller *np, struct list *ops, bool may_move)
{
    struct list_node *next;

    for (struct list_node *n = ops->head.next; n != &ops->head; n = next) {
        struct op *op = container_of(n, struct op, wait_node);
        bool is_poll = op->code == OP_POLL;

        next = n->next;
        if (!is_poll && !may_move) continue;
        int32_t result = op_try(op, true);
        if (result == -EAGAIN) {
            may_move = may_move && is_poll;
            continue;
        }
        list_remove(&op->wait_node);
        note_end(np, op, result, epoll_of(np)->rounds - op->round <= 1);
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

    try_waiters(np, &in->readers, end || event->events & EPOLLIN);
    try_waiters(np, &in->writers, end || event->events & EPOLLOUT);
    if (list_empty(&in->readers) && list_empty(&in->writers)) return;
    if (arm(e, fd, in) == 0) return;
    in->known = false;
    // Closed under them: each call says so itself.
    try_waiters(np, &in->readers, true);
    try_waiters(np, &in->writers, true);
}

static void epoll_wait_(struct poller *np, int64_t deadline)
{
    struct epoll_event events[EVENTS];

    if (!queue_empty(&np->done)) deadline = CLOCK_PAST;
    // Who is hosted has to take the break, which a host sees.
    if (deadline <= CLOCK_PAST && load_own(&np->in_flight) == 0 && !np->is_hosted) return;
    epoll_of(np)->rounds += deadline > CLOCK_PAST ? 2 : 1;
    int n = os_epoll_wait(epoll_of(np)->fd, events, EVENTS, deadline);
    for (int i = 0; i < n; i++) handle(np, &events[i]);
}

static void epoll_flush(struct poller *np)
{
    (void)np; // every submit has gone to the kernel already
}

// The descriptor can be asked by anybody, and the calls be made by anybody.
static void epoll_serve(struct poller *np)
{
    epoll_wait_(np, CLOCK_PAST);
}

static bool epoll_pending(const struct poller *np)
{
    return load_own(&np->in_flight) > 0; // only a system call can tell
}

// ---- Open and close ---------------------------------------------------------------------------

static int epoll_open(struct poller *np, unsigned entries)
{
    struct epoll *e = MEMORY_GET(np->memory, struct epoll, 1);

    (void)entries;
    if (!e) return -ENOMEM;
    e->fd = os_epoll_open();
    struct epoll_event event = {.events = EPOLLIN, .data.fd = np->break_fd};
    int err = e->fd;
    if (err >= 0) err = os_epoll_ctl(e->fd, EPOLL_CTL_ADD, np->break_fd, &event);
    if (err < 0) {
        if (e->fd >= 0) os_close(e->fd);
        MEMORY_PUT(np->memory, e, struct epoll, 1);
        return err;
    }
    np->impl = e;
    return 0;
}

static void epoll_close(struct poller *np)
{
    struct epoll *e = epoll_of(np);

    for (int i = 0; i < e->n_fds; i++)
        MEMORY_PUT(np->memory, e->by_fd[i], struct interest, 1);
    MEMORY_PUT(np->memory, e->by_fd, struct interest *, (size_t)e->n_fds);
    os_close(e->fd);
    MEMORY_PUT(np->memory, e, struct epoll, 1);
}

static bool epoll_performs(const struct poller *np, enum op_code code)
{
    (void)np;
    return op_rows[code].waits != OP_WAITS_NOT;
}

static const char *epoll_mode(const struct poller *np)
{
    (void)np;
    return "epoll";
}

static int epoll_fd(const struct poller *np)
{
    return epoll_of(np)->fd;
}

// The descriptor is readable as long as one of those in it is.
static bool epoll_rest(struct poller *np)
{
    (void)np;
    return false;
}

const struct backend backend_epoll = {
    .open = epoll_open,
    .close = epoll_close,
    .submit = epoll_submit,
    .cancel = epoll_cancel,
    .flush = epoll_flush,
    .wait = epoll_wait_,
    .pending = epoll_pending,
    .performs = epoll_performs,
    .serve = epoll_serve,
    .mode = epoll_mode,
    .fd = epoll_fd,
    .rest = epoll_rest,
};
