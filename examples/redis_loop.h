// SPDX-License-Identifier: MIT
// redis_loop - a runtime in the loop of the Redis server that loaded this module: its descriptor is
// one of the loop's events, its deadline one of the loop's timers.
#pragma once

#include <coir/go.h>
#include <string.h>

#include "examples/redis_api.h"

static coir_runtime *rt;
static RedisModuleCtx *own; // for timers
static uint64_t timer;      // 0: none

static void turn(void *arg);

static void on_readable(int fd, void *arg, int mask)
{
    (void)fd, (void)mask;
    turn(arg);
}

static void on_due(RedisModuleCtx *ctx, void *arg)
{
    (void)ctx;
    timer = 0;
    turn(arg);
}

static void turn(void *arg)
{
    if (!rt) return; // unloaded, with a turn still on its way
    int more = coir_hosted_turn(rt, 256);
    int64_t deadline = coir_hosted_deadline(rt), left = deadline - coir_now();

    if (timer) Redis_StopTimer(own, timer, NULL);
    timer = 0;
    if (more > 0)
        Redis_EventLoopAddOneShot(turn, arg);
    else if (deadline != COIR_FOREVER)
        timer = Redis_CreateTimer(own, left > 0 ? left / COIR_MS + 1 : 0, on_due, arg);
}

// The module's arguments: [epoll]
static int loop_begin(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    coir_config config = COIR_CONFIG_INIT;

    if (argc > 0 && strcmp(Redis_StringPtrLen(argv[0], NULL), "epoll") == 0)
        config.driver = COIR_DRIVER_EPOLL;
    if (coir_hosted_start(&config, &rt) < 0) return REDIS_ERR;
    own = Redis_GetDetachedThreadSafeContext(ctx);
    return Redis_EventLoopAdd(coir_hosted_fd(rt), REDIS_READABLE, on_readable, NULL);
}

// What is under way ends with -ECANCELED.
static int loop_end(void)
{
    Redis_EventLoopDel(coir_hosted_fd(rt), REDIS_READABLE);
    if (coir_stop(rt, COIR_FOREVER) != 0) return REDIS_ERR;
    rt = NULL;
    if (timer) Redis_StopTimer(own, timer, NULL);
    Redis_FreeThreadSafeContext(own);
    return REDIS_OK;
}
