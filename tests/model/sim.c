// SPDX-License-Identifier: MIT
#include "tests/model/sim.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/platform.h"
#include "tests/model/policy.h"

#define STACK_BYTES (128u << 10)
#define RUN_MOST 2000u // points that one worker may have in a row while others could run
#define STORE_AGE 600u // points after which a store is visible whatever the policy says

struct sim sim;

static sigjmp_buf driver;
static char *stacks; // SIM_THREADS of them
static uint8_t choices[SIM_CHOICES_MAX];

static uint32_t bit(uint32_t thread)
{
    return UINT32_C(1) << thread;
}

struct sim_thread *sim_self(void)
{
    return &sim.threads[sim.current];
}

// ---- How a run ends -------------------------------------------------------------------

void sim_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(sim.failure, sizeof(sim.failure), format, args);
    va_end(args);
    sim.failed = true;
    sim.active = false;
    siglongjmp(driver, 1);
}

// The library's words for corruption end the run, not the process.
void panic_at(const char *file, int line, const char *what);
void panic_at(const char *file, int line, const char *what)
{
    sim_fail("%s:%d: %s", file, line, what);
}

void panic_set_dump(void (*dump)(void));
void panic_set_dump(void (*dump)(void))
{
    (void)dump;
}

static void on_fault(int signal)
{
    if (!sim.active) {
        static const char text[] = "model: the simulator itself crashed\n";
        (void)!write(2, text, sizeof(text) - 1);
        _exit(3);
    }
    sim_fail("signal %d on worker %u", signal, sim.current);
}

static void catch_faults(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
    static char alt[64 << 10];
    stack_t stack = {.ss_sp = alt, .ss_size = sizeof(alt)};
    struct sigaction action = {.sa_handler = on_fault,
                               .sa_flags = SA_ONSTACK | SA_NODEFER};

    sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    // A loop without a point: the driver's timer ends it.
    sigaction(SIGVTALRM, &action, NULL);
}

// ---- Chance ---------------------------------------------------------------------------

static uint32_t record(uint32_t choice)
{
    if (sim.n_choices == SIM_CHOICES_MAX) sim_fail("too many decisions: the run hangs");
    choices[sim.n_choices++] = (uint8_t)choice;
    return choice;
}

static bool given(uint32_t n, uint32_t *ret_choice)
{
    if (!sim.replays) return false;
    *ret_choice = sim.n_choices < sim.n_given ? sim.given[sim.n_choices] % n : 0;
    return true;
}

uint32_t sim_choose(uint32_t n, uint32_t rare)
{
    uint32_t choice = 0;

    if (n <= 1) return 0;
    if (!given(n, &choice) && (rare <= 1 || rand_below(&sim.chance, rare) == 0))
        choice = rand_below(&sim.chance, n);
    return record(choice);
}

void sim_note(uint32_t what)
{
    sim.hash = (sim.hash ^ what) * UINT64_C(0x9e3779b97f4a7c15);
    sim.hash ^= sim.hash >> 29;
}

bool sim_maybe(const char *site);
bool sim_maybe(const char *site)
{
    uint32_t hash = 2166136261u;

    if (!sim.active) return false;
    for (const char *c = site; *c; c++) hash = (hash ^ (uint8_t)*c) * 16777619u;
    if (!(sim.maybes & bit(hash % 32))) return false;
    return sim_choose(2, 2) != 0;
}

// ---- Stores under way -----------------------------------------------------------------

static void show(struct sim_thread *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        memcpy(t->stores[i].word, &t->stores[i].value, t->stores[i].bytes);
    t->n_stores -= n;
    memmove(t->stores, t->stores + n, t->n_stores * sizeof(t->stores[0]));
    if (!t->n_stores) sim.pending &= ~bit((uint32_t)(t - sim.threads));
}

void sim_drain(void)
{
    show(sim_self(), sim_self()->n_stores);
}

void sim_drain_all(void)
{
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        show(&sim.threads[i], sim.threads[i].n_stores);
}

void sim_drain_thread(uint32_t thread)
{
    show(&sim.threads[thread], sim.threads[thread].n_stores);
}

