// SPDX-License-Identifier: MIT
// generate - a seed makes a world: one to three of the shapes below, 2 to 8 workers, and checks
// what must be conserved whatever the schedule was.
//
//     pipeline   a source, stages that add one, a sink          each value once, in order
//     fan        senders into one channel, receivers out of it  each value once
//     mesh       a tree of spawns that meets in a waitgroup     every leaf counted
//     ping       pairs over unbuffered channels                 every answer right
//     mutex      many into one plain counter                    the sum
//     units      a semaphore of two                             never above two, none lost
//     select     selects that send and receive on three channels values sent are received or left
//     sleepers   deadlines of every size                        never early
//     sockets    bytes both ways through a pair                 each byte once, in order
//     scopes     a tree with cancels, failures and deadlines    results that have a reason
//
// The shape comes from a generator of its own, so a replayed string of decisions (sim.h) changes
// the schedule and never the shape.
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/chan.h"
#include "coir/io.h"
#include "coir/sync.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

#define SHAPES_MOST 3
#define LINKS_MOST 6

struct shape {
    struct world *world;
    uint32_t width, n; // coroutines and rounds, meaning is the kind's
    coir_chan *links[LINKS_MOST];
    coir_waitgroup wg;
    coir_mutex mutex;
    coir_sema sema;
    uint32_t total;   // plain: under the mutex, or of the one sink
    atomic_u32 count; // leaves, senders left
    atomic_u32 sum;   // of what was received
    int fds[2];
    bool mixes_deadlines;
};

struct kind {
    const char *name;
    uint32_t (*coroutines)(const struct shape *s); // that say world_done
    void (*prepare)(struct shape *s);
    void (*start)(struct shape *s); // on a coroutine
    void (*check)(struct shape *s); // after the stop
};

static int64_t deadline_of(const struct shape *s)
{
    if (!s->mixes_deadlines || !sim_choose(2, 2)) return COIR_FOREVER;
    return sim_choose(2, 1) ? coir_after(500) : COIR_NOW;
}

// Now and then a worker is outside the runtime for a while.
static void compute_a_little(void)
{
    if (!sim_choose(2, 24)) return;
    switch (sim_choose(8, 2)) {
    case 1:
    case 4:
    case 5: sim_hog(12000000); break; // long enough to lose its P
    case 2:
        coir_blocking_begin();
        sim_nap(2000000);
        coir_blocking_end();
        break;
    case 3: sim_nap(4000000); break; // blocks, and does not say so
    default: sim_hog(20000);
    }
}

static void send_one(struct shape *s, coir_chan *c, uint32_t value)
{
    int64_t deadline = deadline_of(s);
    int err;

    while ((err = coir_chan_send(c, &value, deadline)) == -ETIMEDOUT) {
        sim_expect_late(deadline);
        coir_yield();
        deadline = deadline_of(s);
    }
    sim_expect_eq(err, 0);
    compute_a_little();
}

// False: closed and empty.
static bool receive(struct shape *s, coir_chan *c, uint32_t *ret_value)
{
    int err;

    while ((err = coir_chan_recv(c, ret_value, deadline_of(s))) == -ETIMEDOUT)
        coir_yield();
    sim_expect(err == 0 || err == -EPIPE);
    return err == 0;
}

static void make_links(struct shape *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sim_expect_eq(coir_chan_make(4, (s->n + i) % 3, &s->links[i]), 0);
}

// ---- Pipeline --------------------------------------------------------------------------------

static uint32_t pipeline_coroutines(const struct shape *s)
{
    return s->width + 1;
}

static void pipeline_prepare(struct shape *s)
{
    make_links(s, s->width);
}

static void pipeline_stage(struct shape *s, uint32_t i)
{
    uint32_t value;

    while (receive(s, s->links[i], &value)) {
        if (i + 1 < s->width)
            send_one(s, s->links[i + 1], value + 1);
        else
            sim_expect_eq(value, s->total++ + s->width - 1); // in order, each stage once
    }
    if (i + 1 < s->width) sim_expect_eq(coir_chan_close(s->links[i + 1]), 0);
    world_done(s->world);
}

static void pipeline_source(struct shape *s)
{
    for (uint32_t i = 0; i < s->n; i++) send_one(s, s->links[0], i);
    sim_expect_eq(coir_chan_close(s->links[0]), 0);
    world_done(s->world);
}

static void pipeline_start(struct shape *s)
{
    for (uint32_t i = 0; i < s->width; i++)
        sim_expect_eq(coir_go(pipeline_stage, s, i), 0);
    sim_expect_eq(coir_go(pipeline_source, s), 0);
}

