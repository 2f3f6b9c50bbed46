// SPDX-License-Identifier: MIT
// mode - four ways to do I/O: a ring with DEFER_TASKRUN, with COOP_TASKRUN, with neither; epoll.
//
// tests/io/meson.build runs every program on each of them, by the environment: COIR_DRIVER, for
// the second and third COIR_FAULT (base/platform_fault.h), and in COIR_IO_MODE the mode that must
// have come of it. COIR_IO_WHY is the reason that the log must give, in one line, for not being on
// a ring. Without an environment a program runs on what there is.
#pragma once

#include <coir.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

static inline void mode_count_line(void *arg, int level, const char *line)
{
    const char *why = getenv("COIR_IO_WHY");

    (void)level;
    printf("log: %s\n", line);
    expect(why && strstr(line, why));
    ++*(int *)arg;
}

static inline int mode_look(void *arg)
{
    coir_info info = COIR_INFO_INIT;
    const char *wanted = getenv("COIR_IO_MODE");

    (void)arg;
    expect_eq(coir_query(NULL, &info), 0);
    printf("on %s\n", info.driver_why);
    fflush(stdout);
    if (!wanted) return 0;
    // "epoll: asked for", "epoll: io_uring refused: ..." are both epoll.
    return strncmp(info.driver_why, wanted, strlen(wanted)) == 0 ? 0 : 1;
}

// True where a ring was asked for, by the environment or because nothing else was.
static inline bool mode_is_ring(void)
{
    const char *driver = getenv("COIR_DRIVER");

    return !driver || strcmp(driver, "epoll") != 0;
}

// First in main: the mode is what it should be, or the program is skipped.
static inline void mode_check(void)
{
    coir_config config = COIR_CONFIG_INIT;
    int lines = 0;

    config.log = getenv("COIR_IO_WHY") ? mode_count_line : NULL;
    config.log_arg = &lines;
    int got = coir_run(&config, mode_look, NULL);
    if (got < 0 && mode_is_ring()) test_skip(strerrordesc_np(-got));
    if (got > 0 && getenv("COIR_FAULT")) test_skip("built without checks: no COIR_FAULT");
    expect_eq(got, 0);
    if (getenv("COIR_IO_WHY")) expect_eq(lines, 1);
}

static inline int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    expect(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}
