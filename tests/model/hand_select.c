// SPDX-License-Identifier: MIT
// hand_select - scenes for select and timers: one case, nothing lost, nothing old, nothing early.
#include <errno.h>

#include "base/clock.h"
#include "coir/chan.h"
#include "tests/model/handmade.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

static coir_chan *make(size_t capacity)
{
    coir_chan *c;

    sim_expect_eq(coir_chan_make(4, capacity, &c), 0);
    return c;
}

static int64_t some_deadline(void)
{
    return sim_choose(3, 3) ? coir_after(sim_choose(2, 1) ? 0 : 700) : COIR_FOREVER;
}

// What -ETIMEDOUT claims, and that the case was not touched.
static void expect_nothing(int at, const coir_case *cases, int n)
{
    sim_expect_eq(at, -ETIMEDOUT);
    for (int i = 0; i < n; i++) sim_expect_eq(cases[i].result, 77);
    coir_yield();
}

// ---- Two channels against the model of two ---------------------------------------------------

#define SENDERS 2u
#define EACH 5u
#define LANES 2u

struct ledger {
    struct world world;
    coir_chan *lanes[LANES];
    uint32_t seen[SENDERS];
    uint32_t next[SENDERS][LANES]; // the least that may come from there; one receiver
    atomic_u32 senders_left;
    bool one_receiver;
};

static void send_all(struct ledger *l, uint32_t who)
{
    for (uint32_t i = 0; i < EACH;) {
        uint32_t value = who << 16 | i;
        coir_case cases[LANES];

        for (uint32_t k = 0; k < LANES; k++) // in an order of its own
            cases[k] = (coir_case){l->lanes[(k + who) % LANES], COIR_SEND, &value, 77};
        int at = coir_select(cases, LANES, some_deadline());
        if (at < 0) {
            expect_nothing(at, cases, LANES);
            continue;
        }
        sim_expect_eq(cases[at].result, 0);
        i++;
    }
    // [LEDGER-END] acq_rel, pairs with itself: the last sender closes behind all.
    if (add_acq_rel(&l->senders_left, (uint32_t)-1) == 1)
        for (uint32_t k = 0; k < LANES; k++) coir_chan_close(l->lanes[k]);
    world_done(&l->world);
}

static void note(struct ledger *l, uint32_t value, uint32_t lane)
{
    uint32_t who = value >> 16, i = value & 0xffff;

    sim_expect(who < SENDERS && i < EACH);
    sim_expect(!(l->seen[who] & 1u << i)); // exactly once
    l->seen[who] |= 1u << i;
    if (!l->one_receiver) return;
    sim_expect(i >= l->next[who][lane]); // of one lane in order
    l->next[who][lane] = i + 1;
}

static void receive_all(void *arg)
{
    struct ledger *l = arg;
    bool shut[LANES] = {false};

    while (!shut[0] || !shut[1]) {
        uint32_t values[LANES] = {UINT32_MAX, UINT32_MAX};
        coir_case cases[LANES];

        for (uint32_t k = 0; k < LANES; k++)
            cases[k] =
                (coir_case){shut[k] ? NULL : l->lanes[k], COIR_RECV, &values[k], 77};
        int at = coir_select(cases, LANES, some_deadline());
        if (at < 0) {
            expect_nothing(at, cases, LANES);
            continue;
        }
        sim_expect_eq(values[1 - at], UINT32_MAX); // one case only
        if (cases[at].result == -EPIPE)
            shut[at] = true;
        else
            note(l, values[at], (uint32_t)at);
    }
    world_done(&l->world);
}

void scene_select_ledger(void)
{
    struct ledger l = {.one_receiver = sim_choose(2, 1)};
    struct os_thread thread = {0};
    bool on_thread = sim_choose(2, 2);
    uint32_t n_receivers = l.one_receiver ? 1 : 2;

    for (uint32_t k = 0; k < LANES; k++) l.lanes[k] = make(sim_choose(3, 1));
    store_relaxed(&l.senders_left, SENDERS); // relaxed: the spawn publishes it
    world_start(&l.world, 2 + sim_choose(2, 1), SENDERS + n_receivers);
    for (uint32_t i = 0; i < SENDERS; i++)
        sim_expect_eq(coir_go_on(l.world.rt, send_all, &l, i), 0);
    if (on_thread)
        sim_expect_eq(os_thread_start(&thread, receive_all, &l, "receives", NULL), 0);
    for (uint32_t i = on_thread; i < n_receivers; i++)
        world_go(&l.world, receive_all, &l);
    world_end(&l.world);
    if (on_thread) os_thread_join(thread);
    for (uint32_t i = 0; i < SENDERS; i++) sim_expect_eq(l.seen[i], (1u << EACH) - 1);
    for (uint32_t k = 0; k < LANES; k++) coir_chan_unref(l.lanes[k]);
}

// ---- Two selects that meet ---------------------------------------------------------------------

#define MEETINGS 6u

// Both can only go on by meeting each other, on either of two channels, from opposite ends.
struct meeting {
    struct world world;
    coir_chan *c, *d;
    uint32_t told[2], heard[2]; // plain: each side writes its own
};

