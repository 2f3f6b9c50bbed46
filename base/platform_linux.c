// SPDX-License-Identifier: MIT
// platform_linux - the seam as Linux and glibc fulfil it: time and threads.
//
// The rest of the seam, each with a file of its own: platform_memory, platform_processors,
// platform_sockets, platform_files, platform_ring, platform_pump, platform_segv, platform_fork and
// platform_image. Every system call of the library is in these. errno is turned into -errno in the
// line after the call and read nowhere else.
#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/panic.h"
#include "base/platform_call.h"
#include "base/platform_fork.h"

#define ARCH_SHSTK_STATUS 0x5005 // Linux 6.6
#define ARCH_SHSTK_SHSTK 1u

// ---- Time and chance -----------------------------------------------------------------------

static int64_t kernel_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static atomic_u32 own_clocks; // threads that have one
static _Thread_local const int64_t *own_clock;

__attribute__((noinline)) static const int64_t *own_clock_here(void)
{
    __asm__ volatile(""); // never hoisted over a switch
    // relaxed: a thread that has one has counted itself
    return load_relaxed(&own_clocks) ? own_clock : NULL;
}

void os_clock_set(const int64_t *clock)
{
    // relaxed: a count
    add_relaxed(&own_clocks, (uint32_t)(clock != NULL) - (uint32_t)(own_clock != NULL));
    own_clock = clock;
}

int64_t os_now(void)
{
    // relaxed: as above
    const int64_t *own = load_relaxed(&own_clocks) ? own_clock_here() : NULL;

    return own ? *own : kernel_now();
}

// The kernel's time for one of this thread's clock.
static int64_t kernel_time(int64_t when)
{
    const int64_t *own = own_clock_here();
    int64_t real;

    if (!own || when == INT64_MAX) return when;
    return __builtin_add_overflow(kernel_now(), when - *own, &real) ? INT64_MAX : real;
}

uint64_t os_random(void)
{
    uint64_t value;

    if (UNCANCELED(getrandom(&value, sizeof(value), GRND_NONBLOCK)) == sizeof(value))
        return value;
    return (uint64_t)os_now() * 0x9e3779b97f4a7c15u ^ (uintptr_t)&value;
}

void os_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

void os_sleep_until(int64_t when)
{
    struct timespec ts = timespec_of(kernel_time(when));

    while (UNCANCELED(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)) ==
           EINTR)
        continue;
}

// ---- Threads -------------------------------------------------------------------------------

int os_futex_wait(atomic_u32 *word, uint32_t expected, int64_t deadline)
{
    struct timespec ts = timespec_of(kernel_time(deadline));
    struct timespec *limit = deadline == INT64_MAX ? NULL : &ts;

    // The bitset form takes an absolute time of CLOCK_MONOTONIC.
    if (syscall(SYS_futex, &word->value, FUTEX_WAIT_BITSET_PRIVATE, expected, limit, NULL,
                FUTEX_BITSET_MATCH_ANY) < 0 &&
        errno == ETIMEDOUT)
        return -ETIMEDOUT;
    return 0;
}

void os_futex_wake(atomic_u32 *word, int n)
{
    syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

bool os_fence_heavy_get(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) ==
               0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool os_fence_heavy(void)
{
    // After a fork it is asked for again.
    return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0 ||
           os_fence_heavy_get();
}

void platform_signals(sigset_t *ret_blocked)
{
    const int kept[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
                        SIGTRAP, SIGSYS, SIGABRT, SIGPROF};

    sigfillset(ret_blocked);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        sigdelset(ret_blocked, kept[i]);
}

struct os_thread_told {
    void (*fn)(void *);
    void *arg;
    char name[16];
    sigset_t mask; // of who starts it
    const struct memory *memory;
};

static void *thread_main(void *arg)
{
    struct os_thread_told told = *(struct os_thread_told *)arg;

    if (!told.memory)
        MEMORY_PUT(NULL, arg, struct os_thread_told, 1); // it may be detached
    pthread_setname_np(pthread_self(), told.name);
    fork_gives_back(&told.mask);
    told.fn(told.arg);
    return NULL;
}

int os_thread_start(struct os_thread *ret_thread, void (*fn)(void *), void *arg,
                    const char *name, const struct memory *mem)
{
    struct os_thread_told *told =
        fault_here(FAULT_THREAD) ? NULL : MEMORY_GET(mem, struct os_thread_told, 1);
    sigset_t blocked, before;
    pthread_t thread;

    if (!told) return -EAGAIN;
    *told = (struct os_thread_told){.fn = fn, .arg = arg, .memory = mem};
    strncat(told->name, name, sizeof(told->name) - 1);

    platform_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    told->mask = *fork_mask_of(&before);
    int err = pthread_create(&thread, NULL, thread_main, told);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err) {
        MEMORY_PUT(mem, told, struct os_thread_told, 1);
        return -err;
    }
    *ret_thread =
        (struct os_thread){.handle = (uintptr_t)thread, .told = mem ? told : NULL};
    return 0;
}

