// SPDX-License-Identifier: MIT
// hosted - a runtime in the loop of another program: who may take a turn, and what it is told.
//
// The turns themselves are the scheduler's (sched/hosted.h).
#include <errno.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/hosted.h"
#include "runtime/runtime.h"
#include "sched/hosted.h"
#include "sched/park.h"

int coir_hosted_start(const coir_config *config, coir_runtime **ret_rt)
{
    if (!ret_rt) return -EINVAL;
    if (park_real_io() < 0) return -ENOTSUP;
    return runtime_start(config, START_HOSTED, ret_rt);
}

// rt where NULL means the caller's own. 0 | -EINVAL | -EPERM
static int find_hosted(coir_runtime **rt)
{
    *rt = runtime_or_self(*rt);
    if (!*rt || !(*rt)->sched.hosted) return -EINVAL;
    return runtime_here(*rt);
}

int runtime_take_turns(coir_runtime *rt)
{
    uint64_t me = os_thread_id(), nobody = 0;

    if (runtime_here(rt) < 0) return -EPERM;
    // [TURNER] acq_rel, pairs with itself: of many who come first one takes the turns.
    if (!cas_acq_rel(&rt->turner, &nobody, me)) {
        if (nobody != me) return -EPERM;
        // However far out: a coroutine of a turn may take those of another runtime.
        return rt->sched.hosted->in_turn ? -EDEADLK : 0;
    }
    int err = hosted_adopt(&rt->sched);
    // [TURNER] release, pairs with itself: the next one tries.
    if (err < 0) store_release(&rt->turner, 0);
    return err;
}

int coir_hosted_fd(coir_runtime *rt)
{
    int err = find_hosted(&rt);

    return err < 0 ? err : hosted_fd(&rt->sched);
}

int64_t coir_hosted_deadline(coir_runtime *rt)
{
    int err = find_hosted(&rt);

    if (err < 0) return err;
    // [TURNER-LOOK] acquire, pairs with [TURNER].
    uint64_t turner = load_acquire(&rt->turner);
    if (turner && turner != os_thread_id()) return -EPERM;
    return hosted_deadline(&rt->sched);
}

int coir_hosted_turn(coir_runtime *rt, int budget)
{
    int err = find_hosted(&rt);

    if (err < 0) return err;
    if (budget < 0) return -EINVAL;
    if ((err = runtime_take_turns(rt)) < 0) return err;
    return hosted_turn(&rt->sched, (uint32_t)budget);
}
