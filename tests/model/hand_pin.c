// SPDX-License-Identifier: MIT
// hand_pin - scenes for coroutines that keep a thread to themselves.
#include <errno.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/chan.h"
#include "coir/io.h"
#include "coir/scope.h"
#include "runtime/runtime.h"
#include "sched/g.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

#define THREADS 64u

struct board {
    struct world world;
    coir_chan *chan;
    int fds[2];
    uint64_t last[THREADS]; // who ran last on the thread of this number
};

// What a coroutine knows of its thread while it is pinned.
struct pinned {
    struct board *board;
    uint32_t pins;
    uint64_t thread;
};

// Every coroutine of the scene says so when it comes back from a call that may wait.
static void runs_here(struct pinned *p)
{
    uint64_t *last = &p->board->last[os_thread_id() % THREADS];

    if (p->pins) {
        sim_expect_eq(os_thread_id(), p->thread);
        sim_expect_eq(*last, coir_id());
    }
    *last = coir_id();
    sim_expect(m_self()->pinned == (p->pins ? g_self() : NULL) && !m_self()->spoiled);
}

static void pins(struct pinned *p)
{
    sim_expect_eq(coir_pin(), 0);
    p->pins++;
    p->thread = os_thread_id();
    p->board->last[p->thread % THREADS] = coir_id();
}

static void unpins(struct pinned *p)
{
    sim_expect_eq(coir_unpin(), p->pins ? 0 : -EINVAL);
    if (p->pins) p->pins--;
}

// ---- All sorts ------------------------------------------------------------------------

static void child(struct board *b)
{
    struct pinned p = {.board = b, .pins = 1, .thread = os_thread_id()};

    b->last[p.thread % THREADS] = coir_id();
    runs_here(&p);
    sim_expect_eq(coir_yield(), 0);
    runs_here(&p);
    if (sim_choose(2, 1)) unpins(&p);
    runs_here(&p);
    world_done(&b->world); // perhaps with its pin
}

static void waits_somehow(struct pinned *p)
{
    char c = 'x';
    int v = 0;

    switch (sim_choose(6, 1)) {
    case 0: sim_expect_eq(coir_sleep((int64_t)sim_choose(3, 1) * 1000), 0); break;
    case 1: sim_expect_eq(coir_chan_send(p->board->chan, &v, COIR_FOREVER), 0); break;
    case 2:
        v = coir_chan_recv(p->board->chan, &v, coir_after(2000));
        sim_expect(v == 0 || v == -ETIMEDOUT);
        break;
    case 3:
        sim_expect_eq(coir_write(p->board->fds[1], &c, 1, COIR_FOREVER), 1);
        sim_expect_eq(coir_read(p->board->fds[0], &c, 1, COIR_FOREVER), 1);
        break;
    case 4: // computes, and loses its P where others wait
        sim_hog((sim_choose(2, 1) ? 20 : 9) * COIR_MS);
        break;
    default: sim_expect_eq(coir_yield(), 0);
    }
}

static void all_sorts(struct board *b)
{
    struct pinned p = {.board = b};

    for (int i = 0; i < 4; i++) {
        runs_here(&p);
        switch (sim_choose(5, 1)) {
        case 0:
        case 1: pins(&p); break;
        case 2: unpins(&p); break;
        case 3:
            coir_blocking_begin();
            sim_nap(COIR_MS / 4);
            coir_blocking_end();
            break;
        default: break;
        }
        waits_somehow(&p);
    }
    runs_here(&p);
    world_done(&b->world); // perhaps with its pins
}

static void first_of_all_sorts(void *arg)
{
    struct board *b = arg;

    for (int i = 0; i < 3; i++) sim_expect_eq(coir_go(all_sorts, b), 0);
    sim_expect_eq(coir_go_with(coir_opts(.pinned = true), child, b), 0);
    all_sorts(b);
}

// Pinned ones and others wait for time, for each other and for input, compute, block, and end as
// they are: each pinned one keeps its thread, on which nobody else runs. Turns of about a
// millisecond: sysmon wakes a thief for one who waits behind another at its second look, and
// meanwhile a third comes to wait at another P. Nobody waited for long, yet at every look somebody
// did: the oracle asks of each place by itself.
void scene_pinned_among_others(void)
{
    struct board b = {0};

    sim.kept_blocks = 1; // the table of descriptors is the process's
    sim.fresh_numbers = true;
    sim_socketpair(b.fds);
    sim_expect_eq(coir_chan_make(sizeof(int), 16, &b.chan), 0);
    world_start(&b.world, 1 + sim_choose(3, 1), 5);
    world_go(&b.world, first_of_all_sorts, &b);
    world_end(&b.world);
    coir_chan_unref(b.chan);
    coir_close(b.fds[0]);
    coir_close(b.fds[1]);
}

