// SPDX-License-Identifier: MIT
// runtime - start, run, stop.
//
//     coir_start   config, driver by trying (a ring, else epoll), scheduler
//     hosted       the same without threads; the host's loop takes the turns (hosted.c)
//     coir_stop    cancel all, drain until the deadline; 0 left: end the workers, free all
//     coir_run     start, one coroutine, stop; who does not end is named and abandoned; where
//                  nothing can run any more, a report (deadlock.c)
#include "runtime/runtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/base.h"
#include "coir/spawn.h"
#include "io/offload.h"
#include "runtime/overflow.h"
#include "sched/g.h"
#include "sched/park.h"

#define CANCEL_AGAIN_NS (20 * COIR_MS)

coir_runtime *runtime_self(void)
{
    struct g *g = g_self();

    return g ? container_of(g->sched, coir_runtime, sched) : NULL;
}

int runtime_here(const coir_runtime *rt)
{
    return rt->forks == os_forks() ? 0 : -EPERM;
}

coir_runtime *runtime_or_self(coir_runtime *rt)
{
    return rt ? rt : runtime_self();
}

void runtime_log(coir_runtime *rt, int level, const char *format, ...)
{
    char line[512];
    va_list args;

    if (!rt->config.log) return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    rt->config.log(rt->config.log_arg, level, line);
}

// One place as 'module+offset', for addr2line(1). What snprintf returns.
static int print_place(char *to, size_t bytes, uintptr_t at)
{
    struct os_symbol symbol;

    if (!os_module((const void *)at, &symbol)) // NOLINT: a program counter
        return snprintf(to, bytes, "%#llx", (unsigned long long)at);
    const char *slash = strrchr(symbol.module, '/');
    return snprintf(to, bytes, "%s+%#llx", slash ? slash + 1 : symbol.module,
                    (unsigned long long)symbol.offset);
}

// Where a coroutine stood, innermost first; what does not fit is left out.
static void print_where(char *to, size_t bytes, const struct stall *st)
{
    size_t at = 0;

    for (uint32_t i = 0; i < st->n_frames; i++) {
        char place[96];
        // The call, not where it returns to: that may be another line, or another function.
        int n = print_place(place, sizeof(place), st->frames[i] - (i > 0));

        if (n < 0 || n >= (int)sizeof(place) || at + (size_t)n + 5 > bytes) return;
        at += (size_t)snprintf(to + at, bytes - at, "%s%s", i ? " < " : " at ", place);
    }
}

// The line of the stall watch. sysmon.
static void tell_stall(struct sched *s, const struct stall *st)
{
    coir_runtime *rt = container_of(s, coir_runtime, sched);
    char where[240] = "", untold[48] = "";

    print_where(where, sizeof(where), st);
    if (st->n_untold)
        snprintf(untold, sizeof(untold), " (%llu more unsaid)",
                 (unsigned long long)st->n_untold);
    runtime_log(
        rt, COIR_LOG_WARNING,
        "coir: coroutine %llu (%s) spawned at %s:%d held its worker for %lld ms%s; "
        "others go on without it%s",
        (unsigned long long)st->id, st->name[0] ? st->name : "no name",
        st->site ? st->site->file : "?", st->site ? st->site->line : 0,
        (long long)(st->held / COIR_MS), where, untold);
}

// ---- Start -------------------------------------------------------------------------------------

static int start_with(coir_runtime *rt, enum poller_kind kind, bool hosted)
{
    const coir_config *c = &rt->config;
    struct sched_config sched = {.workers = c->workers,
                                 .stack_bytes = c->stack_bytes,
                                 .guard_bytes = c->guard_bytes,
                                 .poller_kind = kind,
                                 .threads_max = c->threads_max,
                                 .memory = &rt->memory,
                                 .seed = c->seed,
                                 .pump_signal = c->pump_signal,
                                 .hosted = hosted};

    memset(&rt->sched, 0, sizeof(rt->sched));
    rt->sched.thread_start = c->thread_start;
    rt->sched.thread_stop = c->thread_stop;
    rt->sched.thread_arg = c->thread_arg;
    rt->sched.switch_in = c->switch_in;
    rt->sched.switch_out = c->switch_out;
    rt->sched.switch_arg = c->switch_arg;
    rt->sched.ending = scope_coroutine_ends;
    rt->sched.on_big_stack = coir_on_big_stack;
    rt->sched.log = c->log;
    rt->sched.log_arg = c->log_arg;
    if (c->log) rt->sched.tell_stall = tell_stall;
    rt->sched.coroutines_max = c->coroutines_max;
    rt->sched.helpers = rt->helpers;
    rt->sched.altstacks = c->overflow_report == COIR_ON;
    return sched_start(&rt->sched, &sched);
}

