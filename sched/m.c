// SPDX-License-Identifier: MIT
#include "sched/m.h"

#include "base/clock.h"
#include "sched/sched.h"

int m_launch(struct m *m, void (*entry)(void *m))
{
    int err;

    store_relaxed(&m->launch, M_LAUNCHING); // relaxed: a stop comes after it (idle.c)
    add_relaxed(&m->sched->n_threads, 1);   // relaxed: before it can show itself
    err = os_thread_start(&m->thread, entry, m, "coir-worker");
    if (err < 0) add_relaxed(&m->sched->n_threads, (uint32_t)-1); // relaxed: a count
    // [M-LAUNCH] release, pairs with [M-LAUNCH-SEEN]: who joins sees the handle.
    store_release(&m->launch, err < 0 ? M_FAILED : M_LAUNCHED);
    os_futex_wake(&m->launch, 1);
    return err;
}

bool m_launched(struct m *m)
{
    uint32_t launch;

    // [M-LAUNCH-SEEN] acquire, pairs with [M-LAUNCH].
    while ((launch = load_acquire(&m->launch)) == M_LAUNCHING)
        os_futex_wait(&m->launch, M_LAUNCHING, CLOCK_NEVER);
    return launch == M_LAUNCHED;
}
