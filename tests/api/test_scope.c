// SPDX-License-Identifier: MIT
// scope: children end before their scope, results say what happened first, misuse changes nothing.
// Method: each claim of coir/scope.h provoked once, from coroutines and from an ordinary thread;
// inside coroutines expect() ends the process.
#include <coir.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/test.h"

static atomic_int count;

static int on_workers(unsigned workers, int (*fn)(void *))
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = workers;
    count = 0;
    return coir_run(&config, fn, NULL);
}

static int gives(int value)
{
    return value;
}

static int gives_later(int ms, int value)
{
    int err = coir_sleep(ms * COIR_MS);

    return err < 0 ? err : value;
}

static int waits_for_ever(void)
{
    int err = coir_sleep_until(COIR_FOREVER);

    expect_eq(err, -ECANCELED);
    count++;
    return err;
}

static void counts(void)
{
    count++;
}

static void open_for_ever(coir_scope *s)
{
    expect_eq(coir_scope_open(s, COIR_FOREVER), 0);
}

// ---- Results -------------------------------------------------------------------------------

static int of_no_failure(void *arg)
{
    coir_scope s;

    (void)arg;
    open_for_ever(&s);
    for (int i = 0; i < 10; i++) expect_eq(coir_scope_go(&s, counts), 0);
    expect_eq(coir_scope_go(&s, gives, 5), 0);
    expect_eq(coir_scope_wait(&s), 0);
    expect_eq(count, 10);
    open_for_ever(&s);
    return coir_scope_wait(&s);
}

Test(scope, waits_for_all_and_gives_0)
{
    cr_assert_eq(on_workers(2, of_no_failure), 0);
}

static int of_a_failure(void *arg)
{
    coir_scope s;

    (void)arg;
    open_for_ever(&s);
    for (int i = 0; i < 10; i++) expect_eq(coir_scope_go(&s, waits_for_ever), 0);
    expect_eq(coir_scope_go(&s, gives_later, 2, -EIO), 0);
    expect_eq(coir_sleep_until(COIR_FOREVER), -ECANCELED); // the opener too
    expect_eq(coir_scope_go(&s, gives, -EPROTO), 0);       // the second
    int err = coir_scope_wait(&s);
    expect_eq(count, 10);
    expect_eq(coir_sleep(1), 0); // no longer
    return err;
}

Test(scope, gives_the_first_failure_and_cancels_the_others)
{
    cr_assert_eq(on_workers(2, of_a_failure), -EIO);
}

static short gives_short(void)
{
    return -7;
}
static signed char gives_char(void)
{
    return -3;
}
static long gives_long(void)
{
    return -(INT64_C(1) << 40);
}
static unsigned gives_unsigned(void)
{
    return UINT_MAX;
}
static bool gives_bool(void)
{
    return true;
}

static int of_every_width(void *arg)
{
    coir_scope s;
    int got;

    (void)arg;
    open_for_ever(&s);
    expect_eq(coir_scope_go(&s, gives_short), 0);
    got = coir_scope_wait(&s);
    expect_eq(got, -7);
    open_for_ever(&s);
    expect_eq(coir_scope_go(&s, gives_char), 0);
    got = coir_scope_wait(&s);
    expect_eq(got, -3);
    open_for_ever(&s);
    expect_eq(coir_scope_go(&s, gives_long), 0);
    got = coir_scope_wait(&s);
    expect_eq(got, INT_MIN);
    open_for_ever(&s);
    expect_eq(coir_scope_go(&s, gives_unsigned), 0);
    expect_eq(coir_scope_go(&s, gives_bool), 0);
    return coir_scope_wait(&s);
}

Test(scope, reads_a_result_as_the_type_that_it_has)
{
    cr_assert_eq(on_workers(1, of_every_width), 0);
}

static int of_a_deadline(void *arg)
{
    coir_scope s;

    (void)arg;
    int64_t deadline = coir_after(3 * COIR_MS);
    expect_eq(coir_scope_open(&s, deadline), 0);
    for (int i = 0; i < 10; i++) expect_eq(coir_scope_go(&s, waits_for_ever), 0);
    int err = coir_scope_wait(&s);
    expect(coir_now() >= deadline);
    expect_eq(count, 10);
    return err;
}

Test(scope, past_its_deadline_cancels_and_gives_etimedout)
{
    cr_assert_eq(on_workers(2, of_a_deadline), -ETIMEDOUT);
}

