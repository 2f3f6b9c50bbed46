// SPDX-License-Identifier: MIT
// Goal:   a host that keeps a context in each thread is told when it has to change it: of every
//         thread that comes and goes, and of every stretch that a coroutine runs.
// Method: the context is a thread-local pointer, swapped by the hooks with the coroutine's word.
//         Each coroutine looks at it after every wait and finds its own, wherever it runs then.
#include <coir/go.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"

// ---- A host with a context ----------------------------------------------------------------------

struct context {
    uint64_t id; // whose it is; 0: the thread's own
    long stretches;
};

static _Thread_local struct context own; // of the thread
static _Thread_local struct context *current;
static _Thread_local uint64_t inside; // who runs here; 0: nobody
static atomic_long n_made, n_freed, n_in, n_out;

__attribute__((noinline)) static struct context *here(void)
{
    __asm__ volatile(""); // a thread-local's address is good until the next wait
    return current;
}

static void swap(void **slot)
{
    void *was = current ? current : &own;

    current = *slot;
    *slot = was;
}

static void comes_in(void *arg, uint64_t id, void **slot)
{
    (void)arg;
    expect(id != 0);
    expect_eq(coir_id(), 0);
    expect_eq(inside, 0);
    inside = id;
    atomic_fetch_add(&n_in, 1);
    if (!*slot) {
        struct context *made = calloc(1, sizeof(*made));
        expect(made);
        made->id = id;
        *slot = made;
        atomic_fetch_add(&n_made, 1);
    }
    swap(slot);
    expect_eq(current->id, id);
    current->stretches++;
}

static void goes_out(void *arg, uint64_t id, void **slot, int ends)
{
    (void)arg;
    expect_eq(coir_id(), 0);
    expect_eq(inside, id);
    inside = 0;
    atomic_fetch_add(&n_out, 1);
    expect_eq(current->id, id);
    swap(slot);
    expect_eq(current->id, 0);
    if (!ends) return;
    free(*slot);
    atomic_fetch_add(&n_freed, 1);
}

static coir_config told(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.switch_in = comes_in;
    config.switch_out = goes_out;
    n_made = n_freed = n_in = n_out = 0;
    return config;
}

static void everybody_was_told(long coroutines)
{
    expect_eq(n_in, n_out);
    expect_eq(n_made, coroutines);
    expect_eq(n_freed, coroutines);
    expect(n_in >= coroutines);
}

static void is_mine(void)
{
    expect(here() != NULL);
    expect_eq(here()->id, coir_id());
}

// ---- Over every kind of wait --------------------------------------------------------------------

static coir_mutex lock;
static coir_chan *pipe_of_ids;

static void on_a_big_stack(void *arg)
{
    long before = here()->stretches;

    (void)arg;
    is_mine();
    expect_eq(here()->stretches, before); // the call itself is no switch
    coir_yield();
    is_mine();
    expect(here()->stretches > before);
}

static void on_a_helper(void *arg)
{
    (void)arg;
    expect(here() == NULL); // a thread of its own: nobody was told
}

static void computes(int64_t ns)
{
    for (int64_t until = coir_now() + ns; coir_now() < until;) continue;
}

static void waits_in_every_way(int me)
{
    uint64_t id = coir_id();
    char name[32] = "";

    is_mine();
    for (int i = 0; i < 20; i++) {
        expect_eq(coir_yield(), 0);
        is_mine();
        expect_eq(coir_sleep((me * 7 + i) % 5 * 10 * COIR_US), 0);
        is_mine();
        expect_eq(coir_mutex_lock(&lock, COIR_FOREVER), 0);
        is_mine();
        coir_yield();
        expect_eq(coir_mutex_unlock(&lock), 0);
        is_mine();
        if (me % 2)
            expect_eq(coir_chan_send(pipe_of_ids, &id, COIR_FOREVER), 0);
        else
            expect_eq(coir_chan_recv(pipe_of_ids, &id, COIR_FOREVER), 0);
        is_mine();
    }
    if (me % 8 == 3) computes(30 * COIR_MS); // its worker goes on elsewhere
    is_mine();
    if (me % 8 == 4) expect_eq(coir_pin(), 0);
    for (int i = 0; i < 5; i++) {
        expect_eq(coir_yield(), 0);
        is_mine();
    }
    if (me % 16 == 4) expect_eq(coir_unpin(), 0); // the others take their thread along
    coir_yield();
    is_mine();
    if (me % 8 == 5) expect_eq(coir_on_big_stack(256 << 10, on_a_big_stack, NULL), 0);
    if (me % 8 == 6) expect_eq(coir_blocking(on_a_helper, NULL), 0);
    is_mine();
    snprintf(name, sizeof(name), "%d", me);
    expect_eq(atoi(name), me);
    is_mine();
}

enum { CROWD = 64 };

