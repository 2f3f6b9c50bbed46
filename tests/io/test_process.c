// SPDX-License-Identifier: MIT
// Goal:   programs are started with the host's mask and with what is passed, their end is waited
//         for with deadline and cancel; signals are read from a descriptor.
// Method: real programs (true, sh, cat), on every driver and on a thread.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/io/everywhere.h"

static pid_t start_program(const coir_process_options *opts, char *const argv[])
{
    pid_t pid = 0;

    expect_eq(coir_process_start(argv[0], argv, NULL, opts, &pid), 0);
    expect(pid > 0);
    return pid;
}

static pid_t start(const coir_process_options *opts, const char *script)
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};

    return start_program(opts, argv);
}

static int ends(void *arg)
{
    int status = -1;
    pid_t pid = start(NULL, "exit 7");

    (void)arg;
    expect_eq(coir_waitpid(pid, &status, coir_after(20 * COIR_SEC)), pid);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    expect_eq(coir_waitpid(pid, &status, COIR_FOREVER), -ECHILD);
    expect_eq(coir_waitpid(0, &status, COIR_FOREVER), -ECHILD);
    expect_eq(coir_waitpid(-1, &status, COIR_FOREVER), -ECHILD);
    expect_eq(coir_waitpid(-getpid() - 1, &status, COIR_NOW), -ECHILD);
    expect_eq(coir_waitpid(getpid(), &status, COIR_FOREVER), -ECHILD);

    pid = start(NULL, "exec sleep 60");
    expect_eq(coir_waitpid(pid, &status, COIR_NOW), -ETIMEDOUT);
    int64_t when = coir_after(5 * COIR_MS);
    expect_eq(coir_waitpid(pid, &status, when), -ETIMEDOUT);
    expect(coir_now() >= when);
    expect_eq(kill(pid, SIGKILL), 0);
    expect_eq(coir_waitpid(pid, &status, coir_after(20 * COIR_SEC)), pid);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    pid = start(NULL, "exit 0");
    expect_eq(coir_waitpid(pid, NULL, COIR_FOREVER), pid);
    return 0;
}

// Each of several, whoever comes first.
static int any_of(void *arg)
{
    pid_t pids[3];
    int status = -1;
    unsigned seen = 0;

    (void)arg;
    pids[0] = start(NULL, "sleep 0.02; exit 10");
    pids[1] = start(NULL, "exit 11");
    pids[2] = start(NULL, "exit 12");
    for (int i = 0; i < 3; i++) {
        pid_t got = coir_waitpid(i == 1 ? 0 : -1, &status, coir_after(20 * COIR_SEC));
        int code = WEXITSTATUS(status) - 10;

        expect(WIFEXITED(status) && code >= 0 && code < 3 && pids[code] == got);
        seen |= 1u << code;
    }
    expect_eq(seen, 7u);
    expect_eq(coir_waitpid(-1, NULL, COIR_FOREVER), -ECHILD);

    pid_t pid = start(NULL, "exec sleep 60");
    expect_eq(coir_waitpid(-1, &status, COIR_NOW), -ETIMEDOUT);
    int64_t when = coir_after(5 * COIR_MS);
    expect_eq(coir_waitpid(-1, &status, when), -ETIMEDOUT);
    expect(coir_now() >= when);
    expect_eq(kill(pid, SIGKILL), 0);
    expect_eq(coir_waitpid(0, &status, COIR_FOREVER), pid);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return 0;
}

static int of_a_group(void *arg)
{
    // It has its own group when it speaks.
    char *argv[] = {"setsid", "sh", "-c", "echo; exec sleep 0.02", NULL};
    int ends_of[2];
    char c;

    (void)arg;
    expect_eq(pipe2(ends_of, O_CLOEXEC), 0);
    const int passed[][2] = {{ends_of[1], 1}};
    coir_process_options opts = {.fds = passed, .n_fds = 1};
    pid_t pid = start_program(&opts, argv);
    expect_eq(coir_close(ends_of[1]), 0);
    expect_eq(coir_read(ends_of[0], &c, 1, COIR_FOREVER), 1);
    expect_eq(coir_waitpid(0, NULL, COIR_NOW), -ECHILD); // not of ours
    expect_eq(coir_waitpid(-pid, NULL, COIR_FOREVER), pid);
    expect_eq(coir_close(ends_of[0]), 0);
    return 0;
}

