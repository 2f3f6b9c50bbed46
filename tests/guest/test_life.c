// SPDX-License-Identifier: MIT
// Goal:   runtimes come and go as a host pleases: several at once, from any thread, across fork,
//         exec, daemon and setuid; a stop that does not succeed says who is left.
// Method: a plain program; what must happen in another process is done in a child that exits with
//         0 only if everything there was as it should be.
#include <coir/go.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;
static const char *self;

// ---- Several at once ----------------------------------------------------------------------------

static void pass_on(coir_chan *from, coir_chan *to)
{
    int value;

    while (coir_chan_recv(from, &value, COIR_FOREVER) == 0) {
        value++;
        expect_eq(coir_chan_send(to, &value, COIR_FOREVER), 0);
    }
    expect_eq(coir_chan_close(to), 0);
}

static void channels_cross_runtimes(void)
{
    coir_runtime *rts[3];
    coir_chan *chans[4];
    int value = 0;

    for (int i = 0; i < 4; i++)
        expect_eq(coir_chan_make(sizeof(int), i == 1, &chans[i]), 0);
    for (int i = 0; i < 3; i++) {
        expect_eq(coir_start(&config, &rts[i]), 0);
        expect_eq(coir_go_on(rts[i], pass_on, chans[i], chans[i + 1]), 0);
    }
    for (int i = 0; i < 200; i++) {
        expect_eq(coir_chan_send(chans[0], &value, COIR_FOREVER), 0);
        expect_eq(coir_chan_recv(chans[3], &value, COIR_FOREVER), 0);
    }
    expect_eq(value, 600);
    expect_eq(coir_chan_close(chans[0]), 0);
    expect_eq(coir_chan_recv(chans[3], &value, COIR_FOREVER), -EPIPE);
    expect_eq(coir_stop(rts[1], COIR_FOREVER), 0); // in another order than they came
    expect_eq(coir_stop(rts[2], COIR_FOREVER), 0);
    expect_eq(coir_stop(rts[0], COIR_FOREVER), 0);
    for (int i = 0; i < 4; i++) coir_chan_unref(chans[i]);
}

// ---- From a thread that is gone -----------------------------------------------------------------

static void *start_and_go(void *arg)
{
    expect_eq(coir_start(&config, arg), 0);
    return NULL;
}

static int say_seven(void *arg)
{
    (void)arg;
    return 7;
}

static void *run_here(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)coir_run(&config, say_seven, NULL);
}

static void send_one(coir_chan *c)
{
    expect_eq(coir_chan_send(c, NULL, COIR_FOREVER), 0);
}

static void a_runtime_outlives_the_thread_that_started_it(void)
{
    coir_runtime *rt;
    coir_chan *c;
    pthread_t thread;
    void *result;

    expect_eq(pthread_create(&thread, NULL, start_and_go, &rt), 0);
    expect_eq(pthread_join(thread, NULL), 0);
    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_go_on(rt, send_one, c), 0);
    expect_eq(coir_chan_recv(c, NULL, COIR_FOREVER), 0);
    coir_chan_unref(c);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);

    expect_eq(pthread_create(&thread, NULL, run_here, NULL), 0);
    expect_eq(pthread_join(thread, &result), 0);
    expect_eq((intptr_t)result, 7);
}

// ---- Stop under load ----------------------------------------------------------------------------

static int let_go;

static void goes_on_and_on(void)
{
    coir_shield_begin();
    while (!__atomic_load_n(&let_go, __ATOMIC_ACQUIRE)) coir_sleep(COIR_MS);
    coir_shield_end();
}

static void is_reasonable(void)
{
    while (coir_sleep(COIR_MS) == 0) coir_yield();
}

static int count_stubborn(void *arg, const coir_coroutine_info *info)
{
    if (strcmp(info->name, "stubborn") == 0) ++*(int *)arg;
    return 0;
}

