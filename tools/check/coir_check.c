// SPDX-License-Identifier: MIT
// coir_check - names the coroutine that waits while it holds a pthread lock.
//
//     LD_PRELOAD=/usr/lib/libcoir_check.so ./server
//
// Such a lock is a trap: the coroutine may go on on another thread, which may not unlock it, and
// whoever else wants it on this thread blocks the thread that would have to run its holder. The
// library stands before libc and notes every lock that a coroutine takes; libcoir tells it when a
// coroutine is about to wait (coir_watch_parks_). Each place that takes such a lock is named once,
// on standard error: this is a tool, not a library.
//
// It sees locks taken through the dynamic symbols of libc (C++'s std::mutex too) and coroutines of
// a libcoir.so that is loaded at the start of the process.
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <coir.h>

#define HELD_MOST 4096
#define SITES_MOST 256

struct held {
    const void *lock;
    const char *kind;
    void *site; // who took it
    uint64_t id;
};

static struct held held[HELD_MOST];
static _Atomic unsigned n_held;
static void *said[SITES_MOST];
static unsigned n_said;
static atomic_flag busy = ATOMIC_FLAG_INIT;
static uint64_t (*_Atomic id_of_caller)(void);

static void enter(void)
{
    while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) continue;
}

static void leave(void)
{
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

// ---- What is held ------------------------------------------------------------------------------

static void note(const void *lock, const char *kind, void *site)
{
    uint64_t (*id)(void) = atomic_load(&id_of_caller);
    uint64_t me = id ? id() : 0;

    if (!me) return;
    enter();
    unsigned n = atomic_load(&n_held);
    if (n < HELD_MOST) {
        held[n] = (struct held){lock, kind, site, me};
        atomic_store(&n_held, n + 1);
    }
    leave();
}

// The caller's entry if there is one: a read lock has many holders.
static void forget(const void *lock)
{
    uint64_t (*id)(void) = atomic_load(&id_of_caller);
    unsigned found = HELD_MOST;

    if (atomic_load(&n_held) == 0 || !id) return;
    uint64_t me = id();
    enter();
    unsigned n = atomic_load(&n_held);
    for (unsigned i = n; i-- > 0;) {
        if (held[i].lock != lock) continue;
        found = i;
        if (held[i].id == me) break;
    }
    if (found < n) {
        held[found] = held[n - 1];
        atomic_store(&n_held, n - 1);
    }
    leave();
}

static bool first_time(void *site)
{
    for (unsigned i = 0; i < n_said; i++)
        if (said[i] == site) return false;
    if (n_said < SITES_MOST) said[n_said++] = site;
    return true;
}

static void say(const struct held *h, const char *name, const char *waits_on,
                const coir_site *site)
{
    char text[512];
    Dl_info at;
    bool known = dladdr(h->site, &at) != 0;
    bool named = known && at.dli_sname;
    const char *base = known ? (named ? at.dli_saddr : at.dli_fbase) : NULL;
    int n = snprintf(
        text, sizeof(text),
        "coir_check: coroutine %llu%s%s%s, spawned at %s:%d, waits (%s) while it holds the "
        "pthread %s %p, taken at %s+0x%zx\n",
        (unsigned long long)h->id, *name ? " \"" : "", name, *name ? "\"" : "",
        site ? site->file : "?", site ? site->line : 0, waits_on, h->kind, h->lock,
        named ? at.dli_sname : (known ? at.dli_fname : "?"),
        (size_t)((char *)h->site - base));

    if (n > (int)sizeof(text) - 1) n = (int)sizeof(text) - 1;
    if (write(2, text, (size_t)n) < 0) return; // nowhere to say it
}

// libcoir calls this on the coroutine that is about to wait.
static void on_park(uint64_t id, const char *name, const char *waits_on,
                    const coir_site *site)
{
    if (atomic_load(&n_held) == 0) return;
    for (unsigned i = 0;; i++) {
        struct held h = {0};
        bool is_new = false;

        enter();
        bool more = i < atomic_load(&n_held);
        if (more && held[i].id == id) {
            h = held[i];
            is_new = first_time(h.site);
        }
        leave();
        if (!more) return;
        if (is_new) say(&h, name, waits_on, site);
    }
}

__attribute__((constructor)) static void begin(void)
{
    void (*watch)(void (*)(uint64_t, const char *, const char *, const coir_site *));
    uint64_t (*id)(void);

    *(void **)&watch = dlsym(RTLD_DEFAULT, "coir_watch_parks_");
    *(void **)&id = dlsym(RTLD_DEFAULT, "coir_id");
    if (!watch || !id) return;
    watch(on_park);
    atomic_store(&id_of_caller, id);
}

// ---- Before libc -------------------------------------------------------------------------------

#define REAL(name)                                                                       \
    static __typeof__(name) *real;                                                       \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

#define TAKE(name, type, kind)                                                           \
    int name(type *lock)                                                                 \
    {                                                                                    \
        REAL(name);                                                                      \
        int err = real(lock);                                                            \
        if (err == 0) note((const void *)lock, kind, __builtin_return_address(0));       \
        return err;                                                                      \
    }

#define TAKE_UNTIL(name, type, kind)                                                     \
    int name(type *lock, const struct timespec *until)                                   \
    {                                                                                    \
        REAL(name);                                                                      \
        int err = real(lock, until);                                                     \
        if (err == 0) note((const void *)lock, kind, __builtin_return_address(0));       \
        return err;                                                                      \
    }

#define GIVE(name, type)                                                                 \
    int name(type *lock)                                                                 \
    {                                                                                    \
        REAL(name);                                                                      \
        forget((const void *)lock);                                                      \
        return real(lock);                                                               \
    }

TAKE(pthread_mutex_lock, pthread_mutex_t, "mutex")
TAKE(pthread_mutex_trylock, pthread_mutex_t, "mutex")
TAKE_UNTIL(pthread_mutex_timedlock, pthread_mutex_t, "mutex")
GIVE(pthread_mutex_unlock, pthread_mutex_t)
TAKE(pthread_rwlock_rdlock, pthread_rwlock_t, "read lock")
TAKE(pthread_rwlock_tryrdlock, pthread_rwlock_t, "read lock")
TAKE_UNTIL(pthread_rwlock_timedrdlock, pthread_rwlock_t, "read lock")
TAKE(pthread_rwlock_wrlock, pthread_rwlock_t, "write lock")
TAKE(pthread_rwlock_trywrlock, pthread_rwlock_t, "write lock")
TAKE_UNTIL(pthread_rwlock_timedwrlock, pthread_rwlock_t, "write lock")
GIVE(pthread_rwlock_unlock, pthread_rwlock_t)
TAKE(pthread_spin_lock, pthread_spinlock_t, "spin lock")
TAKE(pthread_spin_trylock, pthread_spinlock_t, "spin lock")
GIVE(pthread_spin_unlock, pthread_spinlock_t)
