// SPDX-License-Identifier: MIT
// fault: whatever the n-th call over the seam is refused, for every n, the runtime says so, loses
// nothing, leaves nothing behind and is usable afterwards.
// Method: a small program that spawns, waits, sends, connects is run with the n-th call of one kind
// failing (once, or from then on), n = 1, 2, 3 ... until a run meets no refusal.
#include <coir.h>
#include <coir/go.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/fault.h"
#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;
static atomic_u32 n_ran;
static int n_spawned;

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static bool is_shortage(int err)
{
    return err == -ENOMEM || err == -EAGAIN || err == -EMFILE || err == -ENFILE;
}

// ---- The small program -------------------------------------------------------------------------

static void says_hello(int fd)
{
    char c = 'h';

    add_relaxed(&n_ran, 1); // relaxed: a counter
    if (coir_write(fd, &c, 1, coir_after(COIR_SEC)) != 1) coir_shutdown(fd, SHUT_WR);
}

static void counts(void *arg)
{
    (void)arg;
    add_relaxed(&n_ran, 1); // relaxed: a counter
    coir_sleep(1000);
}

static void reads_until_it_is_closed(int fd)
{
    char c;
    int err;

    add_relaxed(&n_ran, 1); // relaxed: a counter
    do {
        err = (int)coir_read(fd, &c, 1, COIR_FOREVER);
    } while (err > 0); // what was said, where the first reader found no memory
    // An end: nothing could be said. Cancelled: the sleep before the close found no memory, and
    // the program ended first.
    expect(err == -EBADF || err == 0 || err == -ECANCELED || is_shortage(err));
}

static int small_program(void *arg)
{
    coir_chan *c = NULL;
    int fds[2];
    char byte;
    int err = coir_chan_make(sizeof(int), 1, &c);

    (void)arg;
    expect(err == 0 || is_shortage(err));
    coir_chan_unref(c);
    for (int i = 0; i < 40; i++) {
        err = i % 8 ? go(counts, NULL)
                    : coir_go_with(coir_opts(.stack_bytes = 128 << 10), counts, NULL);
        expect(err == 0 || is_shortage(err));
        n_spawned += err == 0;
    }
    err = coir_on_big_stack(1 << 20, counts, NULL);
    expect(err == 0 || is_shortage(err));
    n_spawned += err == 0;
    expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    err = go(says_hello, fds[0]);
    expect(err == 0 || is_shortage(err));
    n_spawned += err == 0;
    if (err == 0) {
        err = (int)coir_read(fds[1], &byte, 1, coir_after(COIR_SEC));
        expect(err == 1 || err == 0 || err == -ETIMEDOUT || is_shortage(err));
    }
    err = go(reads_until_it_is_closed, fds[1]);
    expect(err == 0 || is_shortage(err));
    n_spawned += err == 0;
    coir_sleep(COIR_MS);
    // A close that has to cancel needs nothing.
    for (int i = 0; i < 2; i++) expect_eq(coir_close(fds[1 - i]), 0);
    return 7;
}

// How many calls were refused.
static uint32_t run_once(enum fault_kind what, uint32_t n, bool and_after)
{
    n_spawned = 0;
    store_relaxed(&n_ran, 0); // relaxed: no runtime is there
    fault_set(what, n, and_after);
    int err = coir_run(&config, small_program, NULL);
    uint32_t fired = fault_fired(what);

    fault_set(what, 0, false);
    expect(err == 7 || (fired > 0 && is_shortage(err)));
    if (err == 7) expect_eq(load_relaxed(&n_ran), n_spawned); // relaxed: all ended
    return fired;
}

static void loop(enum fault_kind what, const char *name, bool and_after)
{
    int fds = count_entries("/proc/self/fd");
    uint32_t n = 1;

    while (n < 500 && run_once(what, n, and_after) > 0) n++;
    printf("%s, %s: %u refusals\n", name, and_after ? "from the n-th on" : "the n-th",
           n - 1);
    expect(n > 1 && n < 500);
    expect_eq(run_once(what, 0, false), 0); // usable
    expect_soon(count_entries("/proc/self/fd") <= fds);
    int threads = 3 + (test_slowness() > 1); // '.', '..', this one; TSan's
    expect_soon(count_entries("/proc/self/task") <= threads);
}

// ---- Where mappings end ------------------------------------------------------------------------

static bool said_why;

static void listen_to(void *arg, int level, const char *line)
{
    (void)arg, (void)level;
    if (strstr(line, "max_map_count")) said_why = true;
}

static void waits(coir_chan *c)
{
    add_relaxed(&n_ran, 1); // relaxed: a counter
    expect_eq(coir_chan_recv(c, NULL, COIR_FOREVER), -EPIPE);
}

static int spawns_without_end(void *arg)
{
    coir_chan *c;
    int n = 0, err;

    (void)arg;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    while (n < 40000 && (err = go(waits, c)) == 0) n++;
    printf("%d coroutines on guards that take mappings\n", n);
    expect_eq(err, -ENOMEM);
    expect(n > 20000);
    // The other worker's cache may still give a few.
    for (err = 0, n = 0; n < 5000 && err == 0; n++) err = go(waits, c);
    expect_eq(err, -ENOMEM);
    expect_eq(coir_sleep(COIR_MS), 0); // service goes on
    coir_chan_close(c);
    coir_sleep(100 * COIR_MS);
    expect_eq(go(counts, NULL), 0); // and stacks that come back serve again
    coir_chan_unref(c);
    return 0;
}

static void forty_thousand_end_in_an_error(void)
{
    coir_config listening = config;

    listening.log = listen_to;
    fault_set(FAULT_LIGHT, 1, true);
    expect_eq(coir_run(&listening, spawns_without_end, NULL), 0);
    fault_set(FAULT_LIGHT, 0, false);
    expect(said_why);
}

int main(void)
{
    static const struct {
        enum fault_kind what;
        const char *name;
    } kinds[] = {{FAULT_ALLOC, "allocation"}, {FAULT_MAP, "mapping"},
                 {FAULT_GUARD, "guard"},      {FAULT_THREAD, "thread"},
                 {FAULT_RING, "ring"},        {FAULT_FD, "descriptor"}};

    config.workers = 2;
    config.stop_ns = 20 * COIR_SEC;
    for (int i = 0; i < 6; i++)
        for (int and_after = 0; and_after < 2; and_after++)
            loop(kinds[i].what, kinds[i].name, and_after);
    if (test_slowness() == 1)
        forty_thousand_end_in_an_error(); // sanitizers map much themselves
    return 0;
}
