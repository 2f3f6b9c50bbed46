// SPDX-License-Identifier: MIT
#include "tests/model/kernel_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/platform.h"
#include "tests/model/sim.h"

#define FIRST_FD 3

enum { STEP_CALL = 32 };

static struct file files[KERNEL_FILES];
static struct file *fds[KERNEL_FILES];
static uint32_t room; // bytes that a pipe takes in this run
static uint16_t next_port;
static int next_fd; // above all that were ever given out

void kernel_reset(void)
{
    memset(files, 0, sizeof(files));
    memset(fds, 0, sizeof(fds));
    room = 0;
    next_port = 40000;
    next_fd = FIRST_FD;
    ring_reset();
    ready_reset();
}

const char *kernel_leftover(void)
{
    for (int i = 0; i < KERNEL_FILES; i++)
        if (fds[i]) return "descriptors are left";
    for (int i = 0; i < KERNEL_FILES; i++)
        if (files[i].refs) return "files are left: an operation was never ended";
    return NULL;
}

void kernel_changed(void)
{
    sim.kernel_works = true;
    for (uint32_t i = 0; i < SIM_THREADS; i++)
        if (sim.threads[i].wait == SIM_KERNEL) sim_wake(i);
}

bool kernel_step(void)
{
    if (!sim.kernel_works) return false;
    sim_note(STEP_CALL);
    if (ring_step()) return true;
    sim.kernel_works = false;
    return false;
}

// ---- Files ----------------------------------------------------------------------------

struct file *file_make(enum file_kind kind)
{
    for (int i = 0; i < KERNEL_FILES; i++) {
        if (files[i].kind != FILE_NONE) continue;
        files[i] = (struct file){.kind = kind, .reads = true, .writes = true};
        return &files[i];
    }
    sim_fail("too many files");
}

struct file *file_of(int fd)
{
    return fd >= 0 && fd < KERNEL_FILES ? fds[fd] : NULL;
}

void file_get(struct file *f)
{
    f->refs++;
}

static void release(struct file *f)
{
    if (f->peer) {
        f->peer->peer_done = true;
        if (f->n && f->kind == FILE_SOCKET) f->peer->was_reset = true;
        f->peer->peer = NULL;
    }
    for (uint32_t i = 0; i < f->n_queue; i++) file_put(f->queue[i]);
    f->kind = FILE_NONE;
    kernel_changed();
}

void file_put(struct file *f)
{
    if (--f->refs == 0) release(f);
}

int file_install(struct file *f)
{
    for (int fd = sim.fresh_numbers ? next_fd : FIRST_FD; fd < KERNEL_FILES; fd++) {
        if (fds[fd]) continue;
        if (fd >= next_fd) next_fd = fd + 1;
        fds[fd] = f;
        f->fds++;
        f->refs++;
        return fd;
    }
    return -EMFILE;
}

static void pair(struct file *a, struct file *b)
{
    a->peer = b;
    b->peer = a;
    a->linked = b->linked = true;
}

// ---- Bytes ----------------------------------------------------------------------------

static uint32_t pipe_room(void)
{
    static const uint32_t rooms[] = {KERNEL_PIPE, 64, 16, 5};

    if (!room) room = sim.whole_transfers ? KERNEL_PIPE : rooms[sim_choose(4, 2)];
    return room;
}

// A transfer may be shorter than asked for.
static size_t cut(size_t n)
{
    if (n > 1 && !sim.whole_transfers && sim_choose(2, 8))
        n = 1 + sim_choose((uint32_t)(n - 1 < 255 ? n - 1 : 255), 1);
    return n;
}

static size_t total(const struct iovec *iov, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++) sum += iov[i].iov_len;
    return sum;
}

static void scatter(const struct iovec *iov, const uint8_t *from, size_t n)
{
    for (; n; iov++) {
        size_t part = iov->iov_len < n ? iov->iov_len : n;
        memcpy(iov->iov_base, from, part);
        from += part;
        n -= part;
    }
}

