// SPDX-License-Identifier: MIT
// everywhere - runs a scene on a coroutine of every driver with one and two workers, and on an
// ordinary thread; descriptors are counted before and after. With COIR_FAULT it is the rings alone:
// tests/io/meson.build plays kernels with it whose rings have another mode, and says in
// COIR_IO_MODE which.
#pragma once

#include <coir.h>
#include <coir/go.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

static inline int count_in(const char *folder)
{
    DIR *dir = opendir(folder);
    int n = 0;

    expect(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static inline bool rings_alone(void)
{
    return getenv("COIR_FAULT") != NULL;
}

// The ring that can be had is the one that was meant, or nothing is tested.
static inline void check_mode(coir_runtime *rt)
{
    coir_info info = COIR_INFO_INIT;
    const char *wanted = getenv("COIR_IO_MODE");

    expect_eq(coir_query(rt, &info), 0);
    printf("the ring: %s\n", info.driver_why);
    if (wanted && strncmp(info.driver_why, wanted, strlen(wanted)) != 0)
        test_skip("built without checks: no COIR_FAULT");
}

// True if a ring can be had here; says so once if not.
static inline bool have_ring(void)
{
    static int known = -1;
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    if (known >= 0) return known;
    config.driver = COIR_DRIVER_URING;
    int err = coir_start(&config, &rt);
    if (err < 0) printf("no ring here (%s): epoll only\n", strerror(-err));
    if (err < 0 && rings_alone()) test_skip("no ring here");
    if (err == 0) check_mode(rt);
    if (err == 0) expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    known = err == 0;
    return known;
}

static inline void on_driver(const char *name, int (*scene)(void *), coir_driver driver,
                             unsigned workers)
{
    coir_config config = COIR_CONFIG_INIT;

    printf("%s: %s, %u workers\n", name, driver == COIR_DRIVER_URING ? "ring" : "epoll",
           workers);
    fflush(stdout);
    config.driver = driver;
    config.workers = workers;
    expect_eq(coir_run(&config, scene, NULL), 0);
}

static inline void on_coroutines(const char *name, int (*scene)(void *))
{
    int before = count_in("/proc/self/fd");

    for (unsigned workers = 1; workers <= 2; workers++) {
        if (have_ring()) on_driver(name, scene, COIR_DRIVER_URING, workers);
        if (!rings_alone()) on_driver(name, scene, COIR_DRIVER_EPOLL, workers);
    }
    expect_eq(count_in("/proc/self/fd"), before);
}

static inline void everywhere(const char *name, int (*scene)(void *))
{
    on_coroutines(name, scene);
    if (rings_alone()) return;
    printf("%s: thread\n", name);
    fflush(stdout);
    int before = count_in("/proc/self/fd");
    expect_eq(scene(NULL), 0);
    expect_eq(count_in("/proc/self/fd"), before);
}
