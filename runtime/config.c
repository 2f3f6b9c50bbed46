// SPDX-License-Identifier: MIT
// config - what a host asked for: checked, completed, never guessed.
//
// A value that cannot be is an error with a line in the log, whether it came from the struct or
// from the environment; the environment fills only what the struct left at default.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/platform.h"
#include "runtime/runtime.h"

#define STACK_DEFAULT ((size_t)64 << 10)
#define STACK_LEAST ((size_t)16 << 10)
#define STACK_MOST ((size_t)1 << 30)
#define GUARD_MOST ((size_t)1 << 20)
#define WORKERS_MOST 1024u
#define STOP_DEFAULT (5 * COIR_SEC)
#define HELPERS_DEFAULT 512
#define HELPERS_MOST 32768
// The kernel's. The lowest few are libc's own, which the start refuses.
#define REAL_TIME_LEAST 32
#define REAL_TIME_MOST 64

static int refuse(const coir_config *config, int err, const char *what)
{
    char line[128];

    snprintf(line, sizeof(line), "coir: %s", what);
    if (config->log) config->log(config->log_arg, COIR_LOG_ERROR, line);
    return err;
}

// Copies what the caller's struct has; what it has beyond ours must be zero.
static int copy(const coir_config *config, coir_config *ret)
{
    const char *bytes = (const char *)config;

    *ret = (coir_config){.size = sizeof(*ret)};
    if (!config) return 0;
    if (config->size == 0) return -EINVAL;
    for (size_t i = sizeof(*ret); i < config->size; i++)
        if (bytes[i])
            return refuse(config, -EINVAL, "the config of a newer program asks for more");
    memcpy(ret, config, config->size < sizeof(*ret) ? config->size : sizeof(*ret));
    ret->size = sizeof(*ret);
    return 0;
}

// A whole number from the environment; false where the variable is not set.
// 1: *ret_value is set | 0: the variable is not set | -EINVAL
static int read_number(const char *name, uint64_t *ret_value)
{
    const char *text = getenv(name);
    char *end;

    if (!text || !*text) return 0;
    if (*text < '0' || *text > '9') return -EINVAL;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    return errno || *end ? -EINVAL : 1;
}

static int read_driver(coir_config *c)
{
    const char *text = getenv("COIR_DRIVER");

    if (!text || !*text || c->driver != COIR_DRIVER_AUTO) return 0;
    if (strcmp(text, "uring") == 0)
        c->driver = COIR_DRIVER_URING;
    else if (strcmp(text, "epoll") == 0)
        c->driver = COIR_DRIVER_EPOLL;
    else if (strcmp(text, "auto") != 0)
        return refuse(c, -EINVAL, "COIR_DRIVER must be auto, uring or epoll");
    return 0;
}

static int read_environment(coir_config *c)
{
    uint64_t n = 0;
    int got = read_number("COIR_WORKERS", &n);

    if (got < 0 || (got && (n == 0 || n > WORKERS_MOST)))
        return refuse(c, -EINVAL, "COIR_WORKERS must be a number from 1 to 1024");
    if (got && !c->workers) c->workers = (unsigned)n;

    got = read_number("COIR_STACK", &n);
    if (got < 0 || (got && (n < STACK_LEAST || n > STACK_MOST)))
        return refuse(c, -EINVAL, "COIR_STACK must be bytes from 16384 to 1073741824");
    if (got && !c->stack_bytes) c->stack_bytes = (size_t)n;

    got = read_number("COIR_SEED", &n);
    if (got < 0) return refuse(c, -EINVAL, "COIR_SEED must be a number");
    if (got && !c->seed) c->seed = n;

    const char *trace = getenv("COIR_TRACE");
    if (trace && *trace)
        return refuse(c, -ENOTSUP, "COIR_TRACE: tracing is not there yet");
    return read_driver(c);
}

static int check_values(const coir_config *c)
{
    if (c->workers > WORKERS_MOST)
        return refuse(c, -EINVAL, "workers must be at most 1024");
    if (c->stack_bytes && (c->stack_bytes < STACK_LEAST || c->stack_bytes > STACK_MOST))
        return refuse(c, -EINVAL, "stack_bytes must be from 16 KiB to 1 GiB");
    if (c->guard_bytes > GUARD_MOST)
        return refuse(c, -EINVAL, "guard_bytes must be at most 1 MiB");
    if ((unsigned)c->driver > COIR_DRIVER_EPOLL)
        return refuse(c, -EINVAL, "no such driver");
    if ((unsigned)c->overflow_report > COIR_OFF)
        return refuse(c, -EINVAL,
                      "overflow_report must be COIR_DEFAULT, COIR_ON or COIR_OFF");
    if (c->helpers < -1 || c->helpers > HELPERS_MOST)
        return refuse(c, -EINVAL, "helpers must be -1 (none) or at most 32768");
    if (c->pump_signal < -1 || c->pump_signal > REAL_TIME_MOST ||
        (c->pump_signal > 0 && c->pump_signal < REAL_TIME_LEAST))
        return refuse(c, -EINVAL,
                      "pump_signal must be -1 (none), 0 or a real-time signal");
    if (c->stop_ns < 0) return refuse(c, -EINVAL, "stop_ns must not be negative");
    if (c->allocator && (!c->allocator->alloc || !c->allocator->release))
        return refuse(c, -EINVAL, "an allocator needs both functions");
    return 0;
}

int config_fill(const coir_config *config, enum start_kind kind, coir_config *ret)
{
    bool from_environment = kind == START_RUN;
    int err = copy(config, ret);

    if (err < 0) return err;
    if (kind == START_HOSTED) {
        ret->workers = 1;
        ret->pump_signal = -1;
    }
    if (from_environment && (err = read_environment(ret)) < 0) return err;
    if ((err = check_values(ret)) < 0) return err;
    if (ret->seed && kind == START_HOSTED)
        return refuse(ret, -ENOTSUP, "a hosted runtime has no seed: its host decides");
    if (ret->seed) {
        ret->workers = 1;
        ret->helpers = ret->pump_signal = -1;
        ret->driver = COIR_DRIVER_EPOLL; // to sleep in
    }
    if (!ret->workers) ret->workers = os_cpu_count();
    if (ret->workers > WORKERS_MOST) ret->workers = WORKERS_MOST;
    if (!ret->stack_bytes) ret->stack_bytes = STACK_DEFAULT;
    if (!ret->guard_bytes) ret->guard_bytes = GUARD_DEFAULT;
    if (!ret->helpers) ret->helpers = kind == START_HOSTED ? -1 : HELPERS_DEFAULT;
    if (ret->overflow_report == COIR_DEFAULT)
        ret->overflow_report = from_environment ? COIR_ON : COIR_OFF;
    if (!ret->stop_ns) ret->stop_ns = STOP_DEFAULT;
    return 0;
}
