// SPDX-License-Identifier: MIT
// hand_life - scenes for the life of a runtime: starts, stops, and those who come in between.
#include <errno.h>

#include "base/clock.h"
#include "coir/chan.h"
#include "coir/io.h"
#include "coir/sync.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

// ---- Survivors ---------------------------------------------------------------------------------

struct stubborn {
    struct world world;
    atomic_u32 may_end;
};

static void does_not_listen(void *arg)
{
    struct stubborn *s = arg;

    coir_shield_begin();
    while (!load_relaxed(&s->may_end)) coir_sleep(10000); // relaxed: a flag
    coir_shield_end();
    sim_expect_eq(coir_yield(), -ECANCELED);
}

// A stop that finds a survivor says so, frees nothing, and can be called again.
void scene_survivor(void)
{
    struct stubborn s = {0};

    world_start(&s.world, 2, 0);
    world_go(&s.world, does_not_listen, &s);
    sim_expect_eq(coir_stop(s.world.rt, coir_after(200000)), 1);
    sim_expect_eq(coir_spawn(s.world.rt, NULL, does_not_listen, &s), -ECANCELED);
    store_relaxed(&s.may_end, 1); // relaxed: a flag
    world_end(&s.world);
}

// ---- Spawns from outside while it stops -------------------------------------------------------

struct gate {
    struct world world;
    atomic_u32 n_ran, n_spawned, n_over;
    struct parker over;
};

static void counts(void *arg)
{
    struct gate *g = arg;

    add_relaxed(&g->n_ran, 1); // relaxed: a counter
}

static void spawns_until_refused(void *arg)
{
    struct gate *g = arg;

    for (int i = 0; i < 6; i++) {
        int err = coir_spawn(g->world.rt, NULL, counts, g);

        if (err == -ECANCELED) break;
        sim_expect_eq(err, 0);
        add_relaxed(&g->n_spawned, 1); // relaxed: a counter
        if (i == 2) parker_unpark(&g->over);
    }
    parker_unpark(&g->over);
    add_relaxed(&g->n_over, 1); // relaxed: a counter
}

// The thread that spawns keeps its runtime alive by contract: it is joined before the last stop.
void scene_spawns_while_stopping(void)
{
    struct gate g = {0};
    struct os_thread thread;

    world_start(&g.world, 2, 0);
    sim_expect_eq(os_thread_start(&thread, spawns_until_refused, &g, "spawner", NULL), 0);
    parker_park(&g.over, CLOCK_NEVER);
    if (sim_choose(2, 1)) os_thread_join(thread), thread.handle = 0;
    // Some may still be under way: they run, or are refused.
    if (thread.handle) os_thread_join(thread);
    world_end(&g.world);
    sim_expect_eq(load_relaxed(&g.n_ran),
                  load_relaxed(&g.n_spawned)); // relaxed: all ended
}

// ---- Again and again ---------------------------------------------------------------------------

static int answers(void *arg)
{
    *(int *)arg += 1;
    return coir_sleep(1000) == 0 ? 42 : 1;
}

// Three runtimes one after the other, through coir_run.
void scene_three_lives(void)
{
    coir_config config = COIR_CONFIG_INIT;
    int n = 0;

    config.workers = 1 + sim_choose(3, 1);
    config.stack_bytes = 16 << 10;
    for (int i = 0; i < 3; i++) sim_expect_eq(coir_run(&config, answers, &n), 42);
    sim_expect_eq(n, 3);
}

// ---- Two at once -------------------------------------------------------------------------------

struct bridge {
    struct world left, right;
    coir_chan *c;
};

static void sends_across(void *arg)
{
    struct bridge *b = arg;

    for (uint32_t i = 0; i < 5; i++)
        sim_expect_eq(coir_chan_send(b->c, &i, COIR_FOREVER), 0);
    world_done(&b->left);
}

static void receives_across(void *arg)
{
    struct bridge *b = arg;

    for (uint32_t i = 0; i < 5; i++) {
        uint32_t value = 99;
        sim_expect_eq(coir_chan_recv(b->c, &value, COIR_FOREVER), 0);
        sim_expect_eq(value, i);
    }
    world_done(&b->right);
}

// A channel between two runtimes; each readies the other's coroutines from outside.
void scene_two_runtimes(void)
{
    struct bridge b;

    sim_expect_eq(coir_chan_make(4, sim_choose(2, 1), &b.c), 0);
    world_start(&b.left, 1 + sim_choose(2, 1), 1);
    world_start(&b.right, 1 + sim_choose(2, 1), 1);
    world_go(&b.left, sends_across, &b);
    world_go(&b.right, receives_across, &b);
    world_end(&b.left);
    world_end(&b.right);
    coir_chan_unref(b.c);
}

// ---- The last ready ----------------------------------------------------------------------------

static void receives_once(void *arg)
{
    struct bridge *b = arg;
    uint32_t value;

    world_done(&b->right);
    int err = coir_chan_recv(b->c, &value, COIR_FOREVER);
    sim_expect(err == 0 || err == -ECANCELED);
}

static void sends_once(void *arg)
{
    struct bridge *b = arg;
    uint32_t value = 1;

    int err = coir_chan_send(b->c, &value, COIR_NOW);
    sim_expect(err == 0 || err == -ETIMEDOUT);
}

