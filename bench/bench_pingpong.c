// SPDX-License-Identifier: MIT
// Asks:  what does a question and its answer cost between two coroutines?
// Shows: ns per round trip over two unbuffered channels; threads over two queues of one.
#include "bench/bench.h"
#include "bench/thread_queue.h"

static void answer(coir_chan *in, coir_chan *out)
{
    long v;

    while (coir_chan_recv(in, &v, COIR_FOREVER) == 0)
        bench_must(coir_chan_send(out, &v, COIR_FOREVER) == 0, "send");
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_chan *ping, *pong;
    long v = 0;

    bench_must(coir_chan_make(sizeof(v), 0, &ping) == 0, "make");
    bench_must(coir_chan_make(sizeof(v), 0, &pong) == 0, "make");
    bench_must(go(answer, ping, pong) == 0, "go");
    bench_start(b);
    for (long i = 0; i < b->n; i++) {
        bench_must(coir_chan_send(ping, &i, COIR_FOREVER) == 0, "send");
        bench_must(coir_chan_recv(pong, &v, COIR_FOREVER) == 0, "recv");
    }
    bench_stop(b);
    coir_chan_close(ping);
    coir_yield();
    return 0;
}

static struct thread_queue ping_queue, pong_queue;

static void *answer_on_a_thread(void *n)
{
    for (long i = 0; i < *(long *)n; i++)
        thread_queue_put(&pong_queue, thread_queue_get(&ping_queue));
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    thread_queue_init(&ping_queue, 1);
    thread_queue_init(&pong_queue, 1);
    pthread_t thread = bench_thread(answer_on_a_thread, &b->n);
    bench_start(b);
    for (long i = 0; i < b->n; i++) {
        thread_queue_put(&ping_queue, i);
        thread_queue_get(&pong_queue);
    }
    bench_stop(b);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
