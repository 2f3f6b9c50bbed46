// SPDX-License-Identifier: MIT
// Goal:   channels, waitgroups and mutexes keep their promises between coroutines and threads.
// Method: a plain program over the public interface, on 1, 2 and 4 workers; every value that goes
//         in is accounted for when it comes out.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;

static coir_chan *make(size_t size, size_t capacity)
{
    coir_chan *c = NULL;

    expect_eq(coir_chan_make(size, capacity, &c), 0);
    return c;
}

// ---- Ping-pong: order and meeting ------------------------------------------------------------

static void echo(coir_chan *in, coir_chan *out)
{
    int v;

    while (coir_chan_recv(in, &v, COIR_FOREVER) == 0)
        expect_eq(coir_chan_send(out, &v, COIR_FOREVER), 0);
    expect_eq(coir_chan_close(out), 0);
    coir_chan_unref(in);
    coir_chan_unref(out);
}

static int ping_pong(void *arg)
{
    coir_chan *ping = make(sizeof(int), 0);
    coir_chan *pong = make(sizeof(int), 0);
    int v;

    (void)arg;
    expect_eq(go(echo, coir_chan_ref(ping), coir_chan_ref(pong)), 0);
    for (int i = 0; i < 5000; i++) {
        expect_eq(coir_chan_send(ping, &i, COIR_FOREVER), 0);
        expect_eq(coir_chan_recv(pong, &v, COIR_FOREVER), 0);
        expect_eq(v, i);
    }
    expect_eq(coir_chan_close(ping), 0);
    expect_eq(coir_chan_close(ping), -EALREADY);
    expect_eq(coir_chan_recv(pong, &v, COIR_FOREVER), -EPIPE);
    coir_chan_unref(ping);
    coir_chan_unref(pong);
    return 0;
}

// ---- Many to many: nothing lost, nothing doubled -----------------------------------------------

enum { PRODUCERS = 4, CONSUMERS = 4, EACH = 5000 };

static int64_t sums[CONSUMERS];
static coir_waitgroup producers, consumers;

static void produce(coir_chan *c, int from)
{
    for (int i = 0; i < EACH; i++) {
        int64_t v = (int64_t)from * EACH + i + 1;
        expect_eq(coir_chan_send(c, &v, COIR_FOREVER), 0);
    }
    expect_eq(coir_waitgroup_done(&producers), 0);
}

static void consume(coir_chan *c, int me)
{
    int64_t v;

    while (coir_chan_recv(c, &v, COIR_FOREVER) == 0) sums[me] += v;
    expect_eq(coir_waitgroup_done(&consumers), 0);
}

static void *produce_on_a_thread(void *c)
{
    produce(c, 0);
    return NULL;
}

static int fan(void *arg)
{
    coir_chan *c = make(sizeof(int64_t), *(size_t *)arg);
    int64_t n = (int64_t)PRODUCERS * EACH;
    int64_t sum = 0;
    pthread_t thread;

    expect_eq(coir_waitgroup_add(&producers, PRODUCERS), 0);
    expect_eq(coir_waitgroup_add(&consumers, CONSUMERS), 0);
    for (int i = 0; i < CONSUMERS; i++) {
        sums[i] = 0;
        expect_eq(go(consume, c, i), 0);
    }
    expect_eq(pthread_create(&thread, NULL, produce_on_a_thread, c), 0);
    for (int i = 1; i < PRODUCERS; i++) expect_eq(go(produce, c, i), 0);
    expect_eq(coir_waitgroup_wait(&producers, COIR_FOREVER), 0);
    expect_eq(coir_chan_close(c), 0);
    expect_eq(coir_waitgroup_wait(&consumers, COIR_FOREVER), 0);
    pthread_join(thread, NULL);
    for (int i = 0; i < CONSUMERS; i++) sum += sums[i];
    expect_eq(sum, n * (n + 1) / 2);
    coir_chan_unref(c);
    return 0;
}

// ---- Deadlines: never early, nothing lost ------------------------------------------------------

static int64_t given, taken;
static coir_waitgroup racers;

static void sends_in_haste(coir_chan *c)
{
    for (int i = 0; i < 2000; i++) {
        int one = 1;
        int err = coir_chan_send(c, &one, coir_after((i % 7) * COIR_US));
        expect(err == 0 || err == -ETIMEDOUT);
        if (err == 0) __atomic_add_fetch(&given, 1, __ATOMIC_RELAXED);
    }
    coir_waitgroup_done(&racers);
}

static void receives_in_haste(coir_chan *c)
{
    for (int i = 0; i < 2000; i++) {
        int one = 0;
        int err = coir_chan_recv(c, &one, coir_after((i % 5) * COIR_US));
        expect(err == 0 || err == -ETIMEDOUT);
        expect_eq(one, err == 0);
        if (err == 0) __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
    }
    coir_waitgroup_done(&racers);
}