// A thread readies the last coroutine while the runtime stops: it may still be inside ready() when
// the coroutine has ended already.
void scene_ready_while_stopping(void)
{
    struct bridge b;
    struct os_thread thread;

    sim_expect_eq(coir_chan_make(4, 0, &b.c), 0);
    world_start(&b.right, 1 + sim_choose(2, 1), 1);
    world_go(&b.right, receives_once, &b);
    sim_expect_eq(os_thread_start(&thread, sends_once, &b, "sender", NULL), 0);
    world_end(&b.right);
    os_thread_join(thread);
    coir_chan_unref(b.c);
}

// ---- Short of memory, with input and output -----------------------------------------------------

struct poor {
    struct world world;
    int fds[2];
    coir_chan *c;
};

static bool is_shortage(ssize_t err)
{
    return err == -ENOMEM || err == -ETIMEDOUT;
}

static void poor_writer(void *arg)
{
    struct poor *p = arg;

    for (uint8_t i = 0; i < 12;) {
        ssize_t put = coir_write(p->fds[0], &i, 1, coir_after(2000));
        sim_expect(put == 1 || is_shortage(put));
        if (put == 1)
            i++;
        else
            coir_yield();
    }
    world_done(&p->world);
}

static void poor_reader(void *arg)
{
    struct poor *p = arg;

    for (uint8_t i = 0; i < 12;) {
        uint8_t byte = 255;
        ssize_t got = coir_read(p->fds[1], &byte, 1, coir_after(500));
        sim_expect(got == 1 || is_shortage(got));
        if (got == 1)
            sim_expect_eq(byte, i++);
        else
            coir_yield();
    }
    world_done(&p->world);
}

static void poor_talker(void *arg)
{
    struct poor *p = arg;

    for (uint32_t i = 0; i < 6;) {
        int err = coir_chan_send(p->c, &i, coir_after(700));
        sim_expect(err == 0 || is_shortage(err));
        if (err == 0) i++;
    }
    world_done(&p->world);
}

static void poor_listener(void *arg)
{
    struct poor *p = arg;

    for (uint32_t i = 0; i < 6;) {
        uint32_t value = 99;
        int err = coir_chan_recv(p->c, &value, coir_after(300));
        sim_expect(err == 0 || is_shortage(err));
        if (err == 0) sim_expect_eq(value, i++);
    }
    world_done(&p->world);
}

// From a certain moment on allocations fail now and then: calls say so, nothing is lost.
void scene_poor(void)
{
    struct poor p = {0};

    sim_expect_eq(coir_chan_make(4, 1, &p.c), 0);
    sim_socketpair(p.fds);
    sim.kept_blocks = 1;
    world_start(&p.world, 2, 4);
    world_go(&p.world, poor_writer, &p);
    world_go(&p.world, poor_reader, &p);
    world_go(&p.world, poor_talker, &p);
    world_go(&p.world, poor_listener, &p);
    sim.allocs_fail = 3;
    sim.threads_fail = 4;
    world_end(&p.world);
    sim.allocs_fail = 0;
    for (int i = 0; i < 2; i++) coir_close(p.fds[i]);
    coir_chan_unref(p.c);
}

// ---- Stacks that went back to the kernel between two lives -------------------------------------

struct seasons {
    struct world world;
    coir_chan *c;
    atomic_u32 left; // of this season
    struct parker over;
};

static void comes_and_goes(void *arg)
{
    struct seasons *s = arg;
    uint64_t id = coir_id();

    for (uint32_t i = 0; i < 3; i++) {
        int64_t deadline = coir_after(500);
        uint32_t value;
        int err = coir_chan_recv(s->c, &value, deadline);

        sim_expect(err == 0 || err == -ETIMEDOUT);
        if (err == 0) continue;
        sim_expect_late(deadline);
        err = coir_chan_send(s->c, &i, COIR_NOW);
        sim_expect(err == 0 || err == -ETIMEDOUT);
    }
    sim_expect_eq(coir_id(), id);
    // [SEASON-DONE] acq_rel, pairs with itself: the last one has seen what the others did.
    if (add_acq_rel(&s->left, (uint32_t)-1) == 1) parker_unpark(&s->over);
}

static void stays_to_the_end(void *arg)
{
    struct seasons *s = arg;

    sim_expect_eq(coir_chan_recv(s->c, NULL, COIR_FOREVER), -ECANCELED);
}

// Coroutines live, end, and nobody needs their stacks for a while: descriptors read as zeros when
// the next ones come, and for the cancel that walks over all at the end. Waits, deadlines and
// numbers are right in every life.
void scene_stacks_come_back(void)
{
    struct seasons s = {0};

    sim_expect_eq(coir_chan_make(4, 1, &s.c), 0);
    world_start(&s.world, 2, 0);
    for (int season = 0; season < 3; season++) {
        store_relaxed(&s.left, 4); // relaxed: the spawn publishes it
        for (int i = 0; i < 4; i++) world_go(&s.world, comes_and_goes, &s);
        parker_park(&s.over, CLOCK_NEVER);
        os_sleep_until(clock_after(20 * COIR_SEC));
    }
    uint32_t discards = sim.discards;
    while (coir_chan_recv(s.c, &(uint32_t){0}, COIR_NOW) == 0) continue;
    world_go(&s.world, stays_to_the_end, &s);
    os_sleep_until(clock_after(COIR_SEC));
    world_end(&s.world);
    if (discards == 0) sim_fail("no stack went back");
    coir_chan_unref(s.c);
}
