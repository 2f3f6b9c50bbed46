// SPDX-License-Identifier: MIT
// Goal:   coir_close from elsewhere wakes every kind of waiter with -EBADF, and the ends of streams
//         (half-close, reset, end) are told as they are.
// Method: one waiter of each kind, on coroutines and on threads, on every driver.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/io/everywhere.h"

// ---- Every kind of waiter ---------------------------------------------------------------------

static ssize_t reads(int fd)
{
    char c[4];
    return coir_read(fd, c, sizeof(c), COIR_FOREVER);
}
static ssize_t reads_vectors(int fd)
{
    char c[4];
    struct iovec one = {c, sizeof(c)};
    return coir_readv(fd, &one, 1, COIR_FOREVER);
}
static ssize_t receives(int fd)
{
    char c[4];
    return coir_recv(fd, c, sizeof(c), 0, COIR_FOREVER);
}
static ssize_t receives_from(int fd)
{
    char c[4];
    return coir_recvfrom(fd, c, sizeof(c), 0, NULL, NULL, COIR_FOREVER);
}
static ssize_t polls(int fd)
{
    return coir_poll(fd, POLLIN, COIR_FOREVER);
}
static ssize_t polls_urgent(int fd)
{
    return coir_poll(fd, POLLPRI, COIR_FOREVER);
}
static ssize_t accepts(int fd)
{
    return coir_accept(fd, NULL, NULL, 0, COIR_FOREVER);
}
// Writes until nobody takes it: what was taken is counted, then the close is told.
static ssize_t writes(int fd)
{
    static char much[1 << 16];
    ssize_t put;

    while ((put = coir_write(fd, much, sizeof(much), COIR_FOREVER)) > 0) continue;
    return put;
}
static ssize_t sends_messages(int fd)
{
    static char much[1 << 16];
    ssize_t put;

    while ((put = coir_sendto(fd, much, sizeof(much), 0, NULL, 0, COIR_FOREVER)) > 0)
        continue;
    return put;
}

enum kind { STREAM, PIPE_IN, PIPE_OUT, LISTENER, FOREIGN_LISTENER, UDP };

static const struct {
    const char *name;
    enum kind kind;
    ssize_t (*wait)(int fd);
} waits[] = {
    {"read", STREAM, reads},
    {"readv", STREAM, reads_vectors},
    {"recv", STREAM, receives},
    {"recvfrom", UDP, receives_from},
    {"poll", STREAM, polls},
    {"poll for urgent data", STREAM, polls_urgent},
    {"write", STREAM, writes},
    {"sendto", STREAM, sends_messages},
    {"read of a pipe", PIPE_IN, reads},
    {"write of a pipe", PIPE_OUT, writes},
    {"accept", LISTENER, accepts},
    {"accept of a host's", FOREIGN_LISTENER, accepts},
};

static int make(enum kind kind, int *ret_other)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fds[2];
    int fd;

    *ret_other = -1;
    switch (kind) {
    case STREAM:
        expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        *ret_other = fds[1];
        return fds[0];
    case PIPE_IN:
    case PIPE_OUT:
        expect_eq(pipe2(fds, O_CLOEXEC), 0);
        *ret_other = fds[kind == PIPE_IN];
        return fds[kind == PIPE_OUT];
    case LISTENER: return coir_listen("127.0.0.1:0", NULL);
    default:
        fd = socket(AF_INET, (kind == UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        expect(fd >= 0);
        expect_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
        if (kind != UDP) expect_eq(listen(fd, 5), 0);
        return fd;
    }
}

struct waiting {
    coir_waitgroup *group;
    ssize_t (*wait)(int fd);
    int fd;
    ssize_t got;
};

static void wait_on_it(struct waiting *w)
{
    w->got = w->wait(w->fd);
    coir_waitgroup_done(w->group);
}

static void *wait_on_a_thread(void *arg)
{
    wait_on_it(arg);
    return NULL;
}

static int every_kind(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        int other;
        int fd = make(waits[i].kind, &other);
        coir_waitgroup group = {0};
        struct waiting here = {&group, waits[i].wait, fd, 0};
        struct waiting there = here;
        struct waiting behind = here; // waits for its turn
        pthread_t thread;

        expect(fd >= 0);
        coir_waitgroup_add(&group, 3);
        expect_eq(go(wait_on_it, &here), 0);
        expect_eq(pthread_create(&thread, NULL, wait_on_a_thread, &there), 0);
        expect_eq(go(wait_on_it, &behind), 0);
        expect_eq(coir_sleep(4 * COIR_MS), 0);
        expect_eq(coir_close(fd), 0);
        int err = coir_waitgroup_wait(&group, coir_after(20 * COIR_SEC));
        if (err || here.got != -EBADF || there.got != -EBADF || behind.got != -EBADF)
            printf("%s: %d, %zd %zd %zd\n", waits[i].name, err, here.got, there.got,
                   behind.got);
        expect_eq(err, 0);
        expect_eq(here.got, -EBADF);
        expect_eq(there.got, -EBADF);
        expect_eq(behind.got, -EBADF);
        while (pthread_tryjoin_np(thread, NULL) != 0) expect_eq(coir_sleep(COIR_MS), 0);
        if (other >= 0) expect_eq(coir_close(other), 0);
    }
    return 0;
}

