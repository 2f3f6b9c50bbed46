// SPDX-License-Identifier: MIT
// Goal:   names are resolved, listeners share a port or are systemd's, dial goes on to the next
//         address in time, ends at a cancel, and leaves no descriptor behind.
// Method: names that need no network; a listener whose queue is full stands for a host that does
//         not answer; a child process with systemd's environment.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/io/everywhere.h"

static int resolves(void *arg)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET};
    struct addrinfo *list = NULL;
    char much[300];

    (void)arg;
    expect_eq(coir_resolve("127.0.0.1", "80", &hints, &list, COIR_NOW), 0);
    struct sockaddr_in *in = (struct sockaddr_in *)list->ai_addr;
    expect_eq(in->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    expect_eq(in->sin_port, htons(80));
    coir_resolve_free(list);
    expect_eq(coir_resolve("localhost", NULL, &hints, &list, coir_after(20 * COIR_SEC)),
              0);
    expect_eq(list->ai_family, AF_INET);
    coir_resolve_free(list);
    coir_resolve_free(NULL);
    list = NULL;
    expect_eq(coir_resolve("no-such-host.invalid", "80", &hints, &list, COIR_NOW),
              -ETIMEDOUT);
    int err = coir_resolve("no-such-host.invalid", "80", &hints, &list,
                           coir_after(20 * COIR_SEC));
    expect(err == -ENOENT || err == -EAGAIN || err == -ETIMEDOUT);
    expect_eq(coir_resolve("127.0.0.1", "no-such-service", &hints, &list, COIR_FOREVER),
              -ENOENT);
    hints.ai_family = 12345;
    expect_eq(coir_resolve("127.0.0.1", "80", &hints, &list, COIR_FOREVER), -EINVAL);
    expect_eq(coir_resolve(NULL, NULL, NULL, &list, COIR_FOREVER), -EINVAL);
    expect_eq(coir_resolve("localhost", NULL, NULL, NULL, COIR_FOREVER), -EINVAL);
    memset(much, 'x', sizeof(much));
    much[sizeof(much) - 1] = 0;
    expect_eq(coir_resolve(much, NULL, NULL, &list, COIR_FOREVER), -ENAMETOOLONG);
    expect(!list);
    return 0;
}

// No worker ever looks a name up: without helpers nobody does, and numbers are answered all the
// same.
static int needs_a_helper(void *arg)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;

    (void)arg;
    expect_eq(coir_resolve("no-such-host.invalid", "80", &hints, &list, COIR_FOREVER),
              -EAGAIN);
    expect_eq(coir_dial("no-such-host.invalid:80", COIR_FOREVER), -EAGAIN);
    expect(!list);
    expect_eq(coir_resolve("127.0.0.1", "80", &hints, &list, COIR_NOW), 0);
    coir_resolve_free(list);
    int fd = coir_listen("127.0.0.1:0", NULL);
    expect(fd >= 0);
    expect_eq(coir_close(fd), 0);
    return 0;
}

static void without_helpers(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.helpers = -1;
    for (int i = !have_ring(); i < 2; i++) {
        config.driver = i ? COIR_DRIVER_EPOLL : COIR_DRIVER_URING;
        if (i && rings_alone()) break;
        expect_eq(coir_run(&config, needs_a_helper, NULL), 0);
    }
}

