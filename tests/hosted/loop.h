// SPDX-License-Identifier: MIT
// loop - the smallest host: a loop around poll(2), on whatever driver the scene is run with.
#pragma once

#include <coir.h>
#include <coir/go.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "tests/lib/test.h"

static coir_driver loop_driver;

static inline coir_runtime *loop_start(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    config.driver = loop_driver;
    config.workers = 7; // does not count
    expect_eq(coir_hosted_start(&config, &rt), 0);
    return rt;
}

// Sleeps until a turn is due: true, or 'most' has passed.
static inline int loop_wait(coir_runtime *rt, int64_t most)
{
    struct pollfd one = {.fd = coir_hosted_fd(rt), .events = POLLIN};
    int64_t until = coir_hosted_deadline(rt), now = coir_now();

    expect(until >= 0);
    if (until > most) until = most;
    int ms = until <= now ? 0 : (int)((until - now + COIR_MS - 1) / COIR_MS);
    int n = poll(&one, 1, ms);
    expect(n >= 0 || errno == EINTR); // older kernels' rings interrupt
    return n > 0 || coir_now() < most;
}

// Turns, with sleeps in between, until *done; a test that waits in vain ends by its watchdog.
static inline void loop_until(coir_runtime *rt, const int *done, int budget)
{
    while (!__atomic_load_n(done, __ATOMIC_ACQUIRE)) {
        int more = coir_hosted_turn(rt, budget);

        expect(more >= 0);
        if (!more && !*done) loop_wait(rt, COIR_FOREVER / 2);
    }
}

static inline int loop_is_readable(coir_runtime *rt)
{
    struct pollfd one = {.fd = coir_hosted_fd(rt), .events = POLLIN};

    return poll(&one, 1, 0) == 1;
}

static inline int count_in(const char *folder)
{
    DIR *dir = opendir(folder);
    int n = 0;

    expect(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

// Threads of this process that run its code: not the kernel's own helpers of a ring.
static inline int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int n = 0;

    expect(dir);
    while ((entry = readdir(dir))) {
        char path[300], name[32] = "";

        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fgets(name, sizeof(name), file) && strncmp(name, "iou-", 4) != 0) n++;
        fclose(file);
    }
    closedir(dir);
    return n;
}

static inline void loop_scene(const char *name, void (*scene)(void), coir_driver driver)
{
    int fds = count_in("/proc/self/fd");

    printf("%s: %s\n", name, driver == COIR_DRIVER_URING ? "ring" : "epoll");
    fflush(stdout);
    loop_driver = driver;
    scene();
    expect_eq(count_in("/proc/self/fd"), fds);
}

// On the ring, where one can be had, and on epoll.
#define on_both(scene)                                                                   \
    do {                                                                                 \
        if (have_ring()) loop_scene(#scene, scene, COIR_DRIVER_URING);                   \
        loop_scene(#scene, scene, COIR_DRIVER_EPOLL);                                    \
    } while (0)

static inline int have_ring(void)
{
    static int known = -1;
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    if (known >= 0) return known;
    config.driver = COIR_DRIVER_URING;
    int err = coir_hosted_start(&config, &rt);
    if (err < 0) printf("no ring here (%s): epoll only\n", strerror(-err));
    if (err == 0) expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    known = err == 0;
    return known;
}
