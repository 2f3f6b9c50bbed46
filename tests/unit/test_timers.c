// SPDX-License-Identifier: MIT
// Goal:   of those whose time has come each expires once, in order, none early and none of the
//         others, whatever was armed, pushed later, disarmed, forgotten and moved meanwhile; and
//         where the heap cannot grow it stays as it was.
// Method: fake coroutines in two heaps against a list of times; after every step the heaps' tables
//         are compared with each other. An allocator that refuses at each of its calls in turn.
#include "sched/timer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rand.h"
#include "sched/g.h"

enum { COROUTINES = 300, STEPS = 60000, HORIZON = 400 };

static struct g gs[COROUTINES];
static int64_t due_at[COROUTINES]; // CLOCK_NEVER: it does not wait
static struct timers heaps[2];

static void open_wait(struct g *g)
{
    g->task.ticket = ((load_own(&g->task.wait) | WAIT_LOW) + 1) | WAIT_OPEN;
    store_relaxed(&g->task.wait, g->task.ticket); // relaxed: one thread
}

static int arm(struct timers *ts, size_t i, int64_t when)
{
    open_wait(&gs[i]);
    int err = timer_arm(ts, &gs[i], when);
    if (err == 0) due_at[i] = when;
    return err;
}

static void end_wait(size_t i)
{
    cr_assert(wait_claim(&gs[i].task, gs[i].task.ticket));
    timer_disarm(&gs[i].timer);
    due_at[i] = CLOCK_NEVER;
}

static void compare_tables(struct timers *ts)
{
    uint32_t n = 0;

    for (size_t i = 0; i < COROUTINES; i++) n += load_own(&gs[i].timer.home) == ts;
    cr_assert_eq(n, ts->n);
    for (uint32_t i = 0; i < ts->n; i++) {
        const struct timer_entry *e = &ts->heap[i];
        const struct timer *t = &ts->owners[e->id]->timer;

        cr_assert(ts->places[e->id] == i && t->id == e->id && t->key == e->key);
        cr_assert(t->key <= load_own(&t->when));
        if (i > 0) cr_assert(ts->heap[(i - 1) / TIMER_ARITY].key <= e->key);
    }
    cr_assert_eq(load_own(&ts->earliest), ts->n ? ts->heap[0].key : CLOCK_NEVER);
}

static void run(struct timers *ts, int64_t now)
{
    struct queue due = timers_run(ts, now);

    for (struct queue_node *n; (n = queue_pop(&due));) {
        struct g *g = g_of_node(n);

        cr_assert(due_at[g - gs] <= now, "early, or did not wait");
        cr_assert_eq(g->task.outcome, -ETIMEDOUT);
        cr_assert(!timer_is_in_heap(&g->timer));
        due_at[g - gs] = CLOCK_NEVER;
    }
    for (size_t i = 0; i < COROUTINES; i++)
        cr_assert(due_at[i] > now || load_own(&gs[i].timer.home) != ts, "late");
}

static void forget_all(void)
{
    for (size_t i = 0; i < COROUTINES; i++) timer_forget(&gs[i]);
    for (int i = 0; i < 2; i++) timers_fini(&heaps[i]);
}

static void step(struct rand *r, int64_t now)
{
    size_t i = rand_below(r, COROUTINES);
    bool waits = due_at[i] != CLOCK_NEVER;

    switch (rand_below(r, 8)) {
    case 0: run(&heaps[rand_below(r, 2)], now); break;
    case 1:
        if (!waits) timer_forget(&gs[i]);
        break;
    case 2:
    case 3:
        if (waits) end_wait(i);
        break;
    default:
        if (!waits)
            cr_assert_eq(arm(&heaps[rand_below(r, 2)], i, now + rand_below(r, HORIZON)),
                         0);
    }
}

Test(timers, expire_as_a_list_of_times_says)
{
    struct rand r;

    for (uint64_t seed = 1; seed <= 4; seed++) {
        rand_init(&r, seed);
        for (int i = 0; i < 2; i++) timers_init(&heaps[i], NULL);
        for (size_t i = 0; i < COROUTINES; i++) due_at[i] = CLOCK_NEVER;
        for (int64_t n = 0; n < STEPS; n++) {
            step(&r, 1 + n / 4);
            if (n % 16) continue;
            for (int i = 0; i < 2; i++) compare_tables(&heaps[i]);
        }
        forget_all();
    }
}

Test(timers, expire_in_the_order_of_their_times)
{
    timers_init(&heaps[0], NULL);
    timers_init(&heaps[1], NULL);
    for (size_t i = 0; i < COROUTINES; i++)
        cr_assert_eq(arm(&heaps[0], i, 1 + (int64_t)(i * 7 % COROUTINES)), 0);
    struct queue due = timers_run(&heaps[0], COROUTINES - 10);
    for (int64_t when = 1; when <= COROUTINES - 10; when++)
        cr_assert_eq(due_at[g_of_node(queue_pop(&due)) - gs], when);
    cr_assert(queue_empty(&due));
    cr_assert_eq(load_own(&heaps[0].earliest), COROUTINES - 9);
    forget_all();
}

// ---- Memory ------------------------------------------------------------------------------------

static int left, out;

static void *gives(void *ctx, size_t bytes, size_t align)
{
    (void)ctx;
    if (left-- <= 0) return NULL;
    out++;
    void *p = aligned_alloc(align, (bytes + align - 1) / align * align);
    return p;
}

static void takes(void *ctx, void *p, size_t bytes, size_t align)
{
    (void)ctx, (void)bytes, (void)align;
    out--;
    free(p);
}

Test(timers, stay_as_they_were_where_the_heap_cannot_grow)
{
    const struct memory mem = {gives, takes, NULL};
    size_t n = 0;

    timers_init(&heaps[0], &mem);
    timers_init(&heaps[1], NULL);
    for (int refuse = 0; refuse < 3; refuse++) {
        left = refuse;
        int err = 0;
        while (n < COROUTINES && (err = arm(&heaps[0], n, 1000 - (int64_t)n)) == 0) n++;
        cr_assert_eq(err, -ENOMEM);
        cr_assert_eq(heaps[0].n, n);
        compare_tables(&heaps[0]);
        left = 3;
        cr_assert_eq(arm(&heaps[0], n, 1000 - (int64_t)n), 0);
        n++;
    }
    run(&heaps[0], 1000);
    cr_assert_eq(heaps[0].n, 0);
    forget_all();
    cr_assert_eq(out, 0);
}