void sim_forget_stores(const void *p, size_t bytes)
{
    if (!sim.pending) return;
    for (uint32_t i = 0; i < SIM_THREADS; i++) {
        struct sim_thread *t = &sim.threads[i];
        for (uint32_t k = 0; k < t->n_stores; k++) {
            uintptr_t at = (uintptr_t)t->stores[k].word;
            if (at < (uintptr_t)p || at >= (uintptr_t)p + bytes) continue;
            if (i != sim.current) sim_fail("memory freed under worker %u's store", i);
            sim_drain();
        }
    }
}

// ---- Who runs -------------------------------------------------------------------------

static void switch_to(uint32_t next, bool ends)
{
    struct sim_thread *from = sim_self();

    sim.run_length = 0;
    if (next == sim.current) return;
    sim.current = next;
    sim.switches++;
    sim_note(next);
    context_switch(&from->context, &sim.threads[next].context, NULL, ends);
}

// The n-th set bit of 'mask' after the current worker, in the order of their numbers, around.
static uint32_t nth_other(uint32_t mask, uint32_t n)
{
    uint32_t below = mask & (bit(sim.current) - 1);
    uint32_t above = mask & ~(bit(sim.current) | (bit(sim.current) - 1));
    uint32_t n_above = (uint32_t)__builtin_popcount(above);
    uint32_t from = n < n_above ? above : below;

    if (n >= n_above) n -= n_above;
    while (n--) from &= from - 1;
    return (uint32_t)__builtin_ctz(from);
}

static uint32_t count(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

static uint32_t futex_sleepers(void)
{
    uint32_t mask = 0;

    if (!sim.spurious) return 0;
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait == SIM_FUTEX) mask |= bit(i);
    return mask;
}

// The last resort against a policy that lets one worker spin for ever. No decision: it follows
// from what happened before.
static void force_fairness(void)
{
    struct sim_thread *t = sim_self();

    if (t->n_stores && sim.points - t->stores[0].born > STORE_AGE) show(t, 1);
    if (sim.run_length > RUN_MOST && sim.runnable & ~bit(sim.current)) {
        sim_drain();
        switch_to(nth_other(sim.runnable & ~bit(sim.current), 0), false);
    }
}

// One byte says what happens at a point: 0 go on | another worker | a store becomes visible |
// the kernel works | a futex wakes for nothing.
static void decide(void)
{
    uint32_t others = sim.runnable & ~bit(sim.current);
    struct options o = {.others = count(others),
                        .stores = count(sim.pending),
                        .kernel = sim.kernel_works};
    uint32_t choice = 0;

    if (sim.spurious && (sim.points & 63) == 0) o.sleepers = count(futex_sleepers());
    uint32_t n = 1 + o.others + o.stores + o.kernel + o.sleepers;
    if (n == 1) return;
    if (!given(n, &choice)) choice = policy_choose(&o, others);
    record(choice);

    if (choice == 0) return;
    choice--;
    if (choice < o.others) {
        switch_to(nth_other(others, choice), false);
        return;
    }
    choice -= o.others;
    if (choice < o.stores) {
        uint32_t mask = sim.pending;
        while (choice--) mask &= mask - 1;
        show(&sim.threads[__builtin_ctz(mask)], 1);
        return;
    }
    choice -= o.stores;
    if (choice < o.kernel) {
        kernel_step();
        return;
    }
    choice -= o.kernel;
    uint32_t mask = futex_sleepers();
    while (choice--) mask &= mask - 1;
    sim_wake((uint32_t)__builtin_ctz(mask));
}

// Where each point stands, for addr2line (trace.sh).
static void trace(uint32_t what, const void *from)
{
    printf("%u %u:%s %u %p\n", sim.points, sim.current, sim_self()->name, what, from);
}

static void step_from(uint32_t what, const void *from)
{
    if (!sim.active) return;
    if (sim.traces) trace(what, from);
    sim_note(what << 8 | sim.current);
    sim.run_length++;
    if (++sim.points > SIM_POINTS_MAX)
        sim_fail("more than %u points: the run hangs", SIM_POINTS_MAX);
    decide();
    force_fairness();
}

#define FROM __builtin_return_address(0)

void sim_step(uint32_t what)
{
    step_from(what, FROM);
}

