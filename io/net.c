// SPDX-License-Identifier: MIT
// net - sockets: listen, accept, dial, connect; poll, shutdown and close of any descriptor.
//
// accept keeps its listener alive: a connection that was given up before it was taken is skipped,
// and without descriptors or memory it waits, 5 ms at first and at most a second, says so once,
// and tries again. A listener that stopped accepting under load would be worse than a slow one.
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/io.h"
#include "io/address.h"
#include "io/fd.h"
#include "sched/park.h"

#define BACK_OFF_FIRST (5 * COIR_MS)
#define BACK_OFF_MOST COIR_SEC
#define PAUSE_MOST (20 * COIR_MS) // of who connects to a full queue

// ---- Accept --------------------------------------------------------------------------------

static bool out_of_something(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

// Errors of one connection, not of the listener (accept(2) lists them).
static bool of_one_connection(int err)
{
    return err == -ECONNABORTED || err == -EPROTO || err == -ENETDOWN ||
           err == -ENOPROTOOPT || err == -EHOSTDOWN || err == -ENONET ||
           err == -EHOSTUNREACH || err == -ENETUNREACH;
}

static int accept_patiently(struct fd_use *use, struct op *op, socklen_t room,
                            int64_t deadline)
{
    int64_t pause = BACK_OFF_FIRST;

    for (;;) {
        if (op->addr_len) *op->addr_len = room; // a failed try may have changed it
        int32_t result = fd_run(use, op, deadline);

        if (of_one_connection(result)) continue;
        if (!out_of_something(result)) return result;
        if (deadline <= CLOCK_PAST) return result;
        if (pause == BACK_OFF_FIRST)
            park_say("coir: accept is out of descriptors or memory, trying again");
        int err = fd_back_off(use, clock_after(pause), deadline);
        if (err < 0) return err;
        pause = pause * 2 < BACK_OFF_MOST ? pause * 2 : BACK_OFF_MOST;
    }
}

int coir_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags,
                int64_t deadline)
{
    struct op op = {.code = OP_ACCEPT,
                    .fd = fd,
                    .addr = addr,
                    .addr_len = addr ? len : NULL,
                    .flags = flags | SOCK_CLOEXEC};
    struct fd_use use;
    int err = park_canceled();

    if (err < 0) return err;
    if ((addr && !len) || flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) return -EINVAL;
    if ((err = fd_begin(fd, FD_READS, deadline, &use)) < 0) return err;
    // What is no socket would be waited for first.
    int got = fd_is_socket(&use) ? accept_patiently(&use, &op, addr ? *len : 0, deadline)
                                 : -ENOTSOCK;
    fd_end(&use);
    return got;
}

// ---- Connect and dial ----------------------------------------------------------------------

// A Unix connect stands at once, or its listener's queue is full, which no descriptor tells when it
// has passed: who waits asks again, in reach of everything that may end it.
static int connect_near(struct fd_use *use, struct op *op, int64_t deadline)
{
    for (int64_t pause = COIR_MS;;
         pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST) {
        int err = op_try(op, false);

        if (err != -EAGAIN) return err;
        if (deadline <= CLOCK_PAST) return -ETIMEDOUT;
        err = fd_back_off(use, clock_after(pause), deadline);
        if (err < 0) return err;
    }
}

int coir_connect(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline)
{
    struct op op = {.code = OP_CONNECT,
                    .fd = fd,
                    .addr = (struct sockaddr *)(uintptr_t)addr,
                    .len = len};
    struct fd_use use;
    int err = park_canceled();

    if (err < 0) return err;
    if (!addr) return -EINVAL;
    if ((err = fd_begin(fd, FD_WRITES, deadline, &use)) < 0) return err;
    if (len >= sizeof(addr->sa_family) && addr->sa_family == AF_UNIX)
        err = connect_near(&use, &op, deadline);
    else
        err = fd_run(&use, &op, deadline);
    fd_end(&use);
    return err;
}

static int dial_one(const struct address *a, int64_t deadline)
{
    int fd = os_socket(a->addr.ss_family, SOCK_STREAM, 0);

    if (fd < 0) return fd;
    int err = coir_connect(fd, (const struct sockaddr *)&a->addr, a->len, deadline);
    if (err == 0) return fd;
    coir_close(fd);
    return err;
}

// An even share of the time that is left: an address that does not answer must not use up what
// the next one needs.
static int64_t share(int64_t deadline, int n_left)
{
    int64_t now = clock_now();

    if (deadline == CLOCK_NEVER || deadline <= now || n_left <= 1) return deadline;
    return now + (deadline - now) / n_left;
}

int coir_dial(const char *address, int64_t deadline)
{
    struct address list[ADDRESS_MOST];
    int n = park_canceled();
    int fd = -EINVAL;

    if (n < 0) return n;
    n = address_find(address, 0, deadline, list);
    if (n < 0) return n;
    for (int i = 0; i < n; i++) {
        fd = dial_one(&list[i], share(deadline, n - i));
        if (fd >= 0 || fd == -ECANCELED) break;
    }
    return fd;
}

// ---- Listen --------------------------------------------------------------------------------

// True if nobody serves this Unix path any more: a leftover of a server that died.
static bool is_stale(const struct address *a)
{
    int fd = os_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (fd < 0) return false;
    int err = os_connect(fd, (const struct sockaddr *)&a->addr, a->len);
    os_close(fd);
    return err == -ECONNREFUSED;
}

