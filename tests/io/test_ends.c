// SPDX-License-Identifier: MIT
// Goal:   how streams end - half-close, reset, end of file - and what the library must leave alone:
//         the blocking mode of descriptors that it did not make, and who inherits its own.
// Method: TCP, pipes and a pseudo-terminal, blocking and not, on coroutines and on an ordinary
//         thread; every descriptor that appears while a runtime lives is close-on-exec.
#include <coir/go.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "tests/io/mode.h"
#include "tests/lib/test.h"

// Two ends of a connection over the loopback.
static void connect_tcp(int fds[2])
{
    int listener = coir_listen("127.0.0.1:0", NULL);
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    char address[40];

    expect_eq(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(a.sin_port));
    fds[0] = coir_dial(address, coir_after(5 * COIR_SEC));
    expect(fds[0] >= 0);
    len = sizeof(a);
    fds[1] =
        coir_accept(listener, (struct sockaddr *)&a, &len, 0, coir_after(5 * COIR_SEC));
    expect(fds[1] >= 0);
    expect_eq(len, sizeof(a));
    expect_eq(coir_close(listener), 0);
}

static void close_both(const int fds[2])
{
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
}

// Not a listener, and nothing will ever be there: told at once, not at the deadline.
static int accept_of_a_pipe(void *arg)
{
    int fds[2];

    (void)arg;
    expect_eq(pipe2(fds, O_CLOEXEC), 0);
    expect_eq(coir_accept(fds[0], NULL, NULL, 0, COIR_FOREVER), -ENOTSOCK);
    close_both(fds);
    return 0;
}

// ---- Ends -----------------------------------------------------------------------------

static int half_close(void *arg)
{
    char buf[10];
    int fds[2];

    (void)arg;
    connect_tcp(fds);
    expect_eq(coir_write_all(fds[0], "last", 4, COIR_FOREVER), 4);
    expect_eq(coir_shutdown(fds[0], SHUT_WR), 0);
    expect_eq(coir_read_full(fds[1], buf, sizeof(buf), COIR_FOREVER),
              4); // short: the end
    expect_eq(coir_read(fds[1], buf, sizeof(buf), COIR_FOREVER), 0);
    expect_eq(coir_read(fds[1], buf, sizeof(buf), COIR_NOW), 0); // and it stays so
    expect(coir_poll(fds[1], POLLIN | POLLRDHUP, COIR_FOREVER) & POLLRDHUP);
    expect_eq(coir_write(fds[0], "x", 1, COIR_FOREVER), -EPIPE); // and no SIGPIPE
    expect_eq(coir_write_all(fds[1], "answer", 6, COIR_FOREVER),
              6); // the other way is open
    expect_eq(coir_read_full(fds[0], buf, 6, COIR_FOREVER), 6);
    close_both(fds);
    return 0;
}

static void reset(int fd)
{
    struct linger at_once = {.l_onoff = 1};

    expect_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    expect_eq(coir_close(fd), 0);
}

static int reset_before_and_while_reading(void *arg)
{
    char c;
    int fds[2];

    (void)arg;
    connect_tcp(fds);
    reset(fds[0]);
    expect_eq(coir_read(fds[1], &c, 1, COIR_FOREVER), -ECONNRESET);
    expect_eq(coir_read(fds[1], &c, 1, COIR_FOREVER), 0); // the error is told once
    expect_eq(coir_write(fds[1], "x", 1, COIR_FOREVER), -EPIPE);
    expect_eq(coir_close(fds[1]), 0);
    connect_tcp(fds);
    reset(fds[0]);
    expect(coir_poll(fds[1], POLLIN, COIR_FOREVER) & (POLLERR | POLLHUP));
    expect_eq(coir_close(fds[1]), 0);
    return 0;
}

static void reset_soon(int fd)
{
    expect_eq(coir_sleep(2 * COIR_MS), 0);
    reset(fd);
}

static int reset_under_a_reader(void *arg)
{
    char c;
    int fds[2];

    (void)arg;
    connect_tcp(fds);
    expect_eq(go(reset_soon, fds[0]), 0);
    expect_eq(coir_read(fds[1], &c, 1, coir_after(10 * COIR_SEC)), -ECONNRESET);
    expect_eq(coir_close(fds[1]), 0);
    return 0;
}

// ---- Descriptors of the host's --------------------------------------------------------

