// SPDX-License-Identifier: MIT
// platform - the seam to everything outside: kernel, liburing, libc's threads and allocator.
//
// base/platform_*.c fulfil it and are the only files that make a system call or include
// liburing.h; tests/model/platform_sim.c fulfils it with virtual workers, a virtual clock and a
// virtual kernel. All names begin with os_. Where a call can fail it returns -errno, never -1,
// and errno is dead after it.
#pragma once

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/atomic.h"

// ---- Time and chance ---------------------------------------------------------------------

int64_t os_now(void);     // CLOCK_MONOTONIC, ns
uint64_t os_random(void); // a seed; weak where the kernel has none, never fails
void os_pause(void);      // a spin loop's breath
void os_sleep_until(int64_t when);

// ---- Threads -----------------------------------------------------------------------------

// Sleeps while *word == expected, until woken or the deadline (CLOCK_NEVER: no deadline).
// 0: woken, changed or spurious - look again | -ETIMEDOUT
int os_futex_wait(atomic_u32 *word, uint32_t expected, int64_t deadline);
void os_futex_wake(atomic_u32 *word, int n);

// Makes every thread of the process pass a full fence (membarrier(2), microseconds): what
// fence_light() leaves out. Only where os_fence_heavy_get was true. False: a filter that came later
// refuses it; nothing was fenced.
bool os_fence_heavy(void);
// Asks for it, once before the first fence. False: the kernel has none, or it is refused.
bool os_fence_heavy_get(void);

struct memory; // base/memory.h; NULL: libc's

struct os_thread_told;

struct os_thread {
    uintptr_t handle;
    struct os_thread_told *told;
};

// Starts fn(arg) on a thread of its own, all signals blocked but the synchronous ones and
// SIGPROF, named 'name' (15 characters). What it is told lies in 'mem' until it is joined, so that
// the first that a host's allocator sees of a thread is what fn does. 0 | -EAGAIN | -ENOMEM
int os_thread_start(struct os_thread *ret_thread, void (*fn)(void *), void *arg,
                    const char *name, const struct memory *mem);
void os_thread_join(struct os_thread thread);
// False: it is not at its end yet, and nothing happened; its function may have returned, but the
// destructors of its thread-locals are the host's and take their time. Never waits.
bool os_thread_try_join(struct os_thread thread);
// Instead of a join, where 'mem' was NULL.
void os_thread_detach(struct os_thread thread);

// From now on os_now says on this thread what stands in *clock, which it alone writes, and a sleep
// until a time of that clock lasts as long as it still has to go; NULL: the kernel's clock again.
void os_clock_set(const int64_t *clock);

// This thread's own slot: the M it is, or NULL. One noinline load: never cached by a compiler
// over a switch (decision 15). The setter is for the thread itself.
void *os_self(void);
void os_self_set(void *self);
// A number of this thread that no other living thread of the process has; never 0.
uint64_t os_thread_id(void);
// CPU time of the thread with this number, ns; -1: it cannot be had. Any thread of the process.
int64_t os_thread_cpu(uint64_t id);
// True if the kernel says that this thread sleeps (S or D in its stat), and not that it runs or
// waits for a processor. One small file is read.
bool os_thread_sleeps(uint64_t id);
// A bit per lock rank that this thread holds; debug builds only (base/lock.h).
uint64_t *os_lock_ranks(void);
// OS_SCRATCH_BYTES of this thread's own, 16-aligned: what must survive from one call to the next
// where nothing runs in between.
#define OS_SCRATCH_BYTES 320
void *os_scratch(void);
// OS_AREA_BYTES more of its own, zero-filled when it starts: what an ordinary thread has where a
// coroutine has its descriptor.
#define OS_AREA_BYTES 64
void *os_area(void);
// Where this thread's errno lives. Same rule: fetch it again after every switch, or keep it in
// the M.
int *os_errno(void);

// Threads that the process has, this one too; 0 where the kernel does not tell.
unsigned os_thread_count(void);
// True if this thread has a shadow stack (CET): a switch would end the process.
bool os_shadow_stack(void);

// min(affinity mask, cgroup v1 or v2 CPU quota over all ancestors, rounded up); at least 1.
unsigned os_cpu_count(void);

// ---- Fork ----------------------------------------------------------------------------------

