// SPDX-License-Identifier: MIT
// churn - a random crowd on random channels, and laws that must hold whatever happened.
//
// Each round takes from the seed: workers, driver, channels and their capacities, how many send and
// receive, who of them is an ordinary thread, whose deadlines are how short, who closes, and
// whether the runtime is stopped in the middle. Then
//
//     C1  per channel: values sent - values received = values still in it
//     C2  no value arrives twice, none that was not sent
//     C3  a counter under the mutex, or under the writer's half of the rwmutex, is as large as the
//         locks that were granted; a semaphore ends with the units that it began with
//     C4  coir_stop ends everybody
//     C5  what a timer gives is never early; a select makes one case happen, and says which
//
// Runs COIR_STRESS_SECONDS (3 by default). COIR_SEED=... replays the choices, not the timing.
#include <coir/go.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

enum {
    CHANNELS_MOST = 5,
    CROWD_MOST = 24,
    VALUES_MOST = 1000,
    THREADS_MOST = 4,
    UNITS = 3
};

struct lane {
    coir_chan *chan;
    atomic_int sent, received;
};

struct round {
    struct lane lanes[CHANNELS_MOST];
    int n_lanes, patience; // of the crowd: index into deadlines
    atomic_int next;       // value to send
    atomic_uchar seen[VALUES_MOST];
    atomic_int senders_left;
    coir_mutex mutex;
    long counter; // under mutex
    atomic_long granted;
    coir_rwmutex rwmutex;
    long written; // under rwmutex
    atomic_long writes;
    coir_sema sema;
    coir_timer *timer;
    coir_waitgroup all;
};

static uint64_t chance;

// The main thread's choices.
static unsigned below(unsigned n)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (unsigned)(chance >> 33) % n;
}

// Somebody's own choices: a number from the outside and its own count.
static unsigned own(unsigned *state, unsigned n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 16) % n;
}

static int64_t deadline(const struct round *r, unsigned *state)
{
    switch (r->patience ? (unsigned)r->patience : own(state, 4)) {
    case 0: return COIR_NOW;
    case 1: return coir_after((int64_t)own(state, 50) * COIR_US);
    case 2: return coir_after(COIR_MS);
    default: return COIR_FOREVER;
    }
}

static void count_with_mutex(struct round *r, unsigned *state)
{
    if (coir_mutex_lock(&r->mutex, deadline(r, state))) return;
    atomic_fetch_add(&r->granted, 1);
    r->counter++;
    if (own(state, 8) == 0) coir_yield();
    expect_eq(coir_mutex_unlock(&r->mutex), 0);
}

static void write_or_read(struct round *r, unsigned *state)
{
    if (own(state, 4) == 0) {
        if (coir_rwmutex_lock(&r->rwmutex, deadline(r, state))) return;
        atomic_fetch_add(&r->writes, 1);
        r->written++;
        expect_eq(coir_rwmutex_unlock(&r->rwmutex), 0);
    } else {
        if (coir_rwmutex_rlock(&r->rwmutex, deadline(r, state))) return;
        long seen = r->written;
        if (own(state, 8) == 0) coir_yield();
        expect_eq(r->written, seen);
        expect_eq(coir_rwmutex_runlock(&r->rwmutex), 0);
    }
}

static void use_units(struct round *r, unsigned *state)
{
    unsigned n = 1 + own(state, UNITS);

    if (coir_sema_acquire(&r->sema, n, deadline(r, state))) return;
    if (own(state, 8) == 0) coir_yield();
    expect_eq(coir_sema_release(&r->sema, n), 0);
}

static void use_a_lock(struct round *r, unsigned *state)
{
    switch (own(state, 4)) {
    case 0: write_or_read(r, state); break;
    case 1: use_units(r, state); break;
    case 2: coir_timer_reset(r->timer, coir_after(50 * COIR_US), COIR_MS / 10); break;
    default: count_with_mutex(r, state); break;
    }
}

