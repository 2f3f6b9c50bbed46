// SPDX-License-Identifier: MIT
// Goal:   a host's process is after a runtime what it was before, and but for what the contract
//         names also while it runs.
// Method: everything a process has that a library could touch is written down before a start,
//         while coroutines of every kind run, and after the stop; then N starts and stops.
//
// traces N
#include <coir/go.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define SIGNALS 64
#define RLIMITS 16

// ---- What a process has -------------------------------------------------------------------------

struct traces {
    struct sigaction actions[SIGNALS + 1];
    sigset_t mask, pending;
    stack_t altstack;
    struct rlimit limits[RLIMITS];
    mode_t umask;
    char cwd[256], locale[256], name[16];
    char *const *environment;
    int nice, priority;
};

extern char **environ;

static void write_down(struct traces *t)
{
    memset(t, 0, sizeof(*t));
    for (int s = 1; s <= SIGNALS; s++) sigaction(s, NULL, &t->actions[s]);
    pthread_sigmask(SIG_SETMASK, NULL, &t->mask);
    sigpending(&t->pending);
    sigaltstack(NULL, &t->altstack);
    for (unsigned r = 0; r < RLIMITS; r++) getrlimit(r, &t->limits[r]);
    t->umask = umask(0);
    umask(t->umask);
    expect(getcwd(t->cwd, sizeof(t->cwd)));
    strncpy(t->locale, setlocale(LC_ALL, NULL), sizeof(t->locale) - 1);
    pthread_getname_np(pthread_self(), t->name, sizeof(t->name));
    t->environment = environ;
    t->nice = getpriority(PRIO_PROCESS, 0);
}

// 'may_take': so many dispositions may differ, those that the contract names.
static void compare(const struct traces *a, const struct traces *b, int may_take)
{
    int taken = 0;

    for (int s = 1; s <= SIGNALS; s++) {
        if (a->actions[s].sa_handler == b->actions[s].sa_handler) continue;
        expect(s == SIGSEGV || s >= SIGRTMIN);
        taken++;
    }
    expect(taken <= may_take);
    expect(memcmp(&a->mask, &b->mask, sizeof(a->mask)) == 0);
    expect(memcmp(&a->pending, &b->pending, sizeof(a->pending)) == 0);
    expect(a->altstack.ss_sp == b->altstack.ss_sp);
    expect_eq(a->altstack.ss_flags, b->altstack.ss_flags);
    expect(memcmp(a->limits, b->limits, sizeof(a->limits)) == 0);
    expect_eq(a->umask, b->umask);
    expect(strcmp(a->cwd, b->cwd) == 0);
    expect(strcmp(a->locale, b->locale) == 0);
    expect(strcmp(a->name, b->name) == 0);
    expect(a->environment == b->environment);
    expect_eq(a->nice, b->nice);
}

// ---- A little of everything ---------------------------------------------------------------------

static void echo(int fd)
{
    char c;

    if (coir_read(fd, &c, 1, COIR_FOREVER) == 1)
        expect_eq(coir_write(fd, &c, 1, COIR_FOREVER), 1);
    expect_eq(coir_close(fd), 0);
}

static int busy(void *arg)
{
    coir_chan *c;
    int fds[2];
    int value = 7;
    char got;

    (void)arg;
    expect_eq(coir_chan_make(sizeof(int), 1, &c), 0);
    expect_eq(coir_chan_send(c, &value, COIR_FOREVER), 0);
    expect_eq(coir_chan_recv(c, &value, COIR_NOW), 0);
    expect_eq(coir_chan_recv(c, &value, coir_after(COIR_MS)), -ETIMEDOUT);
    coir_chan_unref(c);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(go(echo, fds[1]), 0);
    expect_eq(coir_write(fds[0], "x", 1, COIR_FOREVER), 1);
    expect_eq(coir_read(fds[0], &got, 1, COIR_FOREVER), 1);
    expect_eq(coir_close(fds[0]), 0);
    return coir_yield();
}

