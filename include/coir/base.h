// SPDX-License-Identifier: MIT
// coir/base.h - what every other header needs: visibility, deadlines, version.
//
// A deadline is an absolute int64_t: nanoseconds of CLOCK_MONOTONIC. Every call that waits for
// others takes one as its last argument, so there are no try and no timed twins:
//
//     coir_chan_recv(c, &v, COIR_NOW);                      try, never wait
//     coir_chan_recv(c, &v, coir_after(50 * COIR_MS));      wait 50 ms at most
//     coir_chan_recv(c, &v, COIR_FOREVER);                  wait as long as it takes
//
// It is absolute: as a deadline 50 * COIR_MS is long past, coir_after(50 * COIR_MS) is meant.
//
// Errors are values: 0 or a count, else -errno. errno is never the channel. Outputs are named
// ret_x and are written only on success. Four words mean the same everywhere:
//
//     -EPIPE       closed                          -ETIMEDOUT   the call's own deadline passed
//     -ECANCELED   the coroutine was cancelled     -EINVAL      a bad value; nothing changed
//
// A coroutine is cancelled by coir_stop (coir_run calls it when its function has returned, and
// after a deadlock) and by a scope that it runs in: coir_scope_cancel, or the scope's deadline.
#ifndef COIR_BASE_H
#define COIR_BASE_H

#include <stdint.h>

#if defined(__GNUC__)
#define COIR_API __attribute__((visibility("default")))
#define COIR_MUST_USE __attribute__((warn_unused_result))
#else
#define COIR_API
#define COIR_MUST_USE
#endif

// The version of these headers; coir_version() is that of the library that runs.
#define COIR_VERSION_MAJOR 0
#define COIR_VERSION_MINOR 1
#define COIR_VERSION_PATCH 0

// Deadlines. A time that has passed already means the same as COIR_NOW.
#define COIR_NOW INT64_C(0)
#define COIR_FOREVER INT64_MAX

// Lengths of time, in nanoseconds: coir_after(2 * COIR_SEC).
#define COIR_US INT64_C(1000)
#define COIR_MS INT64_C(1000000)
#define COIR_SEC INT64_C(1000000000)

#ifdef __cplusplus
extern "C" {
#endif

// A runtime: its worker threads and the coroutines they run.
typedef struct coir_runtime coir_runtime;

// "MAJOR.MINOR.PATCH" of the library. Static, never fails, any thread.
COIR_API const char *coir_version(void);

// The time now. Never waits, any thread.
COIR_API int64_t coir_now(void);

// The deadline 'ns' from now; saturates at COIR_FOREVER, and ns <= 0 is COIR_NOW. Any thread.
COIR_API int64_t coir_after(int64_t ns);

#ifdef __cplusplus
}
#endif

#endif
