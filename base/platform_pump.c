// SPDX-License-Identifier: MIT
// platform_pump - the signal that lets a stuck thread's ring go on, and its handler.
//
//     another thread                          the stuck thread, in foreign code
//     sent = 1, rt_tgsigqueueinfo(box) ----->  handler: is the box open? enter the ring,
//                                              copy a backtrace if asked; sent = 0
//
// S1  The handler takes no lock, allocates nothing, reads no thread-local and not even errno: its
//     system calls are bare instructions. It is not instrumented, and the disposition is set by the
//     bare system call, so that ThreadSanitizer does not put the signal off until the thread comes
//     by: a stuck one does not.
// S2  Boxes stand in one array of the process and are checked against it: a stranger's signal with
//     some other value does nothing. A box is open only while its thread is outside the runtime,
//     and shut by that thread itself before it touches its ring (netpoll.c, the lending).
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/platform.h"

#define BOXES 4096
#define IORING_ENTER_GETEVENTS_ 1u
#define SIGNALS 65

#ifdef __clang__
#define UNINSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define UNINSTRUMENTED                                                                   \
    __attribute__((noinline, no_sanitize("address", "thread", "undefined")))
#endif

static struct os_pump boxes[BOXES];

static struct lock taking; // of what follows; zero-filled is free
static unsigned users[SIGNALS];
static int shared_signal; // that those without a wish use; 0: none

// ---- The handler ---------------------------------------------------------------------------

#if defined(__x86_64__)
UNINSTRUMENTED static long bare_call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = 0;
    register long r9 __asm__("r9") = 0;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

UNINSTRUMENTED static void read_context(const ucontext_t *uc, uintptr_t *pc,
                                        uintptr_t *fp)
{
    *pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    *fp = (uintptr_t)uc->uc_mcontext.gregs[REG_RBP];
}

// Where the kernel returns from a handler that was set without libc.
void pump_restorer(void);
__asm__(".text\n"
        ".globl pump_restorer\n"
        ".hidden pump_restorer\n"
        ".type pump_restorer, @function\n"
        "pump_restorer:\n"
        "    movl $15, %eax\n" // rt_sigreturn
        "    syscall\n"
        ".size pump_restorer, . - pump_restorer\n");
#define RESTORER pump_restorer
#define RESTORER_FLAG 0x04000000ul
#else
UNINSTRUMENTED static long bare_call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = 0;
    register long x5 __asm__("x5") = 0;

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

UNINSTRUMENTED static void read_context(const ucontext_t *uc, uintptr_t *pc,
                                        uintptr_t *fp)
{
    *pc = uc->uc_mcontext.pc;
    *fp = uc->uc_mcontext.regs[29];
}
#define RESTORER NULL
#define RESTORER_FLAG 0ul
#endif

// The frame pointers of the interrupted code, while they stay on its stack and go up. Code without
// them ends the walk early, no more.
UNINSTRUMENTED static void walk(struct os_pump *box, const ucontext_t *uc)
{
    uint32_t n = 0;
    uintptr_t pc, fp;

    read_context(uc, &pc, &fp);
    box->frames[n++] = pc;
    while (n <= OS_PUMP_FRAMES && fp >= box->low && fp + 16 <= box->high && fp % 8 == 0) {
        const uintptr_t *frame = (const uintptr_t *)fp;

        if (!frame[1]) break;
        box->frames[n++] = frame[1];
        if (frame[0] <= fp) break;
        fp = frame[0];
    }
    box->n_frames = n;
}

// What was published is submitted, what completed is brought. Two calls: one that is told to submit
// more than there is returns before it looks for events.
UNINSTRUMENTED static void enter(const struct os_pump *box)
{
    bare_call(SYS_io_uring_enter, box->ring_fd, box->entries, 0, 0);
    bare_call(SYS_io_uring_enter, box->ring_fd, 0, 0, IORING_ENTER_GETEVENTS_);
}

UNINSTRUMENTED static void on_pump(int signal, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_value.sival_ptr;
    struct os_pump *box = (struct os_pump *)at;

    (void)signal;
    if (info->si_code != SI_QUEUE || at < (uintptr_t)boxes ||
        at >= (uintptr_t)(boxes + BOXES) ||
        (at - (uintptr_t)boxes) % sizeof(boxes[0]) != 0)
        return; // S2
    if ((uint64_t)bare_call(SYS_gettid, 0, 0, 0, 0) != box->thread) return;
    // [PUMP-OPEN] acquire, pairs with [PUMP-LEND].
    if (__atomic_load_n(&box->open.value, __ATOMIC_ACQUIRE)) {
        if (box->ring_fd >= 0) enter(box);
        if (__atomic_load_n(&box->asked.value, __ATOMIC_ACQUIRE) == PUMP_ASKED) {
            walk(box, context);
            __atomic_store_n(&box->asked.value, PUMP_ANSWERED, __ATOMIC_RELEASE);
        }
    }
    __atomic_store_n(&box->sent.value, 0, __ATOMIC_RELEASE);
}