static void busy_on(coir_chan *done)
{
    expect_eq(busy(NULL), 0);
    expect_eq(coir_chan_send(done, NULL, COIR_FOREVER), 0);
}

static void use(coir_runtime *rt)
{
    coir_chan *done;

    expect_eq(coir_chan_make(0, 4, &done), 0);
    for (int i = 0; i < 4; i++) expect_eq(coir_go_on(rt, busy_on, done), 0);
    for (int i = 0; i < 4; i++) expect_eq(coir_chan_recv(done, NULL, COIR_FOREVER), 0);
    coir_chan_unref(done);
}

static void nothing_of_the_hosts_is_changed(coir_config config, int may_take)
{
    struct traces before, amid, after;
    coir_runtime *rt;

    write_down(&before);
    expect_eq(coir_start(&config, &rt), 0);
    use(rt);
    write_down(&amid);
    compare(&before, &amid, may_take);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    write_down(&after);
    compare(&before, &after, 0);
    expect_eq(coir_run(&config, busy, NULL), 0);
    write_down(&after);
    compare(&before, &after, 0);
}

// A host with a mask, an altstack and handlers of its own.
static void handler(int sig)
{
    (void)sig;
}

static void a_host_with_habits_keeps_them(void)
{
    static char stack[64 << 10];
    coir_config config = COIR_CONFIG_INIT;
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)}, old_alt;
    sigset_t mask, old_mask;
    mode_t old_umask = umask(027);

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &mask, &old_mask);
    raise(SIGUSR1); // pending for the whole of it
    sigaltstack(&alt, &old_alt);
    signal(SIGUSR2, handler);
    signal(SIGPIPE, handler);
    nothing_of_the_hosts_is_changed(config, 2);
    config.pump_signal = -1;
    config.overflow_report = COIR_OFF;
    nothing_of_the_hosts_is_changed(config, 0);

    signal(SIGUSR1, SIG_IGN); // drops the pending one
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    sigaltstack(&old_alt, NULL);
    pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
    umask(old_umask);
}

// ---- Descriptors --------------------------------------------------------------------------------

enum { FDS = 1024, KINDS = 5 };

