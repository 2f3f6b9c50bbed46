// SPDX-License-Identifier: MIT
// scope: its cancel and its deadline end whatever waits in it, of coroutines and of an ordinary
// thread, one or a hundred thousand.
// Method: each kind of wait entered, then ended; inside coroutines expect() ends the process.
#include <coir.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

static atomic_int count;

static int waits_for_ever(void)
{
    int err = coir_sleep_until(COIR_FOREVER);

    expect_eq(err, -ECANCELED);
    count++;
    return err;
}

// ---- Coroutines ----------------------------------------------------------------------------

static coir_chan *chan;
static coir_mutex mutex;
static int pair[2];

static int in_send(void)
{
    int v = 1;
    int err = coir_chan_send(chan, &v, COIR_FOREVER);

    count++;
    return err;
}

static int in_lock(void)
{
    int err = coir_mutex_lock(&mutex, COIR_FOREVER);

    count++;
    return err;
}

static int in_read(void)
{
    char c;
    ssize_t err = coir_read(pair[0], &c, 1, COIR_FOREVER);

    count++;
    return (int)err;
}

static int in_poll(void)
{
    int err = coir_poll(pair[0], POLLIN, COIR_FOREVER);

    count++;
    return err;
}

static int in_everything(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_chan_make(sizeof(int), 0, &chan), 0);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    for (int turn = 0; turn < 2; turn++) {
        count = 0;
        expect_eq(coir_scope_open(&s, turn ? coir_after(3 * COIR_MS) : COIR_FOREVER), 0);
        expect_eq(coir_scope_go(&s, in_send), 0);
        expect_eq(coir_scope_go(&s, in_lock), 0);
        expect_eq(coir_scope_go(&s, in_read), 0);
        expect_eq(coir_scope_go(&s, in_read), 0); // waits for its turn
        expect_eq(coir_scope_go(&s, in_poll), 0);
        if (!turn) expect_eq(coir_sleep(2 * COIR_MS), 0);
        if (!turn) coir_scope_cancel(&s);
        expect_eq(coir_scope_wait(&s), turn ? -ETIMEDOUT : -ECANCELED);
        expect_eq(count, 5);
    }
    expect_eq(coir_mutex_unlock(&mutex), 0);
    coir_close(pair[0]);
    coir_close(pair[1]);
    coir_chan_unref(chan);
    return 0;
}

static void reaches_into_everything(coir_driver driver)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    config.driver = driver;
    cr_assert_eq(coir_run(&config, in_everything, NULL), 0);
}

Test(scope_waits, reaches_into_every_wait)
{
    reaches_into_everything(COIR_DRIVER_AUTO);
}

Test(scope_waits, reaches_into_every_wait_on_epoll)
{
    reaches_into_everything(COIR_DRIVER_EPOLL);
}

// ---- Ordinary threads ----------------------------------------------------------------------

static void *cancels_soon(void *arg)
{
    usleep(3000);
    coir_scope_cancel(arg);
    return NULL;
}

static void cancel_soon(coir_scope *s, pthread_t *ret_thread)
{
    cr_assert_eq(pthread_create(ret_thread, NULL, cancels_soon, s), 0);
}

Test(scope_waits, of_a_thread_has_children_in_a_runtime)
{
    coir_runtime *rt;
    coir_scope s;

    cr_assert_eq(coir_start(NULL, &rt), 0);
    cr_assert_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    cr_assert_eq(coir_scope_go(&s, waits_for_ever), -EPERM); // where?
    for (int i = 0; i < 50; i++)
        cr_assert_eq(coir_scope_go_with(&s, coir_opts(.rt = rt), waits_for_ever), 0);
    coir_scope_cancel(&s);
    cr_assert_eq(coir_scope_wait(&s), -ECANCELED);
    cr_assert_eq(count, 50);
    cr_assert_eq(coir_stop(rt, COIR_FOREVER), 0);
}

Test(scope_waits, of_a_thread_ends_its_waits)
{
    coir_scope s;
    pthread_t thread;
    coir_chan *c;

    cr_assert_eq(coir_chan_make(0, 0, &c), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    for (int turn = 0; turn < 2; turn++) {
        char byte;

        cr_assert_eq(coir_scope_open(&s, COIR_FOREVER), 0);
        cancel_soon(&s, &thread);
        cr_assert_eq(turn ? coir_read(pair[0], &byte, 1, COIR_FOREVER)
                          : coir_chan_recv(c, NULL, COIR_FOREVER),
                     -ECANCELED);
        cr_assert_eq(pthread_join(thread, NULL), 0); // the scope must be open until then
        cr_assert_eq(coir_sleep(COIR_SEC), -ECANCELED);
        coir_shield_begin();
        cr_assert_eq(coir_sleep(COIR_US), 0);
        coir_shield_end();
        cr_assert_eq(coir_scope_wait(&s), -ECANCELED);
        cr_assert_eq(coir_sleep(COIR_US), 0);

        cr_assert_eq(coir_scope_open(&s, coir_after(2 * COIR_MS)), 0);
        cr_assert_eq(turn ? coir_read(pair[0], &byte, 1, COIR_FOREVER)
                          : coir_chan_recv(c, NULL, COIR_FOREVER),
                     -ECANCELED);
        cr_assert_eq(coir_scope_wait(&s), -ETIMEDOUT);
    }
    close(pair[0]);
    close(pair[1]);
    coir_chan_unref(c);
}

// ---- A hundred thousand --------------------------------------------------------------------

enum { MANY = 100000 };

static int waits_on_a_channel(coir_chan *c)
{
    int err = coir_chan_recv(c, NULL, COIR_FOREVER);

    count++;
    return err;
}

static int around_many(void *arg)
{
    int n = MANY / (int)(test_slowness() * test_slowness() * test_slowness());
    coir_scope s;
    coir_chan *c;

    (void)arg;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 0; i < n; i++) expect_eq(coir_scope_go(&s, waits_on_a_channel, c), 0);
    expect_eq(coir_sleep(COIR_MS), 0);
    coir_scope_cancel(&s);
    int err = coir_scope_wait(&s);
    expect_eq(count, n);
    coir_chan_unref(c);
    return err;
}

Test(scope_waits, holds_a_hundred_thousand)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    cr_assert_eq(coir_run(&config, around_many, NULL), -ECANCELED);
}