static int waits_for_any(void)
{
    return coir_waitpid(-1, NULL, COIR_FOREVER);
}

static int any_is_cancelled(void *arg)
{
    coir_scope scope;
    pid_t pid = start(NULL, "exec sleep 60");

    (void)arg;
    expect_eq(coir_scope_open(&scope, coir_after(5 * COIR_MS)), 0);
    if (coir_current()) expect_eq(coir_scope_go(&scope, waits_for_any), 0);
    expect_eq(coir_waitpid(-1, NULL, COIR_FOREVER), -ECANCELED);
    expect_eq(coir_scope_wait(&scope), -ETIMEDOUT);
    expect_eq(kill(pid, SIGKILL), 0);
    expect_eq(coir_waitpid(-1, NULL, COIR_FOREVER), pid); // nothing was taken
    return 0;
}

// What the child says on the pipe that is its standard output.
static void hear(char *const argv[], const coir_process_options *more, char *said,
                 size_t room)
{
    int ends_of[2];
    coir_process_options opts = more ? *more : (coir_process_options){0};

    expect_eq(pipe2(ends_of, O_CLOEXEC), 0);
    const int passed[][2] = {{ends_of[1], 1}};
    opts.fds = passed;
    opts.n_fds = 1;
    pid_t pid = start_program(&opts, argv);
    expect_eq(coir_close(ends_of[1]), 0);
    ssize_t n = coir_read_full(ends_of[0], said, room - 1, coir_after(20 * COIR_SEC));
    expect(n >= 0);
    said[n] = 0;
    expect_eq(coir_close(ends_of[0]), 0);
    expect_eq(coir_waitpid(pid, NULL, COIR_FOREVER), pid);
}

static int inherits(void *arg)
{
    char said[400];
    char *place[] = {"sh", "-c", "echo here; pwd", NULL};
    char *mask[] = {"grep", "SigBlk", "/proc/self/status", NULL};
    char *list[] = {"ls", "/proc/self/fd", NULL};
    coir_process_options there = {.directory = "/usr"};

    (void)arg;
    hear(place, &there, said, sizeof(said));
    expect_eq(strcmp(said, "here\n/usr\n"), 0);
    // The mask of the host's thread, not of the worker, which blocks nearly all.
    hear(mask, NULL, said, sizeof(said));
    expect(strstr(said, "0000000000000200")); // SIGUSR1, see main
    // Nothing but the standard descriptors and what was passed; 3 is ls's own.
    hear(list, NULL, said, sizeof(said));
    expect_eq(strcmp(said, "0\n1\n2\n3\n"), 0);
    return 0;
}

static int cannot_start(void *arg)
{
    char *argv[] = {"x", NULL};
    char *none[] = {NULL};
    coir_process_options nowhere = {.directory = "/no/such/folder"};
    coir_process_options bad = {.n_fds = 1};
    pid_t pid = 77;

    (void)arg;
    expect_eq(coir_process_start("/no/such/program", argv, NULL, NULL, &pid), -ENOENT);
    expect_eq(coir_process_start("/etc/passwd", argv, NULL, NULL, &pid), -EACCES);
    expect_eq(coir_process_start("true", argv, NULL, &nowhere, &pid), -ENOENT);
    expect_eq(coir_process_start("true", argv, NULL, &bad, &pid), -EINVAL);
    expect_eq(coir_process_start(NULL, argv, NULL, NULL, &pid), -EINVAL);
    expect_eq(coir_process_start("true", NULL, NULL, NULL, &pid), -EINVAL);
    expect_eq(coir_process_start("true", none, NULL, NULL, &pid), -EINVAL);
    expect_eq(coir_process_start("true", argv, NULL, NULL, NULL), -EINVAL);
    expect_eq(pid, 77);
    return 0;
}

static coir_waitgroup group;

static void waits(pid_t pid, int wanted)
{
    expect_eq(coir_waitpid(pid, NULL, COIR_FOREVER), wanted);
    coir_waitgroup_done(&group);
}

