// SPDX-License-Identifier: MIT
// hand_hooks - a scene for a host that is told of switches and keeps a context in each thread.
#include <errno.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/chan.h"
#include "coir/io.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

#define THREADS 64u
enum { CROWD = 5, ROUNDS = 4 };

// The word of a coroutine is the number that runs up with each of its stretches.
struct told {
    struct world world;
    coir_chan *chan;
    int fds[2];
    uint64_t inside[THREADS]; // who runs on the thread of this number; 0: nobody
    atomic_u32 n_ended;
};

static uint64_t *place(struct told *t)
{
    return &t->inside[os_thread_id() % THREADS];
}

// A hook may take long, and lose its worker.
static void takes_its_time(void)
{
    switch (sim_choose(8, 1)) {
    case 0: sim_hog(20 * COIR_MS); break;
    case 1: sim_nap(2 * COIR_MS); break;
    default: break;
    }
}

static void comes_in(void *arg, uint64_t id, void **slot)
{
    struct told *t = arg;

    sim_expect_eq(coir_id(), 0);
    sim_expect_eq(*place(t), 0);
    *place(t) = id;
    takes_its_time();
    *slot = (char *)*slot + 1;
    sim_expect_eq(*place(t), id);
}

static void goes_out(void *arg, uint64_t id, void **slot, int ends)
{
    struct told *t = arg;
    uintptr_t before = (uintptr_t)*slot;

    sim_expect_eq(*place(t), id);
    takes_its_time();
    sim_expect(before > 0 && (uintptr_t)*slot == before); // nobody else runs it meanwhile
    sim_expect_eq(*place(t), id);
    *place(t) = 0;
    if (ends) add_relaxed(&t->n_ended, 1); // relaxed: a counter
}

static void waits_somehow(struct told *t, int me)
{
    char c = 'x';
    int v = 0;

    switch (sim_choose(6, 1)) {
    case 0: sim_expect_eq(coir_sleep((int64_t)sim_choose(3, 1) * 1000), 0); break;
    case 1: sim_hog(20 * COIR_MS); break;
    case 2:
        sim_expect_eq(coir_write(t->fds[1], &c, 1, COIR_FOREVER), 1);
        sim_expect_eq(coir_read(t->fds[0], &c, 1, COIR_FOREVER), 1);
        break;
    case 3:
        coir_blocking_begin();
        sim_nap(COIR_MS / 4);
        coir_blocking_end();
        break;
    default:
        if (me % 2)
            v = coir_chan_send(t->chan, &v, coir_after(3000));
        else
            v = coir_chan_recv(t->chan, &v, coir_after(3000));
        sim_expect(v == 0 || v == -ETIMEDOUT);
    }
}

static void lives(struct told *t, int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        sim_expect_eq(*place(t), coir_id());
        waits_somehow(t, me);
        sim_expect_eq(*place(t), coir_id());
        coir_yield();
    }
    sim_expect_eq(*place(t), coir_id());
    world_done(&t->world);
}

static void first(void *arg)
{
    for (int i = 1; i < CROWD; i++) sim_expect_eq(coir_go(lives, arg, i), 0);
    lives(arg, 0);
}

// Whatever they wait for and whoever is stuck, in a hook too: on its thread a coroutine is alone
// between the two, and the second is over before the next first.
void scene_hooks(void)
{
    coir_config config = COIR_CONFIG_INIT;
    struct told t = {0};

    sim.kept_blocks = 1; // the table of descriptors is the process's
    sim.fresh_numbers = true;
    config.switch_in = comes_in;
    config.switch_out = goes_out;
    config.switch_arg = &t;
    sim_socketpair(t.fds);
    sim_expect_eq(coir_chan_make(4, sim_choose(2, 1), &t.chan), 0);
    world_start_as(&t.world, config, 1 + sim_choose(3, 1), CROWD);
    world_go(&t.world, first, &t);
    world_end(&t.world);
    sim_expect_eq(load_relaxed(&t.n_ended), CROWD); // relaxed: all ended
    coir_chan_unref(t.chan);
    coir_close(t.fds[0]);
    coir_close(t.fds[1]);
}
