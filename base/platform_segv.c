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
static struct sigaction before; // set before the handler can run
static atomic_ptr(void) looker; // a function; NULL: nobody watches
typedef void fault_look(uintptr_t address);

static bool has_handler(const struct sigaction *act)
{
    return (act->sa_flags & SA_SIGINFO) ||
           (act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN);
}

// The signal goes on to the host's disposition.
static void pass_on(int sig, siginfo_t *info, void *context)
{
    static const struct sigaction none = {0}; // SIG_DFL

    // A handler for once is gone when it is called, or a fault that it returns to comes for ever.
    if (has_handler(&before) && ((unsigned)before.sa_flags & SA_RESETHAND))
        sigaction(sig, &none, NULL);
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(sig, info, context);
    } else if (has_handler(&before)) {
        before.sa_handler(sig);
    } else if (info->si_code > 0) {
        sigaction(sig, &before, NULL); // the instruction is repeated and faults for good
    } else if (before.sa_handler == SIG_DFL) {
        sigaction(sig, &before,
                  NULL); // somebody sent it: again, when this handler returns
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);
    }
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    int err = errno;
    // [FAULT-LOOK] acquire, pairs with [FAULT-SET].
    void *look = load_acquire(&looker);

    if (look && info->si_code > 0 && os_self())
        ((fault_look *)(uintptr_t)look)((uintptr_t)info->si_addr);
    errno = err;
    pass_on(sig, info, context);
}

void os_fault_begin(fault_look *look)
{
    lock_acquire(&fault_lock);
    if (n_watches++ == 0) {
        struct sigaction act = {.sa_sigaction = on_fault};
        struct sigaction now;

        sigaction(SIGSEGV, NULL, &now);
        if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_fault) before = now;
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