// False: cancelled.
static bool pause_a_little(unsigned *state)
{
    switch (own(state, 16)) {
    case 0: return coir_yield() != -ECANCELED;
    case 1: return coir_sleep((int64_t)own(state, 200) * COIR_US) != -ECANCELED;
    default: return true;
    }
}

static void send_some(struct round *r, unsigned seed)
{
    unsigned state = seed;
    int err = 0, value;

    while (err != -ECANCELED && (value = atomic_fetch_add(&r->next, 1)) < VALUES_MOST) {
        struct lane *lane = &r->lanes[own(&state, (unsigned)r->n_lanes)];

        do {
            atomic_fetch_add(&lane->sent, 1); // before: a receiver may be quicker
            err = coir_chan_send(lane->chan, &value, deadline(r, &state));
            if (err) atomic_fetch_sub(&lane->sent, 1);
            expect(err == 0 || err == -ETIMEDOUT || err == -ECANCELED);
        } while (err == -ETIMEDOUT);
        use_a_lock(r, &state);
        if (!pause_a_little(&state)) break;
    }
    if (atomic_fetch_sub(&r->senders_left, 1) == 1)
        for (int i = 0; i < r->n_lanes; i++)
            expect_eq(coir_chan_close(r->lanes[i].chan), 0);
    expect_eq(coir_waitgroup_done(&r->all), 0);
}

// From one lane, or from all and the timer at once. *at: the lane.
static int receive_one(struct round *r, unsigned *state, unsigned *at, int *value)
{
    int64_t until = deadline(r, state), due = 0;
    coir_case cases[CHANNELS_MOST + 1];
    int n = r->n_lanes;

    *at %= (unsigned)n;
    // Who waits for ever on one of several may wait for a sender that waits on another.
    if (n > 1 && until == COIR_FOREVER) until = coir_after(100 * COIR_US);
    if (own(state, 2)) return coir_chan_recv(r->lanes[*at].chan, value, until);
    for (int i = 0; i < n; i++)
        cases[i] = (coir_case){.chan = r->lanes[i].chan,
                               .dir = COIR_RECV,
                               .value = value,
                               .result = 1};
    cases[n] = (coir_case){.chan = coir_timer_chan(r->timer),
                           .dir = COIR_RECV,
                           .value = &due,
                           .result = 1};
    int which = coir_select(cases, n + 1, until);
    if (which < 0) return which;
    for (int i = 0; i <= n; i++) expect((cases[i].result == 1) == (i != which)); // C5
    if (which == n) {
        expect(due > 0 && due <= coir_now()); // C5
        return -ETIMEDOUT;
    }
    if (cases[which].result == 0) *at = (unsigned)which;
    return cases[which].result == 0 ? 0 : -ETIMEDOUT; // closed: the round goes on
}

// Goes round the lanes until all of them, one after the other, are closed and empty.
static void receive_some(struct round *r, unsigned seed)
{
    unsigned state = seed, at = seed;
    int err = 0, shut = 0, value = -1;

    while (err != -ECANCELED && shut < r->n_lanes) {
        err = receive_one(r, &state, &at, &value);
        struct lane *lane = &r->lanes[at];
        expect(err == 0 || err == -EPIPE || err == -ETIMEDOUT || err == -ECANCELED);
        shut = err == -EPIPE ? shut + 1 : 0;
        if (err == 0) {
            atomic_fetch_add(&lane->received, 1);
            expect(value >= 0 && value < VALUES_MOST);
            expect_eq(atomic_fetch_add(&r->seen[value], 1), 0); // C2
        }
        if (err == -EPIPE || own(&state, 4) == 0) at++;
        if (!pause_a_little(&state)) break;
    }
    expect_eq(coir_waitgroup_done(&r->all), 0);
}

struct thread {
    struct round *round;
    unsigned seed;
    void (*fn)(struct round *r, unsigned seed);
};

