// SPDX-License-Identifier: MIT
// coir/local.h - values of a coroutine's own, under keys: what thread-locals are to threads.
//
// A coroutine moves from thread to thread, so a thread-local is not its own. A key names a place
// that every coroutine has for itself; the places are empty (NULL) when it starts.
//
//     static coir_key log_prefix;
//
//     coir_local_make(free, &log_prefix);                 // once, on any coroutine
//     coir_local_set(log_prefix, strdup("request 17"));   // on each that wants one
//     const char *prefix = coir_local_get(log_prefix);
//
// When a coroutine ends, 'destroy' is called on it for each value that is not NULL, in no promised
// order, after the scopes that it left open were closed. What a destroy sets anew is destroyed too,
// four rounds at most. A destroy may wait; of a cancelled coroutine it shields itself first.
#ifndef COIR_LOCAL_H
#define COIR_LOCAL_H

#include <stdint.h>

#include <coir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// Names a place; valid in the whole process. 0 names none, and a key that was freed is never
// mistaken for a later one.
typedef uint64_t coir_key;

// Makes a key. 'destroy' may be NULL. Coroutines only; never waits.
// 0 | -EINVAL (NULL ret_key) | -EAGAIN (1,024 exist) | -EPERM (not on a coroutine)
COIR_API COIR_MUST_USE int coir_local_make(void (*destroy)(void *), coir_key *ret_key);

// Ends a key. Values under it are forgotten, not destroyed. Coroutines only; never waits.
// 0 | -EINVAL (no such key) | -EPERM (not on a coroutine)
COIR_API int coir_local_free(coir_key key);

// The caller's value; NULL where there is none, for a key that does not exist, and outside a
// coroutine. Never waits.
COIR_API void *coir_local_get(coir_key key);

// Sets the caller's value; the one before is not destroyed. Never waits.
// 0 | -EINVAL (no such key) | -ENOMEM | -EPERM (not on a coroutine)
COIR_API int coir_local_set(coir_key key, void *value);

#ifdef __cplusplus
}
#endif

#endif
