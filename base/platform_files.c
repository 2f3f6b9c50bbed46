// SPDX-License-Identifier: MIT
// platform_files - the seam's calls on files, names, processes and signals.
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/platform.h"
#include "base/platform_call.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

// ---- Files ------------------------------------------------------------------------------------

int os_open(const char *path, int flags, mode_t mode)
{
    return RETRY(UNCANCELED(open(path, flags | O_CLOEXEC, mode)));
}

int os_fsync(int fd, bool data_only)
{
    return data_only ? RETRY(UNCANCELED(fdatasync(fd))) : RETRY(UNCANCELED(fsync(fd)));
}

int os_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *ret)
{
    return RETRY(statx(dirfd, path, flags, mask, ret));
}

int os_unlink(const char *path)
{
    return ONCE(unlink(path));
}

int os_rename(const char *from, const char *to)
{
    return ONCE(rename(from, to));
}

int os_mkdir(const char *path, mode_t mode)
{
    return ONCE(mkdir(path, mode));
}

int64_t os_seek(int fd, int64_t offset, int whence)
{
    return ONCE(lseek(fd, offset, whence));
}

int os_fcntl_cloexec(int fd)
{
    return ONCE(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

// ---- Names ------------------------------------------------------------------------------------

static int resolve_error(int err, int system_err)
{
    switch (err) {
    case EAI_AGAIN: return -EAGAIN;
    case EAI_MEMORY: return -ENOMEM;
    case EAI_SYSTEM: return system_err ? -system_err : -EIO;
    case EAI_BADFLAGS:
    case EAI_FAMILY:
    case EAI_SOCKTYPE: return -EINVAL;
    default: return -ENOENT; // no such name, service, or address of this kind
    }
}

int os_resolve(const char *host, const char *service, const struct addrinfo *hints,
               struct addrinfo **ret_list)
{
    int err = UNCANCELED(getaddrinfo(host, service, hints, ret_list));

    return err ? resolve_error(err, errno) : 0;
}

void os_resolve_free(struct addrinfo *list)
{
    if (list) freeaddrinfo(list);
}

// ---- Processes --------------------------------------------------------------------------------

int os_process_id(void)
{
    return getpid();
}

int os_pidfd_open(pid_t pid)
{
    return ONCE((int)syscall(SYS_pidfd_open, pid, 0));
}

int os_child_ended(pid_t pid, bool may_block)
{
    siginfo_t info = {0};
    idtype_t which = pid > 0 ? P_PID : pid == -1 ? P_ALL : P_PGID;
    id_t id = which == P_ALL ? 0 : (id_t)(pid < 0 ? -(int64_t)pid : pid);
    int err = RETRY(UNCANCELED(
        waitid(which, id, &info, WEXITED | WNOWAIT | (may_block ? 0 : WNOHANG))));

    return err < 0 ? err : info.si_pid ? 0 : -EAGAIN;
}

int os_waitpid_now(pid_t pid, int *ret_status)
{
    int status;
    int got = RETRY(UNCANCELED(waitpid(pid, &status, WNOHANG)));

    if (got > 0) *ret_status = status;
    return got;
}

static int set_actions(posix_spawn_file_actions_t *actions, const struct os_spawn *how)
{
    int err = 0;

    for (unsigned i = 0; i < how->n_fds && !err; i++)
        err = posix_spawn_file_actions_adddup2(actions, how->fds[i][0], how->fds[i][1]);
    if (!err && how->directory)
        err = posix_spawn_file_actions_addchdir_np(actions, how->directory);
    return err;
}

static int set_mask(posix_spawnattr_t *attr, const sigset_t *mask)
{
    int err = posix_spawnattr_setsigmask(attr, mask);

    return err ? err : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK);
}

int os_spawn(const char *file, char *const argv[], char *const envp[],
             const struct os_spawn *how, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    pid_t pid;

    posix_spawn_file_actions_init(&actions); // in glibc these two cannot fail
    posix_spawnattr_init(&attr);
    int err = set_actions(&actions, how);
    if (!err && how->mask) err = set_mask(&attr, how->mask);
    if (!err)
        err = posix_spawnp(&pid, file, &actions, &attr, argv, envp ? envp : environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    if (err) return -err;
    *ret_pid = pid;
    return 0;
}

// ---- Signals ----------------------------------------------------------------------------------

void os_signals_mask(sigset_t *ret_mask)
{
    pthread_sigmask(SIG_SETMASK, NULL, ret_mask);
}

void os_signals_set(const sigset_t *mask)
{
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void os_signals_block(const sigset_t *set)
{
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

void os_signals_add(sigset_t *to, const sigset_t *more)
{
    sigorset(to, to, more);
}

bool os_signals_are_ours(const sigset_t *set)
{
    sigset_t blocked;

    platform_signals(&blocked);
    sigdelset(&blocked, SIGKILL); // nobody blocks these two
    sigdelset(&blocked, SIGSTOP);
    for (int i = 1; i <= SIGRTMAX; i++)
        if (sigismember(set, i) == 1 && sigismember(&blocked, i) != 1) return false;
    return true;
}

int os_signalfd(const sigset_t *set)
{
    return ONCE(signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK));
}
