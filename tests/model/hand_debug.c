// SPDX-License-Identifier: MIT
// hand_debug - a scene for who looks in from outside while coroutines come and go.
#include <errno.h>

#include "base/clock.h"
#include "coir/chan.h"
#include "coir/debug.h"
#include "tests/model/handmade.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

#define STEADY 3
#define BRIEF 6
#define SEEN 64

struct looked_at {
    struct world world;
    coir_chan *gate;
    uint64_t steady[STEADY];
    atomic_u32 n_steady;
};

struct look {
    struct looked_at *at;
    uint64_t seen[SEEN];
    uint32_t n;
};

static void stays(void *arg)
{
    struct looked_at *l = arg;

    l->steady[add_relaxed(&l->n_steady, 1)] =
        coir_id(); // relaxed: told apart by the count
    sim_expect_eq(coir_chan_recv(l->gate, NULL, COIR_FOREVER), -EPIPE);
    world_done(&l->world);
}

static void comes_and_goes(void *arg)
{
    struct looked_at *l = arg;

    sim_expect(coir_chan_recv(l->gate, NULL, coir_after(3000)) < 0);
    coir_yield();
    world_done(&l->world);
}

// Stacks that are taken up again, and some with mappings that go.
static void makes_others(void *arg)
{
    struct looked_at *l = arg;
    coir_options big = {.stack_bytes = 32 << 10};

    for (int i = 0; i < BRIEF; i++) {
        sim_expect_eq(coir_spawn(NULL, i % 2 ? &big : NULL, comes_and_goes, l), 0);
        if (i % 2) coir_sleep(2000);
    }
    world_done(&l->world);
}

static int note(void *arg, const coir_coroutine_info *info)
{
    struct look *k = arg;

    for (uint32_t i = 0; i < k->n; i++) sim_expect(k->seen[i] != info->id);
    k->seen[k->n++] = info->id;
    if (info->state != COIR_PARKED) return 0;
    sim_expect(info->waits_on[0] && (info->object == k->at->gate || !info->object));
    sim_expect(info->stack_used > 0 && info->stack_used < info->stack_bytes);
    return 0;
}

static void look(struct looked_at *l)
{
    struct look k = {.at = l};
    coir_stats stats = COIR_STATS_INIT;

    sim_expect_eq(coir_each(l->world.rt, note, &k), 0);
    for (uint32_t s = 0; s < STEADY; s++) {
        uint32_t times = 0;

        for (uint32_t i = 0; i < k.n; i++) times += k.seen[i] == l->steady[s];
        sim_expect_eq(times, 1);
    }
    sim_expect_eq(coir_stats_read(l->world.rt, &stats), 0);
    sim_expect(stats.coroutines >= STEADY && stats.made >= stats.coroutines);
}

// Who lives throughout is shown once, nobody twice, and what is shown makes sense.
void scene_looks_inside(void)
{
    struct looked_at l = {0};

    world_start(&l.world, 2, STEADY + BRIEF + 1);
    sim_expect_eq(coir_chan_make(0, 0, &l.gate), 0);
    for (int i = 0; i < STEADY; i++) world_go(&l.world, stays, &l);
    while (load_relaxed(&l.n_steady) < STEADY) coir_sleep(1000); // relaxed: a counter
    coir_sleep(1000); // the last one has written its number
    world_go(&l.world, makes_others, &l);
    for (int i = 0; i < 4; i++) look(&l);
    sim_expect_eq(coir_chan_close(l.gate), 0);
    world_end(&l.world);
    coir_chan_unref(l.gate);
}
