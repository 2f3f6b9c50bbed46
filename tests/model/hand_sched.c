// SPDX-License-Identifier: MIT
// hand_sched - scenes for park, ready, queues, timers, stop.
#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "sched/park.h"
#include "tests/model/handmade.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

// ---- Park and ready -------------------------------------------------------------------

// A place where one waits and another comes: the least that has the race.
struct spot {
    struct world world;
    struct lock lock;
    struct waiter *waiter;
    uint32_t ready;   // came before anybody waited
    int64_t deadline; // ns from now, 0: none
    uint32_t n_rounds, n_got, n_late;
};

static int wait_here(struct spot *s, int64_t deadline)
{
    struct task here, *t = task_self(&here);
    struct waiter w = {.task = t};

    lock_acquire(&s->lock);
    if (s->ready) {
        s->ready--;
        lock_release(&s->lock);
        return 0;
    }
    w.ticket = wait_open(t, "spot", s);
    s->waiter = &w;
    lock_release(&s->lock);
    int outcome = park(t, deadline);
    if (outcome < 0) {
        lock_acquire(&s->lock);
        if (s->waiter == &w) s->waiter = NULL;
        lock_release(&s->lock);
    }
    return outcome;
}

static void come_here(struct spot *s)
{
    struct task *t = NULL;

    lock_acquire(&s->lock);
    if (s->waiter && waiter_claim(s->waiter)) {
        t = s->waiter->task;
        t->outcome = 0;
        s->waiter = NULL;
    } else {
        s->ready++;
    }
    lock_release(&s->lock);
    if (t) ready(t);
}

static void waits(void *arg)
{
    struct spot *s = arg;

    for (uint32_t i = 0; i < s->n_rounds;) {
        bool timed = s->deadline && i % 2 == 0;
        int64_t deadline = timed ? clock_after(s->deadline) : CLOCK_NEVER;
        int outcome = wait_here(s, deadline);

        if (outcome == 0) {
            s->n_got++;
            i++;
            continue;
        }
        sim_expect_eq(outcome, -ETIMEDOUT);
        sim_expect(timed);
        sim_expect(os_now() >= deadline); // never early
        s->n_late++;
        // At once without a deadline: the old one must not end this wait (JDK-8369227).
        sim_expect_eq(wait_here(s, CLOCK_NEVER), 0);
        s->n_got++;
        i++;
    }
    world_done(&s->world);
}

static void comes(void *arg)
{
    struct spot *s = arg;

    for (uint32_t i = 0; i < s->n_rounds; i++) {
        if (s->deadline && sim_choose(2, 1)) coir_sleep(s->deadline + 100);
        come_here(s);
    }
    world_done(&s->world);
}

static void meet_often(int64_t deadline)
{
    struct spot s = {.n_rounds = 6, .deadline = deadline};

    world_start(&s.world, 2 + sim_choose(2, 1), 2);
    world_go(&s.world, waits, &s);
    world_go(&s.world, comes, &s);
    world_end(&s.world);
    sim_expect_eq(s.n_got, s.n_rounds);
}

void scene_park_ready(void)
{
    meet_often(0);
}

void scene_timed_then_untimed(void)
{
    meet_often(2000);
}

// ---- Spawns ---------------------------------------------------------------------------

struct tree {
    struct world world;
    atomic_u32 n_leaves;
};

struct branch {
    struct tree *tree;
    uint32_t depth;
};

static void grow(struct tree *t, uint32_t depth)
{
    if (!depth) {
        add_relaxed(&t->n_leaves, 1); // relaxed: a counter
        world_done(&t->world);
        return;
    }
    if (sim_choose(2, 2)) coir_yield();
    sim_expect_eq(coir_go(grow, t, depth - 1), 0);
    sim_expect_eq(coir_go(grow, t, depth - 1), 0);
}

static void grow_first(void *arg)
{
    grow(arg, 3);
}

