// SPDX-License-Identifier: MIT
// stack: every stack has a guard, is reused last-in first-out, and is gone when the depot is.
// Method: the kernel is asked. write(2) from an address that may not be read gives EFAULT, so a
// guard is seen without a signal.
#include "base/stack.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/platform.h"
#include "tests/lib/test.h"

#define MANY ((int)STACK_CACHE_MOST + 300)

struct head {
    struct stack stack;
    char rest[200];
};

static struct stack_depot depot;
static struct stack_cache cache;
static int pipe_fds[2];

static void start_with(bool no_light)
{
    struct stack_config config = {.usable_bytes = 64 << 10,
                                  .guard_bytes = 16 << 10,
                                  .head_bytes = sizeof(struct head),
                                  .no_light = no_light};

    cr_assert_eq(pipe(pipe_fds), 0);
    cr_assert_eq(stack_depot_init(&depot, &config), 0);
    stack_cache_init(&cache, &depot);
}

static void start(void)
{
    start_with(false);
}

static void finish(void)
{
    stack_cache_drain(&cache);
    stack_depot_fini(&depot);
}

static bool readable(const char *p)
{
    char drop;

    if (write(pipe_fds[1], p, 1) == 1) return read(pipe_fds[0], &drop, 1) == 1;
    cr_assert_eq(errno, EFAULT);
    return false;
}

static void expect_guarded(struct stack *s)
{
    cr_assert(readable(s->low));
    cr_assert(readable(s->low + s->bytes - 1));
    cr_assert_not(readable(s->low - 1), "the guard begins right below");
    cr_assert_not(readable(s->low - (16 << 10)), "and is as long as was asked");
}

Test(stack, has_a_guard_below_and_is_usable_to_its_descriptor, .init = start,
     .fini = finish)
{
    struct stack *s = stack_get(&cache);

    cr_assert_not_null(s);
    cr_assert_eq(s->low + s->bytes, (char *)s);
    cr_assert_geq(s->bytes, (64u << 10) - sizeof(struct head) - 4096);
    memset(s->low, 0xaa, s->bytes);
    expect_guarded(s);
    stack_put(&cache, s);
}

Test(stack, is_guarded_where_the_kernel_has_no_light_guards, .fini = finish)
{
    start_with(true);
    struct stack *s = stack_get(&cache);

    cr_assert_not_null(s);
    expect_guarded(s);
    cr_assert_gt(depot.n_protected, 0);
    stack_put(&cache, s);
}

#ifdef COIR_DEBUG
// S1, whichever guard the kernel refuses, once or from then on: other stacks, or fewer, or none.
static int get_while_refused(enum fault_kind what, uint32_t n, bool and_after)
{
    static struct stack *stacks[3 * STACK_BATCH], *sized[4];
    int got = 0;

    start_with(false);
    fault_set(what, n, and_after);
    for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
        if (!(stacks[i] = stack_get(&cache))) continue;
        expect_guarded(stacks[i]);
        got++;
    }
    for (int i = 0; i < 4; i++)
        if ((sized[i] = stack_get_sized(&depot, 128 << 10))) expect_guarded(sized[i]);
    uint32_t fired = fault_fired(what);
    fault_set(what, 0, false);
    cr_assert(fired > 0 || n > 1, "something was refused");
    // And afterwards there are some again.
    struct stack *s = stack_get_direct(&depot);
    cr_assert_not_null(s);
    expect_guarded(s);
    stack_put_direct(&depot, s);
    for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++)
        if (stacks[i]) stack_put(&cache, stacks[i]);
    for (int i = 0; i < 4; i++)
        if (sized[i]) stack_put_sized(&depot, sized[i]);
    finish();
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return got;
}

Test(stack, is_never_unguarded_whichever_guard_is_refused)
{
    for (uint32_t n = 1; n < 40; n++)
        for (int and_after = 0; and_after < 2; and_after++) {
            get_while_refused(FAULT_LIGHT, n, and_after);
            get_while_refused(FAULT_GUARD, n, and_after);
        }
    cr_assert_eq(get_while_refused(FAULT_GUARD, 1, true), 0,
                 "rather none than such a one");
}
#endif

Test(stack, goes_to_the_next_who_asks, .init = start, .fini = finish)
{
    struct stack *a = stack_get(&cache), *b = stack_get(&cache);

    stack_put(&cache, a);
    stack_put(&cache, b);
    cr_assert_eq(stack_get(&cache), b);
    cr_assert_eq(stack_get(&cache), a);
    stack_put(&cache, a);
    stack_put(&cache, b);
}

