// SPDX-License-Identifier: MIT
// Goal:   a runtime starts, runs coroutines on one worker and on several, and stops with nothing
//         left behind, on the ring and on epoll.
// Method: a plain program over the public interface; every scene counts what it did.
#include <coir.h>
#include <coir/go.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    expect(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

// ---- Values in, values out -------------------------------------------------------------------

static int give(void *arg)
{
    return *(int *)arg;
}

static void run_returns_what_its_function_returns(void)
{
    int seven = 7;

    expect_eq(coir_run(&config, give, &seven), 7);
    expect_eq(coir_run(&config, NULL, NULL), -EINVAL);
}

// ---- Yield -----------------------------------------------------------------------------------

static int turns[2];

static void take_turns(int me, int n)
{
    for (int i = 0; i < n; i++) {
        __atomic_add_fetch(&turns[me], 1, __ATOMIC_RELAXED);
        expect_eq(coir_yield(), 0);
    }
}

static int two_take_turns(void *arg)
{
    (void)arg;
    turns[0] = turns[1] = 0;
    expect_eq(go(take_turns, 0, 1000), 0);
    expect_eq(go(take_turns, 1, 1000), 0);
    while (__atomic_load_n(&turns[0], __ATOMIC_RELAXED) < 1000 ||
           __atomic_load_n(&turns[1], __ATOMIC_RELAXED) < 1000)
        coir_yield();
    return 0;
}

enum { CROWD = 3000, ROUNDS = 200 }; // more than a run queue holds

static int rounds[CROWD];
static int crowd_over;

static void go_round(int me)
{
    while (!__atomic_load_n(&crowd_over, __ATOMIC_RELAXED)) {
        __atomic_add_fetch(&rounds[me], 1, __ATOMIC_RELAXED);
        expect_eq(coir_yield(), 0);
    }
}

// What overflows from a run queue once waited 61 times as long as what stood in it, in each round.
// With one worker the order is the queue's own: nobody is far behind.
static int who_overflowed_keeps_step(void *arg)
{
    (void)arg;
    memset(rounds, 0, sizeof(rounds));
    crowd_over = 0;
    for (int i = 0; i < CROWD; i++) expect_eq(go(go_round, i), 0);
    for (int i = 0; i < ROUNDS; i++) expect_eq(coir_yield(), 0);
    crowd_over = 1;
    int least = rounds[0], most = rounds[0];
    for (int i = 1; i < CROWD; i++) {
        int n = __atomic_load_n(&rounds[i], __ATOMIC_RELAXED);

        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    expect(most <= 2 * least);
    return 0;
}

// One worker: plain counters will do.
// Atomic: a lone worker too has two threads where it was taken from one that was slow.
static atomic_int overtaken_ran, links, living, living_most;

static void overtaken(void)
{
    overtaken_ran = 1;
}

static void end_at_once(void)
{
}

// Each makes the next one, and one more that is newer than whoever waits.
static void make_newer(void)
{
    if (overtaken_ran || ++links > 10000) return;
    expect_eq(go(make_newer), 0);
    expect_eq(go(end_at_once), 0);
}

// On one worker the newest goes first, or a tree of spawns would need a stack for each leaf. Who
// stands below a pile that never gets smaller must run all the same.
static int newer_ones_let_the_oldest_run(void *arg)
{
    (void)arg;
    overtaken_ran = links = 0;
    expect_eq(go(end_at_once), 0); // is next
    expect_eq(go(overtaken), 0);
    expect_eq(go(make_newer), 0);
    while (!overtaken_ran && links <= 10000) expect_eq(coir_yield(), 0);
    expect(links < 1000);
    return 0;
}

static void grow_wide(int depth)
{
    for (int i = 0; depth > 0 && i < 10; i++) {
        expect_eq(go(grow_wide, depth - 1), 0);
        int now = ++living;
        if (now > living_most) living_most = now;
    }
    living--;
}

// 11,110 coroutines, of which one path lives with the brothers beside it, not a whole floor.
static int a_tree_is_walked_depth_first(void *arg)
{
    (void)arg;
    living = living_most = 0;
    expect_eq(go(grow_wide, 4), 0);
    living++;
    while (living > 0) expect_eq(coir_yield(), 0);
    expect(living_most < 1000);
    return 0;
}

// ---- Sleep -----------------------------------------------------------------------------------

static int slept;

static void sleeper(int ms)
{
    int64_t from = coir_now();

    expect_eq(coir_sleep(ms * COIR_MS), 0);
    expect(coir_now() - from >= ms * COIR_MS); // never early
    __atomic_add_fetch(&slept, 1, __ATOMIC_RELAXED);
}

static int many_sleep(void *arg)
{
    (void)arg;
    slept = 0;
    for (int i = 0; i < 1000; i++) expect_eq(go(sleeper, i % 50), 0);
    while (__atomic_load_n(&slept, __ATOMIC_RELAXED) < 1000)
        expect_eq(coir_sleep(COIR_MS), 0);
    return 0;
}

// ---- Many, nested, migrating -------------------------------------------------------------------

static uint64_t leaves;

static void tree(int depth)
{
    if (depth == 0) {
        __atomic_add_fetch(&leaves, 1, __ATOMIC_RELAXED);
        return;
    }
    for (int i = 0; i < 4; i++) {
        int err;
        while ((err = go(tree, depth - 1)) == -ENOMEM) coir_yield();
        expect_eq(err, 0);
        if (i == 1) coir_yield();
    }
}

static int grow_tree(void *arg)
{
    (void)arg;
    leaves = 0;
    tree(7);
    while (__atomic_load_n(&leaves, __ATOMIC_RELAXED) < 4 * 4 * 4 * 4 * 4 * 4 * 4)
        coir_yield();
    return 0;
}

// ---- errno travels with its coroutine ---------------------------------------------------------

static int kept;

// A compiler may keep errno's address over a call within one function (docs/embedding.md).
__attribute__((noinline)) static void set_errno(int value)
{
    errno = value;
    __asm__ volatile("");
}

__attribute__((noinline)) static int get_errno(void)
{
    __asm__ volatile("");
    return errno;
}

static void keeps_errno(int value)
{
    for (int i = 0; i < 100; i++) {
        set_errno(value);
        coir_yield();
        expect_eq(get_errno(), value);
    }
    __atomic_add_fetch(&kept, 1, __ATOMIC_RELAXED);
}

static int many_keep_errno(void *arg)
{
    (void)arg;
    kept = 0;
    for (int i = 1; i <= 50; i++) expect_eq(go(keeps_errno, i), 0);
    while (__atomic_load_n(&kept, __ATOMIC_RELAXED) < 50) coir_yield();
    return 0;
}

// ---- Stop --------------------------------------------------------------------------------------

static int canceled;

static void sleeps_for_ever(void)
{
    int err = coir_sleep_until(COIR_FOREVER);

    expect_eq(err, -ECANCELED);
    expect_eq(coir_yield(), -ECANCELED);
    coir_shield_begin();
    expect_eq(coir_sleep(COIR_MS), 0); // deaf: cleanup may wait
    coir_shield_end();
    __atomic_add_fetch(&canceled, 1, __ATOMIC_RELAXED);
}

static int leave_sleepers(void *arg)
{
    (void)arg;
    canceled = 0;
    for (int i = 0; i < 100; i++) expect_eq(go(sleeps_for_ever), 0);
    return (int)coir_sleep(2 * COIR_MS);
}

static void run_cancels_who_is_left(void)
{
    expect_eq(coir_run(&config, leave_sleepers, NULL), 0);
    expect_eq(canceled, 100);
}

static int release_spinner;

static void spins(void)
{
    while (!__atomic_load_n(&release_spinner, __ATOMIC_ACQUIRE)) coir_yield();
}

static void stop_counts_survivors_and_can_be_called_again(void)
{
    coir_runtime *rt;

    release_spinner = 0;
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, spins), 0);
    expect_eq(coir_stop(rt, coir_after(30 * COIR_MS)), 1);
    expect_eq(coir_go_on(rt, spins), -ECANCELED);
    __atomic_store_n(&release_spinner, 1, __ATOMIC_RELEASE);
    expect_eq(coir_stop(rt, coir_after(10 * COIR_SEC)), 0);
}

