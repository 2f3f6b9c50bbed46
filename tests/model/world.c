// SPDX-License-Identifier: MIT
#include "tests/model/world.h"

#include "base/clock.h"
#include "tests/model/oracle.h"

void world_start(struct world *w, unsigned workers, uint32_t left)
{
    coir_config config = COIR_CONFIG_INIT;

    world_start_as(w, config, workers, left);
}

void world_start_as(struct world *w, coir_config config, unsigned workers, uint32_t left)
{
    config.workers = workers;
    config.stack_bytes = 16 << 10;
    config.guard_bytes = 4096;
    config.pump_signal = sim.seed % 16 == 5 ? -1 : 0;
    sim.keeps_fences = config.pump_signal < 0; // else who computes keeps its P (adr/0086)
    config.driver = sim.seed % 4 == 3 ? COIR_DRIVER_EPOLL : COIR_DRIVER_URING;
    config.helpers = 1 + (int)(sim.seed % 3);
    *w = (struct world){0};
    store_relaxed(&w->left, left); // relaxed: the spawn publishes it
    sim_expect_eq(coir_start(&config, &w->rt), 0);
    oracle_watch(w->rt);
}

void world_go(struct world *w, void (*fn)(void *), void *arg)
{
    sim_expect_eq(coir_spawn(w->rt, NULL, fn, arg), 0);
}

void world_done(struct world *w)
{
    // [WORLD-DONE] acq_rel, pairs with itself: the last one has seen what the others did.
    if (add_acq_rel(&w->left, (uint32_t)-1) == 1) parker_unpark(&w->over);
}

void world_end(struct world *w)
{
    while (load_relaxed(&w->left)) // relaxed: the parker orders
        parker_park(&w->over, CLOCK_NEVER);
    oracle_watch(NULL);
    sim_expect_eq(coir_stop(w->rt, COIR_FOREVER), 0);
}
