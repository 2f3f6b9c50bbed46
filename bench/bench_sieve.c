// SPDX-License-Identifier: MIT
// Asks:  a whole program of many that do little: the first N primes, by a chain of filters.
// Shows: us a prime; each number goes over unbuffered channels, past every prime that does not
//        divide it. It grows with N, so all are asked for the same N.
#include "bench/bench.h"
#include "bench/thread_queue.h"

static void count(coir_chan *out)
{
    for (long i = 2; coir_chan_send(out, &i, COIR_FOREVER) == 0; i++) continue;
}

static void filter(long prime, coir_chan *in, coir_chan *out)
{
    long i;

    while (coir_chan_recv(in, &i, COIR_FOREVER) == 0)
        if (i % prime != 0 && coir_chan_send(out, &i, COIR_FOREVER) != 0) break;
}

// What it leaves behind ends with the program, as in the other two.
int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_chan *in, *out;
    long prime;

    bench_start(b);
    bench_must(coir_chan_make(sizeof(long), 0, &in) == 0, "make");
    bench_must(go(count, in) == 0, "go");
    for (long i = 0; i < b->n; i++) {
        bench_must(coir_chan_recv(in, &prime, COIR_FOREVER) == 0, "recv");
        bench_must(coir_chan_make(sizeof(long), 0, &out) == 0, "make");
        bench_must(go(filter, prime, in, out) == 0, "go");
        in = out;
    }
    bench_stop(b);
    return 0;
}

struct stage {
    long prime; // 0: counts
    struct thread_queue *in, *out;
};

static struct thread_queue *queue(void)
{
    struct thread_queue *q = malloc(sizeof(*q));

    bench_must(q != NULL, "malloc");
    thread_queue_init(q, 1);
    return q;
}

static void *is_a_stage(void *arg)
{
    struct stage s = *(struct stage *)arg;

    free(arg);
    for (long i = 2;; i++) {
        if (s.prime) i = thread_queue_get(s.in);
        if (!s.prime || i % s.prime != 0) thread_queue_put(s.out, i);
    }
    return NULL;
}

static struct thread_queue *start(long prime, struct thread_queue *in)
{
    struct stage *s = malloc(sizeof(*s));

    bench_must(s != NULL, "malloc");
    *s = (struct stage){prime, in, queue()};
    struct thread_queue *out = s->out;
    pthread_detach(bench_thread(is_a_stage, s));
    return out;
}

void bench_pthreads(struct bench *b)
{
    bench_start(b);
    struct thread_queue *in = start(0, NULL);
    for (long i = 0; i < b->n; i++) in = start(thread_queue_get(in), in);
    bench_stop(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1000, "us");
}
