// SPDX-License-Identifier: MIT
// platform_call - what the halves of the seam share: how a system call's errno becomes a
// result, a time the kernel's, and that pthread_cancel does not act in here.
#pragma once

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "base/platform_fork.h"

#define NS_PER_SEC 1000000000

// The result of a system call, retried while a signal interrupts it.
#define RETRY(call)                                                                      \
    __extension__({                                                                      \
        __typeof__(call) result_;                                                        \
        do {                                                                             \
            result_ = (call);                                                            \
            if (result_ < 0) result_ = (__typeof__(result_))-errno;                      \
        } while (result_ == -EINTR);                                                     \
        result_;                                                                         \
    })

#define ONCE(call)                                                                       \
    __extension__({                                                                      \
        __typeof__(call) result_ = (call);                                               \
        result_ < 0 ? (__typeof__(result_))-errno : result_;                             \
    })

// Around what libc makes a cancellation point. A cancel of a host's thread acts in the host's code
// and never in ours, where it would leave a lock held or a descriptor in use (docs/adr/0087).
// Nobody cancels a thread of ours: those do not pay. errno stays what the call left.
#define UNCANCELED(call)                                                                 \
    __extension__({                                                                      \
        int state_ = uncanceled_begin();                                                 \
        __typeof__(call) done_ = (call);                                                 \
        uncanceled_end(state_);                                                          \
        done_;                                                                           \
    })

static inline int uncanceled_begin(void)
{
    int was = PTHREAD_CANCEL_DISABLE;

    if (!fork_is_ours()) pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &was);
    return was;
}

static inline void uncanceled_end(int was)
{
    if (was == PTHREAD_CANCEL_ENABLE) pthread_setcancelstate(was, NULL);
}

static inline struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};
}

// What the runtime's own threads block: all but the synchronous signals, SIGABRT and SIGPROF.
void platform_signals(sigset_t *ret_blocked);
