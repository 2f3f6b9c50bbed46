// SPDX-License-Identifier: MIT
// Asks:  what does memory cost that one allocates for a request and another one, later and most
//        often on another worker, frees?
// Shows: ns per request. Four allocate, fill and send, four receive, look, keep the last 64 and
//        free the oldest; a request has three pieces of 32 bytes to 4 KiB. Plain: libc's malloc.
//        With BENCH_JEMALLOC: the table of coir/jemalloc.h, an arena a worker, also the runtime's.
#include "bench/bench.h"
#include "bench/thread_queue.h"

#ifdef BENCH_JEMALLOC
#include <coir/jemalloc.h>
#endif

enum { SIDE = 4, CAPACITY = 128, PIECES = 3, KEPT = 64 };

struct request {
    void *piece[PIECES];
    size_t bytes[PIECES];
};

#ifdef BENCH_JEMALLOC
static const coir_allocator *table;

static void *get(size_t bytes)
{
    return table->alloc(table->ctx, bytes, 16);
}

static void put(void *p, size_t bytes)
{
    table->release(table->ctx, p, bytes, 16);
}
#else
static void *get(size_t bytes)
{
    return malloc(bytes);
}

static void put(void *p, size_t bytes)
{
    (void)bytes;
    free(p);
}
#endif

// Small pieces are frequent, large ones are not.
static size_t next_bytes(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    uint32_t r = *seed >> 16;

    return r % 16 ? 32 + r % 480 : 512 + r % 3584;
}

static struct request *allocate(uint32_t *seed)
{
    struct request *r = get(sizeof(*r));

    for (int i = 0; i < PIECES; i++) {
        r->bytes[i] = next_bytes(seed);
        r->piece[i] = get(r->bytes[i]);
        memset(r->piece[i], i, r->bytes[i]);
    }
    return r;
}

static void release(struct request *r)
{
    if (!r) return;
    for (int i = 0; i < PIECES; i++) {
        bench_must(((char *)r->piece[i])[r->bytes[i] - 1] == i, "a piece");
        put(r->piece[i], r->bytes[i]);
    }
    put(r, sizeof(*r));
}

// Keeps r and gives what it stands in the place of.
static void keep(struct request *kept[KEPT], long i, struct request *r)
{
    release(kept[i % KEPT]);
    kept[i % KEPT] = r;
}

static void produce(coir_chan *c, long n, uint32_t seed, coir_waitgroup *done)
{
    for (long i = 0; i < n; i++) {
        struct request *r = allocate(&seed);
        bench_must(coir_chan_send(c, &r, COIR_FOREVER) == 0, "send");
    }
    coir_waitgroup_done(done);
}

static void consume(coir_chan *c, long n, coir_waitgroup *done)
{
    struct request *kept[KEPT] = {0}, *r;

    for (long i = 0; i < n; i++) {
        bench_must(coir_chan_recv(c, &r, COIR_FOREVER) == 0, "recv");
        keep(kept, i, r);
    }
    for (int i = 0; i < KEPT; i++) release(kept[i]);
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup done = {0};
    coir_chan *c;

    bench_must(coir_chan_make(sizeof(struct request *), CAPACITY, &c) == 0, "make");
    coir_waitgroup_add(&done, 2 * SIDE);
    bench_start(b);
    for (uint32_t i = 0; i < SIDE; i++) {
        bench_must(go(produce, c, b->n / SIDE, i, &done) == 0, "go");
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
    uint32_t seed = (uint32_t)(uintptr_t)&seed;

    for (long i = 0; i < *(long *)n; i++) thread_queue_put(&queue, (long)allocate(&seed));
    return NULL;
}

static void *consume_on_a_thread(void *n)
{
    struct request *kept[KEPT] = {0};

    for (long i = 0; i < *(long *)n; i++)
        keep(kept, i, (struct request *)thread_queue_get(&queue));
    for (int i = 0; i < KEPT; i++) release(kept[i]);
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
#ifdef BENCH_JEMALLOC
    coir_jemalloc *j;

    bench_must(coir_jemalloc_open(argc > 2 ? (unsigned)atoi(argv[2]) : 0, &j) == 0,
               "open");
    bench_config.allocator = table = coir_jemalloc_allocator(j);
#endif
    return bench_main(argc, argv, 1, "ns");
}
