// SPDX-License-Identifier: MIT
// hand_locks - scenes for semaphore, rwmutex, condition and once, each against its model: plain
// counters that are right only if the lock keeps its promise.
#include <errno.h>

#include "base/clock.h"
#include "coir/sync.h"
#include "tests/model/handmade.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

static int64_t some_deadline(void)
{
    return sim_choose(3, 3) ? coir_after(sim_choose(2, 1) ? 0 : 700) : COIR_FOREVER;
}

static void pause_a_little(void)
{
    if (sim_choose(2, 2)) coir_yield();
}

// ---- Semaphore -----------------------------------------------------------------------------

#define UNITS 3u

struct units {
    struct world world;
    coir_sema sema;
    atomic_u32 taken; // never above UNITS
};

static void uses_units(void *arg)
{
    struct units *u = arg;

    for (uint32_t i = 0; i < 5;) {
        uint32_t n = 1 + sim_choose(UNITS, 1);
        int err = coir_sema_acquire(&u->sema, n, some_deadline());

        if (err == -ETIMEDOUT) {
            coir_yield();
            continue;
        }
        sim_expect_eq(err, 0);
        sim_expect(add_relaxed(&u->taken, n) + n <= UNITS); // relaxed: a sum
        pause_a_little();
        add_relaxed(&u->taken, (uint32_t)-n); // relaxed: a sum
        sim_expect_eq(coir_sema_release(&u->sema, n), 0);
        i++;
    }
    world_done(&u->world);
}

void scene_semaphore(void)
{
    struct units u = {0};
    struct os_thread thread;

    sim_expect_eq(coir_sema_init(&u.sema, UNITS), 0);
    world_start(&u.world, 2 + sim_choose(2, 1), 4);
    for (int i = 0; i < 3; i++) world_go(&u.world, uses_units, &u);
    sim_expect_eq(os_thread_start(&thread, uses_units, &u, "uses", NULL), 0);
    world_end(&u.world);
    os_thread_join(thread);
    sim_expect_eq(coir_sema_acquire(&u.sema, UNITS, COIR_NOW), 0); // none is lost
    sim_expect_eq(coir_sema_acquire(&u.sema, 1, COIR_NOW), -ETIMEDOUT);
}

// ---- Rwmutex -------------------------------------------------------------------------------

struct guarded {
    struct world world;
    coir_rwmutex m;
    uint32_t a, b;      // plain: equal whenever nobody writes
    atomic_u32 reading; // 0 while somebody writes
    uint32_t written;
};

static void write_it(struct guarded *g)
{
    sim_expect_eq(load_relaxed(&g->reading), 0); // relaxed: the lock orders it
    g->a++;
    pause_a_little();
    sim_expect_eq(load_relaxed(&g->reading), 0); // relaxed: the lock orders it
    sim_expect_eq(coir_rwmutex_rlock(&g->m, COIR_FOREVER), -EDEADLK);
    sim_expect_eq(coir_rwmutex_lock(&g->m, COIR_FOREVER), -EDEADLK);
    g->b++;
    g->written++;
    sim_expect_eq(coir_rwmutex_unlock(&g->m), 0);
}

static void read_it(struct guarded *g)
{
    add_relaxed(&g->reading, 1); // relaxed: the lock orders it
    uint32_t a = g->a;
    pause_a_little();
    sim_expect_eq(g->a, a);
    sim_expect_eq(g->b, a);
    add_relaxed(&g->reading, (uint32_t)-1); // relaxed: the lock orders it
    sim_expect_eq(coir_rwmutex_runlock(&g->m), 0);
}

static void reads_and_writes(void *arg)
{
    struct guarded *g = arg;

    for (int i = 0; i < 5;) {
        bool writes = sim_choose(2, 1);
        int64_t deadline = some_deadline();
        int err = writes ? coir_rwmutex_lock(&g->m, deadline)
                         : coir_rwmutex_rlock(&g->m, deadline);

        if (err == -ETIMEDOUT) {
            coir_yield();
            continue;
        }
        sim_expect_eq(err, 0);
        if (writes)
            write_it(g);
        else
            read_it(g);
        i++;
    }
    world_done(&g->world);
}

void scene_rwmutex(void)
{
    struct guarded g = {0};
    struct os_thread thread;

    world_start(&g.world, 2 + sim_choose(2, 1), 4);
    for (int i = 0; i < 3; i++) world_go(&g.world, reads_and_writes, &g);
    sim_expect_eq(os_thread_start(&thread, reads_and_writes, &g, "reads", NULL), 0);
    world_end(&g.world);
    os_thread_join(thread);
    sim_expect_eq(g.a, g.written);
    sim_expect_eq(coir_rwmutex_lock(&g.m, COIR_NOW), 0); // free
    sim_expect_eq(coir_rwmutex_unlock(&g.m), 0);
    sim_expect_eq(coir_rwmutex_runlock(&g.m), -EPERM);
}

