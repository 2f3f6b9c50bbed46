// SPDX-License-Identifier: MIT
// oracle - what must hold whenever no worker can run: work conservation.
//
// If every thread sleeps and nobody computes outside the runtime, then no coroutine is runnable:
// none stands in a queue, none is between two states. Checked at every moment at which the clock
// would have to move, so a later timer cannot hide a wake-up that was lost.
#pragma once

#include "coir/runtime.h"

// From now on this runtime is looked at; NULL: none. Take it away before the stop.
void oracle_watch(coir_runtime *rt);
void oracle_reset(void);
