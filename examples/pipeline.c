// SPDX-License-Identifier: MIT
// pipeline - one coroutine makes numbers, four square them, one adds them up.
//
//     make ---> [64] ---> square x 4 ---> [64] ---> add
//
// Closing a channel says that no more values come: it travels down the pipeline. The last of the
// four closes the second channel; a waitgroup says who is last.
#include <coir/go.h>
#include <errno.h>
#include <stdio.h>

enum { NUMBERS = 10000, WORKERS = 4 };

struct stage {
    coir_chan *in, *out;
    coir_waitgroup busy;
};

static void make(coir_chan *out)
{
    for (long i = 1; i <= NUMBERS; i++)
        if (coir_chan_send(out, &i, COIR_FOREVER)) break;
    coir_chan_close(out);
}

static void square(struct stage *s)
{
    long x;

    while (coir_chan_recv(s->in, &x, COIR_FOREVER) == 0) {
        x *= x;
        if (coir_chan_send(s->out, &x, COIR_FOREVER)) break;
    }
    coir_waitgroup_done(&s->busy);
}

static void close_behind(struct stage *s)
{
    if (coir_waitgroup_wait(&s->busy, COIR_FOREVER) == 0) coir_chan_close(s->out);
}

static int run(void *arg)
{
    static struct stage s; // outlives run: after an error the others still look at it
    long x, sum = 0;
    int err;

    (void)arg;
    if ((err = coir_chan_make(sizeof(long), 64, &s.in))) return err;
    if ((err = coir_chan_make(sizeof(long), 64, &s.out))) goto unref_in;
    if ((err = coir_waitgroup_add(&s.busy, WORKERS))) goto unref_out;
    if ((err = go(make, s.in))) goto unref_out;
    for (int i = 0; i < WORKERS; i++)
        if ((err = go(square, &s))) return err; // coir_run cancels the others
    if ((err = go(close_behind, &s))) return err;
    while ((err = coir_chan_recv(s.out, &x, COIR_FOREVER)) == 0) sum += x;
    if (err == -EPIPE) err = 0; // closed: that was all
    printf("sum of the squares of 1 to %d: %ld\n", NUMBERS, sum);
unref_out:
    coir_chan_unref(s.out);
unref_in:
    coir_chan_unref(s.in);
    return err;
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