// ---- Condition -----------------------------------------------------------------------------

#define STOCK 2u
#define GOODS 8u

// A buffer of STOCK places; a deadline that ends a wait must not eat a signal.
struct store {
    struct world world;
    coir_mutex m;
    coir_cond filled, emptied;
    uint32_t stock, put, got; // plain: the mutex guards them
    bool hasty;
};

static void wait_in(struct store *s, coir_cond *c)
{
    int err = coir_cond_wait(c, &s->m, s->hasty ? some_deadline() : COIR_FOREVER);

    sim_expect(err == 0 || (s->hasty && err == -ETIMEDOUT));
    sim_expect_eq(coir_mutex_lock(&s->m, COIR_NOW), -EDEADLK); // held again
}

static void fills(struct store *s)
{
    for (uint32_t i = 0; i < GOODS; i++) {
        sim_expect_eq(coir_mutex_lock(&s->m, COIR_FOREVER), 0);
        while (s->stock == STOCK) {
            wait_in(s, &s->emptied);
            if (s->hasty && sim_choose(2, 4)) { // COIR_NOW would keep the mutex
                coir_mutex_unlock(&s->m);
                coir_yield();
                sim_expect_eq(coir_mutex_lock(&s->m, COIR_FOREVER), 0);
            }
        }
        s->stock++;
        s->put++;
        sim_expect_eq(coir_cond_signal(&s->filled), 0);
        sim_expect_eq(coir_mutex_unlock(&s->m), 0);
    }
    world_done(&s->world);
}

static void empties(struct store *s)
{
    for (uint32_t i = 0; i < GOODS; i++) {
        sim_expect_eq(coir_mutex_lock(&s->m, COIR_FOREVER), 0);
        while (s->stock == 0) {
            sim_expect_eq(coir_cond_wait(&s->filled, &s->m, COIR_FOREVER), 0);
            sim_expect_eq(coir_mutex_lock(&s->m, COIR_NOW), -EDEADLK);
        }
        s->stock--;
        s->got++;
        sim_expect_eq(coir_mutex_unlock(&s->m), 0);
        sim_expect_eq(coir_cond_signal(&s->emptied), 0);
    }
    world_done(&s->world);
}

void scene_condition(void)
{
    struct store s = {.hasty = sim_choose(2, 1)};

    world_start(&s.world, 2 + sim_choose(2, 1), 4);
    for (int i = 0; i < 2; i++) {
        sim_expect_eq(coir_go_on(s.world.rt, fills, &s), 0);
        sim_expect_eq(coir_go_on(s.world.rt, empties, &s), 0);
    }
    world_end(&s.world);
    sim_expect_eq(s.put, 2 * GOODS);
    sim_expect_eq(s.got, 2 * GOODS);
}

struct gate {
    struct world world;
    coir_mutex m;
    coir_cond c;
    bool open;
};

static void waits_at_the_gate(void *arg)
{
    struct gate *g = arg;

    sim_expect_eq(coir_mutex_lock(&g->m, COIR_FOREVER), 0);
    while (!g->open) sim_expect_eq(coir_cond_wait(&g->c, &g->m, COIR_FOREVER), 0);
    sim_expect_eq(coir_mutex_unlock(&g->m), 0);
    world_done(&g->world);
}

static void opens_the_gate(void *arg)
{
    struct gate *g = arg;

    if (sim_choose(2, 1)) coir_sleep(500);
    sim_expect_eq(coir_mutex_lock(&g->m, COIR_FOREVER), 0);
    g->open = true;
    sim_expect_eq(coir_mutex_unlock(&g->m), 0);
    sim_expect_eq(coir_cond_broadcast(&g->c), 0);
    world_done(&g->world);
}

void scene_broadcast(void)
{
    struct gate g = {0};
    struct os_thread thread;

    world_start(&g.world, 2, 5);
    for (int i = 0; i < 3; i++) world_go(&g.world, waits_at_the_gate, &g);
    world_go(&g.world, opens_the_gate, &g);
    sim_expect_eq(os_thread_start(&thread, waits_at_the_gate, &g, "waits", NULL), 0);
    world_end(&g.world);
    os_thread_join(thread);
}

// ---- Whoever is kept out by one who gives up -----------------------------------------------

// One unit, and the front of the line wants two until its deadline; a reader that stays, and a
// writer that waits for it until its deadline. Nothing but their giving up lets the others in.
struct front {
    struct world world;
    coir_sema sema;
    coir_rwmutex m;
};

static void wants_too_much(struct front *f)
{
    sim_expect_eq(coir_sema_acquire(&f->sema, 2, coir_after(700)), -ETIMEDOUT);
    world_done(&f->world);
}

static void wants_little(struct front *f)
{
    sim_expect_eq(coir_sema_acquire(&f->sema, 1, COIR_FOREVER), 0);
    world_done(&f->world);
}

