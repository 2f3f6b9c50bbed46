// SPDX-License-Identifier: MIT
// hand_offload - scenes for the helper threads: jobs, threads that cannot be made, idle ends.
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "coir/io.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

#define JOBS 6u

struct shared {
    struct world world;
    atomic_u32 n_ran, n_said;
    int fds[2];
};

struct job {
    struct shared *shared;
    bool ran;
};

static void blocks(void *arg)
{
    struct job *job = arg;

    if (sim_choose(2, 2)) os_sleep_until(os_now() + 500);
    sim_expect(!job->ran); // once
    job->ran = true;
    add_relaxed(&job->shared->n_ran, 1); // relaxed: a counter
}

static void calls(void *arg)
{
    struct shared *s = arg;
    uint32_t n = 1 + sim_choose(2, 1);

    for (uint32_t i = 0; i < n; i++) {
        struct job job = {.shared = s};
        int err = coir_blocking(blocks, &job);

        sim_expect(err == 0 || (err == -EAGAIN && sim.threads_fail) ||
                   (err == -ENOMEM && sim.allocs_fail));
        sim_expect_eq(job.ran, err == 0);
        add_relaxed(&s->n_said, err == 0); // relaxed: a counter
        // Now and then so long that a helper ends meanwhile, or just does not.
        if (sim_choose(2, 2))
            coir_sleep(COIR_SEC - 200 + (int64_t)sim_choose(200, 1) * 2);
    }
    world_done(&s->world);
}

static void run_jobs(struct shared *s)
{
    world_start(&s->world, 1 + sim_choose(2, 1), JOBS);
    for (uint32_t i = 0; i < JOBS; i++) world_go(&s->world, calls, s);
    world_end(&s->world);
    sim_expect_eq(s->n_ran.value, s->n_said.value);
}

// Each call that returned 0 has run once, each that was refused never; the stop leaves no thread.
void scene_blocking(void)
{
    struct shared s = {0};

    run_jobs(&s);
}

static void calls_one(void *arg)
{
    struct shared *s = arg;
    struct job job = {.shared = s};
    int err = coir_blocking(blocks, &job);

    sim_expect(err == 0 || err == -EAGAIN);
    sim_expect_eq(job.ran, err == 0);
    world_done(&s->world);
}

// Threads cannot be made, now and then: who waits for one that does not come is told.
void scene_no_helpers(void)
{
    struct shared s = {0};

    world_start(&s.world, 1, JOBS);
    sim.threads_fail = 2;
    for (uint32_t i = 0; i < JOBS; i++) world_go(&s.world, calls_one, &s);
    world_end(&s.world);
}

// ---- A job of a descriptor: withdrawn by a deadline, a close, or done -------------------------

static void reads_or_not(void *arg)
{
    struct shared *s = arg;
    char byte = 0;
    int64_t deadline = sim_choose(2, 1) ? coir_after(600) : COIR_FOREVER;
    ssize_t got = coir_read(s->fds[0], &byte, 1, deadline);

    if (got == -ETIMEDOUT) sim_expect_late(deadline);
    sim_expect(got == 1 || got == 0 || got == -ETIMEDOUT || got == -EBADF);
    if (got == 1) add_relaxed(&s->n_ran, 1); // relaxed: a counter
    world_done(&s->world);
}

static void writes_and_closes(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < 2; i++) {
        ssize_t put = coir_write(s->fds[1], "x", 1, coir_after(400));
        if (put == 1) add_relaxed(&s->n_said, 1); // relaxed: a counter
        if (sim_choose(2, 1)) coir_sleep(300);
    }
    sim_expect_eq(coir_close(s->fds[sim_choose(2, 1)]), 0);
    world_done(&s->world);
}

// Pipes that cannot say whether they would block, on epoll: a helper reads and writes them.
void scene_blocking_pipe(void)
{
    struct shared s = {0};

    sim_pipe(s.fds);
    sim.kept_blocks = 1;      // the table of descriptors is the process's
    sim.fresh_numbers = true; // who comes late finds nothing, and not another file
    world_start(&s.world, 2, 3);
    for (int i = 0; i < 2; i++) world_go(&s.world, reads_or_not, &s);
    world_go(&s.world, writes_and_closes, &s);
    world_end(&s.world);
    sim_expect(s.n_ran.value <= s.n_said.value);
    for (int i = 0; i < 2; i++) (void)!coir_close(s.fds[i]);
}