static int of_an_own_deadline(void *arg)
{
    coir_scope s;
    coir_chan *c;
    int v;

    (void)arg;
    expect_eq(coir_chan_make(sizeof(v), 1, &c), 0);
    expect_eq(coir_scope_open(&s, coir_after(3600 * COIR_SEC)), 0);
    expect_eq(coir_chan_recv(c, &v, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_chan_recv(c, &v, COIR_NOW), -ETIMEDOUT);
    coir_chan_unref(c);
    return coir_scope_wait(&s);
}

Test(scope, leaves_a_calls_own_deadline_alone)
{
    cr_assert_eq(on_workers(1, of_an_own_deadline), 0);
}

// No timer has run: the call itself looks at the clock.
static int of_a_busy_opener(void *arg)
{
    coir_scope s;
    coir_chan *c;
    int v = 1;

    (void)arg;
    expect_eq(coir_chan_make(sizeof(v), 1, &c), 0);
    int64_t deadline = coir_after(COIR_MS);
    expect_eq(coir_scope_open(&s, deadline), 0);
    while (coir_now() < deadline) continue;
    expect_eq(coir_chan_send(c, &v, COIR_NOW), -ECANCELED);
    expect_eq(coir_yield(), -ECANCELED);
    int err = coir_scope_wait(&s);
    expect_eq(coir_chan_send(c, &v, COIR_NOW), 0);
    coir_chan_unref(c);
    return err;
}

Test(scope, refuses_at_entry_once_its_deadline_has_passed)
{
    cr_assert_eq(on_workers(1, of_a_busy_opener), -ETIMEDOUT);
}

static int of_a_deadline_that_nobody_met(void *arg)
{
    coir_scope s;

    (void)arg;
    int64_t deadline = coir_after(COIR_MS);
    expect_eq(coir_scope_open(&s, deadline), 0);
    expect_eq(coir_scope_go(&s, counts), 0);
    while (coir_now() < deadline) continue;
    return coir_scope_wait(&s);
}

Test(scope, whose_work_was_done_gives_0_although_it_is_late)
{
    cr_assert_eq(on_workers(1, of_a_deadline_that_nobody_met), 0);
}

static int of_a_past_deadline(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_scope_open(&s, COIR_NOW), 0);
    expect_eq(coir_scope_go(&s, waits_for_ever), 0);
    expect_eq(coir_sleep(1), -ECANCELED);
    return coir_scope_wait(&s);
}

Test(scope, opened_too_late_is_late_from_the_start)
{
    cr_assert_eq(on_workers(1, of_a_past_deadline), -ETIMEDOUT);
}

static int of_a_cancel(void *arg)
{
    coir_scope s;

    (void)arg;
    open_for_ever(&s);
    coir_scope_cancel(&s);
    coir_scope_cancel(&s);
    expect_eq(coir_scope_go(&s, waits_for_ever), 0); // runs all the same
    expect_eq(coir_scope_go(&s, counts), 0);
    expect_eq(coir_scope_wait(&s), -ECANCELED);
    expect_eq(count, 2);

    open_for_ever(&s);
    coir_scope_cancel(&s);
    expect_eq(coir_scope_go(&s, gives, -EIO), 0); // a failure of its own still counts
    return coir_scope_wait(&s);
}

Test(scope, cancelled_still_runs_its_children_and_tells)
{
    cr_assert_eq(on_workers(2, of_a_cancel), -EIO);
}

static int cancels(coir_scope *s)
{
    coir_scope_cancel(s);
    return 0;
}

static int of_a_child_that_cancels(void *arg)
{
    coir_scope s;

    (void)arg;
    open_for_ever(&s);
    for (int i = 0; i < 20; i++) expect_eq(coir_scope_go(&s, waits_for_ever), 0);
    expect_eq(coir_scope_go(&s, cancels, &s), 0);
    int err = coir_scope_wait(&s);
    expect_eq(count, 20);
    return err;
}

Test(scope, is_cancelled_by_a_child)
{
    cr_assert_eq(on_workers(2, of_a_child_that_cancels), -ECANCELED);
}

// ---- Nesting -------------------------------------------------------------------------------

