// SPDX-License-Identifier: MIT
// late_filter SCENE WORKERS PUMP - the host installs a seccomp filter after the start, on all its
// threads, that refuses membarrier(2), which the runtime had at its start (base/fence.h).
//
//     hog        a coroutine computes until another one has run: its P must be taken
//     spawner    one spawns many and computes until they have run: they must be taken
//     owner      a lone worker's channel is sent to by another thread, for which the worker waits
//                in foreign code, computing
//     sleeper    the same, sleeping
//     crowd      all of it at once, and much of everything
//
// PUMP is -1 where the runtime has no signal to reach a thread by, else 0. No time is measured:
// what is not done hangs, and the watchdog says so.
#include <coir/go.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum { NEW = 200, TURNS = 3000, PAIRS = 8, DEPTH = 10, LEAVES = 1 << DEPTH };

static coir_runtime *rt;
static int n_ran, sent;
static coir_chan *chan;
static int pipe_fds[2];

static long barrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

static void install_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    expect(filter);
    expect_eq(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1), 0);
    expect_eq(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(membarrier), 0),
              0);
    int err = seccomp_load(filter);
    seccomp_release(filter);
    if (err) test_skip("no filter for all threads here");
    expect(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) < 0 && errno == EPERM);
}

static int load(int *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void count(void)
{
    __atomic_fetch_add(&n_ran, 1, __ATOMIC_RELEASE);
}

static void compute_until(int *word, int value)
{
    while (load(word) < value)
        for (int i = 0; i < 100; i++) __asm__ volatile("" ::: "memory");
}

// ---- A P is taken ----------------------------------------------------------------------

static void hog(void)
{
    int before = load(&n_ran);

    expect_eq(go(count), 0);
    compute_until(&n_ran, before + 1);
}

static void spawner(void)
{
    for (int i = 0; i < NEW; i++) expect_eq(go(count), 0);
    compute_until(&n_ran, NEW);
}

static void run_scene(void (*fn)(void))
{
    n_ran = 0;
    expect_eq(coir_go_on(rt, fn), 0);
}

// ---- A lock is taken away --------------------------------------------------------------

static void own(void)
{
    int value;

    expect_eq(coir_chan_make(sizeof(int), 4, &chan), 0);
    for (int i = 0; i < TURNS; i++) { // from now on its lock is this thread's
        expect_eq(coir_chan_send(chan, &i, COIR_NOW), 0);
        expect_eq(coir_chan_recv(chan, &value, COIR_NOW), 0);
    }
    count();
}

static void own_and_compute(void)
{
    own();
    compute_until(&sent, 1);
}

static void own_and_sleep(void)
{
    char c;

    own();
    expect_eq(read(pipe_fds[0], &c, 1), 1);
}

static void send_from_here(void)
{
    int value = 7;

    while (load(&n_ran) == 0) poll(NULL, 0, 1);
    install_filter();
    expect_eq(coir_chan_send(chan, &value, COIR_NOW), 0);
    __atomic_store_n(&sent, 1, __ATOMIC_RELEASE);
    expect_eq(write(pipe_fds[1], "", 1), 1);
    expect_eq(coir_chan_recv(chan, &value, COIR_FOREVER), 0);
    expect_eq(value, 7);
    coir_chan_unref(chan);
}

// ---- Much of everything ----------------------------------------------------------------

static void pong(coir_chan *there, coir_chan *back)
{
    int value;

    while (coir_chan_recv(there, &value, COIR_FOREVER) == 0)
        expect_eq(coir_chan_send(back, &value, COIR_FOREVER), 0);
    coir_chan_unref(back);
    coir_chan_unref(there);
    count();
}

static void ping(unsigned n)
{
    coir_chan *there, *back;
    int value;

    expect_eq(coir_chan_make(sizeof(int), n % 2, &there), 0);
    expect_eq(coir_chan_make(sizeof(int), n % 3, &back), 0);
    coir_chan_ref(there), coir_chan_ref(back);
    expect_eq(go(pong, there, back), 0);
    for (int i = 0; i < TURNS; i++) {
        expect_eq(coir_chan_send(there, &i, COIR_FOREVER), 0);
        expect_eq(coir_chan_recv(back, &value, COIR_FOREVER), 0);
        expect_eq(value, i);
        if (i == TURNS / 2 && n == 0) install_filter();
    }
    coir_chan_close(there);
    coir_chan_unref(back);
    coir_chan_unref(there);
    count();
}

static void leaf(int depth)
{
    if (depth > 0)
        for (int i = 0; i < 2; i++) expect_eq(go(leaf, depth - 1), 0);
    else
        count();
}

static void crowd(void)
{
    for (unsigned i = 0; i < PAIRS; i++) expect_eq(go(ping, i), 0);
    expect_eq(go(leaf, DEPTH), 0);
    expect_eq(go(hog), 0);
}

static const struct scene {
    const char *name;
    void (*fn)(void);
    bool early; // the filter comes before it
    int runs;   // that are counted
} scenes[] = {{"hog", hog, true, 1},
              {"spawner", spawner, true, NEW},
              {"owner", own_and_compute, false, 1},
              {"sleeper", own_and_sleep, false, 1},
              {"crowd", crowd, false, 2 * PAIRS + LEAVES + 1}};

int main(int argc, char **argv)
{
    coir_config config = COIR_CONFIG_INIT;
    const struct scene *scene = scenes;

    expect(argc == 4);
    while (strcmp(scene->name, argv[1]) != 0) expect(++scene < scenes + 5);
    config.workers = (unsigned)atoi(argv[2]);
    config.pump_signal = atoi(argv[3]);
    expect_eq(pipe(pipe_fds), 0);
    expect_eq(coir_start(&config, &rt), 0);
    if (barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) < 0) test_skip("no membarrier here");
    if (scene->early) install_filter();
    run_scene(scene->fn);
    if (!scene->early && scene->fn != crowd) send_from_here();
    while (load(&n_ran) < scene->runs) poll(NULL, 0, 1);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    return 0;
}