// ---- Spawns from ordinary threads ------------------------------------------------------

static int from_threads;

static void counts(int by)
{
    __atomic_add_fetch(&from_threads, by, __ATOMIC_RELAXED);
}

static void *spawn_from_thread(void *rt)
{
    for (int i = 0; i < 1000; i++) expect_eq(coir_go_on(rt, counts, 1), 0);
    return NULL;
}

static void threads_spawn_into_a_runtime(void)
{
    coir_runtime *rt;
    pthread_t threads[4];

    from_threads = 0;
    expect_eq(coir_start(&config, &rt), 0);
    for (int i = 0; i < 4; i++)
        expect_eq(pthread_create(&threads[i], NULL, spawn_from_thread, rt), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(from_threads, 4000);
}

// ---- Nothing is left ---------------------------------------------------------------------------

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void a_hundred_starts_leave_nothing_behind(void)
{
    expect_eq(coir_run(&config, nothing, NULL), 0);
    int fds = count_entries("/proc/self/fd");
    int threads = count_entries("/proc/self/task");

    for (int i = 0; i < 100; i++) expect_eq(coir_run(&config, nothing, NULL), 0);
    expect_eq(count_entries("/proc/self/fd"), fds);
    expect_soon(count_entries("/proc/self/task") <= threads);
}

static void all(unsigned workers, coir_driver driver)
{
    config.workers = workers;
    config.driver = driver;
    printf("%u workers, driver %d\n", workers, driver);
    run_returns_what_its_function_returns();
    expect_eq(coir_run(&config, two_take_turns, NULL), 0);
    if (workers == 1) {
        expect_eq(coir_run(&config, who_overflowed_keeps_step, NULL), 0);
        expect_eq(coir_run(&config, newer_ones_let_the_oldest_run, NULL), 0);
        expect_eq(coir_run(&config, a_tree_is_walked_depth_first, NULL), 0);
    }
    expect_eq(coir_run(&config, many_sleep, NULL), 0);
    expect_eq(coir_run(&config, grow_tree, NULL), 0);
    expect_eq(coir_run(&config, many_keep_errno, NULL), 0);
    run_cancels_who_is_left();
    stop_counts_survivors_and_can_be_called_again();
    threads_spawn_into_a_runtime();
    a_hundred_starts_leave_nothing_behind();
}

int main(void)
{
    for (unsigned workers = 1; workers <= 4; workers += workers == 1 ? 1 : 2) {
        all(workers, COIR_DRIVER_AUTO);
        all(workers, COIR_DRIVER_EPOLL);
    }
    return 0;
}
