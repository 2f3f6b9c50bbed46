// SPDX-License-Identifier: MIT
// Goal:   a timer's channel gives each time once, never early, and nothing old after stop or reset.
// Method: a plain program over the public interface, on coroutines and threads; times that have
//         passed already make the periodic cases exact.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <pthread.h>

#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;
static coir_waitgroup crowd;

static coir_timer *make(int64_t when, int64_t period)
{
    coir_timer *t = NULL;

    expect_eq(coir_timer_make(when, period, &t), 0);
    return t;
}

static int64_t tick(coir_timer *t, int64_t deadline)
{
    int64_t due = -1;
    int err = coir_chan_recv(coir_timer_chan(t), &due, deadline);

    if (err < 0) return err;
    expect(coir_now() >= due); // never early
    return due;
}

static int fires_once(void *arg)
{
    int64_t when = coir_after(50 * COIR_MS);
    coir_timer *t = make(when, 0);
    coir_chan *c = coir_timer_chan(t);

    (void)arg;
    expect_eq(coir_chan_cap(c), 1);
    expect_eq(coir_chan_len(c), 0);
    expect_eq(tick(t, COIR_NOW), -ETIMEDOUT);
    expect_eq(tick(t, COIR_FOREVER), when);
    expect_eq(tick(t, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_timer_stop(t), 0); // received: not armed
    expect_eq(coir_timer_reset(t, COIR_NOW, 0), 0);
    expect_eq(coir_chan_len(c), 1);
    expect(tick(t, COIR_NOW) >= when);
    expect_eq(coir_chan_recv(c, NULL, coir_after(COIR_MS)), -ETIMEDOUT);
    coir_timer_free(t);
    return 0;
}

static int slow_readers_miss_ticks(void *arg)
{
    int64_t now = coir_now(), period = COIR_SEC;
    int64_t from = now - 10 * period - period / 2;
    coir_timer *t = make(from, period);

    (void)arg;
    expect_eq(coir_chan_len(coir_timer_chan(t)), 1); // one, not eleven
    expect_eq(tick(t, COIR_NOW), from);              // the first that was missed
    expect_eq(tick(t, COIR_NOW), -ETIMEDOUT);        // then one still to come
    expect_eq(coir_timer_stop(t), 1);
    expect_eq(coir_timer_reset(t, coir_now(), 3 * COIR_MS), 0);
    int64_t last = tick(t, COIR_FOREVER);
    for (int i = 0; i < 3; i++) {
        int64_t next = tick(t, COIR_FOREVER);
        expect(next > last && (next - last) % (3 * COIR_MS) == 0);
        last = next;
    }
    coir_timer_free(t);
    return 0;
}

static int stop_takes_back_what_was_due(void *arg)
{
    coir_timer *t = make(COIR_NOW, COIR_MS);

    (void)arg;
    expect_eq(coir_chan_len(coir_timer_chan(t)), 1);
    expect_eq(coir_timer_stop(t), 1);
    expect_eq(coir_timer_stop(t), 0);
    expect_eq(coir_chan_len(coir_timer_chan(t)), 0);
    expect_eq(tick(t, coir_after(3 * COIR_MS)), -ETIMEDOUT);
    int64_t later = coir_after(50 * COIR_MS);
    expect_eq(coir_timer_reset(t, COIR_NOW, 0), 0);
    expect_eq(coir_timer_reset(t, later, 0), 0); // what was due is gone
    expect_eq(tick(t, COIR_NOW), -ETIMEDOUT);
    expect_eq(tick(t, COIR_FOREVER), later);
    coir_timer_free(t);
    return 0;
}

// ---- Whoever waits, waits for the new time -------------------------------------------------

static int64_t got;

static void waits_for(coir_timer *t, bool selects, int64_t deadline)
{
    coir_case one = {.chan = coir_timer_chan(t), .dir = COIR_RECV, .value = &got};

    got = -1;
    int err = selects ? coir_select(&one, 1, deadline)
                      : coir_chan_recv(one.chan, &got, deadline);
    if (err < 0) got = err;
    coir_waitgroup_done(&crowd);
}

struct waiting {
    coir_timer *timer;
    bool selects;
};

static void *waits_on_a_thread(void *arg)
{
    struct waiting *w = arg;

    waits_for(w->timer, w->selects, COIR_FOREVER);
    return NULL;
}

static int64_t move_while_waiting(coir_timer *t, bool selects, bool thread, int64_t when)
{
    struct waiting w = {t, selects};
    pthread_t id;

    coir_waitgroup_add(&crowd, 1);
    if (thread)
        expect_eq(pthread_create(&id, NULL, waits_on_a_thread, &w), 0);
    else
        expect_eq(go(waits_for, t, selects, COIR_FOREVER), 0);
    coir_sleep(2 * COIR_MS);
    expect_eq(coir_timer_reset(t, when, 0), 0);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    if (thread) pthread_join(id, NULL);
    expect(coir_now() >= got);
    return got;
}

static int reset_moves_whoever_waits(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        bool selects = i & 1, thread = i & 2;
        coir_timer *t = make(COIR_FOREVER, 0);

        int64_t when = coir_after(4 * COIR_MS); // it never was, and now it is
        expect_eq(move_while_waiting(t, selects, thread, when), when);
        expect_eq(coir_timer_reset(t, coir_after(100 * COIR_SEC), 0), 0);
        when = coir_after(4 * COIR_MS); // earlier
        expect_eq(move_while_waiting(t, selects, thread, when), when);
        int64_t first, seen; // later, unless the machine was slow and the first came
        do {
            first = coir_after(5 * COIR_MS);
            when = first + 5 * COIR_MS;
            expect_eq(coir_timer_reset(t, first, 0), 0);
            seen = move_while_waiting(t, selects, thread, when);
        } while (seen == first);
        expect_eq(seen, when);
        coir_timer_free(t);
    }
    return 0;
}

