// SPDX-License-Identifier: MIT
// process - waiting for the end of a child: its pidfd is readable then, and that can be waited for
// like any descriptor, with a deadline and a cancel. The status is taken by a call that does not
// wait, and only behind it is anything consumed.
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/io.h"
#include "sched/park.h"

int coir_waitpid(pid_t pid, int *ret_status, int64_t deadline)
{
    int status = 0;
    int err = park_canceled();

    if (err < 0) return err;
    if (pid <= 0) return -EINVAL;
    int got = os_waitpid_now(pid, &status);
    if (got == 0 && deadline <= CLOCK_PAST) return -ETIMEDOUT;
    if (got == 0) {
        int fd = os_pidfd_open(pid);
        if (fd < 0) return fd == -ESRCH ? -ECHILD : fd; // another took it just now
        // Ended, and yet not ours to take: another waiter was quicker, and the next look says so.
        while (got == 0 && (err = coir_poll(fd, POLLIN, deadline)) > 0)
            got = os_waitpid_now(pid, &status);
        coir_close(fd);
    }
    if (got == 0) return err;
    if (got > 0 && ret_status) *ret_status = status;
    return got;
}
