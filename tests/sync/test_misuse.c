// SPDX-License-Identifier: MIT
// Goal:   what a program can do wrong with what waits has the result that docs/misuse.md says, and
//         leaves the object as it was.
// Method: the page's tables line by line, on coroutines and, where that is allowed, on a thread of
//         the program's; after each the object still does what it is for.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "tests/lib/test.h"

static coir_waitgroup strangers;

// fn on a coroutine of its own, to its end. Coroutines only.
static void as_a_stranger(void (*fn)(void *), void *arg)
{
    expect_eq(coir_waitgroup_add(&strangers, 1), 0);
    expect_eq(coir_go(fn, arg), 0);
    expect_eq(coir_waitgroup_wait(&strangers, COIR_FOREVER), 0);
}

// ---- Channels and select ---------------------------------------------------------------------

static void sizes_are_refused(void)
{
    static const struct {
        size_t size, capacity;
    } absurd[] = {{65537, 0},
                  {SIZE_MAX, 1},
                  {65536, SIZE_MAX / 2},
                  {1, SIZE_MAX},
                  {8, SIZE_MAX / 8 + 1}};
    coir_chan *c = NULL;

    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++)
        expect_eq(coir_chan_make(absurd[i].size, absurd[i].capacity, &c), -EINVAL);
    expect_eq(coir_chan_make(1, 1, NULL), -EINVAL);
    expect(c == NULL);
}

static void null_channels(void)
{
    int v = 3;

    expect_eq(coir_chan_send(NULL, &v, COIR_FOREVER), -EINVAL);
    expect_eq(coir_chan_recv(NULL, &v, COIR_FOREVER), -EINVAL);
    expect_eq(coir_chan_close(NULL), -EINVAL);
    expect_eq((intmax_t)coir_chan_len(NULL), 0);
    expect_eq((intmax_t)coir_chan_cap(NULL), 0);
    expect(coir_chan_ref(NULL) == NULL);
    coir_chan_unref(NULL);
}

static void channels(void)
{
    coir_chan *c = NULL;
    int v = 3, got = 0;

    sizes_are_refused();
    null_channels();
    expect_eq(coir_chan_make(sizeof(v), 2, &c), 0);
    expect_eq(coir_chan_send(c, NULL, COIR_NOW), -EINVAL);
    expect_eq((intmax_t)coir_chan_len(c), 0);
    expect_eq(coir_chan_send(c, &v, INT64_MIN), 0); // a past deadline tries
    expect_eq(coir_chan_close(c), 0);
    expect_eq(coir_chan_close(c), -EALREADY);
    expect_eq(coir_chan_send(c, &v, COIR_FOREVER), -EPIPE);
    expect_eq(coir_chan_recv(c, &got, COIR_FOREVER), 0);
    expect_eq(got, 3);
    expect_eq(coir_chan_recv(c, &got, COIR_FOREVER), -EPIPE);
    coir_chan_unref(c);
}

static void selects(void)
{
    coir_chan *c = NULL;
    int v = 3;

    expect_eq(coir_chan_make(sizeof(v), 1, &c), 0);
    coir_case cases[] = {
        {.chan = c, .dir = COIR_SEND, .value = &v, .result = 77},
        {.chan = c, .dir = (coir_direction)3, .value = &v, .result = 77}};
    expect_eq(coir_select(cases, INT_MIN, COIR_NOW), -EINVAL);
    expect_eq(coir_select(cases, 65537, COIR_NOW), -EINVAL);
    expect_eq(coir_select(NULL, 2, COIR_NOW), -EINVAL);
    expect_eq(coir_select(cases, 2, COIR_NOW), -EINVAL); // the first one could happen
    expect_eq((intmax_t)coir_chan_len(c), 0);
    cases[1].chan = NULL; // of one that never happens nothing is looked at
    expect_eq(coir_select(&cases[1], 1, COIR_NOW), -ETIMEDOUT);
    cases[0].value = NULL;
    expect_eq(coir_select(cases, 2, COIR_NOW), -EINVAL);
    expect(cases[0].result == 77 && cases[1].result == 77);
    coir_chan_unref(c);
}

// ---- Locks -------------------------------------------------------------------------------------

static coir_mutex mutex;
static coir_rwmutex rw;

static void unlocks(void *arg)
{
    (void)arg;
    expect_eq(coir_mutex_unlock(&mutex), -EPERM);
    expect_eq(coir_mutex_lock(&mutex, COIR_NOW), -ETIMEDOUT); // still the other's
    expect_eq(coir_rwmutex_unlock(&rw), -EPERM);
    expect_eq(coir_rwmutex_runlock(&rw), -EPERM);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_NOW), -ETIMEDOUT);
    coir_waitgroup_done(&strangers);
}

