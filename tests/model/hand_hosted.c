// SPDX-License-Identifier: MIT
// hand_hosted - scenes for a runtime in a host's loop: the scene's own thread polls the
// descriptor until the deadline, and others spawn, wake, cancel and close from outside.
#include <errno.h>

#include "base/clock.h"
#include "coir/chan.h"
#include "coir/hosted.h"
#include "coir/io.h"
#include "coir/scope.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

struct hosted {
    coir_runtime *rt;
    coir_chan *c;
    int fds[2];
    uint32_t n_over; // the coroutines', who run on the host's thread
    uint32_t to_come;
};

static void start(struct hosted *h, uint32_t to_come)
{
    coir_config config = COIR_CONFIG_INIT;

    config.stack_bytes = 16 << 10;
    config.guard_bytes = 4096;
    config.driver = sim.seed % 4 == 3 ? COIR_DRIVER_EPOLL : COIR_DRIVER_AUTO;
    *h = (struct hosted){.to_come = to_come};
    sim.kept_blocks = 1; // the table of descriptors is the process's
    sim_expect_eq(coir_hosted_start(&config, &h->rt), 0);
}

// The host: where a wake is lost, nobody ends its poll, and the run ends for that.
static void loop(struct hosted *h)
{
    while (h->n_over < h->to_come) {
        int more = coir_hosted_turn(h->rt, (int)sim_choose(4, 1));
        struct pollfd one = {.fd = coir_hosted_fd(h->rt), .events = POLLIN};

        sim_expect(more >= 0);
        if (more || h->n_over == h->to_come) continue;
        int64_t until = coir_hosted_deadline(h->rt);
        // At once: what a break says, the descriptor says too.
        os_poll(&one, 1, until == CLOCK_PAST ? CLOCK_NEVER : until);
    }
}

static void end(struct hosted *h)
{
    loop(h);
    sim_expect_eq(coir_stop(h->rt, COIR_FOREVER), 0);
}

// ---- Values and spawns from another thread ------------------------------------------------------

#define VALUES 4

static void receives(void *arg)
{
    struct hosted *h = arg;

    for (uint32_t i = 0, value = 99; i < VALUES; i++) {
        sim_expect_eq(coir_chan_recv(h->c, &value, COIR_FOREVER), 0);
        sim_expect_eq(value, i);
    }
    h->n_over++;
}

static void sends(void *arg)
{
    struct hosted *h = arg;

    for (uint32_t i = 0; i < VALUES; i++)
        sim_expect_eq(coir_chan_send(h->c, &i, COIR_FOREVER), 0);
}

static void is_over(void *arg)
{
    struct hosted *h = arg;

    h->n_over++;
}

static void spawns(void *arg)
{
    struct hosted *h = arg;

    for (uint32_t i = 0; i < VALUES; i++)
        sim_expect_eq(coir_spawn(h->rt, NULL, is_over, h), 0);
}

void scene_hosted_is_woken(void)
{
    struct os_thread sender, spawner;
    struct hosted h;

    start(&h, 1 + VALUES);
    sim_expect_eq(coir_chan_make(4, sim_choose(2, 1), &h.c), 0);
    sim_expect_eq(coir_spawn(h.rt, NULL, receives, &h), 0);
    sim_expect_eq(os_thread_start(&sender, sends, &h, "sender", NULL), 0);
    sim_expect_eq(os_thread_start(&spawner, spawns, &h, "spawner", NULL), 0);
    loop(&h);
    os_thread_join(sender);
    os_thread_join(spawner);
    end(&h);
    coir_chan_unref(h.c);
}

// ---- Operations, deadlines, a close from outside ------------------------------------------------

static void echoes(void *arg)
{
    struct hosted *h = arg;
    char c;

    while (coir_read(h->fds[0], &c, 1, COIR_FOREVER) == 1)
        sim_expect_eq(coir_write(h->fds[0], &c, 1, COIR_FOREVER), 1);
    h->n_over++;
}

static void asks_and_closes(void *arg)
{
    struct hosted *h = arg;

    for (char i = 0; i < VALUES; i++) {
        char c = 99;
        sim_expect_eq(coir_write(h->fds[1], &i, 1, COIR_FOREVER), 1);
        sim_expect_eq(coir_read(h->fds[1], &c, 1, COIR_FOREVER), 1);
        sim_expect_eq(c, i);
    }
    // From here, or by the end of the stream.
    sim_expect_eq(coir_close(h->fds[sim_choose(2, 1)]), 0);
}

static void waits_in_vain(void *arg)
{
    struct hosted *h = arg;
    int64_t until = coir_after(1000 + 1000 * sim_choose(30, 1));

    sim_expect_eq(coir_chan_recv(h->c, NULL, until), -ETIMEDOUT);
    sim_expect(coir_now() >= until);
    h->n_over++;
}

void scene_hosted_echo(void)
{
    uint32_t n_timers = 2 * sim_choose(2, 1); // which would hide that a wake was lost
    struct os_thread peer;
    struct hosted h;

    start(&h, 1 + n_timers);
    sim_expect_eq(sim_socketpair(h.fds), 0);
    sim_expect_eq(coir_chan_make(0, 0, &h.c), 0);
    sim_expect_eq(coir_spawn(h.rt, NULL, echoes, &h), 0);
    for (uint32_t i = 0; i < n_timers; i++)
        sim_expect_eq(coir_spawn(h.rt, NULL, waits_in_vain, &h), 0);
    sim_expect_eq(os_thread_start(&peer, asks_and_closes, &h, "peer", NULL), 0);
    loop(&h);
    os_thread_join(peer);
    end(&h);
    for (int i = 0; i < 2; i++) coir_close(h.fds[i]); // one is closed already
    coir_chan_unref(h.c);
}

// ---- Two loops, and a stop in the middle --------------------------------------------------------

static void reads_for_ever(void *arg)
{
    struct hosted *h = arg;
    char c;

    while (coir_read(h->fds[0], &c, 1, coir_after(COIR_SEC)) == 1) continue;
    h->n_over++;
}

static void has_a_loop(void *arg)
{
    struct hosted *h = arg;

    // Started over there, turned here.
    for (uint32_t i = sim_choose(3, 1); i > 0; i--) coir_hosted_turn(h->rt, 1);
    sim_expect_eq(coir_stop(h->rt, COIR_FOREVER), 0);
}

static void writes_some(void *arg)
{
    struct hosted *h = arg;

    for (int i = 0; i < 2; i++)
        sim_expect_eq(coir_write(h->fds[1], "x", 1, COIR_FOREVER), 1);
}

void scene_hosted_is_stopped(void)
{
    struct os_thread threads[3];
    struct hosted h[2];

    for (int i = 0; i < 2; i++) {
        start(&h[i], 2);
        sim_expect_eq(sim_socketpair(h[i].fds), 0);
        for (int n = 0; n < 2; n++)
            sim_expect_eq(coir_spawn(h[i].rt, NULL, reads_for_ever, &h[i]), 0);
        sim_expect_eq(os_thread_start(&threads[i], has_a_loop, &h[i], "loop", NULL), 0);
    }
    sim_expect_eq(os_thread_start(&threads[2], writes_some, &h[0], "writer", NULL), 0);
    for (int i = 0; i < 3; i++) os_thread_join(threads[i]);
    for (int i = 0; i < 2; i++) {
        sim_expect_eq(h[i].n_over, 2);
        for (int n = 0; n < 2; n++) coir_close(h[i].fds[n]);
    }
}
