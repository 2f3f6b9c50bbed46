// SPDX-License-Identifier: MIT
// coir/runtime.h - start and stop a runtime; yield, sleep and shield inside it.
//
// coir_run is for programs that are coroutines from the first line: it starts a runtime, runs one
// function in it and stops. coir_start and coir_stop are for programs that exist already and want
// coroutines beside what they have; several runtimes may live in one process.
//
//     static int serve(void *arg) { ... return 0; }
//     int main(void) { return coir_run(NULL, serve, NULL) == 0 ? 0 : 1; }
//
// A runtime takes nothing from its host: no signal (but the two that docs/embedding.md names),
// no standard stream, no malloc, no constructor. After coir_stop nothing of it is left.
#ifndef COIR_RUNTIME_H
#define COIR_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include <coir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// Who performs input and output.
typedef enum coir_driver {
    COIR_DRIVER_AUTO, // io_uring where the kernel grants a ring, else epoll
    COIR_DRIVER_URING, // io_uring; where it is refused the start fails with the kernel's error
    COIR_DRIVER_EPOLL
} coir_driver;

typedef enum coir_switch { COIR_DEFAULT, COIR_ON, COIR_OFF } coir_switch;

// Levels of a log line; the numbers are syslog's.
enum { COIR_LOG_ERROR = 3, COIR_LOG_WARNING = 4, COIR_LOG_INFO = 6 };

// Takes one line without a newline. Called on any thread of the runtime or of the host that makes
// a coir call; must not call back into coir. 'line' is gone when it returns.
typedef void coir_log_fn(void *arg, int level, const char *line);

// Where a runtime's own memory comes from: queues, tables, pollers, deadlines, what a coroutine's
// call needs while it lasts. Stacks are mapped, not allocated; what belongs to no runtime
// (channels, timers, the table of descriptors) and what libc makes for itself (threads, name
// look-ups) is libc's. Nothing on a fast path allocates, and all that was got is given back by
// the stop.
//
// Both functions are called from any thread, several at once, also within coir calls that hold
// internal locks: they must not call coir and should not take long. 'align' is a power of two
// and at least a pointer's size; the memory need not be zero. 'release' gets what 'alloc' was
// asked for, and never NULL.
typedef struct coir_allocator {
    void *(*alloc)(void *ctx, size_t size, size_t align); // NULL: none left
    void (*release)(void *ctx, void *p, size_t size, size_t align);
    void *ctx;
} coir_allocator;

