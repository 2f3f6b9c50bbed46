// SPDX-License-Identifier: MIT
// Goal:   sockets and pipes behave the same in every mode: data, deadlines, close.
// Method: a plain program over the public interface (mode.h says on what it runs); every scene on
//         one and two workers, over TCP for IPv4 and IPv6, over Unix sockets, and from a thread.
#include <coir.h>
#include <coir/go.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/io/mode.h"
#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;
static coir_waitgroup group;

static void pair(int fds[2])
{
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

// The address a listener got, as coir_dial wants it.
static void name_of(int listener, char *text, size_t n)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);

    expect_eq(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    if (a.ss_family == AF_INET)
        snprintf(text, n, "127.0.0.1:%d", ntohs(((struct sockaddr_in *)&a)->sin_port));
    else if (a.ss_family == AF_INET6)
        snprintf(text, n, "[::1]:%d", ntohs(((struct sockaddr_in6 *)&a)->sin6_port));
    else
        snprintf(text, n, "unix:%s", ((struct sockaddr_un *)&a)->sun_path);
}

// ---- Echo -----------------------------------------------------------------------------

static void serve(int fd)
{
    char buf[512];
    ssize_t n;

    while ((n = coir_read(fd, buf, sizeof(buf), COIR_FOREVER)) > 0)
        expect_eq(coir_write_all(fd, buf, (size_t)n, COIR_FOREVER), n);
    expect_eq(n, 0);
    expect_eq(coir_close(fd), 0);
    coir_waitgroup_done(&group);
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0) {
        coir_waitgroup_add(&group, 1);
        expect_eq(go(serve, fd), 0);
    }
    expect_eq(fd, -EBADF); // the listener was closed under it
    coir_waitgroup_done(&group);
}

static void talk(const char *address)
{
    char out[1000], in[1000];
    int fd = coir_dial(address, coir_after(5 * COIR_SEC));

    expect(fd >= 0);
    for (int i = 0; i < 20; i++) {
        memset(out, 'a' + i, sizeof(out));
        expect_eq(coir_write_all(fd, out, sizeof(out), COIR_FOREVER), sizeof(out));
        expect_eq(coir_read_full(fd, in, sizeof(in), COIR_FOREVER), sizeof(in));
        expect_eq(memcmp(in, out, sizeof(in)), 0);
    }
    expect_eq(coir_shutdown(fd, SHUT_WR), 0);
    expect_eq(coir_read(fd, in, sizeof(in), COIR_FOREVER), 0);
    expect_eq(coir_close(fd), 0);
}

static coir_waitgroup clients;

static void client(const char *address)
{
    talk(address);
    coir_waitgroup_done(&clients);
}

static void *client_on_a_thread(void *address)
{
    talk(address);
    return NULL;
}

static int echo_over(void *address)
{
    coir_listen_options options = {.tcp_nodelay = true};
    int listener = coir_listen(address, &options);
    char name[200];
    pthread_t thread;

    expect(listener >= 0);
    name_of(listener, name, sizeof(name));
    coir_waitgroup_add(&group, 1);
    coir_waitgroup_add(&clients, 50);
    expect_eq(go(accept_all, listener), 0);
    expect_eq(pthread_create(&thread, NULL, client_on_a_thread, name), 0);
    for (int i = 0; i < 50; i++) expect_eq(go(client, (const char *)name), 0);
    // The listener stays until the last has been accepted: its queue dies with it.
    expect_eq(coir_waitgroup_wait(&clients, COIR_FOREVER), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0) expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(coir_close(listener), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    return 0;
}

// ---- Deadlines ------------------------------------------------------------------------

static int deadlines(void *arg)
{
    int fds[2];
    char c = 'x';

    (void)arg;
    pair(fds);
    // A number that a worker which starts meanwhile is not given when it is closed here.
    expect_eq(dup3(fds[1], 600, O_CLOEXEC), 600);
    close(fds[1]);
    fds[1] = 600;
    expect_eq(coir_read(fds[0], &c, 1, COIR_NOW), -ETIMEDOUT);
    for (int i = 1; i < 5; i++) {
        int64_t from = coir_now();
        expect_eq(coir_read(fds[0], &c, 1, coir_after(i * COIR_MS)), -ETIMEDOUT);
        expect(coir_now() - from >= i * COIR_MS);
    }
    expect_eq(coir_poll(fds[0], POLLIN, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_recv(fds[0], &c, 1, MSG_DONTWAIT, COIR_FOREVER), -EAGAIN);
    expect_eq(coir_write(fds[1], "y", 1, COIR_NOW), 1);
    expect_eq(coir_poll(fds[0], POLLIN, coir_after(COIR_SEC)), POLLIN);
    expect_eq(coir_read(fds[0], &c, 1, COIR_NOW), 1);
    expect_eq(c, 'y');
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_write(fds[1], "y", 1, COIR_FOREVER), -EPIPE); // and no SIGPIPE
    expect_eq(coir_close(fds[1]), 0);
    expect_eq(coir_close(fds[1]), -EBADF);
    expect_eq(coir_read(fds[1], &c, 1, COIR_FOREVER), -EBADF);
    return 0;
}

// ---- Close wakes, numbers are re-used -------------------------------------------------

static void reads_until_closed(int fd)
{
    char c;

    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), -EBADF);
    coir_waitgroup_done(&group);
}