// How many forks lie between this process and the one that the library was loaded into: differs
// from a number that was kept means that this is a child. 0 until os_on_fork was called.
uint32_t os_forks(void);
// From now on 'hook' is called in the child of every fork(2), on its only thread, after os_self
// became NULL there and a thread of ours got the signal mask of its starter back. It may only write
// words. The same hook counts once; there is no way back. 0 | -ENOMEM
typedef void os_fork_hook(void);
int os_on_fork(os_fork_hook *hook);
// Ends the calling thread on whatever stack it stands; the last one's end is the process's.
_Noreturn void os_thread_end(void);

// ---- C++ -----------------------------------------------------------------------------------

// What the C++ runtime keeps of exceptions in every thread (Itanium C++ ABI, 2.2.2).
struct os_exceptions {
    void *caught;
    uint64_t uncaught;
};
// This thread's; NULL where the process had no C++ runtime when the library was loaded.
struct os_exceptions *os_exceptions(void);

// ---- Memory ------------------------------------------------------------------------------

void *os_alloc(size_t bytes, size_t align); // zero-filled; NULL: out of memory
void os_free(void *p);

size_t os_page_bytes(void);
// Private, anonymous, NORESERVE, no huge pages, page-aligned, zero-filled. NULL: -ENOMEM
void *os_map(size_t bytes);
void os_unmap(void *p, size_t bytes);
// Gives the pages of n pieces back, each of 'bytes'; they read as zero afterwards. Guards stay.
void os_discard(void *const *pieces, size_t bytes, unsigned n);
// Makes the mapping as it was when it was new, page tables and all: zero-filled, no guards.
// 0 | -ENOMEM (nothing happened)
int os_renew(void *p, size_t bytes);
// How far above 'low' the first page lies that was ever touched; 'bytes' if none was. Fit for a
// signal handler.
size_t os_first_touched(const void *low, size_t bytes);
// Makes 'n' guards of 'bytes' each, 'stride' apart from 'first', that take no mapping
// (MADV_GUARD_INSTALL, in batches). 0 | -EINVAL (the kernel has none, or only pretends to:
// the first guard is believed when the kernel itself fails to read it) | -ENOMEM
int os_guard_light(void *first, size_t bytes, size_t stride, unsigned n);
// One guard by PROT_NONE; takes two mappings. 0 | -ENOMEM
int os_guard_protect(void *p, size_t bytes);
// From now on a SIGSEGV of the kernel's on a thread with os_self() set calls look(address) first,
// in the handler, and then has the outcome that it would have had. Counted: each begin wants an
// end, the last of which gives the disposition back. All give the same 'look'.
void os_fault_begin(void (*look)(uintptr_t address));
void os_fault_end(void);
// An alternate signal stack for this thread. NULL: out of memory.
void *os_altstack_begin(void);
void os_altstack_end(void *altstack); // NULL is allowed
// Tells valgrind, where we run under it, that this is a stack: a switch to it is no overflow.
void os_stack_note(void *low, void *high);
// vm.max_map_count, or 65530 where it cannot be read.
unsigned os_map_limit(void);

// ---- Code ----------------------------------------------------------------------------------

// The sorted index of the frame tables (.eh_frame_hdr) of the object that 'pc' lies in. False:
// none. Takes the loader's lock.
struct os_frame_index {
    const uint8_t *header;
};
bool os_frame_index(uintptr_t pc, struct os_frame_index *ret_index);

// What an address of code is called. False: it is in no object.
struct os_symbol {
    const char *module; // its path
    const char *name;   // NULL: none that is exported
    uintptr_t offset;   // from the name's beginning, or from the module's
};
bool os_symbol(const void *at, struct os_symbol *ret_symbol);
// The same without the name, and without the loader's lock, which a thread that is stuck in
// dlopen(3) may hold. 'offset' is what addr2line(1) wants. While the module stays loaded.
bool os_module(const void *at, struct os_symbol *ret_symbol);

// ---- Descriptors: direct calls -------------------------------------------------------------
// Each is the system call of that name, retried on EINTR, with -errno as the error. Those made
// here are close-on-exec. Sockets are sent to with MSG_NOSIGNAL always.

