// SPDX-License-Identifier: MIT
// arrow - notes that an arrow of a drawn automaton was taken; nothing outside the model build.
//
// The simulator counts them: a campaign that never took one of the arrows in a file header has
// not tested what the header draws.
#pragma once

#ifdef COIR_MODEL
void sim_arrow(const char *machine, unsigned from, unsigned to);
#define arrow(machine, from, to) sim_arrow(machine, from, to)
#else
#define arrow(machine, from, to) ((void)0)
#endif
