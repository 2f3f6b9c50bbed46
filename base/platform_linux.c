// SPDX-License-Identifier: MIT
// platform_linux - the seam as Linux and glibc fulfil it: time, threads, memory, descriptors.
//
// Rings stand in platform_ring.c, files and processes in platform_files.c. Every system call of the
// library is in these three.
// errno is turned into -errno in the line after the call and read nowhere else.
#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/platform_call.h"
#ifdef COIR_ASAN
#include <sanitizer/asan_interface.h>
#endif

#include "base/platform_fork.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#include "base/fault.h"

#include "base/panic.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 // Linux 6.13
#endif

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 // Linux 5.18
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000) // Linux 6.14; before it the advice goes piece by piece
#endif

#define ARCH_SHSTK_STATUS 0x5005 // Linux 6.6
#define ARCH_SHSTK_SHSTK 1u
#define ADVICE_BATCH 64u // of one process_madvise
#define NS_PER_SEC 1000000000

// ---- Time and chance -----------------------------------------------------------------------

int64_t os_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};
}

uint64_t os_random(void)
{
    uint64_t value;

    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) == sizeof(value)) return value;
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
    struct timespec ts = timespec_of(when);

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR) continue;
}

// ---- Threads -------------------------------------------------------------------------------

int os_futex_wait(atomic_u32 *word, uint32_t expected, int64_t deadline)
{
    struct timespec ts = timespec_of(deadline);
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

void os_fence_heavy(void)
{
    // A filter that came later, or a fork: asked for again. Without it nothing would hold.
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0)
        must(os_fence_heavy_get());
}

void platform_signals(sigset_t *ret_blocked)
{
    const int kept[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
                        SIGTRAP, SIGSYS, SIGABRT, SIGPROF};

    sigfillset(ret_blocked);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        sigdelset(ret_blocked, kept[i]);
}

struct thread_start {
    void (*fn)(void *);
    void *arg;
    char name[16];
    sigset_t mask; // of who starts it
};

static void *thread_main(void *arg)
{
    struct thread_start start = *(struct thread_start *)arg;

    free(arg);
    pthread_setname_np(pthread_self(), start.name);
    fork_gives_back(&start.mask);
    start.fn(start.arg);
    return NULL;
}

int os_thread_start(struct os_thread *ret_thread, void (*fn)(void *), void *arg,
                    const char *name)
{
    struct thread_start *start =
        fault_here(FAULT_THREAD) ? NULL : calloc(1, sizeof(*start));
    sigset_t blocked, before;
    pthread_t thread;

    if (!start) return -EAGAIN;
    *start = (struct thread_start){.fn = fn, .arg = arg};
    strncat(start->name, name, sizeof(start->name) - 1);

    platform_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    start->mask = *fork_mask_of(&before);
    int err = pthread_create(&thread, NULL, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err) {
        free(start);
        return -err;
    }
    ret_thread->handle = (uintptr_t)thread;
    return 0;
}

void os_thread_join(struct os_thread thread)
{
    pthread_join((pthread_t)thread.handle, NULL);
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

// ---- How many processors ---------------------------------------------------------------------

static unsigned affinity_count(void)
{
    for (size_t cpus = 1024; cpus <= 1u << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        size_t bytes = CPU_ALLOC_SIZE(cpus);
        int err = set ? sched_getaffinity(0, bytes, set) : -1;
        unsigned n = err == 0 ? (unsigned)CPU_COUNT_S(bytes, set) : 0;

        CPU_FREE(set);
        if (err == 0) return n;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

// The processors that one cgroup directory grants; UINT_MAX where it says nothing.
static unsigned quota_of(const char *dir)
{
    char path[PATH_MAX + 32];
    long long quota = -1;
    long long period = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/cpu.max", dir); // version 2
    if ((file = fopen(path, "re"))) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = -1;
        fclose(file);
    } else {
        snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir); // version 1
        if ((file = fopen(path, "re"))) {
            if (fscanf(file, "%lld", &quota) != 1) quota = -1;
            fclose(file);
        }
        snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
        if ((file = fopen(path, "re"))) {
            if (fscanf(file, "%lld", &period) != 1) period = 0;
            fclose(file);
        }
    }
    if (quota <= 0 || period <= 0) return UINT_MAX;
    long long n = (quota + period - 1) / period;
    return n > INT_MAX ? UINT_MAX : (unsigned)n;
}

// The least grant from the group at mount + path up to the mount itself.
static unsigned quota_above(const char *mount, const char *path)
{
    char dir[PATH_MAX];
    unsigned least = UINT_MAX;
    size_t top = strlen(mount);
    int n = snprintf(dir, sizeof(dir), "%s%s", mount, path);

    if (n < 0 || (size_t)n >= sizeof(dir)) return least;
    for (;;) {
        unsigned here = quota_of(dir);
        char *slash = strrchr(dir, '/');

        if (here < least) least = here;
        if (strlen(dir) <= top || !slash || slash < dir + top) return least;
        *slash = 0;
    }
}

static unsigned cgroup_count(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    unsigned least = UINT_MAX;

    while (file && fgets(line, sizeof(line), file)) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        unsigned here = UINT_MAX;

        if (!path) continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        if (controllers[1] == 0)
            here = quota_above("/sys/fs/cgroup", path);
        else if (strstr(controllers + 1, "cpu") && !strstr(controllers + 1, "cpuset"))
            here = quota_above("/sys/fs/cgroup/cpu", path);
        if (here < least) least = here;
    }
    if (file) fclose(file);
    return least;
}

