// SPDX-License-Identifier: MIT
// bias: one thread has the lock for itself until another comes; never are two inside.
// Method: many locks, each taken away while its thread is at work; a plain counter under each loses
//         an increment if two were inside.
#include "base/bias.h"

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/platform.h"
#include "tests/lib/test.h"

enum { LOCKS = 300, TURNS = 2000 };

static struct guarded {
    struct bias bias;
    long n;
} locks[LOCKS];

static atomic_u32 at; // which lock its thread has come to

static void add(struct guarded *g, struct bias_owner *me)
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
    struct bias_owner *owner = bias_owner_get();
    for (int i = 0; i < LOCKS; i++) bias_init(&locks[i].bias, LOCK_RANK_OBJECT, owner);
    cr_assert_eq(os_thread_start(&thread, its_thread, owner, "owner", NULL), 0);
    for (uint32_t i = 0; i < LOCKS; i++) {
        while (load_relaxed(&at) < i) os_pause(); // relaxed: a hint
        for (int k = 0; k < TURNS; k++) add(&locks[i], &bias_stranger);
    }
    os_thread_join(thread);
    for (int i = 0; i < LOCKS; i++) cr_assert_eq(locks[i].n, 2 * TURNS);
}

static bool takes_the_lock(struct bias *b, struct bias_owner *me)
{
    bias_acquire(b, me);
    bool taken = load_relaxed(&b->lock.state) == LOCK_HELD; // relaxed: one thread
    bias_release(b, me);
    cr_assert_eq(load_relaxed(&b->lock.state), LOCK_FREE); // relaxed: one thread
    return taken;
}

Test(bias, its_thread_leaves_the_lock_under_it_alone)
{
    struct bias_owner me = {0};
    struct bias b;

    bias_init(&b, LOCK_RANK_OBJECT, &me);
    cr_assert(!takes_the_lock(&b, &me));
}

Test(bias, nobodys_is_an_ordinary_lock)
{
    struct bias b;

    bias_init(&b, LOCK_RANK_OBJECT, &bias_stranger);
    for (unsigned i = 0; i < 3 * BIAS_AFTER; i++)
        cr_assert(takes_the_lock(&b, &bias_stranger));
}

Test(bias, the_second_lock_of_two_is_an_ordinary_one)
{
    struct bias_owner me = {0};
    struct bias a, b;

    bias_init(&a, LOCK_RANK_OBJECT, &me);
    bias_init(&b, LOCK_RANK_OBJECT, &me);
    bias_acquire(&a, &me);
    cr_assert(takes_the_lock(&b, &me));
    bias_release(&a, &me);
    cr_assert(!takes_the_lock(&b, &me));
}

Test(bias, who_takes_it_again_and_again_has_it_for_himself)
{
    struct bias_owner me = {0}, other = {0};
    struct bias b;

    if (!os_fence_heavy_get()) cr_skip_test("no membarrier here");
    bias_init(&b, LOCK_RANK_OBJECT, &bias_stranger);
    for (unsigned i = 0; i < BIAS_AFTER; i++) cr_assert(takes_the_lock(&b, &me));
    cr_assert(takes_the_lock(&b, &other)); // the count begins again
    for (unsigned i = 0; i <= BIAS_AFTER; i++) cr_assert(takes_the_lock(&b, &me));
    cr_assert(!takes_the_lock(&b, &me));
    // Taken away, it takes four times as long.
    for (unsigned i = 0; i <= 4 * BIAS_AFTER; i++) cr_assert(takes_the_lock(&b, &other));
    cr_assert(!takes_the_lock(&b, &other));
}

// Two threads that both take it often enough: it becomes one's, is taken away, becomes another's.
static void both_threads(void *me)
{
    for (uint32_t i = 0; i < LOCKS; i++)
        for (int k = 0; k < TURNS; k++) add(&locks[i], me);
}

Test(bias, never_are_two_inside_of_what_became_ones_own)
{
    struct os_thread threads[2];

    if (!os_fence_heavy_get()) cr_skip_test("no membarrier here");
    for (int i = 0; i < LOCKS; i++)
        bias_init(&locks[i].bias, LOCK_RANK_OBJECT, &bias_stranger);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(os_thread_start(&threads[i], both_threads, bias_owner_get(), "one",
                                     NULL),
                     0);
    for (int i = 0; i < 2; i++) os_thread_join(threads[i]);
    for (int i = 0; i < LOCKS; i++) cr_assert_eq(locks[i].n, 2 * TURNS);
}

// ---- After a fork -------------------------------------------------------------------------------

static int count_notes(void)
{
    int n = 0;

    while (bias_owner_get() != &bias_stranger) n++;
    return n;
}

Test(bias, a_child_of_fork_has_the_notes_of_threads_that_are_not_there)
{
    struct bias b;
    int status = -1;

    if (!os_fence_heavy_get()) cr_skip_test("no membarrier here");
    struct bias_owner *busy = bias_owner_get();
    int all = 1 + count_notes();
    bias_init(&b, LOCK_RANK_OBJECT, busy);
    bias_acquire(&b, busy); // its thread is inside of it when somebody forks
    cr_assert_eq(count_notes(), 0);
    cr_assert_eq(os_on_fork(bias_forked), 0);
    pid_t pid = fork();
    if (pid == 0) _exit(count_notes()); // all but that one
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), all - 1);
    cr_assert_eq(count_notes(), 0); // here nothing changed
}
