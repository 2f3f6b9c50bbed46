// SPDX-License-Identifier: MIT
// overflow - a child process whose words are kept, and a coroutine that runs off its stack.
#pragma once

#include <coir.h>
#include <coir/go.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

static char said[4096];

// Runs fn in a child; what it wrote to descriptor 2 is in 'said'. Its wait status.
static inline int child(void (*fn)(void))
{
    int fds[2], status;
    size_t n = 0;

    expect(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        close(fds[0]);
        test_watchdog(30); // a handler that is called again and again
        fn();
        _exit(0);
    }
    close(fds[1]);
    for (ssize_t got; (got = read(fds[0], said + n, sizeof(said) - 1 - n)) > 0;)
        n += (size_t)got;
    said[n] = 0;
    close(fds[0]);
    expect_eq(waitpid(pid, &status, 0), pid);
    return status;
}

// Deeper than any stack here; not a tail call.
__attribute__((noinline, unused)) static int dive(int depth)
{
    volatile char frame[300];

    frame[depth % 300] = (char)depth;
    return depth > 100000000 ? 0 : dive(depth + 1) + frame[depth % 300];
}

static inline void dives(void)
{
    dive(0);
}

static inline int spawns_a_diver(void *arg)
{
    (void)arg;
    expect_eq(coir_go_with(coir_opts(.name = "pearl"), dives), 0);
    return coir_sleep(COIR_FOREVER);
}