void sim_point(void)
{
    step_from(1, FROM);
}

// ---- The verbs ------------------------------------------------------------------------

void sim_load(const void *word, unsigned bytes, void *ret_value)
{
    step_from(2, FROM);
    if (sim.active && sim.pending & bit(sim.current)) {
        struct sim_thread *t = sim_self();
        for (uint32_t i = t->n_stores; i-- > 0;) {
            if (t->stores[i].word != word || t->stores[i].bytes != bytes) continue;
            memcpy(ret_value, &t->stores[i].value, bytes);
            return;
        }
    }
    memcpy(ret_value, word, bytes);
    if (bytes == 4) { // never an address (D1)
        uint32_t value;
        memcpy(&value, ret_value, 4);
        sim_note(value);
    }
}

void sim_store(void *word, unsigned bytes, const void *value)
{
    step_from(3, FROM);
    if (!sim.active || !sim.buffered) {
        memcpy(word, value, bytes);
        return;
    }
    struct sim_thread *t = sim_self();
    if (t->n_stores == SIM_BUFFER) show(t, 1);
    struct sim_store *s = &t->stores[t->n_stores++];
    *s = (struct sim_store){.word = word, .bytes = bytes, .born = sim.points};
    memcpy(&s->value, value, bytes);
    sim.pending |= bit(sim.current);
}

void sim_rmw(void)
{
    step_from(4, FROM);
    if (sim.active) sim_drain();
}

void sim_fence(void)
{
    step_from(5, FROM);
    if (sim.active) sim_drain();
}

// ---- Blocking -------------------------------------------------------------------------

static const char *wait_name(enum sim_wait wait)
{
    static const char *const names[] = {"free",   "runs", "futex", "sleep", "join",
                                        "kernel", "ring", "hog",   "nap",   "ended"};
    return names[wait];
}

static _Noreturn void dead(void)
{
    char line[400] = "";
    size_t at = 0;

    for (uint32_t i = 0; i < SIM_THREADS && at < sizeof(line) - 40; i++)
        if (sim.threads[i].wait != SIM_FREE && sim.threads[i].wait != SIM_ENDED)
            at += (size_t)snprintf(line + at, sizeof(line) - at, " %s:%s",
                                   sim.threads[i].name, wait_name(sim.threads[i].wait));
    sim_fail("a lost wake-up: nothing runs, no timer, no input under way;%s", line);
}

// The clock goes to the next deadline, in some runs past it.
static void advance(void)
{
    int64_t next = INT64_MAX;

    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait != SIM_FREE && sim.threads[i].deadline < next)
            next = sim.threads[i].deadline;
    if (next == INT64_MAX) dead();
    if (next > sim.now) sim.now = next;
    if (sim.jumps) sim.now += (int64_t)sim_choose(256, 16) << 16;
    for (uint32_t i = 0; i < SIM_THREADS; i++) {
        if (sim.threads[i].wait == SIM_FREE || sim.threads[i].deadline > sim.now)
            continue;
        sim.threads[i].timed_out = true;
        sim_wake(i);
    }
}

// Nobody runs: the kernel first, then the clock.
static void idle(void)
{
    while (!sim.runnable) {
        sim_note(7);
        if (++sim.points > SIM_POINTS_MAX)
            sim_fail("more than %u points: the run hangs", SIM_POINTS_MAX);
        if (kernel_step()) continue;
        oracle_idle();
        advance();
    }
}

static void leave(bool ends)
{
    sim_drain();
    sim.runnable &= ~bit(sim.current);
    if (!sim.runnable) idle();
    if (sim.runnable & bit(sim.current)) return; // its own deadline
    uint32_t n = count(sim.runnable);
    uint32_t choice = 0;

    if (n > 1) {
        if (!given(n, &choice)) choice = policy_successor(n);
        record(choice);
    }
    switch_to(nth_other(sim.runnable, choice), ends);
}

bool sim_block(enum sim_wait why, const void *word, int64_t deadline)
{
    struct sim_thread *t = sim_self();

    t->wait = why;
    t->word = word;
    t->deadline = deadline;
    t->timed_out = false;
    leave(false);
    return !t->timed_out;
}

