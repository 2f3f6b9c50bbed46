// SPDX-License-Identifier: MIT
// futures - a daemon with threads of its own hands work to coroutines and waits for the results.
//
// A future is a channel of capacity 1: who has the result sends it, who wants it receives it, with
// a deadline. It is counted, so either side may give up first.
#include <coir/go.h>
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 4, ASKS = 25 };

static coir_runtime *rt;
struct result {
    int id, square;
};

// The coroutine's side: asks "elsewhere", answers, lets go.
static void look_up(coir_chan *future, int id, int64_t takes)
{
    struct result r = {id, id * id};

    if (coir_sleep(takes) < 0 || coir_chan_send(future, &r, COIR_NOW) < 0)
        printf("no answer for %d\n", id);
    coir_chan_unref(future);
}

// The thread's side. The future, or NULL.
static coir_chan *begin(int id, int64_t takes)
{
    coir_chan *future;

    if (coir_chan_make(sizeof(struct result), 1, &future) < 0) return NULL;
    coir_chan_ref(future);
    if (coir_go_on(rt, look_up, future, id, takes) == 0) return future;
    coir_chan_unref(future);
    coir_chan_unref(future);
    return NULL;
}

static int await(coir_chan *future, struct result *ret_result, int64_t deadline)
{
    int err = future ? coir_chan_recv(future, ret_result, deadline) : -1;

    coir_chan_unref(future);
    return err;
}

// An ordinary thread of the daemon: all questions first, then the answers, which came meanwhile.
static void *works(void *arg)
{
    coir_chan *futures[ASKS];
    struct result r;
    long sum = 0;

    for (int i = 0; i < ASKS; i++) futures[i] = begin(i, (i % 5) * COIR_MS);
    for (int i = 0; i < ASKS; i++)
        if (await(futures[i], &r, coir_after(10 * COIR_SEC)) == 0 && r.id == i)
            sum += r.square;
    *(long *)arg = sum;
    return NULL;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;
    pthread_t threads[THREADS];
    long sums[THREADS];
    struct result r;

    config.workers = 1;
    if (coir_start(&config, &rt) < 0) return 1;
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, works, &sums[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) printf("thread %d: %ld\n", i, sums[i]);
    int err = await(begin(1, 60 * COIR_SEC), &r, coir_after(5 * COIR_MS));
    printf("one took too long: %s\n", err < 0 ? "given up" : "not at all");
    return coir_stop(
        rt, COIR_FOREVER); // the coroutine ends, and its half of the future with it
}