static int crowd(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_chan_make(sizeof(uint64_t), 2, &pipe_of_ids), 0);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 0; i < CROWD; i++)
        expect_eq(coir_scope_go_with(&s, coir_opts(.stack_bytes = i % 3 ? 0 : 128 << 10),
                                     waits_in_every_way, i),
                  0);
    expect_eq(coir_scope_wait(&s), 0);
    is_mine();
    coir_chan_unref(pipe_of_ids);
    return 0;
}

static void a_context_follows_its_coroutine(unsigned workers, coir_driver driver)
{
    coir_config config = told();

    config.workers = workers;
    config.driver = driver;
    expect_eq(coir_run(&config, crowd, NULL), 0);
    everybody_was_told(CROWD + 1);
    expect(current == NULL); // coir_run's caller runs none
}

// ---- Seeded -------------------------------------------------------------------------------------

static uint64_t order;
static uint64_t first_id;

static void notes_the_order(void *arg, uint64_t id, void **slot)
{
    comes_in(arg, id, slot);
    if (!first_id) first_id = id;
    order = order * 31 + (id - first_id) + 1;
}

static void looks_twice(void)
{
    for (int i = 0; i < 10; i++) {
        is_mine();
        coir_sleep(i * COIR_US);
    }
}

static int a_few(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) expect_eq(go(looks_twice), 0);
    return coir_sleep(COIR_MS);
}

static uint64_t order_of(uint64_t seed)
{
    coir_config config = told();

    config.switch_in = notes_the_order;
    config.seed = seed;
    order = first_id = 0;
    expect_eq(coir_run(&config, a_few, NULL), 0);
    everybody_was_told(6);
    return order;
}

static void a_seeded_run_is_told_the_same_twice(void)
{
    expect(order_of(7) == order_of(7));
}

// ---- Hosted -------------------------------------------------------------------------------------

static void lives_in_turns(coir_runtime *inner)
{
    for (int i = 0; i < 5; i++) {
        is_mine();
        coir_yield();
        if (!inner) continue;
        // The turn of another runtime, whose host knows nothing of ours: it is told nothing.
        expect(coir_hosted_turn(inner, 0) >= 0);
        is_mine();
    }
}