unsigned os_cpu_count(void)
{
    unsigned n = affinity_count();
    unsigned quota = cgroup_count();

    if (quota < n) n = quota;
    return n > 0 ? n : 1;
}

// ---- How many threads ------------------------------------------------------------------------

unsigned os_thread_count(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned n = 0;

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "Threads:", 8) == 0) n = (unsigned)strtoul(line + 8, NULL, 10);
    if (file) fclose(file);
    return n;
}

// ---- Memory --------------------------------------------------------------------------------

void *os_alloc(size_t bytes, size_t align)
{
    void *p = NULL;

    if (fault_here(FAULT_ALLOC)) return NULL;
    if (align < sizeof(void *)) align = sizeof(void *);
    if (posix_memalign(&p, align, bytes)) return NULL;
    memset(p, 0, bytes);
    return p;
}

void os_free(void *p)
{
    free(p);
}

size_t os_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

#define MAP_WHAT (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK)

// Makes a mapping that was made without access usable. Under mlockall(MCL_FUTURE) the kernel
// would have filled every page of it at once; without access it could not, and from now on a page
// is locked when it is touched. -ENOMEM
static int open_mapping(void *p, size_t bytes, size_t page)
{
    if (madvise(p, page, MADV_DONTNEED) < 0 && errno == EINVAL)
        mlock2(p, bytes, MLOCK_ONFAULT);
    if (mprotect(p, bytes, PROT_READ | PROT_WRITE) < 0) return -ENOMEM;
    madvise(p, bytes, MADV_NOHUGEPAGE); // a kernel without huge pages refuses: as well
    return 0;
}

int os_renew(void *p, size_t bytes)
{
    // Never without access, not for a moment: somebody may look. So not where memory is locked.
    if (madvise(p, os_page_bytes(), MADV_DONTNEED) < 0) return -ENOMEM;
    if (mmap(p, bytes, PROT_READ | PROT_WRITE, MAP_WHAT | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -ENOMEM;
    madvise(p, bytes, MADV_NOHUGEPAGE);
    return 0;
}

void *os_map(size_t bytes)
{
    if (fault_here(FAULT_MAP)) return NULL;
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_WHAT, -1, 0);

    if (p == MAP_FAILED) return NULL;
    if (open_mapping(p, bytes, os_page_bytes()) < 0) {
        munmap(p, bytes);
        return NULL;
    }
#ifdef COIR_ASAN
    // The marks of a stack that lay here before it was unmapped.
    __asan_unpoison_memory_region(p, bytes);
#endif
    return p;
}

void os_unmap(void *p, size_t bytes)
{
    munmap(p, bytes);
}

// The same advice for n pieces, each of 'bytes': in one call where the kernel takes advice for
// oneself in batches (Linux 6.13). 0 | what madvise says
static int advise_all(void *const *pieces, size_t bytes, unsigned n, int advice)
{
    struct iovec batch[ADVICE_BATCH];

    for (unsigned i = 0; i < n;) {
        unsigned k = 0;
        while (k < ADVICE_BATCH && i + k < n) {
            batch[k] = (struct iovec){pieces[i + k], bytes};
            k++;
        }
        ssize_t done = syscall(SYS_process_madvise, PIDFD_SELF, batch, k, advice, 0);
        if (done == (ssize_t)(k * bytes)) {
            i += k;
            continue;
        }
        for (unsigned j = 0; j < k; j++, i++) {
            int err = RETRY(madvise(pieces[i], bytes, advice));
            if (err < 0) return err;
        }
    }
    return 0;
}

void os_discard(void *const *pieces, size_t bytes, unsigned n)
{
    // Locked memory wants a word of its own.
    if (advise_all(pieces, bytes, n, MADV_DONTNEED) < 0)
        advise_all(pieces, bytes, n, MADV_DONTNEED_LOCKED);
}

size_t os_first_touched(const void *low, size_t bytes)
{
    size_t page = os_page_bytes();
    unsigned char there[64];

    for (size_t at = 0; at < bytes; at += sizeof(there) * page) {
        size_t left = (bytes - at + page - 1) / page;
        size_t n = left < sizeof(there) ? left : sizeof(there);

        if (mincore((char *)(uintptr_t)low + at, n * page, there) < 0) return bytes;
        for (size_t i = 0; i < n; i++)
            if (there[i] & 1) return at + i * page;
    }
    return bytes;
}

// True if the kernel itself cannot read the byte at p: qemu-user accepts any advice.
static bool is_guarded(const void *p)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ssize_t n;

    if (fd < 0) return false;
    n = write(fd, p, sizeof(uint64_t));
    bool guarded = n < 0 && errno == EFAULT;
    close(fd);
    return guarded;
}

