// SPDX-License-Identifier: MIT
// Asks:  what does it cost an ordinary thread to hand a value to a coroutine, and to have it back?
// Shows: us a hand-over, half a round trip over two channels of one value. Beside it two threads
//        wake each other with a futex and nothing else: no hand-over between threads is less.
#include "bench/bench.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static coir_chan *there, *back;

static void returns_them(void)
{
    long value;

    while (coir_chan_recv(there, &value, COIR_FOREVER) == 0)
        bench_must(coir_chan_send(back, &value, COIR_FOREVER) == 0, "send");
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_runtime *rt;

    bench_must(coir_chan_make(sizeof(long), 1, &there) == 0, "make");
    bench_must(coir_chan_make(sizeof(long), 1, &back) == 0, "make");
    bench_must(coir_start(&bench_config, &rt) == 0, "start");
    bench_must(coir_go_on(rt, returns_them) == 0, "go");
    bench_start(b);
    for (long i = 0; i < b->n / 2; i++) {
        long value = i;
        bench_must(coir_chan_send(there, &value, COIR_FOREVER) == 0, "send");
        bench_must(coir_chan_recv(back, &value, COIR_FOREVER) == 0 && value == i, "recv");
    }
    bench_stop(b);
    coir_chan_close(there);
    bench_must(coir_stop(rt, COIR_FOREVER) == 0, "stop");
    coir_chan_unref(there);
    coir_chan_unref(back);
    return 0;
}

static unsigned turn; // whose it is, 0 or 1

static void wait_for(unsigned mine)
{
    for (unsigned now; (now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != mine;)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void give_to(unsigned other)
{
    __atomic_store_n(&turn, other, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *answers(void *arg)
{
    struct bench *b = arg;

    for (long i = 0; i < b->n / 2; i++) {
        wait_for(1);
        give_to(0);
    }
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t peer = bench_thread(answers, b);

    bench_start(b);
    for (long i = 0; i < b->n / 2; i++) {
        give_to(1);
        wait_for(0);
    }
    bench_stop(b);
    pthread_join(peer, NULL);
}

int main(int argc, char **argv)
{
    struct bench b = {0};

    if (bench_is_coir(&b, argc, argv))
        bench_coir(&b);
    else
        bench_pthreads(&b);
    printf("{\"value\": %.2f, \"unit\": \"us\", \"n\": %ld}\n",
           (double)b.ns / (double)b.n / 1000.0, b.n);
    return 0;
}
