// SPDX-License-Identifier: MIT
// sigpipe: never raised by a coir call, nor left pending, on coroutines and on ordinary threads.
// Method: pipes and sockets without a reader; the signal's default action would end the test.
#include <coir.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

static int pending(void)
{
    sigset_t set;

    sigpending(&set);
    return sigismember(&set, SIGPIPE);
}

static void write_to_nobody(int fd, int64_t deadline)
{
    struct iovec two[2] = {{"a", 1}, {"b", 1}};

    expect_eq(coir_write(fd, "x", 1, deadline), -EPIPE);
    expect_eq(coir_writev(fd, two, 2, deadline), -EPIPE);
    expect_eq(coir_write_all(fd, "xyz", 3, deadline), -EPIPE);
    expect_eq(pending(), 0);
    expect_eq(coir_close(fd), 0);
}

static int write_all_kinds(void *arg)
{
    int ends[2];

    (void)arg;
    expect_eq(pipe(ends), 0);
    close(ends[0]);
    write_to_nobody(ends[1], COIR_FOREVER);
    expect_eq(pipe(ends), 0);
    close(ends[0]);
    write_to_nobody(ends[1], COIR_NOW);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[0]);
    expect_eq(coir_send(ends[1], "x", 1, 0, COIR_FOREVER), -EPIPE);
    write_to_nobody(ends[1], COIR_FOREVER);
    return 0;
}

static int run_on(coir_driver driver)
{
    coir_config config = COIR_CONFIG_INIT;

    config.driver = driver;
    return coir_run(&config, write_all_kinds, NULL);
}

Test(sigpipe, does_not_reach_a_coroutine_on_the_chosen_driver)
{
    cr_assert_eq(run_on(COIR_DRIVER_AUTO), 0);
}

Test(sigpipe, does_not_reach_a_coroutine_on_epoll)
{
    cr_assert_eq(run_on(COIR_DRIVER_EPOLL), 0);
}

Test(sigpipe, does_not_reach_an_ordinary_thread_and_its_mask_stays)
{
    sigset_t before, after;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    cr_assert_eq(write_all_kinds(NULL), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    cr_assert_eq(sigismember(&before, SIGPIPE), sigismember(&after, SIGPIPE));
}

Test(sigpipe, that_the_host_has_pending_stays_pending)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    raise(SIGPIPE);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    cr_assert_eq(coir_write(ends[1], "x", 1, COIR_FOREVER), -EPIPE);
    cr_assert_eq(pending(), 1);
}
