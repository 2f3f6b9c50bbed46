// SPDX-License-Identifier: MIT
// start - a scheduler's beginning and end, in numbered steps.
//
//     start   1 what nobody waits for: Ps, Ms, stacks, tables
//             2 the first worker, and wait until it has its poller or says why not
//             3 sysmon
//             hosted: 2 is an M without a thread, there is no 3, and no 4 of the stop
//     stop    1 stopping: spawns are refused, whoever ends looks whether it was the last
//             2 the last one readies the stopper
//             3 whoever made the last ones run from outside goes out
//             4 exiting: every sleeping worker is woken, each leaves its loop; join
//             5 pollers, tables and stacks
// The other workers' threads start when a wake first wants their P (idle.c).
#include <errno.h>

#include "base/bias.h"
#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "sched/g.h"
#include "sched/hosted.h"
#include "sched/sched.h"
#include "sched/seed.h"

#define BLOCKED_MOST 512  // threads that block without a P
#define OUTSIDER_NS 20000 // between two looks for what takes microseconds

// How many Ms there may be: those with a P, those that compute or block without one, one spare; and
// their descriptors, two each, are at most a quarter of what the process may have.
static uint32_t most_threads(uint32_t n_p, uint32_t threads_max)
{
    uint32_t most = n_p + 4 * n_p + 64 + BLOCKED_MOST + 1;
    uint32_t room = os_fd_limit() / 4 / 2;

    if (threads_max && threads_max - 1 < most) most = threads_max - 1; // one is sysmon
    if (room < most) most = room;
    if (most > UINT16_MAX) most = UINT16_MAX; // what the ownership word can name
    return most < n_p ? n_p : most;
}

static int make_tables(struct sched *s, const struct sched_config *config)
{
    struct stack_config stacks = {.usable_bytes = config->stack_bytes,
                                  .guard_bytes = config->guard_bytes,
                                  .head_bytes = sizeof(struct g),
                                  .memory = config->memory};

    s->memory = config->memory;
    s->n_p = config->workers;
    s->light = fence_heavy_get();
    s->poller_kind = config->poller_kind;
    s->ps = MEMORY_GET(s->memory, struct p, s->n_p);
    s->m_most = config->hosted ? 1 : most_threads(s->n_p, config->threads_max);
    s->ms = MEMORY_GET(s->memory, struct m *, s->m_most);
    s->handoff.computing_most = 4 * s->n_p + 64;
    s->handoff.blocked_most = BLOCKED_MOST;
    if (!s->ps || !s->ms) return -ENOMEM;
    globq_init(&s->globq);
    gtable_init(&s->gtable, s->memory);
    idle_init(&s->idle);
    return stack_depot_init(&s->depot, &stacks);
}

static void free_arrays(struct sched *s)
{
    MEMORY_PUT(s->memory, s->ps, struct p, s->n_p);
    MEMORY_PUT(s->memory, s->ms, struct m *, s->m_most);
}

static void make_workers(struct sched *s)
{
    bool light = s->n_p == 1 || s->light;

    for (uint32_t i = 0; i < s->n_p; i++) {
        p_init(&s->ps[i], s, i, &s->depot);
        s->ps[i].runq.alone = s->n_p == 1;
        fresh_init(&s->ps[i].runq.fresh, light);
        idle_add(s, &s->ps[i]);
    }
}

// True if m's thread has ended and is joined; where it is still ending only if it may be waited
// for, by m_launch.
static bool has_ended_locked(struct m *m, bool waits)
{
    // [M-REUSED] acquire, pairs with [M-ENDED].
    uint32_t ended = load_acquire(&m->ended);

    if (ended != M_ENDS || waits) return ended != M_LIVES;
    if (!os_thread_try_join(m->thread)) return false;
    store_relaxed(&m->ended, M_GONE); // relaxed: under the lock
    return true;
}

// One that had a thread, or could not be launched; NULL: none.
static struct m *used_m_locked(struct sched *s, bool waits)
{
    for (uint32_t i = 0; i < load_own(&s->n_ms); i++) {
        struct m *m = s->ms[i];
        // [M-LAUNCH-SEEN] acquire, pairs with [M-LAUNCH]: who failed to launch it is done with it.
        uint32_t launch = load_acquire(&m->launch);

        // One that could not be launched with its P has it until that retires.
        if ((launch != M_FAILED && launch != M_LAUNCHED) || idle_has_p_locked(s, m))
            continue;
        if (launch == M_FAILED || has_ended_locked(m, waits)) return m;
    }
    return NULL;
}