static void a_stop_under_load_says_who_is_left(void)
{
    coir_runtime *rt;
    int n = 0;

    __atomic_store_n(&let_go, 0, __ATOMIC_RELEASE);
    expect_eq(coir_start(&config, &rt), 0);
    for (int i = 0; i < 200; i++) expect_eq(coir_go_on(rt, is_reasonable), 0);
    for (int i = 0; i < 5; i++)
        expect_eq(coir_go_with(coir_opts(.rt = rt, .name = "stubborn"), goes_on_and_on),
                  0);
    coir_sleep(5 * COIR_MS); // so that they have begun
    expect_eq(coir_stop(rt, coir_after(150 * COIR_MS * test_slowness())), 5);
    expect_eq(coir_each(rt, count_stubborn, &n), 0);
    expect_eq(n, 5);
    expect_eq(coir_go_on(rt, is_reasonable), -ECANCELED); // it stops
    __atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- A stop from inside -------------------------------------------------------------------------

static void stops_both(coir_runtime *outer, coir_runtime *inner, int *ret_err)
{
    ret_err[0] = coir_stop(inner, COIR_NOW);
    ret_err[1] = coir_stop(outer, COIR_NOW);
}

static void turns_another(coir_runtime *rt, coir_chan *done)
{
    coir_runtime *inner, *innermost;
    int err[3] = {1, 1, 1};

    expect_eq(coir_pin(), 0); // the turns are one thread's
    expect_eq(coir_hosted_start(NULL, &inner), 0);
    expect_eq(coir_go_on(inner, stops_both, rt, inner, err), 0);
    expect_eq(coir_hosted_turn(inner, 0), 0);
    expect_eq(err[0], -EDEADLK);
    expect_eq(err[1], -EDEADLK);
    // One more in between.
    expect_eq(coir_hosted_start(NULL, &innermost), 0);
    expect_eq(coir_go_on(innermost, stops_both, rt, innermost, err), 0);
    expect_eq(coir_go_on(inner, coir_hosted_turn, innermost, 0), 0);
    err[0] = err[1] = 1;
    expect_eq(coir_hosted_turn(inner, 0), 0);
    expect_eq(err[1], -EDEADLK);
    expect_eq(coir_stop(innermost, COIR_FOREVER), 0); // it is in no turn now
    expect_eq(coir_stop(inner, COIR_FOREVER), 0);
    expect_eq(coir_chan_send(done, NULL, COIR_FOREVER), 0);
}

static void who_stands_in_a_turn_stands_in_the_outer_one_too(void)
{
    coir_runtime *rt;
    coir_chan *done;

    expect_eq(coir_chan_make(0, 0, &done), 0);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, turns_another, rt, done), 0);
    expect_eq(coir_chan_recv(done, NULL, COIR_FOREVER), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    coir_chan_unref(done);
}

static int use_a_runtime(void *arg)
{
    coir_runtime *rt;
    coir_chan *c;

    (void)arg;
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_go_on(rt, send_one, c), 0);
    expect_eq(coir_chan_recv(c, NULL, coir_after(10 * COIR_SEC)), 0);
    coir_chan_unref(c);
    return coir_stop(rt, coir_after(10 * COIR_SEC));
}

#ifndef COIR_TSAN // does not start threads in a child of a process that has some

// ---- Other processes ----------------------------------------------------------------------------

// The exit code of a child that runs fn(arg).
static int in_child(int (*fn)(void *), void *arg)
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    expect(pid >= 0);
    if (pid == 0) {
        test_watchdog(20);
        _exit(fn(arg));
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) printf("the child ended by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int mask_is_empty(void)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    for (int s = 1; s <= SIGRTMAX; s++)
        if (sigismember(&now, s) == 1) return 0;
    return 1;
}

static int everything_is_refused(void *arg)
{
    coir_runtime *parents = arg;
    coir_stats stats = COIR_STATS_INIT;
    coir_info info = COIR_INFO_INIT;
    int n = 0;

    expect(coir_current() == NULL);
    expect_eq(coir_id(), 0);
    expect_eq(coir_go(is_reasonable), -EPERM);
    expect_eq(coir_go_on(parents, is_reasonable), -EPERM);
    expect_eq(coir_spawn(parents, NULL, (void (*)(void *))is_reasonable, NULL), -EPERM);
    expect_eq(coir_stop(parents, COIR_NOW), -EPERM);
    expect_eq(coir_query(parents, &info), -EPERM);
    expect_eq(coir_stats_read(parents, &stats), -EPERM);
    expect_eq(coir_each(parents, count_stubborn, &n), -EPERM);
    expect_eq(coir_dump(parents, 2), -EPERM);
    expect_eq(coir_yield(), 0);
    expect_eq(coir_sleep(COIR_MS), 0);
    expect(mask_is_empty());
    return 0;
}

// Descriptors that the parent's threads wait on, and whose objects they may hold.
static int ends[2];

static void reads_for_ever(void)
{
    char c;

    while (coir_read(ends[0], &c, 1, COIR_FOREVER) == 1) coir_yield();
}

static int child_of_fork(void *arg)
{
    char c = 0;
    int mine[2];

    everything_is_refused(arg);
#ifdef COIR_ASAN // gcc 12's allocator takes no lock at fork: a child may find one held for ever
    return in_child(everything_is_refused, arg);
#endif
    expect_eq(pipe(mine), 0);
    expect_eq(coir_write(mine[1], "x", 1, COIR_FOREVER), 1);
    expect_eq(coir_read(mine[0], &c, 1, COIR_FOREVER), 1);
    expect_eq(coir_write(ends[1], "y", 1, COIR_FOREVER), 1); // the parent reads it
    expect_eq(coir_close(mine[0]), 0);
    expect_eq(use_a_runtime(NULL), 0);
    expect_eq(coir_run(&config, say_seven, NULL), 7);
    return in_child(everything_is_refused, arg); // a grandchild too
}

