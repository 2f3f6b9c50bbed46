// SPDX-License-Identifier: MIT
// maybe - a place where the simulator may make the unlikely happen; false outside its build.
#pragma once

#include <stdbool.h>

#ifdef COIR_MODEL
// 'site' is a string literal; a run arms some of the sites and fires armed ones at random.
bool sim_maybe(const char *site);
#define maybe(site) sim_maybe(site)
#else
#define maybe(site) false
#endif
