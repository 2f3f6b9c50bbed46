// SPDX-License-Identifier: MIT
// Goal:   the global queue keeps its order and loses nothing where it is taken in parts from its
//         front while others come at its end.
// Method: fake coroutines that are only addresses; taken in parts, with pushes between; then a
//         pusher against two takers, every coroutine counted.
#include "sched/globq.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "base/platform.h"
#include "sched/g.h"
#include "tests/lib/test.h"

enum { ITEMS = 100000, TAKERS = 2, MOST = 7 };

static struct globq q;
static struct g *items;

static void push(uint32_t first, uint32_t n)
{
    struct queue batch = {0};

    for (uint32_t i = 0; i < n; i++) queue_push(&batch, &items[first + i].node);
    globq_push(&q, &batch, n);
}

static void set_up(void)
{
    globq_init(&q);
    items = os_alloc(ITEMS * sizeof(*items), alignof(struct g));
}

Test(globq, taken_in_parts_it_keeps_its_order)
{
    uint32_t next = 0;

    set_up();
    push(0, 20);
    for (uint32_t pushed = 20; next < pushed;) {
        struct queue batch = {0};
        uint32_t n = globq_pop(&q, 6, &batch);

        cr_assert(n >= 1 && n <= 6);
        for (uint32_t i = 0; i < n; i++)
            cr_assert_eq(queue_pop(&batch), &items[next++].node);
        cr_assert_null(queue_pop(&batch));
        cr_assert_eq(globq_len(&q), pushed - next);
        if (pushed < 60) {
            push(pushed, 5);
            pushed += 5;
        }
    }
    struct queue none = {0};
    cr_assert_eq(globq_len(&q), 0);
    cr_assert_eq(globq_pop(&q, 100, &none), 0);
    os_free(items);
}

// ---- One pusher, two takers ------------------------------------------------------------------

static atomic_u32 *seen; // how often each item was taken
static atomic_u32 taken;

static void *take_until_all_are_taken(void *arg)
{
    while (load_relaxed(&taken) < ITEMS) {
        struct queue batch = {0};
        uint32_t n = globq_pop(&q, MOST, &batch), counted = 0;

        for (struct queue_node *node; (node = queue_pop(&batch)); counted++)
            add_relaxed(&seen[g_of_node(node) - items], 1);
        cr_assert_eq(counted, n);
        add_relaxed(&taken, n);
    }
    return arg;
}

Test(globq, two_takers_and_a_pusher_move_each_item_once, .timeout = 120)
{
    pthread_t takers[TAKERS];

    set_up();
    seen = os_alloc(ITEMS * sizeof(*seen), alignof(atomic_u32));
    for (int i = 0; i < TAKERS; i++)
        cr_assert_eq(pthread_create(&takers[i], NULL, take_until_all_are_taken, NULL), 0);
    for (uint32_t i = 0; i < ITEMS; i += 20) push(i, 20);
    for (int i = 0; i < TAKERS; i++) pthread_join(takers[i], NULL);
    for (uint32_t i = 0; i < ITEMS; i++)
        cr_assert_eq(load_relaxed(&seen[i]), 1, "item %u was taken %u times", i,
                     load_relaxed(&seen[i]));
    cr_assert_eq(globq_len(&q), 0);
    os_free(seen);
    os_free(items);
}