static void pipeline_check(struct shape *s)
{
    sim_expect_eq(s->total, s->n);
}

// ---- Fan in, fan out -------------------------------------------------------------------------

static uint32_t fan_coroutines(const struct shape *s)
{
    return 2 * s->width;
}

static void fan_prepare(struct shape *s)
{
    make_links(s, 1);
}

static void fan_send(struct shape *s, uint32_t who)
{
    for (uint32_t i = 0; i < s->n; i++) send_one(s, s->links[0], who * s->n + i + 1);
    // [FAN-END] acq_rel, pairs with itself: the last one closes behind all.
    if (add_acq_rel(&s->count, 1) + 1 == s->width) coir_chan_close(s->links[0]);
    world_done(s->world);
}

static void fan_receive(struct shape *s)
{
    uint32_t value;

    while (receive(s, s->links[0], &value)) add_relaxed(&s->sum, value); // relaxed: a sum
    world_done(s->world);
}

static void fan_start(struct shape *s)
{
    for (uint32_t i = 0; i < s->width; i++) {
        sim_expect_eq(coir_go(fan_send, s, i), 0);
        sim_expect_eq(coir_go(fan_receive, s), 0);
    }
}

static void fan_check(struct shape *s)
{
    uint32_t n = s->width * s->n;

    sim_expect_eq(s->sum.value, n * (n + 1) / 2);
}

// ---- Mesh ------------------------------------------------------------------------------------

static uint32_t mesh_coroutines(const struct shape *s)
{
    (void)s;
    return 1;
}

static void mesh_grow(struct shape *s, uint32_t depth)
{
    if (depth == 0) {
        add_relaxed(&s->count, 1); // relaxed: the waitgroup orders it
    } else {
        sim_expect_eq(coir_waitgroup_add(&s->wg, 2), 0);
        for (int i = 0; i < 2; i++) sim_expect_eq(coir_go(mesh_grow, s, depth - 1), 0);
    }
    sim_expect_eq(coir_waitgroup_done(&s->wg), 0);
}

static void mesh_root(struct shape *s)
{
    uint32_t depth = 1 + s->width % 3;
    int err;

    sim_expect_eq(coir_waitgroup_add(&s->wg, 1), 0);
    sim_expect_eq(coir_go(mesh_grow, s, depth), 0);
    while ((err = coir_waitgroup_wait(&s->wg, deadline_of(s))) == -ETIMEDOUT)
        coir_yield();
    sim_expect_eq(err, 0);
    sim_expect_eq(load_relaxed(&s->count), 1u << depth); // relaxed: the wait saw it
    world_done(s->world);
}

static void mesh_start(struct shape *s)
{
    sim_expect_eq(coir_go(mesh_root, s), 0);
}

static void nothing_to_do(struct shape *s)
{
    (void)s;
}

// ---- Ping ------------------------------------------------------------------------------------

static uint32_t ping_coroutines(const struct shape *s)
{
    (void)s;
    return 2;
}

static void ping_prepare(struct shape *s)
{
    for (uint32_t i = 0; i < 2; i++) sim_expect_eq(coir_chan_make(4, 0, &s->links[i]), 0);
}

static void ping_answer(struct shape *s)
{
    uint32_t value;

    while (receive(s, s->links[0], &value)) send_one(s, s->links[1], value + 1);
    world_done(s->world);
}

static void ping_ask(struct shape *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t value = 0;
        send_one(s, s->links[0], i);
        sim_expect(receive(s, s->links[1], &value));
        sim_expect_eq(value, i + 1);
    }
    sim_expect_eq(coir_chan_close(s->links[0]), 0);
    world_done(s->world);
}

static void ping_start(struct shape *s)
{
    sim_expect_eq(coir_go(ping_answer, s), 0);
    sim_expect_eq(coir_go(ping_ask, s), 0);
}

// ---- Mutex -----------------------------------------------------------------------------------

static uint32_t width_coroutines(const struct shape *s)
{
    return s->width;
}

static void mutex_add(struct shape *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        int err;
        while ((err = coir_mutex_lock(&s->mutex, deadline_of(s))) == -ETIMEDOUT)
            coir_yield();
        sim_expect_eq(err, 0);
        uint32_t total = s->total;
        if (sim_choose(2, 4)) coir_yield();
        s->total = total + 1;
        sim_expect_eq(coir_mutex_unlock(&s->mutex), 0);
    }
    world_done(s->world);
}

static void mutex_start(struct shape *s)
{
    for (uint32_t i = 0; i < s->width; i++) sim_expect_eq(coir_go(mutex_add, s), 0);
}

static void mutex_check(struct shape *s)
{
    sim_expect_eq(s->total, s->width * s->n);
}