int os_guard_light(void *first, size_t bytes, size_t stride, unsigned n)
{
    static atomic_u32 believed;
    void *guards[ADVICE_BATCH];

    if (fault_here(FAULT_LIGHT)) return -EINVAL;
    if (fault_here(FAULT_GUARD)) return -ENOMEM;
    for (unsigned i = 0; i < n;) {
        unsigned k = 0;
        while (k < ADVICE_BATCH && i < n) guards[k++] = (char *)first + i++ * stride;
        int err = advise_all(guards, bytes, k, MADV_GUARD_INSTALL);

        if (err == -EINVAL || err == -ENOMEM) return err;
        if (err < 0) return -EINVAL;
        if (load_relaxed(&believed)) continue; // relaxed: a fact about the kernel
        if (!is_guarded(guards[0])) return -EINVAL;
        store_relaxed(&believed, 1); // relaxed: as above
    }
    return 0;
}

int os_guard_protect(void *p, size_t bytes)
{
    if (fault_here(FAULT_GUARD)) return -ENOMEM;
    return ONCE(mprotect(p, bytes, PROT_NONE));
}

void os_stack_note(void *low, void *high)
{
#ifdef VALGRIND_STACK_REGISTER
    (void)VALGRIND_STACK_REGISTER(low, high); // for good: slots are not unmapped
#else
    (void)low;
    (void)high;
#endif
}

unsigned os_map_limit(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    unsigned limit = 0;

    if (file) {
        if (fscanf(file, "%u", &limit) != 1) limit = 0;
        fclose(file);
    }
    return limit ? limit : 65530;
}

// ---- Descriptors -----------------------------------------------------------------------------

int os_eventfd(void)
{
    if (fault_here(FAULT_FD)) return -EMFILE;
    return ONCE(eventfd(0, EFD_CLOEXEC));
}

ssize_t os_read(int fd, void *buf, size_t n)
{
    return RETRY(read(fd, buf, n));
}

ssize_t os_write(int fd, const void *buf, size_t n)
{
    return RETRY(write(fd, buf, n));
}

ssize_t os_readv(int fd, const struct iovec *iov, int n, int64_t offset)
{
    return RETRY(preadv2(fd, iov, n, offset, 0));
}

void os_sigpipe_drop(void)
{
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigtimedwait(&pipe_only, NULL, &(struct timespec){0});
}

// Around a write to what may have no reader: SIGPIPE must neither come nor stay. Workers block
// it for ever (os_thread_start); a thread of the host's may wait for it, or have one pending.
struct hush {
    sigset_t before;
    bool done, was_pending;
};

static void hush_begin(struct hush *h)
{
    sigset_t pipe_only, pending;

    h->done = false;
    h->was_pending = false;
    if (os_self()) return;
    sigpending(&pending);
    h->was_pending = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    h->done = pthread_sigmask(SIG_BLOCK, &pipe_only, &h->before) == 0;
}

static ssize_t hush_end(const struct hush *h, ssize_t result)
{
    if (result == -EPIPE && !h->was_pending) os_sigpipe_drop();
    if (h->done) pthread_sigmask(SIG_SETMASK, &h->before, NULL);
    return result;
}

ssize_t os_writev(int fd, const struct iovec *iov, int n, int64_t offset)
{
    struct hush h;

    hush_begin(&h);
    return hush_end(&h, RETRY(pwritev2(fd, iov, n, offset, 0)));
}

