// SPDX-License-Identifier: MIT
// platform_sim - the seam to everything outside, as virtual workers and a virtual clock.
//
// A look at the clock costs 20 ns, a pause 100 ns; else time goes on only when nobody can run.
// Descriptors are in kernel_sim.c, rings in ring_sim.c, memory in memory_sim.c.
#include "base/platform.h"

#include <errno.h>
#include <string.h>

#include "tests/model/sim.h"

#define LOOK_NS 20
#define PAUSE_NS 100

// What a step is, for the hash.
enum {
    STEP_NOW = 16,
    STEP_PAUSE,
    STEP_WAIT,
    STEP_WAKE,
    STEP_START,
    STEP_JOIN,
    STEP_SLEEP,
    STEP_FENCE
};

void os_clock_set(const int64_t *clock)
{
    sim.threads[sim.current].clock = clock;
}

int64_t os_now(void)
{
    if (sim.threads[sim.current].clock) return *sim.threads[sim.current].clock;
    sim.now += LOOK_NS;
    return sim.now;
}

uint64_t os_random(void)
{
    return sim.seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

void os_pause(void)
{
    sim.now += PAUSE_NS;
    sim_step(STEP_PAUSE);
}

void os_sleep_until(int64_t when)
{
    sim_step(STEP_SLEEP);
    sim_drain();
    if (when > sim.now) sim_block(SIM_SLEEP, NULL, when);
}

int os_futex_wait(atomic_u32 *word, uint32_t expected, int64_t deadline)
{
    sim_step(STEP_WAIT);
    sim_drain();
    if (word->value != expected) return 0;
    if (deadline <= sim.now) return -ETIMEDOUT;
    return sim_block(SIM_FUTEX, word, deadline) ? 0 : -ETIMEDOUT;
}

void os_futex_wake(atomic_u32 *word, int n)
{
    sim_step(STEP_WAKE);
    sim_drain();
    while (n-- > 0) {
        uint32_t sleepers[SIM_THREADS];
        uint32_t n_sleepers = 0;

        for (uint32_t i = 0; i < SIM_THREADS; i++)
            if (sim.threads[i].wait == SIM_FUTEX && sim.threads[i].word == word)
                sleepers[n_sleepers++] = i;
        if (!n_sleepers) return;
        sim_wake(sleepers[sim_choose(n_sleepers, 1)]);
    }
}

bool os_fence_heavy(void)
{
    sim_step(STEP_FENCE);
    if (!sim.refuses_fences && !sim.keeps_fences)
        sim.refuses_fences = sim_choose(2, 6) != 0;
    if (sim.refuses_fences) return false;
    sim_drain_all();
    return true;
}

bool os_fence_heavy_get(void)
{
    return sim_choose(2, 4) == 0;
}

int os_thread_start(struct os_thread *ret_thread, void (*fn)(void *), void *arg,
                    const char *name, const struct memory *mem)
{
    (void)mem;
    sim_step(STEP_START);
    sim_drain();
    if (sim.threads_fail && sim_choose(2, sim.threads_fail)) return -EAGAIN;
    int i = sim_thread_start(fn, arg, name);
    if (i < 0) return -EAGAIN;
    ret_thread->handle = (uintptr_t)i;
    return 0;
}

void os_thread_join(struct os_thread thread)
{
    struct sim_thread *t = &sim.threads[thread.handle];

    sim_step(STEP_JOIN);
    sim_drain();
    if (t->wait == SIM_FREE) sim_fail("a thread was joined twice");
    while (t->wait != SIM_ENDED) sim_block(SIM_JOIN, t, INT64_MAX);
    t->wait = SIM_FREE;
}

bool os_thread_try_join(struct os_thread thread)
{
    struct sim_thread *t = &sim.threads[thread.handle];

    sim_step(STEP_JOIN);
    sim_drain();
    if (t->wait == SIM_FREE) sim_fail("a thread was joined twice");
    if (t->wait != SIM_ENDED || sim_choose(2, 4)) return false;
    t->wait = SIM_FREE;
    return true;
}

void os_thread_detach(struct os_thread thread)
{
    struct sim_thread *t = &sim.threads[thread.handle];

    if (t->wait == SIM_ENDED)
        t->wait = SIM_FREE;
    else
        t->detached = true;
}

void *os_self(void)
{
    return sim_self()->self;
}

void os_self_set(void *self)
{
    sim_self()->self = self;
}

uint64_t os_thread_id(void)
{
    return sim.current + 1;
}

// Who computes uses its processor up; who is blocked does not.
static bool computes(const struct sim_thread *t)
{
    return t->wait == SIM_HOG || t->wait == SIM_RUNS;
}

int64_t os_thread_cpu(uint64_t id)
{
    return computes(&sim.threads[id - 1]) ? sim.now : (int64_t)id;
}

bool os_thread_sleeps(uint64_t id)
{
    return !computes(&sim.threads[id - 1]);
}

unsigned os_fd_limit(void)
{
    return 1024;
}

uint64_t *os_lock_ranks(void)
{
    return &sim_self()->ranks;
}

void *os_scratch(void)
{
    static_assert(sizeof(sim_self()->scratch) == OS_SCRATCH_BYTES, "the seam's size");
    return sim_self()->scratch;
}

void *os_area(void)
{
    static_assert(sizeof(sim_self()->area) == OS_AREA_BYTES, "the seam's size");
    return sim_self()->area;
}

int *os_errno(void)
{
    return &sim_self()->err;
}

uint32_t os_forks(void)
{
    return 0;
}

int os_on_fork(os_fork_hook *hook)
{
    (void)hook;
    return 0;
}

void os_thread_end(void)
{
    sim_fail("a coroutine ended in a child of fork");
}

struct os_exceptions *os_exceptions(void)
{
    return NULL;
}

bool os_frame_index(uintptr_t pc, struct os_frame_index *ret_index)
{
    (void)pc, (void)ret_index;
    return false;
}

bool os_symbol(const void *at, struct os_symbol *ret_symbol)
{
    (void)at, (void)ret_symbol;
    return false;
}

bool os_module(const void *at, struct os_symbol *ret_symbol)
{
    return os_symbol(at, ret_symbol);
}

unsigned os_thread_count(void)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < SIM_THREADS; i++)
        n += sim.threads[i].wait != SIM_FREE && sim.threads[i].wait != SIM_ENDED;
    return n;
}

bool os_shadow_stack(void)
{
    return false;
}

unsigned os_cpu_count(void)
{
    return 2;
}
