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
// 0 | -EINVAL (size over 64 KiB, size times capacity beyond PTRDIFF_MAX, NULL ret_chan) | -ENOMEM
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

// ---- Select ------------------------------------------------------------------------------

typedef enum coir_direction { COIR_SEND = 1, COIR_RECV = 2 } coir_direction;

// One of several things to wait for.
typedef struct coir_case {
    coir_chan *chan; // NULL: this case never happens
    coir_direction dir;
    void *value; // to send from, or to receive into; NULL discards
    int result;  // of the case that happened: 0, or -EPIPE (the channel is closed)
} coir_case;

// Waits until one of the n cases can happen, and makes it happen; of several that can, one is
// chosen at random. A closed channel can always happen. A channel may stand in several cases, in
// both directions too: a select never meets itself. With n = 0, or no channel at all, it waits for
// the deadline only. The array and its values must not be touched meanwhile. Up to 64 cases need
// no memory.
// The index of the case that happened, with its 'result' set | -ETIMEDOUT | -ECANCELED: nothing
// was sent, received or written | -EINVAL (n < 0 or > 65,536, NULL cases, no such direction, a
// send of NULL or to a timer's channel) | -ENOMEM (more than 64 cases)
COIR_API COIR_MUST_USE int coir_select(coir_case *cases, int n, int64_t deadline);

// ---- Timers ------------------------------------------------------------------------------

// A time, and a period: passive, nothing runs when it is due unless somebody waits on its channel.
typedef struct coir_timer coir_timer;

// Makes a timer that is due at 'when' (a deadline: COIR_NOW is now, COIR_FOREVER never) and, if
// 'period' is not 0, every 'period' ns from then on. Never waits.
// 0 | -EINVAL (negative period, NULL ret_timer) | -ENOMEM
COIR_API COIR_MUST_USE int coir_timer_make(int64_t when, int64_t period,
                                           coir_timer **ret_timer);

// Its channel, for coir_chan_recv, coir_chan_len and coir_select: capacity 1, values int64_t, the
// time at which it was due. Who reads slowly gets the first time that was missed, then the next
// that is still to come. Borrowed: it lasts as long as the timer, or as a reference taken with
// coir_chan_ref. To send on it or close it is -EINVAL. NULL: NULL.
COIR_API coir_chan *coir_timer_chan(coir_timer *t);

// Sets the timer anew, as coir_timer_make does; whoever waits now waits for the new time. Nothing
// that was due before is received afterwards. Any thread, never waits. 0 | -EINVAL
COIR_API int coir_timer_reset(coir_timer *t, int64_t when, int64_t period);

// Stops the timer: nothing is received until it is reset. Any thread, never waits.
// 1 (it was armed: would have been received, now or later) | 0 (it was not) | -EINVAL (NULL)
COIR_API int coir_timer_stop(coir_timer *t);

// Ends the timer; its channel is closed for those who hold a reference. NULL is allowed. Never
// waits.
COIR_API void coir_timer_free(coir_timer *t);

#ifdef __cplusplus
}
#endif

#if !defined(__cplusplus) && defined(__GNUC__)

// ---- Typed channels ----------------------------------------------------------------------
//
// A channel that knows the type of its values; what coir_chan_send(c, &v, ..) is to a channel of
// bytes, coir_of_send(c, v, ..) is to a coir_chan_of(T):
//
//     coir_chan_of(long) c;                            // a handle: copied, passed, given to go
//
//     if (coir_of_make(&c, 16) < 0) ...                // sizeof(long) each, capacity 16
//     coir_of_send(c, 42, COIR_FOREVER);               // any expression that a long may be set to
//     while (coir_of_recv(c, &v, COIR_FOREVER) == 0)   // v has to be a long
//     coir_case cases[] = {coir_of_recv_case(c, &v), coir_of_send_case(d, &w)};
//
// A pointer of another type, and an integer for a pointer, are compile errors. Each macro has the
// results of the call that it is named for, and takes a NULL handle as that takes a NULL channel.
// GNU C, like the spawn macros.
//
// How: the handle has a pointer type that says T and that nothing else has; it is never called.
#define coir_chan_of(T) __typeof__(__typeof__(T)(*)(coir_chan *))

