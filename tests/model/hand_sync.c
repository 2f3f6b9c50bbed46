// SPDX-License-Identifier: MIT
// hand_sync - scenes for channels, waitgroups and mutexes, on coroutines and ordinary threads.
#include <errno.h>

#include "base/clock.h"
#include "coir/chan.h"
#include "coir/sync.h"
#include "tests/model/handmade.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

static coir_chan *make(size_t size, size_t capacity)
{
    coir_chan *c;

    sim_expect_eq(coir_chan_make(size, capacity, &c), 0);
    return c;
}

// ---- Ping and pong -----------------------------------------------------------------------

struct pair {
    struct world world;
    coir_chan *there, *back;
    uint32_t rounds;
};

static void answer(void *arg)
{
    struct pair *p = arg;
    uint32_t value;

    while (coir_chan_recv(p->there, &value, COIR_FOREVER) == 0) {
        value++;
        sim_expect_eq(coir_chan_send(p->back, &value, COIR_FOREVER), 0);
    }
    world_done(&p->world);
}

static void ask(void *arg)
{
    struct pair *p = arg;

    for (uint32_t i = 0; i < p->rounds; i++) {
        uint32_t value = i * 10;
        sim_expect_eq(coir_chan_send(p->there, &value, COIR_FOREVER), 0);
        sim_expect_eq(coir_chan_recv(p->back, &value, COIR_FOREVER), 0);
        sim_expect_eq(value, i * 10 + 1);
    }
    sim_expect_eq(coir_chan_close(p->there), 0);
    sim_expect_eq(coir_chan_close(p->there), -EALREADY);
    world_done(&p->world);
}

static void ask_in_pair(bool from_thread)
{
    struct pair p = {.there = make(4, 0), .back = make(4, sim_choose(2, 1)), .rounds = 5};
    struct os_thread thread = {0};

    world_start(&p.world, 2, 2);
    world_go(&p.world, answer, &p);
    if (from_thread)
        sim_expect_eq(os_thread_start(&thread, ask, &p, "asker", NULL), 0);
    else
        world_go(&p.world, ask, &p);
    world_end(&p.world);
    if (from_thread) os_thread_join(thread);
    coir_chan_unref(p.there);
    coir_chan_unref(p.back);
}

void scene_ping_pong(void)
{
    ask_in_pair(false);
}

void scene_thread_and_coroutine(void)
{
    ask_in_pair(true);
}

// ---- A channel against the model of one -----------------------------------------------------

#define SENDERS 3u
#define EACH 6u

// What the channel must do, with everything in one place: every value once, and those of one
// sender in order.
struct ledger {
    struct world world;
    coir_chan *c;
    uint32_t next[SENDERS]; // expected by the one receiver
    uint32_t seen[SENDERS]; // by all receivers
    atomic_u32 senders_left;
    bool one_receiver;
};

// Some calls have a deadline that may pass; then the value is the caller's again.
static int64_t some_deadline(void)
{
    return sim_choose(4, 4) ? coir_after(sim_choose(2, 1) ? 0 : 700) : COIR_FOREVER;
}

