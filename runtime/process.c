// SPDX-License-Identifier: MIT
// process - programs that are started, and signals that are read.
//
// The runtime's own threads block every signal that can be blocked, so a signal of the process
// comes to a thread of the host or stays pending, where a signalfd finds it. The one host thread
// that we know is coir_run's caller. Only a thread itself can change its mask, so it is asked:
//
//     coroutine                               coir_run's caller
//     adds to to_block, links itself,
//     wakes the caller, parks         ---->   blocks the set
//                                     <----   readies everybody linked
#include <errno.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/io.h"
#include "io/offload.h"
#include "runtime/runtime.h"
#include "sched/park.h"

// ---- coir_run's caller ------------------------------------------------------------------------

// Does what was asked for; called with the lock held, returns with it. True: something was.
static bool obey_locked(struct host *h)
{
    struct list woken;

    if (list_empty(&h->askers)) return false;
    os_signals_block(&h->to_block);
    list_init(&woken);
    for (struct list_node *n; (n = list_pop_front(&h->askers));)
        if (waiter_claim(container_of(n, struct waiter, node))) list_push_back(&woken, n);
    lock_release(&h->lock);
    for (struct list_node *n; (n = list_pop_front(&woken));) {
        struct task *t = container_of(n, struct waiter, node)->task;

        t->outcome = 0;
        ready(t);
    }
    lock_acquire(&h->lock);
    return true;
}

bool host_sleep(coir_runtime *rt)
{
    struct host *h = &rt->host;
    enum deadlock dead = DEADLOCK_NO;
    bool changed = false;
    int64_t nap = 0;

    lock_acquire(&h->lock);
    while (!h->over || !list_empty(&h->askers)) {
        if (obey_locked(h)) {
            changed = true;
            dead = DEADLOCK_NO; // whoever asked looked as if nobody would wake it
            continue;
        }
        if (dead == DEADLOCK_YES) break;
        lock_release(&h->lock);
        dead = deadlock_look_or_sleep(rt, &nap);
        lock_acquire(&h->lock);
    }
    bool over = h->over;
    h->there = false;
    lock_release(&h->lock);
    if (changed) os_signals_set(&rt->starter_mask);
    return over;
}

void host_wake(coir_runtime *rt)
{
    struct host *h = &rt->host;

    lock_acquire(&h->lock);
    h->over = true;
    parker_unpark(&rt->sched.watcher);
    lock_release(&h->lock);
}

static void ask_host(coir_runtime *rt, const sigset_t *set)
{
    struct host *h = &rt->host;
    struct task here;
    struct waiter w = {.task = task_self(&here)};

    lock_acquire(&h->lock);
    os_signals_add(&h->to_block, set);
    bool asks = h->there && !h->over;
    if (asks) {
        w.ticket = wait_open_shielded(w.task, "signal mask", NULL);
        list_push_back(&h->askers, &w.node);
        parker_unpark(&rt->sched.watcher);
    }
    lock_release(&h->lock);
    if (asks) park(w.task, CLOCK_NEVER);
}

// ---- Signals ----------------------------------------------------------------------------------

int coir_signal_open(const sigset_t *set)
{
    coir_runtime *rt = runtime_self();

    if (!set || !os_signals_are_ours(set)) return -EINVAL;
    if (park_real_io() < 0) return -ENOTSUP;
    int fd = os_signalfd(set);
    if (fd >= 0 && rt) ask_host(rt, set);
    return fd;
}

// ---- Programs ---------------------------------------------------------------------------------

struct start {
    const char *file;
    char *const *argv, *const *envp;
    struct os_spawn how;
    pid_t pid;
    int err;
};

static void start_program(void *arg)
{
    struct start *s = arg;

    s->err = os_spawn(s->file, s->argv, s->envp, &s->how, &s->pid);
}

int coir_process_start(const char *file, char *const argv[], char *const envp[],
                       const coir_process_options *opts, pid_t *ret_pid)
{
    coir_runtime *rt = runtime_self();
    struct start s = {.file = file, .argv = argv, .envp = envp};
    int err = park_canceled();

    if (err < 0) return err;
    if (!file || !argv || !argv[0] || !ret_pid) return -EINVAL;
    if ((err = park_real_io()) < 0) return err;
    if (opts) {
        if (opts->n_fds && !opts->fds) return -EINVAL;
        s.how.fds = opts->fds;
        s.how.n_fds = opts->n_fds;
        s.how.directory = opts->directory;
    }
    if (rt) s.how.mask = &rt->starter_mask;
    // It lasts until the program is loaded, from a disk maybe.
    err = offload_run_deaf(start_program, &s);
    if (err == 0) err = s.err;
    if (err == 0) *ret_pid = s.pid;
    return err;
}
