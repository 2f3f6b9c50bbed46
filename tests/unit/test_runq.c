// SPDX-License-Identifier: MIT
// Goal:   the run queue loses nothing, doubles nothing and keeps its order, full, wrapped, stolen.
// Method: fake coroutines that are only addresses; counters start just before they wrap; then one
//         owner against two thieves, every coroutine counted.
#include "sched/runq.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "base/platform.h"
#include "sched/g.h"
#include "tests/lib/test.h"

static struct g gs[4 * RUNQ_SIZE];

static struct runq *queue_at(uint32_t start)
{
    static struct runq q;

    q = (struct runq){.head = {start}, .tail = {start}};
    return &q;
}

Test(runq, owner_takes_in_the_order_of_pushing)
{
    struct runq *q = queue_at(0);
    struct queue overflow = {0};

    for (int i = 0; i < 10; i++) cr_assert_eq(runq_push(q, &gs[i], &overflow), 0);
    for (int i = 0; i < 10; i++) cr_assert_eq(runq_pop(q), &gs[i]);
    cr_assert_null(runq_pop(q));
}

Test(runq, full_ring_hands_its_older_half_over_in_order)
{
    struct runq *q = queue_at(0);
    struct queue overflow = {0};

    for (uint32_t i = 0; i < RUNQ_SIZE; i++)
        cr_assert_eq(runq_push(q, &gs[i], &overflow), 0);
    cr_assert_eq(runq_push(q, &gs[RUNQ_SIZE], &overflow), RUNQ_SIZE / 2 + 1);
    for (uint32_t i = 0; i < RUNQ_SIZE / 2; i++)
        cr_assert_eq(g_of_node(queue_pop(&overflow)), &gs[i]);
    cr_assert_eq(g_of_node(queue_pop(&overflow)), &gs[RUNQ_SIZE]);
    cr_assert(queue_empty(&overflow));
    cr_assert_eq(runq_pop(q), &gs[RUNQ_SIZE / 2]);
}

Test(runq, counters_wrap_without_a_trace)
{
    struct runq *q = queue_at(UINT32_MAX - 2);
    struct queue overflow = {0};

    for (int round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < RUNQ_SIZE; i++) runq_push(q, &gs[i], &overflow);
        cr_assert_eq(runq_len(q), RUNQ_SIZE);
        for (uint32_t i = 0; i < RUNQ_SIZE; i++) cr_assert_eq(runq_pop(q), &gs[i]);
    }
    cr_assert(queue_empty(&overflow));
}

Test(runq, thief_takes_half_rounded_up_and_runs_the_last)
{
    struct runq *from = queue_at(UINT32_MAX - 1);
    static struct runq to;
    struct queue overflow = {0};

    for (int i = 0; i < 5; i++) runq_push(from, &gs[i], &overflow);
    cr_assert_eq(runq_steal(&to, from, false), &gs[2]);
    cr_assert_eq(runq_pop(&to), &gs[0]);
    cr_assert_eq(runq_pop(&to), &gs[1]);
    cr_assert_null(runq_pop(&to));
    cr_assert_eq(runq_len(from), 2);
}

Test(runq, next_is_stolen_only_on_request_and_only_from_an_empty_ring)
{
    struct runq *from = queue_at(0);
    static struct runq to;
    struct queue overflow = {0};

    cr_assert_null(runq_put_next(from, &gs[0]));
    cr_assert_null(runq_steal(&to, from, false));
    runq_push(from, &gs[1], &overflow);
    cr_assert_eq(runq_steal(&to, from, true), &gs[1]);
    cr_assert_eq(runq_steal(&to, from, true), &gs[0]);
    cr_assert_null(runq_take_next(from));
}

Test(runq, next_gives_the_former_one_back)
{
    struct runq *q = queue_at(0);

    cr_assert_null(runq_put_next(q, &gs[0]));
    cr_assert_eq(runq_put_next(q, &gs[1]), &gs[0]);
    cr_assert_eq(runq_take_next(q), &gs[1]);
    cr_assert_null(runq_take_next(q));
}

// ---- One owner, two thieves ----------------------------------------------------------------

enum { ITEMS = 200000, THIEVES = 2 };

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
    struct runq *mine = os_alloc(sizeof(*mine), alignof(struct runq));

    while (load_relaxed(&taken) < ITEMS) {
        take(runq_steal(mine, arg, true));
        for (struct g *g; (g = runq_pop(mine));) take(g);
    }
    os_free(mine);
    return NULL;
}

Test(runq, two_thieves_and_the_owner_take_each_item_once, .timeout = 120)
{
    struct runq *q = queue_at(UINT32_MAX - 1000);
    pthread_t thieves[THIEVES];
    struct queue overflow = {0};

    items = os_alloc(ITEMS * sizeof(*items), alignof(struct g));
    seen = os_alloc(ITEMS * sizeof(*seen), alignof(atomic_u32));
    for (int i = 0; i < THIEVES; i++)
        cr_assert_eq(pthread_create(&thieves[i], NULL, steal_until_all_are_taken, q), 0);

    for (uint32_t i = 0; i < ITEMS; i++) {
        if (i % 7 == 0) {
            struct g *kicked = runq_put_next(q, &items[i]);
            if (kicked) runq_push(q, kicked, &overflow);
        } else {
            runq_push(q, &items[i], &overflow);
        }
        if (i % 3 == 0) take(runq_pop(q));
        if (i % 11 == 0) take(runq_take_next(q));
        for (struct queue_node *n; (n = queue_pop(&overflow));) take(g_of_node(n));
    }
    for (int i = 0; i < THIEVES; i++) pthread_join(thieves[i], NULL);
    for (uint32_t i = 0; i < ITEMS; i++)
        cr_assert_eq(load_relaxed(&seen[i]), 1, "item %u was taken %u times", i,
                     load_relaxed(&seen[i]));
    os_free(items);
    os_free(seen);
}
