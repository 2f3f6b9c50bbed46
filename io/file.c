// SPDX-License-Identifier: MIT
// file - files: reads and writes at a place of their own, and what a path names.
//
// Nothing here takes turns: two reads at two places of one file go on at once. What the page cache
// has comes by a direct call; the rest is done by the ring, on epoll by a helper thread.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/platform.h"
#include "coir/io.h"
#include "io/fd.h"
#include "sched/park.h"

#define MOST ((size_t)INT32_MAX) // of one operation; a longer one moves less

static uint32_t clip(size_t n)
{
    return (uint32_t)(n < MOST ? n : MOST);
}

// A ring would take a pipe's next bytes whatever place was named.
static bool has_no_places(const struct fd_use *use, const struct op *op)
{
    return op->positioned && !fd_is_file(use) && os_seek(op->fd, 0, SEEK_CUR) == -ESPIPE;
}

static int32_t run(struct op *op, int64_t deadline)
{
    struct fd_use use;
    int err = park_canceled();

    if (err < 0) return err;
    if ((err = fd_begin(op->fd, FD_NO_TURN, deadline, &use)) < 0) return err;
    int32_t result = has_no_places(&use, op) ? -ESPIPE : fd_run(&use, op, deadline);
    fd_end(&use);
    return result;
}

// The same for what an attempt has left of the file that was open in its time.
static int32_t run_rest(struct op *op, uint32_t life, int64_t deadline)
{
    struct fd_use use;
    int err = fd_begin(op->fd, FD_NO_TURN, deadline, &use);

    if (err < 0) return err;
    int32_t result = fd_lives_on(&use, life) ? fd_run(&use, op, deadline) : -EBADF;
    fd_end(&use);
    return result;
}

// ---- At a place ----------------------------------------------------------------------------

// One buffer: mostly in the page cache, and then cheapest without the descriptor's lock, which
// others on other processors want too.
static int32_t run_at_place(struct op *op, int64_t deadline)
{
    struct caller me;
    int err = park_begin(&me, deadline);

    if (err < 0) return err;
    uint32_t life;
    bool is_done = fd_run_cached(op, &life);
    int32_t moved = op->result;
    if (is_done) return moved;
    if (moved == 0) return run(op, deadline);
    int32_t rest = run_rest(op, life, deadline);
    return rest > 0 ? moved + rest : moved; // the next call says why
}

ssize_t coir_pread(int fd, void *buf, size_t n, int64_t offset, int64_t deadline)
{
    struct op op = {.code = OP_READ,
                    .fd = fd,
                    .buf = buf,
                    .len = clip(n),
                    .positioned = true,
                    .offset = offset};

    if ((!buf && n) || offset < 0) return -EINVAL;
    return run_at_place(&op, deadline);
}

ssize_t coir_pwrite(int fd, const void *buf, size_t n, int64_t offset, int64_t deadline)
{
    struct op op = {.code = OP_WRITE,
                    .fd = fd,
                    .buf = (void *)(uintptr_t)buf,
                    .len = clip(n),
                    .positioned = true,
                    .offset = offset};

    if ((!buf && n) || offset < 0) return -EINVAL;
    return run_at_place(&op, deadline);
}

static ssize_t run_vector(int fd, enum op_code code, const struct iovec *iov, int n,
                          int64_t offset, int64_t deadline)
{
    struct op op = {.code = (uint8_t)code,
                    .fd = fd,
                    .iov = iov,
                    .len = (uint32_t)n,
                    .positioned = true,
                    .offset = offset};

    if ((!iov && n) || n < 0 || n > IOV_MAX || offset < 0) return -EINVAL;
    return run(&op, deadline);
}

ssize_t coir_preadv(int fd, const struct iovec *iov, int n, int64_t offset,
                    int64_t deadline)
{
    return run_vector(fd, OP_READV, iov, n, offset, deadline);
}

ssize_t coir_pwritev(int fd, const struct iovec *iov, int n, int64_t offset,
                     int64_t deadline)
{
    return run_vector(fd, OP_WRITEV, iov, n, offset, deadline);
}

// ---- Durability ----------------------------------------------------------------------------

