// SPDX-License-Identifier: MIT
// Goal:   a start and a stop cost little and leave nothing: hosted, and with two workers.
// Method: N pairs of each kind, a coroutine in each; the times of a pair are printed (no bound on
//         them here, the machine may be busy), descriptors, threads and mappings are compared.
//
// pairs N
#include <pthread.h>
#include <stdlib.h>

#include "tests/hosted/loop.h"

static int runs;

static void count_one(void)
{
    __atomic_fetch_add(&runs, 1, __ATOMIC_RELAXED);
}

static int count_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int n = 0, c;

    expect(maps);
    while ((c = fgetc(maps)) != EOF) n += c == '\n';
    fclose(maps);
    return n;
}

static void hosted_pair(void)
{
    coir_runtime *rt = loop_start();

    expect_eq(coir_go_on(rt, count_one), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void pair_with_workers(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    config.driver = loop_driver;
    config.workers = 2;
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, count_one), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print_times(const char *name, int64_t *took, int n)
{
    int64_t sum = 0;

    for (int i = 0; i < n; i++) sum += took[i];
    qsort(took, (size_t)n, sizeof(*took), by_time);
    printf("%s: %d pairs, us each: mean %lld, median %lld, p99 %lld, most %lld\n", name,
           n, (long long)(sum / n / COIR_US), (long long)(took[n / 2] / COIR_US),
           (long long)(took[n * 99LL / 100] / COIR_US),
           (long long)(took[n - 1] / COIR_US));
}

static void again_and_again(const char *name, void (*pair)(void), int n)
{
    int64_t *took = calloc((size_t)n, sizeof(*took)); // before the maps are counted
    int fds, threads, maps;

    expect(took);
    runs = 0;
    for (int i = 0; i < 20; i++)
        pair(); // what libc and the kernel keep for good is there now
    fds = count_in("/proc/self/fd");
    threads = count_threads();
    maps = count_maps();
    for (int i = 0; i < n; i++) {
        int64_t before = coir_now();

        pair();
        took[i] = coir_now() - before;
    }
    printf("descriptors %d -> %d, threads %d -> %d, mappings %d -> %d\n", fds,
           count_in("/proc/self/fd"), threads, count_threads(), maps, count_maps());
    print_times(name, took, n);
    expect_eq(runs, n + 20);
    expect_eq(count_in("/proc/self/fd"), fds);
    expect_soon(count_threads() <= threads);
    if (test_slowness() == 1)
        expect(count_maps() <= maps + 2); // a sanitizer maps as it likes
    free(took);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 300;

    test_watchdog(n < 1000 ? 100 : 0);
    for (int ring = have_ring(); ring >= 0; ring--) {
        loop_driver = ring ? COIR_DRIVER_URING : COIR_DRIVER_EPOLL;
        again_and_again(ring ? "hosted, ring" : "hosted, epoll", hosted_pair, n);
        again_and_again(ring ? "two workers, ring" : "two workers, epoll",
                        pair_with_workers, n);
    }
    return 0;
}