// While threads can be had only now and then, nobody runs where it must not, and all end.
void scene_pinned_without_threads(void)
{
    struct board b = {0};

    sim.kept_blocks = 1; // the table of descriptors is the process's
    sim.fresh_numbers = true;
    sim_socketpair(b.fds);
    sim_expect_eq(coir_chan_make(sizeof(int), 16, &b.chan), 0);
    world_start(&b.world, 1 + sim_choose(3, 1), 5);
    sim.threads_fail = 2;
    world_go(&b.world, first_of_all_sorts, &b);
    while (load_relaxed(&b.world.left)) // relaxed: a look
        sim_expect_eq(coir_sleep(COIR_MS), 0);
    sim.threads_fail = 0;
    world_end(&b.world);
    coir_chan_unref(b.chan);
    coir_close(b.fds[0]);
    coir_close(b.fds[1]);
}

// ---- Two that play --------------------------------------------------------------------

static void plays(struct board *b, coir_chan *from, coir_chan *to, int rounds)
{
    struct pinned p = {.board = b};
    int v;

    if (sim_choose(4, 1)) pins(&p);
    for (int i = 0; i < rounds; i++) {
        sim_expect_eq(coir_chan_recv(from, &v, COIR_FOREVER), 0);
        runs_here(&p);
        sim_expect_eq(v, i);
        v += to == b->chan;
        if (i == rounds - 1 && to == b->chan) break; // nobody takes it any more
        sim_expect_eq(coir_chan_send(to, &v, COIR_FOREVER), 0);
        runs_here(&p);
    }
    world_done(&b->world);
}

struct game {
    struct board board;
    coir_chan *back;
};

static void serves(void *arg)
{
    struct game *g = arg;
    int zero = 0;

    sim_expect_eq(coir_go(plays, &g->board, g->board.chan, g->back, 4), 0);
    sim_expect_eq(coir_go(plays, &g->board, g->back, g->board.chan, 4), 0);
    sim_expect_eq(coir_chan_send(g->board.chan, &zero, COIR_FOREVER), 0);
    world_done(&g->board.world);
}

// A value goes to and fro between two threads that run one coroutine each.
void scene_pinned_ping_pong(void)
{
    struct game g = {0};

    sim_expect_eq(coir_chan_make(sizeof(int), 0, &g.board.chan), 0);
    sim_expect_eq(coir_chan_make(sizeof(int), 0, &g.back), 0);
    world_start(&g.board.world, 1 + sim_choose(2, 1), 3);
    world_go(&g.board.world, serves, &g);
    world_end(&g.board.world);
    coir_chan_unref(g.board.chan);
    coir_chan_unref(g.back);
}

// ---- Ends -----------------------------------------------------------------------------

static int waits_pinned(struct board *b)
{
    struct pinned p = {.board = b};
    int v, err;

    pins(&p);
    err = coir_chan_recv(b->chan, &v, COIR_FOREVER);
    sim_expect_eq(err, -ECANCELED);
    runs_here(&p);
    if (sim_choose(2, 1)) unpins(&p);
    return err;
}

static void cancels_pinned(void *arg)
{
    struct board *b = arg;
    coir_scope s;

    sim_expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_scope_go(&s, waits_pinned, b), 0);
    if (sim_choose(2, 1)) sim_expect_eq(coir_yield(), 0);
    coir_scope_cancel(&s);
    sim_expect_eq(coir_scope_wait(&s), -ECANCELED);
    // These are ended by the stop.
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_go(waits_pinned, b), 0);
    world_done(&b->world);
}

// A cancel and a stop reach pinned ones where they wait, and end them on their threads.
void scene_pinned_canceled(void)
{
    struct board b = {0};

    sim_expect_eq(coir_chan_make(sizeof(int), 0, &b.chan), 0);
    world_start(&b.world, 1 + sim_choose(2, 1), 1);
    world_go(&b.world, cancels_pinned, &b);
    world_end(&b.world);
    coir_chan_unref(b.chan);
}