int coir_fsync(int fd)
{
    struct op op = {.code = OP_FSYNC, .fd = fd};

    return run(&op, CLOCK_NEVER);
}

int coir_fdatasync(int fd)
{
    struct op op = {.code = OP_FSYNC, .fd = fd, .flags = 1};

    return run(&op, CLOCK_NEVER);
}

// ---- Paths ---------------------------------------------------------------------------------

static int run_path(struct op *op)
{
    int err = park_canceled();

    if (err < 0) return err;
    return op->path ? fd_run_path(op) : -EINVAL;
}

static int open_as(const char *path, int flags, mode_t mode)
{
    struct op op = {.code = OP_OPEN,
                    .fd = AT_FDCWD,
                    .path = path,
                    .flags = flags | O_CLOEXEC,
                    .len = mode};

    return run_path(&op);
}

// Nobody waits for the other end of a FIFO, which nothing could end (docs/adr/0084). A ring alone
// would do so if the path's names happened to be cached.
int coir_open(const char *path, int flags, mode_t mode)
{
    int fd = open_as(path, flags | O_NONBLOCK, mode);

    if (flags & O_NONBLOCK) return fd;
    if (fd == -EAGAIN) return open_as(path, flags, mode); // a file's lease: waited for
    if (fd >= 0) os_fcntl_setfl(fd, flags);
    return fd;
}

int coir_statx(int dirfd, const char *path, int flags, unsigned mask,
               struct statx *ret_statx)
{
    struct statx found;
    struct op op = {.code = OP_STATX,
                    .fd = dirfd,
                    .path = path,
                    .flags = flags,
                    .len = mask,
                    .statx = &found};

    if (!ret_statx) return -EINVAL;
    int err = run_path(&op);
    if (err == 0) *ret_statx = found;
    return err;
}

int coir_unlink(const char *path)
{
    struct op op = {.code = OP_UNLINK, .fd = AT_FDCWD, .path = path};

    return run_path(&op);
}

int coir_rename(const char *from, const char *to)
{
    struct op op = {.code = OP_RENAME, .fd = AT_FDCWD, .path = from, .path_to = to};

    return to ? run_path(&op) : -EINVAL;
}

int coir_mkdir(const char *path, mode_t mode)
{
    struct op op = {.code = OP_MKDIR, .fd = AT_FDCWD, .path = path, .len = mode};

    return run_path(&op);
}

// ---- A file into a stream ---------------------------------------------------------------------

#define PART_BYTES ((size_t)128 << 10)

// Sends from 'from' on. The number of bytes | -errno if none was moved.
static ssize_t send_from(int out, int in, int64_t from, size_t n, char *part,
                         int64_t deadline)
{
    size_t done = 0;
    ssize_t put = 0;

    while (done < n) {
        size_t want = n - done < PART_BYTES ? n - done : PART_BYTES;
        // What was read and not sent is read again: only what is sent counts as moved.
        ssize_t got = coir_pread(in, part, want, from + (int64_t)done, CLOCK_NEVER);

        put = got > 0 ? coir_write_all(out, part, (size_t)got, deadline) : got;
        if (put > 0) done += (size_t)put;
        if (put <= 0 || put < got) break;
    }
    return done > 0 ? (ssize_t)done : put;
}

ssize_t coir_sendfile(int out, int in, off_t *offset, size_t n, int64_t deadline)
{
    int err = park_canceled();

    if (err < 0) return err;
    int64_t from = offset ? *offset : os_seek(in, 0, SEEK_CUR);
    if (from == -ESPIPE || (offset && from < 0)) return -EINVAL; // as sendfile(2) says
    if (from < 0) return from;
    if (n > MOST) n = MOST;
    const struct memory *mem = park_memory();
    size_t part_bytes = n < PART_BYTES ? n : PART_BYTES;
    char *part = memory_get(mem, part_bytes, alignof(max_align_t));
    if (!part) return -ENOMEM;
    ssize_t moved = send_from(out, in, from, n, part, deadline);
    memory_put(mem, part, part_bytes, alignof(max_align_t));
    if (moved > 0 && offset) *offset = from + moved;
    if (moved > 0 && !offset) os_seek(in, from + moved, SEEK_SET);
    return moved == -ESPIPE ? -EINVAL : moved;
}