// A ring where one can be had, else epoll, and says why.
static int start_auto(coir_runtime *rt, bool hosted)
{
    int refused = 0;

    if (rt->config.driver != COIR_DRIVER_EPOLL) {
        refused = start_with(rt, POLLER_URING, hosted);
        if (refused == 0 || rt->config.driver == COIR_DRIVER_URING) return refused;
    }
    int err = start_with(rt, POLLER_EPOLL, hosted);
    if (err == 0 && refused < 0) {
        snprintf(rt->driver_why, sizeof(rt->driver_why), "epoll: io_uring refused: %s",
                 strerrordesc_np(-refused));
        runtime_log(rt, COIR_LOG_INFO, "coir: %s", rt->driver_why);
    } else if (err == 0) {
        snprintf(rt->driver_why, sizeof(rt->driver_why), "epoll: %s",
                 rt->config.seed ? "a seeded run performs nothing" : "asked for");
    }
    return err;
}

static int open_helpers(coir_runtime *rt)
{
    const coir_config *c = &rt->config;
    struct offload_config helpers = {.memory = &rt->memory,
                                     .helpers_max =
                                         c->helpers > 0 ? (uint32_t)c->helpers : 0,
                                     .thread_start = c->thread_start,
                                     .thread_stop = c->thread_stop,
                                     .thread_arg = c->thread_arg};

    return offload_open(&helpers, &rt->helpers);
}

// config.allocator's members, copied: the struct itself is the host's and may go.
static struct memory memory_of(const coir_config *c)
{
    const coir_allocator *a = c->allocator;

    if (!a) return (struct memory){0};
    return (struct memory){.alloc = a->alloc, .release = a->release, .ctx = a->ctx};
}

static void free_runtime(coir_runtime *rt)
{
    struct memory mem = rt->memory;

    MEMORY_PUT(&mem, rt, coir_runtime, 1);
}

int runtime_start(const coir_config *config, enum start_kind kind, coir_runtime **ret_rt)
{
    coir_config filled;
    int err = config_fill(config, kind, &filled);
    if (err < 0) return err;
    if (os_shadow_stack()) {
        if (filled.log)
            filled.log(
                filled.log_arg, COIR_LOG_ERROR,
                "coir: no start: this process has shadow stacks, on which coroutines "
                "cannot switch; GLIBC_TUNABLES=glibc.cpu.x86_shstk=off turns them off");
        return -ENOTSUP;
    }
    if ((err = os_on_fork(runtime_forked)) < 0) return err;

    struct memory mem = memory_of(&filled);
    coir_runtime *rt = MEMORY_GET(&mem, coir_runtime, 1);
    if (!rt) return -ENOMEM;
    rt->config = filled;
    rt->config.allocator = NULL; // rt->memory has what it said
    rt->memory = mem;
    rt->forks = os_forks();
    os_signals_mask(&rt->starter_mask);
    lock_init(&rt->host.lock, LOCK_RANK_OBJECT);
    list_init(&rt->host.askers);
    if (filled.overflow_report == COIR_ON) os_fault_begin(overflow_look);
    err = open_helpers(rt);
    if (err == 0) err = start_auto(rt, kind == START_HOSTED);
    if (err < 0) {
        if (filled.overflow_report == COIR_ON) os_fault_end();
        runtime_log(rt, COIR_LOG_ERROR, "coir: no start: %s", strerrordesc_np(-err));
        offload_close(rt->helpers, CLOCK_PAST); // none was started
        free_runtime(rt);
        return err;
    }
    if (!rt->driver_why[0])
        snprintf(rt->driver_why, sizeof(rt->driver_why), "%s",
                 poller_mode(rt->sched.ms[0]->poller));
    runtime_enlist(rt);
    *ret_rt = rt;
    return 0;
}

int coir_start(const coir_config *config, coir_runtime **ret_rt)
{
    if (!ret_rt) return -EINVAL;
    return runtime_start(config, START_THREADS, ret_rt);
}

// ---- Stop -------------------------------------------------------------------------------------

// Cancels what lives until nothing does. Once is not enough: a spawn may have been under way, and
// a cancel may have found no memory for its message. 0 | -ETIMEDOUT
static int cancel_and_drain(coir_runtime *rt, int64_t deadline)
{
    for (;;) {
        int64_t again = clock_after(CANCEL_AGAIN_NS);

        sched_cancel_all(&rt->sched);
        if (sched_drain(&rt->sched, again < deadline ? again : deadline) == 0) return 0;
        if (again >= deadline) return -ETIMEDOUT;
    }
}

// The caller stands in rt, or in a turn of another one that is taken from there, however far out.
static bool is_inside(const coir_runtime *rt)
{
    struct m *m = m_self();

    while (m && m->sched != &rt->sched) m = m->outer;
    return m != NULL;
}

