// SPDX-License-Identifier: MIT
// redis_module - coroutines in Redis's own loop: COIR.ASK ADDRESS TEXT sends a line to a server and
// replies with what it answers, while Redis goes on with its other clients.
// Try: redis-server --loadmodule ./example_redis_module.so &  redis-cli coir.ask 127.0.0.1:7777 hi
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/redis_loop.h"

#define LINE 512
#define PATIENCE (2 * COIR_SEC)

struct question {
    RedisModuleBlockedClient *client;
    char address[64], line[LINE];
    ssize_t n; // of the answer, or -errno
};

static void ask(struct question *q)
{
    int64_t until = coir_after(PATIENCE);
    int fd = coir_dial(q->address, until);

    q->n = fd < 0 ? fd : coir_write_all(fd, q->line, strlen(q->line), until);
    if (q->n > 0) q->n = coir_read(fd, q->line, sizeof(q->line), until);
    if (fd >= 0) coir_close(fd);
    Redis_UnblockClient(q->client,
                        q); // on Redis's own thread: any call of its API may be made
}

static int reply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct question *q = Redis_GetBlockedClientPrivateData(ctx);
    char error[LINE];

    (void)argv, (void)argc;
    if (q->n >= 0) return Redis_ReplyWithStringBuffer(ctx, q->line, (size_t)q->n);
    snprintf(error, sizeof(error), "ERR %s", strerror((int)-q->n));
    return Redis_ReplyWithError(ctx, error);
}

static void forget(RedisModuleCtx *ctx, void *q)
{
    (void)ctx;
    free(q);
}

static int command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct question *q = argc == 3 ? calloc(1, sizeof(*q)) : NULL;

    if (!q) return Redis_WrongArity(ctx);
    snprintf(q->address, sizeof(q->address), "%s", Redis_StringPtrLen(argv[1], NULL));
    snprintf(q->line, sizeof(q->line), "%s", Redis_StringPtrLen(argv[2], NULL));
    q->client = Redis_BlockClient(ctx, reply, NULL, forget, 0);
    q->n = coir_go_on(rt, ask, q);
    return q->n < 0 ? Redis_UnblockClient(q->client, q) : REDIS_OK;
}

__attribute__((visibility("default"))) redis_call RedisModule_OnLoad,
    RedisModule_OnUnload;

int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (redis_ask_all(ctx) || loop_begin(ctx, argv, argc)) return REDIS_ERR;
    Redis_SetModuleAttribs(ctx, "coir", 1, REDIS_API_VERSION);
    return Redis_CreateCommand(ctx, "coir.ask", command, "", 0, 0, 0);
}

int RedisModule_OnUnload(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)ctx, (void)argv, (void)argc;
    return loop_end();
}
