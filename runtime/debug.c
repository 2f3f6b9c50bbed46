// SPDX-License-Identifier: MIT
// debug - looks inside a runtime that goes on: counts, every coroutine, backtraces.
//
//     walk     the gtable by index, one coroutine at a time:
//                under its lock: copy what there is to say, and of a parked one the part of its
//                                stack that is in use
//                without it:     unwind the copy, call the user's function (I8)
//
// D1  Nobody is stopped. A coroutine may run, end and begin anew while it is copied, so the copy is
//     believed only if state and wait number are the same before and after: the number moves with
//     every wait and is never used twice (base/waiter.h, I3a), so a coroutine that is PARKED in
//     the same wait has not run in between. Its memory is there in any case: a stack with a
//     mapping of its own leaves the gtable, under the lock, before it is unmapped.
// D2  Every index is passed once, and a coroutine keeps its index: one that lives throughout is
//     shown once, none is shown twice.
// D3  What is copied while others write it is read by peek (base/peek.h) alone.
#include "coir/debug.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/context.h"
#include "base/bias.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/panic.h"
#include "base/peek.h"
#include "base/platform.h"
#include "base/unwind.h"
#include "coir/spawn.h"
#include "io/offload.h"
#include "netpoll/netpoll.h"
#include "runtime/runtime.h"
#include "sched/g.h"
#include "sched/hosted.h"
#include "sched/park.h"
#include "sched/sched.h"

#define COPY_BYTES ((size_t)16 << 10) // of a stack: what lies deeper is not unwound
#define LOOKS 4                       // at one that changes while it is copied
#define LINE_BYTES 512
#define NS_PER_MS 1000000

// ---- One coroutine -----------------------------------------------------------------------------

// What is copied of a coroutine. Of the descriptor all that stands before its wait nodes.
struct view {
    alignas(8) struct g g;
    uint32_t state;
    uint64_t ticket;
    bool steady;    // all of this is of one moment
    size_t used;    // of its stack, PARKED
    size_t touched; // its lowest page that ever was, from the low end
    size_t most;    // used ever
    size_t copied;  // the part of 'used' which is in 'stack'
    alignas(16) char stack[COPY_BYTES];
};

static_assert(sizeof(struct g) % 8 == 0, "copied by words");

static bool is_same(struct g *g, const struct view *v)
{
    // [DEBUG-PEEK] seq_cst, no partner: what was copied was read before the two words are read
    // again; those who write them order them for their own readers.
    fence_seq_cst();
    return load_relaxed(&g->task.state) == v->state && // relaxed, both: behind the fence
           load_relaxed(&g->task.wait) == v->ticket;
}

// The top of a coroutine's stack is its descriptor.
static void copy_stack(struct g *g, struct view *v)
{
    uintptr_t sp = (uintptr_t)v->g.context.sp;
    uintptr_t low = (uintptr_t)v->g.stack.low;
    uintptr_t top = (uintptr_t)g;

    v->used = v->copied = 0;
    if (low >= top || sp < low || sp >= top || sp % 8) return; // half of two lives
    v->used = top - sp;
    v->copied = v->used < COPY_BYTES ? v->used : COPY_BYTES;
    peek(v->stack, (const void *)sp, v->copied); // NOLINT: a stack pointer
}

// True: *v says what g is. False: it ended meanwhile.
static bool copy(void *arg, struct g *g)
{
    struct view *v = arg;

    for (int i = 0; i < LOOKS; i++) {
        // [DEBUG-LOOK] acquire, both, pairs with [G-READY], [G-COMMIT], [WAIT-OPEN]: what was
        // written before the state and before the wait is in the copy.
        v->state = load_acquire(&g->task.state);
        v->ticket = load_acquire(&g->task.wait);
        v->used = v->copied = 0;
        if (v->state == G_DEAD) return false;
        peek(&v->g, g, sizeof(v->g));
        if (v->state == G_PARKED) copy_stack(g, v);
        if ((v->steady = is_same(g, v))) return true;
    }
    v->state = G_RUNNING; // it parks and goes on all the time
    return true;
}

// Takes whom it is offered; if that is still *v's coroutine, its stack is read. Its mapping is
// there: a walk holds the table's lock.
static bool measure_sized(void *arg, struct g *g)
{
    struct view *v = arg;
    uint64_t id;

    peek(&id, &g->id, sizeof(id));
    if (id == v->g.id) v->most = stack_used_from(&v->g.stack, v->touched);
    return true;
}

