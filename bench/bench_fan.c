// SPDX-License-Identifier: MIT
// Asks:  what does an item cost that goes through a shared queue?
// Shows: ns per item, 4 producers and 4 consumers over one channel of 128; threads over a queue
//        of 128.
#include "bench/bench.h"
#include "bench/thread_queue.h"

enum { SIDE = 4, CAPACITY = 128 };

static void produce(coir_chan *c, long n, coir_waitgroup *done)
{
    for (long i = 0; i < n; i++)
        bench_must(coir_chan_send(c, &i, COIR_FOREVER) == 0, "send");
    coir_waitgroup_done(done);
}

static void consume(coir_chan *c, long n, coir_waitgroup *done)
{
    long v;

    for (long i = 0; i < n; i++)
        bench_must(coir_chan_recv(c, &v, COIR_FOREVER) == 0, "recv");
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup done = {0};
    coir_chan *c;

    bench_must(coir_chan_make(sizeof(long), CAPACITY, &c) == 0, "make");
    coir_waitgroup_add(&done, 2 * SIDE);
    bench_start(b);
    for (int i = 0; i < SIDE; i++) {
        bench_must(go(produce, c, b->n / SIDE, &done) == 0, "go");
        bench_must(go(consume, c, b->n / SIDE, &done) == 0, "go");
    }
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    bench_stop(b);
    coir_chan_unref(c);
    return 0;
}

static struct thread_queue queue;

static void *produce_on_a_thread(void *n)
{
    for (long i = 0; i < *(long *)n; i++) thread_queue_put(&queue, i);
    return NULL;
}

static void *consume_on_a_thread(void *n)
{
    for (long i = 0; i < *(long *)n; i++) thread_queue_get(&queue);
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t threads[2 * SIDE];
    long n = b->n / SIDE;

    thread_queue_init(&queue, CAPACITY);
    bench_start(b);
    for (int i = 0; i < SIDE; i++) {
        threads[2 * i] = bench_thread(produce_on_a_thread, &n);
        threads[2 * i + 1] = bench_thread(consume_on_a_thread, &n);
    }
    for (int i = 0; i < 2 * SIDE; i++) pthread_join(threads[i], NULL);
    bench_stop(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
