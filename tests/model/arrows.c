// SPDX-License-Identifier: MIT
#include "tests/model/arrows.h"

#include <stdio.h>
#include <string.h>

#include "tests/model/sim.h"

// The drawings: sched/g.h, sched/p.h, netpoll/netpoll.c.
static const struct drawing {
    const char *machine;
    const char *states[ARROW_STATES];
    struct {
        uint8_t from, to;
    } arrows[12];
    uint32_t n;
} drawings[] = {
    {"g",
     {"DEAD", "RUNNABLE", "RUNNING", "PARKING", "PARKED"},
     {{0, 1}, {1, 2}, {2, 1}, {2, 3}, {3, 4}, {3, 1}, {4, 1}, {2, 0}},
     8},
    {"p",
     {"IDLE", "HELD", "ASKED", "BLOCK"},
     {{0, 1},
      {1, 0},
      {2, 0},
      {1, 3},
      {3, 1},
      {3, 0}}, // toy_hold has HELD to ASKED and back
     6},
    {"poller",
     {"RUNS", "SLEEPS", "NOTIFIED"},
     {{0, 1}, {1, 0}, {1, 2}, {0, 2}, {2, 0}, {2, 2}},
     6},
};
#define N_DRAWINGS (sizeof(drawings) / sizeof(drawings[0]))

arrow_counts *arrows;

void sim_arrow(const char *machine, unsigned from, unsigned to);
void sim_arrow(const char *machine, unsigned from, unsigned to)
{
    if (!sim.active || !arrows) return;
    for (uint32_t i = 0; i < N_DRAWINGS; i++) {
        const struct drawing *d = &drawings[i];
        if (strcmp(d->machine, machine) != 0) continue;
        for (uint32_t k = 0; k < d->n; k++) {
            if (d->arrows[k].from != from || d->arrows[k].to != to) continue;
            __atomic_add_fetch(&(*arrows)[i][from][to], 1, __ATOMIC_RELAXED);
            sim_note(from << 4 | to);
            return;
        }
        sim_fail("%s: an arrow that is not drawn, %u to %u", machine, from, to);
    }
    sim_fail("%s: a machine that is not drawn", machine);
}

uint32_t arrows_print(void)
{
    uint32_t missing = 0;

    for (uint32_t i = 0; i < N_DRAWINGS; i++) {
        const struct drawing *d = &drawings[i];
        printf("arrows of %s:", d->machine);
        for (uint32_t k = 0; k < d->n; k++) {
            uint32_t from = d->arrows[k].from, to = d->arrows[k].to;
            unsigned long long n = (*arrows)[i][from][to];
            printf(" %s>%s %llu", d->states[from], d->states[to], n);
            missing += !n;
        }
        printf("\n");
    }
    return missing;
}