Test(stack, indices_are_dense_and_tops_are_coloured, .init = start, .fini = finish)
{
    static struct stack *stacks[MANY];
    static bool seen[MANY + STACK_BATCH];
    int shifted = 0;

    for (int i = 0; i < MANY; i++) {
        stacks[i] = stack_get(&cache);
        cr_assert_not_null(stacks[i]);
        cr_assert_lt(stacks[i]->index, MANY + STACK_BATCH);
        cr_assert_not(seen[stacks[i]->index]);
        seen[stacks[i]->index] = true;
        shifted +=
            i > 0 && (uintptr_t)stacks[i] % 4096 != (uintptr_t)stacks[i - 1] % 4096;
    }
    cr_assert_gt(shifted, MANY / 2);
    for (int i = 0; i < MANY; i++) stack_put(&cache, stacks[i]);
}

Test(stack, a_full_cache_gives_to_the_depot_and_another_takes_from_it, .init = start,
     .fini = finish)
{
    static struct stack *stacks[MANY];
    struct stack_cache other;
    uint32_t made, made_later, free;

    stack_cache_init(&other, &depot);
    for (int i = 0; i < MANY; i++) stacks[i] = stack_get(&cache);
    for (int i = 0; i < MANY; i++) stack_put(&cache, stacks[i]);
    cr_assert_leq(cache.hot.n + cache.cold.n, STACK_CACHE_MOST);
    stack_depot_count(&depot, &made, &free);
    cr_assert_geq(free, (uint32_t)MANY - STACK_CACHE_MOST);
    for (int i = 0; i < MANY - (int)STACK_CACHE_MOST; i++) stacks[i] = stack_get(&other);
    stack_depot_count(&depot, &made_later, &free);
    cr_assert_eq(made_later, made, "no new ones while there are old ones");
    for (int i = 0; i < MANY - (int)STACK_CACHE_MOST; i++) stack_put(&other, stacks[i]);
    stack_cache_drain(&other);
}

Test(stack, of_another_size_has_a_mapping_that_goes_with_it, .init = start,
     .fini = finish)
{
    struct stack *s = stack_get_sized(&depot, 1 << 20);
    char *low = s->low;

    cr_assert_geq(s->bytes, (1u << 20) - sizeof(struct head) - 4096);
    memset(low, 0xaa, s->bytes);
    expect_guarded(s);
    stack_put_sized(&depot, s);
    cr_assert_not(readable(low));
}

Test(stack, nothing_is_mapped_after_the_end, .init = start)
{
    struct stack *a = stack_get(&cache), *b = stack_get_direct(&depot);
    char *low_a = a->low, *low_b = b->low;

    stack_put(&cache, a);
    stack_put_direct(&depot, b);
    finish();
    cr_assert_not(readable(low_a));
    cr_assert_not(readable(low_b));
}

Test(stack, a_thread_without_a_cache_makes_one_then_batches, .init = start,
     .fini = finish)
{
    struct stack *s[3];
    uint32_t made, n_free;

    for (int i = 0; i < 3; i++) s[i] = stack_get_direct(&depot);
    stack_depot_count(&depot, &made, &n_free);
    cr_assert_eq(made, 1 + STACK_BATCH);
    cr_assert_eq(n_free, STACK_BATCH - 2);
    cr_assert(stack_depot_ahead(&depot),
              "a worker with nothing to do makes as many again");
    for (int i = 0; i < 3; i++) stack_put_direct(&depot, s[i]);
    cr_assert_not(stack_depot_ahead(&depot), "they are given back: no more are needed");
}

// ---- Memory given back -------------------------------------------------------------------------

// Gives everything back that a second's share allows, as sysmon would.
static void decay(int64_t now)
{
    for (int i = 0; i < 1000 && stack_depot_decay(&depot, now) == now; i++) continue;
}

// So many stacks, their pages dirty, back in the depot.
static void make_and_return(struct stack **stacks, int n)
{
    for (int i = 0; i < n; i++) {
        stacks[i] = stack_get(&cache);
        cr_assert_not_null(stacks[i]);
        stacks[i]->low[100] = 7;
    }
    for (int i = 0; i < n; i++) stack_put(&cache, stacks[i]);
    stack_cache_drain(&cache);
}

Test(stack, that_nobody_needs_goes_back_to_the_kernel_and_comes_guarded_again,
     .init = start, .fini = finish)
{
    static struct stack *stacks[500];
    uint32_t made, free, indices[500];
    int64_t now = 1000000000;

    make_and_return(stacks, 500);
    for (int i = 0; i < 500; i++) indices[i] = stacks[i]->index;
    decay(now); // the first second only looks
    stack_depot_count(&depot, &made, &free);
    cr_assert_geq(free, 500);
    for (int i = 0; i < 20; i++) decay(now += STACK_DECAY_NS);
    stack_depot_count(&depot, &made, &free);
    cr_assert_leq(free, STACK_KEEP);
    int zeros = 0;
    for (int i = 0; i < 500; i++)
        zeros += stacks[i]->low == NULL; // may be read all the same: S2
    cr_assert_geq(zeros, 500 - (int)STACK_KEEP);

    int untouched = 0;
    for (int i = 0; i < 500; i++) {
        struct stack *s = stack_get(&cache);

        for (int j = 0; j < 500; j++)
            cr_assert(stacks[j] != s || indices[j] == s->index, "a slot keeps its index");
        expect_guarded(s);
        untouched += stack_used(s) == 0;
    }
    cr_assert_geq(untouched, 500 - (int)STACK_KEEP);
}