static void gather(uint8_t *to, const struct iovec *iov, size_t n)
{
    for (; n; iov++) {
        size_t part = iov->iov_len < n ? iov->iov_len : n;
        memcpy(to, iov->iov_base, part);
        to += part;
        n -= part;
    }
}

static ssize_t read_event(struct file *f, const struct iovec *iov, int n)
{
    if (total(iov, n) < 8) return -EINVAL;
    if (!f->count) return -EAGAIN;
    scatter(iov, (uint8_t *)&f->count, 8);
    f->count = 0;
    kernel_changed();
    return 8;
}

ssize_t file_read(struct file *f, const struct iovec *iov, int n)
{
    if (f->kind == FILE_EVENT) return read_event(f, iov, n);
    if (f->kind != FILE_SOCKET && f->kind != FILE_PIPE) return -EINVAL;
    if (!f->linked) return -ENOTCONN;
    size_t wanted = total(iov, n);
    if (!wanted) return 0;
    if (!f->n) {
        if (f->was_reset) return -ECONNRESET;
        return f->peer_done || !f->reads ? 0 : -EAGAIN;
    }
    size_t take = cut(wanted < f->n ? wanted : f->n);
    scatter(iov, f->data + f->at, take);
    f->at += (uint32_t)take;
    f->n -= (uint32_t)take;
    kernel_changed();
    return (ssize_t)take;
}

uint8_t sim_disk_byte(int64_t offset)
{
    return (uint8_t)(offset * 7 + 1);
}

ssize_t file_read_at(struct file *f, const struct iovec *iov, int n, int64_t offset)
{
    if (f->kind != FILE_DISK) return -ESPIPE;
    ssize_t sum = 0;
    for (; n > 0; iov++, n--)
        for (size_t i = 0; i < iov->iov_len; i++, sum++)
            ((uint8_t *)iov->iov_base)[i] = sim_disk_byte(offset + sum) ^ f->mark;
    return sum;
}

ssize_t file_write(struct file *f, const struct iovec *iov, int n)
{
    if (f->kind == FILE_EVENT) {
        uint64_t add = 0;
        if (total(iov, n) < 8) return -EINVAL;
        gather((uint8_t *)&add, iov, 8);
        f->count += add;
        kernel_changed();
        return 8;
    }
    if (f->kind != FILE_SOCKET && f->kind != FILE_PIPE) return -EINVAL;
    if (!f->linked) return -ENOTCONN;
    struct file *to = f->peer;
    if (!to || !f->writes || !to->reads) return -EPIPE;
    size_t wanted = total(iov, n);
    if (!wanted) return 0;
    if (to->at) memmove(to->data, to->data + to->at, to->n);
    to->at = 0;
    uint32_t most = pipe_room();
    if (to->n >= most) return -EAGAIN;
    size_t put = cut(wanted < most - to->n ? wanted : most - to->n);
    gather(to->data + to->n, iov, put);
    to->n += (uint32_t)put;
    kernel_changed();
    return (ssize_t)put;
}

short file_events(const struct file *f)
{
    short events = 0;

    switch (f->kind) {
    case FILE_EVENT: return f->count ? POLLIN | POLLOUT : POLLOUT;
    case FILE_LISTEN: return f->n_queue ? POLLIN : 0;
    case FILE_EPOLL: return ready_any(f) ? POLLIN : 0;
    case FILE_DISK: return POLLIN | POLLOUT;
    case FILE_SOCKET:
    case FILE_PIPE:
        if (!f->linked) return POLLOUT | POLLHUP;
        if (f->n || f->peer_done || !f->reads) events |= POLLIN;
        if (f->peer_done) events |= POLLRDHUP;
        if (!f->peer) events |= POLLHUP | POLLOUT;
        if (f->was_reset) events |= POLLERR;
        if (f->peer && f->peer->n < pipe_room()) events |= POLLOUT;
        return events;
    default: return 0;
    }
}

// ---- Connections ----------------------------------------------------------------------