static int opens_deeper(int depth)
{
    coir_scope s;

    if (depth == 0) return waits_for_ever();
    open_for_ever(&s);
    expect_eq(coir_scope_go(&s, opens_deeper, depth - 1), 0);
    expect_eq(coir_scope_go(&s, opens_deeper, depth - 1), 0);
    return coir_scope_wait(&s);
}

static int of_a_tree(void *arg)
{
    coir_scope s;

    (void)arg;
    open_for_ever(&s);
    expect_eq(coir_scope_go(&s, opens_deeper, 6), 0);
    expect_eq(coir_sleep(3 * COIR_MS), 0);
    coir_scope_cancel(&s);
    int err = coir_scope_wait(&s);
    expect_eq(count, 64);
    return err;
}

Test(scope, cancelled_reaches_every_depth)
{
    cr_assert_eq(on_workers(2, of_a_tree), -ECANCELED);
}

static int of_an_outer_deadline(void *arg)
{
    coir_scope outer, inner;

    (void)arg;
    expect_eq(coir_scope_open(&outer, coir_after(3 * COIR_MS)), 0);
    expect_eq(coir_scope_open(&inner, coir_after(3600 * COIR_SEC)), 0);
    expect_eq(coir_scope_go(&inner, opens_deeper, 3), 0);
    expect_eq(coir_scope_wait(&inner), -ECANCELED); // its own has not passed
    expect_eq(coir_sleep(1), -ECANCELED);
    int err = coir_scope_wait(&outer);
    expect_eq(count, 8);
    expect_eq(coir_sleep(1), 0);
    return err;
}

Test(scope, has_the_deadline_of_the_one_around_it)
{
    cr_assert_eq(on_workers(2, of_an_outer_deadline), -ETIMEDOUT);
}

static int of_an_inner_deadline(void *arg)
{
    coir_scope outer, inner;

    (void)arg;
    expect_eq(coir_scope_open(&outer, coir_after(3600 * COIR_SEC)), 0);
    expect_eq(coir_scope_open(&inner, coir_after(COIR_MS)), 0);
    expect_eq(coir_sleep_until(COIR_FOREVER), -ECANCELED);
    expect_eq(coir_scope_wait(&inner), -ETIMEDOUT);
    expect_eq(coir_sleep(1), 0); // the outer one goes on
    return coir_scope_wait(&outer);
}

Test(scope, around_a_late_one_goes_on)
{
    cr_assert_eq(on_workers(1, of_an_inner_deadline), 0);
}

static int inside_a_cancelled_one(void *arg)
{
    coir_scope outer, inner;

    (void)arg;
    open_for_ever(&outer);
    coir_scope_cancel(&outer);
    open_for_ever(&inner);
    expect_eq(coir_scope_go(&inner, waits_for_ever), 0);
    expect_eq(coir_sleep(1), -ECANCELED);
    expect_eq(coir_scope_wait(&inner), -ECANCELED);
    return coir_scope_wait(&outer);
}

Test(scope, opens_inside_a_cancelled_one)
{
    cr_assert_eq(on_workers(1, inside_a_cancelled_one), -ECANCELED);
}

static void sleeps_a_little(void)
{
    expect_eq(coir_sleep(5 * COIR_MS), 0);
    count++;
}

static int beside_a_stranger(void *arg)
{
    coir_scope s;

    (void)arg;
    open_for_ever(&s);
    expect_eq(coir_go(sleeps_a_little), 0);
    coir_scope_cancel(&s);
    expect_eq(coir_scope_wait(&s), -ECANCELED);
    expect_eq(count, 0); // not waited for, not cancelled
    while (count == 0) expect_eq(coir_sleep(COIR_MS), 0);
    return 0;
}

Test(scope, is_not_joined_by_coir_go)
{
    cr_assert_eq(on_workers(1, beside_a_stranger), 0);
}

// ---- Shields -------------------------------------------------------------------------------

static int cleans_up(void)
{
    int err = waits_for_ever();

    coir_shield_begin();
    coir_shield_begin();
    coir_shield_end();
    expect_eq(coir_sleep(COIR_MS), 0);
    coir_shield_end();
    expect_eq(coir_sleep(COIR_MS), -ECANCELED);
    count++;
    return err;
}

static int around_cleanup(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_scope_open(&s, coir_after(COIR_MS)), 0);
    expect_eq(coir_scope_go(&s, cleans_up), 0);
    expect_eq(coir_scope_wait(&s), -ETIMEDOUT);
    expect_eq(count, 2);

    open_for_ever(&s);
    coir_scope_cancel(&s);
    expect_eq(coir_scope_go(&s, cleans_up), 0);
    expect_eq(coir_scope_wait(&s), -ECANCELED);
    expect_eq(count, 4);
    return 0;
}

