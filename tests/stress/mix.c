// SPDX-License-Identifier: MIT
// mix - so many operations of every kind, drawn at random, and the accounts that must balance.
//
// In each round 40 coroutines on 8 workers and two threads of the host's share channels, locks and
// timers, open scopes and cancel them. Each does its part of the round's operations. Then
//
//     X1  values sent - values received = values drained at the end, in number and in sum
//     X2  a counter under the mutex is the number of locks granted; one under the rwmutex that of
//         the writes, and no reader sees it move; the semaphore ends with the units it began with
//     X3  of scopes: children that began = children that ended; the result is one that can be
//     X4  no tick and no sleep is early
//     X5  as many operations were done as were asked for
//
// mix [OPERATIONS]: 400,000 by default. COIR_SEED=... replays the choices, not the timing.
#include <coir/go.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

enum {
    COROUTINES = 40,
    THREADS = 2,
    PARTIES = COROUTINES + THREADS,
    LANES = 6,
    UNITS = 5
};
enum { ROUND = 400000, WORKERS = 8 };

struct table {
    coir_chan *lanes[LANES]; // the first two unbuffered
    coir_timer *timers[3];
    coir_mutex mutex;
    coir_rwmutex rwmutex;
    coir_cond cond;
    coir_sema sema;
    long counter, written; // under mutex, under rwmutex
    atomic_long granted, writes, sent, received, sent_sum, received_sum;
    atomic_long began, ended, done;
    coir_waitgroup all;
    long quota; // of each party
};

// One who draws. A child of a scope has its own.
struct party {
    struct table *t;
    uint64_t chance;
    long ops;
    int depth; // of scopes
};

static unsigned draw(struct party *p, unsigned n)
{
    p->chance ^= p->chance << 13;
    p->chance ^= p->chance >> 7;
    p->chance ^= p->chance << 17;
    return (unsigned)((p->chance >> 40) % n);
}

static int64_t soon(struct party *p)
{
    return draw(p, 4) ? COIR_NOW : coir_after((int64_t)draw(p, 60) * COIR_US);
}

static void is_one_of_three(int err)
{
    expect(err == 0 || err == -ETIMEDOUT || err == -ECANCELED);
}

// ---- Channels -------------------------------------------------------------------------

static void note(atomic_long *n, atomic_long *sum, int value)
{
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(sum, value, memory_order_relaxed);
}

static void sends(struct party *p)
{
    int value = (int)draw(p, 1000000);
    int err = coir_chan_send(p->t->lanes[draw(p, LANES)], &value, soon(p));

    is_one_of_three(err);
    if (err == 0) note(&p->t->sent, &p->t->sent_sum, value);
}

static void receives(struct party *p)
{
    int value;
    int err = coir_chan_recv(p->t->lanes[draw(p, LANES)], &value, soon(p));

    is_one_of_three(err);
    if (err == 0) note(&p->t->received, &p->t->received_sum, value);
}

static void selects(struct party *p)
{
    coir_case cases[6];
    int values[6], n = 1 + (int)draw(p, 6);

    for (int i = 0; i < n; i++) {
        values[i] = (int)draw(p, 1000000);
        cases[i] = (coir_case){.chan = draw(p, 16) ? p->t->lanes[draw(p, LANES)] : NULL,
                               .dir = draw(p, 2) ? COIR_SEND : COIR_RECV,
                               .value = &values[i]};
    }
    int at = coir_select(cases, n, soon(p));
    if (at < 0) {
        is_one_of_three(at);
        return;
    }
    expect(at < n && cases[at].chan && cases[at].result == 0);
    if (cases[at].dir == COIR_SEND)
        note(&p->t->sent, &p->t->sent_sum, values[at]);
    else
        note(&p->t->received, &p->t->received_sum, values[at]);
}

// ---- Locks ----------------------------------------------------------------------------

static void locks(struct party *p)
{
    struct table *t = p->t;
    int err = coir_mutex_lock(&t->mutex, draw(p, 3) ? COIR_FOREVER : soon(p));

    is_one_of_three(err);
    if (err) return;
    atomic_fetch_add_explicit(&t->granted, 1, memory_order_relaxed);
    t->counter++;
    if (draw(p, 32) == 0) is_one_of_three(coir_cond_wait(&t->cond, &t->mutex, soon(p)));
    if (draw(p, 32) == 0) coir_cond_signal(&t->cond);
    if (draw(p, 64) == 0) coir_yield();
    expect_eq(coir_mutex_unlock(&t->mutex), 0);
}

