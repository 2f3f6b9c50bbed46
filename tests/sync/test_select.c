// SPDX-License-Identifier: MIT
// Goal:   a select makes exactly one case happen, fairly, and loses nothing to a deadline, a cancel
//         or another select.
// Method: a plain program over the public interface, on 1, 2 and 4 workers and from threads; every
//         value that goes in is accounted for when it comes out; then each misuse.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;
static coir_waitgroup crowd;

static coir_chan *make(size_t capacity)
{
    coir_chan *c = NULL;

    expect_eq(coir_chan_make(sizeof(int), capacity, &c), 0);
    return c;
}

static coir_case recv_case(coir_chan *c, int *to)
{
    return (coir_case){.chan = c, .dir = COIR_RECV, .value = to, .result = 77};
}

static coir_case send_case(coir_chan *c, int *from)
{
    return (coir_case){.chan = c, .dir = COIR_SEND, .value = from, .result = 77};
}

static void put(coir_chan *c, int v)
{
    expect_eq(coir_chan_send(c, &v, COIR_NOW), 0);
}

// ---- One case ------------------------------------------------------------------------------

static int takes_what_is_ready(void *arg)
{
    coir_chan *a = make(1), *b = make(1);
    int x = 0, y = 0, z = 9;
    coir_case cases[] = {recv_case(a, &x), recv_case(b, &y), recv_case(NULL, &z)};

    (void)arg;
    expect_eq(coir_select(cases, 3, COIR_NOW), -ETIMEDOUT);
    put(b, 5);
    expect_eq(coir_select(cases, 3, COIR_FOREVER), 1);
    expect_eq(y, 5);
    expect_eq(cases[1].result, 0);
    expect_eq(cases[0].result, 77); // written for the one that happened only
    expect_eq(x, 0);
    put(a, 6);
    cases[1] = send_case(a, &z); // full
    expect_eq(coir_select(cases, 3, COIR_FOREVER), 0);
    expect_eq(x, 6);
    expect_eq(coir_select(cases, 3, COIR_NOW), 1); // empty: only the send can
    expect_eq(coir_select(cases, 3, COIR_NOW), 0);
    expect_eq(x, 9);
    coir_chan_close(b);
    cases[0] = recv_case(b, &x);
    cases[1] = recv_case(a, &y);
    expect_eq(coir_select(cases, 2, COIR_FOREVER), 0);
    expect_eq(cases[0].result, -EPIPE);
    cases[0] = send_case(b, &x);
    cases[0].result = 77;
    expect_eq(coir_select(cases, 2, COIR_NOW), 0);
    expect_eq(cases[0].result, -EPIPE);
    cases[0] = recv_case(a, NULL); // discards
    put(a, 1);
    expect_eq(coir_select(cases, 1, COIR_NOW), 0);
    coir_chan_unref(a);
    coir_chan_unref(b);
    return 0;
}

// On one channel, both ways: it does not meet itself, and another may meet either side.
static void answers(coir_chan *c, bool sends)
{
    int v = 42;

    coir_sleep(COIR_MS);
    if (sends)
        expect_eq(coir_chan_send(c, &v, COIR_FOREVER), 0);
    else
        expect_eq(coir_chan_recv(c, &v, COIR_FOREVER), 0);
    expect_eq(v, sends ? 42 : 7);
    coir_waitgroup_done(&crowd);
}

