// SPDX-License-Identifier: MIT
// start - a scheduler's beginning and end, in numbered steps.
//
//     start   1 what nobody waits for: Ps, Ms, stacks, tables
//             2 the first worker, and wait until it has its poller or says why not
//             3 sysmon, where there is more than one P
//     stop    1 stopping: spawns are refused, whoever ends looks whether it was the last
//             2 the last one readies the stopper
//             3 whoever made the last ones run from outside goes out
//             4 exiting: every sleeping worker is woken, each leaves its loop; join
//             5 pollers, tables and stacks
// The other workers' threads start when a wake first wants their P (idle.c).
#include <errno.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "sched/g.h"
#include "sched/sched.h"

#define OUTSIDER_NS 20000 // between two looks for what takes microseconds

static int make_tables(struct sched *s, const struct sched_config *config)
{
    struct stack_config stacks = {.usable_bytes = config->stack_bytes,
                                  .guard_bytes = config->guard_bytes,
                                  .head_bytes = sizeof(struct g)};

    s->n_p = config->workers;
    s->poller_kind = config->poller_kind;
    s->ps = os_alloc(s->n_p * sizeof(struct p), alignof(struct p));
    s->ms = os_alloc(s->n_p * sizeof(struct m), alignof(struct m));
    if (!s->ps || !s->ms) return -ENOMEM;
    globq_init(&s->globq);
    gtable_init(&s->gtable);
    idle_init(&s->idle);
    return stack_depot_init(&s->depot, &stacks);
}

static void make_workers(struct sched *s)
{
    bool alone = s->n_p == 1 && os_fence_heavy_get();

    for (uint32_t i = 0; i < s->n_p; i++) {
        s->ms[i].sched = s;
        s->ms[i].index = i;
        s->ms[i].alone = alone ? &s->ms[i] : NULL;
        p_init(&s->ps[i], s, i, &s->depot);
        s->ps[i].runq.alone = s->n_p == 1;
        idle_add(s, &s->ps[i]);
    }
}

// 0 | -EAGAIN | -ENOMEM | why its poller could not be had
static int start_first(struct sched *s)
{
    struct m *m = &s->ms[0];
    uint32_t started;
    int err;

    idle_take_first(s, m);
    err = m_launch(m, sched_m_main);
    if (err < 0) return err;
    // [M-START-SEEN] acquire, pairs with [M-STARTED].
    while ((started = load_acquire(&m->started)) == 0)
        os_futex_wait(&m->started, 0, CLOCK_NEVER);
    if (started == M_STARTED) return 0;
    os_thread_join(m->thread);
    return -(int)started;
}

static void free_tables(struct sched *s)
{
    for (uint32_t i = 0; i < s->n_p; i++) {
        poller_close(s->ms[i].poller);
        p_fini(&s->ps[i]);
    }
    gtable_fini(&s->gtable);
    stack_depot_fini(&s->depot);
    os_free(s->ps);
    os_free(s->ms);
}

int sched_start(struct sched *s, const struct sched_config *config)
{
    int err = make_tables(s, config);

    if (err < 0) {
        os_free(s->ps);
        os_free(s->ms);
        return err;
    }
    make_workers(s);
    sched_note_time(s);
    err = start_first(s);
    if (err < 0) {
        free_tables(s);
        return err;
    }
    err = sysmon_start(s);
    if (err < 0) sched_fini(s);
    return err;
}

uint64_t sched_live(struct sched *s)
{
    uint64_t ended = 0;
    uint64_t made = 0;

    // Ends before starts: a coroutine that is made meanwhile counts as living, one that ends
    // meanwhile too.
    for (uint32_t i = 0; i < s->n_p; i++)
        // [LIVE-SUM] acquire, pairs with [G-ENDED]: who sees an end sees the start of whatever
        // that coroutine spawned.
        ended += load_acquire(&s->ps[i].counts.ended);
    for (uint32_t i = 0; i < s->n_p; i++)
        made += load_relaxed(&s->ps[i].counts.made); // relaxed: ordered by [LIVE-SUM]
    return made + load_relaxed(&s->made_outside) - ended; // relaxed: as above
}

void sched_went_idle(struct sched *s)
{
    // relaxed: the caller's [IDLE-FENCE] pairs with [STOP-SET]; my ends are counted, now the
    // flag and the sum. Of two workers that go idle last, one at least sees the other's ends.
    if (load_relaxed(&s->stopping) && sched_live(s) == 0) parker_unpark(&s->stopper);

    uint64_t epoch;
    // relaxed: the same fence pairs with [WATCH-SET]; of the last two that go idle, the later one
    // under the lock sees all quiet.
    if (load_relaxed(&s->watched) && idle_is_quiet(s, &epoch)) {
        store_relaxed(&s->watched, 0); // relaxed: told twice is as good
        parker_unpark(&s->watcher);
    }
}

void sched_stopping(struct sched *s)
{
    // [STOP-SET] seq_cst, pairs with [IDLE-FENCE]: who went idle before it is in the drain's own
    // sum, who does so later sees the flag.
    swap_seq_cst(&s->stopping, 1);
}

int sched_drain(struct sched *s, int64_t deadline)
{
    while (sched_live(s) > 0)
        if (parker_park(&s->stopper, deadline) == -ETIMEDOUT) return -ETIMEDOUT;
    return 0;
}

static void join_workers(struct sched *s)
{
    // [EXIT-SET] release, pairs with [EXIT-SEEN]; the fence of the wake orders it before the
    // look for sleepers.
    store_release(&s->exiting, 1);
    for (uint32_t i = 0; i < s->n_p; i++) idle_wake_any(s);
    for (uint32_t i = 0; i < s->n_p; i++) {
        struct m *m = &s->ms[i];

        if (m_launched(m)) os_thread_join(m->thread);
    }
}

// A thread that woke the last coroutine from outside may still be on its way out.
static void wait_for_outsiders(struct sched *s)
{
    // [OUTSIDE-NONE] acquire, pairs with [OUTSIDE-OUT], [OUTSIDE-IN].
    while (load_acquire(&s->outsiders) > 0) os_sleep_until(clock_after(OUTSIDER_NS));
}

void sched_fini(struct sched *s)
{
    wait_for_outsiders(s);
    sysmon_stop(s);
    join_workers(s);
    free_tables(s);
}
