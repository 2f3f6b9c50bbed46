// SPDX-License-Identifier: MIT
#include "sched/hosted.h"

#include <errno.h>

#include "base/clock.h"
#include "base/platform.h"
#include "sched/find.h"
#include "sched/g.h"
#include "sched/sched.h"

#define NAP_NS 1000000        // of a wait of the thread itself, between two turns
#define ROUNDS 4              // looks at the kernel in a turn, behind the first
#define RUNS_LEAST 65536u     // of a turn without a budget ...
#define RUNS_PER_COROUTINE 8u // ... or so many for each coroutine there is

int hosted_start(struct sched *s)
{
    struct m *m;

    lock_acquire(&s->idle.lock);
    m = sched_new_m(s);
    lock_release(&s->idle.lock);
    if (!m) return -ENOMEM;
    store_relaxed(&m->launch, M_UNBORN); // relaxed, both: nobody knows s yet
    store_relaxed(&m->ended, M_GONE);    // there is no thread to join, or to count
    int err = poller_open_hosted(s->poller_kind, s->memory, &m->poller);
    if (err < 0) return err;
    store_relaxed(&m->started, M_STARTED); // relaxed: as above
    m->hosted = m->detours = true;         // N2
    s->hosted = m;
    s->ps[0].m = m;
    poller_announce(m->poller);
    return 0;
}

int hosted_adopt(struct sched *s)
{
    struct m *m = s->hosted;
    int err = poller_adopt(m->poller);

    if (err < 0) return err;
    m->errno_here = os_errno();
    m->exceptions = os_exceptions();
    store_relaxed(&m->thread_id, os_thread_id()); // relaxed: a hint
    m_goes_light(m);
    m->next_hosted = thread_cancel()->hosted;
    thread_cancel()->hosted = m;
    return 0;
}

void hosted_fini(struct sched *s)
{
    struct m **at = &thread_cancel()->hosted;

    while (*at && *at != s->hosted) at = &(*at)->next_hosted;
    if (*at) *at = s->hosted->next_hosted;
}

void hosted_forked(void)
{
    thread_cancel()->hosted = NULL;
}

// ---- A turn ------------------------------------------------------------------------------------

// What the host's thread has that a turn changes.
struct host_thread {
    void *self;
    int its_errno;
    struct os_exceptions exceptions;
};

static struct host_thread come_in(struct m *m)
{
    struct host_thread was = {.self = os_self(), .its_errno = *m->errno_here};

    if (m->exceptions) {
        was.exceptions = *m->exceptions;
        *m->exceptions = (struct os_exceptions){0};
    }
    m->in_turn = true;
    m->outer = was.self;
    os_self_set(m);
    context_adopt(&m->context); // the host may call from another stack each time
    return was;
}

static void go_out(struct m *m, const struct host_thread *was)
{
    context_fini(&m->context);
    os_self_set(was->self);
    if (m->exceptions) *m->exceptions = was->exceptions;
    *m->errno_here = was->its_errno;
    m->outer = NULL;
    m->in_turn = false;
}

static uint32_t bound(struct sched *s, uint32_t most)
{
    uint64_t all = sched_live(s) * RUNS_PER_COROUTINE;

    if (most) return most;
    if (all < RUNS_LEAST) return RUNS_LEAST;
    return all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
}

static void run_rounds(struct m *m, uint32_t most)
{
    uint32_t n = 0;

    find_look(m);
    for (int i = 0; i < ROUNDS && n < most && find_has_queued(m); i++) {
        n += sched_run_queued(m, most - n);
        find_look(m); // submits what they queued, takes what ended at once
    }
}

bool hosted_turn(struct sched *s, uint32_t most)
{
    struct m *m = s->hosted;
    struct host_thread was = come_in(m);

    idle_rise(m);
    sched_note_time(s);
    run_rounds(m, bound(s, most));
    timers_settle(&s->ps[0].timers);
    sysmon_give_back(s);
    m->has_more = idle_rest(m);
    go_out(m, &was);
    return m->has_more;
}

int64_t hosted_deadline(struct sched *s)
{
    struct m *m = s->hosted;

    if (m->has_more || poller_is_broken(m->poller)) return CLOCK_PAST;
    return load_relaxed(&s->ps[0].timers.earliest); // relaxed: its own thread
}

int hosted_fd(struct sched *s)
{
    return poller_fd(s->hosted->poller);
}

// ---- Waits of the thread itself -----------------------------------------------------------------

void hosted_turn_until(struct parker *parker)
{
    bool more = true;

    while (parker_park(parker, more ? CLOCK_PAST : clock_after(NAP_NS)) == -ETIMEDOUT) {
        more = false;
        // What runs may stop others of them, but not its own.
        for (struct m *m = thread_cancel()->hosted; m; m = m->next_hosted)
            if (!m->in_turn) more |= hosted_turn(m->sched, 0);
    }
}

// ---- The end -----------------------------------------------------------------------------------

static void wait_for_turn(struct sched *s, int64_t deadline)
{
    struct pollfd one = {.fd = hosted_fd(s), .events = POLLIN};
    int64_t until = hosted_deadline(s);

    os_poll(&one, 1, until < deadline ? until : deadline);
}

int hosted_drain(struct sched *s, int64_t deadline)
{
    for (;;) {
        bool more = hosted_turn(s, 0);

        if (sched_live(s) == 0) return 0;
        if (clock_now() >= deadline) return -ETIMEDOUT;
        if (!more) wait_for_turn(s, deadline);
    }
}
