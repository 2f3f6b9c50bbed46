// SPDX-License-Identifier: MIT
// Goal:   a small program of everything, for tools that are slow: valgrind and qemu.
// Method: a hundred coroutines send over channels, sleep, lock, talk over sockets and end, on two
//         workers; the sum of what arrived is checked.
#include <coir.h>
#include <coir/go.h>

#include <sys/socket.h>

#include "tests/lib/test.h"

static coir_mutex mutex;
static long sum;

static void work(coir_chan *in, int fd, coir_waitgroup *done)
{
    long v;
    char c = 0;

    expect_eq(coir_chan_recv(in, &v, COIR_FOREVER), 0);
    expect_eq(coir_sleep(100 * COIR_US), 0);
    expect_eq(coir_write(fd, "x", 1, COIR_FOREVER), 1);
    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), 1);
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    sum += v;
    expect_eq(coir_mutex_unlock(&mutex), 0);
    coir_waitgroup_done(done);
}

static void answer(int fd)
{
    char c;

    while (coir_read(fd, &c, 1, COIR_FOREVER) == 1)
        expect_eq(coir_write(fd, &c, 1, COIR_FOREVER), 1);
    expect_eq(coir_close(fd), 0);
}

static int run(void *arg)
{
    coir_waitgroup done = {0};
    coir_chan *c;
    int fds[2];

    (void)arg;
    expect_eq(coir_chan_make(sizeof(long), 3, &c), 0);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(go(answer, fds[1]), 0);
    coir_waitgroup_add(&done, 100);
    for (long i = 0; i < 100; i++) expect_eq(go(work, c, fds[0], &done), 0);
    for (long i = 0; i < 100; i++) expect_eq(coir_chan_send(c, &i, COIR_FOREVER), 0);
    expect_eq(coir_waitgroup_wait(&done, COIR_FOREVER), 0);
    expect_eq(coir_close(fds[0]), 0);
    coir_chan_unref(c);
    return 0;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    expect_eq(coir_run(&config, run, NULL), 0);
    expect_eq(sum, 99 * 100 / 2);
    return 0;
}
