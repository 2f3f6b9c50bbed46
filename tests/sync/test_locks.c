// SPDX-License-Identifier: MIT
// Goal:   rwmutex, cond, semaphore and once keep their promises between coroutines and threads.
// Method: a plain program over the public interface, on 1, 2 and 4 workers: a crowd with short
//         and long deadlines, and counters that only the promise keeps right; then each misuse.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

enum { CROWD = 8, EACH = 1500 };

static coir_config config = COIR_CONFIG_INIT;
static coir_waitgroup crowd;

static void *on_thread(void *fn)
{
    ((void (*)(int))(uintptr_t)fn)(CROWD);
    return NULL;
}

// Runs fn(0) .. fn(CROWD - 1) as coroutines and fn(CROWD) on a thread.
static void gather(void (*fn)(int))
{
    pthread_t thread;

    expect_eq(coir_waitgroup_add(&crowd, CROWD + 1), 0);
    expect_eq(pthread_create(&thread, NULL, on_thread, (void *)(uintptr_t)fn), 0);
    for (int i = 0; i < CROWD; i++) expect_eq(go(fn, i), 0);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    pthread_join(thread, NULL);
}

static int64_t some_deadline(int i)
{
    switch (i % 4) {
    case 0: return COIR_NOW;
    case 1: return coir_after((i % 23) * COIR_US);
    default: return COIR_FOREVER;
    }
}

// ---- Semaphore -----------------------------------------------------------------------------

static coir_sema sema;
static int64_t inside;

static void note_inside(int n)
{
    int64_t now = __atomic_add_fetch(&inside, n, __ATOMIC_ACQ_REL);

    expect(now >= 0 && now <= 5);
}

static void uses_units(int me)
{
    for (int i = 0; i < EACH; i++) {
        uint32_t n = 1 + (uint32_t)(i + me) % 3;
        int err = coir_sema_acquire(&sema, n, some_deadline(i + me));

        expect(err == 0 || err == -ETIMEDOUT);
        if (err) continue;
        note_inside((int)n);
        if (i % 16 == 0) coir_yield();
        note_inside(-(int)n);
        expect_eq(coir_sema_release(&sema, n), 0);
    }
    coir_waitgroup_done(&crowd);
}

static int semaphore_counts(void *arg)
{
    (void)arg;
    expect_eq(coir_sema_init(&sema, 5), 0);
    inside = 0;
    gather(uses_units);
    expect_eq(inside, 0);
    expect_eq(coir_sema_acquire(&sema, 5, COIR_NOW), 0); // none is lost
    expect_eq(coir_sema_acquire(&sema, 1, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_sema_release(&sema, 5), 0);
    return 0;
}

static int order[8], n_order;

static void wants(uint32_t n, int me)
{
    expect_eq(coir_sema_acquire(&sema, n, COIR_FOREVER), 0);
    order[n_order++] = me;
    coir_waitgroup_done(&crowd);
}

static void gives_up(void)
{
    expect_eq(coir_sema_acquire(&sema, 6, coir_after(5 * COIR_MS)), -ETIMEDOUT);
    coir_waitgroup_done(&crowd);
}

// One worker: who comes first is known.
static int semaphore_serves_in_order(void *arg)
{
    (void)arg;
    memset(&sema, 0, sizeof(sema));
    n_order = 0;
    coir_waitgroup_add(&crowd, 4);
    expect_eq(go(gives_up), 0);
    coir_yield();
    expect_eq(go(wants, 3u, 0), 0); // in front of who wants less
    coir_yield();
    expect_eq(go(wants, 1u, 1), 0);
    coir_yield();
    expect_eq(go(wants, 2u, 2), 0);
    coir_yield();
    expect_eq(coir_sema_release(&sema, 2), 0);
    expect_eq(coir_sema_acquire(&sema, 1, COIR_NOW), -ETIMEDOUT); // not past the line
    coir_sleep(COIR_MS);
    expect_eq(n_order, 0);
    expect_eq(coir_sema_release(&sema, 1), 0); // three: still too few for the front
    coir_sleep(20 * COIR_MS);                  // which gives up
    expect_eq(n_order, 1);
    expect_eq(coir_sema_release(&sema, 1), 0);
    coir_yield();
    expect_eq(coir_sema_release(&sema, 2), 0);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    for (int i = 0; i < 3; i++) expect_eq(order[i], i);
    expect_eq(coir_sema_acquire(&sema, 1, COIR_NOW), -ETIMEDOUT);
    return 0;
}

static void releases_to(coir_sema *s)
{
    expect_eq(coir_sema_release(s, 1), 0);
}

// Under a sanitizer a release that touches what it gave away shows.
static int semaphore_is_freed_at_once(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        coir_sema *s = calloc(1, sizeof(*s));
        expect_eq(go(releases_to, s), 0);
        expect_eq(go(releases_to, s), 0);
        expect_eq(coir_sema_acquire(s, 2, COIR_FOREVER), 0);
        free(s);
    }
    return 0;
}

