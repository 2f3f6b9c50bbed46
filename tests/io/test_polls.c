// SPDX-License-Identifier: MIT
// Goal:   coir_poll returns for what was asked and for nothing else, whoever else waits on the
//         descriptor and whatever else has happened to it.
// Method: sockets that have unread data, are full, half closed or have urgent data, on every driver
//         and on a thread; the far end acts on a thread of its own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/io/everywhere.h"
#include "tests/io/far.h"

static void tcp_pair(int fds[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    expect_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    expect_eq(listen(listener, 1), 0);
    expect_eq(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect_eq(connect(fds[0], (struct sockaddr *)&a, sizeof(a)), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    expect(fds[1] >= 0);
    expect_eq(close(listener), 0);
}

static void unix_pair(int fds[2])
{
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void close_pair(const int fds[2])
{
    for (int i = 0; i < 2; i++) expect_eq(coir_close(fds[i]), 0);
}

// ---- What the far end does --------------------------------------------------------------------

static void takes_all(int fd)
{
    static char buf[1 << 16]; // larger than a coroutine's stack

    while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0) continue;
}

static void says_one(int fd)
{
    expect_eq(send(fd, "x", 1, 0), 1);
}

static void says_urgent(int fd)
{
    expect_eq(send(fd, "!", 1, MSG_OOB), 1);
}

static void half_closes(int fd)
{
    expect_eq(shutdown(fd, SHUT_WR), 0);
}

static void hangs_up(int fd)
{
    expect_eq(shutdown(fd, SHUT_RDWR), 0);
}

static void fill(int fd)
{
    static char much[1 << 16];

    while (send(fd, much, sizeof(much), MSG_DONTWAIT) > 0) continue;
    while (send(fd, much, 1, MSG_DONTWAIT) > 0) continue;
}

// ---- Scenes -----------------------------------------------------------------------------------

// Whichever of the two comes first.
static int either_way(void *arg)
{
    struct far far;
    int fds[2];
    char c;

    (void)arg;
    unix_pair(fds);
    expect_eq(coir_poll(fds[0], POLLIN | POLLOUT, COIR_FOREVER), POLLOUT);
    fill(fds[0]);
    expect_eq(coir_poll(fds[0], POLLIN | POLLOUT, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_poll(fds[0], POLLIN | POLLOUT, coir_after(COIR_MS)), -ETIMEDOUT);
    let(&far, takes_all, fds[1]);
    expect_eq(coir_poll(fds[0], POLLIN | POLLOUT, coir_after(10 * COIR_SEC)), POLLOUT);
    has_acted(&far);
    takes_all(fds[1]);
    fill(fds[0]);
    let(&far, says_one, fds[1]);
    expect_eq(coir_poll(fds[0], POLLIN | POLLOUT, coir_after(10 * COIR_SEC)), POLLIN);
    has_acted(&far);
    expect_eq(coir_read(fds[0], &c, 1, COIR_NOW), 1);
    close_pair(fds);
    return 0;
}

// Unread data is not what was asked for.
static int the_end_behind_unread_data(void *arg)
{
    struct far far;
    int fds[2];

    (void)arg;
    for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
        if (is_tcp)
            tcp_pair(fds);
        else
            unix_pair(fds);
        says_one(fds[1]);
        expect(coir_poll(fds[0], POLLIN, coir_after(10 * COIR_SEC)) & POLLIN);
        expect_eq(coir_poll(fds[0], POLLRDHUP, COIR_NOW), -ETIMEDOUT);
        expect_eq(coir_poll(fds[0], POLLRDHUP, coir_after(2 * COIR_MS)), -ETIMEDOUT);
        let(&far, half_closes, fds[1]);
        expect_eq(coir_poll(fds[0], POLLRDHUP, coir_after(10 * COIR_SEC)), POLLRDHUP);
        has_acted(&far);
        close_pair(fds);
    }
    return 0;
}

// A hang-up is told to who asked for nothing.
static int a_hang_up_is_always_told(void *arg)
{
    struct far far;
    int fds[2];

    (void)arg;
    unix_pair(fds);
    says_one(fds[1]);
    expect_eq(coir_poll(fds[0], 0, coir_after(2 * COIR_MS)), -ETIMEDOUT);
    let(&far, hangs_up, fds[1]);
    expect(coir_poll(fds[0], 0, coir_after(10 * COIR_SEC)) & POLLHUP);
    has_acted(&far);
    close_pair(fds);
    expect_eq(coir_poll(999, POLLIN, COIR_FOREVER), -EBADF); // nobody's
    return 0;
}

static coir_waitgroup group;

// Urgent data is told to who asks for it, and only to him: a reader would take its mark away.
static int urgent_data(void *arg)
{
    struct far far;
    int fds[2];
    char c;

    (void)arg;
    tcp_pair(fds);
    says_one(fds[1]);
    expect(coir_poll(fds[0], POLLIN, coir_after(10 * COIR_SEC)) & POLLIN);
    expect_eq(coir_poll(fds[0], POLLPRI, coir_after(2 * COIR_MS)), -ETIMEDOUT);
    let(&far, says_urgent, fds[1]);
    expect_eq(coir_poll(fds[0], POLLPRI, coir_after(10 * COIR_SEC)), POLLPRI);
    has_acted(&far);
    expect_eq(coir_recv(fds[0], &c, 1, MSG_OOB, COIR_FOREVER), 1);
    expect_eq(c, '!');
    expect_eq(coir_read(fds[0], &c, 1, COIR_FOREVER), 1);
    expect_eq(c, 'x');
    close_pair(fds);
    return 0;
}

static atomic_int n_polled;

static void polls(int fd, int events, int wanted)
{
    expect_eq(coir_poll(fd, (short)events, coir_after(20 * COIR_SEC)), wanted);
    atomic_fetch_add(&n_polled, 1);
    coir_waitgroup_done(&group);
}

// Each of several gets its own, however they stand in line.
static int several_at_once(void *arg)
{
    int fds[2];
    char c;

    (void)arg;
    unix_pair(fds);
    fill(fds[0]);
    n_polled = 0;
    coir_waitgroup_add(&group, 5);
    expect_eq(go(polls, fds[0], POLLRDHUP, POLLRDHUP), 0);
    expect_eq(go(polls, fds[0], POLLIN | POLLOUT, POLLIN), 0);
    expect_eq(go(polls, fds[0], POLLOUT, POLLOUT), 0);
    expect_eq(go(polls, fds[0], POLLIN, POLLIN), 0);
    expect_eq(go(polls, fds[0], POLLOUT, POLLOUT), 0);
    expect_eq(coir_sleep(3 * COIR_MS), 0);
    expect_eq(n_polled, 0);
    says_one(fds[1]);
    while (n_polled < 2) expect_eq(coir_sleep(100 * COIR_US), 0);
    expect_eq(coir_sleep(2 * COIR_MS), 0);
    expect_eq(n_polled, 2);
    takes_all(fds[1]);
    while (n_polled < 4) expect_eq(coir_sleep(100 * COIR_US), 0);
    expect_eq(coir_sleep(2 * COIR_MS), 0);
    expect_eq(n_polled, 4);
    expect_eq(coir_read(fds[0], &c, 1, COIR_NOW), 1);
    half_closes(fds[1]);
    expect_eq(coir_waitgroup_wait(&group, coir_after(20 * COIR_SEC)), 0);
    close_pair(fds);
    return 0;
}

int main(void)
{
    everywhere("either way", either_way);
    everywhere("the end", the_end_behind_unread_data);
    everywhere("hang-up", a_hang_up_is_always_told);
    everywhere("urgent", urgent_data);
    on_coroutines("several", several_at_once);
    return 0;
}