// ---- Units -----------------------------------------------------------------------------------

#define UNITS 2u

static void units_prepare(struct shape *s)
{
    sim_expect_eq(coir_sema_init(&s->sema, UNITS), 0);
}

static void units_use(struct shape *s, uint32_t i)
{
    for (uint32_t k = 0; k < s->n; k++) {
        uint32_t n = 1 + (i + k) % UNITS;
        int err;
        while ((err = coir_sema_acquire(&s->sema, n, deadline_of(s))) == -ETIMEDOUT)
            coir_yield();
        sim_expect_eq(err, 0);
        sim_expect(add_relaxed(&s->count, n) + n <= UNITS); // relaxed: a sum
        if (sim_choose(2, 4)) coir_yield();
        add_relaxed(&s->count, -n); // relaxed: a sum
        sim_expect_eq(coir_sema_release(&s->sema, n), 0);
    }
    world_done(s->world);
}

static void units_start(struct shape *s)
{
    for (uint32_t i = 0; i < s->width; i++) sim_expect_eq(coir_go(units_use, s, i), 0);
}

static void units_check(struct shape *s)
{
    sim_expect_eq(coir_sema_acquire(&s->sema, UNITS, COIR_NOW), 0);
}

// ---- Select ----------------------------------------------------------------------------------

#define LANES 3u

static void select_prepare(struct shape *s)
{
    make_links(s, LANES);
}

// Each tries its own mix of sends and receives, with deadlines: nobody has to be waited for.
static void select_mix(struct shape *s, uint32_t who)
{
    for (uint32_t i = 0; i < s->n * 2; i++) {
        uint32_t out = who * 100 + i + 1, in[LANES] = {0};
        coir_case cases[LANES];
        int64_t deadline = coir_after(sim_choose(3, 1) * 400);

        for (uint32_t k = 0; k < LANES; k++) {
            bool sends = (who + i + k) % LANES == 0;
            cases[k].chan = s->links[(k + who) % LANES];
            cases[k].dir = sends ? COIR_SEND : COIR_RECV;
            cases[k].value = sends ? &out : &in[k];
        }
        int at = coir_select(cases, LANES, deadline);
        if (at == -ETIMEDOUT) {
            sim_expect_late(deadline);
            continue;
        }
        sim_expect(at >= 0 && cases[at].result == 0);
        // relaxed, both: sums
        if (cases[at].dir == COIR_SEND)
            add_relaxed(&s->count, out);
        else
            add_relaxed(&s->sum, in[at]);
        for (int k = 0; k < (int)LANES; k++)
            sim_expect((in[k] != 0) == (k == at && cases[k].dir == COIR_RECV));
        compute_a_little();
    }
    world_done(s->world);
}

static void select_start(struct shape *s)
{
    for (uint32_t i = 0; i < s->width; i++) sim_expect_eq(coir_go(select_mix, s, i), 0);
}

static void select_check(struct shape *s)
{
    uint32_t value, left = 0;

    for (uint32_t k = 0; k < LANES; k++)
        while (coir_chan_recv(s->links[k], &value, COIR_NOW) == 0) left += value;
    sim_expect_eq(s->count.value, s->sum.value + left);
}

// ---- Sleepers --------------------------------------------------------------------------------

static void sleeper(struct shape *s, uint32_t i)
{
    for (uint32_t k = 0; k < s->n; k++) {
        int64_t ns = (int64_t)(1u << (i * 5 + k * 7) % 20);
        int64_t when = coir_after(ns);
        sim_expect_eq(coir_sleep(ns), 0);
        sim_expect(coir_now() >= when);
    }
    world_done(s->world);
}

static void sleepers_start(struct shape *s)
{
    for (uint32_t i = 0; i < s->width; i++) sim_expect_eq(coir_go(sleeper, s, i), 0);
}

// ---- Sockets ---------------------------------------------------------------------------------

static uint32_t sockets_coroutines(const struct shape *s)
{
    (void)s;
    return 4;
}

static void sockets_prepare(struct shape *s)
{
    sim_socketpair(s->fds);
    sim.kept_blocks = 1; // the table of descriptors is the process's
}

static uint8_t byte_of(uint32_t side, uint32_t i)
{
    return (uint8_t)(i * 37 + side * 101 + 5);
}

