// SPDX-License-Identifier: MIT
// check - walks a runtime that stands still and asserts whatever can be walked.
#pragma once

#include <stdbool.h>

#include "coir/base.h"

// Every invariant that can be seen from outside holds, or the process ends by must. Only at a
// quiet point: all workers asleep, and nobody spawns or wakes meanwhile. For tests.
void check_world(coir_runtime *rt);

// True at such a point: every P is idle and no work stands anywhere.
bool check_is_quiet(coir_runtime *rt);
