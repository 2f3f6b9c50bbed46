// SPDX-License-Identifier: MIT
// platform_call - what the halves of the seam share: how a system call's errno becomes a
// result, and a time the kernel's.
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

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

static inline struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};
}

// What the runtime's own threads block: all but the synchronous signals, SIGABRT and SIGPROF.
void platform_signals(sigset_t *ret_blocked);