static struct file *find_listener(const struct sockaddr *addr, socklen_t len)
{
    for (int i = 0; i < KERNEL_FILES; i++) {
        struct file *f = &files[i];
        if (f->kind != FILE_LISTEN || !f->fds || f->addr_len != len) continue;
        if (memcmp(&f->addr, addr, len) == 0) return f;
    }
    return NULL;
}

int file_connect(struct file *f, const struct sockaddr *addr, socklen_t len)
{
    if (f->kind != FILE_SOCKET) return -ENOTSOCK;
    if (f->linked) return -EISCONN;
    struct file *l = find_listener(addr, len);
    if (!l) return -ECONNREFUSED;
    if (l->n_queue >= l->backlog) return -EAGAIN;
    struct file *other = file_make(FILE_SOCKET);
    file_get(other);
    pair(f, other);
    l->queue[l->n_queue++] = other;
    kernel_changed();
    return 0;
}

int file_accept(struct file *f, struct sockaddr *addr, socklen_t *len)
{
    if (f->kind != FILE_LISTEN) return -EINVAL;
    if (!f->n_queue) return -EAGAIN;
    if (sim_choose(2, 32)) return sim_choose(2, 1) ? -ECONNABORTED : -EMFILE;
    struct file *c = f->queue[0];
    int fd = file_install(c);
    if (fd < 0) return fd;
    memmove(f->queue, f->queue + 1, --f->n_queue * sizeof(f->queue[0]));
    file_put(c); // the queue's
    if (addr && len) {
        *addr = (struct sockaddr){.sa_family = f->addr.ss_family};
        *len = sizeof(addr->sa_family);
    }
    kernel_changed();
    return fd;
}

int sim_socketpair(int ret_fds[2])
{
    struct file *a = file_make(FILE_SOCKET);
    ret_fds[0] = file_install(a);
    struct file *b = file_make(FILE_SOCKET);
    ret_fds[1] = file_install(b);
    pair(a, b);
    return 0;
}

int sim_pipe(int ret_fds[2])
{
    struct file *in = file_make(FILE_PIPE);
    ret_fds[0] = file_install(in);
    struct file *out = file_make(FILE_PIPE);
    ret_fds[1] = file_install(out);
    pair(in, out);
    in->writes = out->reads = false;
    return 0;
}

int sim_disk(bool direct, uint8_t mark)
{
    struct file *f = file_make(FILE_DISK);

    f->direct = direct;
    f->mark = mark;
    return file_install(f);
}

// ---- Direct calls ---------------------------------------------------------------------

// Every call is a point, and an entry into the kernel shows the caller's stores.
struct file *kernel_call(int fd)
{
    sim_step(STEP_CALL);
    sim_drain();
    return file_of(fd);
}

enum transfer { TRANSFER_IN, TRANSFER_OUT };

static ssize_t transfer(int fd, enum transfer way, const struct iovec *iov, int n,
                        bool wait)
{
    struct file *f = kernel_call(fd);

    if (!f) return -EBADF;
    file_get(f);
    ssize_t done;
    while ((done = way == TRANSFER_IN ? file_read(f, iov, n) : file_write(f, iov, n)) ==
               -EAGAIN &&
           wait && !f->nonblock)
        sim_block(SIM_KERNEL, f, INT64_MAX);
    file_put(f);
    return done;
}

static struct iovec one(const void *buf, size_t n)
{
    return (struct iovec){(void *)(uintptr_t)buf, n};
}

ssize_t os_read(int fd, void *buf, size_t n)
{
    struct iovec iov = one(buf, n);
    return transfer(fd, TRANSFER_IN, &iov, 1, true);
}

ssize_t os_write(int fd, const void *buf, size_t n)
{
    struct iovec iov = one(buf, n);
    return transfer(fd, TRANSFER_OUT, &iov, 1, true);
}

static ssize_t read_at(int fd, const struct iovec *iov, int n, int64_t offset)
{
    struct file *f = kernel_call(fd);

    return f ? file_read_at(f, iov, n, offset) : -EBADF;
}

