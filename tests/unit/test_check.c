// SPDX-License-Identifier: MIT
// check: a world that stands still passes; one that is broken in one place ends the process.
// Method: a runtime with crowds that wait in every way; the breakers change one word each.
#include "runtime/check.h"

#include <coir.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "sched/g.h"
#include "tests/lib/test.h"

static coir_runtime *rt;
static coir_chan *gate;
static int ends[2];

static void receive(void *arg)
{
    (void)arg;
    expect_eq(coir_chan_recv(gate, NULL, COIR_FOREVER), -EPIPE);
}

static void receive_a_while(void *arg)
{
    expect(coir_chan_recv(gate, NULL, coir_after((20 + (intptr_t)arg) * COIR_SEC)) < 0);
}

static void read_a_pipe(void *arg)
{
    char c;

    (void)arg;
    expect_eq(coir_read(ends[0], &c, 1, COIR_FOREVER), 0);
}

static void until_quiet(uint64_t live)
{
    coir_stats stats = COIR_STATS_INIT;

    do {
        coir_sleep(COIR_MS);
        expect_eq(coir_stats_read(rt, &stats), 0);
    } while (stats.coroutines != live || !check_is_quiet(rt));
}

static void make_world(unsigned workers)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_options big = {.stack_bytes = 128 << 10};

    config.workers = workers;
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_chan_make(0, 0, &gate), 0);
    expect_eq(pipe(ends), 0);
    for (intptr_t i = 0; i < 300; i++) {
        expect_eq(coir_spawn(rt, i % 16 ? NULL : &big, receive, NULL), 0);
        expect_eq(coir_spawn(rt, NULL, receive_a_while, (void *)(i * 7 % 50)), 0);
    }
    for (int i = 0; i < 3; i++) expect_eq(coir_spawn(rt, NULL, read_a_pipe, NULL), 0);
}

static void end_world(void)
{
    expect_eq(close(ends[1]), 0);
    expect_eq(coir_chan_close(gate), 0);
    until_quiet(0);
    check_world(rt);
    coir_chan_unref(gate);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(coir_close(ends[0]), 0);
}

Test(check, passes_before_amid_and_after)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        make_world(workers);
        until_quiet(603);
        check_world(rt);
        end_world();
    }
}

static void quiet_world(void)
{
    make_world(2);
    until_quiet(603);
}

// Its own process: what is broken stays broken.
Test(check, sees_a_wrong_count_of_idle_ps, .signal = SIGABRT)
{
    quiet_world();
    add_relaxed(&rt->sched.idle.n_retired, 1); // relaxed: sysmon looks at it
    check_world(rt);
}

static struct g *any_timed(void)
{
    for (uint32_t i = 0; i < rt->sched.n_p; i++) {
        struct timers *ts = &rt->sched.ps[i].timers;

        if (ts->n > 1) return ts->owners[ts->heap[1].id];
    }
    return NULL;
}

Test(check, sees_a_heap_out_of_order, .signal = SIGABRT)
{
    quiet_world();
    struct timer *t = &any_timed()->timer;
    struct timers *ts = load_own(&t->home);
    t->key = ts->heap[ts->places[t->id]].key = 1;
    check_world(rt);
}

Test(check, sees_an_entry_that_is_not_its_timers, .signal = SIGABRT)
{
    quiet_world();
    any_timed()->timer.id ^= 1;
    check_world(rt);
}

Test(check, sees_a_timer_of_the_dead, .signal = SIGABRT)
{
    quiet_world();
    any_timed()->task.state.value = G_DEAD;
    check_world(rt);
}

Test(check, sees_a_coroutine_that_is_nowhere, .signal = SIGABRT)
{
    quiet_world();
    any_timed()->task.state.value = G_RUNNABLE;
    check_world(rt);
}

Test(check, sees_a_lost_stack, .signal = SIGABRT)
{
    quiet_world();
    rt->sched.depot.n_free++;
    check_world(rt);
}
