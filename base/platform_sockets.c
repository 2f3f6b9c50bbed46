// SPDX-License-Identifier: MIT
// platform_sockets - the seam's direct calls on descriptors: sockets, eventfds, poll and epoll.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/platform.h"
#include "base/platform_call.h"
#include "base/platform_fork.h"

int os_eventfd(void)
{
    if (fault_here(FAULT_FD)) return -EMFILE;
    return ONCE(eventfd(0, EFD_CLOEXEC));
}

ssize_t os_read(int fd, void *buf, size_t n)
{
    return RETRY(UNCANCELED(read(fd, buf, n)));
}

ssize_t os_write(int fd, const void *buf, size_t n)
{
    return RETRY(UNCANCELED(write(fd, buf, n)));
}

ssize_t os_readv(int fd, const struct iovec *iov, int n, int64_t offset)
{
    return RETRY(UNCANCELED(preadv2(fd, iov, n, offset, 0)));
}

void os_sigpipe_drop(void)
{
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    UNCANCELED(sigtimedwait(&pipe_only, NULL, &(struct timespec){0}));
}

// Around a write to what may have no reader: SIGPIPE must neither come nor stay. Our own threads
// block it for ever (os_thread_start); one of the host's may wait for it, or have one pending.
void os_sigpipe_hold(struct os_hush *h)
{
    sigset_t pipe_only, pending;

    h->done = false;
    h->was_pending = false;
    if (fork_is_ours()) return;
    sigpending(&pending);
    h->was_pending = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    h->done = pthread_sigmask(SIG_BLOCK, &pipe_only, &h->before) == 0;
}

void os_sigpipe_release(const struct os_hush *h, bool may_have_come)
{
    if (may_have_come && !h->was_pending) os_sigpipe_drop();
    if (h->done) pthread_sigmask(SIG_SETMASK, &h->before, NULL);
}

static ssize_t hush_end(const struct os_hush *h, ssize_t result)
{
    os_sigpipe_release(h, result == -EPIPE);
    return result;
}

ssize_t os_writev(int fd, const struct iovec *iov, int n, int64_t offset)
{
    struct os_hush h;

    os_sigpipe_hold(&h);
    return hush_end(&h, RETRY(UNCANCELED(pwritev2(fd, iov, n, offset, 0))));
}

// Past libc, whose wrapper is a cancellation point and pays for that twice a call: what does not
// wait needs to be none. A kernel without the call is one without the flag, as libc has it.
static ssize_t at_once(long call, int fd, const struct iovec *iov, int n, int64_t offset)
{
    // The high half of the offset is for kernels of 32 bits.
    ssize_t done = RETRY(
        syscall(call, fd, iov, (unsigned long)n, (unsigned long)offset, 0UL, RWF_NOWAIT));

    return done == -ENOSYS ? -EOPNOTSUPP : done;
}

ssize_t os_readv_nowait(int fd, const struct iovec *iov, int n, int64_t offset)
{
    return at_once(SYS_preadv2, fd, iov, n, offset);
}

ssize_t os_writev_nowait(int fd, const struct iovec *iov, int n, int64_t offset)
{
    struct os_hush h;

    os_sigpipe_hold(&h);
    return hush_end(&h, at_once(SYS_pwritev2, fd, iov, n, offset));
}

ssize_t os_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return RETRY(UNCANCELED(recvmsg(fd, msg, flags)));
}

ssize_t os_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return RETRY(UNCANCELED(sendmsg(fd, msg, flags | MSG_NOSIGNAL)));
}

ssize_t os_recv(int fd, void *buf, size_t n, int flags)
{
    return RETRY(UNCANCELED(recv(fd, buf, n, flags)));
}

ssize_t os_send(int fd, const void *buf, size_t n, int flags)
{
    return RETRY(UNCANCELED(send(fd, buf, n, flags | MSG_NOSIGNAL)));
}

int os_socket(int domain, int type, int protocol)
{
    if (fault_here(FAULT_FD)) return -EMFILE;
    return ONCE(socket(domain, type | SOCK_CLOEXEC, protocol));
}

int os_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    return ONCE(bind(fd, addr, len));
}

int os_listen(int fd, int backlog)
{
    return ONCE(listen(fd, backlog));
}

int os_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    if (fault_here(FAULT_FD)) return -EMFILE;
    return RETRY(UNCANCELED(accept4(fd, addr, len, flags | SOCK_CLOEXEC)));
}

// Not retried: an interrupted connect goes on in the kernel, and a second one is EALREADY.
int os_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    return ONCE(UNCANCELED(connect(fd, addr, len)));
}

int os_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    return ONCE(getsockopt(fd, level, name, value, len));
}

int os_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return ONCE(setsockopt(fd, level, name, value, len));
}

int os_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    return ONCE(getsockname(fd, addr, len));
}

int os_shutdown(int fd, int how)
{
    return ONCE(shutdown(fd, how));
}

int os_close(int fd)
{
    return ONCE(UNCANCELED(close(fd)));
}

int os_fcntl_getfl(int fd)
{
    return ONCE(fcntl(fd, F_GETFL));
}

int os_fcntl_setfl(int fd, int flags)
{
    return ONCE(fcntl(fd, F_SETFL, flags));
}

// How long from now; for interfaces that take a duration. Never early: they round up.
static struct timespec *time_left(int64_t deadline, struct timespec *ts)
{
    int64_t left = deadline - os_now();

    if (deadline == INT64_MAX) return NULL;
    *ts = timespec_of(left > 0 ? left : 0);
    return ts;
}

int os_poll(struct pollfd *fds, unsigned n, int64_t deadline)
{
    struct timespec ts;
    int ready = ONCE(UNCANCELED(ppoll(fds, n, time_left(deadline, &ts), NULL)));

    return ready == -EINTR ? 0 : ready;
}

unsigned os_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
    return limit.rlim_cur > INT_MAX ? INT_MAX : (unsigned)limit.rlim_cur;
}

int os_fd_kind(int fd)
{
    struct stat st;
    int err = ONCE(fstat(fd, &st));

    return err < 0 ? err : (int)(st.st_mode & S_IFMT);
}

// ---- epoll ---------------------------------------------------------------------------------

int os_epoll_open(void)
{
    if (fault_here(FAULT_FD)) return -EMFILE;
    return ONCE(epoll_create1(EPOLL_CLOEXEC));
}

int os_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    return ONCE(epoll_ctl(epfd, op, fd, event));
}

int os_epoll_wait(int epfd, struct epoll_event *events, int n, int64_t deadline)
{
    static atomic_u32 no_pwait2; // before Linux 5.11
    struct timespec ts;
    struct timespec *left = time_left(deadline, &ts);

    if (!load_relaxed(&no_pwait2)) { // relaxed, both: a fact about the kernel
        int ready = ONCE(UNCANCELED(epoll_pwait2(epfd, events, n, left, NULL)));
        if (ready != -ENOSYS) return ready == -EINTR ? 0 : ready;
        store_relaxed(&no_pwait2, 1);
    }
    int ms = -1; // rounded up: never early
    if (left)
        ms = left->tv_sec > 1000000
                 ? 1000000000
                 : (int)(left->tv_sec * 1000 + (left->tv_nsec + 999999) / 1000000);
    int ready = ONCE(UNCANCELED(epoll_wait(epfd, events, n, ms)));
    return ready == -EINTR ? 0 : ready;
}