Test(scope, does_not_reach_into_a_shield)
{
    cr_assert_eq(on_workers(2, around_cleanup), 0);
}

// ---- Misuse --------------------------------------------------------------------------------

static int closes_it(coir_scope *s)
{
    expect_eq(coir_scope_wait(s), -EPERM);
    return 0;
}

static int misused(void *arg)
{
    coir_scope s, inner;
    coir_scope never = {{0}};
    int (*none)(void) = NULL;

    (void)arg;
    expect_eq(coir_scope_open(NULL, COIR_FOREVER), -EINVAL);
    expect_eq(coir_scope_wait(NULL), -EINVAL);
    expect_eq(coir_scope_go(NULL, counts), -EINVAL);
    expect_eq(coir_scope_wait(&never), -EINVAL);
    expect_eq(coir_scope_go(&never, counts), -EINVAL);
    coir_scope_cancel(NULL);
    coir_scope_cancel(&never);

    open_for_ever(&s);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), -EINVAL);
    expect_eq(coir_scope_go(&s, none), -EINVAL);
    expect_eq(coir_scope_go_with(&s, coir_opts(.stack_bytes = 1), counts), -EINVAL);
    open_for_ever(&inner);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), -EINVAL);
    expect_eq(coir_scope_wait(&s), -EINVAL);
    expect_eq(coir_scope_wait(&inner), 0);
    expect_eq(coir_scope_wait(&inner), -EINVAL);
    expect_eq(coir_scope_go(&s, closes_it, &s), 0);
    expect_eq(coir_scope_wait(&s), 0);
    expect_eq(coir_scope_wait(&s), -EINVAL);
    return count;
}

Test(scope, misused_says_so_and_stays_as_it_was)
{
    cr_assert_eq(on_workers(2, misused), 0);
}

static char logged[256];

static void keep_line(void *arg, int level, const char *line)
{
    (void)arg;
    if (strstr(line, "held its worker")) return; // a slow machine, not what is asked here
    if (level == COIR_LOG_WARNING) snprintf(logged, sizeof(logged), "%s", line);
}

static coir_chan *gate;

static void returns_at_once(void)
{
    coir_scope s, inner;
    char big[2000];

    memset(big, 1, sizeof(big));
    open_for_ever(&s);
    for (int i = 0; i < 5; i++) expect_eq(coir_scope_go(&s, waits_for_ever), 0);
    open_for_ever(&inner);
    for (int i = 0; i < 5; i++) expect_eq(coir_scope_go(&inner, waits_for_ever), 0);
    expect_eq(coir_chan_send(gate, &big[7], COIR_FOREVER), 0);
}

static int leaves_it_open(void *arg)
{
    char c;

    (void)arg;
    expect_eq(coir_chan_make(1, 1, &gate), 0);
    expect_eq(coir_go(returns_at_once), 0);
    expect_eq(coir_chan_recv(gate, &c, COIR_FOREVER), 0);
    while (count < 10) expect_eq(coir_sleep(COIR_MS), 0);
    coir_chan_unref(gate);
    return 0;
}

Test(scope, left_open_is_cancelled_and_waited_for_and_logged)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    config.log = keep_line;
    cr_assert_eq(coir_run(&config, leaves_it_open, NULL), 0);
    cr_assert_eq(count, 10);
    cr_assert(strstr(logged, "returned with a scope open"), "%s", logged);
}

static int says_ecanceled(void *arg)
{
    *(int *)arg = 1;
    return -ECANCELED;
}

static int of_plain_functions(void *arg)
{
    coir_scope s;
    int ran = 0;

    (void)arg;
    open_for_ever(&s);
    expect_eq(coir_scope_spawn(&s, NULL, NULL, NULL), -EINVAL);
    expect_eq(coir_scope_spawn(&s, NULL, says_ecanceled, &ran), 0);
    int err = coir_scope_wait(&s);
    expect_eq(ran, 1);
    return err; // a failure: nobody had cancelled
}

Test(scope, takes_plain_functions)
{
    cr_assert_eq(on_workers(1, of_plain_functions), -ECANCELED);
}
