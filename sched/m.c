// SPDX-License-Identifier: MIT
#include "sched/m.h"

#include "base/bias.h"
#include "base/clock.h"
#include "sched/sched.h"

int m_launch(struct m *m, void (*entry)(void *m))
{
    int err;

    // relaxed, all: a stop comes after it (idle.c), and the thread is not there yet
    store_relaxed(&m->launch, M_LAUNCHING);
    if (load_relaxed(&m->ended) == M_ENDS) os_thread_join(m->thread);
    store_relaxed(&m->ended, M_LIVES);
    store_relaxed(&m->started, 0);
    err = os_thread_start(&m->thread, entry, m, "coir-worker", m->sched->memory);
    if (err == 0) sched_note_thread(m->sched, 1);
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

void m_goes_light(struct m *m)
{
    fence_note_begin(&m->hold.note, m->pump);
    if (m->alone != &bias_stranger) fence_note_begin(&m->alone->note, m->pump);
}

void m_goes_light_no_more(struct m *m)
{
    fence_note_end(&m->hold.note);
    if (m->alone != &bias_stranger) fence_note_end(&m->alone->note);
}