static void reads_or_writes(struct party *p)
{
    struct table *t = p->t;
    int64_t deadline = draw(p, 3) ? COIR_FOREVER : soon(p);

    if (draw(p, 4) == 0) {
        if (coir_rwmutex_lock(&t->rwmutex, deadline)) return;
        atomic_fetch_add_explicit(&t->writes, 1, memory_order_relaxed);
        t->written++;
        expect_eq(coir_rwmutex_unlock(&t->rwmutex), 0);
    } else {
        if (coir_rwmutex_rlock(&t->rwmutex, deadline)) return;
        long seen = t->written;
        if (draw(p, 16) == 0) coir_yield();
        expect_eq(t->written, seen);
        expect_eq(coir_rwmutex_runlock(&t->rwmutex), 0);
    }
}

static void takes_units(struct party *p)
{
    unsigned n = 1 + draw(p, UNITS);

    if (coir_sema_acquire(&p->t->sema, n, draw(p, 3) ? COIR_FOREVER : soon(p))) return;
    if (draw(p, 16) == 0) coir_yield();
    expect_eq(coir_sema_release(&p->t->sema, n), 0);
}

// ---- Time -----------------------------------------------------------------------------

static void sets_a_timer(struct party *p)
{
    coir_timer *timer = p->t->timers[draw(p, 3)];
    int64_t due;

    switch (draw(p, 4)) {
    case 0: expect(coir_timer_stop(timer) >= 0); break;
    case 1:
        if (coir_chan_recv(coir_timer_chan(timer), &due, soon(p)) == 0)
            expect(due <= coir_now());
        break;
    default:
        expect(coir_timer_reset(timer, coir_after((int64_t)draw(p, 100) * COIR_US),
                                draw(p, 2) ? 20 * COIR_US : 0) >= 0);
    }
}

static void sleeps(struct party *p)
{
    int64_t until = coir_after((int64_t)draw(p, 40) * COIR_US);

    if (coir_sleep_until(until) == 0) expect(coir_now() >= until);
}

// ---- Scopes ---------------------------------------------------------------------------

static void does_one(struct party *p);

static int child(struct table *t, uint64_t chance, int depth)
{
    struct party p = {.t = t, .chance = chance | 1, .depth = depth};
    unsigned fails = draw(&p, 8);

    atomic_fetch_add_explicit(&t->began, 1, memory_order_relaxed);
    for (int n = (int)draw(&p, 6); n > 0; n--) does_one(&p);
    atomic_fetch_add_explicit(&t->ended, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->done, p.ops, memory_order_relaxed);
    return fails == 0 ? -EXDEV : 0;
}

static void opens_a_scope(struct party *p)
{
    coir_scope s;
    bool shielded = draw(p, 8) == 0;

    if (p->depth == 2 || !coir_id())
        return; // a thread names its runtime, which it has not
    if (shielded) coir_shield_begin();
    expect_eq(coir_scope_open(&s, draw(p, 2) ? COIR_FOREVER : coir_after(20 * COIR_US)),
              0);
    p->depth++;
    for (int n = (int)draw(p, 4); n > 0; n--) {
        int err = draw(p, 64)
                      ? coir_scope_go(&s, child, p->t, p->chance + (uint64_t)n, p->depth)
                      : coir_scope_go_with(&s, coir_opts(.pinned = true), child, p->t,
                                           p->chance + (uint64_t)n, p->depth);
        expect(err == 0 || err == -ECANCELED);
    }
    if (draw(p, 3) == 0) does_one(p);
    if (draw(p, 3) == 0) coir_scope_cancel(&s);
    int result = coir_scope_wait(&s);
    is_one_of_three(result == -EXDEV ? 0 : result);
    p->depth--;
    if (shielded) coir_shield_end();
}

// ---- The mix --------------------------------------------------------------------------

