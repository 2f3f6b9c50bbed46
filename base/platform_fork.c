// SPDX-License-Identifier: MIT
// platform_fork - what fork(2) needs: a number that says "this is another process now".
//
// One handler of pthread_atfork, registered at the first start and never before, acts in the child
// alone (docs/adr/0080). It only writes words: other threads' locks may be held for ever there.
#include "base/platform_fork.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/platform.h"

#define HOOKS 4

static atomic_u32 forks;
static atomic_ptr(os_fork_hook) hooks[HOOKS];
static _Thread_local sigset_t given_back;
static _Thread_local bool gives_back;

void fork_gives_back(const sigset_t *mask)
{
    given_back = *mask;
    gives_back = true;
}

const sigset_t *fork_mask_of(const sigset_t *mask)
{
    return gives_back ? &given_back : mask;
}

bool fork_is_ours(void)
{
    return gives_back;
}

static void in_child(void)
{
    store_relaxed(&forks, load_own(&forks) + 1); // relaxed: there is no other thread
    os_self_set(NULL); // whoever forked is an ordinary thread here
    if (gives_back) pthread_sigmask(SIG_SETMASK, &given_back, NULL);
    gives_back = false;
    for (int i = 0; i < HOOKS; i++) {
        os_fork_hook *hook = load_relaxed(&hooks[i]); // relaxed: as above

        if (hook) hook();
    }
}

uint32_t os_forks(void)
{
    return load_relaxed(&forks); // relaxed: constant in a process that has threads
}

int os_on_fork(os_fork_hook *hook)
{
    static atomic_u32 registered;

    for (int i = 0; i < HOOKS; i++) {
        os_fork_hook *was = NULL;

        // relaxed, both: a child has what its parent's forking thread had seen
        if (load_relaxed(&hooks[i]) == hook || cas_relaxed(&hooks[i], &was, hook)) break;
        if (was == hook) break;
    }
    // [FORK-ONE] acq_rel, pairs with itself: of many who start first one registers.
    if (swap_acq_rel(&registered, 1)) return 0;
    int err = pthread_atfork(NULL, NULL, in_child);
    // [FORK-ONE] release, pairs with itself: the next start tries again.
    if (err) store_release(&registered, 0);
    return -err;
}

void os_thread_end(void)
{
    for (;;) syscall(SYS_exit, 0);
}
