// SPDX-License-Identifier: MIT
#include "sched/sysmon.h"

#include <errno.h>

#include "base/clock.h"
#include "base/maybe.h"
#include "sched/sched.h"

#define SYSMON_LOOK_NS 1000000
#define SYSMON_SOON_NS 200000 // after a look that took something or pumped
#define SYSMON_HOLD_NS 8000000
#define SYSMON_READY_NS 3000000 // so long on one coroutine: see that there is a spare
#define SYSMON_CALM 10
#define GIVE_BATCHES 4 // a look: a third of a millisecond

// What is known of a P. A coroutine that runs is named by the tick, a stint of an M by the epoch.
struct watch {
    uint64_t epoch;
    uint32_t tick;
    int64_t since; // it runs this coroutine since then, at least
    int64_t cpu;   // its thread's CPU time at the last look; -1: not known
};

// That of m's thread, or of another by now: then the take will find that the P's word moved.
static int64_t cpu_of(struct m *m)
{
    return os_thread_cpu(load_relaxed(&m->thread_id)); // relaxed: a hint
}

static bool is_due(struct p *p, int64_t now)
{
    return load_relaxed(&p->timers.earliest) <= now; // relaxed: a look
}

// True if p's M is in user code. What that M has noted about itself is there to be read.
static bool is_out(struct p *p, uint64_t word)
{
    return p_word_state(word) == P_HELD && p_is_out(&p->sched->ms[p_word_m(word)]->hold);
}

// Notes what p does. True if it still does what it did at the last look.
static bool same_as_before(struct watch *w, struct p *p, uint64_t word, int64_t now)
{
    uint32_t tick = load_relaxed(&p->tick); // relaxed: a statistic

    if (tick == w->tick && word >> 32 == w->epoch) return true;
    *w = (struct watch){.epoch = word >> 32, .tick = tick, .since = now, .cpu = -1};
    if (is_out(p, word)) w->cpu = cpu_of(p->sched->ms[p_word_m(word)]);
    return false;
}

// True if the thread slept since the last look and sleeps now. A clock that stood still alone
// may be that of a thread without a processor.
static bool sleeps(struct watch *w, struct m *m)
{
    int64_t before = w->cpu;

    w->cpu = cpu_of(m);
    // relaxed: a hint
    return before >= 0 && w->cpu == before &&
           os_thread_sleeps(load_relaxed(&m->thread_id));
}

// p's M is in user code, or says that it blocks. Takes p if it is time.
static void consider(struct sched *s, struct p *p, uint64_t word, int64_t now)
{
    struct sysmon *sm = &s->sysmon;
    struct watch *w = &sm->watches[p->id];
    struct m *m = s->ms[p_word_m(word)];
    bool says_so = p_word_state(word) == P_BLOCK;
    bool blocks = says_so || sleeps(w, m);

    if (!handoff_worth(s, p, m)) return; // H2
    bool early = maybe("taken early");
    if (blocks || early || now - w->since >= SYSMON_READY_NS) idle_want_spares(s, 1);
    if (!blocks && !early && now - w->since < SYSMON_HOLD_NS) return;
    if (!handoff_take(s, p, word, blocks)) return;
    sm->n_taken++;
    if (!blocks) stall_note(s, m, now - w->since);
}

// True if a thief could do something for p.
static bool look_at(struct sched *s, struct p *p, int64_t now)
{
    struct watch *w = &s->sysmon.watches[p->id];
    // [P-SEEN] acquire, pairs with [P-BLOCK] and [P-TAKE]: what its M has noted about itself.
    uint64_t word = load_acquire(&p->word);
    uint32_t state = p_word_state(word);
    bool same = same_as_before(w, p, word, now);

    if (state == P_IDLE) return false;
    bool wanted =
        (same && (!runq_empty(&p->runq) || globq_len(&s->globq) > 0)) || is_due(p, now);
    if (state == P_BLOCK || (same && is_out(p, word))) consider(s, p, word, now);
    return wanted;
}

static bool all_idle(struct sched *s)
{
    // relaxed: a look, or ordered by the caller's fence. A P that no thread could be started for
    // counts as idle.
    return load_relaxed(&s->idle.n) + load_relaxed(&s->idle.n_retired) == s->n_p;
}

// True: look again soon.
static bool look(struct sched *s)
{
    struct sysmon *sm = &s->sysmon;
    int64_t now = clock_now();
    bool wanted = false;

    sm->n_taken = 0;
    for (uint32_t i = 0; i < s->n_p; i++)
        if (look_at(s, &s->ps[i], now)) wanted = true;
    // relaxed: looks
    if (wanted && load_relaxed(&s->idle.n) > 0 && load_relaxed(&s->idle.n_spinning) == 0)
        idle_wake_any(s);
    // Who blocks seldom blocks alone.
    if (sm->n_taken) idle_want_spares(s, sm->n_taken);
    stall_tell(s, now);
    return sm->n_taken > 0;
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

void sysmon_give_back(struct sched *s)
{
    int64_t now = load_relaxed(&s->coarse); // relaxed: says no more than itself

    if (now >= s->sysmon.drain_at) {
        s->sysmon.drain_at = now + STACK_DECAY_NS;
        stack_cache_drain(&s->ps[0].stacks);
    }
    stack_depot_decay(&s->depot, now);
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
    bool soon = false;

    if (s->thread_start) s->thread_start(s->thread_arg);
    while (!load_relaxed(&s->sysmon.stop)) { // relaxed: sysmon_stop joins
        if (calm < SYSMON_CALM)              // a stop does not wait for the next look
            os_futex_wait(&s->sysmon.stop, 0,
                          clock_after(soon ? SYSMON_SOON_NS : SYSMON_LOOK_NS));
        sched_note_time(s);
        soon = look(s);
        bool serves = handoff_serve(s);
        int64_t again = give_back(s);
        calm = all_idle(s) && !serves && !stall_pending(s) ? calm + 1 : 0;
        if (calm < SYSMON_CALM) continue;
        int64_t earliest = clock_after(SYSMON_LOOK_NS);
        if (sleep_deep(s, again > earliest ? again : earliest)) calm = 0;
    }
    if (s->thread_stop) s->thread_stop(s->thread_arg);
}

int sysmon_start(struct sched *s)
{
    struct sysmon *sm = &s->sysmon;
    int err;

    sm->watches = MEMORY_GET(s->memory, struct watch, s->n_p);
    if (!sm->watches) return -ENOMEM;
    err = os_thread_start(&sm->thread, sysmon_main, s, "coir-sysmon", s->memory);
    if (err < 0) {
        MEMORY_PUT(s->memory, sm->watches, struct watch, s->n_p);
        return err;
    }
    sched_note_thread(s, 1);
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
    os_futex_wake(&sm->stop, 1);
    os_thread_join(sm->thread);
    MEMORY_PUT(s->memory, sm->watches, struct watch, s->n_p);
    sm->runs = false;
}