static int port_of(int fd)
{
    struct sockaddr_in in;
    socklen_t len = sizeof(in);

    expect_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    return ntohs(in.sin_port); // at the same place for IPv6
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    expect_eq(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void accepted_as(int listener, const char *address, int flags, bool nodelay)
{
    int fd = coir_dial(address, coir_after(20 * COIR_SEC));
    int accepted = coir_accept(listener, NULL, NULL, flags, coir_after(20 * COIR_SEC));

    expect(fd >= 0 && accepted >= 0);
    expect(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    expect_eq(fcntl(accepted, F_GETFL) & O_NONBLOCK, flags);
    expect_eq(fcntl(accepted, F_GETFD), FD_CLOEXEC);
    expect_eq(option(accepted, IPPROTO_TCP, TCP_NODELAY) != 0, nodelay);
    expect_eq(coir_close(accepted), 0);
    expect_eq(coir_close(fd), 0);
}

// What listen sets, and what those that it accepts have of it.
static int options_are_set(void *arg)
{
    coir_listen_options options = {0};
    char address[64];

    (void)arg;
    for (int on = 0; on < 2; on++) {
        options.tcp_nodelay = options.reuse_port = on;
        int listener = coir_listen("127.0.0.1:0", &options);
        expect(listener >= 0);
        expect_eq(option(listener, SOL_SOCKET, SO_REUSEADDR), 1);
        expect_eq(option(listener, SOL_SOCKET, SO_REUSEPORT), on);
        snprintf(address, sizeof(address), "127.0.0.1:%d", port_of(listener));
        accepted_as(listener, address, 0, on);
        accepted_as(listener, address, SOCK_NONBLOCK, on);
        expect_eq(coir_close(listener), 0);
    }
    options.backlog = -1;
    expect_eq(coir_listen("127.0.0.1:0", &options), -EINVAL);
    return 0;
}

static int accept_all_there_are(int listener)
{
    int n = 0;

    for (int fd; (fd = coir_accept(listener, NULL, NULL, 0, COIR_NOW)) >= 0; n++)
        expect_eq(coir_close(fd), 0);
    return n;
}

// Each of two listeners gets its share, and between them they get all. That one gets none of 64 is
// as likely as 64 coins that agree.
static void both_are_dialled(const char *address, int a, int b)
{
    int fds[64];
    int n_a = 0, n_b = 0;

    for (int i = 0; i < 64; i++) {
        fds[i] = coir_dial(address, coir_after(20 * COIR_SEC));
        expect(fds[i] >= 0);
    }
    while (n_a + n_b < 64) {
        n_a += accept_all_there_are(a);
        n_b += accept_all_there_are(b);
    }
    expect(n_a > 0 && n_b > 0);
    for (int i = 0; i < 64; i++) expect_eq(coir_close(fds[i]), 0);
}

static int ports_are_shared(void *arg)
{
    coir_listen_options shared = {.reuse_port = true};
    char address[64];
    int a = coir_listen("127.0.0.1:0", &shared);

    (void)arg;
    expect(a >= 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", port_of(a));
    int b = coir_listen(address, &shared);
    expect(b >= 0);
    expect_eq(coir_listen(address, NULL), -EADDRINUSE);
    both_are_dialled(address, a, b);
    expect_eq(coir_close(a), 0);
    int fd = coir_dial(address, coir_after(5 * COIR_SEC));
    expect(fd >= 0);
    int accepted = coir_accept(b, NULL, NULL, 0, coir_after(5 * COIR_SEC));
    expect(accepted >= 0);
    expect_eq(coir_close(accepted), 0);
    expect_eq(coir_close(fd), 0);
    expect_eq(coir_close(b), 0);
    return 0;
}

// Fills the queue of a listener that nobody accepts from, until a connect does not come through.
static int fill(const char *address, int *fds, int most)
{
    int n = 0;

    while (n < most && (fds[n] = coir_dial(address, coir_after(20 * COIR_MS))) >= 0) n++;
    expect(n < most);
    return n;
}

static int dial_goes_on(void *arg)
{
    coir_listen_options one = {.backlog = 1};
    char four[64], six[64], both[64];
    int fds[16];
    int silent = coir_listen("127.0.0.1:0", &one);

    (void)arg;
    expect(silent >= 0);
    snprintf(four, sizeof(four), "127.0.0.1:%d", port_of(silent));
    snprintf(six, sizeof(six), "[::1]:%d", port_of(silent));
    snprintf(both, sizeof(both), "localhost:%d", port_of(silent));
    int n = fill(four, fds, 16);

    int before = count_in("/proc/self/fd");
    int64_t when = coir_after(30 * COIR_MS);
    expect_eq(coir_dial(four, when), -ETIMEDOUT);
    expect(coir_now() >= when);
    expect_eq(coir_dial(both, coir_after(40 * COIR_MS)), -ECONNREFUSED); // what came last
    int other = coir_listen(six, NULL);
    expect(other >= 0);
    int fd = coir_dial(both, coir_after(400 * COIR_MS));
    expect(fd >= 0);
    expect_eq(count_in("/proc/self/fd"), before + 2);
    expect_eq(coir_close(fd), 0);
    expect_eq(coir_close(other), 0);
    for (int i = 0; i < n; i++) expect_eq(coir_close(fds[i]), 0);
    expect_eq(coir_close(silent), 0);
    return 0;
}

static atomic_int n_dialling;

static int dials(const char *address)
{
    atomic_fetch_add(&n_dialling, 1);
    return coir_dial(address, COIR_FOREVER);
}

// Ends all who dial for ever, whether a scope's deadline or a call does it.
static void cancel_dials(const char *four, const char *both, bool by_deadline)
{
    coir_scope scope;

    atomic_store(&n_dialling, 0);
    expect_eq(coir_scope_open(&scope,
                              by_deadline ? coir_after(10 * COIR_MS) : COIR_FOREVER),
              0);
    if (coir_current()) {
        expect_eq(coir_scope_go(&scope, dials, four), 0);
        expect_eq(coir_scope_go(&scope, dials, both), 0);
        while (!by_deadline && atomic_load(&n_dialling) < 2) expect_eq(coir_yield(), 0);
    }
    if (!by_deadline && coir_current())
        coir_sleep(2 * COIR_MS); // into the connect, as a rule
    if (!by_deadline) coir_scope_cancel(&scope);
    // Not the error of one address, and no other one is tried: ::1 would refuse.
    expect_eq(coir_dial(both, COIR_FOREVER), -ECANCELED);
    expect_eq(coir_scope_wait(&scope), by_deadline ? -ETIMEDOUT : -ECANCELED);
}

static int dial_is_cancelled(void *arg)
{
    coir_listen_options one = {.backlog = 1};
    char four[64], both[64];
    int fds[16];
    int silent = coir_listen("127.0.0.1:0", &one);

    (void)arg;
    expect(silent >= 0);
    snprintf(four, sizeof(four), "127.0.0.1:%d", port_of(silent));
    snprintf(both, sizeof(both), "localhost:%d", port_of(silent));
    int n = fill(four, fds, 16);
    int before = count_in("/proc/self/fd");

    cancel_dials(four, both, true);
    cancel_dials(four, both, false);
    expect_eq(count_in("/proc/self/fd"), before);
    for (int i = 0; i < n; i++) expect_eq(coir_close(fds[i]), 0);
    expect_eq(coir_close(silent), 0);
    return 0;
}

// ---- systemd ----------------------------------------------------------------------------------

static int takes_what_systemd_passed(void *arg)
{
    coir_listen_options nodelay = {.tcp_nodelay = true};

    (void)arg;
    expect_eq(coir_listen("systemd:", NULL), 3);
    expect_eq(coir_listen("systemd:web", &nodelay), 4);
    expect_eq(fcntl(4, F_GETFD), FD_CLOEXEC);
    expect_eq(coir_listen("systemd:we", NULL), -ENOENT);
    expect_eq(coir_listen("systemd:other", NULL), -EINVAL); // it does not listen
    int fd = coir_dial("127.0.0.1:0", COIR_NOW);
    expect(fd < 0);
    char address[64];
    snprintf(address, sizeof(address), "127.0.0.1:%d", port_of(4));
    fd = coir_dial(address, coir_after(5 * COIR_SEC));
    expect(fd >= 0);
    // It is a blocking listener of somebody else's: under epoll a helper accepts.
    int accepted = coir_accept(4, NULL, NULL, 0, coir_after(5 * COIR_SEC));
    expect(accepted >= 0);
    expect_eq(coir_accept(4, NULL, NULL, 0, coir_after(2 * COIR_MS)), -ETIMEDOUT);
    expect(!(fcntl(4, F_GETFL) & O_NONBLOCK)); // and its mode stays
    expect_eq(coir_close(accepted), 0);
    expect_eq(coir_close(fd), 0);
    return 0;
}

static int plain_listener(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    expect(fd >= 0);
    expect_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    expect_eq(listen(fd, 10), 0);
    return fd;
}

static void move_to(int fd, int number)
{
    expect_eq(dup2(fd, number), number);
    if (fd != number) close(fd);
}

static void as_systemd_starts_us(void)
{
    char pid[16];

    for (int fd = 3; fd < 64; fd++) close(fd);
    expect_eq(coir_listen("systemd:", NULL), -ENOENT);
    move_to(plain_listener(), 3);
    move_to(plain_listener(), 4);
    move_to(socket(AF_INET, SOCK_STREAM, 0), 5);
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "first:web:other", 1);
    setenv("LISTEN_PID", "1", 1); // it was for somebody else
    expect_eq(coir_listen("systemd:", NULL), -ENOENT);
    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    everywhere("systemd", takes_what_systemd_passed);
    for (int fd = 3; fd < 6; fd++) expect_eq(coir_close(fd), 0);
}

int main(void)
{
    everywhere("resolve", resolves);
    without_helpers();
    everywhere("options", options_are_set);
    everywhere("reuse_port", ports_are_shared);
    everywhere("dial", dial_goes_on);
    everywhere("dial is cancelled", dial_is_cancelled);
    as_systemd_starts_us();
    return 0;
}
