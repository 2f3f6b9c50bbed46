// SPDX-License-Identifier: MIT
// poller: what it promises of one operation, on each backend, with the order of events laid down.
#include "netpoll/netpoll.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"

// A poller of the kind with a receive in flight, and the socket's other end. A ring that cannot be
// had skips the test.
struct scene {
    struct poller *np;
    struct op op;
    uint64_t key;
    int fds[2];
    char byte;
};

static void open_scene(struct scene *s, enum poller_kind kind)
{
    int err = poller_open(kind, 8, NULL, NULL, &s->np);

    if (err < 0 && kind == POLLER_URING) cr_skip_test("no ring here");
    cr_assert_eq(err, 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->fds), 0);
    s->op = (struct op){.code = OP_RECV, .fd = s->fds[0], .buf = &s->byte, .len = 1};
    s->key = poller_submit(s->np, &s->op);
}

static void close_scene(struct scene *s)
{
    cr_assert_eq(poller_in_flight(s->np), 0);
    poller_close(s->np);
    close(s->fds[0]);
    close(s->fds[1]);
}

// The operation comes back once; its result.
static int32_t result_of(struct scene *s)
{
    struct queue done = {0};

    poller_announce(s->np);
    while (queue_empty(&done)) done = poller_poll(s->np, clock_after(1000000000));
    poller_awake(s->np);
    cr_assert_eq(queue_pop(&done), &s->op.node);
    cr_assert(queue_empty(&done));
    return s->op.result;
}

static ssize_t bytes_left(struct scene *s)
{
    char byte;

    return recv(s->fds[0], &byte, 1, MSG_DONTWAIT);
}

// A receive that nothing was expected for is not attempted when it is submitted. What came before
// its deadline passed is there all the same, although nobody has looked.
Test(poller, a_receive_is_attempted_at_its_deadline)
{
    struct scene s = {0};

    open_scene(&s, POLLER_EPOLL);
    cr_assert_eq(write(s.fds[1], "x", 1), 1);
    poller_cancel_owner(s.np, s.key, -ETIMEDOUT);
    cr_assert_eq(result_of(&s), 1, "the byte was there");
    cr_assert_eq(s.byte, 'x');
    close_scene(&s);
}

Test(poller, a_cancelled_receive_takes_nothing)
{
    struct scene s = {0};

    open_scene(&s, POLLER_EPOLL);
    cr_assert_eq(write(s.fds[1], "x", 1), 1);
    poller_cancel_owner(s.np, s.key, -ECANCELED);
    cr_assert_eq(result_of(&s), -ECANCELED);
    cr_assert_eq(bytes_left(&s), 1);
    close_scene(&s);
}

// The kernel decides which comes first; whatever it says is the whole truth.
static void cancel_beside_a_byte(enum poller_kind kind, int why)
{
    struct scene s = {0};

    open_scene(&s, kind);
    poller_flush(s.np);
    cr_assert_eq(write(s.fds[1], "x", 1), 1);
    poller_cancel_owner(s.np, s.key, why);
    int32_t got = result_of(&s);
    cr_assert(got == 1 || got == why, "it is %d", got);
    cr_assert_eq(bytes_left(&s), got == 1 ? -1 : 1);
    poller_cancel_owner(s.np, s.key, why); // stale: nothing
    close_scene(&s);
}

Test(poller, a_byte_beside_a_cancel_is_taken_or_left)
{
    cancel_beside_a_byte(POLLER_EPOLL, -ETIMEDOUT);
    cancel_beside_a_byte(POLLER_EPOLL, -EBADF);
}

Test(poller, a_byte_beside_a_cancel_is_taken_or_left_on_a_ring)
{
    cancel_beside_a_byte(POLLER_URING, -ETIMEDOUT);
    cancel_beside_a_byte(POLLER_URING, -EBADF);
}

// A poll alone in line, for what does not come. True: the poller slept, although there is 'there'.
static bool sleeps_beside(short events, bool is_full, bool is_unread)
{
    static char much[1 << 16];
    struct scene s = {0};
    int64_t deadline;

    cr_assert_eq(poller_open(POLLER_EPOLL, 8, NULL, NULL, &s.np), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s.fds), 0);
    while (is_full && send(s.fds[0], much, sizeof(much), MSG_DONTWAIT) > 0) continue;
    if (is_unread) cr_assert_eq(write(s.fds[1], "x", 1), 1);
    s.op = (struct op){.code = OP_POLL, .fd = s.fds[0], .flags = events};
    s.key = poller_submit(s.np, &s.op);
    poller_announce(s.np);
    deadline = clock_after(20000000);
    struct queue done = poller_poll(s.np, deadline);
    bool slept = queue_empty(&done) && clock_now() >= deadline;
    poller_awake(s.np);
    poller_cancel_owner(s.np, s.key, -ECANCELED);
    cr_assert_eq(result_of(&s), -ECANCELED);
    close_scene(&s);
    return slept;
}

// Else a worker goes round and round while the data lies there.
Test(poller, what_was_not_asked_for_ends_no_sleep)
{
    cr_assert(sleeps_beside(POLLRDHUP, false, true));
    cr_assert(sleeps_beside(POLLPRI, false, true));
    cr_assert(sleeps_beside(POLLPRI, true, true));
    cr_assert(sleeps_beside(POLLIN, false, false));
    cr_assert(sleeps_beside(POLLIN | POLLOUT, true, false));
    cr_assert(sleeps_beside(POLLOUT | POLLPRI, true, true));
    cr_assert(sleeps_beside(0, false, true));
}

// The first reason stays.
Test(poller, the_cancel_that_came_first_says_why)
{
    struct scene s = {0};

    open_scene(&s, POLLER_EPOLL);
    poller_cancel_any(s.np, s.key, -EBADF);
    poller_cancel_any(s.np, s.key, -ECANCELED);
    cr_assert_eq(result_of(&s), -EBADF);
    close_scene(&s);
}