void sim_wake(uint32_t thread)
{
    struct sim_thread *t = &sim.threads[thread];

    t->wait = SIM_RUNS;
    t->word = NULL;
    t->deadline = INT64_MAX;
    sim.runnable |= bit(thread);
}

void sim_hog(int64_t ns)
{
    sim_step(6);
    sim_block(SIM_HOG, NULL, sim.now + ns);
}

void sim_nap(int64_t ns)
{
    sim_step(6);
    sim_block(SIM_NAP, NULL, sim.now + ns);
}

// ---- Workers --------------------------------------------------------------------------

static void thread_end(uintptr_t value)
{
    (void)value;
    struct sim_thread *t = sim_self();

    sim_step(8); // its stores may still be under way
    if (sim.current == 0) siglongjmp(driver, 2);
    t->wait = t->detached ? SIM_FREE : SIM_ENDED;
    t->deadline = INT64_MAX;
    sim.n_alive--;
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait == SIM_JOIN && sim.threads[i].word == t) sim_wake(i);
    leave(true);
    sim_fail("an ended worker ran");
}

static void thread_enter(void *word)
{
    (void)word;
}

int sim_thread_start(void (*fn)(void *), void *arg, const char *name)
{
    uint32_t i = 0;

    while (i < SIM_THREADS && sim.threads[i].wait != SIM_FREE) i++;
    if (i == SIM_THREADS) return -1;
    struct sim_thread *t = &sim.threads[i];
    struct arch_call call = {.ints = {(uintptr_t)arg}};

    *t = (struct sim_thread){.wait = SIM_RUNS,
                             .fn = fn,
                             .arg = arg,
                             .deadline = INT64_MAX};
    strncpy(t->name, name, sizeof(t->name) - 1);
    t->priority = rand_next(&sim.chance) | 0x80000000u;
    char *low = stacks + (size_t)i * STACK_BYTES;
    context_make(&t->context, low, low + STACK_BYTES, &call, false, (void (*)(void))fn,
                 thread_enter, thread_end, &t->low_mark);
    sim.runnable |= bit(i);
    sim.n_alive++;
    return (int)i;
}

// ---- A run ----------------------------------------------------------------------------

// The library's own data as it was before the first run (D2).
extern char __start_lib_data[], __stop_lib_data[];

static void restore_library(void)
{
    static char *first;
    size_t bytes = (size_t)(__stop_lib_data - __start_lib_data);

    if (first) {
        memcpy(__start_lib_data, first, bytes);
        return;
    }
    first = malloc(bytes);
    memcpy(first, __start_lib_data, bytes);
}

static void (*run_fn)(void);

static void run_main(void *arg)
{
    (void)arg;
    run_fn();
}

static void begin(uint64_t seed, const uint8_t *bytes, uint32_t n)
{
    if (!stacks) {
        stacks = mmap(NULL, SIM_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks == MAP_FAILED) abort();
        catch_faults();
    }
    restore_library();
    memory_reset();
    kernel_reset();
    bool traces = sim.traces;
    memset(&sim, 0, sizeof(sim));
    sim.traces = traces;
    sim.seed = seed;
    sim.now = SIM_START_NS;
    sim.choices = choices;
    sim.replays = bytes != NULL;
    sim.given = bytes;
    sim.n_given = n;
    policy_init(seed);
}

static const char *leftover(void)
{
    const char *what;

    if (sim.n_alive > 1) return "threads are left";
    if ((what = kernel_leftover())) return what;
    return memory_leftover();
}

bool sim_run(uint64_t seed, const uint8_t *bytes, uint32_t n, void (*fn)(void))
{
    struct context here;

    begin(seed, bytes, n);
    run_fn = fn;
    if (sigsetjmp(driver, 0) == 0) {
        sim_thread_start(run_main, NULL, "main");
        sim.active = true;
        context_switch(&here, &sim.threads[0].context, NULL, false);
    }
    sim.active = false;
    if (sim.failed) return false;
    sim_drain_all();
    const char *what = leftover();
    if (what) {
        snprintf(sim.failure, sizeof(sim.failure), "%s", what);
        sim.failed = true;
    }
    return !sim.failed;
}