// ---- Rwmutex -------------------------------------------------------------------------------

static coir_rwmutex rw;
static int64_t readers_in, writers_in, written;

static void reads_and_writes(int me)
{
    for (int i = 0; i < EACH; i++) {
        bool writes = (i + me) % 4 == 0;
        int64_t deadline = some_deadline(i / 3 + me);
        int err =
            writes ? coir_rwmutex_lock(&rw, deadline) : coir_rwmutex_rlock(&rw, deadline);

        expect(err == 0 || err == -ETIMEDOUT);
        if (err) continue;
        if (writes) {
            expect_eq(__atomic_add_fetch(&writers_in, 1, __ATOMIC_RELAXED), 1);
            expect_eq(__atomic_load_n(&readers_in, __ATOMIC_RELAXED), 0);
            written++;
        } else {
            __atomic_add_fetch(&readers_in, 1, __ATOMIC_RELAXED);
            expect_eq(__atomic_load_n(&writers_in, __ATOMIC_RELAXED), 0);
        }
        int64_t before = written;
        if (i % 16 == 0) coir_yield();
        expect_eq(written, before);
        __atomic_sub_fetch(writes ? &writers_in : &readers_in, 1, __ATOMIC_RELAXED);
        expect_eq(writes ? coir_rwmutex_unlock(&rw) : coir_rwmutex_runlock(&rw), 0);
    }
    coir_waitgroup_done(&crowd);
}

static int rwmutex_excludes(void *arg)
{
    (void)arg;
    gather(reads_and_writes);
    expect_eq(readers_in, 0);
    expect_eq(coir_rwmutex_lock(&rw, COIR_NOW), 0);
    expect_eq(coir_rwmutex_lock(&rw, COIR_FOREVER), -EDEADLK);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_FOREVER), -EDEADLK);
    expect_eq(coir_rwmutex_runlock(&rw), -EPERM);
    expect_eq(coir_rwmutex_unlock(&rw), 0);
    expect_eq(coir_rwmutex_unlock(&rw), -EPERM);
    expect_eq(coir_rwmutex_runlock(&rw), -EPERM);
    return 0;
}

static void writes_once(void)
{
    expect_eq(coir_rwmutex_lock(&rw, COIR_FOREVER), 0);
    order[n_order++] = 1;
    expect_eq(coir_rwmutex_unlock(&rw), 0);
    coir_waitgroup_done(&crowd);
}

static void reads_once(void)
{
    expect_eq(coir_rwmutex_rlock(&rw, COIR_FOREVER), 0);
    order[n_order++] = 2;
    expect_eq(coir_rwmutex_runlock(&rw), 0);
    coir_waitgroup_done(&crowd);
}

static void writes_in_haste(void)
{
    expect_eq(coir_rwmutex_lock(&rw, coir_after(3 * COIR_MS)), -ETIMEDOUT);
    coir_waitgroup_done(&crowd);
}

// One worker: a waiting writer keeps new readers out, readers who waited come before the next
// writer, and when the last waiting writer gives up the readers come in.
static int rwmutex_takes_turns(void *arg)
{
    static const int wanted[] = {1, 2, 2, 1};

    (void)arg;
    n_order = 0;
    coir_waitgroup_add(&crowd, 4);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_NOW), 0);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_NOW), 0); // nobody waits: once more
    expect_eq(go(writes_once), 0);
    coir_yield();
    expect_eq(go(reads_once), 0);
    coir_yield();
    expect_eq(go(reads_once), 0);
    coir_yield();
    expect_eq(go(writes_once), 0);
    coir_yield();
    coir_sleep(COIR_MS);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_NOW), -ETIMEDOUT);
    expect_eq(n_order, 0);
    expect_eq(coir_rwmutex_runlock(&rw), 0);
    expect_eq(coir_rwmutex_runlock(&rw), 0);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    for (int i = 0; i < 4; i++) expect_eq(order[i], wanted[i]);

    coir_waitgroup_add(&crowd, 2);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_NOW), 0);
    expect_eq(go(writes_in_haste), 0);
    coir_yield();
    expect_eq(go(reads_once), 0);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0); // while it is read here
    expect_eq(coir_rwmutex_runlock(&rw), 0);
    expect_eq(coir_rwmutex_lock(&rw, COIR_NOW), 0);
    expect_eq(coir_rwmutex_unlock(&rw), 0);
    return 0;
}

