// SPDX-License-Identifier: MIT
// timer - {when, period} behind a channel whose values are made by who receives them.
//
//     reset, stop     change the two numbers, under the channel's lock
//     recv, select    wait until the time, and take the value that is then due (sync/tick.h)
//
// M1  No thread of control: nothing runs when the time comes unless somebody waits. So a timer
//     that nobody waits for costs nothing, and belongs to no runtime.
// M2  Nothing is stored when it is due, so stop and reset take back all there was: no old value can
//     be received afterwards.
// M3  Who waits sleeps until the time that it saw, or less. A time moved later is seen when that
//     sleep ends; one moved earlier wakes all who wait, and they look again.
//
// Rejected: a heap entry per timer, readied by the scheduler. It would need a runtime to live in,
// a lock between expiry and stop, and a place for the value that stop has to drain.
#include <errno.h>

#include "base/bias.h"
#include "base/clock.h"
#include "base/platform.h"
#include "coir/chan.h"
#include "sched/park.h"
#include "sync/chan.h"
#include "sync/tick.h"

struct coir_timer {
    // Constant.
    coir_chan *chan;
    struct bias *lock; // the channel's

    // Guarded by it.
    struct tick tick;
};

static struct tick tick_of(int64_t when, int64_t period)
{
    return (struct tick){.due = when > CLOCK_PAST ? when : clock_now(), .period = period};
}

int coir_timer_make(int64_t when, int64_t period, coir_timer **ret_timer)
{
    if (!ret_timer || period < 0) return -EINVAL;
    coir_timer *t = os_alloc(sizeof(*t), alignof(coir_timer));
    if (!t) return -ENOMEM;
    t->tick = tick_of(when, period);
    int err = chan_make_ticking(&t->tick, &t->chan);
    if (err < 0) {
        os_free(t);
        return err;
    }
    t->lock = chan_lock(t->chan);
    *ret_timer = t;
    return 0;
}

coir_chan *coir_timer_chan(coir_timer *t)
{
    return t ? t->chan : NULL;
}

int coir_timer_reset(coir_timer *t, int64_t when, int64_t period)
{
    if (!t || period < 0) return -EINVAL;
    struct tick next = tick_of(when, period);
    struct bias_owner *alone = park_alone();
    bias_acquire(t->lock, alone);
    bool earlier = next.due < t->tick.due;
    t->tick = next;
    if (earlier)
        chan_rearm_locked(t->chan, alone); // M3
    else
        bias_release(t->lock, alone);
    return 0;
}

int coir_timer_stop(coir_timer *t)
{
    if (!t) return -EINVAL;
    struct bias_owner *alone = park_alone();
    bias_acquire(t->lock, alone);
    bool armed = t->tick.due != CLOCK_NEVER;
    t->tick.due = CLOCK_NEVER;
    bias_release(t->lock, alone);
    return armed;
}

void coir_timer_free(coir_timer *t)
{
    if (!t) return;
    chan_stop_ticking(t->chan);
    coir_chan_unref(t->chan);
    os_free(t);
}
