// SPDX-License-Identifier: MIT
// Goal:   who never has to wait does not starve a third: pairs that hand over to each other,
//         channels and sockets that are always ready, yields and spawns without end, a convoy at a
//         lock.
// Method: each kind goes on until three bystanders are through: one that sleeps, one that
// yields, and
//         one that was spawned last. Starved, they would let the program hang, and the
// watchdog say so.
#include <coir.h>
#include <coir/go.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/lib/test.h"

#define BYSTANDERS 3
#define PAIRS 3

static coir_config config = COIR_CONFIG_INIT;
static int n_through, n_ended;

static int get(const int *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void add(int *word, int by)
{
    __atomic_add_fetch(word, by, __ATOMIC_ACQ_REL);
}

static int goes_on(void)
{
    return get(&n_through) < BYSTANDERS;
}

// ---- Bystanders --------------------------------------------------------------------------------

static void sleeps(void)
{
    for (int i = 0; i < 5; i++) expect_eq(coir_sleep(COIR_MS), 0);
    add(&n_through, 1);
}

static void yields(void)
{
    for (int i = 0; i < 20; i++) expect_eq(coir_yield(), 0);
    add(&n_through, 1);
}

static void comes_last(void)
{
    add(&n_through, 1);
}

// ---- Those who never have to wait
// ----------------------------------------------------------------

static coir_chan *roomy;
static coir_mutex lock;
static int fds[2];

static void serves(coir_chan *ping, coir_chan *pong)
{
    int v;

    while (coir_chan_recv(ping, &v, COIR_FOREVER) == 0)
        expect_eq(coir_chan_send(pong, &v, COIR_FOREVER), 0);
    coir_chan_unref(ping);
    coir_chan_unref(pong);
    add(&n_ended, 1);
}

static void plays(void)
{
    coir_chan *ping, *pong;

    expect_eq(coir_chan_make(sizeof(int), 0, &ping), 0);
    expect_eq(coir_chan_make(sizeof(int), 0, &pong), 0);
    expect_eq(go(serves, coir_chan_ref(ping), coir_chan_ref(pong)), 0);
    while (goes_on()) {
        int v = 1;
        expect_eq(coir_chan_send(ping, &v, COIR_FOREVER), 0);
        expect_eq(coir_chan_recv(pong, &v, COIR_FOREVER), 0);
    }
    expect_eq(coir_chan_close(ping), 0);
    coir_chan_unref(ping);
    coir_chan_unref(pong);
    add(&n_ended, 1);
}

static void talks_to_itself(void)
{
    int v = 0;

    while (goes_on()) {
        expect_eq(coir_chan_send(roomy, &v, COIR_FOREVER), 0);
        expect_eq(coir_chan_recv(roomy, &v, COIR_FOREVER), 0);
    }
    add(&n_ended, 1);
}

static void storms(void)
{
    while (goes_on()) expect_eq(coir_yield(), 0);
    add(&n_ended, 1);
}

static void convoys(void)
{
    while (goes_on()) {
        expect_eq(coir_mutex_lock(&lock, COIR_FOREVER), 0);
        expect_eq(coir_mutex_unlock(&lock), 0);
    }
    add(&n_ended, 1);
}

static void writes_and_reads(void)
{
    char c = 'x';

    while (goes_on()) {
        expect_eq(coir_write(fds[0], &c, 1, COIR_FOREVER), 1);
        expect_eq(coir_read(fds[1], &c, 1, COIR_FOREVER), 1);
    }
    add(&n_ended, 1);
}

// Each lives for the next one, which goes into the 'next' slot.
static void hands_on(void)
{
    if (goes_on())
        expect_eq(go(hands_on), 0);
    else
        add(&n_ended, 1);
}

static const struct {
    void (*fn)(void);
    int n, ended; // started so; that many say that they ended
} kinds[] = {{plays, PAIRS, 2 * PAIRS}, {hands_on, 2, 2},
             {talks_to_itself, 2, 2},   {storms, 4, 4},
             {convoys, 4, 4},           {writes_and_reads, 1, 1}};

static void one_kind(int kind)
{
    n_through = n_ended = 0;
    expect_eq(coir_chan_make(sizeof(int), 8, &roomy), 0);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(go(sleeps), 0);
    expect_eq(go(yields), 0);
    for (int i = 0; i < kinds[kind].n; i++) expect_eq(go(kinds[kind].fn), 0);
    expect_eq(coir_yield(), 0);
    expect_eq(go(comes_last), 0);
    while (get(&n_ended) < kinds[kind].ended) expect_eq(coir_sleep(COIR_MS), 0);
    coir_close(fds[0]);
    coir_close(fds[1]);
    coir_chan_unref(roomy);
}

static int every_kind(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < (int)(sizeof(kinds) / sizeof(kinds[0])); kind++)
        one_kind(kind);
    return 0;
}

int main(void)
{
    for (config.workers = 1; config.workers <= 3; config.workers++) {
        config.driver = COIR_DRIVER_AUTO;
        expect_eq(coir_run(&config, every_kind, NULL), 0);
        config.driver = COIR_DRIVER_EPOLL;
        expect_eq(coir_run(&config, every_kind, NULL), 0);
    }
    return 0;
}
