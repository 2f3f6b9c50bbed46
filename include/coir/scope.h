// SPDX-License-Identifier: MIT
// coir/scope.h - scopes: children never outlive the scope that started them.
//
//     coir_scope s;
//
//     coir_scope_open(&s, coir_after(2 * COIR_SEC));
//     coir_scope_go(&s, fetch, "a", &a);                 // int fetch(const char *, struct page *)
//     coir_scope_go(&s, fetch, "b", &b);
//     int err = coir_scope_wait(&s);                     // both have ended, whatever happened
//
// A scope is cancelled by coir_scope_cancel, by the first child that fails, or because one around
// it is. From then on, and once its deadline has passed, every call that waits answers
// -ECANCELED, to the opener (until coir_scope_wait returned) and to the children, at any depth;
// but those in a shield (coir/runtime.h). coir_go does not join the caller's scope.
//
// A scope lives in its opener's frame: a coroutine's, or an ordinary thread's. Scopes are closed
// in the reverse order of their opening. A coroutine whose function returns with a scope open is
// wrong; the scope is cancelled and waited for all the same, and the log says so. (A function that
// it called must not leave one open: its frame is gone.)
#ifndef COIR_SCOPE_H
#define COIR_SCOPE_H

#include <stdint.h>

#include <coir/base.h>
#include <coir/spawn.h>

#ifdef __cplusplus
extern "C" {
#endif

// The words are the library's: neither read nor copy them. No initial value is needed.
typedef struct coir_scope {
    uint64_t words_[24];
} coir_scope;

// Opens *s, inside the scope that the caller opened last or is a child of. It opens even when that
// one is cancelled. Never waits. 0 | -EINVAL (NULL, or the caller has it open already)
COIR_API int coir_scope_open(coir_scope *s, int64_t deadline);

// Ends the scope's waits. From anywhere while the scope is open; a second time changes nothing.
// Never waits. NULL and what is not open: nothing.
COIR_API void coir_scope_cancel(coir_scope *s);

// Waits until all children have ended, then closes s. Nothing cuts this wait short: what ends it
// sooner is a cancel that ends the children.
// The result of the first child that failed | -ETIMEDOUT (a call was refused because the scope's
// deadline had passed) | -ECANCELED (it was cancelled) | 0
// | -EINVAL (NULL, not open, or a scope that was opened later is still open) | -EPERM (the caller
// did not open it); after these two nothing has changed
COIR_API int coir_scope_wait(coir_scope *s);

// Starts fn(arg) as a child: the plain-function form of coir_scope_go_with. opts may be NULL. Never
// waits. 0 | -ENOMEM | -EAGAIN (coroutines_max, or threads_max has no thread for a pinned one)
// | -ECANCELED (the runtime stops) | -EPERM (no runtime here)
// | -EINVAL (NULL or not open, NULL fn, bad options)
COIR_API int coir_scope_spawn(coir_scope *s, const coir_options *opts, int (*fn)(void *),
                              void *arg);

// The macros' own.
COIR_API int coir_scope_commit_(coir_scope *s, const coir_options *opts, void (*fn)(void),
                                const coir_site *site);

#ifdef __cplusplus
}
#endif

#if !defined(__cplusplus) && defined(__GNUC__)

// Start fn(args...) as a child of s: like coir_go, and fn returns nothing or an integer, which
// fails the scope with that error if it is negative (one beyond int's range counts as INT_MIN;
// -ECANCELED from a child is no failure once the scope is cancelled or late). The opener calls
// them, or a child, or anybody who knows that the scope stays open meanwhile. A child runs even if
// the scope is cancelled already: its arguments may be its to free. An ordinary thread names .rt.
// 0 | -ENOMEM | -EAGAIN (coroutines_max, or threads_max has no thread for a pinned one)
// | -ECANCELED (the runtime stops) | -EPERM (no runtime here)
// | -EINVAL (NULL or not open, NULL fn, bad options)
#define coir_scope_go(s, ...) COIR_SPAWN_(COIR_AS_CHILD_, s, NULL, __VA_ARGS__)
#define coir_scope_go_with(s, opts, ...) COIR_SPAWN_(COIR_AS_CHILD_, s, opts, __VA_ARGS__)

#define COIR_AS_CHILD_(what, ...) COIR_AS_CHILD_##what##_(__VA_ARGS__)
#define COIR_AS_CHILD_TYPE_(_) coir_scope
#define COIR_AS_CHILD_COMMIT_(_) coir_scope_commit_
#define COIR_AS_CHILD_RETURNS_(call)                                                     \
    (COIR_RESULT_TYPE_(call)(-1) < COIR_RESULT_TYPE_(call)(1)                            \
         ? (char)sizeof(__typeof__(COIR_RESULT_(call)))                                  \
         : 0)
#define COIR_AS_CHILD_REFUSE_(call)                                                      \
    _Static_assert(COIR_CLASS_(call) >= 1 && COIR_CLASS_(call) <= 4 &&                   \
                       sizeof(__typeof__(COIR_RESULT_(call))) <= 8,                      \
                   "coir_scope_go: the function must return nothing or an integer");
// The call's type, or unsigned where it is void. Nothing of it is evaluated.
#define COIR_RESULT_(call)                                                               \
    __builtin_choose_expr(__builtin_types_compatible_p(__typeof__(call), void), 0u, call)
#define COIR_RESULT_TYPE_(call) (__typeof__(COIR_RESULT_(call)))

#endif

#endif