static bool kernel_gives_locked_memory_back(void)
{
    size_t page = os_page_bytes();
    void *p =
        mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int err = madvise(p, page, 24); // MADV_DONTNEED_LOCKED, Linux 5.18

    munmap(p, page);
    return err == 0;
}

// Under mlockall a stack is not filled when it is mapped, and given back as others are.
Test(stack, in_locked_memory_is_touched_page_by_page_and_given_back)
{
    static struct stack *stacks[500];
    int64_t now = 1000000000;
    int touched = 0, returned = 0;

    if (test_slowness() > 1 || mlockall(MCL_FUTURE) < 0)
        return; // a sanitizer's shadows; no right to lock so much
    start();
    make_and_return(stacks, 500);
    for (int i = 0; i < 500; i++) {
        size_t first = os_first_touched(stacks[i]->low + 4096, stacks[i]->bytes - 4096);

        touched += first < stacks[i]->bytes - 2 * 4096; // but for the descriptor's page
        if (i % 50 == 0) expect_guarded(stacks[i]);
    }
    cr_assert_eq(touched, 0);
    decay(now);
    for (int i = 0; i < 20; i++) decay(now += STACK_DECAY_NS);
    for (int i = 0; i < 500; i++) returned += stacks[i]->low == NULL;
    if (kernel_gives_locked_memory_back()) cr_assert_geq(returned, 500 - (int)STACK_KEEP);
    finish();
}

Test(stack, a_region_that_nobody_needs_is_made_new, .init = start, .fini = finish)
{
    static struct stack *stacks[4000];
    int64_t now = 1000000000;

    make_and_return(stacks, 4000);
    uint32_t indices = depot.n_indices;
    for (int i = 0; i < 40; i++) decay(now += STACK_DECAY_NS);
    cr_assert_lt(depot.n_made, 4000u, "whole regions went, guards and all");
    for (int i = 0; i < 4000; i++) {
        stacks[i] = stack_get(&cache);
        if (i % 100 == 0) expect_guarded(stacks[i]);
    }
    cr_assert_eq(depot.n_indices, indices, "and their slots are used again");
    for (int i = 0; i < 4000; i++) stack_put(&cache, stacks[i]);
}

Test(stack, what_is_needed_again_and_again_stays, .init = start, .fini = finish)
{
    static struct stack *stacks[500];
    int64_t now = 1000000000;
    uint32_t made, free;

    for (int i = 0; i < 10; i++) {
        make_and_return(stacks, 500);
        decay(now += STACK_DECAY_NS);
    }
    stack_depot_count(&depot, &made, &free);
    cr_assert_geq(free, 500u - 32, "%u", free);
}

Test(stack, an_idle_worker_makes_what_a_spawner_is_about_to_need, .init = start,
     .fini = finish)
{
    uint32_t made, free;

    cr_assert_not(stack_depot_ahead(&depot), "nothing was asked for yet");
    struct stack *s = stack_get(&cache);
    cr_assert(stack_depot_ahead(&depot));
    stack_depot_count(&depot, &made, &free);
    cr_assert_eq(free, STACK_BATCH);
    while (stack_depot_ahead(&depot)) continue;
    stack_depot_count(&depot, &made, &free);
    cr_assert_leq(free, STACK_AHEAD);
    stack_put_direct(&depot, s);
    cr_assert_not(stack_depot_ahead(&depot), "stacks come back: no more are made");
}

// ---- How much of one was used --------------------------------------------------------------

Test(stack, tells_how_deep_it_was_used, .init = start, .fini = finish)
{
    struct stack *s = stack_get(&cache);
    size_t before = stack_used(s);

    cr_assert_lt(before, 4096u);
    ((char *)s)[-10000] = 1;
    cr_assert_geq(stack_used(s), 10000u);
    cr_assert_leq(stack_used(s), 10008u, "to the word");
    s->low[0] = 1;
    cr_assert_eq(stack_used(s), s->bytes);
    stack_put(&cache, s);
}

Test(stack, that_was_filled_with_zeros_is_not_read_for_long, .init = start,
     .fini = finish)
{
    struct stack *s = stack_get_sized(&depot, (size_t)1 << 30);

    cr_assert_lt(stack_used(s), 4096u);
    ((char *)s)[-300000] = 1;
    cr_assert_geq(stack_used(s), 300000u);
    cr_assert_leq(stack_used(s), 300008u);
    *(volatile char *)(s->low + s->bytes - ((size_t)100 << 20)) = 0;
    cr_assert_leq(stack_used(s), (size_t)100 << 20);
    cr_assert_geq(stack_used(s), (size_t)99 << 20, "touched, and nobody looks further");
    stack_put_sized(&depot, s);
}