// What was moved before the deadline is returned; the mode is as it was.
static void write_until_full(int fd)
{
    static char much[1 << 20];
    int flags = fcntl(fd, F_GETFL);
    ssize_t sum = 0, n;

    while ((n = coir_write(fd, much, sizeof(much), coir_after(3 * COIR_MS))) > 0)
        sum += n;
    expect_eq(n, -ETIMEDOUT);
    expect(sum > 0 && sum < (ssize_t)sizeof(much));
    expect_eq(fcntl(fd, F_GETFL), flags);
}

static void wait_in_vain(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    int64_t deadline = coir_after(3 * COIR_MS);
    char c;

    expect_eq(coir_read(fd, &c, 1, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_read(fd, &c, 1, deadline), -ETIMEDOUT);
    expect(coir_now() >= deadline);
    expect(coir_now() < deadline + 2 * COIR_SEC * test_slowness());
    expect_eq(coir_poll(fd, POLLIN, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(fcntl(fd, F_GETFL), flags);
}

static void give_and_take(int from, int to)
{
    char buf[8] = "";
    int flags_from = fcntl(from, F_GETFL), flags_to = fcntl(to, F_GETFL);

    expect_eq(coir_write(from, "line\n", 5, COIR_FOREVER), 5);
    expect_eq(coir_read(to, buf, sizeof(buf), COIR_FOREVER), 5);
    expect_eq(memcmp(buf, "line\n", 5), 0);
    expect_eq(fcntl(from, F_GETFL), flags_from);
    expect_eq(fcntl(to, F_GETFL), flags_to);
}

static int pipes_keep_their_mode(void *arg)
{
    int fds[2];

    (void)arg;
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        expect_eq(pipe2(fds, O_CLOEXEC | flags), 0);
        wait_in_vain(fds[0]);
        give_and_take(fds[1], fds[0]);
        write_until_full(fds[1]);
        expect_eq(coir_close(fds[1]), 0);
        expect_eq(coir_close(fds[0]), 0);
    }
    return 0;
}

static int terminals_keep_their_mode(void *arg)
{
    struct termios raw;
    int master, slave;
    char c;

    (void)arg;
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        expect_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
        expect_eq(tcgetattr(slave, &raw), 0);
        cfmakeraw(&raw);
        expect_eq(tcsetattr(slave, TCSANOW, &raw), 0);
        expect_eq(fcntl(slave, F_SETFL, O_RDWR | flags), 0);
        wait_in_vain(slave);
        give_and_take(master, slave);
        give_and_take(slave, master);
        wait_in_vain(master);
        expect_eq(coir_close(slave), 0);
        expect_eq(coir_read(master, &c, 1, COIR_FOREVER), -EIO); // how a terminal ends
        expect_eq(coir_close(master), 0);
    }
    return 0;
}

// Standard input as a shell gives it: a number that others have open too.
static int standard_input_works(void *arg)
{
    int fds[2], saved = fcntl(0, F_DUPFD_CLOEXEC, 3);

    (void)arg;
    expect_eq(pipe2(fds, O_CLOEXEC), 0);
    expect_eq(dup2(fds[0], 0), 0);
    wait_in_vain(0);
    give_and_take(fds[1], 0);
    expect_eq(coir_close(0), 0);
    close_both(fds);
    if (saved >= 0) {
        expect_eq(dup2(saved, 0), 0);
        close(saved);
    }
    return 0;
}

// libpq and libcurl wait in coir_poll and close their sockets themselves.
static int a_number_that_was_only_polled_may_be_closed_by_others(void *arg)
{
    int fds[2], pipes[2];
    char c;

    (void)arg;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    expect_eq(coir_poll(fds[0], POLLIN, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_poll(fds[0], POLLOUT, COIR_NOW), POLLOUT);
    close(fds[0]);
    close(fds[1]);
    expect_eq(coir_poll(fds[0], POLLIN, COIR_NOW), -EBADF);
    expect_eq(coir_poll(fds[0], POLLIN, coir_after(COIR_MS)), -EBADF);
    expect_eq(pipe2(pipes, O_CLOEXEC), 0);
    expect_eq(pipes[0], fds[0]); // the number again, and no socket any more
    expect_eq(coir_write(pipes[1], "x", 1, COIR_FOREVER), 1);
    expect_eq(coir_read(pipes[0], &c, 1, coir_after(COIR_SEC)), 1);
    close_both(pipes);
    return 0;
}

// ---- Inheritance ----------------------------------------------------------------------

static bool was_open[1024];

// What a descriptor is: "socket:[1]", "anon_inode:[eventfd]", "/a/path".
static const char *what_is(int fd, char text[128])
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, text, 127);
    text[n > 0 ? n : 0] = 0;
    return text;
}