static void meet(struct meeting *m, uint32_t side)
{
    for (uint32_t i = 0; i < MEETINGS;) {
        uint32_t out = side << 16 | i, in = UINT32_MAX;
        coir_case cases[4] = {{side ? m->d : m->c, COIR_SEND, &out, 77},
                              {side ? m->c : m->d, COIR_RECV, &in, 77},
                              {side ? m->c : m->d, COIR_RECV, &in, 77},
                              {NULL, COIR_SEND, NULL, 77}};
        int at = coir_select(cases, 4, some_deadline());

        if (at < 0) {
            expect_nothing(at, cases, 4);
            continue;
        }
        sim_expect(at < 3);
        sim_expect_eq(cases[at].result, 0);
        if (at == 0) {
            m->told[side]++;
            sim_expect_eq(in, UINT32_MAX);
        } else {
            m->heard[side]++;
            sim_expect_eq(in, (1 - side) << 16 | i); // the same meeting
        }
        i++;
    }
    world_done(&m->world);
}

void scene_selects_meet(void)
{
    struct meeting m = {.c = make(0), .d = make(0)};

    world_start(&m.world, 2, 2);
    for (uint32_t side = 0; side < 2; side++)
        sim_expect_eq(coir_go_on(m.world.rt, meet, &m, side), 0);
    world_end(&m.world);
    for (uint32_t side = 0; side < 2; side++) {
        sim_expect_eq(m.told[side], m.heard[1 - side]);
        sim_expect_eq(m.told[side] + m.heard[side], MEETINGS);
    }
    coir_chan_unref(m.c);
    coir_chan_unref(m.d);
}

// ---- One instant -------------------------------------------------------------------------------

#define ROUNDS 4u

// A value that goes to and fro between two channels, and is in the next one before it is out of the
// last; once more on two others.
struct always {
    struct world world;
    coir_chan *lanes[ROUNDS][2];
};

static void carry(void *arg)
{
    struct always *w = arg;
    uint32_t value = 1;

    for (uint32_t r = 0; r < ROUNDS; r++)
        for (uint32_t i = 0; i < 4; i++) {
            sim_expect_eq(coir_chan_send(w->lanes[r][(i + 1) % 2], &value, COIR_NOW), 0);
            // Unless it was taken.
            if (coir_chan_recv(w->lanes[r][i % 2], &value, COIR_NOW) < 0) break;
        }
    world_done(&w->world);
}

static void take_at_once(void *arg)
{
    struct always *w = arg;

    for (uint32_t r = 0; r < ROUNDS; r++) {
        uint32_t value = 0;
        coir_case cases[3] = {{w->lanes[r][0], COIR_RECV, &value, 77},
                              {w->lanes[r][1], COIR_RECV, &value, 77},
                              {NULL, COIR_RECV, &value, 77}};

        if (sim_choose(2, 1)) coir_yield();
        sim_expect(coir_select(cases, 2 + (int)sim_choose(2, 1), COIR_NOW) >= 0);
        sim_expect_eq(value, 1);
    }
    world_done(&w->world);
}

// A select that may not wait is never told that nothing is ready while one case always is.
void scene_select_one_instant(void)
{
    struct always w = {0};
    uint32_t value = 1;

    for (uint32_t r = 0; r < ROUNDS; r++) {
        for (int k = 0; k < 2; k++) w.lanes[r][k] = make(1);
        sim_expect_eq(coir_chan_send(w.lanes[r][0], &value, COIR_NOW), 0);
    }
    world_start(&w.world, 2, 2);
    world_go(&w.world, carry, &w);
    world_go(&w.world, take_at_once, &w);
    world_end(&w.world);
    for (uint32_t r = 0; r < ROUNDS; r++)
        for (int k = 0; k < 2; k++) coir_chan_unref(w.lanes[r][k]);
}

// ---- A close, a cancel -------------------------------------------------------------------------

struct ending {
    struct world world;
    coir_chan *a, *b;
    atomic_u32 n_sent, n_received;
    bool closes;
};

static void select_until_the_end(struct ending *e)
{
    for (;;) {
        uint32_t in = 0, out = 1;
        coir_case cases[3] = {{e->a, COIR_RECV, &in, 77},
                              {e->b, COIR_SEND, &out, 77},
                              {e->a, COIR_RECV, &in, 77}};
        int at = coir_select(cases, 3, COIR_FOREVER);

        if (at == -ECANCELED) {
            sim_expect(!e->closes);
            break;
        }
        sim_expect(at >= 0 && at < 3);
        if (cases[at].result == -EPIPE) break;
        sim_expect_eq(cases[at].result, 0);
        sim_expect_eq(in, at != 1);
        // relaxed, both: counters
        add_relaxed(at == 1 ? &e->n_sent : &e->n_received, 1);
    }
    world_done(&e->world);
}