static void wants_to_write(struct front *f)
{
    sim_expect_eq(coir_rwmutex_lock(&f->m, coir_after(700)), -ETIMEDOUT);
    world_done(&f->world);
}

static void wants_to_read(struct front *f)
{
    sim_expect_eq(coir_rwmutex_rlock(&f->m, COIR_FOREVER), 0);
    sim_expect_eq(coir_rwmutex_runlock(&f->m), 0);
    world_done(&f->world);
}

void scene_front_gives_up(void)
{
    struct front f = {0};

    sim_expect_eq(coir_sema_init(&f.sema, 1), 0);
    sim_expect_eq(coir_rwmutex_rlock(&f.m, COIR_NOW), 0); // until the end
    world_start(&f.world, 2, 6);
    for (int i = 0; i < 2; i++) {
        sim_expect_eq(coir_go_on(f.world.rt, i ? wants_little : wants_too_much, &f), 0);
        sim_expect_eq(coir_go_on(f.world.rt, i ? wants_to_read : wants_to_write, &f), 0);
    }
    sim_expect_eq(coir_go_on(f.world.rt, wants_to_read, &f), 0);
    sim_expect_eq(coir_go_on(f.world.rt, wants_to_read, &f), 0);
    world_end(&f.world);
    sim_expect_eq(coir_rwmutex_runlock(&f.m), 0);
    sim_expect_eq(coir_rwmutex_lock(&f.m, COIR_NOW), 0);
}

// ---- Once ----------------------------------------------------------------------------------

struct first {
    struct world world;
    coir_once once;
    uint32_t calls; // plain: once orders it
};

static void call(void *arg)
{
    struct first *f = arg;

    if (sim_choose(2, 1)) coir_sleep(300);
    f->calls++;
    sim_expect_eq(coir_once_do(&f->once, call, f), -EDEADLK);
}

static void calls_once(void *arg)
{
    struct first *f = arg;

    sim_expect_eq(coir_once_do(&f->once, call, f), 0);
    sim_expect_eq(f->calls, 1);
    world_done(&f->world);
}

void scene_once(void)
{
    struct first f = {0};
    struct os_thread thread;

    world_start(&f.world, 2 + sim_choose(2, 1), 5);
    for (int i = 0; i < 4; i++) world_go(&f.world, calls_once, &f);
    sim_expect_eq(os_thread_start(&thread, calls_once, &f, "calls", NULL), 0);
    world_end(&f.world);
    os_thread_join(thread);
}

// ---- Whoever was let go on may free the memory ---------------------------------------------

// Freed memory is filled or handed out again (memory_sim.c): a partner that touches it late shows.
struct brief {
    coir_sema sema;
    coir_rwmutex rw;
    uint32_t readers;
};

struct freeing {
    struct world world;
    struct brief *b;
};

static void gives_two(struct freeing *f, struct brief *b)
{
    sim_expect_eq(coir_sema_release(&b->sema, 1), 0);
    world_done(&f->world);
}

static void takes_and_frees(struct freeing *f, struct brief *b)
{
    while (coir_sema_acquire(&b->sema, 2, some_deadline()) == -ETIMEDOUT) coir_yield();
    os_free(b);
    world_done(&f->world);
}

// Writers and a reader of which the last one out frees.
static void leaves(struct freeing *f, struct brief *b, bool reads)
{
    int err;

    do {
        int64_t deadline = some_deadline();
        err = reads ? coir_rwmutex_rlock(&b->rw, deadline)
                    : coir_rwmutex_lock(&b->rw, deadline);
    } while (err == -ETIMEDOUT && coir_yield() == 0);
    sim_expect_eq(err, 0);
    // relaxed: a count. Who is last holds the lock alone, and nobody else will come.
    bool last = __atomic_sub_fetch(&b->readers, 1, __ATOMIC_RELAXED) == 0;
    if (last && !reads)
        os_free(b); // held: who gets it may free it
    else if (reads)
        sim_expect_eq(coir_rwmutex_runlock(&b->rw), 0);
    else
        sim_expect_eq(coir_rwmutex_unlock(&b->rw), 0);
    if (last && reads) os_free(b);
    world_done(&f->world);
}

void scene_freed_locks(void)
{
    struct freeing f = {0};
    struct brief *b = os_alloc(sizeof(*b), 8), *d = os_alloc(sizeof(*d), 8);

    if (!b || !d) {
        os_free(b);
        os_free(d);
        return;
    }
    d->readers = 3;
    world_start(&f.world, 2 + sim_choose(2, 1), 6);
    sim_expect_eq(coir_go_on(f.world.rt, takes_and_frees, &f, b), 0);
    for (int i = 0; i < 2; i++)
        sim_expect_eq(coir_go_on(f.world.rt, gives_two, &f, b), 0);
    for (int i = 0; i < 3; i++)
        sim_expect_eq(coir_go_on(f.world.rt, leaves, &f, d, i == 1), 0);
    world_end(&f.world);
}