static void polls_until_closed(int fd)
{
    expect_eq(coir_poll(fd, POLLIN, COIR_FOREVER), -EBADF);
    coir_waitgroup_done(&group);
}

static void *reads_on_a_thread(void *arg)
{
    reads_until_closed(*(int *)arg);
    return NULL;
}

static int counts_parked(void *arg, const coir_coroutine_info *info)
{
    *(int *)arg += info->state == COIR_PARKED;
    return 0;
}

// Who has not begun yet when the number is given away is of the new one.
static void wait_for_parked(int n)
{
    for (int now = 0; now < n;) {
        expect_eq(coir_sleep(100 * COIR_US), 0);
        now = 0;
        expect_eq(coir_each(NULL, counts_parked, &now), 0);
    }
}

static int close_wakes(void *arg)
{
    (void)arg;
    for (int round = 0; round < 50; round++) {
        int fds[2], again[2];
        char c = 0;

        pair(fds);
        coir_waitgroup_add(&group, 4);
        for (int i = 0; i < 3; i++) expect_eq(go(reads_until_closed, fds[0]), 0);
        expect_eq(go(polls_until_closed, fds[0]), 0);
        wait_for_parked(4);
        expect_eq(coir_close(fds[0]), 0);
        pair(again); // the number again, and data that the old readers must not get
        expect_eq(coir_write(again[1], "z", 1, COIR_FOREVER), 1);
        expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
        expect_eq(coir_read(again[0], &c, 1, coir_after(COIR_SEC)), 1);
        expect_eq(c, 'z');
        expect_eq(coir_close(again[0]), 0);
        expect_eq(coir_close(again[1]), 0);
        expect_eq(coir_close(fds[1]), 0);
    }

    int fds[2];
    pthread_t thread;
    pair(fds);
    coir_waitgroup_add(&group, 1);
    expect_eq(pthread_create(&thread, NULL, reads_on_a_thread, &fds[0]), 0);
    coir_sleep(5 * COIR_MS);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    pthread_join(thread, NULL);
    expect_eq(coir_close(fds[1]), 0);
    return 0;
}

// ---- Turns: two readers in order ------------------------------------------------------

static char order[3];
static int n_order;

static void reads_one(int fd, char name)
{
    char c;

    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), 1);
    order[n_order++] = name;
    coir_waitgroup_done(&group);
}

static int readers_take_turns(void *arg)
{
    int fds[2];

    (void)arg;
    pair(fds);
    n_order = 0;
    coir_waitgroup_add(&group, 3);
    for (char name = 'a'; name <= 'c'; name++) {
        expect_eq(go(reads_one, fds[0], name), 0);
        coir_sleep(COIR_MS);
    }
    for (int i = 0; i < 3; i++) {
        expect_eq(coir_write(fds[1], "x", 1, COIR_FOREVER), 1);
        coir_sleep(COIR_MS);
    }
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    expect_eq(memcmp(order, "abc", 3), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    return 0;
}

// ---- Pipes, foreign O_NONBLOCK, vectors -----------------------------------------------

static void writes_much(int fd)
{
    char *much = calloc(1, 1 << 20);

    expect_eq(coir_write_all(fd, much, 1 << 20, COIR_FOREVER), 1 << 20);
    free(much);
    expect_eq(coir_close(fd), 0);
    coir_waitgroup_done(&group);
}

static int drain(int fd)
{
    char buf[5000];
    ssize_t n;
    int sum = 0;

    while ((n = coir_read(fd, buf, sizeof(buf), COIR_FOREVER)) > 0) sum += (int)n;
    expect_eq(n, 0);
    expect_eq(coir_close(fd), 0);
    return sum;
}

static int pipes(void *arg)
{
    int fds[2];

    (void)arg;
    for (int flags = 0; flags < 2; flags++) {
        expect_eq(pipe2(fds, O_CLOEXEC | (flags ? O_NONBLOCK : 0)), 0);
        coir_waitgroup_add(&group, 1);
        expect_eq(go(writes_much, fds[1]), 0);
        expect_eq(drain(fds[0]), 1 << 20);
        expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);

        expect_eq(socketpair(AF_UNIX, SOCK_STREAM | (flags ? SOCK_NONBLOCK : 0), 0, fds),
                  0);
        coir_waitgroup_add(&group, 1);
        expect_eq(go(writes_much, fds[1]), 0);
        expect_eq(drain(fds[0]), 1 << 20);
        expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    }

    char a[3], b[4];
    struct iovec out[2] = {{"abc", 3}, {"defg", 4}};
    struct iovec in[2] = {{a, 3}, {b, 4}};
    pair(fds);
    expect_eq(coir_writev(fds[1], out, 2, COIR_FOREVER), 7);
    expect_eq(coir_readv(fds[0], in, 2, COIR_FOREVER), 7);
    expect_eq(memcmp(b, "defg", 4), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    return 0;
}

// ---- Accept without descriptors -------------------------------------------------------

static void dials(const char *address)
{
    int fd = coir_dial(address, coir_after(5 * COIR_SEC));
    char c;

    if (fd >= 0) {
        expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), 0);
        expect_eq(coir_close(fd), 0);
    }
    coir_waitgroup_done(&group);
}