int os_eventfd(void); // blocking: a ring must be able to wait for it
ssize_t os_read(int fd, void *buf, size_t n);
ssize_t os_write(int fd, const void *buf, size_t n);
// 'offset' -1: at the descriptor's own position, which moves.
ssize_t os_readv(int fd, const struct iovec *iov, int n, int64_t offset);
ssize_t os_writev(int fd, const struct iovec *iov, int n, int64_t offset);
// os_writev and os_writev_nowait neither raise SIGPIPE nor leave it pending; os_write is for our
// own descriptors. The drop is for a ring's writes, which raise it on their worker; where a thread
// of the host's enters the ring, which may have SIGPIPE unblocked or pending itself, it holds it
// back around that instead.
void os_sigpipe_drop(void);
struct os_hush {
    sigset_t before;
    bool done, was_pending;
};
void os_sigpipe_hold(struct os_hush *ret_hush);
void os_sigpipe_release(const struct os_hush *hush, bool may_have_come);
// With RWF_NOWAIT: -EAGAIN where it would block, -EOPNOTSUPP where it cannot know.
ssize_t os_readv_nowait(int fd, const struct iovec *iov, int n, int64_t offset);
ssize_t os_writev_nowait(int fd, const struct iovec *iov, int n, int64_t offset);
ssize_t os_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t os_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t os_recv(int fd, void *buf, size_t n, int flags);
ssize_t os_send(int fd, const void *buf, size_t n, int flags);
int os_socket(int domain, int type, int protocol);
int os_bind(int fd, const struct sockaddr *addr, socklen_t len);
int os_listen(int fd, int backlog);
int os_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int os_connect(int fd, const struct sockaddr *addr, socklen_t len);
int os_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int os_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int os_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int os_shutdown(int fd, int how);
int os_close(int fd); // never retried: the descriptor is gone whatever it says
int os_fcntl_getfl(int fd);
int os_fcntl_setfl(int fd, int flags);
// poll(2) on n descriptors until the deadline. Count ready | 0: deadline or a signal
int os_poll(struct pollfd *fds, unsigned n, int64_t deadline);
// The soft limit of open descriptors.
unsigned os_fd_limit(void);
// S_IFMT bits of what fd is | -EBADF
int os_fd_kind(int fd);

// ---- Files, names, processes: may block ------------------------------------------------------

int os_open(const char *path, int flags, mode_t mode);
int os_fsync(int fd, bool data_only);
struct statx;
int os_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *ret);
int os_unlink(const char *path);
int os_rename(const char *from, const char *to);
int os_mkdir(const char *path, mode_t mode);
int64_t os_seek(int fd, int64_t offset, int whence);
int os_fcntl_cloexec(int fd); // makes it close-on-exec

// getaddrinfo(3): blocks for as long as it likes. 0 | -ENOENT (unknown) | -EAGAIN (no answer for
// now) | -ENOMEM | -EINVAL (what is asked for cannot be)
struct addrinfo;
int os_resolve(const char *host, const char *service, const struct addrinfo *hints,
               struct addrinfo **ret_list);
void os_resolve_free(struct addrinfo *list);

int os_process_id(void);
// A descriptor that is readable once the process ended. -ESRCH | -ENOSYS (before 5.3)
int os_pidfd_open(pid_t pid);
// Whether one of the children that waitpid(2) means by 'pid' has ended; takes nothing.
// 0: it has | -EAGAIN: none yet, where it must not block | -ECHILD: there are none
int os_child_ended(pid_t pid, bool may_block);
// waitpid(2) that never blocks: the pid | 0: it runs | -ECHILD
int os_waitpid_now(pid_t pid, int *ret_status);

struct os_spawn {
    const sigset_t *mask;  // NULL: the caller's
    const char *directory; // NULL: the caller's
    const int (*fds)[2];   // pairs {ours, the child's}, in this order
    unsigned n_fds;
};
// posix_spawnp(3): returns when the program was loaded or could not be.
int os_spawn(const char *file, char *const argv[], char *const envp[],
             const struct os_spawn *how, pid_t *ret_pid);

// Signals: this thread's mask, and descriptors that are read for them (non-blocking).
void os_signals_mask(sigset_t *ret_mask);
void os_signals_set(const sigset_t *mask);
void os_signals_block(const sigset_t *set);
void os_signals_add(sigset_t *to, const sigset_t *more);
// True if every thread of the runtime blocks all of the set (os_thread_start).
bool os_signals_are_ours(const sigset_t *set);
int os_signalfd(const sigset_t *set);

// ---- epoll -------------------------------------------------------------------------------

struct epoll_event;
int os_epoll_open(void);
int os_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int os_epoll_wait(int epfd, struct epoll_event *events, int n, int64_t deadline);

// ---- io_uring ----------------------------------------------------------------------------
// The kernel's own structs; netpoll/uring.c fills and reads them. One thread owns the
// submission side, and the completion side too unless it lent that out under a lock.

struct io_uring_sqe;
struct io_uring_cqe;
struct os_ring; // one ring; made by os_ring_open

struct os_ring_info {
    unsigned features; // IORING_FEAT_*
    unsigned sq_entries, cq_entries;
};

