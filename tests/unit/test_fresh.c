// SPDX-License-Identifier: MIT
// Goal:   new coroutines come newest first to their owner and oldest first to thieves, each once,
//         full, wrapped, and when both want the last ones.
// Method: fake coroutines that are only addresses; counters start just before they wrap; then one
//         owner against two thieves, with either kind of fence, every coroutine counted.
#include "sched/fresh.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/platform.h"
#include "sched/g.h"
#include "tests/lib/test.h"

static struct g gs[2 * FRESH_SIZE];

static void start_at(struct fresh *f, uint32_t start, bool light)
{
    *f = (struct fresh){.head = {start}, .tail = {start}, .claim = {start}};
    fresh_init(f, light);
}

static struct fresh *fresh_at(uint32_t start)
{
    static struct fresh f;

    start_at(&f, start, true);
    return &f;
}

static struct fresh *a_thief(void)
{
    static struct fresh f;

    start_at(&f, 7, true);
    return &f;
}

Test(fresh, the_newest_comes_first_and_the_oldest_on_request)
{
    struct fresh *f = fresh_at(UINT32_MAX - 2);

    for (int i = 0; i < 5; i++) cr_assert(fresh_push(f, &gs[i]));
    cr_assert_eq(fresh_len(f), 5);
    cr_assert_eq(fresh_pop(f), &gs[4]);
    cr_assert_eq(fresh_pop_oldest(f), &gs[0]);
    cr_assert_eq(fresh_pop_oldest(f), &gs[1]);
    cr_assert(fresh_push(f, &gs[5]));
    cr_assert_eq(fresh_pop(f), &gs[5]);
    cr_assert_eq(fresh_pop(f), &gs[3]);
    cr_assert_eq(fresh_pop_oldest(f), &gs[2]);
    cr_assert_null(fresh_pop_oldest(f));
    cr_assert_null(fresh_pop(f));
    cr_assert_eq(fresh_len(f), 0);
}

Test(fresh, when_full_the_older_half_goes_in_order)
{
    struct fresh *f = fresh_at(UINT32_MAX - 10);
    struct queue overflow = {0};

    cr_assert_eq(fresh_make_room(f, &overflow), 0);
    for (uint32_t i = 0; i < FRESH_SIZE; i++) cr_assert(fresh_push(f, &gs[i]));
    cr_assert_not(fresh_push(f, &gs[FRESH_SIZE]));
    cr_assert_eq(fresh_make_room(f, &overflow), FRESH_SIZE / 2);
    for (uint32_t i = 0; i < FRESH_SIZE / 2; i++)
        cr_assert_eq(g_of_node(queue_pop(&overflow)), &gs[i]);
    cr_assert(queue_empty(&overflow));
    cr_assert(fresh_push(f, &gs[FRESH_SIZE]));
    cr_assert_eq(fresh_pop(f), &gs[FRESH_SIZE]);
    cr_assert_eq(fresh_pop_oldest(f), &gs[FRESH_SIZE / 2]);
}

Test(fresh, a_thief_takes_the_older_half_rounded_up_and_runs_its_newest)
{
    struct fresh *from = fresh_at(UINT32_MAX - 1), *to = a_thief();

    for (int i = 0; i < 5; i++) cr_assert(fresh_push(from, &gs[i]));
    cr_assert_eq(fresh_steal(to, from), &gs[2]);
    cr_assert_eq(fresh_pop(to), &gs[1]);
    cr_assert_eq(fresh_pop(to), &gs[0]);
    cr_assert_null(fresh_pop(to));
    cr_assert_eq(fresh_len(from), 2);
    cr_assert_eq(fresh_pop(from), &gs[4]);
    cr_assert_eq(fresh_steal(to, from), &gs[3]);
    cr_assert_null(fresh_steal(to, from));
    cr_assert_null(fresh_pop(from));
}

Test(fresh, while_another_thief_is_there_nobody_waits)
{
    struct fresh *from = fresh_at(0), *to = a_thief();

    cr_assert(fresh_push(from, &gs[0]));
    cr_assert(fresh_push(from, &gs[1]));
    lock_acquire(&from->lock);
    store_relaxed(&from->claim, 1);
    cr_assert_null(fresh_steal(to, from));
    cr_assert_eq(fresh_pop(from), &gs[1]); // beyond the claim
    cr_assert_null(fresh_pop(from));       // claimed, and not yet decided
    cr_assert_eq(fresh_len(from), 1);
    store_relaxed(&from->claim, 0); // taken back
    lock_release(&from->lock);
    cr_assert_eq(fresh_pop(from), &gs[0]);
}