static void *thread_main(void *arg)
{
    struct thread *t = arg;

    t->fn(t->round, t->seed);
    return NULL;
}

// What was taken and what is left, one by one.
static void count_up(struct round *r)
{
    for (int i = 0; i < r->n_lanes; i++) {
        struct lane *lane = &r->lanes[i];
        int value, left = 0;

        expect_eq(lane->sent - lane->received, coir_chan_len(lane->chan)); // C1
        while (coir_chan_recv(lane->chan, &value, COIR_NOW) == 0) {
            expect_eq(atomic_fetch_add(&r->seen[value], 1), 0); // C2
            left++;
        }
        expect_eq(lane->sent - lane->received, left);
        coir_chan_unref(lane->chan);
    }
    expect_eq(r->counter, r->granted); // C3
    expect_eq(r->written, r->writes);
    expect_eq(coir_sema_acquire(&r->sema, UNITS, COIR_NOW), 0);
    expect_eq(coir_rwmutex_lock(&r->rwmutex, COIR_NOW), 0);
    coir_timer_free(r->timer);
}

static void play(void)
{
    static struct round r;
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;
    pthread_t threads[THREADS_MOST];
    struct thread args[THREADS_MOST];
    int n_senders = 1 + (int)below(CROWD_MOST / 2),
        n_receivers = 1 + (int)below(CROWD_MOST / 2);
    int n_threads = 0;
    bool stop_early = below(4) == 0;

    memset(&r, 0, sizeof(r));
    config.workers = 1 + below(4);
    config.driver = below(2) ? COIR_DRIVER_EPOLL : COIR_DRIVER_AUTO;
    r.n_lanes = 1 + (int)below(CHANNELS_MOST);
    r.patience = (int)below(4);
    r.senders_left = n_senders;
    for (int i = 0; i < r.n_lanes; i++)
        expect_eq(coir_chan_make(sizeof(int), below(3) ? below(9) : 0, &r.lanes[i].chan),
                  0);
    expect_eq(coir_sema_init(&r.sema, UNITS), 0);
    expect_eq(coir_timer_make(coir_after(below(1000) * COIR_US), COIR_MS / 4, &r.timer),
              0);
    expect_eq(coir_waitgroup_add(&r.all, n_senders + n_receivers), 0);
    expect_eq(coir_start(&config, &rt), 0);
    for (int i = 0; i < n_senders + n_receivers; i++) {
        struct thread t = {&r, below(1u << 30), i < n_senders ? send_some : receive_some};

        // A thread cannot be cancelled: when the runtime is stopped early there are none.
        if (!stop_early && n_threads < THREADS_MOST && below(5) == 0) {
            args[n_threads] = t;
            expect_eq(pthread_create(&threads[n_threads], NULL, thread_main,
                                     &args[n_threads]),
                      0);
            n_threads++;
        } else {
            expect_eq(coir_go_on(rt, t.fn, t.round, t.seed), 0);
        }
    }
    if (stop_early)
        expect_eq(coir_sleep((int64_t)below(5000) * COIR_US), 0);
    else
        expect_eq(coir_waitgroup_wait(&r.all, COIR_FOREVER), 0);
    for (int i = 0; i < n_threads; i++) pthread_join(threads[i], NULL);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0); // C4
    expect_eq(coir_waitgroup_wait(&r.all, COIR_NOW), 0);
    if (!stop_early)
        for (int i = 0; i < r.n_lanes; i++) expect_eq(coir_chan_len(r.lanes[i].chan), 0);
    count_up(&r);
}

int main(void)
{
    const char *given = getenv("COIR_STRESS_SECONDS");
    int64_t end = coir_after((given ? atoi(given) : 3) * COIR_SEC);
    int rounds = 0;

    chance = test_seed();
    while (coir_now() < end) {
        test_watchdog(60);
        play();
        rounds++;
    }
    printf("%d rounds\n", rounds);
    return 0;
}