// Sets one ring up with exactly these IORING_SETUP_* flags, MADV_DONTFORK, close-on-exec, in 'mem'.
// Where the kernel does not tell what it knows, its error is the answer.
// 0 | -ENOSYS | -EPERM | -EINVAL (unknown flag) | -ENOMEM | -EMFILE | -ENFILE
int os_ring_open(unsigned entries, unsigned cq_entries, unsigned flags,
                 const struct memory *mem, struct os_ring **ret_ring,
                 struct os_ring_info *ret_info);
void os_ring_close(struct os_ring *ring);
// At most so many kernel threads for what blocks, of this ring; a kernel before 5.15 has no say.
void os_ring_cap_workers(struct os_ring *ring, unsigned most);
// From now on 'fd', an eventfd, is written whenever completions or completion work come. 0 | -errno
int os_ring_tells(struct os_ring *ring, int fd);
// True where the kernel knows this IORING_OP_*.
bool os_ring_knows(struct os_ring *ring, unsigned op);
// The next free entry, zero-filled, or NULL: the queue is full, submit first.
struct io_uring_sqe *os_ring_sqe(struct os_ring *ring);
// Entries got and not yet submitted.
unsigned os_ring_unsubmitted(struct os_ring *ring);
// Publishes and submits what was got; runs completion work; with 'wait' sleeps until at least
// one completion or the deadline. >= 0: number submitted | -ETIME | -EINTR | -EBUSY | -EAGAIN
// and whatever else io_uring_enter says: the caller decides.
int os_ring_enter(struct os_ring *ring, bool wait, int64_t deadline);
// The same sleep for n completions, of which a first one is enough when OS_GATHER_NS have passed:
// the kernel then wakes this thread once for several that end in their own time. Only where
// os_ring_info.features has IORING_FEAT_MIN_TIMEOUT (6.12).
#define OS_GATHER_NS INT64_C(50000)
int os_ring_gather(struct os_ring *ring, unsigned n, int64_t deadline);
// True when the kernel has completion work or overflowed completions that only an enter brings.
bool os_ring_needs_enter(struct os_ring *ring);
// Shows the kernel what was got and not yet submitted, without a system call: the next enter by
// anybody who may takes it. The submission side's owner, or who holds it under a lock.
void os_ring_publish(struct os_ring *ring);
// The oldest completion not yet consumed, or NULL. No system call.
struct io_uring_cqe *os_ring_cqe(struct os_ring *ring);
void os_ring_cqe_done(struct os_ring *ring);

// ---- The pump ----------------------------------------------------------------------------
// A ring of DEFER_TASKRUN or COOP_TASKRUN brings completions only when its own thread enters. While
// that thread is stuck in foreign code another one sends it a directed signal, whose handler enters
// for it: raw system calls, no lock, no thread-local. What the handler may do stands in a box that
// outlives the thread, so a signal that comes late finds the box shut.

#define OS_PUMP_FRAMES 16

struct os_pump {
    // Constant while a thread has the box.
    uint64_t thread;
    int signal;
    int ring_fd; // -1: none
    unsigned entries;

    // Atomic.
    atomic_u32 taken; // some thread has it
    atomic_u32 open;  // the thread is outside the runtime and its ring is lent
    atomic_u32 sent;  // a signal is under way

    // Atomic: what the stall watch asked for, and the answer. Written before asked is ANSWERED.
    atomic_u32 asked;
    uintptr_t low, high; // of the stack that may be walked
    uint32_t n_frames;
    uintptr_t frames[OS_PUMP_FRAMES + 1]; // the program counter, then return addresses
};

enum { PUMP_UNASKED, PUMP_ASKED, PUMP_ANSWERED };

// Takes a signal for the process: 'wanted', or with 0 a free real-time one; several runtimes share
// it. Its number | -EINVAL (not a real-time signal) | -EBUSY (taken, or none is free)
int os_pump_begin(int wanted);
// Gives it back; the last one restores the default disposition.
void os_pump_end(int signal);
// A box for the calling thread, which from now on takes the signal. NULL: none left
struct os_pump *os_pump_get(int signal);
// The thread ends.
void os_pump_put(struct os_pump *pump);
// The ring that the handler enters.
void os_ring_pumped_by(struct os_ring *ring, struct os_pump *pump);
// Sends the signal. Who knows that the thread lives, or may do without. False: one is under way, or
// it could not be sent.
bool os_pump_send(struct os_pump *pump);
// True if none is under way: whatever that thread stored before the last one is seen.
bool os_pump_answered(struct os_pump *pump);