static int accept_backs_off(void *arg)
{
    int listener = coir_listen("127.0.0.1:0", NULL);
    struct rlimit before, tight;
    char name[200];

    (void)arg;
    expect(listener >= 0);
    name_of(listener, name, sizeof(name));
    coir_waitgroup_add(&group, 1);
    expect_eq(go(dials, (const char *)name), 0);
    coir_sleep(5 * COIR_MS); // it is connected now
    expect_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = (struct rlimit){3, before.rlim_max};
    expect_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    expect_eq(coir_accept(listener, NULL, NULL, 0, coir_after(30 * COIR_MS)), -ETIMEDOUT);
    expect_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = coir_accept(listener, NULL, NULL, 0, coir_after(5 * COIR_SEC));
    expect(fd >= 0);
    expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    expect_eq(coir_close(fd), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    expect_eq(coir_close(listener), 0);
    return 0;
}

// ---- Addresses ------------------------------------------------------------------------

static int addresses(void *arg)
{
    char path[100], address[110];

    (void)arg;
    expect_eq(coir_listen("nonsense", NULL), -EINVAL);
    expect_eq(coir_listen("127.0.0.1:99999", NULL), -EINVAL);
    expect_eq(coir_listen(NULL, NULL), -EINVAL);
    expect_eq(coir_dial("127.0.0.1:1", coir_after(COIR_SEC)), -ECONNREFUSED);
    expect_eq(coir_dial("no-such-host.invalid:80", coir_after(20 * COIR_SEC)), -ENOENT);

    snprintf(path, sizeof(path), "/tmp/coir-test-%d", getpid());
    snprintf(address, sizeof(address), "unix:%s", path);
    int fd = coir_listen(address, NULL);
    expect(fd >= 0);
    expect_eq(coir_listen(address, NULL), -EADDRINUSE);
    expect_eq(coir_close(fd), 0);
    fd = coir_listen(address, NULL); // nobody serves it any more: taken over
    expect(fd >= 0);
    expect_eq(coir_close(fd), 0);
    unlink(path);
    return 0;
}

// ---- Cancel: a stop ends what waits ---------------------------------------------------

static void waits_for_ever(int fd)
{
    char c;

    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), -ECANCELED);
    expect_eq(coir_close(fd), 0);
    coir_waitgroup_done(&group);
}

static int leave_readers(void *other_ends)
{
    int *others = other_ends;

    coir_waitgroup_add(&group, 20);
    for (int i = 0; i < 20; i++) {
        int fds[2];
        pair(fds);
        others[i] = fds[1];
        expect_eq(go(waits_for_ever, fds[0]), 0);
    }
    return coir_sleep(COIR_MS);
}

static void run_cancels_readers(void)
{
    int others[20];

    expect_eq(coir_run(&config, leave_readers, others), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_NOW), 0);
    for (int i = 0; i < 20; i++) close(others[i]);
}

static void all(unsigned workers)
{
    static char unix_address[64];

    config.workers = workers;
    snprintf(unix_address, sizeof(unix_address), "unix:/tmp/coir-io-%d", getpid());
    expect_eq(coir_run(&config, echo_over, "127.0.0.1:0"), 0);
    expect_eq(coir_run(&config, echo_over, "[::1]:0"), 0);
    expect_eq(coir_run(&config, echo_over, unix_address), 0);
    unlink(unix_address + 5);
    expect_eq(coir_run(&config, deadlines, NULL), 0);
    expect_eq(coir_run(&config, close_wakes, NULL), 0);
    expect_eq(coir_run(&config, readers_take_turns, NULL), 0);
    expect_eq(coir_run(&config, pipes, NULL), 0);
    expect_eq(coir_run(&config, accept_backs_off, NULL), 0);
    expect_eq(coir_run(&config, addresses, NULL), 0);
    run_cancels_readers();
}

int main(void)
{
    mode_check();
    int before = count_fds();

    all(1);
    all(2);
    expect_eq(count_fds(), before);
    return 0;
}