// ---- The disposition -----------------------------------------------------------------------

struct kernel_action {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static int set_action(int signal, const struct kernel_action *action,
                      struct kernel_action *ret_was)
{
    return (int)bare_call(SYS_rt_sigaction, signal, (long)(uintptr_t)action,
                          (long)(uintptr_t)ret_was, sizeof(action->mask));
}

// Takes the signal if nobody has it. 0 | -EBUSY
static int take_signal_locked(int signal)
{
    struct kernel_action ours = {.handler = on_pump,
                                 .flags =
                                     SA_SIGINFO | SA_RESTART | SA_ONSTACK | RESTORER_FLAG,
                                 .restorer = RESTORER,
                                 .mask = ~UINT64_C(0)};
    struct kernel_action was = {0};

    if (users[signal] == 0) {
        if (set_action(signal, NULL, &was) < 0 || was.handler != (void *)SIG_DFL)
            return -EBUSY;
        if (set_action(signal, &ours, NULL) < 0) return -EBUSY;
    }
    users[signal]++;
    return 0;
}

static int take_any_locked(void)
{
    if (shared_signal && take_signal_locked(shared_signal) == 0) return shared_signal;
    for (int signal = SIGRTMAX - 1; signal > SIGRTMIN; signal--) { // the ends are popular
        if (users[signal] > 0 || take_signal_locked(signal) < 0) continue;
        return shared_signal = signal;
    }
    return -EBUSY;
}

int os_pump_begin(int wanted)
{
    int signal = wanted;

    if (wanted && (wanted < SIGRTMIN || wanted > SIGRTMAX)) return -EINVAL;
    lock_acquire(&taking);
    if (!wanted)
        signal = take_any_locked();
    else if (take_signal_locked(wanted) < 0)
        signal = -EBUSY;
    lock_release(&taking);
    return signal;
}

void os_pump_end(int signal)
{
    struct kernel_action none = {.handler = (void *)SIG_DFL};
    struct kernel_action was = {0};

    lock_acquire(&taking);
    if (--users[signal] == 0) {
        if (signal == shared_signal) shared_signal = 0;
        set_action(signal, NULL, &was);
        if (was.handler == on_pump) set_action(signal, &none, NULL);
    }
    lock_release(&taking);
}

// ---- Boxes ---------------------------------------------------------------------------------

struct os_pump *os_pump_get(int signal)
{
    sigset_t only;

    for (uint32_t i = 0; i < BOXES; i++) {
        struct os_pump *box = &boxes[i];
        uint32_t free = 0;

        // [PUMP-BOX] acquire, pairs with [PUMP-BOX-FREE]: its last thread is done with it.
        // relaxed: the CAS decides
        if (load_relaxed(&box->taken) || !cas_acquire(&box->taken, &free, 1)) continue;
        box->thread = os_thread_id();
        box->signal = signal;
        box->ring_fd = -1;
        // relaxed, both: nobody knows the box yet
        store_relaxed(&box->sent, 0);
        store_relaxed(&box->asked, PUMP_UNASKED);
        sigemptyset(&only);
        sigaddset(&only, signal);
        pthread_sigmask(SIG_UNBLOCK, &only, NULL);
        return box;
    }
    return NULL;
}

void os_pump_put(struct os_pump *box)
{
    if (!box) return;
    box->thread = 0; // one that is still under way finds another thread's number
    // [PUMP-BOX-FREE] release, pairs with [PUMP-BOX].
    store_release(&box->taken, 0);
}

bool os_pump_send(struct os_pump *box)
{
    siginfo_t info;

    // [PUMP-SENT] acquire, pairs with itself (the handler stores 0 at its end): one at a time.
    if (swap_acquire(&box->sent, 1)) return false;
    memset(&info, 0, sizeof(info));
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = box;
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), (int)box->thread, box->signal, &info) <
        0) {
        store_relaxed(&box->sent, 0); // relaxed: the next look tries again
        return false;
    }
    return true;
}

bool os_pump_answered(struct os_pump *box)
{
    // [PUMP-SENT] acquire, pairs with itself: the handler stores 0 at its end.
    return load_acquire(&box->sent) == 0;
}