static void forget(struct os_thread thread)
{
    if (thread.told)
        MEMORY_PUT(thread.told->memory, thread.told, struct os_thread_told, 1);
}

void os_thread_join(struct os_thread thread)
{
    UNCANCELED(pthread_join((pthread_t)thread.handle, NULL));
    forget(thread);
}

bool os_thread_try_join(struct os_thread thread)
{
    if (pthread_tryjoin_np((pthread_t)thread.handle, NULL) != 0) return false;
    forget(thread);
    return true;
}

void os_thread_detach(struct os_thread thread)
{
    pthread_detach((pthread_t)thread.handle);
}

static _Thread_local void *self;
static _Thread_local uint64_t lock_ranks;
static _Thread_local uint64_t thread_id;
static _Thread_local alignas(16) char scratch[OS_SCRATCH_BYTES];
static _Thread_local alignas(16) char area[OS_AREA_BYTES];

__attribute__((noinline)) void *os_self(void)
{
    __asm__ volatile(""); // never hoisted over a switch
    return self;
}

__attribute__((noinline)) void os_self_set(void *new_self)
{
    self = new_self;
}

__attribute__((noinline)) uint64_t os_thread_id(void)
{
    if (!thread_id) thread_id = (uint64_t)syscall(SYS_gettid);
    return thread_id;
}

int64_t os_thread_cpu(uint64_t id)
{
    // As pthread_getcpuclockid makes it, without the thread's handle.
    clockid_t clock = (clockid_t)(~(uint32_t)id << 3 | 6);
    struct timespec ts;

    if (clock_gettime(clock, &ts) < 0) return -1;
    return (int64_t)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

bool os_thread_sleeps(uint64_t id)
{
    char path[64];
    char text[128];

    snprintf(path, sizeof(path), "/proc/self/task/%llu/stat", (unsigned long long)id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *state = strrchr(text, ')'); // the name before it may hold anything
    return state && state[1] == ' ' && (state[2] == 'S' || state[2] == 'D');
}

__attribute__((noinline)) uint64_t *os_lock_ranks(void)
{
    __asm__ volatile("");
    return &lock_ranks;
}

__attribute__((noinline)) void *os_scratch(void)
{
    __asm__ volatile("");
    return scratch;
}

__attribute__((noinline)) void *os_area(void)
{
    __asm__ volatile("");
    return area;
}

__attribute__((noinline)) int *os_errno(void)
{
    __asm__ volatile("");
    return &errno;
}

// Weak: there in every program that has C++ in it, and no other is asked to.
extern struct os_exceptions *__cxa_get_globals(void) __attribute__((weak));

__attribute__((noinline)) struct os_exceptions *os_exceptions(void)
{
    return __cxa_get_globals ? __cxa_get_globals() : NULL;
}

bool os_shadow_stack(void)
{
#if defined(__x86_64__)
    uint64_t features = 0;

    return syscall(SYS_arch_prctl, ARCH_SHSTK_STATUS, &features) == 0 &&
           (features & ARCH_SHSTK_SHSTK);
#else
    return false;
#endif
}
