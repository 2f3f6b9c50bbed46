// SPDX-License-Identifier: MIT
// hand_run - scenes for coir_run: what its function returned, or -EDEADLK, never falsely.
#include <errno.h>
#include <stdlib.h>

#include "base/platform.h"
#include "coir/chan.h"
#include "coir/debug.h"
#include "coir/io.h"
#include "coir/scope.h"
#include "coir/sync.h"
#include "tests/model/handmade.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

static int run(int (*fn)(void *), void *arg)
{
    coir_config config = COIR_CONFIG_INIT;

    // coir_run reads the environment: what is not set here must not come from there.
    config.workers = 1 + sim_choose(3, 1);
    config.stack_bytes = 16 << 10;
    config.guard_bytes = 4096;
    config.driver = sim.seed % 4 == 3 ? COIR_DRIVER_EPOLL : COIR_DRIVER_URING;
    return coir_run(&config, fn, arg);
}

struct table {
    coir_mutex forks[2];
    coir_chan *chan;
    int rounds;
    uint64_t hash;
};

static int dines(struct table *t, int first)
{
    int err = coir_mutex_lock(&t->forks[first], COIR_FOREVER);

    if (err < 0) return err;
    coir_sleep(50);
    err = coir_mutex_lock(&t->forks[!first], COIR_FOREVER);
    if (err == 0) sim_expect_eq(coir_mutex_unlock(&t->forks[!first]), 0);
    sim_expect_eq(coir_mutex_unlock(&t->forks[first]), 0);
    return err;
}

static int dine(void *arg)
{
    coir_scope s;

    sim_expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_scope_go(&s, dines, arg, i), 0);
    return coir_scope_wait(&s) == 0 ? 3 : 4;
}

// Either nobody takes both first forks at once, or it is reported.
void scene_run_stuck(void)
{
    struct table t = {0};
    int result = run(dine, &t);

    sim_expect(result == 3 || result == -EDEADLK);
}

static void answers(struct table *t)
{
    while (coir_chan_recv(t->chan, NULL, COIR_FOREVER) == 0)
        sim_expect_eq(coir_mutex_unlock(&t->forks[0]) == 0, 0); // not the owner
}

static int asks(void *arg)
{
    struct table *t = arg;

    sim_expect_eq(coir_go(answers, t), 0);
    for (int i = 0; i < t->rounds; i++) {
        sim_expect_eq(coir_chan_send(t->chan, NULL, COIR_FOREVER), 0);
        if (i % 2) sim_expect_eq(coir_sleep(100), 0);
    }
    sim_expect_eq(coir_chan_close(t->chan), 0);
    return 5;
}

// Everybody is idle for a moment again and again, and yet something will run.
void scene_run_not_stuck(void)
{
    struct table t = {.rounds = 8};

    sim_expect_eq(coir_chan_make(0, 0, &t.chan), 0);
    sim_expect_eq(run(asks, &t), 5);
    coir_chan_unref(t.chan);
}

static void sends_from_outside(void *arg)
{
    struct table *t = arg;

    for (int i = 0; i < t->rounds; i++) {
        if (sim_choose(2, 1)) os_sleep_until(os_now() + 1000);
        // The caller looks when the listener has gone to sleep: this one shall end just then.
        for (uint32_t n = 2 * sim_choose(200, 1); n > 0; n--) choice_point();
        sim_expect_eq(coir_chan_send(t->chan, NULL, COIR_FOREVER), 0);
    }
}

static int listens(void *arg)
{
    struct table *t = arg;

    for (int i = 0; i < t->rounds; i++) {
        int err = coir_chan_recv(t->chan, NULL, COIR_FOREVER);
        if (err < 0) return err;
    }
    return 6;
}

// While a thread of the host's lives there is hope, and afterwards there is none.
void scene_run_fed_by_a_thread(void)
{
    struct table t = {.rounds = 1 + (int)sim_choose(4, 1)};
    struct os_thread thread;

    sim_expect_eq(coir_chan_make(0, 0, &t.chan), 0);
    sim_expect_eq(os_thread_start(&thread, sends_from_outside, &t, "feeder", NULL), 0);
    sim_expect_eq(run(listens, &t), 6);
    os_thread_join(thread);
    coir_chan_unref(t.chan);
}

// ---- A seeded run --------------------------------------------------------------------------

static int seeded_program(void *arg)
{
    struct table *t = arg;
    coir_stats stats = COIR_STATS_INIT;
    coir_scope s;

    sim_expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_scope_go(&s, dines, t, i), 0);
    sim_expect_eq(coir_sleep(COIR_SEC), 0);
    coir_scope_cancel(&s); // they may have met at the forks
    coir_scope_wait(&s);
    sim_expect_eq(coir_stats_read(NULL, &stats), 0);
    t->hash = stats.event_hash;
    return 8;
}

// Whenever its caller and its worker come to run, the run is the same.
void scene_run_seeded(void)
{
    uint64_t hash = 0;

    for (int i = 0; i < 2; i++) {
        coir_config config = COIR_CONFIG_INIT;
        struct table t = {0};

        config.stack_bytes = 16 << 10;
        config.guard_bytes = 4096;
        config.seed = sim.seed;
        sim_expect_eq(coir_run(&config, seeded_program, &t), 8);
        if (i == 1) sim_expect(t.hash == hash);
        hash = t.hash;
    }
}

static void works_long(void *arg)
{
    (void)arg;
    os_sleep_until(os_now() + 1000 * (int64_t)sim_choose(4, 1));
}

static void works_and_sends(struct table *t)
{
    for (int i = 0; i < t->rounds; i++) {
        sim_expect_eq(coir_blocking(works_long, NULL), 0);
        sim_expect_eq(coir_chan_send(t->chan, NULL, COIR_FOREVER), 0);
    }
}

static int listens_to_a_worker(void *arg)
{
    struct table *t = arg;

    sim_expect_eq(coir_go(works_and_sends, t), 0);
    return listens(t);
}

// While a helper works there is hope, and afterwards, though it sleeps a while, there is none.
void scene_run_helped(void)
{
    struct table t = {.rounds = 1 + (int)sim_choose(3, 1)};

    sim_expect_eq(coir_chan_make(0, 0, &t.chan), 0);
    sim_expect_eq(run(listens_to_a_worker, &t), 6);
    coir_chan_unref(t.chan);
}

static int listens_too_long(void *arg)
{
    struct table *t = arg;

    t->rounds++;
    sim_expect_eq(listens(t), -ECANCELED);
    return 7;
}

void scene_run_starved_by_a_thread(void)
{
    struct table t = {.rounds = 2};
    struct os_thread thread;
    struct table feeder;

    sim_expect_eq(coir_chan_make(0, 0, &t.chan), 0);
    feeder = t;
    sim_expect_eq(os_thread_start(&thread, sends_from_outside, &feeder, "feeder", NULL),
                  0);
    sim_expect_eq(run(listens_too_long, &t), -EDEADLK);
    os_thread_join(thread);
    coir_chan_unref(t.chan);
}
