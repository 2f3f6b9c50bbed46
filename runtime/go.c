// SPDX-License-Identifier: MIT
// go - spawn, yield, sleep: what a coroutine does without an object.
//
// The spawn macro calls the assembly stub with the user's arguments in place; the stub writes the
// argument registers into this thread's capture area, and the commit that follows makes the
// coroutine from it (coir/spawn.h). Nothing runs in between, so one area a thread is enough.
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/base.h"
#include "coir/spawn.h"
#include "runtime/runtime.h"
#include "sched/g.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "sched/spawn.h"

#define STACK_LEAST ((size_t)16 << 10)
#define STACK_MOST ((size_t)1 << 30)
#define LOG_PAUSE COIR_SEC // between two lines about failed spawns

// ---- Spawn -------------------------------------------------------------------------------------

static_assert(sizeof(struct arch_call) <= OS_SCRATCH_BYTES,
              "the area of an ordinary thread");

static struct arch_call *capture_of(struct m *m)
{
    return m ? &m->capture : os_scratch();
}

// Called by the stub, which has saved every argument register before.
__attribute__((noinline)) struct arch_call *spawn_capture_area(void)
{
    return capture_of(m_self());
}

// Counts a failed spawn, and says so once a second at most. too_many: -EAGAIN in words.
__attribute__((cold, noinline)) static int failed(coir_runtime *rt, int err,
                                                  const coir_site *site,
                                                  const char *too_many)
{
    int64_t now = clock_now();
    int64_t last = load_relaxed(&rt->spawn_logged); // relaxed, all: statistics
    uint64_t n = add_relaxed(&rt->spawn_failures, 1) + 1;

    if (last && now - last < LOG_PAUSE) return err;
    // relaxed: of many one logs
    if (!cas_relaxed(&rt->spawn_logged, &last, now)) return err;
    const char *why = err == -ENOMEM   ? stack_depot_why(&rt->sched.depot)
                      : err == -EAGAIN ? too_many
                      : err == -EINVAL ? "a stack has 16 KiB to 1 GiB"
                                       : NULL;
    runtime_log(rt, COIR_LOG_WARNING, "coir: spawn at %s:%d failed: %s%s%s (%llu so far)",
                site ? site->file : "?", site ? site->line : 0, strerrordesc_np(-err),
                why ? ", " : "", why ? why : "", (unsigned long long)n);
    return err;
}

static coir_runtime *runtime_of(struct m *m)
{
    return m && m->g ? container_of(m->sched, coir_runtime, sched) : NULL;
}

int runtime_spawn(struct m *m, coir_runtime *rt, const coir_options *opts,
                  struct spawn *how)
{
    if (!how->fn) return -EINVAL;
    if (!rt && opts) rt = opts->rt;
    if (rt ? runtime_here(rt) < 0 : !(rt = runtime_of(m))) return -EPERM;
    if (opts) {
        if (opts->stack_bytes &&
            (opts->stack_bytes < STACK_LEAST || opts->stack_bytes > STACK_MOST))
            return failed(rt, -EINVAL, how->site, NULL);
        how->name = opts->name;
        how->stack_bytes = opts->stack_bytes;
        how->pinned = opts->pinned;
    }
    int err = sched_spawn(&rt->sched, m, how);
    return err < 0 ? failed(rt, err, how->site, how->why) : 0;
}

int runtime_spawn_captured(coir_runtime *rt, const coir_options *opts, void (*fn)(void),
                           const coir_site *site, void (*born)(void *arg, struct g *g),
                           void *born_arg)
{
    struct m *m = m_self();

    if (!rt && !opts && fn && m && m->g) {
        int err = spawn_plain(m, fn, site->only_ints, site, born, born_arg);
        return err < 0 ? failed(runtime_of(m), err, site, SPAWN_TOO_MANY) : 0;
    }
    struct spawn how = {.call = capture_of(m),
                        .only_ints = site->only_ints,
                        .fn = fn,
                        .site = site,
                        .born = born,
                        .born_arg = born_arg};

    return runtime_spawn(m, rt, opts, &how);
}

int coir_spawn_commit_(coir_runtime *rt, const coir_options *opts, void (*fn)(void),
                       const coir_site *site)
{
    return runtime_spawn_captured(rt, opts, fn, site, NULL, NULL);
}

// Where a runtime is named, none is an argument that cannot be, not a place without one.
int coir_spawn_commit_on_(coir_runtime *rt, const coir_options *opts, void (*fn)(void),
                          const coir_site *site)
{
    if (!rt && !runtime_of(m_self())) return -EINVAL;
    return runtime_spawn_captured(rt, opts, fn, site, NULL, NULL);
}

int coir_spawn(coir_runtime *rt, const coir_options *opts, void (*fn)(void *), void *arg)
{
    struct arch_call call;
    struct spawn how = {.call = &call, .only_ints = true, .fn = (void (*)(void))fn};

    memset(call.ints, 0, sizeof(call.ints));
    call.ints[0] = (uintptr_t)arg;
    struct m *m = m_self();
    if (!rt && !(opts && opts->rt) && !runtime_of(m)) return -EINVAL;
    return runtime_spawn(m, rt, opts, &how);
}

// ---- Yield and sleep ---------------------------------------------------------------------------

int coir_yield(void)
{
    struct m *m = m_self();

    if (!m || !m->g) return 0;
    if (cancel_asked(&m->g->cancel)) return -ECANCELED;
    park_watch_leave("yield");
    sched_step_aside(m);
    return 0;
}

int coir_sleep_until(int64_t when)
{
    struct task here;
    struct task *t = task_self(&here);

    if (park_canceled() < 0) return -ECANCELED; // a thread's yield does not ask
    if (when <= CLOCK_PAST) return coir_yield();
    wait_open(t, "sleep", NULL);
    int outcome = park(t, when);
    return outcome == -ETIMEDOUT ? 0 : outcome;
}

int coir_sleep(int64_t ns)
{
    return coir_sleep_until(clock_after(ns));
}

void coir_blocking_begin(void)
{
    sched_blocking_begin();
}

void coir_blocking_end(void)
{
    sched_blocking_end();
}

// Whoever looks again and again until it is time must get there.
static void looks_at_clock(void)
{
    // relaxed: who is in such a run knows of it
    if (__builtin_expect(load_relaxed(&seed_runs) != 0, 0)) seed_look();
}

int64_t coir_now(void)
{
    looks_at_clock();
    return clock_now();
}

int64_t coir_after(int64_t ns)
{
    looks_at_clock();
    return clock_after(ns);
}

// ---- About oneself -----------------------------------------------------------------------------

uint64_t coir_id(void)
{
    struct g *g = g_self();

    return g ? g->id : 0;
}

int coir_pin(void)
{
    return sched_pin();
}

int coir_unpin(void)
{
    return sched_unpin();
}

void coir_shield_begin(void)
{
    cancel_self()->shields++;
}

void coir_shield_end(void)
{
    struct cancel *c = cancel_self();

    if (c->shields > 0) c->shields--;
}