static int bind_to(int fd, const struct address *a)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&a->addr;
    int err = os_bind(fd, (const struct sockaddr *)&a->addr, a->len);

    if (err != -EADDRINUSE || un->sun_family != AF_UNIX || !un->sun_path[0]) return err;
    if (!is_stale(a)) return err;
    os_unlink(un->sun_path);
    return os_bind(fd, (const struct sockaddr *)&a->addr, a->len);
}

static int set_options(int fd, const struct address *a, const coir_listen_options *opts)
{
    int on = 1;
    int err = 0;

    if (a->addr.ss_family == AF_UNIX) return 0;
    err = os_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (err == 0 && opts && opts->reuse_port)
        err = os_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (err == 0 && opts && opts->tcp_nodelay) // what it accepts inherits it
        err = os_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return err;
}

static int listen_on(const struct address *a, const coir_listen_options *opts)
{
    // A ring waits on blocking descriptors; readiness wants the listener non-blocking.
    int type = SOCK_STREAM | (park_uses_ring() ? 0 : SOCK_NONBLOCK);
    int fd = os_socket(a->addr.ss_family, type, 0);

    if (fd < 0) return fd;
    int err = set_options(fd, a, opts);
    if (err == 0) err = bind_to(fd, a);
    if (err == 0)
        err = os_listen(fd, opts && opts->backlog > 0 ? opts->backlog : SOMAXCONN);
    if (err == 0) return fd;
    os_close(fd);
    return err;
}

// ---- Sockets that systemd opened: sd_listen_fds(3) -----------------------------------------

#define PASSED_FIRST 3

// The number of the descriptor that was passed as 'name', the first where it is empty.
// >= 0 | -ENOENT (nothing of that name was passed to this process)
static int find_passed(const char *name)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");

    if (!pid || !count || strtol(pid, NULL, 10) != os_process_id()) return -ENOENT;
    long n = strtol(count, NULL, 10);
    if (n < 1 || n > INT_MAX - PASSED_FIRST) return -ENOENT;
    if (!*name) return PASSED_FIRST;
    for (int i = 0; i < n && names; i++) {
        const char *end = strchr(names, ':');
        size_t len = end ? (size_t)(end - names) : strlen(names);

        if (strlen(name) == len && strncmp(names, name, len) == 0)
            return PASSED_FIRST + i;
        names = end ? end + 1 : NULL;
    }
    return -ENOENT;
}

static int take_passed(const char *name, const coir_listen_options *opts)
{
    struct sockaddr_storage addr;
    socklen_t addr_len = sizeof(addr);
    int listens = 0;
    int on = 1;
    socklen_t len = sizeof(listens);
    int fd = find_passed(name);

    if (fd < 0) return fd;
    int err = os_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
    if (err == 0 && !listens) err = -EINVAL;
    if (err == 0) err = os_fcntl_cloexec(fd);
    if (err == 0) err = os_getsockname(fd, (struct sockaddr *)&addr, &addr_len);
    if (err == 0 && opts && opts->tcp_nodelay && addr.ss_family != AF_UNIX)
        err = os_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return err < 0 ? err : fd;
}

int coir_listen(const char *address, const coir_listen_options *opts)
{
    struct address list[ADDRESS_MOST];
    int fd = -EINVAL;

    if (opts && opts->backlog < 0) return -EINVAL;
    if (park_real_io() < 0) return -ENOTSUP;
    if (address && strncmp(address, "systemd:", 8) == 0)
        return take_passed(address + 8, opts);
    int n = address_find(address, 1, CLOCK_NEVER, list);
    if (n < 0) return n;
    for (int i = 0; i < n && (fd = listen_on(&list[i], opts)) < 0; i++) continue;
    return fd;
}

// ---- Any descriptor ------------------------------------------------------------------------

static int run_poll(struct fd_use *use, int fd, short events, int64_t deadline)
{
    struct op op = {.code = OP_POLL, .fd = fd, .flags = (unsigned short)events};

    return fd_run(use, &op, deadline);
}

// The kernel does not wake a ring's poll for POLLPRI (IO_ASYNC_POLL_COMMON in its io_uring/poll.c):
// with POLLIN comes another reason, without it the ring watches an epoll that watches fd.
static int run_poll_by_epoll(struct fd_use *use, int fd, short events, int64_t deadline)
{
    struct epoll_event event = {.events = (unsigned short)events};
    struct pollfd one = {.fd = fd, .events = events};
    int watch = os_epoll_open();

    if (watch < 0) return watch;
    int err = os_epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event);
    if (err == -EPERM) err = run_poll(use, fd, events, deadline); // a file: ready
    while (err == 0 && (err = run_poll(use, watch, POLLIN, deadline)) > 0)
        if ((err = os_poll(&one, 1, CLOCK_PAST)) > 0) err = one.revents;
    os_close(watch);
    return err;
}

int coir_poll(int fd, short events, int64_t deadline)
{
    struct fd_use use;
    int err = park_canceled();

    if (err < 0) return err;
    if ((err = fd_begin(fd, FD_POLLS, deadline, &use)) < 0) return err;
    if (park_uses_ring() && events & POLLPRI && !(events & POLLIN))
        err = run_poll_by_epoll(&use, fd, events, deadline);
    else
        err = run_poll(&use, fd, events, deadline);
    fd_end(&use);
    return err;
}

int coir_shutdown(int fd, int how)
{
    return os_shutdown(fd, how);
}

int coir_close(int fd)
{
    return fd_close(fd);
}
