// SPDX-License-Identifier: MIT
// chan - what select and timers need of a channel beside its public calls.
//
// The _locked ones are called with the channel's lock held. A select holds those of several
// channels, taken in the order of their addresses. 'alone' is the thread, as base/bias.h wants it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bias.h"
#include "base/waiter.h"
#include "coir/chan.h"
#include "sched/park.h"
#include "sync/tick.h"

// How a wait in a channel's queue ended, where a partner ended it: the waiter's tag, with
enum {
    CHAN_SHUT = 1 << 30,  // the channel was closed
    CHAN_AGAIN = 1 << 29, // nothing happened, but a timer may be due earlier now
    CHAN_TAGS = CHAN_AGAIN
};

struct bias *chan_lock(coir_chan *c);

// What a case says of itself is true of this channel: 0 | -EINVAL (no value to send, or a send to a
// timer's channel). No lock.
int chan_check(const coir_chan *c, coir_direction dir, const void *value);

// Sends or receives if that needs no waiting. 0 | -EPIPE | -ETIMEDOUT (it would wait)
// *ret_woken: who has to be readied once the lock is released, or NULL.
int chan_try_locked(coir_chan *c, coir_direction dir, void *value,
                    struct task **ret_woken);

// The same with the lock taken and given back, and whoever was met made to run.
int chan_try(coir_chan *c, coir_direction dir, void *value, const struct caller *me);

// Links an opened wait into the queue of its direction, and takes it out if it is still there.
void chan_link_locked(coir_chan *c, coir_direction dir, struct waiter *w);
// Takes the lock itself.
void chan_unlink(coir_chan *c, struct bias_owner *alone, struct waiter *w);

// When a timer's channel has a value; CLOCK_NEVER for every other channel.
int64_t chan_due_locked(const coir_chan *c);

// ---- A timer's channel -------------------------------------------------------------------------

// A channel whose values are made from *t, by whoever receives; t is guarded by its lock.
// 0 | -ENOMEM
int chan_make_ticking(struct tick *t, coir_chan **ret_chan);

// t is earlier than it was: whoever sleeps until then looks again. Releases the lock.
void chan_rearm_locked(coir_chan *c, struct bias_owner *alone);

// t goes: from now on the channel is a closed one. Takes the lock itself.
void chan_stop_ticking(coir_chan *c);
