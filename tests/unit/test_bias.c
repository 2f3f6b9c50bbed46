// SPDX-License-Identifier: MIT
// bias: one thread has the lock for itself until another comes; never are two inside.
// Method: many locks, each taken away while its thread is at work; a plain counter under each loses
//         an increment if two were inside.
#include "base/bias.h"

#include <criterion/criterion.h>

#include "base/platform.h"
#include "tests/lib/test.h"

enum { LOCKS = 300, TURNS = 2000 };

static struct guarded {
    struct bias bias;
    long n;
} locks[LOCKS];

static int owner;     // its address names the thread: B3, no lock lies there
static atomic_u32 at; // which lock its thread has come to

static void add(struct guarded *g, const void *me)
{
    bias_acquire(&g->bias, me);
    g->n++;
    bias_release(&g->bias, me);
}

static void its_thread(void *me)
{
    for (uint32_t i = 0; i < LOCKS; i++) {
        store_relaxed(&at, i); // relaxed: a hint
        for (int k = 0; k < TURNS; k++) add(&locks[i], me);
    }
}

Test(bias, never_are_two_inside)
{
    struct os_thread thread;

    if (!os_fence_heavy_get()) cr_skip_test("no membarrier here");
    for (int i = 0; i < LOCKS; i++) bias_init(&locks[i].bias, LOCK_RANK_OBJECT, &owner);
    cr_assert_eq(os_thread_start(&thread, its_thread, &owner, "owner", NULL), 0);
    for (uint32_t i = 0; i < LOCKS; i++) {
        while (load_relaxed(&at) < i) os_pause(); // relaxed: a hint
        for (int k = 0; k < TURNS; k++) add(&locks[i], NULL);
    }
    os_thread_join(thread);
    for (int i = 0; i < LOCKS; i++) cr_assert_eq(locks[i].n, 2 * TURNS);
}

Test(bias, its_thread_leaves_the_lock_under_it_alone)
{
    struct bias b;
    int me;

    bias_init(&b, LOCK_RANK_OBJECT, &me);
    bias_acquire(&b, &me);
    cr_assert_eq(load_relaxed(&b.lock.state), LOCK_FREE); // relaxed: one thread
    bias_release(&b, &me);
    cr_assert_eq(load_relaxed(&b.taken), 0); // relaxed: one thread
}

Test(bias, nobodys_is_an_ordinary_lock)
{
    struct bias b;

    bias_init(&b, LOCK_RANK_OBJECT, NULL);
    bias_acquire(&b, NULL);
    cr_assert_eq(load_relaxed(&b.lock.state), LOCK_HELD); // relaxed: one thread
    bias_release(&b, NULL);
    cr_assert_eq(load_relaxed(&b.lock.state), LOCK_FREE); // relaxed: one thread
}