// ---- How streams end --------------------------------------------------------------------------

static void connect_pair(int *ret_a, int *ret_b)
{
    int listener = coir_listen("127.0.0.1:0", NULL);
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    char address[64];

    expect(listener >= 0);
    expect_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(in.sin_port));
    expect((*ret_a = coir_dial(address, coir_after(5 * COIR_SEC))) >= 0);
    expect((*ret_b = coir_accept(listener, NULL, NULL, 0, coir_after(5 * COIR_SEC))) >=
           0);
    expect_eq(coir_close(listener), 0);
}

static int ends_of_streams(void *arg)
{
    struct linger hard = {1, 0};
    char buf[16];
    int a, b;

    (void)arg;
    connect_pair(&a, &b); // half-close: the other direction goes on
    expect_eq(coir_write(a, "last", 4, COIR_FOREVER), 4);
    expect_eq(coir_shutdown(a, SHUT_WR), 0);
    expect_eq(coir_read_full(b, buf, 5, COIR_FOREVER), 4);
    expect_eq(coir_read(b, buf, 1, COIR_FOREVER), 0);
    expect_eq(coir_read(b, buf, 1, COIR_NOW), 0); // and stays at the end
    expect_eq(coir_write(b, "still", 5, COIR_FOREVER), 5);
    expect_eq(coir_read_full(a, buf, 5, COIR_FOREVER), 5);
    expect_eq(coir_write(a, "x", 1, COIR_FOREVER), -EPIPE);
    expect_eq(coir_close(a), 0);
    expect_eq(coir_close(b), 0);

    connect_pair(&a, &b); // a reset
    expect_eq(setsockopt(a, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    expect_eq(coir_close(a), 0);
    expect_eq(coir_read(b, buf, 1, coir_after(5 * COIR_SEC)), -ECONNRESET);
    expect_eq(coir_write(b, "x", 1, COIR_FOREVER), -EPIPE);
    expect_eq(coir_close(b), 0);
    return 0;
}

// ---- A write that moved something before its deadline -----------------------------------------

// Of the n bytes that were to go from a to b 'put' went, and no more come.
static void so_much_came(int a, int b, char *much, size_t n, ssize_t put)
{
    expect_eq(coir_shutdown(a, SHUT_WR), 0);
    expect_eq(coir_read_full(b, much, n, COIR_FOREVER), put);
    expect_eq(coir_close(a), 0);
    expect_eq(coir_close(b), 0);
    free(much);
}

static int partial_writes_count(void *arg)
{
    size_t n = 32 << 20;
    char *much = calloc(1, n);
    ssize_t more;
    int a, b;

    (void)arg;
    connect_pair(&a, &b);
    int64_t when = coir_after(10 * COIR_MS);
    ssize_t put = coir_write_all(a, much, n, when);
    expect(put > 0 && (size_t)put < n);
    expect(coir_now() >= when);
    // What the far end's kernel has taken meanwhile may have made room.
    while ((more = coir_write(a, much, n - (size_t)put, COIR_NOW)) > 0) put += more;
    expect_eq(more, -ETIMEDOUT);
    so_much_came(a, b, much, n, put);
    return 0;
}

struct canceller {
    coir_scope scope;
    int far;
    pthread_t thread;
};

// When something has arrived.
static void *cancels_soon(void *arg)
{
    struct canceller *c = arg;
    int n = 0;

    while (n == 0) expect_eq(ioctl(c->far, FIONREAD, &n), 0);
    usleep(3000);
    coir_scope_cancel(&c->scope);
    return NULL;
}

// The same of a cancel, and of a read: the next call says why it was less.
static int what_was_moved_before_a_cancel_counts(void *arg)
{
    size_t n = 32 << 20;
    char *much = calloc(1, n);
    struct canceller c;
    char five[5];
    int a, b;

    (void)arg;
    connect_pair(&a, &b);
    expect_eq(coir_write(b, "abc", 3, COIR_FOREVER), 3);
    expect_eq(coir_read_full(a, five, 5, coir_after(20 * COIR_MS)), 3);
    expect_eq(coir_read_full(a, five, 5, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_scope_open(&c.scope, COIR_FOREVER), 0);
    c.far = b;
    expect_eq(pthread_create(&c.thread, NULL, cancels_soon, &c), 0);
    ssize_t put = coir_write_all(a, much, n, COIR_FOREVER);
    expect(put > 0 && (size_t)put < n);
    expect_eq(coir_write_all(a, much, n, COIR_FOREVER), -ECANCELED);
    expect_eq(pthread_join(c.thread, NULL), 0);
    expect_eq(coir_scope_wait(&c.scope), -ECANCELED);
    so_much_came(a, b, much, n, put);
    return 0;
}

int main(void)
{
    on_coroutines("every kind of waiter", every_kind);
    everywhere("ends of streams", ends_of_streams);
    everywhere("partial writes", partial_writes_count);
    everywhere("before a cancel", what_was_moved_before_a_cancel_counts);
    return 0;
}
