// SPDX-License-Identifier: MIT
// world - a runtime in a scene: starts it, waits until its coroutines are through, stops it.
//
// The scene's own thread is worker 0 of the simulator, an ordinary thread. What a scene needs
// lives in its frame or in memory of the arena: nothing outlives a run.
#pragma once

#include <stdint.h>

#include "base/parker.h"
#include "coir/runtime.h"
#include "coir/spawn.h"
#include "tests/model/sim.h"

struct world {
    coir_runtime *rt;
    atomic_u32 left;    // coroutines that have not said world_done
    struct parker over; // the last one says so here
};

// Starts a runtime of so many workers; 'left' coroutines will say world_done.
void world_start(struct world *w, unsigned workers, uint32_t left);
// The same with what 'config' says besides.
void world_start_as(struct world *w, coir_config config, unsigned workers, uint32_t left);
// Spawns from the scene's thread.
void world_go(struct world *w, void (*fn)(void *), void *arg);
// Waits for all of them, stops, frees.
void world_end(struct world *w);
// The last act of a coroutine that was counted.
void world_done(struct world *w);
