// SPDX-License-Identifier: MIT
// list: what is pushed comes out in order, once, from wherever it stands.
// Method: three nodes, every operation, the order read back by eye.
#include "base/list.h"

#include <criterion/criterion.h>

struct item {
    int value;
    struct list_node node;
    struct queue_node link;
};

static int value_of(struct list_node *n)
{
    return container_of(n, struct item, node)->value;
}

Test(list, keeps_the_order_of_pushes_at_both_ends)
{
    struct list l;
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};

    list_init(&l);
    list_push_back(&l, &b.node);
    list_push_back(&l, &c.node);
    list_push_front(&l, &a.node);
    for (int i = 1; i <= 3; i++) cr_assert_eq(value_of(list_pop_front(&l)), i);
    cr_assert_null(list_pop_front(&l));
}

Test(list, a_node_is_removed_from_the_middle_and_says_so)
{
    struct list l;
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};

    list_init(&l);
    list_push_back(&l, &a.node);
    list_push_back(&l, &b.node);
    list_push_back(&l, &c.node);
    list_remove(&b.node);
    cr_assert_not(list_linked(&b.node));
    cr_assert(list_linked(&c.node));
    cr_assert_eq(value_of(list_pop_front(&l)), 1);
    cr_assert_eq(value_of(list_pop_front(&l)), 3);
    cr_assert(list_empty(&l));
}

Test(queue, is_first_in_first_out_and_takes_at_the_front)
{
    struct queue q = {0};
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};

    cr_assert(queue_empty(&q));
    queue_push(&q, &b.link);
    queue_push(&q, &c.link);
    queue_push_front(&q, &a.link);
    cr_assert_eq(queue_pop(&q), &a.link);
    cr_assert_eq(queue_pop(&q), &b.link);
    cr_assert_eq(queue_pop(&q), &c.link);
    cr_assert_null(queue_pop(&q));
}

Test(queue, push_front_on_an_empty_queue_sets_its_end)
{
    struct queue q = {0};
    struct item a = {.value = 1}, b = {.value = 2};

    queue_push_front(&q, &a.link);
    queue_push(&q, &b.link);
    cr_assert_eq(queue_pop(&q), &a.link);
    cr_assert_eq(queue_pop(&q), &b.link);
}

Test(queue, append_moves_all_and_leaves_the_other_empty)
{
    struct queue q = {0}, from = {0};
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};

    queue_append(&q, &from);
    cr_assert(queue_empty(&q));
    queue_push(&from, &a.link);
    queue_append(&q, &from);
    queue_push(&from, &b.link);
    queue_push(&from, &c.link);
    queue_append(&q, &from);
    cr_assert(queue_empty(&from));
    cr_assert_eq(queue_pop(&q), &a.link);
    cr_assert_eq(queue_pop(&q), &b.link);
    cr_assert_eq(queue_pop(&q), &c.link);
    cr_assert_null(queue_pop(&q));
}