// How much of its stack was ever used. What asks the kernel, and may take long, is outside the
// lock. A stack of the usual size stays mapped whoever has it by now; another goes with its
// coroutine.
static void measure(coir_runtime *rt, uint32_t index, struct view *v)
{
    v->most = 0;
    if (!v->steady) return;
    v->touched = stack_touched(&v->g.stack);
    if (v->g.sized)
        gtable_next(&rt->sched.gtable, &index, measure_sized, v);
    else
        v->most = stack_used_from(&v->g.stack, v->touched);
    if (v->most < v->used) v->most = v->used; // it ends in words of zero
}

// Where a parked coroutine goes on, as the switch left it: arch/x86_64/context.S.
static void start_of(const struct view *v, struct unwind *u)
{
    static const unsigned saved[] = {15, 14, 13, 12, 3, 6, 16}; // from sp up
    uintptr_t sp = (uintptr_t)v->g.context.sp;

    *u = (struct unwind){.copy = v->stack, .low = sp, .bytes = v->copied};
    for (unsigned i = 0; i < sizeof(saved) / sizeof(saved[0]); i++)
        memcpy(&u->regs[saved[i]], v->stack + i * sizeof(uintptr_t), sizeof(uintptr_t));
    u->regs[7] = sp + sizeof(saved) / sizeof(saved[0]) * sizeof(uintptr_t);
}

static int backtrace(const struct view *v, void **ret_frames)
{
    struct unwind u;

    if (v->copied < 7 * sizeof(uintptr_t)) return 0;
    start_of(v, &u);
    return unwind_walk(&u, ret_frames, COIR_FRAMES_MAX);
}

static coir_state state_of(uint32_t state)
{
    if (state == G_PARKED) return COIR_PARKED;
    return state == G_RUNNABLE ? COIR_RUNNABLE : COIR_RUNNING;
}

// The strings that *ret points to live as long as *v, or for ever.
static void tell(const struct view *v, coir_coroutine_info *ret)
{
    const struct g *g = &v->g;
    const coir_site *site = g->site;
    bool parked = v->state == G_PARKED;

    *ret = (coir_coroutine_info){
        .size = sizeof(*ret),
        .id = g->id,
        .name = g->named ? g->name : "",
        .state = state_of(v->state),
        .waits_on = "",
        .fd = -1,
        .stack_bytes = g->stack.bytes,
        .stack_used = v->used,
        .stack_most = v->most,
        .pins = g->pins,
    };
    if (site) {
        ret->file = site->file;
        ret->function = site->function;
        ret->line = site->line;
    }
    if (!parked) return;
    // relaxed, all: of our own copy
    ret->waits_on = load_relaxed(&g->waits_on);
    ret->since = load_relaxed(&g->since);
    if ((v->ticket & WAIT_KIND) == WAIT_OPEN_IO)
        ret->fd = (int)(intptr_t)load_relaxed(&g->waits_at);
    else
        ret->object = load_relaxed(&g->waits_at);
    ret->n_frames = backtrace(v, ret->frames);
}

static int each(coir_runtime *rt, coir_each_fn *fn, void *arg)
{
    struct view *v = MEMORY_GET(rt->sched.memory, struct view, 1);
    enum gtable_look look = GTABLE_MORE;
    coir_coroutine_info info;
    uint32_t index = 0;
    int result = 0;

    if (!v) return -ENOMEM;
    while (result == 0 && look != GTABLE_END) {
        look = gtable_next(&rt->sched.gtable, &index, copy, v);
        if (look != GTABLE_TAKEN) continue;
        v->g.name[G_NAME_BYTES - 1] = 0;
        measure(rt, index - 1, v);
        tell(v, &info);
        result = fn(arg, &info);
    }
    MEMORY_PUT(rt->sched.memory, v, struct view, 1);
    return result;
}

int coir_each(coir_runtime *rt, coir_each_fn *fn, void *arg)
{
    rt = runtime_or_self(rt);
    if (!rt || !fn) return -EINVAL;
    if (runtime_here(rt) < 0) return -EPERM;
    return each(rt, fn, arg);
}

// ---- Counts ------------------------------------------------------------------------------------

static bool has_poller(struct m *m)
{
    // [DEBUG-POLLER] acquire, pairs with [M-STARTED]: its poller is there.
    return load_acquire(&m->started) == M_STARTED;
}

// Coroutines in queues, and Ps that are with somebody: each runs one coroutine, or looks for it.
static void count_queued(struct sched *s, uint64_t *ret_queued, uint64_t *ret_busy)
{
    *ret_queued = globq_len(&s->globq);
    *ret_busy = 0;
    for (uint32_t i = 0; i < s->n_p; i++) {
        struct p *p = &s->ps[i];

        *ret_queued += runq_len(&p->runq);
        *ret_queued += load_relaxed(&p->runq.next) != NULL; // relaxed, both: statistics
        *ret_busy += p_word_state(load_relaxed(&p->word)) != P_IDLE;
    }
}