// Nothing, some or all of what is asked for is in the page cache.
static ssize_t read_cached(int fd, const struct iovec *iov, int n, int64_t offset)
{
    struct file *f = file_of(fd);
    struct iovec part = iov[0];

    if (!f || f->kind != FILE_DISK || n != 1) return read_at(fd, iov, n, offset);
    if (sim_choose(2, 1)) return -EAGAIN;
    part.iov_len = cut(part.iov_len);
    return read_at(fd, &part, 1, offset);
}

ssize_t os_readv(int fd, const struct iovec *iov, int n, int64_t offset)
{
    if (offset >= 0) return read_at(fd, iov, n, offset);
    return transfer(fd, TRANSFER_IN, iov, n, true);
}

void os_stack_note(void *low, void *high)
{
    (void)low;
    (void)high;
}

void os_sigpipe_drop(void)
{
}

void os_sigpipe_hold(struct os_hush *ret_hush)
{
    (void)ret_hush;
}

void os_sigpipe_release(const struct os_hush *hush, bool may_have_come)
{
    (void)hush, (void)may_have_come;
}

ssize_t os_writev(int fd, const struct iovec *iov, int n, int64_t offset)
{
    if (offset >= 0) return -ESPIPE;
    return transfer(fd, TRANSFER_OUT, iov, n, true);
}

ssize_t os_readv_nowait(int fd, const struct iovec *iov, int n, int64_t offset)
{
    if (offset >= 0) return read_cached(fd, iov, n, offset);
    struct file *f = file_of(fd);
    if (f && f->kind == FILE_PIPE && sim_choose(2, 4)) return -EOPNOTSUPP;
    return transfer(fd, TRANSFER_IN, iov, n, false);
}

ssize_t os_writev_nowait(int fd, const struct iovec *iov, int n, int64_t offset)
{
    if (offset >= 0) return -ESPIPE;
    struct file *f = file_of(fd);
    if (f && f->kind == FILE_PIPE && sim_choose(2, 4)) return -EOPNOTSUPP;
    return transfer(fd, TRANSFER_OUT, iov, n, false);
}

static bool is_socket(int fd)
{
    struct file *f = file_of(fd);
    return f && (f->kind == FILE_SOCKET || f->kind == FILE_LISTEN);
}

ssize_t os_recvmsg(int fd, struct msghdr *msg, int flags)
{
    if (file_of(fd) && !is_socket(fd)) return -ENOTSOCK;
    return transfer(fd, TRANSFER_IN, msg->msg_iov, (int)msg->msg_iovlen,
                    !(flags & MSG_DONTWAIT));
}

ssize_t os_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (file_of(fd) && !is_socket(fd)) return -ENOTSOCK;
    return transfer(fd, TRANSFER_OUT, msg->msg_iov, (int)msg->msg_iovlen,
                    !(flags & MSG_DONTWAIT));
}

ssize_t os_recv(int fd, void *buf, size_t n, int flags)
{
    struct iovec iov = one(buf, n);
    if (file_of(fd) && !is_socket(fd)) return -ENOTSOCK;
    return transfer(fd, TRANSFER_IN, &iov, 1, !(flags & MSG_DONTWAIT));
}

ssize_t os_send(int fd, const void *buf, size_t n, int flags)
{
    struct iovec iov = one(buf, n);
    if (file_of(fd) && !is_socket(fd)) return -ENOTSOCK;
    return transfer(fd, TRANSFER_OUT, &iov, 1, !(flags & MSG_DONTWAIT));
}

int os_eventfd(void)
{
    kernel_call(-1);
    return file_install(file_make(FILE_EVENT));
}

int os_socket(int domain, int type, int protocol)
{
    (void)domain, (void)protocol;
    kernel_call(-1);
    struct file *f = file_make(FILE_SOCKET);
    f->nonblock = type & SOCK_NONBLOCK;
    return file_install(f);
}

