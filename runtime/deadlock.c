// SPDX-License-Identifier: MIT
// deadlock - can anything ever run again? Asked by coir_run's caller, on its own thread.
//
//     coir_run's caller                          the last worker to go idle
//     watched = 1             [WATCH-SET]        gives its P up, under the idle lock
//     looks (below)                              full fence            [IDLE-FENCE]
//     sleeps                                     watched, and all quiet? wakes the caller
//
// Nothing can, if all of this is so, looked at in this order:
//
//     1  every worker sleeps, no timer stands in a heap, no operation is in flight, no queue has
//        anything (idle_is_quiet; the epoch is noted), no thread is inside a spawn or a ready
//     2  every coroutine is parked for something in memory: not for an operation
//     3  the process has no thread but the runtime's and the caller
//     4  1 still holds, and no P was taken since
//
// D1  Never falsely. After 3 only the runtime's threads could wake somebody, and 4 says that none
//     of them has run since 1: what a foreign thread did before it ended had either been
//     published by 1 or took a P since, or stands in the global queue at 4. (Go counted a waiter
//     out before it was runnable, and reported deadlocks that were none: issue 61454.)
// D2  A disarmed timer still stands in its heap and counts as hope; its worker drops it when it
//     comes up, goes idle again, and tells.
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/spawn.h"
#include "runtime/runtime.h"
#include "sched/g.h"

#define LINES_MOST 100u

struct census {
    uint32_t parked, others;
};

static void count(void *arg, struct g *g)
{
    struct census *c = arg;
    // [DEADLOCK-LOOK] acquire, pairs with [G-COMMIT]: its wait is that of this park.
    uint32_t state = load_acquire(&g->task.state);
    uint64_t wait = load_relaxed(&g->task.wait); // relaxed: ordered by the state

    if (state == G_PARKED && (wait & WAIT_KIND) == WAIT_OPEN)
        c->parked++;
    else
        c->others++;
}

enum deadlock deadlock_look(coir_runtime *rt)
{
    struct sched *s = &rt->sched;
    struct census census = {0};
    uint64_t before, after;

    if (!idle_is_quiet(s, &before)) return DEADLOCK_NO;
    // [DEADLOCK-OUTSIDERS] acquire, pairs with [OUTSIDE-OUT]. One that fails tells nobody.
    if (load_acquire(&s->outsiders)) return DEADLOCK_MAYBE;
    gtable_each(&s->gtable, count, &census);
    if (census.others || !census.parked) return DEADLOCK_NO;
    // relaxed: a worker starts only when a P is taken, and 4 would see that
    bool alone = os_thread_count() == load_relaxed(&s->n_threads) + 1;
    if (!idle_is_quiet(s, &after) || after != before) return DEADLOCK_NO;
    return alone ? DEADLOCK_YES : DEADLOCK_MAYBE;
}

// ---- The report ------------------------------------------------------------------------------

// What is said of a coroutine, copied: the log is the host's and is called without locks.
struct line {
    uint64_t id;
    char name[G_NAME_BYTES];
    const struct coir_site *site;
    const char *on;
    const void *at;
};

struct report {
    uint32_t n, n_lines;
    struct line *lines;
};

static void note(void *arg, struct g *g)
{
    struct report *r = arg;

    r->n++;
    if (r->n_lines == LINES_MOST) return;
    struct line *l = &r->lines[r->n_lines++];
    *l = (struct line){.id = g->id, .site = g->site};
    l->on = load_relaxed(&g->waits_on); // relaxed, both: nothing runs
    l->at = load_relaxed(&g->waits_at);
    snprintf(l->name, sizeof(l->name), "%s", g->named ? g->name : "no name");
}

void deadlock_report(coir_runtime *rt)
{
    struct report r = {
        .lines = os_alloc(LINES_MOST * sizeof(struct line), alignof(struct line))};

    if (r.lines) gtable_each(&rt->sched.gtable, note, &r);
    runtime_log(rt, COIR_LOG_ERROR,
                "coir: deadlock: nothing can run any more, %u coroutines wait", r.n);
    for (uint32_t i = 0; i < r.n_lines; i++) {
        const struct line *l = &r.lines[i];

        runtime_log(rt, COIR_LOG_ERROR,
                    "coir:   coroutine %llu (%s) spawned at %s:%d waits: %s %p",
                    (unsigned long long)l->id, l->name, l->site ? l->site->file : "?",
                    l->site ? l->site->line : 0, l->on ? l->on : "?", l->at);
    }
    if (r.n > r.n_lines)
        runtime_log(rt, COIR_LOG_ERROR, "coir:   and %u more", r.n - r.n_lines);
    os_free(r.lines);
}