static int many_children(void *arg)
{
    (void)arg;
    coir_waitgroup_add(&group, 20);
    for (int i = 0; i < 20; i++) {
        pid_t pid = start(NULL, i % 2 ? "exit 0" : "sleep 0.05");
        expect_eq(go(waits, pid, (int)pid), 0);
    }
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    return 0;
}

static pid_t sleeper;

static int leaves_a_waiter(void *arg)
{
    (void)arg;
    sleeper = start(NULL, "exec sleep 60");
    coir_waitgroup_add(&group, 1);
    expect_eq(go(waits, sleeper, -ECANCELED), 0);
    return coir_sleep(2 * COIR_MS); // then it is cancelled, and the child is still ours
}

static void cancel_takes_nothing(void)
{
    coir_config config = COIR_CONFIG_INIT;

    for (int i = !have_ring(); i < 2; i++) {
        config.driver = i ? COIR_DRIVER_EPOLL : COIR_DRIVER_URING;
        expect_eq(coir_run(&config, leaves_a_waiter, NULL), 0);
        expect_eq(coir_waitgroup_wait(&group, COIR_NOW), 0);
        expect_eq(kill(sleeper, SIGKILL), 0);
        expect_eq(coir_waitpid(sleeper, NULL, COIR_FOREVER), sleeper);
    }
}

// ---- Signals ----------------------------------------------------------------------------------

static void read_signal(int fd, int wanted)
{
    struct signalfd_siginfo info;

    expect_eq(coir_read(fd, &info, sizeof(info), coir_after(20 * COIR_SEC)),
              sizeof(info));
    expect_eq(info.ssi_signo, wanted);
}

// Without the block in coir_run's caller the first kill would end the process.
static int signals(void *arg)
{
    struct signalfd_siginfo info;
    sigset_t set;

    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR2);
    int fd = coir_signal_open(&set);
    expect(fd >= 0);
    expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    expect_eq(coir_read(fd, &info, sizeof(info), COIR_NOW), -ETIMEDOUT);
    for (int i = 0; i < 5; i++) {
        expect_eq(kill(getpid(), SIGTERM), 0);
        read_signal(fd, SIGTERM);
    }
    expect_eq(kill(getpid(), SIGUSR2), 0);
    read_signal(fd, SIGUSR2);
    int64_t when = coir_after(2 * COIR_MS);
    expect_eq(coir_read(fd, &info, sizeof(info), when), -ETIMEDOUT);
    expect_eq(coir_close(fd), 0);

    expect_eq(coir_signal_open(NULL), -EINVAL);
    sigaddset(&set, SIGSEGV);
    expect_eq(coir_signal_open(&set), -EINVAL);
    return 0;
}

// coir_run's caller once was not asked before it had gone to sleep: the first signal, if it came
// early enough, ended the process.
static int signal_at_once(void *arg)
{
    sigset_t set;

    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    int fd = coir_signal_open(&set);
    expect(fd >= 0);
    expect_eq(kill(getpid(), SIGTERM), 0);
    read_signal(fd, SIGTERM);
    return coir_close(fd);
}

static void a_first_signal_ends_nothing(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.driver = COIR_DRIVER_EPOLL;
    for (int i = 0; i < 300; i++) expect_eq(coir_run(&config, signal_at_once, NULL), 0);
}

static void masks_come_back(void)
{
    sigset_t now;

    a_first_signal_ends_nothing();
    on_coroutines("signals", signals);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    expect(!sigismember(&now, SIGTERM) && sigismember(&now, SIGUSR1));
}

// The same calls without any runtime; who has no runtime blocks the set himself.
static void a_thread_reads_signals(void)
{
    sigset_t set, before;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    expect_eq(signals(NULL), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int main(void)
{
    sigset_t usr1;

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &usr1, NULL);
    for (int fd = 3; fd < 1024; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); // of who started us
    everywhere("ends", ends);
    everywhere("any of", any_of);
    everywhere("of a group", of_a_group);
    everywhere("any is cancelled", any_is_cancelled);
    everywhere("inherits", inherits);
    everywhere("cannot start", cannot_start);
    on_coroutines("many children", many_children);
    cancel_takes_nothing();
    masks_come_back();
    a_thread_reads_signals();
    return 0;
}
