// SPDX-License-Identifier: MIT
// jemalloc: a runtime lives in arenas of its own, a thread has one of them, whoever frees may be
// any thread, and close gives all of it back.
#include <coir.h>
#include <coir/go.h>
#include <coir/jemalloc.h>

#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

static coir_jemalloc_stats stats_of(coir_jemalloc *j)
{
    coir_jemalloc_stats s = COIR_JEMALLOC_STATS_INIT;

    expect_eq(coir_jemalloc_stats_read(j, &s), 0);
    return s;
}

static unsigned arena_of(void *p)
{
    unsigned arena = 0;
    size_t bytes = sizeof(arena);

    expect_eq(mallctl("arenas.lookup", &arena, &bytes, &p, sizeof(p)), 0);
    return arena;
}

// ---- A runtime in it ---------------------------------------------------------------------------

static void sleeps(coir_waitgroup *done)
{
    coir_sleep(COIR_MS);
    expect_eq(coir_waitgroup_done(done), 0);
}

static int runs(void *j)
{
    coir_waitgroup done = {0};

    expect_eq(coir_waitgroup_add(&done, 300), 0);
    for (int i = 0; i < 300; i++) expect_eq(go(sleeps, &done), 0);
    expect_eq(coir_waitgroup_wait(&done, COIR_FOREVER), 0);
    coir_jemalloc_stats s = stats_of(j);
    expect_eq(s.arenas, 2);
    expect(s.threads >= 2); // who started it, and a worker
    expect(s.allocated > 4096 && s.active >= s.allocated && s.mapped >= s.active);
    expect(s.resident > 0);
    return 7;
}

static void a_runtime_lies_in_its_arenas(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_jemalloc *j;

    expect_eq(coir_jemalloc_open(2, &j), 0);
    expect_eq(stats_of(j).allocated, 0);
    config.workers = 2;
    config.allocator = coir_jemalloc_allocator(j);
    for (int i = 0; i < 20; i++) expect_eq(coir_run(&config, runs, j), 7);
    expect_eq(stats_of(j).threads,
              1); // the workers' places are free, this thread's is not
    expect_eq(coir_jemalloc_close(j), 0);
}

// ---- The table by itself -----------------------------------------------------------------------

static void sizes_and_alignments_are_kept(void)
{
    coir_jemalloc *j;

    expect_eq(coir_jemalloc_open(1, &j), 0);
    const coir_allocator *a = coir_jemalloc_allocator(j);
    for (size_t align = 1; align <= 1 << 16; align *= 2) {
        for (size_t size = 0; size < 100000; size = size * 3 + 1) {
            char *p = a->alloc(a->ctx, size, align);

            expect(p != NULL && (uintptr_t)p % align == 0);
            memset(p, 0xa5, size);
            a->release(a->ctx, p, size, align);
        }
    }
    expect(a->alloc(a->ctx, (size_t)1 << 60, 8) == NULL);
    expect_eq(coir_jemalloc_close(j), 0);
}

enum { PIECES = 2000 };

struct hand {
    const coir_allocator *a;
    void *pieces[PIECES];
    unsigned arena;
};

static void *gets(void *arg)
{
    struct hand *h = arg;

    for (int i = 0; i < PIECES; i++) {
        h->pieces[i] = h->a->alloc(h->a->ctx, 40 + (size_t)i % 200, 16);
        expect(h->pieces[i] != NULL);
        memset(h->pieces[i], i, 40);
        if (i == 0) h->arena = arena_of(h->pieces[0]);
        expect_eq(arena_of(h->pieces[i]), h->arena);
    }
    return NULL;
}

static void *puts_back(void *arg)
{
    struct hand *h = arg;

    for (int i = 0; i < PIECES; i++)
        h->a->release(h->a->ctx, h->pieces[i], 40 + (size_t)i % 200, 16);
    return NULL;
}

static void on_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    expect_eq(pthread_create(&thread, NULL, fn, arg), 0);
    expect_eq(pthread_join(thread, NULL), 0);
}

static void *gets_and_puts(void *arg)
{
    gets(arg);
    return puts_back(arg);
}

// Each thread gets from one arena alone, and another one frees: all of it is there again.
static void any_thread_may_free(void)
{
    coir_jemalloc *j;

    expect_eq(coir_jemalloc_open(1, &j), 0);
    struct hand h = {.a = coir_jemalloc_allocator(j)};
    on_thread(gets, &h);
    expect(stats_of(j).allocated >= PIECES * 40);
    on_thread(puts_back, &h);
    expect_eq(stats_of(j).allocated, 0); // caches too: their threads ended
    expect_eq(coir_jemalloc_close(j), 0);
}

static pthread_barrier_t both;

static void *gets_beside(void *arg)
{
    gets(arg);
    pthread_barrier_wait(&both); // neither ends before the other began
    return puts_back(arg);
}