static int does_not_meet_itself(void *arg)
{
    coir_chan *c = make(0);
    int out = 7, in = 0;
    coir_case cases[] = {send_case(c, &out), recv_case(c, &in), send_case(c, &out),
                         recv_case(c, &in)};

    (void)arg;
    expect_eq(coir_select(cases, 4, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_select(cases, 4, coir_after(COIR_MS)), -ETIMEDOUT);
    coir_waitgroup_add(&crowd, 2);
    expect_eq(go(answers, c, true), 0);
    int i = coir_select(cases, 4, COIR_FOREVER);
    expect(i == 1 || i == 3);
    expect_eq(in, 42);
    expect_eq(go(answers, c, false), 0);
    i = coir_select(cases, 4, COIR_FOREVER);
    expect(i == 0 || i == 2);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    expect_eq(coir_chan_recv(c, &in, COIR_NOW), -ETIMEDOUT); // nothing is left linked
    expect_eq(coir_chan_send(c, &in, COIR_NOW), -ETIMEDOUT);
    coir_chan_unref(c);
    return 0;
}

static int waits_for_the_deadline_only(void *arg)
{
    int v;
    coir_case never = recv_case(NULL, &v);
    int64_t until = coir_after(2 * COIR_MS);

    (void)arg;
    expect_eq(coir_select(NULL, 0, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_select(NULL, 0, until), -ETIMEDOUT);
    expect(coir_now() >= until);
    expect_eq(coir_select(&never, 1, coir_after(COIR_MS)), -ETIMEDOUT);
    return 0;
}

// ---- Fairness ------------------------------------------------------------------------------

// Of n ready cases each is chosen about as often: within a third of its share of 6000.
static int chooses_fairly(void *arg)
{
    enum { N = 5, TIMES = 6000 };
    coir_chan *chans[N];
    coir_case cases[N + 1];
    int counts[N] = {0}, v;

    (void)arg;
    for (int i = 0; i < N; i++) {
        chans[i] = make(1);
        cases[i] = recv_case(chans[i], &v);
        put(chans[i], i);
    }
    cases[N] = recv_case(NULL, &v);
    for (int k = 0; k < TIMES; k++) {
        int i = coir_select(cases, N + 1, COIR_FOREVER);

        expect(i >= 0 && i < N);
        expect_eq(v, i);
        counts[i]++;
        put(chans[i], i);
    }
    for (int i = 0; i < N; i++) {
        expect(counts[i] > TIMES / N * 2 / 3 && counts[i] < TIMES / N * 4 / 3);
        coir_chan_unref(chans[i]);
    }
    return 0;
}

// ---- Many channels -------------------------------------------------------------------------

static void sends_to(coir_chan *c, int v)
{
    expect_eq(coir_chan_send(c, &v, COIR_FOREVER), 0);
    coir_waitgroup_done(&crowd);
}

static int waits_on_many(void *arg)
{
    static const int sizes[] = {1, 8, 9, 64, 65, 300};

    (void)arg;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        int n = sizes[s];
        static coir_chan *chans[300];
        static coir_case cases[300];
        static int values[300];

        for (int i = 0; i < n; i++) {
            chans[i] = make(0);
            cases[i] = recv_case(chans[i], &values[i]);
        }
        for (int k = 0; k < 20; k++) {
            int at = (k * 37) % n;

            coir_waitgroup_add(&crowd, 1);
            expect_eq(go(sends_to, chans[at], k), 0);
            expect_eq(coir_select(cases, n, COIR_FOREVER), at);
            expect_eq(values[at], k);
            expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
        }
        for (int i = 0; i < n; i++) {
            expect_eq(coir_chan_send(chans[i], &n, COIR_NOW), -ETIMEDOUT);
            coir_chan_unref(chans[i]);
        }
    }
    return 0;
}

// ---- Selects that meet ---------------------------------------------------------------------

enum { MEETERS = 6, MEETINGS = 1000, LANES = 3 };

static coir_chan *lanes[LANES];
static int64_t sent, received, sum_sent, sum_received;

static int64_t haste(int i)
{
    switch (i % 3) {
    case 0: return COIR_NOW;
    case 1: return coir_after((i % 11) * COIR_US);
    default: return coir_after(COIR_MS);
    }
}

// Sends on one lane and receives on the others, in an order of its own.
static void meets(int me)
{
    int out, in[LANES];

    for (int i = 0; i < MEETINGS; i++) {
        coir_case cases[LANES];

        out = me * MEETINGS + i;
        for (int k = 0; k < LANES; k++) {
            int lane = (k + me) % LANES;
            cases[k] = (i + k) % LANES == 0 ? send_case(lanes[lane], &out)
                                            : recv_case(lanes[lane], &in[k]);
        }
        int at = coir_select(cases, LANES, haste(i + me));
        if (at < 0) {
            expect_eq(at, -ETIMEDOUT);
            continue;
        }
        expect_eq(cases[at].result, 0);
        bool sends = cases[at].dir == COIR_SEND;
        __atomic_add_fetch(sends ? &sent : &received, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(sends ? &sum_sent : &sum_received, sends ? out : in[at],
                           __ATOMIC_RELAXED);
    }
    coir_waitgroup_done(&crowd);
}

static void *meets_on_a_thread(void *arg)
{
    (void)arg;
    meets(MEETERS);
    return NULL;
}

static int selects_meet(void *arg)
{
    size_t capacity = *(size_t *)arg;
    pthread_t thread;
    int v;

    sent = received = sum_sent = sum_received = 0;
    for (int k = 0; k < LANES; k++) lanes[k] = make(capacity);
    coir_waitgroup_add(&crowd, MEETERS + 1);
    expect_eq(pthread_create(&thread, NULL, meets_on_a_thread, NULL), 0);
    for (int i = 0; i < MEETERS; i++) expect_eq(go(meets, i), 0);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    pthread_join(thread, NULL);
    for (int k = 0; k < LANES; k++) {
        while (coir_chan_recv(lanes[k], &v, COIR_NOW) == 0) {
            received++;
            sum_received += v;
        }
        coir_chan_unref(lanes[k]);
    }
    expect_eq(sent, received);
    expect_eq(sum_sent, sum_received);
    expect(sent > 0);
    return 0;
}

// ---- One instant ---------------------------------------------------------------------------

enum { ROUNDS = 2000 };

static coir_chan *banks[2];
static int stop_carrying;

// The value is in the next channel before it is out of the last one.
static void carries(void)
{
    int from = 0, v = 1;

    for (; !__atomic_load_n(&stop_carrying, __ATOMIC_RELAXED); from = 1 - from) {
        put(banks[1 - from], v);
        if (coir_chan_recv(banks[from], &v, COIR_NOW) < 0) break; // it was taken
        coir_yield();
    }
    coir_waitgroup_done(&crowd);
}

static void *takes_at_once(void *arg)
{
    int v = 0;
    coir_case cases[] = {recv_case(banks[0], &v), recv_case(banks[1], &v)};

    (void)arg;
    expect(coir_select(cases, 2, COIR_NOW) >= 0);
    expect_eq(v, 1);
    return NULL;
}

static int is_never_told_nothing_while_one_is_ready(void *arg)
{
    pthread_t thread;

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        banks[0] = make(1);
        banks[1] = make(1);
        put(banks[0], 1);
        stop_carrying = 0;
        coir_waitgroup_add(&crowd, 1);
        expect_eq(go(carries), 0);
        if (i % 3) coir_yield();
        if (i % 20) {
            takes_at_once(NULL);
        } else {
            expect_eq(pthread_create(&thread, NULL, takes_at_once, NULL), 0);
            pthread_join(thread, NULL);
        }
        __atomic_store_n(&stop_carrying, 1, __ATOMIC_RELAXED);
        expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
        coir_chan_unref(banks[0]);
        coir_chan_unref(banks[1]);
    }
    return 0;
}

// ---- Close and cancel ----------------------------------------------------------------------

static void selects_until_closed(coir_chan *a, coir_chan *b)
{
    int v = 0, out = 1;
    coir_case cases[] = {recv_case(a, &v), send_case(b, &out)};
    int at = coir_select(cases, 2, COIR_FOREVER);

    expect(at == 0 || at == 1);
    expect_eq(cases[at].result, -EPIPE);
    coir_waitgroup_done(&crowd);
}

static int close_wakes_selects(void *arg)
{
    coir_chan *a = make(0), *b = make(0);

    (void)arg;
    for (int k = 0; k < 2; k++) {
        coir_waitgroup_add(&crowd, 10);
        for (int i = 0; i < 10; i++) expect_eq(go(selects_until_closed, a, b), 0);
        coir_sleep(COIR_MS);
        expect_eq(coir_chan_close(k ? a : b), 0);
        expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
        coir_chan_unref(b);
        b = make(0);
    }
    coir_chan_unref(a);
    coir_chan_unref(b);
    return 0;
}

static int canceled_result;

static void selects_for_ever(coir_chan *a, coir_chan *b)
{
    int v = 0;
    coir_case cases[] = {recv_case(a, &v), recv_case(b, &v)};

    canceled_result = coir_select(cases, 2, COIR_FOREVER);
    expect_eq(v, 0);
    coir_shield_begin();
    put(a, 1);
    coir_shield_end();
    expect_eq(coir_select(cases, 2, COIR_FOREVER), -ECANCELED); // at entry, nothing taken
    expect_eq(coir_chan_len(a), 1);
}

static coir_chan *kept[2];

static int leaves_a_select(void *arg)
{
    (void)arg;
    expect_eq(go(selects_for_ever, kept[0], kept[1]), 0);
    coir_sleep(COIR_MS);
    return 0;
}

// ---- Threads -------------------------------------------------------------------------------

static void *sends_later(void *c)
{
    int v = 3;

    expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(coir_chan_send(c, &v, COIR_FOREVER), 0);
    return NULL;
}

static void threads_select_without_a_runtime(void)
{
    coir_chan *a = make(0), *b = make(0);
    int v = 0;
    coir_case cases[] = {recv_case(a, &v), recv_case(b, &v)};
    pthread_t thread;

    expect_eq(coir_select(cases, 2, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_select(cases, 2, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(pthread_create(&thread, NULL, sends_later, b), 0);
    expect_eq(coir_select(cases, 2, COIR_FOREVER), 1);
    expect_eq(v, 3);
    pthread_join(thread, NULL);
    coir_chan_unref(a);
    coir_chan_unref(b);
}

static void bad_values_are_refused(void)
{
    coir_chan *c = make(1);
    int v = 0;
    coir_case one = recv_case(c, &v);

    expect_eq(coir_select(&one, -1, COIR_NOW), -EINVAL);
    expect_eq(coir_select(NULL, 1, COIR_NOW), -EINVAL);
    expect_eq(coir_select(&one, 65537, COIR_NOW), -EINVAL);
    one.dir = (coir_direction)0;
    expect_eq(coir_select(&one, 1, COIR_NOW), -EINVAL);
    one = send_case(c, NULL);
    expect_eq(coir_select(&one, 1, COIR_NOW), -EINVAL);
    expect_eq(coir_chan_len(c), 0);
    coir_chan_unref(c);
}

int main(void)
{
    static const unsigned workers[] = {1, 2, 4};
    size_t capacities[] = {0, 1};

    bad_values_are_refused();
    threads_select_without_a_runtime();
    takes_what_is_ready(NULL); // on a thread
    for (int i = 0; i < 3; i++) {
        config.workers = workers[i];
        printf("%u workers\n", workers[i]);
        expect_eq(coir_run(&config, takes_what_is_ready, NULL), 0);
        expect_eq(coir_run(&config, does_not_meet_itself, NULL), 0);
        expect_eq(coir_run(&config, waits_for_the_deadline_only, NULL), 0);
        expect_eq(coir_run(&config, chooses_fairly, NULL), 0);
        expect_eq(coir_run(&config, waits_on_many, NULL), 0);
        for (int k = 0; k < 2; k++)
            expect_eq(coir_run(&config, selects_meet, &capacities[k]), 0);
        expect_eq(coir_run(&config, is_never_told_nothing_while_one_is_ready, NULL), 0);
        expect_eq(coir_run(&config, close_wakes_selects, NULL), 0);
        for (int k = 0; k < 2; k++) kept[k] = make(1);
        expect_eq(coir_run(&config, leaves_a_select, NULL), 0);
        expect_eq(canceled_result, -ECANCELED);
        for (int k = 0; k < 2; k++) coir_chan_unref(kept[k]);
    }
    return 0;
}