static void does_one(struct party *p)
{
    p->ops++;
    switch (draw(p, 64)) {
    case 0: opens_a_scope(p); break;
    case 1: sleeps(p); break;
    case 2 ... 5: sets_a_timer(p); break;
    case 6 ... 9: coir_yield(); break;
    case 10 ... 19: locks(p); break;
    case 20 ... 25: reads_or_writes(p); break;
    case 26 ... 31: takes_units(p); break;
    case 32 ... 43: selects(p); break;
    case 44 ... 53: sends(p); break;
    default: receives(p);
    }
}

static void does_its_part(struct table *t, uint64_t chance)
{
    struct party p = {.t = t, .chance = chance | 1};

    while (p.ops < t->quota) does_one(&p);
    atomic_fetch_add_explicit(&t->done, p.ops, memory_order_relaxed);
    coir_waitgroup_done(&t->all);
}

struct guest {
    struct table *t;
    uint64_t chance;
};

static void *is_a_guest(void *arg)
{
    struct guest *g = arg;

    does_its_part(g->t, g->chance);
    return NULL;
}

static void balances(struct table *t)
{
    long left = 0, left_sum = 0;
    int value;

    for (int i = 0; i < LANES; i++)
        while (coir_chan_recv(t->lanes[i], &value, COIR_NOW) == 0) {
            left++;
            left_sum += value;
        }
    expect_eq(t->sent - t->received, left); // X1
    expect_eq(t->sent_sum - t->received_sum, left_sum);
    expect_eq(t->counter, t->granted); // X2
    expect_eq(t->written, t->writes);
    expect_eq(coir_sema_acquire(&t->sema, UNITS, COIR_NOW), 0);
    expect_eq(coir_sema_acquire(&t->sema, 1, COIR_NOW), -ETIMEDOUT);
    expect_eq(t->began, t->ended);         // X3
    expect(t->done >= t->quota * PARTIES); // X5
}

static uint64_t seed;

static int one_round(void *arg)
{
    struct table *t = arg;
    struct guest guests[THREADS];
    pthread_t threads[THREADS];

    for (int i = 0; i < LANES; i++)
        expect_eq(coir_chan_make(sizeof(int), i < 2 ? 0 : (size_t)1 << i, &t->lanes[i]),
                  0);
    for (int i = 0; i < 3; i++)
        expect_eq(coir_timer_make(COIR_FOREVER, 0, &t->timers[i]), 0);
    expect_eq(coir_sema_init(&t->sema, UNITS), 0);
    expect_eq(coir_waitgroup_add(&t->all, PARTIES), 0);
    for (int i = 0; i < COROUTINES; i++)
        expect_eq(go(does_its_part, t, seed += UINT64_C(0x9e3779b97f4a7c15)), 0);
    for (int i = 0; i < THREADS; i++) {
        guests[i] = (struct guest){t, seed += UINT64_C(0x9e3779b97f4a7c15)};
        expect_eq(pthread_create(&threads[i], NULL, is_a_guest, &guests[i]), 0);
    }
    expect_eq(coir_waitgroup_wait(&t->all, COIR_FOREVER), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    balances(t);
    for (int i = 0; i < LANES; i++) coir_chan_unref(t->lanes[i]);
    for (int i = 0; i < 3; i++) coir_timer_free(t->timers[i]);
    return 0;
}

int main(int argc, char **argv)
{
    long wanted = argc > 1 ? atol(argv[1]) : ROUND, done = 0;
    int n_rounds = 0;

    seed = test_seed();
    unsetenv("COIR_SEED"); // it is not meant for coir_run
    for (; done < wanted; n_rounds++) {
        long part = wanted - done < ROUND ? wanted - done : ROUND;
        struct table t = {.quota = (part + PARTIES - 1) / PARTIES};
        coir_config config = COIR_CONFIG_INIT;

        test_watchdog(120);
        config.workers = WORKERS;
        config.driver = n_rounds % 4 == 3 ? COIR_DRIVER_EPOLL : COIR_DRIVER_AUTO;
        expect_eq(coir_run(&config, one_round, &t), 0);
        done += t.done;
    }
    printf("mix: %ld operations in %d rounds, all accounts balance\n", done, n_rounds);
    return 0;
}
