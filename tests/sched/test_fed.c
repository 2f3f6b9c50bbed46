// SPDX-License-Identifier: MIT
// Goal:   a lone worker that a thread feeds is found awake; one that it feeds now and then, or no
//         more, sleeps.
// Method: hand-overs to and fro over two channels, until the worker has counted enough that found
//         it awake; then one a millisecond; then none. How long the worker runs, and how often it
//         sleeps, say the kernel's books on its thread.
#include <coir.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum { SPARED = 10, BURST = 200, NAPS = 300 };

static coir_runtime *rt;
static coir_chan *there, *back;
static long worker; // its thread

static void returns_them(void)
{
    int value;

    __atomic_store_n(&worker, syscall(SYS_gettid), __ATOMIC_RELAXED);
    while (coir_chan_recv(there, &value, COIR_FOREVER) == 0)
        expect_eq(coir_chan_send(back, &value, COIR_FOREVER), 0);
}

static void hand_over(int value)
{
    int returned;

    expect_eq(coir_chan_send(there, &value, COIR_FOREVER), 0);
    expect_eq(coir_chan_recv(back, &returned, COIR_FOREVER), 0);
    expect_eq(returned, value);
}

struct books {
    long long run_ns, sleeps;
};

static struct books read_books(void)
{
    struct books b = {0};
    char path[64], line[128];

    snprintf(path, sizeof(path), "/proc/self/task/%ld/schedstat", worker);
    FILE *file = fopen(path, "r");
    expect(file && fscanf(file, "%lld", &b.run_ns) == 1);
    fclose(file);
    snprintf(path, sizeof(path), "/proc/self/task/%ld/status", worker);
    file = fopen(path, "r");
    expect(file);
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, "voluntary_ctxt", 14) == 0)
            b.sleeps = atoll(strchr(line, ':') + 1);
    fclose(file);
    return b;
}

static int processors(void)
{
    cpu_set_t set;

    expect_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    return CPU_COUNT(&set);
}

static uint64_t count_spared(void)
{
    coir_stats stats = COIR_STATS_INIT;

    expect_eq(coir_stats_read(rt, &stats), 0);
    return stats.sleeps_spared;
}

// Where another process has the worker's processor it may be fed for long, and yet asleep.
static void is_found_awake(const char *driver)
{
    int n = 0;

    while (count_spared() < SPARED) hand_over(n++); // for ever: the watchdog
    printf("%s: %d sleeps spared in %d hand-overs\n", driver, SPARED, n);
}

// Each comes when the worker has long been asleep, and finds it so.
static void sleeps_between(const char *driver)
{
    struct books before = read_books();
    int64_t from = coir_now();

    for (int i = 0; i < NAPS; i++) {
        usleep(1000);
        hand_over(i);
    }
    int64_t took = coir_now() - from;
    struct books after = read_books();
    printf("%s: %d hand-overs a millisecond apart: %lld us and %lld sleeps in %lld ms\n",
           driver, NAPS, (after.run_ns - before.run_ns) / 1000,
           after.sleeps - before.sleeps, (long long)took / 1000000);
    if (test_slowness() == 1) expect(after.run_ns - before.run_ns < took / 2);
}

// From the middle of being fed.
static void sleeps_when_it_is_over(void)
{
    struct books was = read_books();

    for (int i = 0; i < BURST; i++) hand_over(i);
    for (;;) { // for ever: the watchdog
        usleep(100000);
        struct books is = read_books();
        if (is.run_ns == was.run_ns && is.sleeps == was.sleeps) return;
        was = is;
    }
}

static void feed(coir_driver driver, const char *name)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 1;
    config.driver = driver;
    if (coir_start(&config, &rt) < 0) {
        expect_eq(driver, COIR_DRIVER_URING);
        return;
    }
    expect_eq(coir_chan_make(sizeof(int), 1, &there), 0);
    expect_eq(coir_chan_make(sizeof(int), 1, &back), 0);
    expect_eq(coir_go_on(rt, returns_them), 0);
    hand_over(0);
    if (processors() > 1) is_found_awake(name);
    sleeps_between(name);
    sleeps_when_it_is_over();
    expect_eq(coir_chan_close(there), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    coir_chan_unref(there);
    coir_chan_unref(back);
}

int main(void)
{
    feed(COIR_DRIVER_URING, "ring");
    feed(COIR_DRIVER_EPOLL, "epoll");
    return 0;
}
