// SPDX-License-Identifier: MIT
// hand_hog - scenes for the hand-off: those who compute or block outside, and everybody else.
#include <errno.h>

#include "base/clock.h"
#include "coir/chan.h"
#include "coir/io.h"
#include "runtime/runtime.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

#define HOG_NS (60 * COIR_MS)

struct pen {
    struct world world;
    coir_chan *chan;
    int fds[2];
    int64_t until;    // when the last hog ends
    int64_t deadline; // of the reader
    uint32_t n_hogs;
    atomic_u32 n_got;
};

static void note_hog(struct pen *p)
{
    int64_t end = coir_now() + HOG_NS;

    if (end > p->until) p->until = end;
    sim_hog(HOG_NS);
}

// ---- Turns and timers behind a hog -------------------------------------------------------------

static void gives(struct pen *p)
{
    for (int i = 0; i < 3; i++) {
        sim_expect_eq(coir_chan_send(p->chan, &i, COIR_FOREVER), 0);
        sim_expect_eq(coir_sleep(COIR_MS / 2), 0);
    }
    sim_expect(sim.jumps || coir_now() < p->until);
    world_done(&p->world);
}

static void takes(struct pen *p)
{
    for (int i = 0; i < 3; i++) {
        int v = -1;
        sim_expect_eq(coir_chan_recv(p->chan, &v, COIR_FOREVER), 0);
        sim_expect_eq(v, i);
    }
    sim_expect(sim.jumps || coir_now() < p->until);
    world_done(&p->world);
}

static void hogs_once(struct pen *p)
{
    note_hog(p);
    if (sim_choose(2, 1)) sim_expect_eq(coir_yield(), 0);
    world_done(&p->world);
}

static void first_of_pen(void *arg)
{
    struct pen *p = arg;

    p->until = coir_now() + HOG_NS;
    sim_expect_eq(coir_go(gives, p), 0);
    sim_expect_eq(coir_go(takes, p), 0);
    for (uint32_t i = 1; i < p->n_hogs; i++) sim_expect_eq(coir_go(hogs_once, p), 0);
    hogs_once(p);
}

// As many hogs as workers: the others are through before the first of them ends.
void scene_hogs_everywhere(void)
{
    struct pen p = {.n_hogs = 1 + sim_choose(3, 1)};

    sim_expect_eq(coir_chan_make(sizeof(int), sim_choose(2, 1), &p.chan), 0);
    world_start(&p.world, p.n_hogs, 2 + p.n_hogs);
    world_go(&p.world, first_of_pen, &p);
    world_end(&p.world);
    coir_chan_unref(p.chan);
}

// ---- A hog that wakes others --------------------------------------------------------------------

static void hears_a_hog(struct pen *p)
{
    int v = -1;

    sim_expect_eq(coir_chan_recv(p->chan, &v, COIR_FOREVER), 0);
    sim_expect_eq(v, 7);
    world_done(&p->world);
}

static void sleeps_often(struct pen *p)
{
    for (int i = 0; i < 4; i++) sim_expect_eq(coir_sleep(COIR_MS), 0);
    world_done(&p->world);
}

static void hogs_and_tells(void *arg)
{
    struct pen *p = arg;
    int v = 7;

    sim_expect_eq(coir_go(hears_a_hog, p), 0);
    sim_expect_eq(coir_go(sleeps_often, p), 0);
    sim_expect_eq(coir_yield(), 0);
    note_hog(p);
    sim_expect_eq(coir_chan_send(p->chan, &v, COIR_FOREVER), 0);
    if (sim_choose(2, 1)) sim_expect_eq(coir_yield(), 0);
    world_done(&p->world);
}

// Its P was taken while it computed, and the next thing that it does is to send: whoever waits for
// that gets it, and runs, from a thread without a P.
void scene_a_hog_tells_another(void)
{
    struct pen p = {0};

    sim_expect_eq(coir_chan_make(sizeof(int), 0, &p.chan), 0);
    world_start(&p.world, 1 + sim_choose(2, 1), 3);
    world_go(&p.world, hogs_and_tells, &p);
    world_end(&p.world);
    coir_chan_unref(p.chan);
}

// ---- Operations on the ring of a hog
// -------------------------------------------------------------

static void reads_in_pen(struct pen *p)
{
    char c = 0;
    ssize_t got;

    if (sim_choose(2, 1)) p->deadline = coir_after(5 * COIR_MS);
    got = coir_read(p->fds[0], &c, 1, p->deadline);
    sim_expect(got == 1 || got == -EBADF ||
               (got == -ETIMEDOUT && p->deadline != COIR_FOREVER));
    if (got == 1) sim_expect_eq(c, 'x');
    if (got == -ETIMEDOUT) sim_expect_late(p->deadline);
    // 8 ms until the P is taken, a few looks for the pump; all the computing is not over.
    sim_expect(sim.jumps || coir_now() < p->until);
    add_relaxed(&p->n_got, 1); // relaxed: a counter
    world_done(&p->world);
}