static void makes_every_kind(int fds[KINDS], coir_chan *made, coir_chan *leave)
{
    struct sockaddr_in where;
    socklen_t len = sizeof(where);
    sigset_t none;
    char address[40];

    sigemptyset(&none);
    fds[0] = coir_listen("127.0.0.1:0", NULL);
    expect_eq(getsockname(fds[0], (struct sockaddr *)&where, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(where.sin_port));
    fds[1] = coir_dial(address, coir_after(20 * COIR_SEC));
    fds[2] = coir_accept(fds[0], NULL, NULL, 0, coir_after(20 * COIR_SEC));
    fds[3] = coir_open("/dev/null", O_RDWR, 0);
    fds[4] = coir_signal_open(&none);
    expect_eq(coir_chan_send(made, NULL, COIR_FOREVER), 0);
    expect_eq(coir_chan_recv(leave, NULL, COIR_FOREVER), -EPIPE);
    for (int i = 0; i < KINDS; i++) expect_eq(coir_close(fds[i]), 0);
    expect_eq(coir_chan_send(made, NULL, COIR_FOREVER), 0);
}

// The runtime's own, and those that its calls return. The host's are as they were.
static void every_descriptor_is_closed_by_an_exec(coir_driver driver)
{
    static bool there[FDS];
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt, *hosted;
    coir_chan *made, *leave;
    int fds[KINDS], n = 0;

    for (int fd = 0; fd < FDS; fd++) there[fd] = fcntl(fd, F_GETFD) >= 0;
    config.driver = driver;
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_hosted_start(&config, &hosted), 0);
    expect_eq(coir_chan_make(0, 0, &made), 0);
    expect_eq(coir_chan_make(0, 0, &leave), 0);
    expect_eq(coir_go_on(rt, makes_every_kind, fds, made, leave), 0);
    expect_eq(coir_chan_recv(made, NULL, COIR_FOREVER), 0);
    for (int i = 0; i < KINDS; i++) expect(fds[i] >= 0);
    for (int fd = 0; fd < FDS; fd++) {
        int flags = there[fd] ? -1 : fcntl(fd, F_GETFD);

        if (flags < 0) continue;
        expect_eq(flags & FD_CLOEXEC, FD_CLOEXEC);
        n++;
    }
    expect(n > KINDS);
    expect_eq(coir_chan_close(leave), 0);
    expect_eq(coir_chan_recv(made, NULL, COIR_FOREVER), 0);
    expect_eq(coir_stop(hosted, COIR_FOREVER), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    coir_chan_unref(made);
    coir_chan_unref(leave);
}

// ---- Silence ------------------------------------------------------------------------------------

static void nothing_is_printed(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_config bad = COIR_CONFIG_INIT;
    int quiet = memfd_create("output", MFD_CLOEXEC);
    int out, err;
    coir_runtime *rt;

    fflush(NULL);
    out = dup(1);
    err = dup(2);
    dup2(quiet, 1);
    dup2(quiet, 2);
    int started = coir_start(&config, &rt);
    if (started == 0) use(rt);
    int stopped = coir_stop(rt, COIR_FOREVER);
    bad.stack_bytes = 1;
    int refused = coir_start(&bad, &rt);
    fflush(NULL);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    expect_eq(started, 0);
    expect_eq(stopped, 0);
    expect_eq(refused, -EINVAL);
    expect_eq(lseek(quiet, 0, SEEK_END), 0);
    close(quiet);
}

// ---- Many times ---------------------------------------------------------------------------------

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    expect(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int n = 0;

    expect(maps);
    for (int c; (c = fgetc(maps)) != EOF;) n += c == '\n';
    fclose(maps);
    return n;
}

static void pair(const coir_config *config)
{
    coir_runtime *rt;

    expect_eq(coir_start(config, &rt), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void started_and_stopped(int times, unsigned workers, coir_driver driver)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = workers;
    config.driver = driver;
    for (int i = 0; i < 20; i++) pair(&config); // libc's caches of stacks and arenas fill
    int threads = entries("/proc/self/task");
    int fds = entries("/proc/self/fd");
    int maps = mappings();
    int64_t from = coir_now();
    for (int i = 0; i < times; i++) pair(&config);
    int64_t took = coir_now() - from;

    printf("%d pairs, %u workers, %s: %.0f us each; mappings %d to %d\n", times, workers,
           driver == COIR_DRIVER_EPOLL ? "epoll" : "ring", (double)took / 1e3 / times,
           maps, mappings());
    expect_soon(entries("/proc/self/task") <= threads);
    expect_eq(entries("/proc/self/fd"), fds);
#if !defined(COIR_ASAN) && !defined(COIR_TSAN) // those map for themselves as they go
    expect(abs(mappings() - maps) <= 2);
#endif
}

int main(int argc, char **argv)
{
    int times = argc > 1 ? atoi(argv[1]) : 500;
    coir_config config = COIR_CONFIG_INIT;

    test_watchdog(60 + (unsigned)times / 20);
    setlocale(LC_ALL, "C");
    nothing_of_the_hosts_is_changed(config, 2);
    a_host_with_habits_keeps_them();
    every_descriptor_is_closed_by_an_exec(COIR_DRIVER_AUTO);
    every_descriptor_is_closed_by_an_exec(COIR_DRIVER_EPOLL);
    nothing_is_printed();
    for (unsigned workers = 1; workers <= 2; workers++) {
        started_and_stopped(times, workers, COIR_DRIVER_AUTO);
        started_and_stopped(times / 5 + 1, workers, COIR_DRIVER_EPOLL);
    }
    return 0;
}
