// SPDX-License-Identifier: MIT
// kernel_sim - virtual files behind virtual descriptors.
//
// A file lives while a descriptor names it or an operation of a ring holds it; so, as in Linux,
// closing a descriptor does not end what is in flight on it, and its number is used again at once.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define KERNEL_FILES 96
#define KERNEL_PIPE 256u // bytes that a socket or pipe takes; less in some runs

enum file_kind {
    FILE_NONE,
    FILE_EVENT,
    FILE_SOCKET,
    FILE_PIPE,
    FILE_LISTEN,
    FILE_EPOLL,
    FILE_DISK
};

struct file {
    enum file_kind kind;
    uint32_t refs; // descriptors and operations
    uint32_t fds;  // descriptors
    bool nonblock;
    uint64_t count; // FILE_EVENT
    bool direct;    // FILE_DISK: past the page cache
    uint8_t mark;   // FILE_DISK

    // FILE_SOCKET, FILE_PIPE: what has come and was not read.
    struct file *peer;
    bool linked; // is or was connected
    bool reads, writes;
    bool peer_done, was_reset;
    uint32_t at, n;
    uint8_t data[KERNEL_PIPE];

    // FILE_LISTEN
    struct sockaddr_storage addr;
    socklen_t addr_len;
    struct file *queue[8];
    uint32_t n_queue, backlog;
};

// NULL: no such descriptor.
struct file *file_of(int fd);
void file_get(struct file *f);
void file_put(struct file *f);
struct file *file_make(enum file_kind kind);
// The entry of a system call: a point; shows the caller's stores. The file of fd, or NULL.
struct file *kernel_call(int fd);
// Lowest free number | -EMFILE
int file_install(struct file *f);

// Each does what it can without blocking; -EAGAIN: nothing now.
ssize_t file_read(struct file *f, const struct iovec *iov, int n);
ssize_t file_write(struct file *f, const struct iovec *iov, int n);
// A descriptor.
ssize_t file_read_at(struct file *f, const struct iovec *iov, int n, int64_t offset);
int file_accept(struct file *f, struct sockaddr *addr, socklen_t *len);
int file_connect(struct file *f, const struct sockaddr *addr, socklen_t len);
short file_events(const struct file *f); // POLL*

// Something may be possible that was not: blocked workers and operations look again.
void kernel_changed(void);
bool ring_step(void);
// The last descriptor of f is gone: no epoll watches it any more.
void ready_forget(const struct file *f);
// True if this epoll has an event for somebody.
bool ready_any(const struct file *epoll);
void ready_reset(void);
void ring_reset(void);

// For scenarios: pairs as socketpair(2) and pipe(2) make them.
int sim_socketpair(int ret_fds[2]);
int sim_pipe(int ret_fds[2]);
// A file on a disk, without an end: the byte at each place is what sim_disk_byte says, with the
// bits of 'mark' turned. What a call that must not wait finds in the page cache is chance, and a
// ring has the rest when it likes.
int sim_disk(bool direct, uint8_t mark);
uint8_t sim_disk_byte(int64_t offset);