static void hogs_with_io(void *arg)
{
    struct pen *p = arg;

    p->until = coir_now() + HOG_NS;
    sim_expect_eq(coir_go(reads_in_pen, p), 0);
    if (sim_choose(2, 1)) coir_yield(); // else its operation is not even queued
    if (sim_choose(2, 1)) coir_yield();
    note_hog(p);
    if (sim_choose(2, 1)) sim_expect_eq(coir_sleep(COIR_MS), 0);
    world_done(&p->world);
}

// A byte, a close or a deadline reaches an operation whose ring belongs to one who computes.
void scene_in_flight_behind_a_hog(void)
{
    struct pen p = {.deadline = COIR_FOREVER};
    bool closes;

    sim.kept_blocks = 1; // the table of descriptors is the process's
    sim.fresh_numbers = true;
    sim_socketpair(p.fds);
    world_start(&p.world, 1 + sim_choose(2, 1), 2);
    world_go(&p.world, hogs_with_io, &p);
    sim_expect_eq(coir_sleep(2 * COIR_MS), 0);
    closes = sim_choose(2, 1);
    if (closes)
        coir_close(p.fds[0]);
    else
        sim_expect_eq(coir_write(p.fds[1], "x", 1, COIR_FOREVER), 1);
    world_end(&p.world);
    sim_expect_eq(load_relaxed(&p.n_got), 1); // relaxed: all ended
    if (!closes) coir_close(p.fds[0]);
    coir_close(p.fds[1]);
}

// ---- A crowd that comes and goes
// -----------------------------------------------------------------

static void one_of_crowd(struct pen *p)
{
    for (int i = 0; i < 3; i++) {
        int v = i;

        switch (sim_choose(8, 1)) {
        case 0: sim_hog(9 * COIR_MS); break;
        case 1: sim_hog(20 * COIR_MS); break;
        case 2: sim_nap(4 * COIR_MS); break;
        case 3:
            coir_blocking_begin();
            sim_nap(2 * COIR_MS);
            coir_blocking_end();
            break;
        case 4: // a call that waits inside a region
            coir_blocking_begin();
            sim_nap(COIR_MS);
            sim_expect_eq(coir_sleep(1000), 0);
            sim_nap(COIR_MS);
            coir_blocking_end();
            break;
        default: break;
        }
        switch (sim_choose(4, 1)) {
        case 0: sim_expect_eq(coir_yield(), 0); break;
        case 1: sim_expect_eq(coir_sleep(100000), 0); break;
        case 2: sim_expect_eq(coir_chan_send(p->chan, &v, COIR_NOW), 0); break;
        default:
            sim_expect_eq(coir_chan_send(p->chan, &v, COIR_FOREVER), 0);
            sim_expect_eq(coir_chan_recv(p->chan, &v, COIR_FOREVER), 0);
        }
    }
    add_relaxed(&p->n_got, 1); // relaxed: a counter
    world_done(&p->world);
}

static void crowd(void *arg)
{
    for (int i = 0; i < 6; i++) sim_expect_eq(coir_go(one_of_crowd, arg), 0);
}

void scene_hogs_come_and_go(void)
{
    struct pen p = {0};

    sim_expect_eq(coir_chan_make(sizeof(int), 32, &p.chan), 0);
    world_start(&p.world, 1 + sim_choose(3, 1), 6);
    world_go(&p.world, crowd, &p);
    world_end(&p.world);
    sim_expect_eq(load_relaxed(&p.n_got), 6); // relaxed: all ended
    coir_chan_unref(p.chan);
}

// ---- Who is named -----------------------------------------------------------------------------

static uint32_t n_told;

static void note_stall(struct sched *s, const struct stall *st)
{
    (void)s;
    n_told++;
    sim_expect(st->id > 0 && st->held > 0);
    if (st->n_frames) sim_expect_eq(st->frames[0], st->id);
}

static void stalls(struct pen *p)
{
    for (int i = 0; i < 3; i++) {
        sim_hog(8 * COIR_MS + sim_choose(4, 1) * COIR_MS / 4);
        if (sim_choose(2, 1)) sim_expect_eq(coir_yield(), 0);
    }
    world_done(&p->world);
}

static void several_stall(void *arg)
{
    for (int i = 0; i < 4; i++) sim_expect_eq(coir_go(stalls, arg), 0);
}

// The line of the stall watch shows where the coroutine stood that it names, or nothing: its thread
// may come back before the answer, and be stuck with another one soon.
void scene_stalls_are_told(void)
{
    struct pen p = {0};

    n_told = 0;
    world_start(&p.world, 1 + sim_choose(2, 1), 4);
    p.world.rt->sched.tell_stall = note_stall;
    world_go(&p.world, several_stall, &p);
    world_end(&p.world);
    sim_expect(sim.threads_fail || n_told <= 1); // a line a second
}

