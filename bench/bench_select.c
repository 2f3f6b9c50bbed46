// SPDX-License-Identifier: MIT
// Asks:  what does a select over CHANNELS channels cost when all of them are ready?
// Shows: ns per value received; with CHANNELS of 1 a plain receive, to read the others beside.
//        Threads: poll(2) over so many eventfds, and a read.
#include "bench/bench.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DEPTH = 1024 };

static void fill(coir_chan **chans)
{
    for (int i = 0; i < CHANNELS; i++)
        for (long v = 1; coir_chan_send(chans[i], &v, COIR_NOW) == 0;) continue;
}

// A value from any of them.
static long take(coir_chan **chans, coir_case *cases, long *values)
{
    if (CHANNELS == 1) {
        bench_must(coir_chan_recv(chans[0], values, COIR_FOREVER) == 0, "recv");
        return values[0];
    }
    int at = coir_select(cases, CHANNELS, COIR_FOREVER);
    bench_must(at >= 0, "select");
    return values[at];
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_chan *chans[CHANNELS];
    coir_case cases[CHANNELS];
    long values[CHANNELS], sum = 0;

    for (int i = 0; i < CHANNELS; i++) {
        bench_must(coir_chan_make(sizeof(long), DEPTH, &chans[i]) == 0, "make");
        cases[i] = (coir_case){.chan = chans[i], .dir = COIR_RECV, .value = &values[i]};
    }
    for (long done = 0; done < b->n; done += DEPTH / 2) {
        fill(chans); // not counted
        b->ns -= coir_now();
        for (int i = 0; i < DEPTH / 2; i++) sum += take(chans, cases, values);
        b->ns += coir_now();
    }
    b->n = (b->n + DEPTH / 2 - 1) / (DEPTH / 2) * (DEPTH / 2);
    bench_must(sum == b->n, "the sum");
    return 0;
}

void bench_pthreads(struct bench *b)
{
    struct pollfd fds[CHANNELS];
    eventfd_t one;

    for (int i = 0; i < CHANNELS; i++) {
        fds[i] =
            (struct pollfd){.fd = eventfd(1u << 30, EFD_SEMAPHORE), .events = POLLIN};
        bench_must(fds[i].fd >= 0, "eventfd");
    }
    bench_start(b);
    for (long k = 0; k < b->n; k++) {
        bench_must(CHANNELS == 1 || poll(fds, CHANNELS, -1) == CHANNELS, "poll");
        bench_must(eventfd_read(fds[k % CHANNELS].fd, &one) == 0, "read");
    }
    bench_stop(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
