// SPDX-License-Identifier: MIT
// platform_fault - a poorer kernel than the one there is, for tests: rings that are refused, small
// or interrupted. Included by base/platform_ring.c alone; without checks it is not there at all.
//
// COIR_FAULT is read when a ring is opened: "name=number" words with commas between them.
//
//     refuse=BITS   these IORING_SETUP_* flags are unknown (-EINVAL)
//     setup=ERRNO   no ring is set up; with after=N only while N rings are open already
//     probe=ERRNO   the probe is refused
//     op=N          the probe does not know IORING_OP N
//     lack=BITS     these IORING_FEAT_* are not there
//     sq=N cq=N     entries, whatever was asked for
//     enter=ERRNO   every third io_uring_enter (every=N: every Nth; burst=B: B of N in a row) fails
//                   so, with nothing done
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"

struct fault {
    unsigned refuse, setup, after, probe, op, lack, sq, cq, enter, every, burst;
    unsigned n_enters;
};

#ifdef COIR_DEBUG

static atomic_u32 fault_rings; // that are open

static unsigned fault_number(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (; text; text = strchr(text, ',')) {
        if (*text == ',') text++;
        if (strncmp(text, name, n) == 0 && text[n] == '=')
            return (unsigned)strtoul(text + n + 1, NULL, 0);
    }
    return 0;
}

static struct fault fault_read(void)
{
    const char *text = getenv("COIR_FAULT");

    return (struct fault){.refuse = fault_number(text, "refuse"),
                          .setup = fault_number(text, "setup"),
                          .after = fault_number(text, "after"),
                          .probe = fault_number(text, "probe"),
                          .op = fault_number(text, "op"),
                          .lack = fault_number(text, "lack"),
                          .sq = fault_number(text, "sq"),
                          .cq = fault_number(text, "cq"),
                          .enter = fault_number(text, "enter"),
                          .every = fault_number(text, "every"),
                          .burst = fault_number(text, "burst")};
}

// 0 | -errno of a set-up with these flags
static int fault_setup(const struct fault *f, unsigned flags)
{
    if (f->refuse & flags) return -EINVAL;
    // relaxed: a count that a test looks at
    if (f->setup && load_relaxed(&fault_rings) >= f->after) return -(int)f->setup;
    return 0;
}

static void fault_count(int n)
{
    add_relaxed(&fault_rings, (uint32_t)n); // relaxed: as above
}

// 0 | -errno of this enter
static int fault_enter(struct fault *f)
{
    unsigned every = f->every ? f->every : 3;

    if (!f->enter) return 0;
    return f->n_enters++ % every >= every - (f->burst ? f->burst : 1) ? -(int)f->enter
                                                                      : 0;
}

#else

static inline struct fault fault_read(void)
{
    return (struct fault){0};
}
static inline int fault_setup(const struct fault *f, unsigned flags)
{
    (void)f;
    (void)flags;
    return 0;
}
static inline void fault_count(int n)
{
    (void)n;
}
static inline int fault_enter(struct fault *f)
{
    (void)f;
    return 0;
}

#endif
