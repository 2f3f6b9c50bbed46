// SPDX-License-Identifier: MIT
// Asks:  how long from a byte on a pipe until its reader runs, when every worker sleeps?
// Shows: us, the median; 99 of a hundred; from a thread outside that writes every millisecond.
//        Threads sleep in read(2).
#include "bench/bench.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

static int ends[2];
static int64_t *delays;
static long n_delays;

static void *write_now_and_then(void *arg)
{
    struct bench *b = arg;

    for (long i = 0; i < b->n; i++) {
        usleep(1000);
        int64_t now = coir_now();
        bench_must(write(ends[1], &now, sizeof(now)) == sizeof(now), "write");
    }
    return NULL;
}

static void note(int64_t written)
{
    delays[n_delays++] = coir_now() - written;
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    pthread_t writer = bench_thread(write_now_and_then, b);

    for (long i = 0; i < b->n; i++) {
        int64_t written;
        bench_must(coir_read(ends[0], &written, sizeof(written), COIR_FOREVER) ==
                       sizeof(written),
                   "read");
        note(written);
    }
    pthread_join(writer, NULL);
    return 0;
}

void bench_pthreads(struct bench *b)
{
    pthread_t writer = bench_thread(write_now_and_then, b);

    for (long i = 0; i < b->n; i++) {
        int64_t written;
        bench_must(read(ends[0], &written, sizeof(written)) == sizeof(written), "read");
        note(written);
    }
    pthread_join(writer, NULL);
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    coir_config config = COIR_CONFIG_INIT;

    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|pthreads WORKERS N\n", argv[0]);
        return 2;
    }
    b.workers = config.workers = (unsigned)atoi(argv[2]);
    b.n = atol(argv[3]);
    bench_must((delays = calloc((size_t)b.n, sizeof(*delays))) != NULL, "calloc");
    bench_must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    if (strcmp(argv[1], "coir") == 0)
        bench_must(coir_run(&config, bench_coir, &b) == 0, "coir_run");
    else
        bench_pthreads(&b);
    qsort(delays, (size_t)b.n, sizeof(*delays), compare);
    printf("{\"value\": %.1f, \"unit\": \"us, p50\", \"n\": %ld, \"p99\": %.1f}\n",
           (double)delays[b.n / 2] / 1000.0, b.n,
           (double)delays[b.n * 99 / 100] / 1000.0);
    return 0;
}
