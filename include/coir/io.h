// SPDX-License-Identifier: MIT
// coir/io.h - input and output on plain descriptors, with deadlines.
//
// A call parks the coroutine and not its thread; an ordinary thread waits in poll(2). Descriptors
// are the kernel's own numbers: those that coir makes and those that the host made are used alike,
// and the blocking mode of the latter stays as it was.
//
//     one coroutine may read and another write the same fd at once; two readers take turns, in
//     the order in which they came. coir_close ends everyone who waits on fd with -EBADF: never
//     close(2) a descriptor that others may be using through coir.
//
// Every call below that takes a deadline may also return, beside what it names:
//     -ETIMEDOUT (the deadline), -ECANCELED, -EBADF (not a descriptor, or closed meanwhile),
//     -ENOMEM, and any other error of the system call that it stands for.
// With COIR_NOW and nothing ready the answer is -ETIMEDOUT, never -EAGAIN. What was moved before a
// deadline or a cancel is returned as a count. SIGPIPE is never raised.
#ifndef COIR_IO_H
#define COIR_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <coir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// read(2): waits until at least one byte or the end. Bytes read, 0 at the end | -EINVAL | -EIO
COIR_API COIR_MUST_USE ssize_t coir_read(int fd, void *buf, size_t n, int64_t deadline);
// write(2): waits until at least one byte was taken. Bytes written | -EPIPE (nobody reads)
COIR_API COIR_MUST_USE ssize_t coir_write(int fd, const void *buf, size_t n,
                                          int64_t deadline);
// readv(2) and writev(2) with n buffers. The same | -EINVAL (n below 0 or above IOV_MAX)
COIR_API COIR_MUST_USE ssize_t coir_readv(int fd, const struct iovec *iov, int n,
                                          int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_writev(int fd, const struct iovec *iov, int n,
                                           int64_t deadline);

// Reads or writes all n bytes. A smaller count says that the end or an error came after so many:
// the next call says which. -errno only if nothing was moved.
COIR_API COIR_MUST_USE ssize_t coir_read_full(int fd, void *buf, size_t n,
                                              int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_write_all(int fd, const void *buf, size_t n,
                                              int64_t deadline);

// recv(2) and send(2). MSG_DONTWAIT in flags gives -EAGAIN where the call would wait.
// Bytes, 0 at the end of a stream | -ENOTSOCK | -ENOTCONN | -ECONNRESET | send: -EPIPE
COIR_API COIR_MUST_USE ssize_t coir_recv(int fd, void *buf, size_t n, int flags,
                                         int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_send(int fd, const void *buf, size_t n, int flags,
                                         int64_t deadline);

// accept4(2): waits for a connection. addr and len may both be NULL. The new descriptor is
// close-on-exec; flags: SOCK_CLOEXEC, SOCK_NONBLOCK. A connection that was reset while it queued
// is skipped; without free descriptors it backs off and tries again until the deadline.
// fd | -EINVAL (not listening) | -ENOTSOCK
COIR_API COIR_MUST_USE int coir_accept(int fd, struct sockaddr *addr, socklen_t *len,
                                       int flags, int64_t deadline);

// connect(2): waits until the connection stands. After an error or a deadline close fd.
// 0 | -ECONNREFUSED | -EISCONN | -ENETUNREACH | -EAFNOSUPPORT
COIR_API COIR_MUST_USE int coir_connect(int fd, const struct sockaddr *addr,
                                        socklen_t len, int64_t deadline);

// poll(2) on one descriptor: waits for POLLIN, POLLOUT, POLLPRI or POLLRDHUP. For libraries that do
// their own input and output (libpq, libcurl, OpenSSL). > 0: revents
COIR_API COIR_MUST_USE int coir_poll(int fd, short events, int64_t deadline);

// Ends fd: whoever waits on it gets -EBADF, then it is closed. Waits only for those to let go. It
// is closed whatever is returned. Not a cancellation point.
// 0 | -EBADF (not open) | -EIO (the kernel could not write what was buffered)
COIR_API int coir_close(int fd);

// shutdown(2): SHUT_RD, SHUT_WR, SHUT_RDWR. Never waits. 0 | -EBADF | -ENOTCONN | -EINVAL
COIR_API int coir_shutdown(int fd, int how);

// NULL or zero-filled: SO_REUSEADDR, a backlog of SOMAXCONN, nothing else.
typedef struct coir_listen_options {
    bool reuse_port;  // SO_REUSEPORT: several listeners share the address
    bool tcp_nodelay; // for every connection that is accepted
    int backlog;
    uint64_t reserved_[4]; // zero
} coir_listen_options;

// Opens a listening stream socket on "127.0.0.1:8080", "[::]:80", "localhost:0" or "unix:/run/x"
// ("unix:@name" is in the abstract namespace). A Unix path that nobody serves any more is taken
// over. Looking up a host's name may block the thread: numbers and "localhost" do not.
// fd | -EINVAL (not an address) | -EADDRINUSE | -EADDRNOTAVAIL | -EACCES | -ENOENT (unknown
// name) | -ENAMETOOLONG | -EMFILE
COIR_API COIR_MUST_USE int coir_listen(const char *address,
                                       const coir_listen_options *opts);

// Connects a stream socket to such an address; every address that a name has is tried in turn.
// fd | -EINVAL (not an address) | -ENOENT (unknown name, or no such path) | -ECONNREFUSED
// | -ETIMEDOUT | -ECANCELED | -EMFILE
COIR_API COIR_MUST_USE int coir_dial(const char *address, int64_t deadline);

#ifdef __cplusplus
}
#endif

#endif