static int stranger_results[3];

static void is_a_stranger(void)
{
    stranger_results[0] = coir_rwmutex_unlock(&rw);
    stranger_results[1] = coir_rwmutex_rlock(&rw, coir_after(COIR_MS));
    stranger_results[2] = coir_rwmutex_runlock(&rw);
    coir_waitgroup_done(&crowd);
}

static int rwmutex_knows_its_writer(void *arg)
{
    (void)arg;
    expect_eq(coir_rwmutex_lock(&rw, COIR_FOREVER), 0);
    coir_waitgroup_add(&crowd, 1);
    expect_eq(go(is_a_stranger), 0);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    expect_eq(stranger_results[0], -EPERM);
    expect_eq(stranger_results[1], -ETIMEDOUT);
    expect_eq(stranger_results[2], -EPERM);
    expect_eq(coir_rwmutex_unlock(&rw), 0);
    return 0;
}

// ---- Cond ----------------------------------------------------------------------------------

static coir_mutex mutex;
static coir_cond filled, emptied;
static int stock, put, got;

enum { STOCK = 3 };

static void fills(int n)
{
    for (int i = 0; i < n; i++) {
        expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
        while (stock == STOCK) {
            int err = coir_cond_wait(&emptied, &mutex, coir_after(50 * COIR_US));
            expect(err == 0 || err == -ETIMEDOUT);
        }
        expect(stock < STOCK);
        stock++;
        put++;
        expect_eq(coir_cond_signal(&filled), 0);
        expect_eq(coir_mutex_unlock(&mutex), 0);
    }
}

static void empties(int n)
{
    for (int i = 0; i < n; i++) {
        expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
        while (stock == 0) expect_eq(coir_cond_wait(&filled, &mutex, COIR_FOREVER), 0);
        stock--;
        got++;
        expect_eq(coir_mutex_unlock(&mutex), 0); // before the signal: that is allowed too
        expect_eq(coir_cond_signal(&emptied), 0);
    }
}

static void fills_or_empties(int me)
{
    if (me == CROWD)
        fills(EACH);
    else if (me % 2)
        fills(EACH / 2);
    else
        empties(me ? EACH / 2 : EACH / 2 + EACH);
    coir_waitgroup_done(&crowd);
}

static int condition_hands_over(void *arg)
{
    (void)arg;
    put = got = 0;
    gather(fills_or_empties);
    expect_eq(put, got);
    expect_eq(stock, 0);
    return 0;
}

static bool started;
static int woken;

static void waits_for_start(void)
{
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    while (!started) expect_eq(coir_cond_wait(&filled, &mutex, COIR_FOREVER), 0);
    woken++;
    expect_eq(coir_mutex_unlock(&mutex), 0);
    coir_waitgroup_done(&crowd);
}

static int broadcast_wakes_all(void *arg)
{
    (void)arg;
    started = false;
    woken = 0;
    coir_waitgroup_add(&crowd, 20);
    for (int i = 0; i < 20; i++) expect_eq(go(waits_for_start), 0);
    coir_sleep(COIR_MS);
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    started = true;
    expect_eq(coir_cond_broadcast(&filled), 0);
    expect_eq(coir_mutex_unlock(&mutex), 0);
    expect_eq(coir_waitgroup_wait(&crowd, COIR_FOREVER), 0);
    expect_eq(woken, 20);
    return 0;
}

static int condition_returns_with_the_mutex(void *arg)
{
    int64_t until = coir_after(2 * COIR_MS);

    (void)arg;
    expect_eq(coir_cond_wait(&filled, &mutex, COIR_FOREVER), -EPERM);
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    expect_eq(coir_cond_wait(&filled, &mutex, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_mutex_lock(&mutex, COIR_NOW), -EDEADLK);
    expect_eq(coir_cond_wait(&filled, &mutex, until), -ETIMEDOUT);
    expect(coir_now() >= until);
    expect_eq(coir_mutex_unlock(&mutex), 0); // held
    return 0;
}

static int canceled_wait = 1, free_lock = 1, busy_lock = 1;

static void waits_until_the_end(void)
{
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    canceled_wait = coir_cond_wait(&filled, &mutex, COIR_FOREVER);
    free_lock = coir_rwmutex_lock(&rw, COIR_FOREVER); // granted although cancelled
    coir_rwmutex_unlock(&rw);
    busy_lock = coir_sema_acquire(&sema, 1, COIR_FOREVER);
    expect_eq(coir_mutex_unlock(&mutex), 0);
}

static int leaves_a_waiter(void *arg)
{
    (void)arg;
    expect_eq(coir_sema_init(&sema, 0), 0);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_NOW), 0);
    expect_eq(coir_rwmutex_runlock(&rw), 0);
    expect_eq(go(waits_until_the_end), 0);
    coir_sleep(COIR_MS);
    return 0; // and so the waiter is cancelled
}