static int stop_lets_others_wait_on(void *arg)
{
    coir_timer *t = make(COIR_FOREVER, 0);

    (void)arg;
    for (int i = 0; i < 2; i++) {
        int64_t until;

        do { // a slow machine may be too late to stop it
            until = coir_after(8 * COIR_MS);
            expect_eq(coir_timer_reset(t, coir_after(4 * COIR_MS), 0), 0);
            coir_waitgroup_add(&crowd, 1);
            expect_eq(go(waits_for, t, i == 1, until), 0);
            coir_sleep(COIR_MS);
            if (coir_timer_stop(t)) break;
            expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
        } while (true);
        expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
        expect_eq(got, -ETIMEDOUT);
        expect(coir_now() >= until);
    }
    coir_timer_free(t);
    return 0;
}

// A value, a deadline that passes first, a tick.
static int selects_between_channel_and_timer(void *arg)
{
    coir_chan *c;
    int64_t v = 0, when = coir_after(2 * COIR_MS), soon;
    coir_timer *t = make(when, 0);

    (void)arg;
    expect_eq(coir_chan_make(sizeof(v), 1, &c), 0);
    coir_case cases[] = {{.chan = c, .dir = COIR_RECV, .value = &v},
                         {.chan = coir_timer_chan(t), .dir = COIR_RECV, .value = &v}};
    expect_eq(coir_select(cases, 2, COIR_FOREVER), 1);
    expect_eq(v, when);
    expect_eq(coir_timer_reset(t, coir_after(COIR_SEC), 0), 0);
    soon = coir_after(COIR_MS);
    expect_eq(coir_select(cases, 2, soon), -ETIMEDOUT);
    expect(coir_now() >= soon);
    v = 8;
    expect_eq(coir_chan_send(c, &v, COIR_NOW), 0);
    expect_eq(coir_select(cases, 2, COIR_FOREVER), 0);
    expect_eq(v, 8);
    coir_timer_free(t);
    coir_chan_unref(c);
    return 0;
}

// ---- Many receivers, one stream of ticks ---------------------------------------------------

enum { READERS = 6, TICKS = 40 };

static int64_t n_ticks;

static void reads_ticks(coir_timer *t, int me)
{
    coir_chan *c = coir_timer_chan(t);
    int64_t due, last = 0;
    int err = 0;

    while (err == 0) {
        coir_case one = {.chan = c, .dir = COIR_RECV, .value = &due};

        err = me % 2 ? coir_chan_recv(c, &due, COIR_FOREVER)
                     : coir_select(&one, 1, COIR_FOREVER);
        if (me % 2 == 0 && err == 0) err = one.result;
        if (err) break;
        expect(due > last && coir_now() >= due);
        last = due;
        __atomic_add_fetch(&n_ticks, 1, __ATOMIC_RELAXED);
    }
    expect_eq(err, -EPIPE);
    coir_chan_unref(c);
    coir_waitgroup_done(&crowd);
}

