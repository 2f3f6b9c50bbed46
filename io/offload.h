// SPDX-License-Identifier: MIT
// offload - a pool of helper threads, with full-size stacks, for calls that block.
//
//     coroutine                          helper
//     opens a wait, queues a job,        takes the oldest job, claims its wait,
//     parks                              runs it, readies the coroutine
//     <----------------------------------------'
//
// H1  A job runs once or not at all. The helper claims the job's wait before it runs it: whoever
//     claimed it earlier (a deadline, a cancel, a close) has withdrawn the job, and its memory may
//     be gone as soon as it is off the queue. A claimed job is interrupted by nothing.
// H2  Jobs start in the order in which they came. A job that finds a sleeping helper is handed to
//     it, the one that slept last first; only when all are busy and no more can be made it waits.
// H3  A waiting job has somebody who will take it: a helper that is busy, or a thread that is being
//     started. Whoever finds that the last thread there would have been could not be started fails
//     every waiting job with -EAGAIN.
// H4  A helper that slept for OFFLOAD_IDLE_NS ends. It is joined by the next one that ends, the
//     last one by offload_close: no thread of the pool outlives it.
#pragma once

#include <stdint.h>

#include "base/list.h"
#include "base/waiter.h"

#define OFFLOAD_IDLE_NS INT64_C(1000000000)

struct offload;

struct memory;

struct offload_config {
    const struct memory *memory; // base/memory.h; outlives the pool
    uint32_t helpers_max;        // 0: none, every job is refused
    void (*thread_start)(void *), (*thread_stop)(void *);
    void *thread_arg;
};

// One call for a helper. Lives in the caller's frame (offload_run), or with what it works on
// (offload_start).
struct offload_job {
    struct list_node node; // in the queue of waiting jobs; guarded by the pool's lock
    void (*fn)(void *arg);
    void *arg;
    bool waited_for;      // 'waiter' is set: offload_run
    struct waiter waiter; // of the call that waits for its end
    int err;              // offload_start: why it was refused, 0: it was not
};

// 0 | -ENOMEM
int offload_open(const struct offload_config *config, struct offload **ret_pool);
// Waits until no helper works any more, at most until the deadline, and frees everything.
// 0 | > 0: so many helpers still work, nothing was freed
int offload_close(struct offload *pool, int64_t deadline);

// How many helpers there are, those that are being started too. *ret_busy: a job waits or runs;
// what it wakes shows before it is over. Any thread.
uint32_t offload_threads(struct offload *pool, bool *ret_busy);

// Runs fn(arg) on a helper of the running coroutine's runtime and waits for its end; an ordinary
// thread runs it itself. The deadline and a cancel end the wait only while the job has not
// started. 'armed' is called, if not NULL, with the open wait before the job is queued: who claims
// it withdraws the job. fn sees the caller as asleep; it may make coir calls, as a thread does.
// 0: fn returned | -EAGAIN (no helper there, and none can be made) | -ENOMEM | -ETIMEDOUT |
// -ECANCELED | what the claimer says: fn did not run
int offload_run(void (*fn)(void *), void *arg, int64_t deadline,
                void (*armed)(void *arg, struct waiter *w), void *armed_arg);
// The same, deaf to cancels.
int offload_run_deaf(void (*fn)(void *), void *arg);

// Queues a job that nobody waits for; for an ordinary thread it gets a thread of its own. fn is
// called once, there with job->err 0, or, if it is refused, on any thread with the reason in
// job->err. The job and what it works on stay until then, and fn frees them.
void offload_start(struct offload_job *job);
