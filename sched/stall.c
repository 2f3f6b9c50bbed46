// SPDX-License-Identifier: MIT
#include "sched/stall.h"

#include <string.h>

#include "base/clock.h"
#include "base/platform.h"
#include "sched/g.h"
#include "sched/sched.h"

#define TELL_PAUSE_NS 1000000000 // between two lines
#define ANSWER_NS 20000000       // the handler's

static struct stall *stall_of(struct sched *s)
{
    return &s->sysmon.stall;
}

// Has the handler copy where m's coroutine stands. The poller is lent and its lock held.
static void ask_locked(struct stall *st, struct m *m)
{
    struct os_pump *pump = m->pump;

    st->asked = pump ? m : NULL;
    if (!pump) return;
    pump->low = (uintptr_t)m->g->stack.low;
    pump->high = (uintptr_t)m->g;
    // [STALL-ASK] release, pairs with [STALL-ANSWER] over the handler: what it may walk.
    store_release(&pump->asked, PUMP_ASKED);
    os_pump_send(pump);
}

void stall_note(struct sched *s, struct m *m, int64_t held)
{
    struct stall *st = stall_of(s);
    int64_t now = clock_now();

    if (!s->tell_stall) return;
    if (st->pending || (st->told && now - st->told < TELL_PAUSE_NS)) {
        st->n_untold++;
        return;
    }
    poller_reap_lock(m->poller);
    if (poller_lent(
            m->poller)) { // else it is back already (H3: its coroutine may be gone)
        struct g *g = m->g;

        st->pending = true;
        st->id = g->id;
        st->site = g->site;
        st->name[0] = 0;
        if (g->named) memcpy(st->name, g->name, sizeof(st->name));
        st->held = held;
        st->n_frames = 0;
        st->noted = now;
        ask_locked(st, m);
    }
    poller_reap_unlock(m->poller);
}

// True if m's thread can still answer, and did not yet. What it answered is copied.
static bool expects_answer_locked(struct stall *st, struct m *m)
{
    if (!poller_lent(m->poller)) return false; // T1
    // [STALL-ANSWER] acquire, pairs with [STALL-ASK] over the handler: the frames are written.
    uint32_t is = load_acquire(&m->pump->asked);
    if (is == PUMP_ANSWERED) {
        st->n_frames = m->pump->n_frames;
        memcpy(st->frames, m->pump->frames, sizeof(st->frames));
    }
    return is == PUMP_ASKED; // else it came back, and is away again
}

// True if there is an answer, or none is waited for any more.
static bool answered(struct stall *st, int64_t now)
{
    struct m *m = st->asked;

    if (!m) return true;
    poller_reap_lock(m->poller);
    bool expects = expects_answer_locked(st, m);
    poller_reap_unlock(m->poller);
    return !expects || now - st->noted >= ANSWER_NS;
}

void stall_tell(struct sched *s, int64_t now)
{
    struct stall *st = stall_of(s);

    if (!st->pending || !answered(st, now)) return;
    s->tell_stall(s, st);
    st->pending = false;
    st->told = now;
    st->n_untold = 0;
}

bool stall_pending(struct sched *s)
{
    return stall_of(s)->pending;
}
