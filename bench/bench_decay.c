// SPDX-License-Identifier: MIT
// Asks:  does it harm who uses stacks again and again that free ones go back to the kernel?
// Shows: ns, and page faults, for each of N coroutines that are made together, wait for one
//        another and end, every 100 ms. "first": before a second has gone by, when nothing can have
//        gone back; value and "faults": the three seconds after it; "quiet": the first time after
//        four seconds of nothing, when most have gone back: the price of a wrong guess. Threads
//        have nothing of the kind: coir alone.
#include "bench/bench.h"

#include <errno.h>
#include <sys/resource.h>

#define PAUSE_NS (100 * COIR_MS)

struct phase {
    double ns, faults; // each
};

static struct phase first_ones, then, quiet;

static long faults(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return r.ru_minflt;
}

static void waits(coir_chan *c, coir_waitgroup *there, coir_waitgroup *done)
{
    coir_waitgroup_done(there);
    bench_must(coir_chan_recv(c, NULL, COIR_FOREVER) == -EPIPE, "recv");
    coir_waitgroup_done(done);
}

// ns each.
static double burst(long n)
{
    coir_waitgroup there = {0}, done = {0};
    coir_chan *c;

    bench_must(coir_chan_make(0, 0, &c) == 0, "make");
    coir_waitgroup_add(&there, (int)n);
    coir_waitgroup_add(&done, (int)n);
    int64_t start = coir_now();
    for (long i = 0; i < n; i++) bench_must(go(waits, c, &there, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&there, COIR_FOREVER) == 0, "wait");
    coir_chan_close(c);
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    int64_t ns = coir_now() - start;
    coir_chan_unref(c);
    return (double)ns / (double)n;
}

static int ascending(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

// The median of bursts until then.
static struct phase bursts(long n, int64_t until)
{
    double ns[64];
    size_t k = 0;
    long before = faults();

    while (k < 64 && (k == 0 || coir_now() < until)) {
        if (k > 0) coir_sleep(PAUSE_NS);
        ns[k++] = burst(n);
    }
    qsort(ns, k, sizeof(ns[0]), ascending);
    return (struct phase){ns[k / 2], (double)(faults() - before) / (double)k / (double)n};
}

static int first(void *arg)
{
    struct bench *b = arg;
    int64_t start = coir_now();

    burst(b->n); // the stacks are new
    first_ones = bursts(b->n, start + 800 * COIR_MS);
    then = bursts(b->n, start + 4 * COIR_SEC);
    coir_sleep(4 * COIR_SEC);
    quiet = bursts(b->n, 0);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench b = {0};

    if (argc < 4 || strcmp(argv[1], "coir") != 0) {
        fprintf(stderr, "usage: %s coir WORKERS N\n", argv[0]);
        return 2;
    }
    bench_config.workers = b.workers = (unsigned)atoi(argv[2]);
    b.n = atol(argv[3]);
    bench_must(coir_run(&bench_config, first, &b) == 0, "coir_run");
    printf(
        "{\"value\": %.1f, \"unit\": \"ns\", \"n\": %ld, \"faults\": %.4f, "
        "\"first\": %.1f, \"first_faults\": %.4f, \"quiet\": %.1f, \"quiet_faults\": %.4f}\n",
        then.ns, b.n, then.faults, first_ones.ns, first_ones.faults, quiet.ns,
        quiet.faults);
    return 0;
}