static int deadlines(void *arg)
{
    coir_chan *c = make(sizeof(int), 2);
    int64_t from = coir_now();
    int v;

    (void)arg;
    expect_eq(coir_chan_recv(c, &v, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_chan_recv(c, &v, coir_after(3 * COIR_MS)), -ETIMEDOUT);
    expect(coir_now() - from >= 3 * COIR_MS);

    given = taken = 0;
    expect_eq(coir_waitgroup_add(&racers, 8), 0);
    for (int i = 0; i < 4; i++) {
        expect_eq(go(sends_in_haste, c), 0);
        expect_eq(go(receives_in_haste, c), 0);
    }
    expect_eq(coir_waitgroup_wait(&racers, COIR_FOREVER), 0);
    expect_eq(given, taken + (int64_t)coir_chan_len(c));
    coir_chan_unref(c);
    return 0;
}

// ---- Close wakes -------------------------------------------------------------------------------

static void waits_for_close(coir_chan *c, bool sends)
{
    int v = 1;
    int err =
        sends ? coir_chan_send(c, &v, COIR_FOREVER) : coir_chan_recv(c, &v, COIR_FOREVER);

    expect_eq(err, -EPIPE);
    coir_waitgroup_done(&racers);
}

// The last user gives the channel back, and may be woken while others still are to be.
static int n_woken;

static void leaves_when_closed(coir_chan *c, bool sends, bool frees)
{
    int v = 1;
    int err =
        sends ? coir_chan_send(c, &v, COIR_FOREVER) : coir_chan_recv(c, &v, COIR_FOREVER);

    expect_eq(err, -EPIPE);
    if (frees) coir_chan_unref(c);
    __atomic_add_fetch(&n_woken, 1, __ATOMIC_RELAXED);
    coir_waitgroup_done(&racers);
}

struct parked {
    const void *at;
    int n;
};

static int count_parked(void *arg, const coir_coroutine_info *info)
{
    struct parked *p = arg;

    p->n += info->state == COIR_PARKED && info->object == p->at;
    return 0;
}

static void until_all_wait(coir_chan *c, int n)
{
    struct parked p = {c, 0};

    while (p.n < n) {
        coir_sleep(COIR_MS);
        p.n = 0;
        expect_eq(coir_each(coir_current(), count_parked, &p), 0);
    }
}

static void closes(coir_chan *c)
{
    expect_eq(coir_chan_close(c), 0);
    coir_waitgroup_done(&racers);
}

// As many as a close wakes in several goes; the only reference is given back by the 'freer'th.
static void close_wakes_many(bool send, int freer)
{
    enum { MANY = 300 };
    coir_chan *c = make(sizeof(int), 0);

    n_woken = 0;
    coir_waitgroup_add(&racers, MANY + 1);
    for (int i = 0; i < MANY; i++)
        expect_eq(go(leaves_when_closed, c, send, i == freer), 0);
    until_all_wait(c, MANY);
    expect_eq(go(closes, c), 0);
    expect_eq(coir_waitgroup_wait(&racers, COIR_FOREVER), 0);
    expect_eq(n_woken, MANY);
}

static int close_wakes(void *arg)
{
    coir_chan *c = make(sizeof(int), 0);
    coir_chan *d = make(sizeof(int), 0);

    (void)arg;
    coir_waitgroup_add(&racers, 20);
    for (int i = 0; i < 10; i++) {
        expect_eq(go(waits_for_close, c, true), 0);
        expect_eq(go(waits_for_close, d, false), 0);
    }
    coir_sleep(COIR_MS);
    expect_eq(coir_chan_close(c), 0);
    expect_eq(coir_chan_close(d), 0);
    expect_eq(coir_waitgroup_wait(&racers, COIR_FOREVER), 0);
    coir_chan_unref(c);
    coir_chan_unref(d);
    for (int i = 0; i < 300; i += 299) {
        close_wakes_many(true, i);
        close_wakes_many(false, i);
    }
    return 0;
}

// ---- A waitgroup may be freed at once ----------------------------------------------------------

static void done(coir_waitgroup *w)
{
    expect_eq(coir_waitgroup_done(w), 0);
}

static int waitgroup_is_freed_at_once(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        coir_waitgroup *w = calloc(1, sizeof(*w));
        expect_eq(coir_waitgroup_add(w, 3), 0);
        for (int j = 0; j < 3; j++) expect_eq(go(done, w), 0);
        expect_eq(coir_waitgroup_wait(w, COIR_FOREVER), 0);
        free(w);
    }
    coir_waitgroup z = {0};
    expect_eq(coir_waitgroup_done(&z), -EINVAL);
    expect_eq(coir_waitgroup_wait(&z, COIR_NOW), 0);
    expect_eq(coir_waitgroup_add(&z, 1), 0);
    expect_eq(coir_waitgroup_wait(&z, COIR_NOW), -ETIMEDOUT);
    return 0;
}

