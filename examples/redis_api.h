// SPDX-License-Identifier: MIT
// redis_api - the few calls of Redis's module interface (API version 1) that redis_module.c makes.
//
// Debian packages no redismodule.h. None is needed to load: Redis hands each module one function by
// which it asks for the others by name, as the first word of the context. Declared from Redis's
// reference of the module API, https://redis.io/docs/reference/modules/modules-api-ref, for 7.0.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct RedisModuleCtx RedisModuleCtx;
typedef struct RedisModuleString RedisModuleString;
typedef struct RedisModuleBlockedClient RedisModuleBlockedClient;
typedef int redis_call(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);

enum { REDIS_OK, REDIS_ERR };
enum { REDIS_API_VERSION = 1, REDIS_READABLE = 1 };

// X(result, name, arguments)
#define REDIS_API(X)                                                                     \
    X(int, SetModuleAttribs, (RedisModuleCtx *, const char *name, int, int api))         \
    X(int, CreateCommand,                                                                \
      (RedisModuleCtx *, const char *, redis_call *, const char *flags, int, int, int))  \
    X(int, WrongArity, (RedisModuleCtx *))                                               \
    X(const char *, StringPtrLen, (const RedisModuleString *, size_t *ret_n))            \
    X(int, ReplyWithStringBuffer, (RedisModuleCtx *, const char *, size_t))              \
    X(int, ReplyWithError, (RedisModuleCtx *, const char *))                             \
    X(RedisModuleBlockedClient *, BlockClient,                                           \
      (RedisModuleCtx *, redis_call * reply, redis_call * timeout,                       \
       void (*release)(RedisModuleCtx *, void *), long long timeout_ms))                 \
    X(int, UnblockClient, (RedisModuleBlockedClient *, void *value))                     \
    X(void *, GetBlockedClientPrivateData, (RedisModuleCtx *))                           \
    X(RedisModuleCtx *, GetDetachedThreadSafeContext, (RedisModuleCtx *))                \
    X(void, FreeThreadSafeContext, (RedisModuleCtx *))                                   \
    X(uint64_t, CreateTimer,                                                             \
      (RedisModuleCtx *, long long ms, void (*)(RedisModuleCtx *, void *), void *))      \
    X(int, StopTimer, (RedisModuleCtx *, uint64_t id, void **ret_data))                  \
    X(int, EventLoopAdd, (int fd, int mask, void (*)(int, void *, int), void *))         \
    X(int, EventLoopDel, (int fd, int mask))                                             \
    X(int, EventLoopAddOneShot, (void (*)(void *), void *))

#define REDIS_DECLARE(result, name, arguments) static result(*Redis_##name) arguments;
REDIS_API(REDIS_DECLARE)

#define REDIS_ASK(result, name, arguments)                                               \
    if (ask("RedisModule_" #name, (void *)&Redis_##name) != REDIS_OK) return REDIS_ERR;

static int redis_ask_all(RedisModuleCtx *ctx)
{
    int (*ask)(const char *name, void *ret_function) =
        *(int (**)(const char *, void *))ctx;

    REDIS_API(REDIS_ASK)
    return REDIS_OK;
}