static void two_threads_have_two_arenas(void)
{
    pthread_t threads[2];
    coir_jemalloc *j;

    expect_eq(coir_jemalloc_open(2, &j), 0);
    struct hand h[2] = {{.a = coir_jemalloc_allocator(j)},
                        {.a = coir_jemalloc_allocator(j)}};
    expect_eq(pthread_barrier_init(&both, NULL, 2), 0);
    for (int i = 0; i < 2; i++)
        expect_eq(pthread_create(&threads[i], NULL, gets_beside, &h[i]), 0);
    for (int i = 0; i < 2; i++) expect_eq(pthread_join(threads[i], NULL), 0);
    expect(h[0].arena != h[1].arena);
    expect(h[0].arena != 0 && h[1].arena != 0); // the host's
    expect_eq(stats_of(j).allocated, 0);
    pthread_barrier_destroy(&both);
    expect_eq(coir_jemalloc_close(j), 0);
}

static void threads_that_end_leave_their_places(void)
{
    coir_jemalloc *j;

    expect_eq(coir_jemalloc_open(2, &j), 0);
    struct hand h = {.a = coir_jemalloc_allocator(j)};
    for (int i = 0; i < 100; i++) on_thread(gets_and_puts, &h);
    expect_eq(stats_of(j).threads, 0);
    expect_eq(stats_of(j).allocated, 0);
    expect_eq(coir_jemalloc_close(j), 0);
}

// One that lives until it is let go.
struct lives {
    struct hand h;
    pthread_t thread;
    pthread_barrier_t came, goes;
};

static void *lives_on(void *arg)
{
    struct lives *l = arg;

    gets_and_puts(&l->h);
    pthread_barrier_wait(&l->came);
    pthread_barrier_wait(&l->goes);
    return NULL;
}

static void comes(struct lives *l, coir_jemalloc *j)
{
    l->h.a = coir_jemalloc_allocator(j);
    expect_eq(pthread_barrier_init(&l->came, NULL, 2), 0);
    expect_eq(pthread_barrier_init(&l->goes, NULL, 2), 0);
    expect_eq(pthread_create(&l->thread, NULL, lives_on, l), 0);
    pthread_barrier_wait(&l->came);
}

static void leaves(struct lives *l)
{
    pthread_barrier_wait(&l->goes);
    expect_eq(pthread_join(l->thread, NULL), 0);
    pthread_barrier_destroy(&l->came);
    pthread_barrier_destroy(&l->goes);
}

// Whoever ends gives the arena back: for each that stays, the next one gets the other arena.
static void a_new_thread_gets_the_arena_with_the_fewest(void)
{
    static struct lives l[5];
    coir_jemalloc *j;

    for (int stays = 0; stays < 4; stays++) {
        expect_eq(coir_jemalloc_open(2, &j), 0);
        for (int i = 0; i < 4; i++) comes(&l[i], j);
        for (int i = 0; i < 4; i++)
            if (i != stays) leaves(&l[i]);
        comes(&l[4], j);
        expect(l[4].h.arena != l[stays].h.arena);
        leaves(&l[4]);
        leaves(&l[stays]);
        expect_eq(coir_jemalloc_close(j), 0);
    }
}

// The flags of mallocx have an arena's number in their highest bits.
static void arenas_of_a_high_number_are_used(void)
{
    coir_jemalloc *j[3];

    for (int i = 0; i < 3; i++) expect_eq(coir_jemalloc_open(1024, &j[i]), 0);
    const coir_allocator *a = coir_jemalloc_allocator(j[2]);
    void *p = a->alloc(a->ctx, 100, 8);
    expect(p != NULL && arena_of(p) >= 2047);
    a->release(a->ctx, p, 100, 8);
    for (int i = 0; i < 3; i++) expect_eq(coir_jemalloc_close(j[i]), 0);
}

// jemalloc has 4,095 arenas and as many caches: more rounds than that work only if all come back.
static void close_gives_all_back(void)
{
    for (int i = 0; i < 5000; i++) {
        coir_jemalloc *j;

        expect_eq(coir_jemalloc_open(1, &j), 0);
        const coir_allocator *a = coir_jemalloc_allocator(j);
        expect(a->alloc(a->ctx, 1000, 64) != NULL); // goes with it
        expect_eq(coir_jemalloc_close(j), 0);
    }
}

static void bad_values_are_errors(void)
{
    coir_jemalloc_stats no_size = {0};
    coir_jemalloc *j = NULL;

    expect_eq(coir_jemalloc_open(1, NULL), -EINVAL);
    expect_eq(coir_jemalloc_open(1025, &j), -EINVAL);
    expect(j == NULL && coir_jemalloc_allocator(NULL) == NULL);
    expect_eq(coir_jemalloc_close(NULL), 0);
    expect_eq(coir_jemalloc_open(0, &j), 0);
    expect(stats_of(j).arenas > 0);
    expect_eq(coir_jemalloc_stats_read(j, NULL), -EINVAL);
    expect_eq(coir_jemalloc_stats_read(j, &no_size), -EINVAL);
    expect_eq(coir_jemalloc_stats_read(NULL, &no_size), -EINVAL);
    expect_eq(coir_jemalloc_close(j), 0);
}

int main(void)
{
    a_runtime_lies_in_its_arenas();
    sizes_and_alignments_are_kept();
    any_thread_may_free();
    two_threads_have_two_arenas();
    threads_that_end_leave_their_places();
    a_new_thread_gets_the_arena_with_the_fewest();
    arenas_of_a_high_number_are_used();
    close_gives_all_back();
    bad_values_are_errors();
    return 0;
}