static uint64_t count_timers(struct timers *ts)
{
    lock_acquire(&ts->lock);
    uint64_t n = ts->n;
    lock_release(&ts->lock);
    return n;
}

static void count_workers(struct sched *s, coir_stats *ret)
{
    // [DEBUG-MS] acquire, pairs with [MS-GROWN]: the entries below are written.
    uint32_t n_ms = load_acquire(&s->n_ms);

    for (uint32_t i = 0; i < n_ms; i++) {
        struct m *m = s->ms[i];

        if (!has_poller(m)) continue;
        ret->threads += !load_relaxed(&m->ended); // relaxed: a statistic
        ret->in_io += poller_in_flight(m->poller);
        ret->ops += poller_submitted(m->poller);
    }
    for (uint32_t i = 0; i < s->n_p; i++) {
        struct p *p = &s->ps[i];

        // relaxed, all: statistics
        ret->made += load_relaxed(&p->counts.made);
        ret->steals += load_relaxed(&p->counts.steals);
        ret->sleeps_spared += load_relaxed(&p->counts.spared);
        ret->timers += count_timers(&p->timers);
    }
    ret->made += load_relaxed(&s->made_outside); // relaxed: a statistic
    // relaxed, all: statistics
    ret->handoffs = load_relaxed(&s->handoff.n_taken);
    ret->handoffs_refused = load_relaxed(&s->handoff.n_refused);
    ret->stalls = load_relaxed(&s->handoff.n_stalls);
    ret->threads += s->sysmon.runs;
}

static void count(coir_runtime *rt, coir_stats *ret)
{
    struct sched *s = &rt->sched;
    uint64_t queued, busy;
    uint32_t stacks, free;
    bool helped;

    ret->coroutines = sched_live(s);
    count_workers(s, ret);
    ret->threads += offload_threads(rt->helpers, &helped);
    count_queued(s, &queued, &busy);
    if (ret->coroutines > queued + busy) ret->parked = ret->coroutines - queued - busy;
    ret->spawn_failures = load_relaxed(&rt->spawn_failures); // relaxed: a statistic
    stack_depot_count(&s->depot, &stacks, &free);
    ret->stacks = stacks;
    if (s->seeded) { // relaxed, both: statistics
        ret->events = load_relaxed(&s->seeded->events);
        ret->event_hash = load_relaxed(&s->seeded->hash);
    }
    if (stacks > ret->coroutines) ret->stacks_free = stacks - ret->coroutines;
}

int coir_stats_read(coir_runtime *rt, coir_stats *ret_stats)
{
    coir_stats stats = {0};

    rt = runtime_or_self(rt);
    if (!rt || !ret_stats || ret_stats->size == 0) return -EINVAL;
    if (runtime_here(rt) < 0) return -EPERM;
    stats.size = ret_stats->size;
    count(rt, &stats);
    memcpy(ret_stats, &stats, stats.size < sizeof(stats) ? stats.size : sizeof(stats));
    return 0;
}

// ---- The dump ----------------------------------------------------------------------------------

struct out {
    int fd, err;
    size_t n;
    int64_t now;
    char text[4096];
};

static void flush(struct out *o)
{
    for (size_t done = 0; o->err == 0 && done < o->n;) {
        struct iovec rest = {o->text + done, o->n - done};
        ssize_t n = os_writev(o->fd, &rest, 1, -1);

        if (n < 0)
            o->err = (int)n;
        else
            done += (size_t)n;
    }
    o->n = 0;
}

// One piece of a line, cut at LINE_BYTES.
__attribute__((format(printf, 2, 3))) static void say(struct out *o, const char *format,
                                                      ...)
{
    va_list args;

    if (sizeof(o->text) - o->n < LINE_BYTES) flush(o);
    va_start(args, format);
    int n = vsnprintf(o->text + o->n, LINE_BYTES, format, args);
    va_end(args);
    if (n > 0) o->n += n < LINE_BYTES ? (size_t)n : LINE_BYTES - 1;
}

static void say_frame(struct out *o, void *at)
{
    struct os_symbol symbol;

    // The call, not where it returns to: that may be another line, or another function.
    if (!os_symbol((char *)at - 1, &symbol))
        say(o, "    %p\n", at);
    else if (symbol.name)
        say(o, "    %p %s+0x%zx (%s)\n", at, symbol.name, (size_t)symbol.offset + 1,
            symbol.module);
    else
        say(o, "    %p %s+0x%zx\n", at, symbol.module, (size_t)symbol.offset + 1);
}

static void say_wait(struct out *o, const coir_coroutine_info *info)
{
    int64_t ms = (o->now - info->since) / NS_PER_MS;

    if (ms < 0) ms = 0;
    say(o, " %lld.%03d s in %s", (long long)ms / 1000, (int)(ms % 1000), info->waits_on);
    if (info->fd >= 0)
        say(o, " fd %d", info->fd);
    else if (info->object)
        say(o, " %p", info->object);
}