static void locks(void)
{
    coir_cond c = {{0}};

    expect_eq(coir_mutex_lock(NULL, COIR_FOREVER), -EINVAL);
    expect_eq(coir_mutex_unlock(NULL), -EINVAL);
    expect_eq(coir_mutex_unlock(&mutex), -EPERM);
    expect_eq(coir_cond_wait(&c, &mutex, COIR_FOREVER), -EPERM);
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), -EDEADLK);
    expect_eq(coir_rwmutex_unlock(&rw), -EPERM);
    expect_eq(coir_rwmutex_runlock(&rw), -EPERM);
    expect_eq(coir_rwmutex_lock(&rw, COIR_FOREVER), 0);
    expect_eq(coir_rwmutex_lock(&rw, COIR_FOREVER), -EDEADLK);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_FOREVER), -EDEADLK);
    expect_eq(coir_rwmutex_runlock(&rw), -EPERM);
    if (coir_current()) as_a_stranger(unlocks, NULL);
    expect_eq(coir_rwmutex_unlock(&rw), 0);
    expect_eq(coir_mutex_unlock(&mutex), 0);
    expect_eq(coir_mutex_unlock(&mutex), -EPERM);
    expect_eq(coir_rwmutex_rlock(&rw, COIR_NOW), 0);
    expect_eq(coir_rwmutex_unlock(&rw), -EPERM);
    expect_eq(coir_rwmutex_runlock(&rw), 0);
    expect_eq(coir_rwmutex_runlock(&rw), -EPERM);
}

// ---- Counters ----------------------------------------------------------------------------------

