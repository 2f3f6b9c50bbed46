// SPDX-License-Identifier: MIT
// process - waiting for the end of a child, with a deadline and a cancel.
//
//     one child          its pidfd is readable when it has ended, and can be polled
//     any of several     the ring waits (6.7); without one who waits looks now and then: no
//                        descriptor tells, and SIGCHLD is the host's (ADR 0054)
//
// Either way the status is taken by a call that does not wait, and only behind it is anything
// consumed.
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/io.h"
#include "netpoll/netpoll.h"
#include "sched/park.h"

#define PAUSE_FIRST COIR_MS
#define PAUSE_MOST (50 * COIR_MS)

// Until the deadline or a cancel. 0: 'when' has come | -ETIMEDOUT | -ECANCELED | -ENOMEM
static int pause_until(int64_t when, int64_t deadline)
{
    struct task here;
    struct task *t = task_self(&here);

    wait_open(t, "child", NULL);
    int outcome = park(t, when < deadline ? when : deadline);
    return outcome == -ETIMEDOUT && when < deadline ? 0 : outcome;
}

// Until one of those whom 'pid' means has ended, or may have. 0 | -ETIMEDOUT | -ECANCELED | -ECHILD
static int await_one_of(pid_t pid, int64_t *pause, int64_t deadline)
{
    struct op op = {.code = OP_CHILD, .fd = pid};

    if (park_performs(&op) && on_coroutine()) return park_io(&op, deadline, NULL, NULL);
    int64_t when = clock_after(*pause);
    *pause = *pause * 2 < PAUSE_MOST ? *pause * 2 : PAUSE_MOST;
    return pause_until(when, deadline);
}

static int wait_for_any(pid_t pid, int *ret_status, int64_t deadline)
{
    int64_t pause = PAUSE_FIRST;
    int err = 0;

    for (;;) {
        int got = os_waitpid_now(pid, ret_status);

        if (got != 0) return got;
        if (deadline <= CLOCK_PAST) return -ETIMEDOUT;
        if (err < 0) return err; // the last look was behind it
        err = await_one_of(pid, &pause, deadline);
    }
}

static int wait_for_one(pid_t pid, int *ret_status, int64_t deadline)
{
    int got = os_waitpid_now(pid, ret_status);
    int err = 0;

    if (got != 0) return got;
    if (deadline <= CLOCK_PAST) return -ETIMEDOUT;
    int fd = os_pidfd_open(pid);
    if (fd < 0) return fd == -ESRCH ? -ECHILD : fd; // another took it just now
    // Ended, and yet not ours to take: another waiter was quicker, and the next look says so.
    while (got == 0 && (err = coir_poll(fd, POLLIN, deadline)) > 0)
        got = os_waitpid_now(pid, ret_status);
    coir_close(fd);
    return got == 0 ? err : got;
}

int coir_waitpid(pid_t pid, int *ret_status, int64_t deadline)
{
    int status = 0;
    int err = park_canceled();

    if (err < 0) return err;
    if ((err = park_real_io()) < 0) return err;
    int got = pid > 0 ? wait_for_one(pid, &status, deadline)
                      : wait_for_any(pid, &status, deadline);
    if (got > 0 && ret_status) *ret_status = status;
    return got;
}