ssize_t os_readv_nowait(int fd, const struct iovec *iov, int n, int64_t offset)
{
    return RETRY(preadv2(fd, iov, n, offset, RWF_NOWAIT));
}

ssize_t os_writev_nowait(int fd, const struct iovec *iov, int n, int64_t offset)
{
    struct hush h;

    hush_begin(&h);
    return hush_end(&h, RETRY(pwritev2(fd, iov, n, offset, RWF_NOWAIT)));
}

ssize_t os_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return RETRY(recvmsg(fd, msg, flags));
}

ssize_t os_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return RETRY(sendmsg(fd, msg, flags | MSG_NOSIGNAL));
}

ssize_t os_recv(int fd, void *buf, size_t n, int flags)
{
    return RETRY(recv(fd, buf, n, flags));
}

ssize_t os_send(int fd, const void *buf, size_t n, int flags)
{
    return RETRY(send(fd, buf, n, flags | MSG_NOSIGNAL));
}

int os_socket(int domain, int type, int protocol)
{
    if (fault_here(FAULT_FD)) return -EMFILE;
    return ONCE(socket(domain, type | SOCK_CLOEXEC, protocol));
}

int os_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    return ONCE(bind(fd, addr, len));
}

int os_listen(int fd, int backlog)
{
    return ONCE(listen(fd, backlog));
}

int os_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    if (fault_here(FAULT_FD)) return -EMFILE;
    return RETRY(accept4(fd, addr, len, flags | SOCK_CLOEXEC));
}

// Not retried: an interrupted connect goes on in the kernel, and a second one is EALREADY.
int os_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    return ONCE(connect(fd, addr, len));
}

int os_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    return ONCE(getsockopt(fd, level, name, value, len));
}

int os_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return ONCE(setsockopt(fd, level, name, value, len));
}

int os_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    return ONCE(getsockname(fd, addr, len));
}

int os_shutdown(int fd, int how)
{
    return ONCE(shutdown(fd, how));
}

int os_close(int fd)
{
    return ONCE(close(fd));
}

int os_fcntl_getfl(int fd)
{
    return ONCE(fcntl(fd, F_GETFL));
}

int os_fcntl_setfl(int fd, int flags)
{
    return ONCE(fcntl(fd, F_SETFL, flags));
}

// How long from now; for interfaces that take a duration. Never early: they round up.
static struct timespec *time_left(int64_t deadline, struct timespec *ts)
{
    int64_t left = deadline - os_now();

    if (deadline == INT64_MAX) return NULL;
    *ts = timespec_of(left > 0 ? left : 0);
    return ts;
}

int os_poll(struct pollfd *fds, unsigned n, int64_t deadline)
{
    struct timespec ts;
    int ready = ONCE(ppoll(fds, n, time_left(deadline, &ts), NULL));

    return ready == -EINTR ? 0 : ready;
}

unsigned os_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
    return limit.rlim_cur > INT_MAX ? INT_MAX : (unsigned)limit.rlim_cur;
}

int os_fd_kind(int fd)
{
    struct stat st;
    int err = ONCE(fstat(fd, &st));

    return err < 0 ? err : (int)(st.st_mode & S_IFMT);
}

// ---- epoll ---------------------------------------------------------------------------------

int os_epoll_open(void)
{
    if (fault_here(FAULT_FD)) return -EMFILE;
    return ONCE(epoll_create1(EPOLL_CLOEXEC));
}

int os_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    return ONCE(epoll_ctl(epfd, op, fd, event));
}

int os_epoll_wait(int epfd, struct epoll_event *events, int n, int64_t deadline)
{
    static atomic_u32 no_pwait2; // before Linux 5.11
    struct timespec ts;
    struct timespec *left = time_left(deadline, &ts);

    if (!load_relaxed(&no_pwait2)) { // relaxed, both: a fact about the kernel
        int ready = ONCE(epoll_pwait2(epfd, events, n, left, NULL));
        if (ready != -ENOSYS) return ready == -EINTR ? 0 : ready;
        store_relaxed(&no_pwait2, 1);
    }
    int ms = -1; // rounded up: never early
    if (left)
        ms = left->tv_sec > 1000000
                 ? 1000000000
                 : (int)(left->tv_sec * 1000 + (left->tv_nsec + 999999) / 1000000);
    int ready = ONCE(epoll_wait(epfd, events, n, ms));
    return ready == -EINTR ? 0 : ready;
}
