// SPDX-License-Identifier: MIT
// stack: every stack has a guard, is reused last-in first-out, and is gone when the depot is.
// Method: the kernel is asked. write(2) from an address that may not be read gives EFAULT, so a
// guard is seen without a signal.
#include "base/stack.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

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
    stack_cache_fini(&cache);
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
    stack_cache_fini(&other);
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