int os_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct file *f = kernel_call(fd);
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&f->addr;

    if (!f) return -EBADF;
    if (find_listener(addr, len)) return -EADDRINUSE;
    memcpy(&f->addr, addr, len);
    f->addr_len = len;
    if (addr->sa_family == AF_INET && !in->sin_port) in->sin_port = htons(next_port++);
    return 0;
}

int os_listen(int fd, int backlog)
{
    struct file *f = kernel_call(fd);

    if (!f) return -EBADF;
    f->kind = FILE_LISTEN;
    f->backlog = backlog < 1 ? 1 : backlog > 8 ? 8 : (uint32_t)backlog;
    return 0;
}

int os_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct file *f = kernel_call(fd);
    int got;

    if (!f) return -EBADF;
    file_get(f);
    while ((got = file_accept(f, addr, len)) == -EAGAIN && !f->nonblock)
        sim_block(SIM_KERNEL, f, INT64_MAX);
    file_put(f);
    if (got >= 0) fds[got]->nonblock = flags & SOCK_NONBLOCK;
    return got;
}

int os_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct file *f = kernel_call(fd);
    int err;

    if (!f) return -EBADF;
    file_get(f);
    while ((err = file_connect(f, addr, len)) == -EAGAIN && !f->nonblock)
        sim_block(SIM_KERNEL, f, INT64_MAX);
    file_put(f);
    return err;
}

int os_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct file *f = kernel_call(fd);
    int is = 0;

    if (!f) return -EBADF;
    if (!is_socket(fd)) return -ENOTSOCK;
    if (level == SOL_SOCKET && name == SO_TYPE) is = SOCK_STREAM;
    if (level == SOL_SOCKET && name == SO_ACCEPTCONN) is = f->kind == FILE_LISTEN;
    if (*len > sizeof(is)) *len = sizeof(is);
    memcpy(value, &is, *len);
    return 0;
}

int os_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    (void)level, (void)name, (void)value, (void)len;
    return kernel_call(fd) ? 0 : -EBADF;
}

int os_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    struct file *f = kernel_call(fd);

    if (!f) return -EBADF;
    if (*len > f->addr_len) *len = f->addr_len;
    memcpy(addr, &f->addr, *len);
    return 0;
}

int os_shutdown(int fd, int how)
{
    struct file *f = kernel_call(fd);

    if (!f) return -EBADF;
    if (!is_socket(fd)) return -ENOTSOCK;
    if (!f->linked) return -ENOTCONN;
    if (how != SHUT_WR) f->reads = false;
    if (how != SHUT_RD) {
        f->writes = false;
        if (f->peer) f->peer->peer_done = true;
    }
    kernel_changed();
    return 0;
}

int os_close(int fd)
{
    struct file *f = kernel_call(fd);

    if (!f) return -EBADF;
    fds[fd] = NULL;
    if (--f->fds == 0) ready_forget(f);
    file_put(f);
    return 0;
}

int os_fcntl_getfl(int fd)
{
    struct file *f = kernel_call(fd);

    if (!f) return -EBADF;
    return O_RDWR | (f->nonblock ? O_NONBLOCK : 0) | (f->direct ? O_DIRECT : 0);
}

int os_fcntl_setfl(int fd, int flags)
{
    struct file *f = kernel_call(fd);

    if (!f) return -EBADF;
    f->nonblock = flags & O_NONBLOCK;
    return 0;
}

int os_fd_kind(int fd)
{
    struct file *f = kernel_call(fd);

    if (!f) return -EBADF;
    if (f->kind == FILE_SOCKET || f->kind == FILE_LISTEN) return S_IFSOCK;
    return f->kind == FILE_PIPE ? S_IFIFO : f->kind == FILE_DISK ? S_IFREG : 0;
}

// A name is never known here.
int os_resolve(const char *host, const char *service, const struct addrinfo *hints,
               struct addrinfo **ret_list)
{
    (void)host, (void)service, (void)hints, (void)ret_list;
    kernel_call(-1);
    return -ENOENT;
}

void os_resolve_free(struct addrinfo *list)
{
    (void)list;
}