static void waitgroups(void)
{
    coir_waitgroup w = {{0}};

    expect_eq(coir_waitgroup_add(NULL, 1), -EINVAL);
    expect_eq(coir_waitgroup_done(NULL), -EINVAL);
    expect_eq(coir_waitgroup_wait(NULL, COIR_FOREVER), -EINVAL);
    expect_eq(coir_waitgroup_done(&w), -EINVAL);
    expect_eq(coir_waitgroup_add(&w, INT_MIN), -EINVAL);
    expect_eq(coir_waitgroup_wait(&w, COIR_NOW), 0);
    expect_eq(coir_waitgroup_add(&w, 2), 0);
    expect_eq(coir_waitgroup_add(&w, -3), -EINVAL);
    expect_eq(coir_waitgroup_add(&w, INT_MAX - 1), -EINVAL);
    expect_eq(coir_waitgroup_wait(&w, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_waitgroup_done(&w), 0);
    expect_eq(coir_waitgroup_wait(&w, COIR_NOW), -ETIMEDOUT); // it was two
    expect_eq(coir_waitgroup_done(&w), 0);
    expect_eq(coir_waitgroup_done(&w), -EINVAL);
    expect_eq(coir_waitgroup_wait(&w, COIR_FOREVER), 0);
}

static void semaphores(void)
{
    coir_sema s = {{0}};

    expect_eq(coir_sema_init(&s, UINT32_C(1) << 31), -EINVAL);
    expect_eq(coir_sema_init(&s, 2), 0);
    expect_eq(coir_sema_acquire(&s, UINT32_C(1) << 31, COIR_FOREVER), -EINVAL);
    expect_eq(coir_sema_release(&s, UINT32_C(1) << 31), -EINVAL);
    expect_eq(coir_sema_release(&s, INT32_MAX - 1), -EINVAL);
    expect_eq(coir_sema_acquire(&s, 3, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_sema_acquire(&s, 2, COIR_NOW), 0);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void calls_itself(void *arg)
{
    expect_eq(coir_once_do(arg, calls_itself, arg), -EDEADLK);
}

static void onces(void)
{
    coir_once o = {{0}};

    expect_eq(coir_once_do(NULL, nothing, NULL), -EINVAL);
    expect_eq(coir_once_do(&o, NULL, NULL), -EINVAL);
    expect_eq(coir_once_do(&o, calls_itself, &o), 0); // it has not been done yet
    expect_eq(coir_once_do(&o, calls_itself, NULL), 0);
}

// ---- Timers ------------------------------------------------------------------------------------

static void timers(void)
{
    coir_timer *t = NULL;
    int64_t v = 1;

    expect_eq(coir_timer_make(1, INT64_MIN, &t), -EINVAL);
    expect_eq(coir_timer_make(1, 0, NULL), -EINVAL);
    expect_eq(coir_timer_reset(NULL, 1, 0), -EINVAL);
    expect_eq(coir_timer_stop(NULL), -EINVAL);
    expect(coir_timer_chan(NULL) == NULL);
    coir_timer_free(NULL);
    expect_eq(coir_timer_make(INT64_MIN, 0, &t), 0); // a past deadline: due now
    expect_eq(coir_timer_reset(t, COIR_FOREVER, -1), -EINVAL);
    expect_eq(coir_chan_send(coir_timer_chan(t), &v, COIR_FOREVER), -EINVAL);
    expect_eq(coir_chan_close(coir_timer_chan(t)), -EINVAL);
    expect_eq(coir_chan_recv(coir_timer_chan(t), &v, COIR_NOW), 0);
    expect(v > 1 && v <= coir_now());
    expect_eq(coir_timer_stop(t), 0);
    expect_eq(coir_timer_stop(t), 0);
    coir_timer_free(t);
}

// ---- Scopes, shields, locals, spawns -----------------------------------------------------------

static void waits_for_it(coir_scope *s)
{
    expect_eq(coir_scope_wait(s), -EPERM);
}

static void scopes(void)
{
    coir_scope outer, inner, never = {{0}};

    expect_eq(coir_scope_open(NULL, COIR_FOREVER), -EINVAL);
    expect_eq(coir_scope_wait(NULL), -EINVAL);
    expect_eq(coir_scope_wait(&never), -EINVAL);
    coir_scope_cancel(NULL);
    coir_scope_cancel(&never);
    expect_eq(coir_scope_open(&outer, COIR_FOREVER), 0);
    expect_eq(coir_scope_open(&outer, COIR_FOREVER), -EINVAL);
    expect_eq(coir_scope_open(&inner, COIR_FOREVER), 0);
    expect_eq(coir_scope_wait(&outer), -EINVAL);
    expect_eq(coir_scope_wait(&inner), 0);
    if (coir_current()) expect_eq(coir_scope_go(&outer, waits_for_it, &outer), 0);
    expect_eq(coir_scope_wait(&outer), 0);
    expect_eq(coir_scope_wait(&outer), -EINVAL);
}

// One end too many shuts no shield that comes later.
static void shields(void)
{
    coir_scope s;

    coir_shield_end();
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    coir_scope_cancel(&s);
    expect_eq(coir_sleep(0), -ECANCELED);
    coir_shield_begin();
    expect_eq(coir_sleep(0), 0);
    coir_shield_end();
    coir_shield_end();
    expect_eq(coir_sleep(0), -ECANCELED);
    coir_shield_begin();
    expect_eq(coir_sleep(0), 0);
    coir_shield_end();
    expect_eq(coir_scope_wait(&s), -ECANCELED);
}

static void locals(void)
{
    coir_key key = {0}, other = {0};
    int v;

    if (!coir_current()) {
        expect_eq(coir_local_make(NULL, &key), -EPERM);
        expect_eq(coir_local_free(key), -EPERM);
        expect_eq(coir_local_set(key, &v), -EPERM);
        expect(coir_local_get(key) == NULL);
        return;
    }
    expect_eq(coir_local_make(NULL, NULL), -EINVAL);
    expect_eq(coir_local_make(NULL, &key), 0);
    expect_eq(coir_local_set(key, &v), 0);
    expect_eq(coir_local_free(key), 0);
    expect_eq(coir_local_free(key), -EINVAL);
    expect_eq(coir_local_set(key, &v), -EINVAL);
    expect(coir_local_get(key) == NULL);
    expect_eq(coir_local_make(NULL, &other), 0); // maybe in the same place
    expect_eq(coir_local_set(key, &v), -EINVAL);
    expect(coir_local_get(other) == NULL);
    expect_eq(coir_local_free(other), 0);
}

static void spawns(void)
{
    void (*none)(void *) = NULL;

    expect_eq(coir_spawn(NULL, NULL, none, NULL), -EINVAL);
    expect_eq(coir_go(none, NULL), -EINVAL);
    expect_eq(coir_go_on(NULL, none, NULL), -EINVAL);
    expect_eq(coir_go_with(coir_opts(.name = "x"), none, NULL), -EINVAL);
    if (!coir_current()) {
        expect_eq(coir_go_on(NULL, nothing, NULL), -EINVAL);
        expect_eq(coir_go_with(coir_opts(.name = "x"), nothing, NULL), -EPERM);
        expect_eq(coir_go(nothing, NULL), -EPERM);
        expect_eq(coir_spawn(NULL, NULL, nothing, NULL), -EINVAL);
        expect_eq(coir_pin(), -EPERM);
        expect_eq(coir_unpin(), -EPERM);
        return;
    }
    expect_eq(coir_go_on(NULL, nothing, NULL), 0); // its own
    expect_eq(coir_go_with(coir_opts(.stack_bytes = 1), nothing, NULL), -EINVAL);
    expect_eq(coir_go_with(coir_opts(.stack_bytes = SIZE_MAX), nothing, NULL), -EINVAL);
    expect_eq(coir_unpin(), -EINVAL);
}

static int everything(void *arg)
{
    (void)arg;
    channels();
    selects();
    locks();
    waitgroups();
    semaphores();
    onces();
    timers();
    scopes();
    shields();
    locals();
    spawns();
    return 0;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    test_watchdog(60);
    everything(NULL); // on a thread
    for (config.workers = 1; config.workers <= 2; config.workers++)
        expect_eq(coir_run(&config, everything, NULL), 0);
    return 0;
}
