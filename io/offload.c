// SPDX-License-Identifier: MIT
#include "io/offload.h"

#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/maybe.h"
#include "base/memory.h"
#include "base/panic.h"
#include "base/parker.h"
#include "base/platform.h"
#include "coir/io.h"
#include "sched/park.h"

struct helper {
    // Constant after its start.
    struct offload *pool;
    struct os_thread thread;
    atomic_u32 launched; // atomic: 1 once 'thread' is written

    struct parker parker; // a job was handed to it, or the pool ends

    // Guarded by the pool's lock.
    struct list_node node;   // among the sleeping ones
    struct offload_job *job; // handed to it, not yet taken
};

struct offload {
    // Constant.
    struct offload_config config;

    // Guarded by lock.
    struct lock lock;
    struct list waiting;   // jobs, the oldest first; empty while anybody sleeps
    struct list sleeping;  // helpers, the last one first
    uint32_t n_threads;    // that run or are being started
    uint32_t n_working;    // jobs that run, or were handed to a helper
    bool closing;          // helpers that find nothing end
    struct helper *ended;  // the last one that ended, not yet joined
    struct parker *closer; // offload_close: look at n_threads again
};

int offload_open(const struct offload_config *config, struct offload **ret_pool)
{
    struct offload *pool = MEMORY_GET(config->memory, struct offload, 1);

    if (!pool) return -ENOMEM;
    pool->config = *config;
    lock_init(&pool->lock, LOCK_RANK_OFFLOAD);
    list_init(&pool->waiting);
    list_init(&pool->sleeping);
    *ret_pool = pool;
    return 0;
}

// ---- A helper's life --------------------------------------------------------------------------
//
//      started --> works --no job--> sleeps --a second, or the pool ends--> ended --> joined
//                    ^                  '-- a job is handed to it --.
//                    '----------------------------------------------'

// True if the job is the caller's to end; false: it was withdrawn, and may be gone (H1).
static bool claim_locked(struct offload_job *job)
{
    return !job->waited_for || waiter_claim(&job->waiter);
}

// The oldest job that was not withdrawn, or NULL.
static struct offload_job *next_job_locked(struct offload *pool)
{
    for (struct list_node *n; (n = list_pop_front(&pool->waiting));) {
        struct offload_job *job = container_of(n, struct offload_job, node);

        if (claim_locked(job)) return job;
    }
    return NULL;
}

// The memory of the job is gone when this returns.
static void work(struct offload_job *job)
{
    struct task *t = job->waited_for ? job->waiter.task : NULL;

    job->fn(job->arg);
    if (!t) return;
    t->outcome = 0;
    ready(t);
}

static struct offload_job *take_locked(struct offload *pool)
{
    struct offload_job *job = next_job_locked(pool);

    if (job) pool->n_working++;
    return job;
}

// Sleeps until a job is handed over; NULL: the time was up, or the pool ends. Called with the
// lock held, returns with it.
static struct offload_job *sleep_locked(struct helper *h)
{
    struct offload *pool = h->pool;
    int64_t until = clock_after(OFFLOAD_IDLE_NS);
    int err = 0;

    list_push_front(&pool->sleeping, &h->node);
    while (!h->job && !pool->closing && err == 0) {
        lock_release(&pool->lock);
        err = parker_park(&h->parker, until);
        if (maybe("helper woke, not yet looked")) choice_point();
        lock_acquire(&pool->lock);
    }
    // What was handed over just now counts, however the sleep ended.
    struct offload_job *job = h->job;
    h->job = NULL;
    if (!job) list_remove(&h->node);
    return job;
}

static void join(const struct memory *mem, struct helper *h)
{
    if (!h) return;
    // [HELPER-JOIN] acquire, pairs with [HELPER-LAUNCHED]: sees the handle.
    while (!load_acquire(&h->launched)) os_futex_wait(&h->launched, 0, CLOCK_NEVER);
    os_thread_join(h->thread);
    MEMORY_PUT(mem, h, struct helper, 1);
}

static void helper_main(void *arg)
{
    struct helper *h = arg;
    struct offload *pool = h->pool;
    struct offload_config config = pool->config; // the pool goes when this one is joined
    struct offload_job *job;

    if (config.thread_start) config.thread_start(config.thread_arg);
    lock_acquire(&pool->lock);
    while ((job = take_locked(pool)) || (job = sleep_locked(h))) {
        lock_release(&pool->lock);
        work(job);
        lock_acquire(&pool->lock);
        pool->n_working--;
    }
    struct helper *before = pool->ended;
    pool->ended = h;
    pool->n_threads--;
    if (pool->closer) parker_unpark(pool->closer);
    lock_release(&pool->lock);
    join(config.memory, before); // H4: it is on its way out
    if (config.thread_stop) config.thread_stop(config.thread_arg);
}

// ---- Jobs -------------------------------------------------------------------------------------

// Takes every waiting job off, for lack of anybody who could do it (H3).
static void refuse_locked(struct offload *pool, struct list *ret_refused)
{
    list_init(ret_refused);
    for (struct offload_job *job; (job = next_job_locked(pool));)
        list_push_back(ret_refused, &job->node);
}

static void tell(struct list *refused, int err)
{
    for (struct list_node *n; (n = list_pop_front(refused));) {
        struct offload_job *job = container_of(n, struct offload_job, node);

        if (job->waited_for) {
            job->waiter.task->outcome = err;
            ready(job->waiter.task);
        } else {
            job->err = err;
            job->fn(job->arg);
        }
    }
}