// Every descriptor that was not there before is close-on-exec. How many of them are 'kind'.
static int count_close_on_exec(const char *kind)
{
    char text[128];
    int n = 0;

    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (flags < 0 || was_open[fd]) continue;
        if (!(flags & FD_CLOEXEC)) printf("not close-on-exec: %s\n", what_is(fd, text));
        expect_eq(flags & FD_CLOEXEC, FD_CLOEXEC);
        n += strstr(what_is(fd, text), kind) != NULL;
    }
    return n;
}

static coir_waitgroup group;

static void waits_for_child(pid_t pid)
{
    expect_eq(coir_waitpid(pid, NULL, COIR_FOREVER), pid);
    coir_waitgroup_done(&group);
}

static void polls_urgent(int fd)
{
    expect_eq(coir_poll(fd, POLLPRI, COIR_FOREVER), -EBADF);
    coir_waitgroup_done(&group);
}

static void *reads_on_a_thread(void *fd)
{
    char c;

    expect_eq(coir_read(*(int *)fd, &c, 1, COIR_FOREVER), -EBADF);
    return NULL;
}

// Those that stay, and those that a call has while it waits.
static int all_are_close_on_exec(void *arg)
{
    char *sleeps[] = {"sleep", "60", NULL};
    coir_listen_options shared = {.reuse_port = true};
    coir_info info = COIR_INFO_INIT;
    int fds[2], others[2];
    pthread_t thread;
    sigset_t set;
    pid_t pid;

    (void)arg;
    expect_eq(coir_query(NULL, &info), 0);
    bool is_ring = info.driver == COIR_DRIVER_URING;
    connect_tcp(fds);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, others), 0);
    int listener = coir_listen("127.0.0.1:0", &shared);
    int file = coir_open("/dev/null", O_WRONLY, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    int signals = coir_signal_open(&set);
    expect(listener >= 0 && file >= 0 && signals >= 0);
    int eventfds = count_close_on_exec("[eventfd]");
    int watches = count_close_on_exec("[eventpoll]");
    expect_eq(coir_process_start("sleep", sleeps, NULL, NULL, &pid), 0);
    coir_waitgroup_add(&group, 2);
    expect_eq(go(waits_for_child, pid), 0);
    expect_eq(go(polls_urgent, fds[0]), 0);
    expect_eq(pthread_create(&thread, NULL, reads_on_a_thread, &others[0]), 0);
    // Until all three wait.
    while (count_close_on_exec("pidfd") < 1 ||
           count_close_on_exec("[eventfd]") <= eventfds ||
           count_close_on_exec("[eventpoll]") < watches + is_ring)
        expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(count_close_on_exec("socket:["), 5);
    expect_eq(count_close_on_exec("/dev/null"), 1);
    expect_eq(count_close_on_exec("[signalfd]"), 1);
    expect(count_close_on_exec(is_ring ? "[io_uring]" : "[eventpoll]") > 0);
    expect_eq(kill(pid, SIGKILL), 0);
    close_both(others);
    while (pthread_tryjoin_np(thread, NULL) != 0) expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(coir_close(listener), 0);
    expect_eq(coir_close(file), 0);
    expect_eq(coir_close(signals), 0);
    close_both(fds);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    return 0;
}

// ---------------------------------------------------------------------------------------

int main(void)
{
    static int (*const scenes[])(
        void *) = {accept_of_a_pipe,
                   half_close,
                   reset_before_and_while_reading,
                   pipes_keep_their_mode,
                   terminals_keep_their_mode,
                   standard_input_works,
                   a_number_that_was_only_polled_may_be_closed_by_others};
    static int (*const on_coroutines[])(void *) = {reset_under_a_reader,
                                                   all_are_close_on_exec};

    mode_check();
    int before = count_fds();
    for (int fd = 0; fd < 1024; fd++) was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    for (unsigned workers = 1; workers <= 2; workers++) {
        coir_config config = COIR_CONFIG_INIT;

        config.workers = workers;
        for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
            expect_eq(coir_run(&config, scenes[i], NULL), 0);
        for (size_t i = 0; i < sizeof(on_coroutines) / sizeof(on_coroutines[0]); i++)
            expect_eq(coir_run(&config, on_coroutines[i], NULL), 0);
    }
    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
        expect_eq(scenes[i](NULL), 0);
    expect_eq(count_fds(), before);
    return 0;
}
