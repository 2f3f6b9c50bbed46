// SPDX-License-Identifier: MIT
// platform_segv - SIGSEGV: a look at the address, then the host's own outcome.
//
//     fault  --> handler, on the thread's alternate stack
//                   one of ours: look(address), which may print
//                   the host's handler, called as the kernel would have (one for once: once); or
//                   the host's default, put back: the instruction faults again and gets it
//
// One handler for all runtimes of the process, by counting: the first installs it, the last gives
// the disposition back, unless the host has put another one there meanwhile. Everything that the
// handler calls is fit for a handler: no lock, no allocation, errno kept.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/platform.h"

#define ALTSTACK_BYTES ((size_t)64 << 10) // a host's handler that is called has room too

static struct lock fault_lock;
static unsigned n_watches;      // guarded by fault_lock
static bool known;              // guarded by fault_lock: 'first' is
static struct sigaction before; // set before the handler can run
static struct sigaction first;  // and what was there before it came for the first time
static atomic_ptr(void) looker; // a function; NULL: nobody watches

typedef void fault_look(uintptr_t address);

// The fault that is being handed to the host, and from which frame. A handler that the host put
// over ours calls ours behind its own; in a later life of ours the two have changed places, and
// what comes back to us, deeper, goes where it would have gone in the first one. A handler that
// jumps out leaves a mark behind that no later frame lies deeper than.
static atomic_ptr(void) handed, handed_at;

static bool has_handler(const struct sigaction *act)
{
    return (act->sa_flags & SA_SIGINFO) ||
           (act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN);
}

// The signal goes on to a disposition of the host's.
static void pass_on(const struct sigaction *act, int sig, siginfo_t *info, void *context)
{
    static const struct sigaction none = {0}; // SIG_DFL

    // A handler for once is gone when it is called, or a fault that it returns to comes for ever.
    if (has_handler(act) && ((unsigned)act->sa_flags & SA_RESETHAND))
        sigaction(sig, &none, NULL);
    if (act->sa_flags & SA_SIGINFO) {
        act->sa_sigaction(sig, info, context);
    } else if (has_handler(act)) {
        act->sa_handler(sig);
    } else if (info->si_code > 0) {
        sigaction(sig, act, NULL); // the instruction is repeated and faults for good
    } else if (act->sa_handler == SIG_DFL) {
        sigaction(sig, act,
                  NULL); // somebody sent it: again, when this handler returns
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);
    }
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    int err = errno;
    char *here = __builtin_frame_address(0);
    // [FAULT-LOOK] acquire, pairs with [FAULT-SET].
    void *look = load_acquire(&looker);

    // relaxed, both: this thread's own, or another fault's, which is no match
    if (load_relaxed(&handed) == info && here < (char *)load_relaxed(&handed_at)) {
        pass_on(&first, sig, info, context);
        return;
    }
    if (look && info->si_code > 0 && os_self())
        ((fault_look *)(uintptr_t)look)((uintptr_t)info->si_addr);
    store_relaxed(&handed, info); // relaxed, all: as above
    store_relaxed(&handed_at, here);
    errno = err;
    pass_on(&before, sig, info, context);
    store_relaxed(&handed, NULL);
}

void os_fault_begin(fault_look *look)
{
    lock_acquire(&fault_lock);
    if (n_watches++ == 0) {
        struct sigaction act = {.sa_sigaction = on_fault};
        struct sigaction now;

        sigaction(SIGSEGV, NULL, &now);
        if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_fault) before = now;
        if (!known) first = before;
        known = true;
        act.sa_mask = before.sa_mask;
        act.sa_flags =
            SA_SIGINFO | SA_ONSTACK | (before.sa_flags & (SA_NODEFER | SA_RESTART));
        // [FAULT-SET] release, pairs with [FAULT-LOOK]: 'before' is there.
        store_release(&looker, (void *)(uintptr_t)look);
        sigaction(SIGSEGV, &act, NULL);
    }
    lock_release(&fault_lock);
}

void os_fault_end(void)
{
    struct sigaction now;

    lock_acquire(&fault_lock);
    if (--n_watches == 0) {
        sigaction(SIGSEGV, NULL, &now);
        if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault)
            sigaction(SIGSEGV, &before, NULL);
        // [FAULT-SET] release, pairs with [FAULT-LOOK]: a host that chains to us gets its own.
        store_release(&looker, NULL);
    }
    lock_release(&fault_lock);
}

struct altstack {
    stack_t before;
    size_t bytes;
};

void *os_altstack_begin(void)
{
    char *base = os_map(ALTSTACK_BYTES);
    struct altstack *a = (struct altstack *)(void *)base;
    stack_t mine = {.ss_sp = base + sizeof(*a), .ss_size = ALTSTACK_BYTES - sizeof(*a)};

    if (!base) return NULL;
    a->bytes = ALTSTACK_BYTES;
    if (sigaltstack(&mine, &a->before) == 0) return a;
    os_unmap(base, ALTSTACK_BYTES);
    return NULL;
}

void os_altstack_end(void *altstack)
{
    struct altstack *a = altstack;

    if (!a) return;
    sigaltstack(&a->before, NULL);
    os_unmap(a, a->bytes);
}