int coir_stop(coir_runtime *rt, int64_t deadline)
{
    int err;

    if (!rt) return -EINVAL;
    if (is_inside(rt)) return -EDEADLK;
    if (runtime_here(rt) < 0) return -EPERM;
    if (rt->sched.hosted && (err = runtime_take_turns(rt)) < 0) return err;
    // [STOP-ONE] acq_rel, pairs with itself: one at a time.
    if (swap_acq_rel(&rt->state, RUNTIME_STOPS) == RUNTIME_STOPS) return -EALREADY;

    sched_stopping(&rt->sched);
    if (cancel_and_drain(rt, deadline) < 0) {
        uint64_t live = sched_live(&rt->sched);
        // [STOP-ONE] release, pairs with itself.
        store_release(&rt->state, RUNTIME_RUNS);
        return live > INT32_MAX ? INT32_MAX : (int)live;
    }
    // What a coroutine gave up waiting for (a look-up) may still keep a helper.
    int working = offload_close(rt->helpers, deadline);
    if (working > 0) {
        runtime_log(rt, COIR_LOG_WARNING, "coir: %d helper threads still work", working);
        // [STOP-ONE] release, pairs with itself.
        store_release(&rt->state, RUNTIME_RUNS);
        return working;
    }
    runtime_delist(rt);
    sched_fini(&rt->sched);
    if (rt->config.overflow_report == COIR_ON) os_fault_end();
    free_runtime(rt);
    return 0;
}

// ---- Run --------------------------------------------------------------------------------------

static void tell_seed(coir_runtime *rt)
{
    const struct seeded *run = rt->sched.seeded;

    if (!run) return;
    // relaxed, both: statistics
    runtime_log(rt, COIR_LOG_INFO, "coir: seed %llu: %llu events, hash %016llx",
                (unsigned long long)rt->config.seed,
                (unsigned long long)load_relaxed(&run->events),
                (unsigned long long)load_relaxed(&run->hash));
}

// The stop is another thread's and comes when it likes: who is left is cancelled here, at a point
// of the run, and the stop finds it done.
static void end_seeded(coir_runtime *rt)
{
    tell_seed(rt);
    sched_stopping(&rt->sched);
    sched_cancel_all(&rt->sched);
}

static void run_first(void *arg)
{
    coir_runtime *rt = arg;

    rt->first.result = rt->first.fn(rt->first.arg);
    if (rt->sched.seeded) end_seeded(rt);
    host_wake(rt);
}

static int wait_for_first(coir_runtime *rt)
{
    if (host_sleep(rt)) return rt->first.result;
    deadlock_report(rt);
    tell_seed(rt);
    return -EDEADLK;
}

static void name_survivor(void *arg, struct g *g)
{
    const struct coir_site *site = g->site;

    // Its name may change under us if it ends now: a wrong line at worst.
    runtime_log(arg, COIR_LOG_WARNING,
                "coir: coroutine %llu (%s) spawned at %s:%d did not end",
                (unsigned long long)g->id, g->named ? g->name : "no name",
                site ? site->file : "?", site ? site->line : 0);
}

int coir_run(const coir_config *config, int (*fn)(void *), void *arg)
{
    coir_runtime *rt;

    if (!fn) return -EINVAL;
    if (g_self()) return -EDEADLK;
    int err = runtime_start(config, START_RUN, &rt);
    if (err < 0) return err;
    rt->first = (struct first){.fn = fn, .arg = arg};
    rt->host.there = true; // and can be asked, though it sleeps a little later
    err = coir_spawn(rt, NULL, run_first, rt);
    if (err == 0) err = wait_for_first(rt);
    if (coir_stop(rt, clock_after(rt->config.stop_ns)) > 0)
        gtable_each(&rt->sched.gtable, name_survivor, rt);
    return err;
}

// ---- Questions --------------------------------------------------------------------------------

coir_runtime *coir_current(void)
{
    return runtime_self();
}

int coir_query(coir_runtime *rt, coir_info *ret_info)
{
    rt = runtime_or_self(rt);
    if (!rt || !ret_info || ret_info->size == 0) return -EINVAL;
    if (runtime_here(rt) < 0) return -EPERM;

    coir_info info = {.size = ret_info->size,
                      .driver = rt->sched.poller_kind == POLLER_URING ? COIR_DRIVER_URING
                                                                      : COIR_DRIVER_EPOLL,
                      .driver_why = rt->driver_why,
                      .workers = rt->config.workers,
                      .page_bytes = os_page_bytes(),
                      .stack_bytes = rt->config.stack_bytes,
                      .guard_bytes = rt->config.guard_bytes};
    memcpy(ret_info, &info, info.size < sizeof(info) ? info.size : sizeof(info));
    return 0;
}

// coir.hpp's: the running coroutine is about to end in std::terminate.
void coir_exception_escaped_(const char *what);

COIR_API void coir_exception_escaped_(const char *what)
{
    struct g *g = g_self();

    if (!g) return;
    runtime_log(runtime_self(), COIR_LOG_ERROR,
                "coir: coroutine %llu \"%s\", spawned at %s:%d: an exception escaped: %s",
                (unsigned long long)g->id, g->named ? g->name : "",
                g->site ? g->site->file : "?", g->site ? g->site->line : 0, what);
}

const char *coir_version(void)
{
    return "0.1.0";
}