static void forks_in_a_coroutine(coir_runtime *rt, coir_chan *done, int returns)
{
    int status, code;
    pid_t pid = fork();

    expect(pid >= 0);
    if (pid == 0) {
        test_watchdog(20);
        if (returns) return; // its thread ends, and with it the process
        _exit(child_of_fork(rt));
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    expect_eq(code, 0);
    expect(coir_id() > 0);
    expect_eq(coir_chan_send(done, NULL, COIR_FOREVER), 0);
}

static void a_child_of_fork_is_told_and_the_parent_is_unharmed(coir_driver driver)
{
    coir_runtime *rt;
    coir_chan *done;

    config.driver = driver;
    expect_eq(pipe(ends), 0);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_chan_make(0, 0, &done), 0);
    for (int i = 0; i < 50; i++) expect_eq(coir_go_on(rt, is_reasonable), 0);
    expect_eq(coir_go_on(rt, reads_for_ever), 0);
    for (int i = 0; i < 10; i++) {
        expect_eq(in_child(child_of_fork, rt), 0);
        expect_eq(coir_go_on(rt, forks_in_a_coroutine, rt, done, i % 2), 0);
        expect_eq(coir_chan_recv(done, NULL, COIR_FOREVER), 0);
    }
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    coir_chan_unref(done);
    expect_eq(coir_close(ends[0]), 0);
    expect_eq(coir_close(ends[1]), 0);
    config.driver = COIR_DRIVER_AUTO;
}

// ---- daemon, setuid -----------------------------------------------------------------------------

static int become_a_daemon(void *arg)
{
    int report = *(int *)arg;
    char ok = 'x';

    if (daemon(1, 1) < 0) return 1; // the caller's waitpid sees the first parent's end
    test_watchdog(20);
    if (use_a_runtime(NULL) == 0 && write(report, &ok, 1) == 1) _exit(0);
    _exit(1);
}

static void a_daemon_starts_its_runtime_after_daemon(void)
{
    int fds[2];
    char c = 0;

    expect_eq(pipe(fds), 0);
    expect_eq(in_child(become_a_daemon, &fds[1]), 0);
    close(fds[1]);
    expect_eq(read(fds[0], &c, 1), 1);
    close(fds[0]);
}

static void writes_its_uid(int fd)
{
    uid_t uid = getuid(); // of its own thread

    expect_eq(coir_write_all(fd, &uid, sizeof(uid), COIR_FOREVER), (ssize_t)sizeof(uid));
}

static int drop_rights(void *arg)
{
    coir_runtime *rt;
    uid_t uid = 0;
    int fds[2];

    (void)arg;
    expect_eq(pipe(fds), 0);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, is_reasonable), 0);
    coir_sleep(COIR_MS);
    expect_eq(setgid(65534), 0);
    expect_eq(setuid(65534), 0); // libc tells every thread of it
    for (int i = 0; i < 20; i++) {
        expect_eq(coir_go_on(rt, writes_its_uid, fds[1]), 0);
        expect_eq(coir_read_full(fds[0], &uid, sizeof(uid), coir_after(10 * COIR_SEC)),
                  (ssize_t)sizeof(uid));
        expect_eq(uid, 65534);
    }
    return coir_stop(rt, COIR_FOREVER);
}

static void rights_can_be_dropped_after_the_start(void)
{
    if (getuid() != 0) return; // nothing to drop
    expect_eq(in_child(drop_rights, NULL), 0);
}

// ---- exec ---------------------------------------------------------------------------------------

static void execs(coir_chan *done)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execl(self, self, "after exec", NULL);
        _exit(9);
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_eq(coir_chan_send(done, NULL, COIR_FOREVER), 0);
}

// What an exec from a coroutine's child gives: no descriptor of ours, no mask of a worker's.
static int after_exec(void)
{
    if (!mask_is_empty()) return 2;
    for (int fd = 3; fd < 200; fd++) {
        char path[64], what[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, what, sizeof(what) - 1);

        if (n > 0 && (memmem(what, (size_t)n, "io_uring", 8) ||
                      memmem(what, (size_t)n, "eventfd", 7) ||
                      memmem(what, (size_t)n, "eventpoll", 9)))
            return 3;
    }
    return use_a_runtime(NULL) == 0 ? 0 : 4;
}

static void an_executed_program_finds_nothing_of_ours(void)
{
    coir_runtime *rt;
    coir_chan *done;

    expect_eq(coir_chan_make(0, 0, &done), 0);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, execs, done), 0);
    expect_eq(coir_chan_recv(done, NULL, COIR_FOREVER), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    coir_chan_unref(done);
}

#endif

int main(int argc, char **argv)
{
    self = argv[0];
    config.workers = 2;
#ifndef COIR_TSAN
    if (argc > 1) return after_exec();
#else
    (void)argc;
#endif
    channels_cross_runtimes();
    a_runtime_outlives_the_thread_that_started_it();
    a_stop_under_load_says_who_is_left();
    who_stands_in_a_turn_stands_in_the_outer_one_too();
#ifndef COIR_TSAN
    a_child_of_fork_is_told_and_the_parent_is_unharmed(COIR_DRIVER_AUTO);
    a_child_of_fork_is_told_and_the_parent_is_unharmed(COIR_DRIVER_EPOLL);
    a_daemon_starts_its_runtime_after_daemon();
    rights_can_be_dropped_after_the_start();
    an_executed_program_finds_nothing_of_ours();
#endif
    return use_a_runtime(NULL);
}