static void a_turn_gives_the_hosts_context_back(void)
{
    coir_config config = told(), untold = COIR_CONFIG_INIT;
    coir_runtime *rt, *inner;

    expect_eq(coir_hosted_start(&config, &rt), 0);
    expect_eq(coir_hosted_start(&untold, &inner), 0);
    current = &own;
    for (int i = 0; i < 4; i++)
        expect_eq(coir_go_on(rt, lives_in_turns, i == 2 ? inner : NULL), 0);
    for (int more = 1; more > 0;) {
        more = coir_hosted_turn(rt, 3);
        expect(here() == &own);
        expect_eq(inside, 0);
    }
    expect_eq(coir_stop(inner, COIR_FOREVER), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    everybody_was_told(4);
    current = NULL;
}

// ---- A hook that takes long ---------------------------------------------------------------------

static atomic_int other_ran;
static atomic_ulong slow_one;
static int slow_out;

static void waits_for_another(uint64_t id)
{
    if (id != slow_one) return;
    while (!other_ran) sched_yield();
    slow_one = 0;
}

static void slow_comes_in(void *arg, uint64_t id, void **slot)
{
    if (!slow_out) waits_for_another(id);
    comes_in(arg, id, slot);
}

static void slow_goes_out(void *arg, uint64_t id, void **slot, int ends)
{
    goes_out(arg, id, slot, ends);
    if (slow_out) waits_for_another(id);
}

static void is_the_slow_one(void)
{
    is_mine();
    slow_one = coir_id();
    coir_yield(); // out of it, behind the other, and in again
    is_mine();
    coir_sleep(COIR_MS);
    is_mine();
}

static void is_the_other(void)
{
    is_mine();
    if (!slow_one) coir_yield();
    coir_yield();
    other_ran = 1;
}

static int both(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    expect_eq(coir_scope_go(&s, is_the_slow_one), 0);
    expect_eq(coir_scope_go(&s, is_the_other), 0);
    expect_eq(coir_scope_wait(&s), 0);
    is_mine();
    return 0;
}

// On the only worker there is: the other can run only if that is taken from who stands in a hook.
static void a_slow_hook_stops_nobody_else(int out)
{
    coir_config config = told();

    slow_out = out;
    slow_one = 0;
    other_ran = 0;
    config.workers = 1;
    config.switch_in = slow_comes_in;
    config.switch_out = slow_goes_out;
    expect_eq(coir_run(&config, both, NULL), 0);
    everybody_was_told(3);
}

// ---- What a hook may call -----------------------------------------------------------------------

static coir_chan *reports;

static void reports_the_end(void *arg, uint64_t id, void **slot, int ends)
{
    (void)arg, (void)slot;
    if (ends) expect_eq(coir_chan_send(reports, &id, COIR_NOW), 0);
}

static void does_nothing(void)
{
}

static int reads_reports(void *arg)
{
    uint64_t sum = 0, id;

    (void)arg;
    for (int i = 0; i < 8; i++) expect_eq(go(does_nothing), 0);
    for (int i = 0; i < 8; i++) {
        expect_eq(coir_chan_recv(reports, &id, COIR_FOREVER), 0);
        sum += id;
    }
    expect(sum > 8 * coir_id());
    return 0;
}

// With one hook alone, which wakes a coroutine that waits.
static void a_hook_may_wake_others(unsigned workers)
{
    coir_config config = COIR_CONFIG_INIT;

    expect_eq(coir_chan_make(sizeof(uint64_t), 16, &reports), 0);
    config.workers = workers;
    config.switch_out = reports_the_end;
    expect_eq(coir_run(&config, reads_reports, NULL), 0);
    expect_eq(coir_chan_len(reports), 1); // its own end
    coir_chan_unref(reports);
}

// ---- Threads ------------------------------------------------------------------------------------

enum { BEFORE, KNOWN, GONE };
static _Thread_local int this_thread; // BEFORE its start hook, KNOWN, or GONE
static atomic_int n_started, n_stopped, n_workers, n_helpers, n_watchers;

static void thread_comes(void *arg)
{
    char name[16] = "";

    expect_eq(*(int *)arg, 42);
    expect_eq(this_thread, BEFORE);
    this_thread = KNOWN;
    atomic_fetch_add(&n_started, 1);
    pthread_getname_np(pthread_self(), name, sizeof(name));
    if (!strcmp(name, "coir-worker")) atomic_fetch_add(&n_workers, 1);
    if (!strcmp(name, "coir-helper")) atomic_fetch_add(&n_helpers, 1);
    if (!strcmp(name, "coir-sysmon")) atomic_fetch_add(&n_watchers, 1);
}

static void thread_goes(void *arg)
{
    expect_eq(*(int *)arg, 42);
    expect_eq(this_thread, KNOWN);
    this_thread = GONE;
    atomic_fetch_add(&n_stopped, 1);
}

static void *gets(void *arg, size_t size, size_t align)
{
    (void)arg;
    expect_eq(this_thread, KNOWN);
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void puts_back(void *arg, void *p, size_t size, size_t align)
{
    (void)arg, (void)size, (void)align;
    expect_eq(this_thread, KNOWN);
    free(p);
}

static void runs_on_a_known_one(void *arg)
{
    (void)arg;
    expect_eq(this_thread, KNOWN);
}

static void a_pinned_one(void)
{
    runs_on_a_known_one(NULL);
    coir_yield();
}

static int uses_threads(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        expect_eq(go(a_pinned_one), 0);
        if (i % 10 == 0)
            expect_eq(coir_go_with(coir_opts(.pinned = true), a_pinned_one), 0);
        if (i % 10 == 0) expect_eq(coir_blocking(runs_on_a_known_one, NULL), 0);
        coir_yield();
    }
    computes(30 * COIR_MS);
    return coir_sleep(COIR_MS);
}

// The host's allocator, too, sees no thread before its start hook, and none after its stop hook.
static void every_thread_is_told_first_and_last(coir_driver driver)
{
    static const coir_allocator allocator = {.alloc = gets, .release = puts_back};
    coir_config config = COIR_CONFIG_INIT;
    int mark = 42;

    n_started = n_stopped = n_workers = n_helpers = n_watchers = 0;
    this_thread = KNOWN;
    config.workers = 2;
    config.driver = driver;
    config.allocator = &allocator;
    config.thread_start = thread_comes;
    config.thread_stop = thread_goes;
    config.thread_arg = &mark;
    expect_eq(coir_run(&config, uses_threads, NULL), 0);
    expect_eq(n_started, n_stopped);
    expect_eq(n_watchers, 1);
    expect(n_workers >= 1 && n_helpers >= 1);
    expect_eq(n_started, n_workers + n_helpers + n_watchers);
}

int main(void)
{
    a_context_follows_its_coroutine(1, COIR_DRIVER_AUTO);
    a_context_follows_its_coroutine(3, COIR_DRIVER_AUTO);
    a_context_follows_its_coroutine(3, COIR_DRIVER_EPOLL);
    a_seeded_run_is_told_the_same_twice();
    a_turn_gives_the_hosts_context_back();
    a_slow_hook_stops_nobody_else(0);
    a_slow_hook_stops_nobody_else(1);
    a_hook_may_wake_others(1);
    a_hook_may_wake_others(3);
    every_thread_is_told_first_and_last(COIR_DRIVER_AUTO);
    every_thread_is_told_first_and_last(COIR_DRIVER_EPOLL);
    return 0;
}