// ---- Deadlines in a crowd that blocks ----------------------------------------------------------

enum { BLOCKERS = 14 };

static void naps_in_crowd(struct pen *p)
{
    sim_nap(30 * COIR_MS);
    world_done(&p->world);
}

static void ticks_in_crowd(struct pen *p)
{
    for (int i = 0; i < 8; i++) {
        int64_t when = coir_after(COIR_MS);
        sim_expect_eq(coir_sleep_until(when), 0);
        int64_t late = coir_now() - when;
        sim_expect(late >= 0 && (sim.jumps || late < 7 * COIR_MS));
    }
    world_done(&p->world);
}

static void crowd_that_blocks(void *arg)
{
    sim_expect_eq(coir_go(ticks_in_crowd, arg), 0);
    for (int i = 0; i < BLOCKERS; i++) sim_expect_eq(coir_go(naps_in_crowd, arg), 0);
}

// Each of them keeps a worker for a look or two of sysmon's: who sleeps does not wait for all.
void scene_ticks_beside_naps(void)
{
    struct pen p = {0};

    world_start(&p.world, 1, BLOCKERS + 1);
    world_go(&p.world, crowd_that_blocks, &p);
    world_end(&p.world);
}

// ---- Caps ---------------------------------------------------------------------------------------

static void within_caps(struct pen *p)
{
    struct handoff *h = &p->world.rt->sched.handoff;

    // relaxed, both: looks
    sim_expect(load_relaxed(&h->n_computing) <= h->computing_most);
    sim_expect(load_relaxed(&h->n_blocked) <= h->blocked_most);
}

static void holds_a_thread(struct pen *p)
{
    for (int i = 0; i < 2; i++) {
        switch (sim_choose(3, 1)) {
        case 0: sim_hog(20 * COIR_MS); break;
        case 1: sim_nap(20 * COIR_MS); break;
        default:
            coir_blocking_begin();
            sim_nap(20 * COIR_MS);
            coir_blocking_end();
        }
        within_caps(p);
        sim_expect_eq(coir_yield(), 0);
        within_caps(p);
    }
    world_done(&p->world);
}

static void hold_threads(void *arg)
{
    for (int i = 0; i < 6; i++) sim_expect_eq(coir_go(holds_a_thread, arg), 0);
}

// More compute and block than threads may: those beyond wait, and nobody is lost.
void scene_caps(void)
{
    struct pen p = {0};

    world_start(&p.world, 1 + sim_choose(2, 1), 6);
    struct handoff *h = &p.world.rt->sched.handoff;
    h->computing_most = 1 + sim_choose(2, 1);
    h->blocked_most = 1 + sim_choose(2, 1);
    world_go(&p.world, hold_threads, &p);
    while (load_relaxed(&p.world.left)) { // relaxed: a look
        within_caps(&p);
        sim_expect_eq(coir_sleep(COIR_MS), 0);
    }
    world_end(&p.world);
}

// ---- Threads that cannot be had ----------------------------------------------------------------

static void blocks_often(struct pen *p)
{
    for (int i = 0; i < 4; i++) {
        coir_blocking_begin();
        sim_nap(COIR_MS / 4);
        coir_blocking_end();
        sim_expect_eq(coir_yield(), 0);
    }
    world_done(&p->world);
}

static void blocks_outside(void *arg)
{
    blocks_often(arg);
}

static void blocks_with_others(void *arg)
{
    for (int i = 0; i < 3; i++) sim_expect_eq(coir_go(blocks_often, arg), 0);
    blocks_often(arg);
}

static bool at_rest(struct sched *s)
{
    // relaxed, all: looks
    return load_relaxed(&s->idle.n) + load_relaxed(&s->idle.n_retired) == s->n_p &&
           load_relaxed(&s->idle.n_spinning) == 0 && load_relaxed(&s->idle.n_coming) == 0;
}

// While thread starts fail now and then, several want a thread at once: when all is over every P
// is idle or out of service, and nobody counts as looking or coming who is not.
void scene_threads_that_fail(void)
{
    struct pen p = {0};
    struct sched *s;

    world_start(&p.world, 2 + sim_choose(3, 1), 6);
    s = &p.world.rt->sched;
    sim.threads_fail = 2;
    for (int i = 0; i < 2; i++) world_go(&p.world, blocks_outside, &p);
    world_go(&p.world, blocks_with_others, &p);
    while (load_relaxed(&p.world.left)) // relaxed: a look
        sim_expect_eq(coir_sleep(COIR_MS), 0);
    for (int i = 0; i < 100 && !at_rest(s); i++) sim_expect_eq(coir_sleep(COIR_MS), 0);
    sim_expect(at_rest(s));
    sim.threads_fail = 0;
    world_end(&p.world);
}