// True if it is ever so, right behind a payment: this thread may lose its processor in between.
static bool once_too_soon(struct fresh *f)
{
    for (int i = 0; i < 100000; i++) {
        store_relaxed(&f->paid_at, clock_cycles());
        if (fresh_too_soon(f)) return true;
    }
    return false;
}

Test(fresh, a_thief_comes_once_in_a_while)
{
    struct fresh *from = fresh_at(3), *to = a_thief();

    if (!os_fence_heavy_get()) cr_skip_test("no heavy fence here");
    cr_assert_not(once_too_soon(from), "nothing stands there");
    for (int i = 0; i < 4; i++) cr_assert(fresh_push(from, &gs[i]));
    store_relaxed(&from->paid_at, 0);
    cr_assert_not(fresh_too_soon(from), "nobody came yet");
    cr_assert_eq(fresh_steal(to, from), &gs[1]);
    cr_assert_neq(load_relaxed(&from->paid_at), 0);
    cr_assert(once_too_soon(from));
    store_relaxed(&from->paid_at, clock_cycles() - FRESH_PAUSE);
    cr_assert_not(fresh_too_soon(from), "that was long ago");
    start_at(from, 3, false);
    cr_assert(fresh_push(from, &gs[0]));
    cr_assert_not(once_too_soon(from), "with equal fences nobody pays for two");
}

// ---- One owner, two thieves ----------------------------------------------------------------

enum { ITEMS = 100000, THIEVES = 2 };

static struct g *items;
static atomic_u32 *seen; // how often each item was taken
static atomic_u32 taken;

static void take(struct g *g)
{
    if (!g) return;
    add_relaxed(&seen[g - items], 1);
    add_relaxed(&taken, 1);
}

static void *steal_until_all_are_taken(void *arg)
{
    struct fresh *mine = os_alloc(sizeof(*mine), alignof(struct fresh));

    fresh_init(mine, true);
    while (load_relaxed(&taken) < ITEMS) {
        take(fresh_steal(mine, arg));
        for (struct g *g; (g = fresh_pop(mine));) take(g);
    }
    os_free(mine);
    return NULL;
}

static void each_is_taken_once(bool light)
{
    struct fresh *f = os_alloc(sizeof(*f), alignof(struct fresh));
    pthread_t thieves[THIEVES];
    struct queue overflow = {0};

    start_at(f, UINT32_MAX - 1000, light);
    items = os_alloc(ITEMS * sizeof(*items), alignof(struct g));
    seen = os_alloc(ITEMS * sizeof(*seen), alignof(atomic_u32));
    for (int i = 0; i < THIEVES; i++)
        cr_assert_eq(pthread_create(&thieves[i], NULL, steal_until_all_are_taken, f), 0);

    for (uint32_t i = 0; i < ITEMS; i++) {
        while (!fresh_push(f, &items[i])) {
            fresh_make_room(f, &overflow);
            for (struct queue_node *n; (n = queue_pop(&overflow));) take(g_of_node(n));
        }
        if (i % 3 == 0) take(fresh_pop_oldest(f));
        if (i % 64 >= 32) { // up and down, over the last ones
            take(fresh_pop(f));
            take(fresh_pop(f));
        }
    }
    while (load_relaxed(&taken) < ITEMS) take(fresh_pop(f));
    for (int i = 0; i < THIEVES; i++) pthread_join(thieves[i], NULL);
    for (uint32_t i = 0; i < ITEMS; i++)
        cr_assert_eq(load_relaxed(&seen[i]), 1, "item %u was taken %u times", i,
                     load_relaxed(&seen[i]));
    os_free(items);
    os_free(seen);
    os_free(f);
}

Test(fresh, two_thieves_who_pay_for_the_owner_take_each_once, .timeout = 120)
{
    if (!os_fence_heavy_get()) return; // the kernel has none
    each_is_taken_once(true);
}

Test(fresh, two_thieves_and_an_owner_with_full_fences_take_each_once, .timeout = 120)
{
    each_is_taken_once(false);
}
