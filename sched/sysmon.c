// SPDX-License-Identifier: MIT
#include "sched/sysmon.h"

#include <errno.h>

#include "base/clock.h"
#include "sched/sched.h"

#define SYSMON_LOOK_NS 1000000
#define SYSMON_CALM 10
#define GIVE_BATCHES 4 // a look: a third of a millisecond

// True if a worker does not come to what stands in its queue.
static bool stands_still(struct sysmon *sm, struct p *p)
{
    uint32_t tick = load_relaxed(&p->tick); // relaxed: a statistic
    bool moved = tick != sm->ticks[p->id];

    sm->ticks[p->id] = tick;
    // relaxed: a look
    return !moved && p_word_state(load_relaxed(&p->word)) != P_IDLE &&
           !runq_empty(&p->runq);
}

static bool all_idle(struct sched *s)
{
    // relaxed: a look, or ordered by the caller's fence. A P that no thread could be started for
    // counts as idle.
    return load_relaxed(&s->idle.n) + load_relaxed(&s->idle.n_retired) == s->n_p;
}

static void look(struct sched *s)
{
    bool wanted = false;

    for (uint32_t i = 0; i < s->n_p; i++)
        if (stands_still(&s->sysmon, &s->ps[i])) wanted = true;
    // relaxed: looks
    if (wanted && load_relaxed(&s->idle.n) > 0 && load_relaxed(&s->idle.n_spinning) == 0)
        idle_wake_any(s);
}

// Gives memory back. When to come again; CLOCK_NEVER: there is nothing more to give.
static int64_t give_back(struct sched *s)
{
    int64_t now = clock_now();

    if (now >= s->sysmon.drain_at) {
        s->sysmon.drain_at = now + STACK_DECAY_NS;
        idle_drain_stacks(s);
    }
    int64_t again = now;
    for (int i = 0; i < GIVE_BATCHES && again == now; i++)
        again = stack_depot_decay(&s->depot, now);
    return again;
}

// Sleeps until a P is taken from IDLE (true), or there is memory to give back (false).
static bool sleep_deep(struct sched *s, int64_t until)
{
    struct sysmon *sm = &s->sysmon;

    store_relaxed(&sm->asleep, 1); // relaxed: the fence follows
    // [SYSMON-FENCE] seq_cst, pairs with [SYSMON-TAKEN]: asleep is stored, now look again.
    fence_seq_cst();
    // relaxed: ordered by the fence
    if (!all_idle(s) || load_relaxed(&sm->stop)) store_relaxed(&sm->asleep, 0);
    while (load_relaxed(&sm->asleep)) { // relaxed: a wake says no more than itself
        if (os_futex_wait(&sm->asleep, 1, until) != -ETIMEDOUT) continue;
        store_relaxed(&sm->asleep, 0); // relaxed: as above
        return false;
    }
    return true;
}

static void sysmon_main(void *arg)
{
    struct sched *s = arg;
    uint32_t calm = 0;

    while (!load_relaxed(&s->sysmon.stop)) { // relaxed: sysmon_stop joins
        if (calm < SYSMON_CALM) os_sleep_until(clock_after(SYSMON_LOOK_NS));
        sched_note_time(s);
        look(s);
        int64_t again = give_back(s);
        calm = all_idle(s) ? calm + 1 : 0;
        if (calm < SYSMON_CALM) continue;
        int64_t soon = clock_after(SYSMON_LOOK_NS);
        if (sleep_deep(s, again > soon ? again : soon)) calm = 0;
    }
}

int sysmon_start(struct sched *s)
{
    struct sysmon *sm = &s->sysmon;
    int err;

    if (s->n_p == 1) return 0;
    sm->ticks = os_alloc(s->n_p * sizeof(sm->ticks[0]), alignof(uint32_t));
    if (!sm->ticks) return -ENOMEM;
    add_relaxed(&s->n_threads, 1); // relaxed: before it can show itself
    err = os_thread_start(&sm->thread, sysmon_main, s, "coir-sysmon");
    if (err < 0) {
        add_relaxed(&s->n_threads, (uint32_t)-1); // relaxed: a count
        os_free(sm->ticks);
        return err;
    }
    sm->runs = true;
    return 0;
}

void sysmon_wake(struct sched *s)
{
    // [SYSMON-TAKEN] relaxed behind the full fence of [P-TAKE]'s compare-and-swap, which pairs
    // with [SYSMON-FENCE]: the P is no longer idle, now see whether sysmon sleeps.
    if (!load_relaxed(&s->sysmon.asleep)) return;
    store_relaxed(&s->sysmon.asleep, 0); // relaxed: says no more than itself
    os_futex_wake(&s->sysmon.asleep, 1);
}

void sysmon_stop(struct sched *s)
{
    struct sysmon *sm = &s->sysmon;

    if (!sm->runs) return;
    store_relaxed(&sm->stop, 1); // relaxed: the fence follows
    // [SYSMON-STOP] seq_cst, pairs with [SYSMON-FENCE]: stop is stored, now look at asleep.
    fence_seq_cst();
    sysmon_wake(s);
    os_thread_join(sm->thread);
    os_free(sm->ticks);
    sm->runs = false;
}