void scene_spawn_tree(void)
{
    struct tree t = {0};

    world_start(&t.world, 2 + sim_choose(3, 1), 8);
    world_go(&t.world, grow_first, &t);
    world_end(&t.world);
    sim_expect_eq(load_relaxed(&t.n_leaves), 8); // relaxed: all ended
}

// ---- Sleepers -------------------------------------------------------------------------

static void sleeps(struct world *w, int64_t ns)
{
    for (int i = 0; i < 3; i++) {
        int64_t when = coir_after(ns);
        sim_expect_eq(coir_sleep_until(when), 0);
        sim_expect(coir_now() >= when);
        ns = ns * 2 / 3;
    }
    world_done(w);
}

static void many_sleep(void *arg)
{
    for (int64_t i = 0; i < 5; i++)
        sim_expect_eq(coir_go(sleeps, arg, (5 - i) * 1000), 0);
}

void scene_sleepers(void)
{
    struct world w;

    world_start(&w, 2, 5);
    world_go(&w, many_sleep, &w);
    world_end(&w);
}

// One in a microsecond is due: a crowd that makes its sleeps longer (idle.h, W8).
struct crowd {
    struct world world;
    int64_t from;
};

static void sleeps_until(int64_t when, int64_t most_late)
{
    sim_expect_eq(coir_sleep_until(when), 0);
    int64_t late = coir_now() - when;
    sim_expect(late >= 0 && (sim.jumps || late <= most_late));
}

static void comes_in_a_crowd(struct crowd *c, int64_t i)
{
    for (int64_t round = 0; round < 3; round++)
        sleeps_until(c->from + round * 100000 + i * 1000, 300000);
    world_done(&c->world);
}

static void comes_alone(struct crowd *c)
{
    sleeps_until(c->from + COIR_MS, 300000);
    for (int i = 0; i < 5; i++) sleeps_until(coir_after(10000), 10000);
    world_done(&c->world);
}

static void many_come(void *arg)
{
    struct crowd *c = arg;

    c->from = coir_after(100000);
    for (int64_t i = 0; i < 40; i++) sim_expect_eq(coir_go(comes_in_a_crowd, c, i), 0);
    comes_alone(c);
}

// In a crowd nobody is early and nobody much later than the patience; who sleeps alone is on time.
void scene_crowd(void)
{
    struct crowd c = {0};

    world_start(&c.world, 1, 41);
    world_go(&c.world, many_come, &c);
    world_end(&c.world);
}

// ---- Stop -----------------------------------------------------------------------------

struct cut_off {
    struct world world;
    struct spot spots[4];
    atomic_u32 n_canceled;
};

static void waits_for_nobody(struct cut_off *c, uint32_t i)
{
    int err = i % 2 ? wait_here(&c->spots[i], CLOCK_NEVER) : coir_sleep(COIR_SEC);

    sim_expect_eq(err, -ECANCELED);
    sim_expect_eq(coir_yield(), -ECANCELED);
    add_relaxed(&c->n_canceled, 1); // relaxed: a counter
}

static void leave_them(void *arg)
{
    struct cut_off *c = arg;

    for (uint32_t i = 0; i < 4; i++) sim_expect_eq(coir_go(waits_for_nobody, c, i), 0);
    world_done(&c->world);
}

void scene_stop_while_parked(void)
{
    struct cut_off c = {0};

    world_start(&c.world, 2 + sim_choose(2, 1), 1);
    world_go(&c.world, leave_them, &c);
    world_end(&c.world);
    sim_expect_eq(load_relaxed(&c.n_canceled), 4); // relaxed: all ended
}

// ---- Queues ---------------------------------------------------------------------------

static void yields(struct world *w, int n)
{
    while (n--) sim_expect_eq(coir_yield(), 0);
    world_done(w);
}

static void overflow(void *arg)
{
    for (int i = 0; i < 12; i++) sim_expect_eq(coir_go(yields, arg, i % 4), 0);
}

void scene_queue_overflow(void)
{
    struct world w;

    world_start(&w, 1 + sim_choose(3, 1), 12);
    world_go(&w, overflow, &w);
    world_end(&w);
}

