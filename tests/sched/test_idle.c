// SPDX-License-Identifier: MIT
// Goal:   a runtime whose coroutines all wait costs nothing: no processor time, no context switch.
// Method: 10,000 coroutines on each of two runtimes, ring and epoll, are woken once, left alone
//         for ten seconds beside some with far deadlines, and woken again. Between, the kernel's
//         own books on every thread but this one must stand still.
#include <coir.h>
#include <coir/go.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum { PARKED = 10000, SECONDS = 10 };

struct crowd {
    coir_runtime *rt;
    coir_timer *moved;
    coir_chan *calls;
    coir_waitgroup answered;
    coir_waitgroup gone;
};

static void answer(struct crowd *c)
{
    while (coir_chan_recv(c->calls, NULL, COIR_FOREVER) == 0)
        coir_waitgroup_done(&c->answered);
    coir_waitgroup_done(&c->gone);
}

// Far deadlines, and a timer that was near when the wait for it began, cost as little.
static void sleeps_long(struct crowd *c)
{
    int64_t due;
    int err = 0;

    if (coir_id() % 2) err = coir_sleep(100000 * COIR_SEC);
    while (err ==
           0) // on a slow machine one of them gets a tick before the timer is moved
        err = coir_chan_recv(coir_timer_chan(c->moved), &due, COIR_FOREVER);
    expect_eq(err, -ECANCELED);
}

static void start_sleepers(struct crowd *c)
{
    expect_eq(coir_timer_make(coir_after(200 * COIR_MS), 0, &c->moved), 0);
    for (int i = 0; i < 20; i++) expect_eq(coir_go_on(c->rt, sleeps_long, c), 0);
    coir_sleep(20 * COIR_MS); // most wait by now
    expect(coir_timer_reset(c->moved, coir_after(100000 * COIR_SEC), 0) >= 0);
}

static void call_everybody(struct crowd *c)
{
    coir_waitgroup_add(&c->answered, PARKED);
    for (int i = 0; i < PARKED; i++)
        expect_eq(coir_chan_send(c->calls, NULL, COIR_FOREVER), 0);
    expect_eq(coir_waitgroup_wait(&c->answered, COIR_FOREVER), 0);
}

static int gather(struct crowd *c, coir_driver driver)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 4;
    config.driver = driver;
    if (coir_start(&config, &c->rt) < 0) return -1;
    expect_eq(coir_chan_make(0, 0, &c->calls), 0);
    coir_waitgroup_add(&c->gone, PARKED);
    for (int i = 0; i < PARKED; i++) expect_eq(coir_go_on(c->rt, answer, c), 0);
    call_everybody(c);
    start_sleepers(c);
    return 0;
}

static void dismiss(struct crowd *c)
{
    call_everybody(c);
    coir_chan_close(c->calls);
    expect_eq(coir_waitgroup_wait(&c->gone, COIR_FOREVER), 0);
    coir_chan_unref(c->calls);
    expect_eq(coir_stop(c->rt, COIR_FOREVER), 0);
    coir_timer_free(c->moved);
}

struct books {
    long long run_ns, switches;
};

static void add_thread(struct books *b, const char *tid)
{
    char path[300], line[128];
    long long n;

    snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", tid);
    FILE *file = fopen(path, "r");
    expect(file && fscanf(file, "%lld", &n) == 1);
    fclose(file);
    b->run_ns += n;
    snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
    file = fopen(path, "r");
    expect(file);
    while (fgets(line, sizeof(line), file))
        if (strstr(line, "ctxt_switches")) b->switches += atoll(strchr(line, ':') + 1);
    fclose(file);
}

// Of every thread but this one: whatever runs there is the runtimes'.
static struct books read_books(void)
{
    struct books b = {0};
    DIR *dir = opendir("/proc/self/task");

    expect(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && atoi(e->d_name) != getpid()) add_thread(&b, e->d_name);
    closedir(dir);
    return b;
}

// Until nothing moved for two seconds: the last ones have gone to sleep, and the stacks that were
// made ahead and that nobody needed for one second are given back.
static void wait_for_calm(void)
{
    struct books was = read_books();

    for (;;) {
        usleep(2000000);
        struct books is = read_books();
        if (is.run_ns == was.run_ns && is.switches == was.switches) return;
        was = is;
    }
}

int main(void)
{
    struct crowd ring = {0}, epoll = {0};
    int seconds =
        test_slowness() > 1 ? 2 : SECONDS; // what a sanitizer's own threads do is theirs
    bool has_ring = gather(&ring, COIR_DRIVER_URING) == 0;

    expect_eq(gather(&epoll, COIR_DRIVER_EPOLL), 0);
    wait_for_calm();
    struct books before = read_books();
    sleep((unsigned)seconds);
    struct books after = read_books();
    printf("%s and epoll, %d parked on each: %lld ns and %lld switches in %d s\n",
           has_ring ? "ring" : "no ring", PARKED, after.run_ns - before.run_ns,
           after.switches - before.switches, seconds);
    if (test_slowness() == 1) {
        expect(after.run_ns - before.run_ns < 1000000);
        expect_eq(after.switches - before.switches, 0);
    }
    if (has_ring) dismiss(&ring);
    dismiss(&epoll);
    return 0;
}
