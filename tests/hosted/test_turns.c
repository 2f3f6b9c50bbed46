// SPDX-License-Identifier: MIT
// Goal:   a hosted runtime's turns keep the rules: one thread, no thread made, never blocking,
//         a budget that is counted, a deadline that is exact, a stop that turns itself.
// Method: a plain program whose main thread is the host; every scene runs on ring and epoll.
#include "tests/hosted/loop.h"

#include <pthread.h>
#include <unistd.h>

static int runs, done;

static void count_one(void)
{
    runs++;
}

static void yields(int n)
{
    for (int i = 0; i < n; i++) {
        runs++;
        coir_yield();
    }
    runs++;
}

// ---- Budget -------------------------------------------------------------------------------------

static void a_turn_runs_what_can_run(void)
{
    coir_runtime *rt = loop_start();

    runs = 0;
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_hosted_deadline(rt), COIR_FOREVER);
    expect(!loop_is_readable(rt));
    for (int i = 0; i < 1000; i++) expect_eq(coir_go_on(rt, count_one), 0);
    expect_eq(runs, 0); // nothing runs between turns
    expect(loop_is_readable(rt));
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(runs, 1000);
    expect_eq(coir_hosted_deadline(rt), COIR_FOREVER);
    expect(!loop_is_readable(rt));
    expect_eq(coir_go_on(rt, yields, 500), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(runs, 1501);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void a_budget_counts_runs(void)
{
    coir_runtime *rt = loop_start();

    runs = 0;
    for (int i = 0; i < 10; i++) expect_eq(coir_go_on(rt, yields, 9), 0);
    for (int i = 1; i < 10; i++) {
        expect_eq(coir_hosted_turn(rt, 10), 1);
        expect_eq(runs, 10 * i);
        expect(coir_hosted_deadline(rt) <= coir_now()); // at once
    }
    expect_eq(coir_hosted_turn(rt, 10), 0);
    expect_eq(runs, 100);
    for (int i = 0; i < 3; i++) expect_eq(coir_go_on(rt, count_one), 0);
    expect_eq(coir_hosted_turn(rt, 1), 1);
    expect_eq(runs, 101);
    expect_eq(coir_hosted_turn(rt, 1), 1);
    expect_eq(coir_hosted_turn(rt, 1), 0);
    expect_eq(runs, 103);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void yields_for_ever(void)
{
    while (coir_yield() == 0) runs++;
}

static void who_yields_for_ever_does_not_keep_the_loop(void)
{
    coir_runtime *rt = loop_start();

    runs = 0;
    expect_eq(coir_go_on(rt, yields_for_ever), 0);
    expect_eq(coir_go_on(rt, yields_for_ever), 0);
    expect_eq(coir_hosted_turn(rt, 0), 1);
    expect(runs > 1000);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void many_more_than_the_bound_run_in_one_turn(void)
{
    coir_runtime *rt = loop_start();
    int n = test_slowness() > 1 ? 3000 : 100000;

    runs = 0;
    for (int i = 0; i < n; i++) expect_eq(coir_go_on(rt, yields, 1), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(runs, 2 * n);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- Deadline -----------------------------------------------------------------------------------

static void sleeps_until(int64_t when)
{
    expect_eq(coir_sleep_until(when), 0);
    expect(coir_now() >= when);
    done++;
}

static void waits_in_vain(coir_chan *c, int64_t until)
{
    int err = coir_chan_recv(c, NULL, until);

    expect(err == -ETIMEDOUT || err == 0 || err == -ECANCELED);
    done++;
}

static void the_deadline_is_the_earliest_timer(void)
{
    coir_runtime *rt = loop_start();
    int64_t now = coir_now(), first = now + COIR_SEC, last = now + 3000 * COIR_SEC;
    coir_chan *c;

    done = 0;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_go_on(rt, sleeps_until, first + 5), 0);
    expect_eq(coir_go_on(rt, waits_in_vain, c, last), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_hosted_deadline(rt), first + 5);
    expect_eq(coir_go_on(rt, waits_in_vain, c, first), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_hosted_deadline(rt), first);
    // Two values take both receivers away: what is left is the sleeper.
    expect_eq(coir_chan_send(c, NULL, COIR_NOW), 0);
    expect_eq(coir_chan_send(c, NULL, COIR_NOW), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(done, 2);
    expect_eq(coir_hosted_deadline(rt), first + 5);
    while (done < 3) {
        expect(coir_hosted_turn(rt, 0) >= 0);
        if (done < 3) loop_wait(rt, COIR_FOREVER / 2);
    }
    expect(coir_now() >= first + 5);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_hosted_deadline(rt), COIR_FOREVER);
    coir_chan_unref(c);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void pushes_its_deadline(coir_chan *c, int64_t near, int64_t far)
{
    expect_eq(coir_chan_recv(c, NULL, near), 0);
    done++;
    expect_eq(coir_chan_recv(c, NULL, far), 0);
    done++;
    expect_eq(coir_chan_recv(c, NULL, COIR_FOREVER), 0);
    done++;
}

static void a_deadline_that_moved_is_told_exactly(void)
{
    coir_runtime *rt = loop_start();
    int64_t near = coir_after(1000 * COIR_SEC), far = near + 7;
    coir_chan *c;

    done = 0;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_go_on(rt, pushes_its_deadline, c, near, far), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_hosted_deadline(rt), near);
    for (int i = 1; i <= 3; i++) {
        expect_eq(coir_chan_send(c, NULL, COIR_NOW), 0);
        expect_eq(coir_hosted_turn(rt, 0), 0);
        expect_eq(done, i);
        expect_eq(coir_hosted_deadline(rt), i == 1 ? far : COIR_FOREVER);
    }
    coir_chan_unref(c);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void timers_run_in_turns_only(void)
{
    coir_runtime *rt = loop_start();
    int64_t when = coir_after(3 * COIR_MS);

    done = 0;
    expect_eq(coir_go_on(rt, sleeps_until, when), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    while (coir_now() < when + COIR_MS) usleep(1000);
    expect_eq(done, 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(done, 1);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- Who may ------------------------------------------------------------------------------------

static void *is_refused(void *arg)
{
    coir_runtime *rt = arg;

    expect_eq(coir_hosted_turn(rt, 0), -EPERM);
    expect_eq(coir_hosted_deadline(rt), -EPERM);
    expect_eq(coir_stop(rt, COIR_FOREVER), -EPERM);
    expect(coir_hosted_fd(rt) >= 0);
    return NULL;
}

static void on_another_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    expect_eq(pthread_create(&thread, NULL, fn, arg), 0);
    expect_eq(pthread_join(thread, NULL), 0);
}

static void tries_from_inside(void)
{
    coir_runtime *rt = coir_current();

    expect_eq(coir_hosted_turn(rt, 0), -EDEADLK);
    expect_eq(coir_hosted_turn(NULL, 0), -EDEADLK); // its own
    expect_eq(coir_stop(rt, COIR_FOREVER), -EDEADLK);
    expect_eq(coir_hosted_fd(NULL), coir_hosted_fd(rt));
    expect(coir_hosted_deadline(NULL) >= 0);
    done++;
}

static void only_the_thread_of_the_first_turn_may(void)
{
    coir_runtime *rt = loop_start(), *plain;
    coir_config config = COIR_CONFIG_INIT;

    done = 0;
    expect_eq(coir_hosted_turn(rt, 0), 0);
    on_another_thread(is_refused, rt);
    expect_eq(coir_go_on(rt, tries_from_inside), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(done, 1);
    expect_eq(coir_hosted_turn(rt, -1), -EINVAL);
    expect_eq(coir_hosted_turn(NULL, 0), -EINVAL);
    expect_eq(coir_hosted_fd(NULL), -EINVAL);
    expect_eq(coir_hosted_deadline(NULL), -EINVAL);
    expect_eq(coir_hosted_start(&config, NULL), -EINVAL);
    config.seed = 7;
    expect_eq(coir_hosted_start(&config, &plain), -ENOTSUP);
    config.seed = 0;
    config.workers = 1;
    expect_eq(coir_start(&config, &plain), 0);
    expect_eq(coir_hosted_turn(plain, 0), -EINVAL);
    expect_eq(coir_hosted_fd(plain), -EINVAL);
    expect_eq(coir_hosted_deadline(plain), -EINVAL);
    expect_eq(coir_stop(plain, COIR_FOREVER), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void *turns_and_stops(void *arg)
{
    coir_runtime *rt = arg;

    done = 0;
    expect_eq(coir_hosted_deadline(rt), COIR_FOREVER);
    expect_eq(coir_go_on(rt, sleeps_until, coir_after(COIR_MS)), 0);
    loop_until(rt, &done, 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    return NULL;
}

static void another_thread_than_the_starter_may_turn(void)
{
    on_another_thread(turns_and_stops, loop_start());
}

static void a_stop_without_a_turn(void)
{
    coir_runtime *rt = loop_start();

    runs = 0;
    expect_eq(coir_stop(rt, COIR_NOW), 0);
    rt = loop_start();
    for (int i = 0; i < 10; i++) expect_eq(coir_go_on(rt, count_one), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(runs, 10); // spawned is spawned
}

// ---- Other threads ------------------------------------------------------------------------------

#define SENDS 2000

static void receives(coir_chan *c)
{
    for (int i = 0, value; i < SENDS; i++) {
        expect_eq(coir_chan_recv(c, &value, COIR_FOREVER), 0);
        expect_eq(value, i);
    }
    done++;
}

static void *sends(void *arg)
{
    for (int i = 0; i < SENDS; i++) expect_eq(coir_chan_send(arg, &i, COIR_FOREVER), 0);
    return NULL;
}

static void *spawns(void *arg)
{
    for (int i = 0; i < 500; i++) expect_eq(coir_go_on(arg, count_one), 0);
    return NULL;
}

static void other_threads_wake_and_spawn(void)
{
    coir_runtime *rt = loop_start();
    pthread_t sender, spawner;
    coir_chan *c;

    runs = done = 0;
    expect_eq(coir_chan_make(sizeof(int), 1, &c), 0);
    expect_eq(coir_go_on(rt, receives, c), 0);
    expect_eq(pthread_create(&sender, NULL, sends, c), 0);
    expect_eq(pthread_create(&spawner, NULL, spawns, rt), 0);
    while (done < 1 || runs < 500) {
        int more = coir_hosted_turn(rt, 3);

        expect(more >= 0);
        if (!more && (done < 1 || runs < 500)) loop_wait(rt, COIR_FOREVER / 2);
    }
    expect_eq(pthread_join(sender, NULL), 0);
    expect_eq(pthread_join(spawner, NULL), 0);
    coir_chan_unref(c);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- Stop ---------------------------------------------------------------------------------------

static int may_end;

static void is_stubborn(void)
{
    coir_shield_begin();
    while (!may_end) coir_sleep(COIR_MS);
    coir_shield_end();
}

static void waits_for_ever(coir_chan *c)
{
    expect_eq(coir_chan_recv(c, NULL, COIR_FOREVER), -ECANCELED);
    done++;
}

static void a_stop_turns_by_itself_and_names_survivors(void)
{
    coir_runtime *rt = loop_start();
    coir_chan *c;

    done = may_end = 0;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    for (int i = 0; i < 20; i++) expect_eq(coir_go_on(rt, waits_for_ever, c), 0);
    for (int i = 0; i < 3; i++) expect_eq(coir_go_on(rt, is_stubborn), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_stop(rt, coir_after(30 * COIR_MS)), 3);
    expect_eq(done, 20);
    expect_eq(coir_go_on(rt, count_one), -ECANCELED);
    expect(coir_hosted_turn(rt, 0) >= 0); // the host may go on meanwhile
    may_end = 1;
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    coir_chan_unref(c);
}

// ---- Company ------------------------------------------------------------------------------------

static void passes_on(coir_chan *from, coir_chan *to, int n)
{
    for (int i = 0, value; i < n; i++) {
        expect_eq(coir_chan_recv(from, &value, COIR_FOREVER), 0);
        value++;
        expect_eq(coir_chan_send(to, &value, COIR_FOREVER), 0);
    }
    __atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
}

static void two_hosted_ones_and_one_with_threads(void)
{
    coir_runtime *a = loop_start(), *b = loop_start(), *plain;
    coir_config config = COIR_CONFIG_INIT;
    coir_chan *c[3];
    int value = 0, n = 100;

    done = 0;
    config.workers = 1;
    expect_eq(coir_start(&config, &plain), 0);
    for (int i = 0; i < 3; i++) expect_eq(coir_chan_make(sizeof(int), 1, &c[i]), 0);
    expect_eq(coir_go_on(a, passes_on, c[0], c[1], n), 0);
    expect_eq(coir_go_on(b, passes_on, c[1], c[2], n), 0);
    expect_eq(coir_go_on(plain, passes_on, c[2], c[0], n - 1), 0);
    expect_eq(coir_chan_send(c[0], &value, COIR_NOW), 0);
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < 2) {
        struct pollfd both[2] = {{.fd = coir_hosted_fd(a), .events = POLLIN},
                                 {.fd = coir_hosted_fd(b), .events = POLLIN}};
        int more = coir_hosted_turn(a, 0) + coir_hosted_turn(b, 0);

        if (!more && __atomic_load_n(&done, __ATOMIC_ACQUIRE) < 2) poll(both, 2, 1000);
    }
    expect_eq(coir_chan_recv(c[2], &value, coir_after(20 * COIR_SEC)), 0);
    expect_eq(value, 3 * n - 1);
    expect_eq(coir_stop(plain, COIR_FOREVER), 0);
    expect_eq(coir_stop(a, COIR_FOREVER), 0);
    expect_eq(coir_stop(b, COIR_FOREVER), 0);
    for (int i = 0; i < 3; i++) coir_chan_unref(c[i]);
}

static void turns_another(coir_runtime *inner)
{
    expect_eq(coir_go_on(inner, yields, 10), 0);
    expect_eq(coir_hosted_turn(inner, 0), 0);
    expect(coir_current() != inner);
    expect_eq(runs, 11);
    expect_eq(coir_stop(inner, COIR_FOREVER), 0);
    done++;
}

static void turns_its_turner(coir_runtime *outer)
{
    expect_eq(coir_hosted_turn(outer, 0), -EDEADLK);
    expect_eq(coir_stop(outer, COIR_FOREVER), -EDEADLK);
    done++;
}

static void turns_one_that_turns_it(coir_runtime *inner)
{
    expect_eq(coir_go_on(inner, turns_its_turner, coir_current()), 0);
    expect_eq(coir_hosted_turn(inner, 0), 0);
    done++;
}

// At any depth: the turn would run on the stack of the one that it is in.
static void a_turn_within_a_turn_of_its_own_is_refused(void)
{
    coir_runtime *outer = loop_start(), *inner = loop_start();

    done = 0;
    expect_eq(coir_go_on(outer, turns_one_that_turns_it, inner), 0);
    expect_eq(coir_hosted_turn(outer, 0), 0);
    expect_eq(done, 2);
    expect_eq(coir_stop(inner, COIR_FOREVER), 0);
    expect_eq(coir_stop(outer, COIR_FOREVER), 0);
}

static void a_coroutine_may_turn_another_runtime(void)
{
    coir_runtime *outer = loop_start(), *inner = loop_start();

    runs = done = 0;
    expect_eq(coir_go_on(outer, turns_another, inner), 0);
    expect_eq(coir_hosted_turn(outer, 0), 0);
    expect_eq(done, 1);
    expect_eq(coir_stop(outer, COIR_FOREVER), 0);
}

// ---- What a host finds --------------------------------------------------------------------------

static void cannot_have_helpers(void)
{
    expect_eq(coir_blocking((void (*)(void *))count_one, NULL), -EAGAIN);
    coir_blocking_begin(); // declares in vain: there is nobody to go on
    coir_blocking_end();
    expect_eq(coir_pin(), 0); // one thread is all there is
    expect_eq(coir_unpin(), 0);
    done++;
}

static void reads_errno(void)
{
    errno = EDOM;
    coir_yield();
    expect_eq(errno, EDOM);
    done++;
}

static void no_thread_is_made_and_errno_is_the_hosts(void)
{
    int before = count_threads();
    coir_runtime *rt = loop_start();
    coir_stats stats = COIR_STATS_INIT;
    coir_info info = COIR_INFO_INIT;

    done = 0;
    for (int i = 0; i < 3; i++) expect_eq(coir_go_on(rt, reads_errno), 0);
    expect_eq(coir_go_with(coir_opts(.rt = rt, .pinned = true), cannot_have_helpers), 0);
    expect_eq(coir_go_on(rt, yields, 100), 0);
    errno = ERANGE;
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(errno, ERANGE);
    expect_eq(done, 4);
    expect_eq(coir_current() == NULL, 1);
    expect_eq(coir_id(), 0);
    expect_soon(count_threads() <= before);
    expect_eq(coir_stats_read(rt, &stats), 0);
    expect_eq(stats.threads, 0);
    expect_eq(stats.made, 5);
    expect_eq(coir_query(rt, &info), 0);
    expect_eq(info.workers, 1);
    expect_eq(info.driver, loop_driver);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_soon(count_threads() <= before);
}

static void helps(void *arg)
{
    *(int *)arg = 1;
}

static void calls_a_helper(void)
{
    int helped = 0;

    expect_eq(coir_blocking(helps, &helped), 0);
    expect_eq(helped, 1);
    done++;
}

static void helpers_are_there_for_who_asks_for_them(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    done = 0;
    config.driver = loop_driver;
    config.helpers = 2;
    expect_eq(coir_hosted_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, calls_a_helper), 0);
    loop_until(rt, &done, 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- Again and again ----------------------------------------------------------------------------

static int count_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int n = 0, c;

    expect(maps);
    while ((c = fgetc(maps)) != EOF) n += c == '\n';
    fclose(maps);
    return n;
}

static void nothing_is_left_of_many(void)
{
    int maps = 0, threads = count_threads();
    int n = test_slowness() > 1 ? 60 : 500;

    for (int i = 0; i < n; i++) {
        coir_runtime *rt = loop_start();

        if (i % 3 && i != 10) {
            done = 0;
            expect_eq(coir_go_on(rt, yields, 3), 0);
            expect_eq(coir_go_on(rt, sleeps_until, coir_now() + 1), 0);
            loop_until(rt, &done, 0);
        }
        expect_eq(coir_stop(rt, COIR_FOREVER), 0);
        if (i == n / 2) maps = count_maps();
    }
    if (test_slowness() == 1) expect(count_maps() <= maps + 2);
    expect_soon(count_threads() <= threads);
}

int main(void)
{
    on_both(a_turn_runs_what_can_run);
    on_both(a_budget_counts_runs);
    on_both(who_yields_for_ever_does_not_keep_the_loop);
    on_both(many_more_than_the_bound_run_in_one_turn);
    on_both(the_deadline_is_the_earliest_timer);
    on_both(a_deadline_that_moved_is_told_exactly);
    on_both(timers_run_in_turns_only);
    on_both(only_the_thread_of_the_first_turn_may);
    on_both(another_thread_than_the_starter_may_turn);
    on_both(a_stop_without_a_turn);
    on_both(other_threads_wake_and_spawn);
    on_both(a_stop_turns_by_itself_and_names_survivors);
    on_both(two_hosted_ones_and_one_with_threads);
    on_both(a_coroutine_may_turn_another_runtime);
    on_both(a_turn_within_a_turn_of_its_own_is_refused);
    on_both(no_thread_is_made_and_errno_is_the_hosts);
    on_both(helpers_are_there_for_who_asks_for_them);
    on_both(nothing_is_left_of_many);
    return 0;
}