static int say_coroutine(void *arg, const coir_coroutine_info *info)
{
    static const char *const words[] = {"runnable", "running", "parked"};
    struct out *o = arg;

    say(o, "coroutine %llu", (unsigned long long)info->id);
    if (info->name[0]) say(o, " \"%s\"", info->name);
    say(o, ": %s", words[info->state]);
    if (info->state == COIR_PARKED) say_wait(o, info);
    if (info->file)
        say(o, ", spawned at %s:%d (%s)", info->file, info->line, info->function);
    if (info->pins > 0) say(o, ", pinned");
    say(o, ", stack");
    if (info->stack_used) say(o, " %zu,", info->stack_used);
    say(o, " at most %zu of %zu bytes\n", info->stack_most, info->stack_bytes);
    for (int i = 0; i < info->n_frames; i++) say_frame(o, info->frames[i]);
    return o->err;
}

static void say_counts(struct out *o, coir_runtime *rt)
{
    coir_stats s = {0};

    count(rt, &s);
    say(o,
        "coir %s, runtime %p: %u workers, %s; coroutines: %llu live, %llu parked, %llu in I/O, ",
        coir_version(), (void *)rt, rt->config.workers, rt->driver_why,
        (unsigned long long)s.coroutines, (unsigned long long)s.parked,
        (unsigned long long)s.in_io);
    say(o, "%llu made; %llu threads, %llu timers, %llu stacks, %llu of them free\n",
        (unsigned long long)s.made, (unsigned long long)s.threads,
        (unsigned long long)s.timers, (unsigned long long)s.stacks,
        (unsigned long long)s.stacks_free);
}

int coir_dump(coir_runtime *rt, int fd)
{
    rt = runtime_or_self(rt);
    if (!rt) return -EINVAL;
    if (runtime_here(rt) < 0) return -EPERM;
    struct out *o = MEMORY_GET(rt->sched.memory, struct out, 1);
    if (!o) return -ENOMEM;
    o->fd = fd;
    o->now = clock_now();
    say_counts(o, rt);
    int err = each(rt, say_coroutine, o);
    flush(o);
    if (err == 0) err = o->err;
    MEMORY_PUT(rt->sched.memory, o, struct out, 1);
    return err;
}

// ---- For tools ---------------------------------------------------------------------------------

void coir_watch_parks_(void (*fn)(uint64_t id, const char *name, const char *waits_on,
                                  const coir_site *site))
{
    store_relaxed(&park_watcher, fn); // relaxed: whoever misses it is not watched yet
}

// ---- For debuggers -----------------------------------------------------------------------------

// tools/gdb/coir.py finds the runtimes through these two, in a live process and in a core, also
// where the library carries no debug information: they are dynamic symbols.
#define FOR_DEBUGGERS __attribute__((visibility("default"), used))

extern coir_runtime *coir_gdb_runtimes_;
extern const uint32_t coir_gdb_layout_[];

FOR_DEBUGGERS coir_runtime *coir_gdb_runtimes_;

FOR_DEBUGGERS const uint32_t coir_gdb_layout_[] = {
    1, // version of this table
    offsetof(struct coir_runtime, next),
    offsetof(struct coir_runtime, sched.gtable.chunks),
    GTABLE_CHUNKS,
    GTABLE_CHUNK,
    offsetof(struct coir_runtime, sched.coarse),
    offsetof(struct g, id),
    offsetof(struct g, task.state),
    offsetof(struct g, task.wait),
    offsetof(struct g, site),
    offsetof(struct g, named),
    offsetof(struct g, name),
    offsetof(struct g, context.sp),
    offsetof(struct g, stack.low),
    offsetof(struct g, waits_on),
    offsetof(struct g, waits_at),
    offsetof(struct g, since),
};

static struct lock
    list_lock; // zero-filled: of the rank OBJECT, and nothing is taken under it

void runtime_enlist(coir_runtime *rt)
{
    lock_acquire(&list_lock);
    rt->next = coir_gdb_runtimes_;
    coir_gdb_runtimes_ = rt;
    lock_release(&list_lock);
}

void runtime_forked(void)
{
    list_lock = (struct lock){0}; // whoever held it is not here
    coir_gdb_runtimes_ = NULL;
    hosted_forked();
    bias_forked();
}

void runtime_delist(coir_runtime *rt)
{
    lock_acquire(&list_lock);
    coir_runtime **at = &coir_gdb_runtimes_;
    while (*at != rt) at = &(*at)->next;
    *at = rt->next;
    lock_release(&list_lock);
}
