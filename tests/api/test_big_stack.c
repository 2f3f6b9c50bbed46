// SPDX-License-Identifier: MIT
// big stack: a deep call comes back with its result, may wait, nests, and leaves nothing mapped; a
// scope that it leaves open there is closed before its memory goes.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <stdio.h>

#include "tests/lib/test.h"

#define DEEP 20000

__attribute__((noinline)) static long sum_to(long n)
{
    volatile long here = n;

    if (n % 1000 == 0) coir_yield();
    return n ? here + sum_to(n - 1) : 0;
}

struct work {
    long sum;
    uint64_t id;
    int nested;
};

static void is_shallow(void *arg)
{
    *(int *)arg += 1;
}

static void sums_up(void *arg)
{
    struct work *w = arg;

    w->sum = sum_to(DEEP);
    w->id = coir_id();
    coir_sleep(COIR_MS);
    expect_eq(coir_on_big_stack(64 << 10, is_shallow, &w->nested), 0);
}

static void works(coir_waitgroup *done)
{
    for (int i = 0; i < 20; i++) {
        struct work w = {0};

        expect_eq(coir_on_big_stack(8 << 20, sums_up, &w), 0);
        expect_eq(w.sum, (long)DEEP * (DEEP + 1) / 2);
        expect_eq(w.id, coir_id());
        expect_eq(w.nested, 1);
    }
    coir_waitgroup_done(done);
}

static void waits_until_canceled(int *n)
{
    expect_eq(coir_sleep(COIR_FOREVER), -ECANCELED);
    __atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

struct leaver {
    coir_scope below; // where the call was made
    int n;
};

static void opens_two(void *arg)
{
    struct leaver *l = arg;
    coir_scope here;

    expect_eq(coir_scope_open(&here, COIR_FOREVER), 0);
    if (coir_id()) expect_eq(coir_scope_go(&here, waits_until_canceled, &l->n), 0);
    expect_eq(coir_scope_open(&l->below, COIR_FOREVER), 0);
    if (coir_id()) expect_eq(coir_scope_go(&l->below, waits_until_canceled, &l->n), 0);
}

static void leaves_scopes_open(void)
{
    struct leaver l = {.n = 0};
    coir_scope outer;

    expect_eq(coir_scope_open(&outer, COIR_FOREVER), 0);
    expect_eq(coir_on_big_stack(1 << 20, opens_two, &l), 0);
    expect_eq(l.n, coir_id() ? 2 : 0);
    expect_eq(coir_scope_wait(&l.below), -EINVAL); // it stood inside one that had to go
    expect_eq(coir_sleep(1), 0);                   // nothing is left of the cancel
    expect_eq(coir_scope_wait(&outer), 0);
}

static long count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    long n = 0;

    for (int c; (c = fgetc(file)) != EOF;) n += c == '\n';
    fclose(file);
    return n;
}

static void eight_work(void)
{
    coir_waitgroup done = {0};

    expect_eq(coir_waitgroup_add(&done, 8), 0);
    for (int i = 0; i < 8; i++) expect_eq(go(works, &done), 0);
    expect_eq(coir_waitgroup_wait(&done, COIR_FOREVER), 0);
}

static int on_coroutines(void *arg)
{
    (void)arg;
    eight_work(); // what the runtime keeps is there now
    long before = count_mappings();
    eight_work();
    // Those of 160 calls would be 320; a worker that comes late may still fill its cache.
    expect(count_mappings() < before + 200);
    leaves_scopes_open();
    return 0;
}

static void refuses_what_cannot_be(void)
{
    int n = 0;

    expect_eq(coir_on_big_stack((16 << 10) - 1, is_shallow, &n), -EINVAL);
    expect_eq(coir_on_big_stack(((size_t)1 << 30) + 1, is_shallow, &n), -EINVAL);
    expect_eq(coir_on_big_stack(1 << 20, NULL, &n), -EINVAL);
    expect_eq(n, 0);
}

int main(void)
{
    struct work w = {0};

    refuses_what_cannot_be();
    expect_eq(coir_on_big_stack(8 << 20, sums_up, &w), 0); // an ordinary thread
    expect_eq(w.sum, (long)DEEP * (DEEP + 1) / 2);
    leaves_scopes_open();
    expect_eq(coir_run(NULL, on_coroutines, NULL), 0);
    return 0;
}