static void feed(struct ending *e)
{
    uint32_t value = 1;

    for (int i = 0; i < 3; i++) {
        int err = coir_chan_send(e->a, &value, COIR_FOREVER);
        if (err == 0) add_relaxed(&e->n_sent, 1); // relaxed: a counter
    }
    if (e->closes) {
        sim_expect_eq(coir_chan_close(e->b), 0);
        coir_yield();
        sim_expect_eq(coir_chan_close(e->a), 0);
    }
    world_done(&e->world);
}

static uint32_t drain(coir_chan *c)
{
    uint32_t n = 0, value;

    while (coir_chan_recv(c, &value, COIR_NOW) == 0) n++;
    return n;
}

static void end_selects(bool closes)
{
    struct ending e = {.a = make(sim_choose(2, 1)), .b = make(1), .closes = closes};

    world_start(&e.world, 2, 4);
    for (int i = 0; i < 3; i++)
        sim_expect_eq(coir_go_on(e.world.rt, select_until_the_end, &e), 0);
    sim_expect_eq(coir_go_on(e.world.rt, feed, &e), 0);
    if (!closes) {
        coir_sleep(sim_choose(2, 1) ? 300 : 1); // a cancel in the middle
        sim_expect_eq(coir_stop(e.world.rt, COIR_FOREVER), 0);
        sim_expect_eq(load_relaxed(&e.world.left), 0); // relaxed: all ended
    } else {
        world_end(&e.world);
    }
    uint32_t left = drain(e.a) + drain(e.b);
    // relaxed, both: all ended
    sim_expect_eq(load_relaxed(&e.n_sent), load_relaxed(&e.n_received) + left);
    coir_chan_unref(e.a);
    coir_chan_unref(e.b);
}

void scene_select_closed(void)
{
    end_selects(true);
}

void scene_select_canceled(void)
{
    end_selects(false);
}

// ---- Timers --------------------------------------------------------------------------------

// One who resets and stops, two who wait. A tick that is read was due after the last reset that
// had returned before the reading began, and not later than now.
struct ticking {
    struct world world;
    coir_timer *timer;
    coir_chan *c;
    atomic_i64 floor; // the last reset's time
    atomic_u32 n_ticks;
};

static void read_ticks(struct ticking *t, bool selects)
{
    int err = 0;

    while (err == 0) {
        // [TICK-FLOOR] acquire, pairs with [TICK-SET].
        int64_t floor = load_acquire(&t->floor), due = 0;
        int64_t deadline = selects && sim_choose(2, 2) ? coir_after(900) : COIR_FOREVER;
        coir_case one = {t->c, COIR_RECV, &due, 77};

        err = selects ? coir_select(&one, 1, deadline)
                      : coir_chan_recv(one.chan, &due, deadline);
        if (err == -ETIMEDOUT) {
            sim_expect_late(deadline);
            err = 0;
            continue;
        }
        if (err == 0 && selects) err = one.result;
        if (err < 0) break;
        sim_expect(due >= floor);
        sim_expect(os_now() >= due);
        add_relaxed(&t->n_ticks, 1); // relaxed: a counter
    }
    sim_expect_eq(err, -EPIPE);
    coir_chan_unref(t->c);
    world_done(&t->world);
}

static void move_timer(struct ticking *t)
{
    int64_t last = 0;

    for (int i = 0; i < 4; i++) {
        int64_t when = os_now() + 200 * sim_choose(4, 1);

        if (when <= last) when = last + 1; // later resets have later times
        last = when;
        sim_expect_eq(coir_timer_reset(t->timer, when, sim_choose(2, 1) ? 400 : 0), 0);
        // [TICK-SET] release, pairs with [TICK-FLOOR]: the reset has returned.
        store_release(&t->floor, when);
        if (sim_choose(2, 1)) coir_sleep(300);
        if (sim_choose(3, 1) == 2) {
            sim_expect(coir_timer_stop(t->timer) >= 0);
            sim_expect_eq(coir_chan_len(t->c), 0);
            sim_expect_eq(coir_timer_stop(t->timer), 0);
        }
    }
    // Set for good: somebody has to be woken by it.
    uint32_t before = load_relaxed(&t->n_ticks); // relaxed: a counter
    int64_t now = os_now();
    sim_expect_eq(coir_timer_reset(t->timer, (now > last ? now : last) + 500, 500), 0);
    while (load_relaxed(&t->n_ticks) == before) coir_sleep(700); // relaxed: a counter
    sim_expect_eq(coir_timer_stop(t->timer), 1);
    world_done(&t->world);
}

void scene_timer(void)
{
    struct ticking t = {0};

    sim_expect_eq(coir_timer_make(COIR_FOREVER, 0, &t.timer), 0);
    t.c = coir_timer_chan(t.timer);
    world_start(&t.world, 2, 3);
    for (int i = 0; i < 2; i++) {
        coir_chan_ref(t.c);
        sim_expect_eq(coir_go_on(t.world.rt, read_ticks, &t, i == 1), 0);
    }
    sim_expect_eq(coir_go_on(t.world.rt, move_timer, &t), 0);
    while (load_relaxed(&t.world.left) > 2) coir_sleep(1000); // relaxed: a look
    coir_timer_free(t.timer); // to the readers it is a closed channel
    world_end(&t.world);
}