static struct m *fresh_m_locked(struct sched *s)
{
    uint32_t n = load_own(&s->n_ms);
    struct m *m = NULL;

    if (n == s->m_most || !(m = MEMORY_GET(s->memory, struct m, 1))) return NULL;
    m->sched = s;
    m->index = n;
    m->alone = s->light ? bias_owner_get() : &bias_stranger;
    m->hold.light = s->light;
    s->ms[n] = m;
    // [MS-GROWN] release, pairs with [MS-SEEN].
    store_release(&s->n_ms, n + 1);
    return m;
}

struct m *sched_new_m(struct sched *s)
{
    struct m *m = used_m_locked(s, false);

    if (!m) m = fresh_m_locked(s);
    if (!m) m = used_m_locked(s, true);
    if (!m) return NULL;
    m->given = NULL; // of a launch that failed
    m->coming = false;
    // relaxed: join_workers asks behind the caller's lock
    store_relaxed(&m->launch, M_LAUNCHING);
    return m;
}

// 0 | -EAGAIN | -ENOMEM | why its poller could not be had
static int start_first(struct sched *s)
{
    uint32_t started;
    int err;

    lock_acquire(&s->idle.lock);
    struct m *m = sched_new_m(s);
    lock_release(&s->idle.lock);
    if (!m) return -ENOMEM;
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
    for (uint32_t i = 0; i < load_own(&s->n_ms); i++) {
        poller_close(s->ms[i]->poller);
        bias_owner_put(s->ms[i]->alone);
        MEMORY_PUT(s->memory, s->ms[i], struct m, 1);
    }
    for (uint32_t i = 0; i < s->n_p; i++) p_fini(&s->ps[i]);
    if (s->handoff.pump_signal) os_pump_end(s->handoff.pump_signal);
    gtable_fini(&s->gtable);
    stack_depot_fini(&s->depot);
    seed_close(s->seeded);
    free_arrays(s);
}

// A signal to reach stuck threads by. Without one the rings are of the kind that needs none.
// 0 | -EINVAL, -EBUSY (of one that was asked for)
static int begin_pump(struct sched *s, int wanted)
{
    int signal = wanted < 0 ? -EBUSY : os_pump_begin(wanted);

    s->handoff.pump_signal = signal > 0 ? signal : 0;
    return wanted > 0 && signal < 0 ? signal : 0;
}

int sched_start(struct sched *s, const struct sched_config *config)
{
    int err = make_tables(s, config);

    if (err == 0 && config->seed) {
        err = seed_open(s->memory, config->seed, &s->seeded);
        if (err < 0) stack_depot_fini(&s->depot);
    }
    if (err < 0) {
        free_arrays(s);
        return err;
    }
    make_workers(s);
    sched_note_time(s);
    if (config->hosted) {
        err = hosted_start(s);
        if (err < 0) free_tables(s);
        return err;
    }
    err = begin_pump(s, config->pump_signal);
    if (err == 0) err = start_first(s);
    if (err < 0) {
        free_tables(s);
        return err;
    }
    if (s->seeded) return 0;
    err = sysmon_start(s);
    if (err < 0 && s->n_p == 1) { // a lone worker can do without: nobody takes its P then
        if (s->log)
            s->log(s->log_arg, 4, "coir: no thread to watch the worker: no hand-off");
        return 0;
    }
    if (err < 0) sched_fini(s);
    return err;
}

uint64_t sched_live(struct sched *s)
{
    // [LIVE-SUM] acquire, pairs with [G-ENDED].
    uint64_t ended = load_acquire(&s->ended_away);
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
    if (s->hosted) return hosted_drain(s, deadline);
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
    idle_wake_spares(s);
    uint32_t n = load_relaxed(&s->n_ms); // relaxed: nobody adds one any more
    for (uint32_t i = 0; i < n; i++) {
        struct m *m = s->ms[i];

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
    if (s->hosted)
        hosted_fini(s);
    else
        join_workers(s);
    free_tables(s);
}
