// SPDX-License-Identifier: MIT
// far - what the far end of a pair does a little later, on a thread of its own.
#pragma once

#include <pthread.h>
#include <unistd.h>

#include "tests/lib/test.h"

struct far {
    void (*act)(int fd);
    int fd;
    pthread_t thread;
};

static inline void *act_soon(void *arg)
{
    struct far *far = arg;

    usleep(3000);
    far->act(far->fd);
    return NULL;
}

static inline void let(struct far *far, void (*act)(int), int fd)
{
    *far = (struct far){.act = act, .fd = fd};
    expect_eq(pthread_create(&far->thread, NULL, act_soon, far), 0);
}

static inline void has_acted(struct far *far)
{
    expect_eq(pthread_join(far->thread, NULL), 0);
}