static void send_all(struct ledger *l, uint32_t who)
{
    for (uint32_t i = 0; i < EACH;) {
        uint32_t value = who << 16 | i;
        int err = coir_chan_send(l->c, &value, some_deadline());

        sim_expect(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            i++;
        else
            coir_yield();
    }
    // [LEDGER] acq_rel, pairs with itself: the last sender closes behind all.
    if (add_acq_rel(&l->senders_left, (uint32_t)-1) == 1) coir_chan_close(l->c);
    world_done(&l->world);
}

static void receive_all(struct ledger *l)
{
    for (;;) {
        uint32_t value = UINT32_MAX;
        int err = coir_chan_recv(l->c, &value, some_deadline());

        sim_expect(coir_chan_len(l->c) <= coir_chan_cap(l->c));
        if (err == -EPIPE) break;
        if (err == -ETIMEDOUT) {
            sim_expect_eq(value, UINT32_MAX); // written only on success
            coir_yield();
            continue;
        }
        sim_expect_eq(err, 0);
        uint32_t who = value >> 16, i = value & 0xffff;
        sim_expect(who < SENDERS && i < EACH);
        sim_expect(!(l->seen[who] & 1u << i)); // exactly once
        l->seen[who] |= 1u << i;
        if (l->one_receiver) sim_expect_eq(i, l->next[who]++);
    }
    world_done(&l->world);
}

static void start_ledger(void *arg)
{
    struct ledger *l = arg;
    uint32_t n_receivers = l->one_receiver ? 1 : 2;

    for (uint32_t i = 0; i < n_receivers; i++) sim_expect_eq(coir_go(receive_all, l), 0);
    for (uint32_t i = 0; i < SENDERS; i++) sim_expect_eq(coir_go(send_all, l, i), 0);
}

void scene_chan_ledger(void)
{
    struct ledger l = {.c = make(4, sim_choose(4, 1)), .one_receiver = sim_choose(2, 1)};

    store_relaxed(&l.senders_left, SENDERS); // relaxed: the spawn publishes it
    world_start(&l.world, 2 + sim_choose(2, 1), SENDERS + (l.one_receiver ? 1 : 2));
    world_go(&l.world, start_ledger, &l);
    world_end(&l.world);
    for (uint32_t i = 0; i < SENDERS; i++) sim_expect_eq(l.seen[i], (1u << EACH) - 1);
    coir_chan_unref(l.c);
}

// ---- Close ---------------------------------------------------------------------------------

struct closing {
    struct world world;
    coir_chan *full, *empty;
    atomic_u32 n_sent;
    uint32_t capacity;
};

static void blocked_sender(struct closing *c)
{
    uint32_t value = 7;
    int err = coir_chan_send(c->full, &value, COIR_FOREVER);

    sim_expect(err == 0 || err == -EPIPE);
    if (err == 0) add_relaxed(&c->n_sent, 1); // relaxed: a counter
    world_done(&c->world);
}

static void blocked_receiver(struct closing *c)
{
    uint32_t value = 0;

    sim_expect_eq(coir_chan_recv(c->empty, &value, COIR_FOREVER), -EPIPE);
    sim_expect_eq(value, 0);
    world_done(&c->world);
}

static void closes_both(struct closing *c)
{
    if (sim_choose(2, 1)) coir_yield();
    sim_expect_eq(coir_chan_close(c->full), 0);
    sim_expect_eq(coir_chan_close(c->empty), 0);
    world_done(&c->world);
}

static void start_closing(void *arg)
{
    for (int i = 0; i < 3; i++) {
        sim_expect_eq(coir_go(blocked_sender, arg), 0);
        sim_expect_eq(coir_go(blocked_receiver, arg), 0);
    }
    sim_expect_eq(coir_go(closes_both, arg), 0);
}

void scene_close_wakes_all(void)
{
    struct closing c = {.capacity = 1 + sim_choose(2, 1)};
    uint32_t left = 0, value;

    c.full = make(4, c.capacity);
    c.empty = make(4, 0);
    world_start(&c.world, 2 + sim_choose(2, 1), 7);
    world_go(&c.world, start_closing, &c);
    world_end(&c.world);
    while (coir_chan_recv(c.full, &value, COIR_NOW) == 0) left++;
    sim_expect_eq(left, load_relaxed(&c.n_sent)); // relaxed: all ended
    coir_chan_unref(c.full);
    coir_chan_unref(c.empty);
}

// Who has heard of the close meets nobody there, though others have not been woken yet.
static void hears_of_close(struct closing *c)
{
    uint32_t value = 7;

    sim_expect_eq(coir_chan_send(c->empty, &value, COIR_FOREVER), -EPIPE);
    sim_expect_eq(coir_chan_recv(c->empty, &value, COIR_NOW), -EPIPE);
    world_done(&c->world);
}

static void closes_empty(struct closing *c)
{
    if (sim_choose(2, 1)) coir_yield();
    sim_expect_eq(coir_chan_close(c->empty), 0);
    world_done(&c->world);
}

static void start_hearing(void *arg)
{
    for (int i = 0; i < 4; i++) sim_expect_eq(coir_go(hears_of_close, arg), 0);
    sim_expect_eq(coir_go(closes_empty, arg), 0);
}

void scene_close_is_for_all(void)
{
    struct closing c = {.empty = make(4, 0)};

    world_start(&c.world, 2 + sim_choose(2, 1), 5);
    world_go(&c.world, start_hearing, &c);
    world_end(&c.world);
    coir_chan_unref(c.empty);
}

// ---- Waitgroup -----------------------------------------------------------------------------

struct group {
    struct world world;
    coir_waitgroup wg;
    atomic_u32 n_done;
};

static void does(struct group *g)
{
    if (sim_choose(2, 1)) coir_sleep(500);
    add_relaxed(&g->n_done, 1); // relaxed: the waitgroup orders it
    sim_expect_eq(coir_waitgroup_done(&g->wg), 0);
    world_done(&g->world);
}

static void waits_for_group(struct group *g)
{
    int err;

    while ((err = coir_waitgroup_wait(&g->wg, some_deadline())) == -ETIMEDOUT)
        coir_yield();
    sim_expect_eq(err, 0);
    sim_expect_eq(load_relaxed(&g->n_done), 4); // relaxed: the wait saw all four
    world_done(&g->world);
}

static void start_group(void *arg)
{
    struct group *g = arg;

    sim_expect_eq(coir_waitgroup_add(&g->wg, 4), 0);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_go(waits_for_group, g), 0);
    for (int i = 0; i < 4; i++) sim_expect_eq(coir_go(does, g), 0);
}

void scene_waitgroup(void)
{
    struct group g = {0};

    world_start(&g.world, 2 + sim_choose(2, 1), 6);
    world_go(&g.world, start_group, &g);
    world_end(&g.world);
}

// ---- Mutex ---------------------------------------------------------------------------------

struct guarded {
    struct world world;
    coir_mutex m;
    uint32_t inside, total; // plain: the mutex guards them
};

static void enters(void *arg)
{
    struct guarded *d = arg;

    for (int i = 0; i < 5;) {
        int err = coir_mutex_lock(&d->m, some_deadline());

        if (err == -ETIMEDOUT) {
            coir_yield();
            continue;
        }
        sim_expect_eq(err, 0);
        sim_expect_eq(d->inside++, 0);
        if (sim_choose(2, 2)) coir_yield();
        sim_expect_eq(coir_mutex_lock(&d->m, COIR_FOREVER), -EDEADLK);
        d->inside--;
        d->total++;
        i++;
        sim_expect_eq(coir_mutex_unlock(&d->m), 0);
    }
    world_done(&d->world);
}

void scene_mutex(void)
{
    struct guarded d = {0};
    struct os_thread thread;

    world_start(&d.world, 2 + sim_choose(2, 1), 4);
    for (int i = 0; i < 3; i++) world_go(&d.world, enters, &d);
    sim_expect_eq(os_thread_start(&thread, enters, &d, "enters", NULL), 0);
    world_end(&d.world);
    os_thread_join(thread);
    sim_expect_eq(d.total, 20);
    sim_expect_eq(coir_mutex_unlock(&d.m), -EPERM);
}
