// SPDX-License-Identifier: MIT
// files_sim - what the virtual kernel has not: paths, processes, signals. Each call is a point.
#include <errno.h>

#include "base/platform.h"
#include "tests/model/kernel_sim.h"

static int no_such_thing(void)
{
    kernel_call(-1);
    return -ENOSYS;
}

int os_open(const char *path, int flags, mode_t mode)
{
    (void)path, (void)flags, (void)mode;
    return no_such_thing();
}

int os_fsync(int fd, bool data_only)
{
    (void)data_only;
    return kernel_call(fd) ? -EINVAL : -EBADF; // no file
}

int os_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *ret)
{
    (void)dirfd, (void)path, (void)flags, (void)mask, (void)ret;
    return no_such_thing();
}

int os_unlink(const char *path)
{
    (void)path;
    kernel_call(-1);
    return -ENOENT;
}

int os_rename(const char *from, const char *to)
{
    (void)from, (void)to;
    return no_such_thing();
}

int os_mkdir(const char *path, mode_t mode)
{
    (void)path, (void)mode;
    return no_such_thing();
}

int64_t os_seek(int fd, int64_t offset, int whence)
{
    (void)offset, (void)whence;
    return kernel_call(fd) ? -ESPIPE : -EBADF;
}

int os_fcntl_cloexec(int fd)
{
    return kernel_call(fd) ? 0 : -EBADF;
}

int os_process_id(void)
{
    return 1;
}

int os_pidfd_open(pid_t pid)
{
    (void)pid;
    return no_such_thing();
}

int os_child_ended(pid_t pid, bool may_block)
{
    (void)pid, (void)may_block;
    kernel_call(-1);
    return -ECHILD;
}

int os_waitpid_now(pid_t pid, int *ret_status)
{
    (void)pid, (void)ret_status;
    kernel_call(-1);
    return -ECHILD;
}

int os_spawn(const char *file, char *const argv[], char *const envp[],
             const struct os_spawn *how, pid_t *ret_pid)
{
    (void)file, (void)argv, (void)envp, (void)how, (void)ret_pid;
    return no_such_thing();
}

void os_signals_mask(sigset_t *ret_mask)
{
    sigemptyset(ret_mask);
}

void os_signals_set(const sigset_t *mask)
{
    (void)mask;
}

void os_signals_block(const sigset_t *set)
{
    (void)set;
}

void os_signals_add(sigset_t *to, const sigset_t *more)
{
    sigorset(to, to, more);
}

bool os_signals_are_ours(const sigset_t *set)
{
    (void)set;
    return true;
}

int os_signalfd(const sigset_t *set)
{
    (void)set;
    kernel_call(-1);
    return file_install(file_make(FILE_EVENT));
}
