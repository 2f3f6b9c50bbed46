// SPDX-License-Identifier: MIT
// Goal:   threads that compute or block without a worker's rights are capped: those beyond wait, it
//         is counted, and nobody is lost.
// Method: one worker and three threads; five coroutines that hold theirs until an ordinary thread
//         has seen the cap at work. Without the count it waits for ever, without the cap it sees
//         too many threads. Each kind of hog; ring and epoll.
#include <coir.h>
#include <coir/go.h>

#include <unistd.h>

#include "tests/lib/test.h"

enum { HOGS = 5, THREADS = 4 }; // the watching one among them

static coir_config config = COIR_CONFIG_INIT;
static int n_ended, is_over;

static int get(const int *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void spins(void)
{
    while (!get(&is_over)) continue;
    __atomic_add_fetch(&n_ended, 1, __ATOMIC_ACQ_REL);
}

static void naps(void)
{
    while (!get(&is_over)) usleep(1000);
    __atomic_add_fetch(&n_ended, 1, __ATOMIC_ACQ_REL);
}

static void says_so(void)
{
    coir_blocking_begin();
    while (!get(&is_over)) usleep(1000);
    coir_blocking_end();
    __atomic_add_fetch(&n_ended, 1, __ATOMIC_ACQ_REL);
}

static void those_beyond_wait(void (*hog)(void))
{
    coir_stats stats = COIR_STATS_INIT;
    coir_runtime *rt;

    n_ended = is_over = 0;
    expect_eq(coir_start(&config, &rt), 0);
    for (int i = 0; i < HOGS; i++) expect_eq(coir_go_on(rt, hog), 0);
    do {
        coir_sleep(COIR_MS);
        expect_eq(coir_stats_read(rt, &stats), 0);
        expect(stats.threads <= THREADS);
    } while (stats.handoffs_refused == 0);
    expect(stats.handoffs <= THREADS - 2); // the last thread keeps the worker's rights
    expect_eq(get(&n_ended), 0);
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    while (stats.coroutines > 0) {
        coir_sleep(COIR_MS);
        expect_eq(coir_stats_read(rt, &stats), 0);
        expect(stats.threads <= THREADS);
    }
    expect_eq(get(&n_ended), HOGS); // none lost, none twice
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

int main(void)
{
    config.workers = 1;
    config.threads_max = THREADS;
    for (int i = 0; i < 2; i++) {
        config.driver = i ? COIR_DRIVER_EPOLL : COIR_DRIVER_AUTO;
        those_beyond_wait(spins);
        those_beyond_wait(naps);
        those_beyond_wait(says_so);
    }
    return 0;
}