static void sockets_write(struct shape *s, uint32_t side)
{
    uint32_t bytes = s->n * 12;

    for (uint32_t i = 0; i < bytes;) {
        uint8_t buf[16];
        uint32_t n = bytes - i < sizeof(buf) ? bytes - i : (uint32_t)sizeof(buf);
        for (uint32_t k = 0; k < n; k++) buf[k] = byte_of(side, i + k);
        int64_t deadline = deadline_of(s);
        ssize_t put = coir_write(s->fds[side], buf, n, deadline);
        if (put == -ETIMEDOUT) {
            sim_expect_late(deadline);
            coir_yield();
            continue;
        }
        sim_expect(put > 0);
        i += (uint32_t)put;
    }
    sim_expect_eq(coir_shutdown(s->fds[side], SHUT_WR), 0);
    world_done(s->world);
}

static void sockets_read(struct shape *s, uint32_t side)
{
    uint32_t bytes = s->n * 12, i = 0;

    for (;;) {
        uint8_t buf[16];
        int64_t deadline = deadline_of(s);
        ssize_t got = coir_read(s->fds[side], buf, sizeof(buf), deadline);
        if (got == -ETIMEDOUT) {
            sim_expect_late(deadline);
            coir_yield();
            continue;
        }
        sim_expect(got >= 0);
        if (got == 0) break;
        for (uint32_t k = 0; k < got; k++)
            sim_expect_eq(buf[k], byte_of(1 - side, i + k));
        i += (uint32_t)got;
    }
    sim_expect_eq(i, bytes);
    world_done(s->world);
}

static void sockets_start(struct shape *s)
{
    for (uint32_t side = 0; side < 2; side++) {
        sim_expect_eq(coir_go(sockets_write, s, side), 0);
        sim_expect_eq(coir_go(sockets_read, s, side), 0);
    }
}

static void sockets_check(struct shape *s)
{
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_close(s->fds[i]), 0);
}

// ---- Scopes ----------------------------------------------------------------------------------

static void scopes_grow(struct shape *s)
{
    scope_tree_grow(1 + s->n % 2, s->width);
    world_done(s->world);
}

static void scopes_start(struct shape *s)
{
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_go(scopes_grow, s), 0);
}

static uint32_t scopes_coroutines(const struct shape *s)
{
    (void)s;
    return 2;
}

// ---- The world ---------------------------------------------------------------------------------

static const struct kind kinds[] = {
    {"pipeline", pipeline_coroutines, pipeline_prepare, pipeline_start, pipeline_check},
    {"fan", fan_coroutines, fan_prepare, fan_start, fan_check},
    {"mesh", mesh_coroutines, nothing_to_do, mesh_start, nothing_to_do},
    {"ping", ping_coroutines, ping_prepare, ping_start, nothing_to_do},
    {"mutex", width_coroutines, nothing_to_do, mutex_start, mutex_check},
    {"units", width_coroutines, units_prepare, units_start, units_check},
    {"select", width_coroutines, select_prepare, select_start, select_check},
    {"sleepers", width_coroutines, nothing_to_do, sleepers_start, nothing_to_do},
    {"sockets", sockets_coroutines, sockets_prepare, sockets_start, sockets_check},
    {"scopes", scopes_coroutines, nothing_to_do, scopes_start, nothing_to_do},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct generated {
    struct world world;
    uint32_t n_shapes;
    const struct kind *kinds[SHAPES_MOST];
    struct shape shapes[SHAPES_MOST];
};

static void start_all(void *arg)
{
    struct generated *g = arg;

    for (uint32_t i = 0; i < g->n_shapes; i++) g->kinds[i]->start(&g->shapes[i]);
    world_done(&g->world); // at least three coroutines: this one and two of any shape
}

void scene_generated(void)
{
    struct generated g = {0};
    struct rand r;
    uint32_t left = 1;

    rand_init(&r, sim.seed * UINT64_C(0xd1342543de82ef95) + 7);
    for (int i = 0; i < 4; i++) rand_next(&r);
    unsigned workers = 2 + rand_below(&r, 7);
    g.n_shapes = 1 + rand_below(&r, SHAPES_MOST);
    for (uint32_t i = 0; i < g.n_shapes; i++) {
        struct shape *s = &g.shapes[i];
        g.kinds[i] = &kinds[rand_below(&r, N_KINDS)];
        s->world = &g.world;
        s->width = 2 + rand_below(&r, 3);
        s->n = 1 + rand_below(&r, 4);
        s->mixes_deadlines = rand_below(&r, 3) == 0;
        left += g.kinds[i]->coroutines(s);
        g.kinds[i]->prepare(s);
    }
    world_start(&g.world, workers, left);
    world_go(&g.world, start_all, &g);
    world_end(&g.world);
    for (uint32_t i = 0; i < g.n_shapes; i++) {
        g.kinds[i]->check(&g.shapes[i]);
        for (uint32_t k = 0; k < LINKS_MOST; k++) coir_chan_unref(g.shapes[i].links[k]);
    }
}
