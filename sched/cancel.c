// SPDX-License-Identifier: MIT
#include "sched/cancel.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/platform.h"
#include "sched/g.h"
#include "sched/m.h"
#include "sched/park.h"

static_assert(sizeof(struct thread_cancel) <= OS_AREA_BYTES,
              "lives in the thread's area");

struct thread_cancel *thread_cancel(void)
{
    struct thread_cancel *tc = os_area();

    if (!tc->lock.rank) lock_init(&tc->lock, LOCK_RANK_SELF);
    return tc;
}

struct cancel *cancel_self(void)
{
    struct g *g = g_self();

    return g ? &g->cancel : &thread_cancel()->cancel;
}

bool cancel_late(struct bound *bound)
{
    int64_t now = clock_now();

    if (now < bound->until) return false;
    store_relaxed(&bound->refused, now); // relaxed: read after who wrote it has ended
    return true;
}

bool cancel_asked(struct cancel *c)
{
    uint32_t asked = load_relaxed(&c->asked); // relaxed: the flag is the message

    if (!asked || c->shields > 0) return false;
    return asked & CANCEL_ASKED || cancel_late(c->bound);
}

void cancel_thread(struct thread_cancel *tc, uint32_t why)
{
    uint64_t one = 1;
    struct task *t = NULL;

    lock_acquire(&tc->lock);
    // [CANCEL-NOTE] acq_rel, pairs with [CANCEL-SET]: one word, its owner sets other bits.
    or_acq_rel(&tc->cancel.asked, why);
    if (tc->waits && wait_claim(tc->waits, tc->waits->ticket)) {
        t = tc->waits;
        t->outcome = -ECANCELED;
        tc->waits = NULL;
    }
    if (tc->polls) os_write(tc->break_fd, &one, sizeof(one));
    if (t) ready(t); // under the lock: the task is gone when its thread takes it
    lock_release(&tc->lock);
}

int park_break_begin(int break_fd)
{
    struct thread_cancel *tc = thread_cancel();

    if (!tc->cancel.bound || tc->cancel.shields > 0) return 0;
    lock_acquire(&tc->lock);
    bool asked = load_own(&tc->cancel.asked) & CANCEL_ASKED;
    tc->break_fd = break_fd;
    tc->polls = !asked;
    lock_release(&tc->lock);
    return asked ? -ECANCELED : 0;
}

void park_break_end(void)
{
    struct thread_cancel *tc = thread_cancel();

    if (!tc->cancel.bound) return;
    lock_acquire(&tc->lock);
    tc->polls = false;
    lock_release(&tc->lock);
}
