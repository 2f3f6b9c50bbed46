// SPDX-License-Identifier: MIT
// bench - what the in-process questions share: arguments, a clock, one line of JSON.
//
// Every program takes WHO WORKERS N, where WHO is coir or pthreads, and prints
//     {"value": 41.7, "unit": "ns", "n": 1000000}
// measured inside the process around the loop, so that start and stop do not count.
#pragma once

#include <coir.h>
#include <coir/go.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
    unsigned workers;
    long n;       // how often the thing was done
    int64_t ns;   // how long that took
    long threads; // pthreads: how many there were, where it is not n
};

// What a question wants beside its workers.
static coir_config bench_config = COIR_CONFIG_INIT;

// The question, in both languages. Each fills ns; main calls one.
int bench_coir(void *bench);
void bench_pthreads(struct bench *b);

static inline void bench_start(struct bench *b)
{
    b->ns = -coir_now();
}

static inline void bench_stop(struct bench *b)
{
    b->ns += coir_now();
}

static inline void bench_must(int ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

// VmRSS and VmPTE of this process together, in bytes.
static inline long bench_memory(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[128];
    long kib = 0;
    long n;

    bench_must(file != NULL, "/proc/self/status");
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %ld", &n) == 1 || sscanf(line, "VmPTE: %ld", &n) == 1)
            kib += n;
    fclose(file);
    return kib << 10;
}

// Joinable, with a small stack, or the program ends.
static inline pthread_t bench_thread(void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    bench_must(pthread_create(&thread, &attr, fn, arg) == 0, "pthread_create");
    pthread_attr_destroy(&attr);
    return thread;
}

static inline void *bench_nothing(void *arg)
{
    return arg;
}

// n threads that do nothing, created and joined in batches of 100.
static inline void bench_spawn_threads(struct bench *b)
{
    pthread_t threads[100];

    bench_start(b);
    for (long i = 0; i < b->n; i += 100) {
        for (int j = 0; j < 100; j++) threads[j] = bench_thread(bench_nothing, NULL);
        for (int j = 0; j < 100; j++) pthread_join(threads[j], NULL);
    }
    bench_stop(b);
}

// Reads WHO WORKERS N, or ends the program. True: WHO is coir.
static inline int bench_is_coir(struct bench *b, int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|pthreads WORKERS N\n", argv[0]);
        exit(2);
    }
    bench_config.workers = b->workers = (unsigned)atoi(argv[2]);
    b->n = atol(argv[3]);
    return strcmp(argv[1], "coir") == 0;
}

static inline int bench_main(int argc, char **argv, double scale, const char *unit)
{
    struct bench b = {0};

    if (bench_is_coir(&b, argc, argv))
        bench_must(coir_run(&bench_config, bench_coir, &b) == 0, "coir_run");
    else
        bench_pthreads(&b);
    printf("{\"value\": %.3f, \"unit\": \"%s\", \"n\": %ld}\n",
           (double)b.ns / (double)b.n / scale, unit, b.n);
    return 0;
}
