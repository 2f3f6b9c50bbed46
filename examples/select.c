// SPDX-License-Identifier: MIT
// select - wait for the first of several answers, for a while only, and until told to stop.
#include <coir/go.h>
#include <stdio.h>

static void answer(coir_chan *to, int ms, const char *who)
{
    if (coir_sleep(ms * COIR_MS) == 0 && coir_chan_send(to, &who, COIR_FOREVER)) return;
    coir_chan_unref(to); // the reference that it was given
}

// Counts jobs until 'stop' is closed.
static void work(coir_chan *jobs, coir_chan *stop, coir_chan *done)
{
    int job, n = 0;
    coir_case cases[] = {{.chan = jobs, .dir = COIR_RECV, .value = &job},
                         {.chan = stop, .dir = COIR_RECV}};

    while (coir_select(cases, 2, COIR_FOREVER) == 0) n++;
    if (coir_chan_send(done, &n, COIR_FOREVER)) return;
}

static int first_answer(void)
{
    coir_chan *a, *b;
    const char *who;
    int at;

    if (coir_chan_make(sizeof(who), 1, &a) || coir_chan_make(sizeof(who), 1, &b))
        return -1;
    go(answer, coir_chan_ref(a), 300, "slow");
    go(answer, coir_chan_ref(b), 1, "quick");
    coir_case cases[] = {{.chan = a, .dir = COIR_RECV, .value = &who},
                         {.chan = b, .dir = COIR_RECV, .value = &who}};
    if ((at = coir_select(cases, 2, coir_after(10 * COIR_SEC))) < 0) return at;
    printf("first: %s, case %d\n", who, at);
    if (coir_select(cases, 2, coir_after(5 * COIR_MS)) < 0) printf("nobody in 5 ms\n");
    coir_chan_unref(a);
    coir_chan_unref(b);
    return 0;
}

static int run(void *arg)
{
    coir_chan *jobs, *stop, *done;
    int n, err;

    (void)arg;
    if ((err = first_answer()) < 0) return err;
    if ((err = coir_chan_make(sizeof(int), 0, &jobs))) return err;
    if ((err = coir_chan_make(0, 0, &stop))) return err;
    if ((err = coir_chan_make(sizeof(int), 1, &done))) return err;
    if ((err = go(work, jobs, stop, done))) return err;
    for (int i = 0; i < 20; i++)
        if ((err = coir_chan_send(jobs, &i, COIR_FOREVER))) return err;
    coir_chan_close(stop); // a closed channel can always be received from
    if ((err = coir_chan_recv(done, &n, COIR_FOREVER))) return err;
    printf("work done: %d\n", n);
    coir_chan_unref(jobs);
    coir_chan_unref(stop);
    coir_chan_unref(done);
    return 0;
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