// ---- Mutex -------------------------------------------------------------------------------------

static coir_mutex mutex;
static int64_t guarded;

static void locks(int n)
{
    for (int i = 0; i < n; i++) {
        expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
        int64_t v = guarded;
        if (i % 16 == 0) coir_yield();
        guarded = v + 1;
        expect_eq(coir_mutex_unlock(&mutex), 0);
    }
    coir_waitgroup_done(&racers);
}

static void *locks_on_a_thread(void *arg)
{
    (void)arg;
    locks(2000);
    return NULL;
}

static int mutex_excludes(void *arg)
{
    pthread_t thread;

    (void)arg;
    guarded = 0;
    coir_waitgroup_add(&racers, 9);
    expect_eq(pthread_create(&thread, NULL, locks_on_a_thread, NULL), 0);
    for (int i = 0; i < 8; i++) expect_eq(go(locks, 2000), 0);
    expect_eq(coir_waitgroup_wait(&racers, COIR_FOREVER), 0);
    pthread_join(thread, NULL);
    expect_eq(guarded, 9 * 2000);

    expect_eq(coir_mutex_unlock(&mutex), -EPERM);
    expect_eq(coir_mutex_lock(&mutex, COIR_NOW), 0);
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), -EDEADLK);
    expect_eq(coir_mutex_unlock(&mutex), 0);
    return 0;
}

static int stranger_result;

static void locks_as_a_stranger(coir_waitgroup *w)
{
    stranger_result = coir_mutex_lock(&mutex, coir_after(2 * COIR_MS));
    expect_eq(coir_mutex_unlock(&mutex), -EPERM);
    coir_waitgroup_done(w);
}

static int mutex_times_out(void *arg)
{
    coir_waitgroup w = {0};

    (void)arg;
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    coir_waitgroup_add(&w, 1);
    expect_eq(go(locks_as_a_stranger, &w), 0);
    expect_eq(coir_waitgroup_wait(&w, COIR_FOREVER), 0);
    expect_eq(stranger_result, -ETIMEDOUT);
    expect_eq(coir_mutex_unlock(&mutex), 0);
    return 0;
}

// ---- Who may not wait does not yield; who may, yields now and then ---------------------------

static bool other_ran;

static void other(void)
{
    other_ran = true;
}

static void send_and_receive(coir_chan *c, int times, int64_t deadline)
{
    for (int i = 0; i < times; i++) {
        int v = i;
        expect_eq(coir_chan_send(c, &v, deadline), 0);
        expect_eq(coir_chan_recv(c, &v, deadline), 0);
        expect_eq(v, i);
    }
}

// One worker: the other runs exactly when this one gives it up.
static int ready_channels_yield_only_with_time(void *arg)
{
    coir_chan *c = make(sizeof(int), 1);

    (void)arg;
    other_ran = false;
    expect_eq(go(other), 0);
    send_and_receive(c, 1000, COIR_NOW);
    expect(!other_ran);
    send_and_receive(c, 1000, COIR_FOREVER);
    expect(other_ran);
    coir_chan_unref(c);
    return 0;
}

static void bad_values_are_refused(void)
{
    coir_chan *c = NULL;

    expect_eq(coir_chan_make(65537, 1, &c), -EINVAL);
    expect_eq(coir_chan_make(1, 1, NULL), -EINVAL);
    expect_eq(coir_chan_make(65536, SIZE_MAX / 2, &c), -EINVAL);
    expect(c == NULL);
    expect_eq(coir_chan_send(NULL, &c, COIR_NOW), -EINVAL);
    expect_eq(coir_chan_recv(NULL, &c, COIR_NOW), -EINVAL);
    expect_eq(coir_chan_close(NULL), -EINVAL);
    expect_eq(coir_mutex_lock(NULL, COIR_NOW), -EINVAL);
    expect_eq(coir_waitgroup_add(NULL, 1), -EINVAL);
    coir_chan_unref(NULL);
}

int main(void)
{
    static const unsigned workers[] = {1, 2, 4};
    size_t capacities[] = {0, 1, 128};

    bad_values_are_refused();
    for (int i = 0; i < 3; i++) {
        config.workers = workers[i];
        printf("%u workers\n", workers[i]);
        expect_eq(coir_run(&config, ping_pong, NULL), 0);
        for (int j = 0; j < 3; j++) expect_eq(coir_run(&config, fan, &capacities[j]), 0);
        expect_eq(coir_run(&config, deadlines, NULL), 0);
        expect_eq(coir_run(&config, close_wakes, NULL), 0);
        expect_eq(coir_run(&config, waitgroup_is_freed_at_once, NULL), 0);
        expect_eq(coir_run(&config, mutex_excludes, NULL), 0);
        expect_eq(coir_run(&config, mutex_times_out, NULL), 0);
    }
    config.workers = 1;
    expect_eq(coir_run(&config, ready_channels_yield_only_with_time, NULL), 0);
    return 0;
}
