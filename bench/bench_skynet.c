// SPDX-License-Identifier: MIT
// Asks:  what do very many short coroutines cost that come from each other?
// Shows: ms for a tree of ten children each down to N leaves (1,000,000 leaves: 1,111,111
//        coroutines), every node sums its children's numbers over a channel. Threads: the same
//        tree with the leaves that can be had (pid_max), so read the ratio per unit.
#include "bench/bench.h"

static void node(coir_chan *up, long number, long size)
{
    long sum = number;

    if (size > 1) {
        coir_chan *c;

        bench_must(coir_chan_make(sizeof(long), 10, &c) == 0, "make");
        for (long i = 0; i < 10; i++)
            bench_must(go(node, c, number + i * (size / 10), size / 10) == 0, "go");
        sum = 0;
        for (int i = 0; i < 10; i++) {
            long v;
            bench_must(coir_chan_recv(c, &v, COIR_FOREVER) == 0, "recv");
            sum += v;
        }
        coir_chan_unref(c);
    }
    bench_must(coir_chan_send(up, &sum, COIR_FOREVER) == 0, "send");
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_chan *c;
    long sum;

    bench_must(coir_chan_make(sizeof(long), 1, &c) == 0, "make");
    bench_start(b);
    bench_must(go(node, c, 0L, b->n) == 0, "go");
    bench_must(coir_chan_recv(c, &sum, COIR_FOREVER) == 0, "recv");
    bench_stop(b);
    bench_must(sum == b->n * (b->n - 1) / 2, "the sum");
    coir_chan_unref(c);
    return 0;
}

struct thread_node {
    long number, size, sum;
};

static void *thread_node(void *arg)
{
    struct thread_node *me = arg;
    struct thread_node children[10];
    pthread_t threads[10];

    me->sum = me->number;
    if (me->size == 1) return NULL;
    me->sum = 0;
    for (long i = 0; i < 10; i++) {
        children[i] =
            (struct thread_node){me->number + i * (me->size / 10), me->size / 10, 0};
        threads[i] = bench_thread(thread_node, &children[i]);
    }
    for (int i = 0; i < 10; i++) {
        pthread_join(threads[i], NULL);
        me->sum += children[i].sum;
    }
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    struct thread_node root = {0, b->n, 0};

    bench_start(b);
    thread_node(&root);
    bench_stop(b);
    bench_must(root.sum == b->n * (b->n - 1) / 2, "the sum");
}

int main(int argc, char **argv)
{
    // Per leaf; a million leaves make as many ms as one makes ns.
    return bench_main(argc, argv, 1, "ms per million");
}
