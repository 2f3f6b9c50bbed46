// SPDX-License-Identifier: MIT
// scenes - what runs under the seeds: small scenes written by hand, and generated ones.
#pragma once

#include <stdint.h>

enum {
    SCENE_TOY = 1,   // proves the simulator, not the library
    SCENE_FAILS = 2, // must be found to fail: shows that the simulator sees such a bug
};

struct scene {
    const char *name;
    void (*fn)(void);
    unsigned flags;
};

extern const struct scene scenes[];
extern const unsigned n_scenes;

const struct scene *scene_find(const char *name);
