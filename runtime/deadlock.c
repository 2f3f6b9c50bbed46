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
//     3  the process has no thread but the runtime's and the caller, and no helper has a job
//     4  1 still holds, and no P was taken since
//
// D1  Never falsely. A thread without a P (handoff.h) runs a coroutine that 2 does not find parked:
//     whom it woke before it parked or ended stands in the global queue at 4, or took a P since.
//     After 3 only the workers could wake somebody, and 4 says that none of them has run since 1:
//     what a foreign thread did before it ended had either been published by 1 or took a P since,
//     or stands in the global queue at 4. (Go counted a waiter out before it was runnable, and
//     reported deadlocks that were none: issue 61454.)
//     Who asks something of the caller itself looks parked for ever: the caller looks at its own
//     list again after 4 (process.c).
// D2  A disarmed timer still stands in its heap and counts as hope; its worker drops it when it
//     comes up, goes idle again, and tells.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/maybe.h"
#include "base/memory.h"
#include "base/platform.h"
#include "coir/spawn.h"
#include "io/offload.h"
#include "runtime/runtime.h"
#include "sched/g.h"

#define LINES_MOST 100u
#define NAP_FIRST (10 * COIR_MS)
#define NAP_MOST COIR_SEC

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

// No stranger is taken for one of ours. Workers and spares are counted when they are there already,
// until they are about to end, and their word did not change while the process's were counted. A
// helper that ends meanwhile is one too many, because helpers are counted last; one that starts
// meanwhile was started by a coroutine, and 4 sees that.
static bool is_alone(coir_runtime *rt, bool *ret_helped)
{
    struct sched *s = &rt->sched;
    uint64_t own =
        load_relaxed(&s->threads); // relaxed, both: the kernel's locks stand between
    uint32_t n = os_thread_count();
    uint32_t helpers = offload_threads(rt->helpers, ret_helped);

    return n == (uint32_t)own + helpers + 1 && load_relaxed(&s->threads) == own;
}

enum deadlock deadlock_look(coir_runtime *rt)
{
    struct sched *s = &rt->sched;
    struct census census = {0};
    uint64_t before, after;
    bool helped;

    if (!idle_is_quiet(s, &before)) return DEADLOCK_NO;
    // [DEADLOCK-OUTSIDERS] acquire, pairs with [OUTSIDE-OUT]. One that fails tells nobody.
    if (load_acquire(&s->outsiders)) return DEADLOCK_MAYBE;
    gtable_each(&s->gtable, count, &census);
    if (census.others || !census.parked) return DEADLOCK_NO;
    // Long enough for a thread of the host's to wake somebody and end.
    if (maybe("counted the parked, not yet the threads"))
        for (int i = 0; i < 100; i++) choice_point();
    bool alone = is_alone(rt, &helped);
    if (!idle_is_quiet(s, &after) || after != before) return DEADLOCK_NO;
    return alone && !helped ? DEADLOCK_YES : DEADLOCK_MAYBE;
}

// Where only threads of the host's or helpers keep hope alive it looks again, ever more rarely:
// their end tells nobody.
enum deadlock deadlock_look_or_sleep(coir_runtime *rt, int64_t *nap)
{
    struct sched *s = &rt->sched;

    // [WATCH-SET] seq_cst, pairs with [IDLE-FENCE]: who goes idle afterwards tells us; who did
    // before is in our look.
    swap_seq_cst(&s->watched, 1);
    enum deadlock dead = deadlock_look(rt);
    if (dead == DEADLOCK_NO) parker_park(&s->watcher, CLOCK_NEVER);
    if (dead != DEADLOCK_MAYBE) return dead;

    store_relaxed(&s->watched, 0); // relaxed: told too often costs a look
    if (*nap == 0) *nap = NAP_FIRST;
    if (parker_park(&s->watcher, clock_after(*nap)) == -ETIMEDOUT && *nap < NAP_MOST)
        *nap *= 2;
    return dead;
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
    const struct memory *mem = rt->sched.memory;
    struct report r = {.lines = MEMORY_GET(mem, struct line, LINES_MOST)};

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
    MEMORY_PUT(mem, r.lines, struct line, LINES_MOST);
}