struct hogs {
    struct world world;
    int64_t latest, until;
};

static void note_when(struct hogs *h)
{
    if (coir_now() > h->latest) h->latest = coir_now();
    world_done(&h->world);
}

static void hog(void *arg)
{
    struct hogs *h = arg;

    sim_expect_eq(coir_go(note_when, h), 0);
    sim_expect_eq(coir_go(note_when, h), 0);
    h->until = coir_now() + 50 * COIR_MS;
    sim_hog(50 * COIR_MS);
    world_done(&h->world);
}

// Who computes for 50 ms does not keep what it spawned: another worker has taken both by then.
void scene_hog(void)
{
    struct hogs h = {0};

    world_start(&h.world, 2, 3);
    world_go(&h.world, hog, &h);
    world_end(&h.world);
    sim_expect(sim.jumps || h.latest < h.until);
}

// ---- From outside ---------------------------------------------------------------------

enum { FED_ROUNDS = 6 };

static void ends_at_once(void *arg)
{
    world_done(arg);
}

// Now it comes at once, now when a worker may look for the last time, now when all are asleep.
static void waits_somewhat(void)
{
    switch (sim_choose(4, 1)) {
    case 1:
        for (uint32_t n = 2 * sim_choose(100, 1); n > 0; n--) choice_point();
        break;
    case 2: os_sleep_until(os_now() + 1000 * (int64_t)sim_choose(20, 1)); break;
    case 3: os_sleep_until(os_now() + 100000); break;
    default: break;
    }
}

static void readies(void *arg)
{
    struct spot *s = arg;

    for (uint32_t i = 0; i < s->n_rounds; i++) {
        waits_somewhat();
        come_here(s);
    }
}

static void spawns_from_outside(void *arg)
{
    struct spot *s = arg;

    for (uint32_t i = 0; i < s->n_rounds; i++) {
        waits_somewhat();
        world_go(&s->world, ends_at_once, &s->world);
    }
}

// Three threads feed one worker or two. What they leave behind them is done before the world ends,
// and the last of them finds the workers asleep, or on their way.
void scene_fed(void)
{
    struct spot s = {.n_rounds = FED_ROUNDS};
    struct os_thread threads[3];
    void (*const fns[3])(void *) = {readies, spawns_from_outside, spawns_from_outside};

    world_start(&s.world, 1 + sim_choose(2, 1), 1 + 2 * FED_ROUNDS);
    world_go(&s.world, waits, &s);
    for (int i = 0; i < 3; i++)
        sim_expect_eq(os_thread_start(&threads[i], fns[i], &s, "feeder", NULL), 0);
    world_end(&s.world);
    for (int i = 0; i < 3; i++) os_thread_join(threads[i]);
    sim_expect_eq(s.n_got, s.n_rounds);
}

// ---- Memory ---------------------------------------------------------------------------

static void spawns_some(void *arg)
{
    struct world *w = arg;

    for (int i = 0; i < 6; i++) {
        int err = coir_go(yields, w, 1);
        sim_expect(err == 0 || err == -ENOMEM);
        if (err < 0) world_done(w);
    }
}

// Any allocation may fail: the calls say so, nothing is lost, nothing is left.
void scene_short_of_memory(void)
{
    coir_config config = COIR_CONFIG_INIT;
    struct world w = {0};

    config.workers = 2;
    config.stack_bytes = 16 << 10;
    sim.allocs_fail = 12;
    sim.threads_fail = 8;
    store_relaxed(&w.left, 6); // relaxed: the spawn publishes it
    int err = coir_start(&config, &w.rt);
    if (err < 0) {
        sim_expect(err == -ENOMEM || err == -EAGAIN);
        return;
    }
    if (coir_spawn(w.rt, NULL, spawns_some, &w) == 0)
        while (load_relaxed(&w.left))
            parker_park(&w.over, CLOCK_NEVER); // relaxed: parker orders
    sim_expect_eq(coir_stop(w.rt, COIR_FOREVER), 0);
}
