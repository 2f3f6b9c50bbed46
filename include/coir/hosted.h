// SPDX-License-Identifier: MIT
// coir/hosted.h - a runtime inside another program's loop: libuv, libevent, GLib, or a poll(2) of
// one's own.
//
// No thread is made. The loop's thread takes turns, in which coroutines run; between two turns
// nothing runs. So coroutines may touch whatever the loop's callbacks may touch, and one that
// computes for long delays the loop, as a callback would.
//
//     coir_hosted_start(NULL, &rt);
//     for (;;) {
//         while (coir_hosted_turn(rt, 1000) > 0) continue;         // or come back to it soon
//         poll(coir_hosted_fd(rt) and the loop's own, until coir_hosted_deadline(rt));
//     }
//     coir_stop(rt, COIR_FOREVER);
//
// The thread of the first turn owns the runtime: turn, deadline and stop are its own from then on,
// and the runtime is stopped before that thread ends. Every other call is as anywhere: other
// threads may spawn into the runtime, wake its coroutines and cancel their scopes, and the
// descriptor becomes readable. The loop's own callbacks are ordinary threads' code: what they wait
// for there stops the loop, so they use COIR_NOW, or spawn a coroutine that waits.
//
// docs/hosted.md has the loops that are known, and what is different there.
#ifndef COIR_HOSTED_H
#define COIR_HOSTED_H

#include <coir/base.h>
#include <coir/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

// Starts a runtime without threads. The config's workers, pump_signal and threads_max do not
// count; helpers are -1 (none) by default, and then what needs one returns -EAGAIN: coir_blocking,
// coir_resolve and coir_dial of a name, coir_process_start, and with epoll files that are not in
// the page cache, coir_open, coir_fsync, coir_statx and the other calls on paths.
// On kernels whose rings lack DEFER_TASKRUN (before 6.1) COIR_DRIVER_AUTO is epoll, and
// COIR_DRIVER_URING is refused with -EINVAL: such a ring would work within the system calls of the
// loop's own thread. Never waits, any thread, which need not be that of the turns.
// 0 | -EINVAL (a bad config, NULL ret_rt) | -ENOMEM | -EMFILE | the kernel's error for a forced
// driver | -ENOTSUP (a seed, or on a coroutine of a run that has one; as
// coir_start)
COIR_API COIR_MUST_USE int coir_hosted_start(const coir_config *config,
                                             coir_runtime **ret_rt);

// The descriptor to poll for reading (level-triggered): readable when a turn has something to do
// before the deadline. The same one as long as the runtime lives; it may only be polled. Never
// waits, any thread. The descriptor | -EINVAL (not hosted) | -EPERM (after fork, in the child)
COIR_API int coir_hosted_fd(coir_runtime *rt);

// When a turn is due at the latest if the descriptor does not become readable before, an absolute
// deadline; a time that has passed: at once. A loop that counts in milliseconds rounds up.
// COIR_FOREVER: there is nothing to do until then. Never waits; the thread of the turns.
// The time | -EINVAL (not hosted) | -EPERM (another thread takes the turns; after fork)
COIR_API int64_t coir_hosted_deadline(coir_runtime *rt);

// Takes a turn: what finished and what is due becomes runnable, at most 'budget' coroutine runs
// are made (a run lasts until the coroutine waits, yields or ends), and all I/O that they began is
// submitted. 0: as many as there are; lest coroutines that only yield to each other keep the loop
// for ever, that is 65,536 or eight for every coroutine, whichever is more. Never waits. From no
// coroutine and no callback of the same runtime.
// 0: nothing is left to do | > 0: there is more, come again soon | -EINVAL (not hosted, a negative
// budget) | -EDEADLK (from inside a turn) | -EPERM (another thread takes the turns; after fork)
// | at the first turn, where another thread started the runtime: -ENOMEM | -EMFILE
COIR_API int coir_hosted_turn(coir_runtime *rt, int budget);

#ifdef __cplusplus
}
#endif

#endif