// ---- Once ----------------------------------------------------------------------------------

static int calls;

static void is_called(void *arg)
{
    coir_sleep(COIR_MS); // the others come meanwhile
    calls++;
    expect_eq(coir_once_do(arg, is_called, arg), -EDEADLK);
}

static coir_once once;

static void calls_once(int me)
{
    (void)me;
    expect_eq(coir_once_do(&once, is_called, &once), 0);
    expect_eq(calls, 1); // has returned
    coir_waitgroup_done(&crowd);
}

static int once_calls_once(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        memset(&once, 0, sizeof(once));
        calls = 0;
        gather(calls_once);
    }
    expect_eq(coir_once_do(&once, is_called, NULL), 0);
    expect_eq(calls, 1);
    return 0;
}

// ---- Misuse --------------------------------------------------------------------------------

static void nothing(void *arg)
{
    (void)arg;
}

static void bad_values_are_refused(void)
{
    coir_sema s = {{0}};
    coir_cond c = {{0}};
    coir_once o = {{0}};

    expect_eq(coir_sema_init(NULL, 0), -EINVAL);
    expect_eq(coir_sema_init(&s, UINT32_MAX), -EINVAL);
    expect_eq(coir_sema_acquire(NULL, 1, COIR_NOW), -EINVAL);
    expect_eq(coir_sema_acquire(&s, UINT32_MAX, COIR_NOW), -EINVAL);
    expect_eq(coir_sema_release(NULL, 1), -EINVAL);
    expect_eq(coir_sema_release(&s, INT32_MAX), 0);
    expect_eq(coir_sema_release(&s, 1), -EINVAL);
    expect_eq(coir_sema_acquire(&s, INT32_MAX, COIR_NOW), 0); // unchanged
    expect_eq(coir_sema_acquire(&s, 1, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_sema_acquire(&s, 0, COIR_NOW), 0);
    expect_eq(coir_sema_acquire(&s, 1, coir_after(COIR_MS)), -ETIMEDOUT); // on a thread
    expect_eq(coir_rwmutex_rlock(NULL, COIR_NOW), -EINVAL);
    expect_eq(coir_rwmutex_runlock(NULL), -EINVAL);
    expect_eq(coir_rwmutex_lock(NULL, COIR_NOW), -EINVAL);
    expect_eq(coir_rwmutex_unlock(NULL), -EINVAL);
    expect_eq(coir_cond_wait(NULL, &mutex, COIR_NOW), -EINVAL);
    expect_eq(coir_cond_wait(&c, NULL, COIR_NOW), -EINVAL);
    expect_eq(coir_cond_signal(NULL), -EINVAL);
    expect_eq(coir_cond_broadcast(NULL), -EINVAL);
    expect_eq(coir_cond_signal(&c), 0);
    expect_eq(coir_once_do(NULL, nothing, NULL), -EINVAL);
    expect_eq(coir_once_do(&o, NULL, NULL), -EINVAL);
    expect_eq(coir_once_do(&o, nothing, NULL), 0);
}

int main(void)
{
    static const unsigned workers[] = {1, 2, 4};

    bad_values_are_refused();
    for (int i = 0; i < 3; i++) {
        config.workers = workers[i];
        printf("%u workers\n", workers[i]);
        expect_eq(coir_run(&config, semaphore_counts, NULL), 0);
        expect_eq(coir_run(&config, semaphore_is_freed_at_once, NULL), 0);
        expect_eq(coir_run(&config, rwmutex_excludes, NULL), 0);
        expect_eq(coir_run(&config, rwmutex_knows_its_writer, NULL), 0);
        expect_eq(coir_run(&config, condition_hands_over, NULL), 0);
        expect_eq(coir_run(&config, broadcast_wakes_all, NULL), 0);
        expect_eq(coir_run(&config, condition_returns_with_the_mutex, NULL), 0);
        expect_eq(coir_run(&config, once_calls_once, NULL), 0);
        expect_eq(coir_run(&config, leaves_a_waiter, NULL), 0);
        expect_eq(canceled_wait, -ECANCELED);
        expect_eq(free_lock, 0);
        expect_eq(busy_lock, -ECANCELED);
    }
    config.workers = 1;
    expect_eq(coir_run(&config, semaphore_serves_in_order, NULL), 0);
    expect_eq(coir_run(&config, rwmutex_takes_turns, NULL), 0);
    return 0;
}
