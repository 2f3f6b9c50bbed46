// SPDX-License-Identifier: MIT
// Question: how late does a sleeper wake up while a coroutine computes on every worker and calls
//           nothing? pthreads: as many threads that compute, and one that sleeps.
// Prints the delay of 1 ms sleeps, and what part of their fair share of the processors the
// hogs had.
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "bench/bench.h"

#define HOGS_MOST 64

static volatile int over;
static int64_t *delays;
static int64_t cpu_ns[HOGS_MOST];
static unsigned n_running;

static int64_t own_cpu(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * COIR_SEC + ts.tv_nsec;
}

static void hog(int i)
{
    int64_t before = own_cpu();

    __atomic_add_fetch(&n_running, 1, __ATOMIC_RELAXED);
    while (!over) continue;
    cpu_ns[i] = own_cpu() - before;
    __atomic_sub_fetch(&n_running, 1, __ATOMIC_RELAXED);
}

static void sleep_often(long n, int (*sleep_until)(int64_t))
{
    for (long i = 0; i < n; i++) {
        int64_t when = coir_after(COIR_MS);
        sleep_until(when);
        delays[i] = coir_now() - when;
    }
    over = 1;
}

int bench_coir(void *bench)
{
    struct bench *b = bench;

    for (unsigned i = 0; i < b->workers; i++) bench_must(go(hog, (int)i) == 0, "go");
    bench_start(b);
    sleep_often(b->n, coir_sleep_until);
    bench_stop(b);
    while (__atomic_load_n(&n_running, __ATOMIC_RELAXED)) coir_sleep(COIR_MS);
    return 0;
}

static void *hog_thread(void *i)
{
    hog((int)(intptr_t)i);
    return NULL;
}

static int thread_sleep_until(int64_t when)
{
    struct timespec ts = {.tv_sec = when / COIR_SEC, .tv_nsec = when % COIR_SEC};

    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

void bench_pthreads(struct bench *b)
{
    pthread_t threads[HOGS_MOST];

    for (unsigned i = 0; i < b->workers; i++)
        threads[i] = bench_thread(hog_thread, (void *)(intptr_t)i);
    bench_start(b);
    sleep_often(b->n, thread_sleep_until);
    bench_stop(b);
    for (unsigned i = 0; i < b->workers; i++) pthread_join(threads[i], NULL);
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double us(int64_t ns)
{
    return (double)ns / 1000.0;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    coir_config config = COIR_CONFIG_INIT;

    if (argc < 4 || (b.workers = (unsigned)atoi(argv[2])) > HOGS_MOST) {
        fprintf(stderr, "usage: %s coir|pthreads WORKERS N\n", argv[0]);
        return 2;
    }
    b.n = atol(argv[3]);
    config.workers = b.workers;
    bench_must((delays = calloc((size_t)b.n, sizeof(*delays))) != NULL, "calloc");
    if (strcmp(argv[1], "coir") == 0)
        bench_must(coir_run(&config, bench_coir, &b) == 0, "coir_run");
    else
        bench_pthreads(&b);

    int64_t cpu = 0;
    for (unsigned i = 0; i < b.workers; i++) cpu += cpu_ns[i];
    cpu_set_t set;
    bench_must(sched_getaffinity(0, sizeof(set), &set) == 0, "sched_getaffinity");
    int cpus = CPU_COUNT(&set);
    double fair =
        (double)b.ns * (b.workers < (unsigned)cpus ? b.workers : (unsigned)cpus);
    qsort(delays, (size_t)b.n, sizeof(*delays), compare);
    printf(
        "{\"value\": %.1f, \"unit\": \"us\", \"n\": %ld, \"p999\": %.1f, \"max\": %.1f, "
        "\"hogs_share\": %.3f}\n",
        us(delays[b.n / 2]), b.n, us(delays[b.n * 999 / 1000]), us(delays[b.n - 1]),
        (double)cpu / fair);
    return 0;
}