// COIR_CONFIG_INIT fills .size and leaves the rest zero; zero means default. The struct and what
// it points to are read during the start only, but for the allocator's functions and the
// callbacks, which must work until the stop.
typedef struct coir_config {
    size_t size;
    unsigned workers;   // at most 1024; default: the affinity mask and the cgroup's cpu
                        // quota, rounded up
    size_t stack_bytes; // usable, a coroutine; default 64 KiB, from 16 KiB to 1 GiB
    size_t guard_bytes; // below each stack; default 16 KiB, at most 1 MiB
    coir_driver driver;
    const coir_allocator *allocator; // default: libc; both functions, else -EINVAL
    coir_log_fn
        *log; // default: silent; then failures say no more than their return value
    void *log_arg;
    // Called with thread_arg first and last on every thread that the runtime makes: workers,
    // helpers, and the one that watches. They need not be quick; they must not call coir. Either
    // may be NULL.
    void (*thread_start)(void *);
    void (*thread_stop)(void *);
    void *thread_arg;
    coir_switch
        overflow_report; // SIGSEGV report on own threads; default on in coir_run only
    int pump_signal; // reaches stuck threads; default: a free real-time signal; -1: none
                     // (rings that
                     // need none); else that one, which must be real-time and nobody's
    int helpers; // most helper threads for blocking calls, default 512, at most 32768;
                 // -1: none
    unsigned coroutines_max; // a spawn beyond it is -EAGAIN; default: none
    unsigned
        threads_max; // workers, those that compute or block without a worker's rights, and the
                     // watching thread; not the helpers. Default: 4 computing beside each
                     // worker and 64, 512 blocked; never less than the workers
    int64_t stop_ns; // coir_run's patience with those who do not end, default 5 s
    uint64_t seed; // other than 0: a run that can be repeated, of one worker, in an order
                   // drawn by this number, on a clock of its own: docs/seed.md

    // For a host that keeps a context of its own in each thread (an interpreter's state, a
    // tracer's span): called with switch_arg on the thread that runs a coroutine, right before
    // the coroutine begins or goes on there, and right after it stopped there, whether it waits,
    // yields or ends. The calls come in pairs on one thread, no other coroutine of this runtime
    // runs on that thread in between, and the 'out' has returned before the next 'in' of the same
    // coroutine begins elsewhere. 'id' is its coir_id; '*slot' is the host's own, a word for each
    // coroutine, NULL at first; after 'ends' it is gone: what it points to is to be freed then.
    // They run on the thread's own stack and not on the coroutine, whatever its stack is; coir
    // calls in them are an ordinary thread's, and may not wait. One that takes long is treated as
    // code that computes or blocks: other coroutines go on elsewhere. They must not throw. Calls
    // that change stacks without leaving the coroutine (coir_on_big_stack), and what a helper runs
    // for it (coir_blocking; with a seed it runs there), are not told. Either may be NULL; where
    // both are, a switch costs nothing more, else it goes by the thread's own stack:
    // docs/embedding.md.
    void (*switch_in)(void *arg, uint64_t id, void **slot);
    void (*switch_out)(void *arg, uint64_t id, void **slot, int ends);
    void *switch_arg;
} coir_config;

// What a runtime has become. COIR_INFO_INIT fills .size.
typedef struct coir_info {
    size_t size;
    coir_driver driver;     // never AUTO
    const char *driver_why; // the choice in words; lives as long as the runtime
    unsigned workers;
    size_t page_bytes, stack_bytes, guard_bytes;
} coir_info;

#ifdef __cplusplus
static inline coir_config coir_config_init_(void)
{
    coir_config config = coir_config();
    config.size = sizeof(config);
    return config;
}
static inline coir_info coir_info_init_(void)
{
    coir_info info = coir_info();
    info.size = sizeof(info);
    return info;
}
#define COIR_CONFIG_INIT coir_config_init_()
#define COIR_INFO_INIT coir_info_init_()
#else
#define COIR_CONFIG_INIT                                                                 \
    {                                                                                    \
        .size = sizeof(struct coir_config)                                               \
    }
#define COIR_INFO_INIT                                                                   \
    {                                                                                    \
        .size = sizeof(struct coir_info)                                                 \
    }
#endif

// Starts a runtime, runs fn(arg) as its first coroutine and sleeps until that returned; then
// cancels what still lives, waits config->stop_ns for it, stops. Who has not ended by then is
// named in the log and left running: it keeps its threads and memory until the process ends, and
// the result is fn's all the same. Not from a coroutine. Reads the environment (COIR_WORKERS,
// COIR_DRIVER, COIR_STACK, COIR_SEED) for what the config leaves at default; COIR_TRACE is not
// there yet: -ENOTSUP. config may be NULL. Without config->log a start that fails is
// silent, and what the log would tell is told to nobody.
// What fn returned | -EINVAL (NULL fn, a bad config or environment value) | -ENOMEM | -EAGAIN
// (no thread) | the kernel's error for a forced driver | -EDEADLK (from a coroutine; or nothing
// could run any more, which the log tells in full: docs/deadlock.md) | -ENOTSUP (COIR_TRACE; the
// process has shadow stacks: docs/stacks.md)
COIR_API int coir_run(const coir_config *config, int (*fn)(void *), void *arg);

// Starts a runtime and returns at once; any thread. Never reads the environment.
// 0 | -EINVAL (a bad config, NULL ret_rt) | -ENOMEM | -EAGAIN (no thread) | the kernel's error for
// a forced driver | -ENOTSUP (shadow stacks: docs/stacks.md)
COIR_API COIR_MUST_USE int coir_start(const coir_config *config, coir_runtime **ret_rt);

