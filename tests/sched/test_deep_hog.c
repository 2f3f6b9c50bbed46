// SPDX-License-Identifier: MIT
// Goal:   the pump's signal needs no room on the stack of the coroutine that it meets.
// Method: a coroutine computes with less of its stack left than the kernel puts there for a signal,
//         until an operation on the ring of its thread is through: without hand-off for ever. The
//         runtime is one that does not watch for overflows.
#include <coir.h>
#include <coir/go.h>

#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define STACK_BYTES ((size_t)16 << 10)
#define LEFT_BYTES                                                                       \
    2000 // a frame is 3 KiB and more where there is AVX; handler and calls apart
#define STEP_BYTES 256

static int fds[2];
static int is_deep, is_read;

static void reads(void)
{
    char c;

    expect_eq(coir_read(fds[0], &c, 1, COIR_FOREVER), 1);
    __atomic_store_n(&is_read, 1, __ATOMIC_RELEASE);
}

static __attribute__((noinline)) void go_down(const char *to)
{
    volatile char here[STEP_BYTES];

    here[0] = 1;
    if ((const char *)__builtin_frame_address(0) - to > 2 * STEP_BYTES) {
        go_down(to);
    } else {
        __atomic_store_n(&is_deep, 1,
                         __ATOMIC_RELEASE); // no call from here: binding takes room
        while (!__atomic_load_n(&is_read, __ATOMIC_ACQUIRE)) continue;
    }
    here[1] = here[0];
}

static void computes(void)
{
    const char *top = __builtin_frame_address(0);

    expect_eq(coir_yield(), 0);
    expect_eq(coir_yield(), 0);
    go_down(top - STACK_BYTES + LEFT_BYTES);
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    test_watchdog(100);
    config.workers = 1;
    config.stack_bytes = STACK_BYTES;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, reads), 0);
    expect_eq(coir_go_on(rt, computes), 0);
    while (!__atomic_load_n(&is_deep, __ATOMIC_ACQUIRE)) usleep(1000);
    expect_eq(write(fds[1], "x", 1), 1);
    while (!__atomic_load_n(&is_read, __ATOMIC_ACQUIRE)) usleep(1000);
    expect_eq(coir_stop(rt, coir_after(5 * COIR_SEC)), 0);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