static int launch(struct offload *pool)
{
    const struct memory *mem = pool->config.memory;
    struct helper *h = MEMORY_GET(mem, struct helper, 1);

    if (!h) return -ENOMEM;
    h->pool = pool;
    int err = os_thread_start(&h->thread, helper_main, h, "coir-helper", mem);
    if (err < 0) {
        MEMORY_PUT(mem, h, struct helper, 1);
        return err;
    }
    // [HELPER-LAUNCHED] release, pairs with [HELPER-JOIN]. Who joins may free h now: the wake
    // names an address only.
    store_release(&h->launched, 1);
    os_futex_wake(&h->launched, 1);
    return 0;
}

// One more helper, which is counted already.
static void add_helper(struct offload *pool)
{
    struct list refused;
    int err = launch(pool);

    if (err == 0) return;
    list_init(&refused);
    lock_acquire(&pool->lock);
    if (--pool->n_threads == 0) refuse_locked(pool, &refused);
    lock_release(&pool->lock);
    tell(&refused, err);
}

static void hand_over_locked(struct offload *pool, struct offload_job *job)
{
    struct list_node *n = list_pop_front(&pool->sleeping);
    struct helper *h = container_of(n, struct helper, node);

    h->job = job;
    pool->n_working++;
    parker_unpark(&h->parker); // under the lock: afterwards h may be gone
}

static void submit(struct offload *pool, struct offload_job *job)
{
    struct list refused;
    bool start = false;

    list_init(&refused);
    lock_acquire(&pool->lock);
    if (!list_empty(&pool->sleeping)) {
        if (claim_locked(job)) hand_over_locked(pool, job);
    } else {
        list_push_back(&pool->waiting, &job->node);
        start = pool->n_threads < pool->config.helpers_max;
        pool->n_threads += start;
        if (pool->n_threads == 0) refuse_locked(pool, &refused);
    }
    lock_release(&pool->lock);
    tell(&refused, -EAGAIN);
    if (start) add_helper(pool);
}

static int run_in(struct offload *pool, struct offload_job *job, int64_t deadline,
                  void (*armed)(void *arg, struct waiter *w), void *armed_arg)
{
    if (armed) armed(armed_arg, &job->waiter);
    submit(pool, job);
    int outcome = park(job->waiter.task, deadline);

    lock_acquire(&pool->lock);
    if (list_linked(&job->node)) list_remove(&job->node); // withdrawn
    lock_release(&pool->lock);
    return outcome;
}

int offload_run(void (*fn)(void *), void *arg, int64_t deadline,
                void (*armed)(void *arg, struct waiter *w), void *armed_arg)
{
    struct offload_job job = {.fn = fn, .arg = arg, .waited_for = true};
    struct offload *pool = park_helpers();
    struct task here;

    if (!pool) {
        fn(arg);
        return 0;
    }
    job.waiter.task = task_self(&here);
    job.waiter.ticket = wait_open(job.waiter.task, "helper", pool);
    return run_in(pool, &job, deadline, armed, armed_arg);
}

int offload_run_deaf(void (*fn)(void *), void *arg)
{
    struct offload_job job = {.fn = fn, .arg = arg, .waited_for = true};
    struct offload *pool = park_helpers();
    struct task here;

    if (!pool) {
        fn(arg);
        return 0;
    }
    job.waiter.task = task_self(&here);
    job.waiter.ticket = wait_open_shielded(job.waiter.task, "blocking call", pool);
    return run_in(pool, &job, CLOCK_NEVER, NULL, NULL);
}

// The thread of a job that was started from outside every runtime.
static void lone_job(void *arg)
{
    work(arg);
}

void offload_start(struct offload_job *job)
{
    struct offload *pool = park_helpers();
    struct os_thread thread;

    job->waited_for = false;
    job->err = 0;
    if (pool) {
        submit(pool, job);
        return;
    }
    int err = os_thread_start(&thread, lone_job, job, "coir-helper", NULL);
    if (err == 0) {
        os_thread_detach(thread);
    } else {
        job->err = err;
        job->fn(job->arg);
    }
}

int coir_blocking(void (*fn)(void *), void *arg)
{
    if (!fn) return -EINVAL;
    int done = park_in_place(fn, arg);
    if (done) return done < 0 ? done : 0;
    return offload_run_deaf(fn, arg);
}

// ---- Close ------------------------------------------------------------------------------------

static bool works_locked(struct offload *pool)
{
    return pool->n_working > 0 || !list_empty(&pool->waiting);
}

uint32_t offload_threads(struct offload *pool, bool *ret_busy)
{
    lock_acquire(&pool->lock);
    uint32_t n = pool->n_threads;
    *ret_busy = works_locked(pool);
    lock_release(&pool->lock);
    return n;
}

int offload_close(struct offload *pool, int64_t deadline)
{
    struct parker here = {0};
    int err = 0;

    if (!pool) return 0;
    lock_acquire(&pool->lock);
    pool->closing = true;
    for (struct list_node *n = pool->sleeping.head.next; n != &pool->sleeping.head;
         n = n->next)
        parker_unpark(&container_of(n, struct helper, node)->parker);
    pool->closer = &here;
    // Who does not work ends at once: that is waited for whatever the deadline is.
    while (pool->n_threads > 0 && (err == 0 || !works_locked(pool))) {
        int64_t until = works_locked(pool) ? deadline : CLOCK_NEVER;

        lock_release(&pool->lock);
        err = parker_park(&here, until);
        lock_acquire(&pool->lock);
    }
    pool->closer = NULL;
    bool is_over = pool->n_threads == 0;
    uint32_t n_working = pool->n_working;
    lock_release(&pool->lock);
    if (!is_over) return n_working > 0 ? (int)n_working : 1; // 1: just about to begin
    const struct memory *mem = pool->config.memory;
    join(mem, pool->ended);
    MEMORY_PUT(mem, pool, struct offload, 1);
    return 0;
}
