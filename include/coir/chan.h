// SPDX-License-Identifier: MIT
// coir/chan.h - channels: typed queues between coroutines.
//
// One idea: a send and a receive meet; whoever comes first waits, at most until a deadline.
// Every call may be made by any coroutine and by any ordinary thread. A channel belongs to no
// runtime: it works before a start, between runtimes and after a stop.
//
// What happened wins: a value that was handed over although the deadline or a cancel came at the
// same moment is reported as handed over. A value that was not taken stays with its sender.
#ifndef COIR_CHAN_H
#define COIR_CHAN_H

#include <stddef.h>
#include <stdint.h>

#include <coir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct coir_chan coir_chan;

// Makes a channel for values of 'size' bytes that holds 'capacity' of them; capacity 0 means that
// send and receive must meet, size 0 that only the event counts (values are then NULL). The caller
// owns one reference. Never waits.
// 0 | -EINVAL (size over 64 KiB, size times capacity too large, NULL ret_chan) | -ENOMEM
COIR_API COIR_MUST_USE int coir_chan_make(size_t size, size_t capacity,
                                          coir_chan **ret_chan);

// Copies *value in. Waits while the channel is full.
// 0 | -EPIPE (closed; the value was not taken) | -ETIMEDOUT | -ECANCELED
// | -EINVAL (NULL channel, NULL value of a channel whose size is not 0)
COIR_API COIR_MUST_USE int coir_chan_send(coir_chan *c, const void *value,
                                          int64_t deadline);

// Copies the oldest value out; NULL discards it. Waits while the channel is empty.
// 0 | -EPIPE (closed and empty) | -ETIMEDOUT | -ECANCELED | -EINVAL (NULL channel)
COIR_API COIR_MUST_USE int coir_chan_recv(coir_chan *c, void *ret_value,
                                          int64_t deadline);

// Says that no more values come: wakes everyone. Blocked senders keep their value, what is in the
// channel can still be received. Never waits. 0 | -EALREADY (closed before) | -EINVAL (NULL)
COIR_API int coir_chan_close(coir_chan *c);

// Takes one more reference and returns c. NULL gives NULL. Never waits.
COIR_API coir_chan *coir_chan_ref(coir_chan *c);

// Gives a reference back; the last one frees the channel and what is in it. Nobody may wait on it
// then. NULL is allowed. Never waits.
COIR_API void coir_chan_unref(coir_chan *c);

// Values in the channel now, and how many it holds; old news when others use it. NULL: 0.
COIR_API size_t coir_chan_len(coir_chan *c);
COIR_API size_t coir_chan_cap(coir_chan *c);

#ifdef __cplusplus
}
#endif

#endif
