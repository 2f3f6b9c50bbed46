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
#include <sys/select.h> /* sigset_t, whatever standard is asked for */
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <coir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct addrinfo; // <netdb.h>
struct statx;    // <sys/stat.h>

// read(2): waits until at least one byte or the end; with n of 0 for nothing, and takes nothing.
// Bytes read, 0 at the end | -EINVAL (NULL) | -EIO
COIR_API COIR_MUST_USE ssize_t coir_read(int fd, void *buf, size_t n, int64_t deadline);
// write(2): waits until at least one byte was taken. With n of 0 a datagram socket sends an empty
// message. Bytes written | -EPIPE (nobody reads) | -EINVAL (NULL)
COIR_API COIR_MUST_USE ssize_t coir_write(int fd, const void *buf, size_t n,
                                          int64_t deadline);
// readv(2) and writev(2) with n buffers; with n of 0 iov may be NULL. Where there is nothing to
// move the answer is 0 at once, and no message is taken or sent.
// The same | -EINVAL (n below 0 or above IOV_MAX, a length above SSIZE_MAX)
COIR_API COIR_MUST_USE ssize_t coir_readv(int fd, const struct iovec *iov, int n,
                                          int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_writev(int fd, const struct iovec *iov, int n,
                                           int64_t deadline);

// Reads or writes all n bytes. A smaller count says that the end or an error came after so many:
// the next call says which. -errno only if nothing was moved. n of 0 is 0, whatever fd is.
COIR_API COIR_MUST_USE ssize_t coir_read_full(int fd, void *buf, size_t n,
                                              int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_write_all(int fd, const void *buf, size_t n,
                                              int64_t deadline);

// recv(2) and send(2). MSG_DONTWAIT in flags gives -EAGAIN where the call would wait; what is
// received with MSG_OOB or MSG_ERRQUEUE is never waited for (coir_poll does that). MSG_WAITALL: all
// n bytes of a stream; without effect beside these three and MSG_PEEK, and in recvfrom and recvmsg.
// Bytes, 0 at the end of a stream | -ENOTSOCK | -ENOTCONN | -ECONNRESET | send: -EPIPE
COIR_API COIR_MUST_USE ssize_t coir_recv(int fd, void *buf, size_t n, int flags,
                                         int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_send(int fd, const void *buf, size_t n, int flags,
                                         int64_t deadline);

// recvfrom(2) and sendto(2). addr and len may both be NULL; *len is the room and then the length.
// Bytes, and of a datagram what fits | the same errors | -EMSGSIZE | -EDESTADDRREQ
COIR_API COIR_MUST_USE ssize_t coir_recvfrom(int fd, void *buf, size_t n, int flags,
                                             struct sockaddr *addr, socklen_t *len,
                                             int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_sendto(int fd, const void *buf, size_t n, int flags,
                                           const struct sockaddr *addr, socklen_t len,
                                           int64_t deadline);
// recvmsg(2) and sendmsg(2). Descriptors that are received (SCM_RIGHTS) are close-on-exec; one that
// is sent may be closed as soon as the call returned. The same errors | -EINVAL (NULL)
COIR_API COIR_MUST_USE ssize_t coir_recvmsg(int fd, struct msghdr *msg, int flags,
                                            int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_sendmsg(int fd, const struct msghdr *msg, int flags,
                                            int64_t deadline);

// ---- Files ------------------------------------------------------------------------------------
// Where they go on: what is in the page cache comes by a direct call; else the ring does it, and on
// epoll a helper thread: -EAGAIN where there is none and none can be made. A deadline ends the wait
// for a helper, but not a call that the kernel has begun; COIR_NOW gives what needs no disk.

// pread(2) and pwrite(2), at 'offset'; the descriptor's own position stays. Any number at once.
// Bytes, 0 at the end | -EINVAL (offset below 0) | -ESPIPE (no file) | -EIO | pwrite: -ENOSPC
COIR_API COIR_MUST_USE ssize_t coir_pread(int fd, void *buf, size_t n, int64_t offset,
                                          int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_pwrite(int fd, const void *buf, size_t n,
                                           int64_t offset, int64_t deadline);
// The same with n buffers, as coir_readv | -EINVAL (n below 0 or above IOV_MAX)
COIR_API COIR_MUST_USE ssize_t coir_preadv(int fd, const struct iovec *iov, int n,
                                           int64_t offset, int64_t deadline);
COIR_API COIR_MUST_USE ssize_t coir_pwritev(int fd, const struct iovec *iov, int n,
                                            int64_t offset, int64_t deadline);

// open(2), close-on-exec always. mode counts with O_CREAT only. Does not wait for the other end of
// a FIFO or for a line's carrier, whatever flags say; afterwards the mode is what they say. Before
// anybody has opened a FIFO to write, a read may wait for that or say 0; coir_poll waits.
// fd | -ENOENT | -EEXIST | -EACCES | -EISDIR | -ENOTDIR | -EMFILE | -EINVAL (NULL)
// | -ENXIO (to write to a FIFO that nobody reads)
COIR_API COIR_MUST_USE int coir_open(const char *path, int flags, mode_t mode);
// fsync(2) and fdatasync(2): what was written before is on the disk. 0 | -EIO | -EINVAL (no file)
COIR_API COIR_MUST_USE int coir_fsync(int fd);
COIR_API COIR_MUST_USE int coir_fdatasync(int fd);
// statx(2); AT_FDCWD for dirfd, AT_EMPTY_PATH with "" for dirfd itself.
// 0 | -ENOENT | -EINVAL (NULL)
COIR_API COIR_MUST_USE int coir_statx(int dirfd, const char *path, int flags,
                                      unsigned mask, struct statx *ret_statx);
// unlink(2), rename(2), mkdir(2). 0 | -ENOENT | -EACCES | -EEXIST | -EISDIR | -EINVAL (NULL)
COIR_API COIR_MUST_USE int coir_unlink(const char *path);
COIR_API COIR_MUST_USE int coir_rename(const char *from, const char *to);
COIR_API COIR_MUST_USE int coir_mkdir(const char *path, mode_t mode);

// sendfile(2): moves up to n bytes of the file 'in' to 'out', from *offset on, which is moved with
// them, or with NULL from in's own position on. Less than n: the file ended, or the deadline, a
// cancel or an error came after so many.
// Bytes, 0 at the end of the file | -EINVAL (in has no position) | -EPIPE
COIR_API COIR_MUST_USE ssize_t coir_sendfile(int out, int in, off_t *offset, size_t n,
                                             int64_t deadline);

// ---- Connections ------------------------------------------------------------------------------

// accept4(2): waits for a connection. addr and len may both be NULL. The new descriptor is
// close-on-exec; flags: SOCK_CLOEXEC, SOCK_NONBLOCK. A connection that was reset while it queued
// is skipped; without free descriptors it backs off and tries again until the deadline.
// fd | -EINVAL (a socket that does not listen, unknown flags) | -EOPNOTSUPP (a datagram socket)
// | -ENOTSOCK
COIR_API COIR_MUST_USE int coir_accept(int fd, struct sockaddr *addr, socklen_t *len,
                                       int flags, int64_t deadline);

// connect(2): waits until the connection stands. After an error or a deadline close fd. Where a
// Unix listener's queue is full it asks again after pauses of 1 to 20 ms.
// 0 | -ECONNREFUSED | -EISCONN | -ENETUNREACH | -EAFNOSUPPORT
COIR_API COIR_MUST_USE int coir_connect(int fd, const struct sockaddr *addr,
                                        socklen_t len, int64_t deadline);

// poll(2) on one descriptor: waits for any of POLLIN, POLLOUT, POLLPRI and POLLRDHUP that events
// names, and for an error or a hang-up. For libraries that do their own input and output (libpq,
// libcurl, OpenSSL). > 0: revents
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
// over. "systemd:NAME" is the socket that systemd opened under that name, "systemd:" the first one:
// of the options tcp_nodelay alone counts there, and -ENOENT says that none was passed. On epoll
// and on an ordinary thread a listener is O_NONBLOCK, unless it is systemd's; what it accepts is
// not.
// fd | -EINVAL (not an address) | -EADDRINUSE | -EADDRNOTAVAIL | -EACCES | -ENOENT (unknown
// name) | -ENAMETOOLONG | -EMFILE
COIR_API COIR_MUST_USE int coir_listen(const char *address,
                                       const coir_listen_options *opts);

// Connects a stream socket to such an address; every address that a name has is tried in turn,
// each for an even share of the time that is left.
// fd | -EINVAL (not an address) | -ENOENT (unknown name, or no such path) | -ECONNREFUSED
// | -ETIMEDOUT | -ECANCELED | -EMFILE | -EAGAIN (a name: as coir_resolve)
COIR_API COIR_MUST_USE int coir_dial(const char *address, int64_t deadline);

// getaddrinfo(3) on a helper thread; numbers are answered at once. A caller whose deadline passed
// leaves; the look-up then ends by itself, and a stop waits for it.
// 0: the list is the caller's, to be given to coir_resolve_free | -ENOENT (no such name or service)
// | -EAGAIN (no answer for now, or no helper) | -EINVAL (both NULL, bad hints) | -ENAMETOOLONG
COIR_API COIR_MUST_USE int coir_resolve(const char *host, const char *service,
                                        const struct addrinfo *hints,
                                        struct addrinfo **ret_list, int64_t deadline);
// NULL is allowed.
COIR_API void coir_resolve_free(struct addrinfo *list);

// ---- Processes and signals --------------------------------------------------------------------

// Waits until the child 'pid' ended and takes its status (waitpid(2)'s; may be NULL). As there, -1
// means any child, 0 any of the caller's process group, and below -1 any of the group -pid; for
// these a runtime without a ring, an ordinary thread and Linux before 6.7 look again after pauses
// of 1 to 50 ms.
// The pid | -ECHILD (no such child of ours, or another took it) | -ENOSYS (one child, Linux before
// 5.3)
COIR_API COIR_MUST_USE int coir_waitpid(pid_t pid, int *ret_status, int64_t deadline);

// Zero-filled: nothing special.
typedef struct coir_process_options {
    const int (*fds)[2]; // pairs {ours, the child's}, made by dup2(2) in this order
    unsigned n_fds;
    const char *directory; // where the child starts; NULL: here
    uint64_t reserved_[4]; // zero
} coir_process_options;

// Starts a program as posix_spawnp(3) does: 'file' is looked for in PATH, argv ends with NULL, envp
// NULL is ours. Its signal mask is that of the thread that started the runtime, since the
// runtime's own threads block signals. It inherits what is not close-on-exec and what the options
// name; opts may be NULL. Waits until the program is loaded.
// 0 | -ENOENT | -EACCES | -ENOMEM | -EAGAIN (no process or no helper thread can be made) | -EINVAL
COIR_API COIR_MUST_USE int coir_process_start(const char *file, char *const argv[],
                                              char *const envp[],
                                              const coir_process_options *opts,
                                              pid_t *ret_pid);

// A descriptor whose reads give struct signalfd_siginfo for the signals of the set. They are
// blocked in the runtime's threads and, until coir_run returns, in its caller; other threads must
// block them themselves. SIGKILL, SIGSTOP, the synchronous signals, SIGABRT and SIGPROF cannot be
// had so. fd | -EINVAL | -EMFILE
COIR_API COIR_MUST_USE int coir_signal_open(const sigset_t *set);

// ---- Calls that block -------------------------------------------------------------------------

// Runs fn(arg) on a helper thread with a full-size stack and waits until it returned; an ordinary
// thread runs it itself. Calls wait for a helper in the order in which they came. Neither a
// deadline nor a cancel interrupts it. fn may make coir calls, as an ordinary thread does.
// 0 | -EAGAIN (no helper exists and none can be made) | -ENOMEM | -EINVAL (NULL)
COIR_API COIR_MUST_USE int coir_blocking(void (*fn)(void *), void *arg);

#ifdef __cplusplus
}
#endif

#endif
