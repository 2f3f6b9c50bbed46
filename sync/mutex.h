// SPDX-License-Identifier: MIT
// mutex - what a condition needs of a mutex beside its public calls.
#pragma once

#include <stdbool.h>

#include "coir/sync.h"

// Waits for the lock whatever comes, deaf to cancel. Not the owner.
void mutex_lock_deaf(coir_mutex *m);

// True if the caller holds it. Never waits.
bool mutex_is_mine(const coir_mutex *m);