// Makes a channel for values of the handle's type, as coir_chan_make does. Where it fails the
// handle becomes NULL. Never waits. 0 | -EINVAL (capacity too large) | -ENOMEM
#define coir_of_make(ret_c, capacity)                                                    \
    __extension__({                                                                      \
        __typeof__(ret_c) coir_to_ = (ret_c);                                            \
        coir_chan *coir_made_ = NULL;                                                    \
        int coir_err_ =                                                                  \
            coir_chan_make(sizeof(COIR_VALUE_(*coir_to_)), capacity, &coir_made_);       \
        *coir_to_ = (__typeof__(*coir_to_))(uintptr_t)coir_made_;                        \
        coir_err_;                                                                       \
    })

// Sends a value: any expression that a T may be set to. Waits while the channel is full.
// 0 | -EPIPE (closed; the value was not taken) | -ETIMEDOUT | -ECANCELED | -EINVAL (NULL handle)
#define coir_of_send(c, value, deadline)                                                 \
    __extension__({                                                                      \
        COIR_STRICT_BEGIN_                                                               \
        __typeof__(COIR_VALUE_(c)) coir_value_ = (value);                                \
        COIR_STRICT_END_                                                                 \
        coir_chan_send(coir_of_chan(c), &coir_value_, deadline);                         \
    })

// Receives the oldest value into a T *; NULL discards it. Waits while the channel is empty.
// 0 | -EPIPE (closed and empty) | -ETIMEDOUT | -ECANCELED | -EINVAL (NULL handle)
#define coir_of_recv(c, ret_value, deadline)                                             \
    __extension__({                                                                      \
        COIR_STRICT_BEGIN_                                                               \
        __typeof__(COIR_VALUE_(c)) *coir_to_ = (ret_value);                              \
        COIR_STRICT_END_                                                                 \
        coir_chan_recv(coir_of_chan(c), coir_to_, deadline);                             \
    })

// Initialises a coir_case: to send from a T that stays where it is while the select waits.
#define coir_of_send_case(c, from)                                                       \
    {                                                                                    \
        .chan = coir_of_chan(c), .dir = COIR_SEND, .value = COIR_POINTER_(c, from)       \
    }

// Initialises a coir_case: to receive into a T; NULL discards.
#define coir_of_recv_case(c, to)                                                         \
    {                                                                                    \
        .chan = coir_of_chan(c), .dir = COIR_RECV, .value = COIR_POINTER_(c, to)         \
    }

// Says that no more values come, as coir_chan_close does. 0 | -EALREADY | -EINVAL (NULL handle)
#define coir_of_close(c) coir_chan_close(coir_of_chan(c))

// Takes one more reference and is the handle, to be given to another.
#define coir_of_ref(c) ((__typeof__(c))(uintptr_t)coir_chan_ref(coir_of_chan(c)))

// Gives a reference back, as coir_chan_unref does. NULL is allowed.
#define coir_of_unref(c) coir_chan_unref(coir_of_chan(c))

// The values in the channel now; NULL: 0.
#define coir_of_len(c) coir_chan_len(coir_of_chan(c))

// How many values the channel holds; NULL: 0.
#define coir_of_cap(c) coir_chan_cap(coir_of_chan(c))

// The channel itself, for what has no typed form. NULL: NULL.
#define coir_of_chan(c) ((void)sizeof(COIR_VALUE_(c)), (coir_chan *)(uintptr_t)(c))

// A typed handle of a channel, coir_chan_as(int64_t, coir_timer_chan(t)): the one place where
// nothing is checked.
#define coir_chan_as(T, chan) ((coir_chan_of(T))(uintptr_t)(coir_chan *){chan})

#define COIR_VALUE_(c) (c)(0)
#define COIR_POINTER_(c, p)                                                              \
    __extension__({                                                                      \
        COIR_STRICT_BEGIN_                                                               \
        __typeof__(COIR_VALUE_(c)) *coir_to_ = (p);                                      \
        COIR_STRICT_END_(void *) coir_to_;                                               \
    })
#define COIR_STRICT_BEGIN_                                                               \
    _Pragma("GCC diagnostic push")                                                       \
        _Pragma("GCC diagnostic error \"-Wincompatible-pointer-types\"")                 \
            _Pragma("GCC diagnostic error \"-Wint-conversion\"")
#define COIR_STRICT_END_ _Pragma("GCC diagnostic pop")

#endif

#endif
