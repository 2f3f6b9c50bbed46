// SPDX-License-Identifier: MIT
// arrows - counts the arrows of the drawn automata that a campaign took, over all its processes.
//
// An arrow that is not drawn is a failure at once; one that no run took makes the campaign fail.
#pragma once

#include <stdint.h>

#define ARROW_MACHINES 4
#define ARROW_STATES 6

typedef uint64_t arrow_counts[ARROW_MACHINES][ARROW_STATES][ARROW_STATES];
extern arrow_counts *arrows; // shared memory; NULL: not counted

// Prints them; the number of arrows that were never taken.
uint32_t arrows_print(void);