static int each_tick_is_read_once(void *arg)
{
    int64_t from = coir_after(COIR_MS), period = 500 * COIR_US;
    coir_timer *t = make(from, period);

    (void)arg;
    n_ticks = 0;
    coir_waitgroup_add(&crowd, READERS);
    for (int i = 0; i < READERS; i++) {
        coir_chan_ref(coir_timer_chan(t));
        expect_eq(go(reads_ticks, t, i), 0);
    }
    while (__atomic_load_n(&n_ticks, __ATOMIC_RELAXED) < TICKS) coir_sleep(COIR_MS);
    coir_timer_stop(t);
    int64_t most = (coir_now() - from) / period + 1;
    expect(__atomic_load_n(&n_ticks, __ATOMIC_RELAXED) <= most);
    coir_timer_free(t); // closes it for the readers
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    expect(n_ticks <= most);
    return 0;
}

// Resets and stops race with readers: what is read was due after the last reset that returned.
static int64_t floor_of_ticks;

static void reads_fresh_ticks(coir_timer *t)
{
    int64_t due;
    int64_t floor = __atomic_load_n(&floor_of_ticks, __ATOMIC_ACQUIRE);

    while (coir_chan_recv(coir_timer_chan(t), &due, coir_after(20 * COIR_MS)) == 0) {
        expect(due >= floor);
        floor = __atomic_load_n(&floor_of_ticks, __ATOMIC_ACQUIRE);
    }
    coir_waitgroup_done(&crowd);
}

static int no_old_tick_after_reset(void *arg)
{
    coir_timer *t = make(COIR_FOREVER, 0);

    (void)arg;
    floor_of_ticks = 0;
    coir_waitgroup_add(&crowd, 2);
    for (int i = 0; i < 2; i++) expect_eq(go(reads_fresh_ticks, t), 0);
    for (int i = 0; i < 2000; i++) {
        int64_t when = coir_now() + (i % 7) * 5 * COIR_US;

        if (when < floor_of_ticks) when = floor_of_ticks; // times only grow
        expect_eq(coir_timer_reset(t, when, i % 3 ? 10 * COIR_US : 0), 0);
        __atomic_store_n(&floor_of_ticks, when, __ATOMIC_RELEASE);
        if (i % 5 == 0) expect(coir_timer_stop(t) >= 0);
        if (i % 16 == 0) coir_yield();
    }
    coir_timer_stop(t);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    coir_timer_free(t);
    return 0;
}

static void bad_values_are_refused(void)
{
    coir_timer *t = NULL;
    int64_t v = 1;

    expect_eq(coir_timer_make(1, -1, &t), -EINVAL);
    expect_eq(coir_timer_make(1, 0, NULL), -EINVAL);
    expect(t == NULL);
    expect(coir_timer_chan(NULL) == NULL);
    expect_eq(coir_timer_reset(NULL, 1, 0), -EINVAL);
    expect_eq(coir_timer_stop(NULL), -EINVAL);
    coir_timer_free(NULL);
    t = make(1, INT64_MAX); // the next one is beyond all time
    coir_case one = {.chan = coir_timer_chan(t), .dir = COIR_SEND, .value = &v};
    expect_eq(coir_chan_send(one.chan, &v, COIR_NOW), -EINVAL);
    expect_eq(coir_select(&one, 1, COIR_NOW), -EINVAL);
    expect_eq(coir_chan_close(one.chan), -EINVAL);
    expect_eq(coir_timer_reset(t, 1, -1), -EINVAL);
    expect_eq(coir_chan_len(one.chan), 1);
    expect_eq(tick(t, COIR_NOW), 1);
    expect_eq(coir_timer_stop(t), 0);
    coir_chan *c = coir_chan_ref(coir_timer_chan(t));
    coir_timer_free(t);
    expect_eq(coir_chan_recv(c, &v, COIR_FOREVER), -EPIPE);
    coir_chan_unref(c);
}

int main(void)
{
    static int (*const all[])(void *) = {fires_once,
                                         slow_readers_miss_ticks,
                                         stop_takes_back_what_was_due,
                                         reset_moves_whoever_waits,
                                         stop_lets_others_wait_on,
                                         selects_between_channel_and_timer,
                                         each_tick_is_read_once,
                                         no_old_tick_after_reset};
    static const unsigned workers[] = {1, 2, 4};

    bad_values_are_refused();
    fires_once(NULL); // on a thread
    slow_readers_miss_ticks(NULL);
    stop_takes_back_what_was_due(NULL);
    selects_between_channel_and_timer(NULL);
    for (int i = 0; i < 3; i++) {
        config.workers = workers[i];
        printf("%u workers\n", workers[i]);
        for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
            expect_eq(coir_run(&config, all[k], NULL), 0);
    }
    return 0;
}