// Cancels every coroutine, waits until the deadline for them to end, frees everything. Any thread
// that is not the runtime's.
// A hosted runtime (coir/hosted.h) is stopped by the thread that takes its turns: it takes them
// here itself, and sleeps in between.
// 0: gone | > 0: so many coroutines still live, nothing was freed, call again
// | -EINVAL (NULL) | -EDEADLK (from inside this runtime) | -EALREADY (another stop runs)
// | -EPERM (after fork, in the child; hosted: another thread takes the turns)
COIR_API int coir_stop(coir_runtime *rt, int64_t deadline);

// Says what the runtime has become. rt may be NULL inside a coroutine. Never waits, any thread.
// 0 | -EINVAL (NULL, .size is 0) | -EPERM (after fork, in the child)
COIR_API int coir_query(coir_runtime *rt, coir_info *ret_info);

// The runtime of the calling coroutine; NULL outside one.
COIR_API coir_runtime *coir_current(void);

// Lets others run. Outside a coroutine: 0 and nothing else. 0 | -ECANCELED
COIR_API int coir_yield(void);

// Sleeps for 'ns'; at most zero is a yield. Any thread; an ordinary one sleeps itself. Never wakes
// early. 0 | -ECANCELED
COIR_API int coir_sleep(int64_t ns);

// Sleeps until 'when'; a time that has passed is a yield. 0 | -ECANCELED
COIR_API int coir_sleep_until(int64_t when);

// Say that the code between may block its thread (a library's own I/O, a lock of the host's): the
// worker then runs other coroutines on another thread at once, where undeclared code is
// noticed only
// after some milliseconds. They nest; waiting coir calls in between are allowed, and end the
// declaration for what follows them. Never wait, return on the same thread; outside a
// coroutine, and an end without a begin: nothing.
COIR_API void coir_blocking_begin(void);
COIR_API void coir_blocking_end(void);

// The calling coroutine's number, never re-used; 0 outside a coroutine. Never waits.
COIR_API uint64_t coir_id(void);

// The calling coroutine keeps its thread, and its thread runs no other coroutine, until as many
// unpins; for libraries whose state belongs to a thread (an OpenSSL error queue, a GL context, a
// locale, a namespace). Each wait then costs one or two wakes of threads where others run:
// docs/pinning.md. A coroutine that ends pinned takes its thread along; coir_opts(.pinned = true)
// starts one that is pinned. Never wait; start a thread at most. coir_blocking runs its function
// on another thread all the same: a pinned coroutine declares with coir_blocking_begin instead.
// 0 | -EPERM (outside a coroutine) | -EAGAIN (threads_max allows no thread beside those that are
// pinned, or 65,535 pins)
COIR_API int coir_pin(void);

// Takes one pin of the calling coroutine back; without any left it may move again. Never waits.
// 0 | -EPERM (outside a coroutine) | -EINVAL (not pinned)
COIR_API int coir_unpin(void);

// Runs fn(arg) on a stack of 'bytes' and returns when fn returned: for what is deep (getaddrinfo,
// TLS, a recursive parser) in a coroutine whose own stack is small. It is a call: the coroutine
// stays who it is, fn may wait. The stack is mapped for the call, some microseconds and a page
// fault for each page touched. Any thread.
// 0: fn ran | -EINVAL (NULL fn, bytes under 16 KiB or over 1 GiB) | -ENOMEM: it did not
COIR_API COIR_MUST_USE int coir_on_big_stack(size_t bytes, void (*fn)(void *), void *arg);

// Between begin and end the caller is deaf to cancel and to its scopes' deadlines (a call's own
// deadline still holds): for cleanup that must finish. They nest. Never wait; a coroutine or an
// ordinary thread. An end without a begin does nothing.
COIR_API void coir_shield_begin(void);
COIR_API void coir_shield_end(void);

#ifdef __cplusplus
}
#endif

#endif
