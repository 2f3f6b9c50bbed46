// SPDX-License-Identifier: MIT
// Asks:  what does a runtime cost whose N coroutines all wait, and no deadline among them?
// Shows: us of processor time of all threads but the one that asks, and their context switches, in
//        SECONDS (5, or the fourth argument). Before and after, each of those that wait answers a
//        call. The fifth argument is the driver, uring or epoll. Threads wait on a condition.
#include "bench/bench.h"

#include <dirent.h>
#include <unistd.h>

static int seconds = 5;
static coir_driver driver;
static int64_t run_ns, switches;

// ---- The kernel's books of all threads but this one -----------------------------------------

static void read_books(int64_t *ret_ns, int64_t *ret_switches)
{
    DIR *dir = opendir("/proc/self/task");

    bench_must(dir != NULL, "/proc/self/task");
    *ret_ns = *ret_switches = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[300], line[128];
        long long ns = 0;

        if (e->d_name[0] == '.' || atoi(e->d_name) == getpid()) continue;
        snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", e->d_name);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%lld", &ns) == 1) *ret_ns += ns;
        if (file) fclose(file);
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
            if (strstr(line, "ctxt_switches"))
                *ret_switches += atoll(strchr(line, ':') + 1);
        if (file) fclose(file);
    }
    closedir(dir);
}

// Looks away for so long, once nothing has moved for half a second.
static void look_away(void)
{
    int64_t ns, was_ns, was_switches;

    read_books(&was_ns, &was_switches);
    for (int i = 0; i < 60; i++) {
        usleep(500000);
        read_books(&ns, &switches);
        if (ns == was_ns && switches == was_switches) break;
        was_ns = ns;
        was_switches = switches;
    }
    sleep((unsigned)seconds);
    read_books(&ns, &switches);
    run_ns = ns - was_ns;
    switches -= was_switches;
}

// ---- Coroutines ---------------------------------------------------------------------------------

static coir_chan *calls;
static coir_waitgroup answered, gone;
static unsigned char *answers; // of each

static void answer(long i)
{
    while (coir_chan_recv(calls, NULL, COIR_FOREVER) == 0) {
        answers[i]++;
        coir_waitgroup_done(&answered);
    }
    coir_waitgroup_done(&gone);
}

// The channel is first in, first out: of those that wait everybody gets one.
static void call(long n)
{
    coir_waitgroup_add(&answered, (int)n);
    for (long i = 0; i < n; i++)
        bench_must(coir_chan_send(calls, NULL, COIR_FOREVER) == 0, "send");
    bench_must(coir_waitgroup_wait(&answered, COIR_FOREVER) == 0, "wait");
}

static void call_everybody(long *n, coir_waitgroup *over)
{
    call(*n);
    coir_waitgroup_done(over);
}

static void call_from_inside(coir_runtime *rt, long n, int times)
{
    coir_waitgroup over = {0};
    coir_stats stats = COIR_STATS_INIT;

    do {
        usleep(10000);
        bench_must(coir_stats_read(rt, &stats) == 0, "stats");
    } while (stats.parked < (uint64_t)n);
    coir_waitgroup_add(&over, 1);
    bench_must(coir_go_on(rt, call_everybody, &n, &over) == 0, "go");
    bench_must(coir_waitgroup_wait(&over, COIR_FOREVER) == 0, "wait");
    for (long i = 0; i < n; i++) bench_must(answers[i] == times, "an answer of each");
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    config.workers = b->workers;
    config.driver = driver;
    bench_must((answers = calloc((size_t)b->n, 1)) != NULL, "calloc");
    bench_must(coir_start(&config, &rt) == 0, "start");
    bench_must(coir_chan_make(0, 0, &calls) == 0, "make");
    coir_waitgroup_add(&gone, (int)b->n);
    for (long i = 0; i < b->n; i++) bench_must(coir_go_on(rt, answer, i) == 0, "go");
    call_from_inside(rt, b->n, 1);
    look_away();
    call_from_inside(rt, b->n, 2);
    coir_chan_close(calls);
    bench_must(coir_waitgroup_wait(&gone, COIR_FOREVER) == 0, "wait");
    bench_must(coir_stop(rt, COIR_FOREVER) == 0, "stop");
    return 0;
}

// ---- Threads ------------------------------------------------------------------------------------

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t called = PTHREAD_COND_INITIALIZER, heard = PTHREAD_COND_INITIALIZER;
static long n_calls, n_heard;

static void *answer_calls(void *arg)
{
    pthread_mutex_lock(&mutex);
    for (long i = 0; i < 2; i++) {
        while (n_calls == i) pthread_cond_wait(&called, &mutex);
        n_heard++;
        pthread_cond_signal(&heard);
    }
    pthread_mutex_unlock(&mutex);
    return arg;
}

static void call_threads(long wanted)
{
    pthread_mutex_lock(&mutex);
    n_calls++;
    pthread_cond_broadcast(&called);
    while (n_heard < wanted) pthread_cond_wait(&heard, &mutex);
    pthread_mutex_unlock(&mutex);
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = calloc((size_t)b->n, sizeof(*threads));

    bench_must(threads != NULL, "calloc");
    for (long i = 0; i < b->n; i++) threads[i] = bench_thread(answer_calls, NULL);
    call_threads(b->n);
    look_away();
    call_threads(2 * b->n);
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    free(threads);
}

int main(int argc, char **argv)
{
    struct bench b = {0};

    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|pthreads WORKERS N [SECONDS [DRIVER]]\n",
                argv[0]);
        return 2;
    }
    b.workers = (unsigned)atoi(argv[2]);
    b.n = atol(argv[3]);
    if (argc > 4) seconds = atoi(argv[4]);
    if (argc > 5)
        driver = strcmp(argv[5], "epoll") == 0 ? COIR_DRIVER_EPOLL : COIR_DRIVER_URING;
    if (strcmp(argv[1], "coir") == 0)
        bench_coir(&b);
    else
        bench_pthreads(&b);
    printf("{\"value\": %.1f, \"unit\": \"CPU us in %d s\", \"n\": %ld, \"switches\": "
           "%lld}\n",
           (double)run_ns / 1000.0, seconds, b.n, (long long)switches);
    return 0;
}
