// SPDX-License-Identifier: MIT
// Goal:   files: reads and writes at a place, the whole count over a cold cache, paths, sendfile,
//         each error that can be provoked; without helper threads epoll says -EAGAIN.
// Method: real files in a folder of the test's own, on every driver and on a thread.
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/io/everywhere.h"
#include "tests/io/far.h"

#define BIG (3 << 20)

static char folder[64];
static char *big, *read_back;

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static unsigned i;
    char *path = paths[i++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void drop_cache(int fd)
{
    expect_eq(fsync(fd), 0);
    expect_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

// ---- Reads and writes ------------------------------------------------------------------------

static int at_places(void *arg)
{
    int fd = coir_open(in_folder("data"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    char a[4], b[6];
    struct iovec out[2] = {{"0123", 4}, {"456789", 6}};
    struct iovec in[2] = {{a, 4}, {b, 6}};

    (void)arg;
    expect(fd >= 0);
    expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    expect_eq(coir_pwritev(fd, out, 2, 100, COIR_FOREVER), 10);
    expect_eq(coir_preadv(fd, in, 2, 100, COIR_FOREVER), 10);
    expect_eq(memcmp(a, "0123", 4), 0);
    expect_eq(memcmp(b, "456789", 6), 0);
    expect_eq(coir_pwrite(fd, "xy", 2, 102, COIR_FOREVER), 2);
    expect_eq(coir_pread(fd, b, 6, 100, COIR_FOREVER), 6);
    expect_eq(memcmp(b, "01xy45", 6), 0);
    expect_eq(coir_pread(fd, b, 6, 108, COIR_FOREVER), 2); // the end comes first
    expect_eq(coir_pread(fd, b, 6, 110, COIR_FOREVER), 0);
    expect_eq(lseek(fd, 0, SEEK_CUR), 0); // none of these moved it
    expect_eq(coir_write(fd, "abc", 3, COIR_FOREVER), 3);
    expect_eq(coir_write(fd, "def", 3, COIR_FOREVER), 3);
    expect_eq(lseek(fd, 1, SEEK_SET), 1);
    expect_eq(coir_read(fd, b, 6, COIR_FOREVER), 6);
    expect_eq(memcmp(b, "bcdef\0", 6), 0);
    expect_eq(coir_readv(fd, in, 2, COIR_FOREVER), 10);
    expect_eq(lseek(fd, 0, SEEK_CUR), 17);
    expect_eq(coir_pread(fd, b, 1, 100, COIR_NOW), 1); // in the cache

    expect_eq(coir_pread(fd, b, 1, -1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_pread(fd, NULL, 1, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_preadv(fd, NULL, 1, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_pwritev(fd, out, 5000, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_close(fd), 0);

    int fds[2];
    expect_eq(pipe2(fds, O_CLOEXEC), 0);
    expect_eq(coir_pread(fds[0], b, 1, 0, COIR_FOREVER), -ESPIPE);
    expect_eq(coir_pwrite(fds[1], b, 1, 0, COIR_FOREVER), -ESPIPE);
    expect_eq(coir_fsync(fds[0]), -EINVAL);
    for (int i = 0; i < 2; i++) expect_eq(coir_close(fds[i]), 0);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    expect_eq(coir_pread(fds[0], b, 1, 0, COIR_FOREVER), -ESPIPE);
    for (int i = 0; i < 2; i++) expect_eq(coir_close(fds[i]), 0);
    return 0;
}

// A read is not cut short where the page cache ends.
static int whole_counts(void *arg)
{
    int fd = coir_open(in_folder("big"), O_RDWR | O_CREAT | O_TRUNC, 0600);

    (void)arg;
    expect(fd >= 0);
    expect_eq(coir_write(fd, big, BIG, COIR_FOREVER), BIG);
    for (int round = 0; round < 4; round++) {
        drop_cache(fd);
        expect_eq(pread(fd, read_back, 5000, round * 8192), 5000); // some of it is cached
        memset(read_back, 0, BIG);
        if (round % 2) {
            expect_eq(coir_pread(fd, read_back, BIG, 0, COIR_FOREVER), BIG);
        } else {
            expect_eq(lseek(fd, 0, SEEK_SET), 0);
            expect_eq(coir_read(fd, read_back, BIG, COIR_FOREVER), BIG);
        }
        expect_eq(memcmp(read_back, big, BIG), 0);
    }
    expect_eq(coir_fsync(fd), 0);
    expect_eq(coir_fdatasync(fd), 0);
    expect_eq(coir_close(fd), 0);
    return 0;
}

static coir_waitgroup group;

static void reads_some(int fd, unsigned seed)
{
    char part[4096];

    for (int i = 0; i < 50; i++) {
        seed = seed * 1103515245 + 12345;
        int64_t at = seed % (BIG - 4096);
        expect_eq(coir_pread(fd, part, sizeof(part), at, COIR_FOREVER), sizeof(part));
        expect_eq(memcmp(part, big + at, sizeof(part)), 0);
    }
    coir_waitgroup_done(&group);
}

static int many_at_once(void *arg)
{
    int fd = coir_open(in_folder("big"), O_RDONLY, 0);

    (void)arg;
    expect(fd >= 0);
    drop_cache(fd);
    coir_waitgroup_add(&group, 64);
    for (unsigned i = 0; i < 64; i++) expect_eq(go(reads_some, fd, i), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    expect_eq(coir_close(fd), 0);
    return 0;
}

// ---- What is known of a number ----------------------------------------------------------------

// What the cache has is read without a use of the descriptor: nothing of that may outlive a close.
static int a_number_means_what_has_it_now(void *arg)
{
    int low = coir_open(in_folder("data"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 500); // that nobody else is given meanwhile
    int fds[2];
    char c;

    (void)arg;
    expect(fd >= 500);
    expect_eq(coir_close(low), 0);
    expect_eq(coir_pwrite(fd, "abcdef", 6, 0, COIR_FOREVER), 6);
    for (int i = 0; i < 3; i++) {
        expect_eq(coir_pread(fd, &c, 1, i, COIR_FOREVER), 1);
        expect_eq(c, "abc"[i]);
        expect_eq(coir_pread(fd, &c, 1, i, COIR_NOW), 1);
    }
    expect_eq(coir_pwrite(fd, "xyz", 3, 4, COIR_FOREVER), 3); // longer than it was
    expect_eq(coir_pread(fd, read_back, 100, 2, COIR_FOREVER), 5);
    expect_eq(memcmp(read_back, "cdxyz", 5), 0);
    expect_eq(coir_pread(fd, &c, 1, 7, COIR_FOREVER), 0);
    expect_eq(coir_pread(fd, (char *)8, 1, 0, COIR_FOREVER), -EFAULT);
    expect_eq(coir_close(fd), 0);
    expect_eq(coir_pread(fd, &c, 1, 0, COIR_FOREVER), -EBADF);
    expect_eq(coir_fsync(fd), -EBADF);

    expect_eq(pipe2(fds, O_CLOEXEC), 0);
    expect_eq(dup3(fds[0], fd, O_CLOEXEC), fd);
    expect_eq(close(fds[0]), 0);
    fds[0] = fd;
    expect_eq(coir_write(fds[1], "p", 1, COIR_FOREVER), 1);
    expect_eq(coir_pread(fd, &c, 1, 0, COIR_FOREVER), -ESPIPE);
    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), 1);
    for (int i = 0; i < 2; i++) expect_eq(coir_close(fds[i]), 0);
    return 0;
}

static bool others_ran;

static void other(void)
{
    others_ran = true;
}

// Whoever finds everything in the cache lets others run all the same; who is cancelled reads
// nothing.
static int cached_reads_are_calls_like_others(void *arg)
{
    int fd = coir_open(in_folder("big"), O_RDONLY, 0);
    coir_scope scope;
    char c;

    (void)arg;
    expect(fd >= 0);
    expect_eq(coir_pread(fd, read_back, BIG, 0, COIR_FOREVER), BIG);
    others_ran = false;
    expect_eq(go(other), 0);
    for (int i = 0; i < 1000; i++) expect_eq(coir_pread(fd, &c, 1, i, COIR_FOREVER), 1);
    expect(others_ran);
    expect_eq(coir_scope_open(&scope, COIR_FOREVER), 0);
    coir_scope_cancel(&scope);
    expect_eq(coir_pread(fd, &c, 1, 0, COIR_FOREVER), -ECANCELED);
    expect_eq(coir_scope_wait(&scope), -ECANCELED);
    expect_eq(coir_close(fd), 0);
    return 0;
}

// ---- Past the page cache ----------------------------------------------------------------------

static int direct_reads;

static void reads_direct(int fd, unsigned seed)
{
    void *part;

    expect_eq(posix_memalign(&part, 4096, 4096), 0);
    for (int i = 0; i < 100; i++) {
        seed = seed * 1103515245 + 12345;
        int64_t at = (int64_t)(seed >> 8) % (BIG / 4096) * 4096;
        expect_eq(coir_pread(fd, part, 4096, at, COIR_FOREVER), 4096);
        expect_eq(memcmp(part, big + at, 4096), 0);
        __atomic_fetch_add(&direct_reads, 1, __ATOMIC_RELAXED);
    }
    free(part);
    coir_waitgroup_done(&group);
}

// A ring sleeps for several of them at a time; that holds up nobody who waits for anything else.
static int many_past_the_cache(void *arg)
{
    int fd = coir_open(in_folder("big"), O_RDONLY | O_DIRECT, 0);
    int fds[2];
    char c;

    (void)arg;
    if (fd == -EINVAL) return 0; // a file system that has no such thing
    expect(fd >= 0);
    direct_reads = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    coir_waitgroup_add(&group, 64);
    for (unsigned i = 0; i < 64; i++) expect_eq(go(reads_direct, fd, i), 0);
    while (__atomic_load_n(&direct_reads, __ATOMIC_RELAXED) < 6400) {
        int64_t deadline = coir_after(20 * COIR_US);

        expect_eq(coir_sleep_until(deadline), 0);
        expect(coir_now() >= deadline);
        expect_eq(coir_read(fds[0], &c, 1, coir_after(20 * COIR_US)), -ETIMEDOUT);
        expect_eq(coir_sleep(5 * COIR_MS), 0); // they alone
    }
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    for (int i = 0; i < 2; i++) expect_eq(coir_close(fds[i]), 0);
    expect_eq(coir_close(fd), 0);
    return 0;
}

// ---- Paths -----------------------------------------------------------------------------------

static int paths(void *arg)
{
    struct statx found;
    char inside[160];

    (void)arg;
    expect_eq(coir_mkdir(in_folder("sub"), 0700), 0);
    expect_eq(coir_mkdir(in_folder("sub"), 0700), -EEXIST);
    expect_eq(coir_mkdir(in_folder("no/sub"), 0700), -ENOENT);
    snprintf(inside, sizeof(inside), "%s/file", in_folder("sub"));
    expect_eq(coir_open(inside, O_RDONLY, 0), -ENOENT);
    int fd = coir_open(inside, O_WRONLY | O_CREAT | O_EXCL, 0640);
    expect(fd >= 0);
    expect_eq(coir_open(inside, O_WRONLY | O_CREAT | O_EXCL, 0640), -EEXIST);
    expect_eq(coir_write_all(fd, big, 12345, COIR_FOREVER), 12345);
    expect_eq(coir_statx(AT_FDCWD, inside, 0, STATX_BASIC_STATS, &found), 0);
    expect_eq(found.stx_size, 12345);
    expect_eq(found.stx_mode & 0777, 0640);
    found.stx_size = 0;
    expect_eq(coir_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &found), 0);
    expect_eq(found.stx_size, 12345);
    expect_eq(coir_close(fd), 0);
    found.stx_size = 7;
    expect_eq(coir_statx(AT_FDCWD, in_folder("none"), 0, STATX_SIZE, &found), -ENOENT);
    expect_eq(found.stx_size, 7); // written on success only
    expect_eq(coir_rename(inside, in_folder("moved")), 0);
    expect_eq(coir_rename(inside, in_folder("moved")), -ENOENT);
    expect_eq(coir_unlink(in_folder("moved")), 0);
    expect_eq(coir_unlink(in_folder("moved")), -ENOENT);
    expect_eq(coir_unlink(in_folder("sub")), -EISDIR);
    expect_eq(coir_open(in_folder("sub"), O_WRONLY, 0), -EISDIR);
    expect_eq(rmdir(in_folder("sub")), 0);

    expect_eq(coir_open(NULL, O_RDONLY, 0), -EINVAL);
    expect_eq(coir_unlink(NULL), -EINVAL);
    expect_eq(coir_rename(NULL, "x"), -EINVAL);
    expect_eq(coir_rename("x", NULL), -EINVAL);
    expect_eq(coir_mkdir(NULL, 0), -EINVAL);
    expect_eq(coir_statx(AT_FDCWD, "x", 0, 0, NULL), -EINVAL);
    expect_eq(coir_statx(AT_FDCWD, NULL, 0, 0, &found), -EINVAL);
    return 0;
}

// The other end may never come: neither a kernel's thread nor a helper waits for it.
static int fifos_do_not_wait(void *arg)
{
    const char *path = in_folder("fifo");
    int readers[20];
    char c = 0;

    (void)arg;
    expect_eq(mkfifo(path, 0600), 0);
    for (int flags = 0; flags <= O_CREAT; flags += O_CREAT) {
        expect_eq(coir_open(path, O_WRONLY | flags, 0600), -ENXIO);
        for (int i = 0; i < 20; i++) {
            readers[i] = coir_open(path, O_RDONLY | flags, 0600);
            expect(readers[i] >= 0);
            expect(!(fcntl(readers[i], F_GETFL) & O_NONBLOCK));
        }
        expect_eq(coir_poll(readers[0], POLLIN, coir_after(COIR_MS)), -ETIMEDOUT);
        int to = coir_open(path, O_WRONLY | O_APPEND | flags, 0600);
        expect(to >= 0);
        expect_eq(fcntl(to, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK),
                  O_WRONLY | O_APPEND);
        expect_eq(fcntl(to, F_GETFD), FD_CLOEXEC);
        expect_eq(coir_read(readers[0], &c, 1, coir_after(COIR_MS)), -ETIMEDOUT);
        expect_eq(coir_write(to, "f", 1, COIR_FOREVER), 1);
        expect_eq(coir_read(readers[19], &c, 1, COIR_FOREVER), 1);
        expect_eq(c, 'f');
        expect_eq(coir_close(to), 0);
        expect_eq(coir_read(readers[0], &c, 1, COIR_FOREVER), 0);
        for (int i = 0; i < 20; i++) expect_eq(coir_close(readers[i]), 0);
    }
    int own = coir_open(path, O_RDONLY | O_NONBLOCK, 0);
    expect(own >= 0);
    expect(fcntl(own, F_GETFL) & O_NONBLOCK);
    expect_eq(coir_close(own), 0);
    expect_eq(coir_unlink(path), 0);
    return 0;
}

// Gives the lease back when somebody has waited for it for a moment.
static void give_back(int fd)
{
    expect_eq(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
}

// Whoever holds a lease is told of an open, and the kernel gives it some time: the open waits.
static int a_lease_is_waited_for(void *arg)
{
    const char *path = in_folder("leased");
    struct far far;

    (void)arg;
    int holder = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    expect(holder >= 0);
    if (fcntl(holder, F_SETLEASE, F_WRLCK) < 0) {
        puts("no leases on this file system");
    } else {
        expect_eq(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), -1);
        expect_eq(errno, EAGAIN); // for who does not want to wait
        let(&far, give_back, holder);
        int fd = coir_open(path, O_RDONLY, 0);
        expect(fd >= 0);
        expect(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
        has_acted(&far);
        expect_eq(coir_close(fd), 0);
    }
    expect_eq(close(holder), 0);
    expect_eq(coir_unlink(path), 0);
    return 0;
}

// ---- The kernel's threads ---------------------------------------------------------------------

// The number of this process's only ring.
static int ring_fd(void)
{
    char path[64], target[64];

    for (int fd = 3; fd < 100; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n < 0) continue;
        target[n] = 0;
        if (strcmp(target, "anon_inode:[io_uring]") == 0) return fd;
    }
    return -1;
}

// As docs/files.md says: 512 for streams, four a processor for files, and no more. On the ring's
// own thread, which alone may ask.
static int workers_are_capped(void *arg)
{
    unsigned now[2] = {0, 0};
    long processors = sysconf(_SC_NPROCESSORS_CONF);

    (void)arg;
    expect_eq(coir_sleep(COIR_MS), 0); // the ring has been entered
    expect_eq(syscall(SYS_io_uring_register, ring_fd(), IORING_REGISTER_IOWQ_MAX_WORKERS,
                      now, 2),
              0);
    printf("the kernel's threads: %u for files, %u for streams\n", now[0], now[1]);
    expect(now[0] > 0 && now[0] <= 4 * (unsigned)processors);
    expect_eq(now[1], 512);
    return 0;
}

// ---- sendfile ---------------------------------------------------------------------------------

static int sends_files(void *arg)
{
    int in = coir_open(in_folder("big"), O_RDONLY, 0);
    off_t offset = 1000;
    int fds[2];

    (void)arg;
    expect(in >= 0);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    expect_eq(coir_sendfile(fds[1], in, &offset, 30000, COIR_FOREVER), 30000);
    expect_eq(offset, 31000);
    expect_eq(lseek(in, 0, SEEK_CUR), 0);
    expect_eq(coir_read_full(fds[0], read_back, 30000, COIR_FOREVER), 30000);
    expect_eq(memcmp(read_back, big + 1000, 30000), 0);

    expect_eq(lseek(in, BIG - 500, SEEK_SET), BIG - 500);
    expect_eq(coir_sendfile(fds[1], in, NULL, 30000, COIR_FOREVER), 500);
    expect_eq(lseek(in, 0, SEEK_CUR), BIG);
    expect_eq(coir_sendfile(fds[1], in, NULL, 30000, COIR_FOREVER), 0);
    expect_eq(coir_read_full(fds[0], read_back, 500, COIR_FOREVER), 500);

    // Nobody reads: what the socket took is counted, and is what arrives.
    offset = 0;
    ssize_t sent = coir_sendfile(fds[1], in, &offset, BIG, coir_after(20 * COIR_MS));
    expect(sent > 0 && sent < BIG);
    expect_eq(offset, sent);
    expect_eq(coir_sendfile(fds[1], in, &offset, BIG, COIR_NOW), -ETIMEDOUT);
    expect_eq(offset, sent);
    expect_eq(coir_read_full(fds[0], read_back, (size_t)sent, COIR_FOREVER), sent);
    expect_eq(memcmp(read_back, big, (size_t)sent), 0);
    expect_eq(coir_read(fds[0], read_back, 1, COIR_NOW), -ETIMEDOUT);

    expect_eq(coir_sendfile(fds[1], fds[0], NULL, 10, COIR_FOREVER), -EINVAL);
    offset = -5;
    expect_eq(coir_sendfile(fds[1], in, &offset, 10, COIR_FOREVER), -EINVAL);
    expect_eq(coir_close(fds[0]), 0);
    offset = 0;
    expect_eq(coir_sendfile(fds[1], in, &offset, 10, COIR_FOREVER), -EPIPE);
    expect_eq(coir_close(fds[1]), 0);
    expect_eq(coir_close(in), 0);
    expect_eq(coir_sendfile(1, in, NULL, 10, COIR_FOREVER), -EBADF);
    return 0;
}

// ---- Without helpers, and at the end ----------------------------------------------------------

static int opens_or_not(void *arg)
{
    coir_info info = COIR_INFO_INIT;
    bool ring = coir_query(NULL, &info) == 0 && info.driver == COIR_DRIVER_URING;
    int fd = coir_open(in_folder("big"), O_RDONLY, 0);

    (void)arg;
    if (ring)
        expect(fd >= 0);
    else
        expect_eq(fd, -EAGAIN);
    if (fd < 0) fd = open(in_folder("big"), O_RDONLY | O_CLOEXEC);
    expect_eq(coir_poll(fd, POLLIN, COIR_FOREVER), POLLIN); // a file is always ready
    expect_eq(coir_recv(fd, read_back, 1, 0, COIR_FOREVER), -ENOTSOCK);
    drop_cache(fd);
    ssize_t got = coir_pread(fd, read_back, 5000, 1 << 20, COIR_FOREVER);
    expect(got == 5000 || (!ring && got == -EAGAIN));
    expect_eq(coir_close(fd), 0);
    return 0;
}

static void without_helpers(void)
{
    coir_config config = COIR_CONFIG_INIT;
    const char *fault = getenv("COIR_FAULT");

    if (fault && strncmp(fault, "op=", 3) == 0)
        return; // such a ring needs them as epoll does

    config.helpers = -1;
    for (int i = !have_ring(); i < 2; i++) {
        config.driver = i ? COIR_DRIVER_EPOLL : COIR_DRIVER_URING;
        expect_eq(coir_run(&config, opens_or_not, NULL), 0);
    }
    config.helpers = -2;
    expect_eq(coir_run(&config, opens_or_not, NULL), -EINVAL);
}

static void is_cancelled(const char *path)
{
    expect_eq(coir_sleep(60 * COIR_SEC), -ECANCELED);
    expect_eq(coir_open(path, O_WRONLY | O_CREAT, 0600), -ECANCELED);
    expect_eq(coir_unlink(path), -ECANCELED);
    coir_shield_begin();
    expect_eq(coir_unlink(path), 0);
    coir_shield_end();
}

static int cancels(void *arg)
{
    static char path[128];

    (void)arg;
    snprintf(path, sizeof(path), "%s", in_folder("mine"));
    expect_eq(coir_close(coir_open(path, O_WRONLY | O_CREAT, 0600)), 0);
    expect_eq(go(is_cancelled, (const char *)path), 0);
    return coir_yield();
}

int main(void)
{
    big = malloc(BIG);
    read_back = malloc(BIG);
    for (int i = 0; i < BIG; i++) big[i] = (char)(i * 7 + i / 4096);
    snprintf(folder, sizeof(folder), "/tmp/coir-files-%d", getpid());
    expect_eq(mkdir(folder, 0700), 0);
    everywhere("places", at_places);
    everywhere("whole counts", whole_counts);
    on_coroutines("many at once", many_at_once);
    everywhere("numbers", a_number_means_what_has_it_now);
    for (int i = !have_ring(); i < 2; i++)
        on_driver("cached", cached_reads_are_calls_like_others,
                  i ? COIR_DRIVER_EPOLL : COIR_DRIVER_URING, 1);
    on_coroutines("past the cache", many_past_the_cache);
    everywhere("paths", paths);
    everywhere("fifos", fifos_do_not_wait);
    signal(SIGIO, SIG_IGN); // says that somebody wants a lease back
    everywhere("leases", a_lease_is_waited_for);
    if (have_ring()) on_driver("capped", workers_are_capped, COIR_DRIVER_URING, 1);
    everywhere("sendfile", sends_files);
    without_helpers();
    on_coroutines("cancel", cancels);
    expect_eq(unlink(in_folder("data")), 0);
    expect_eq(unlink(in_folder("big")), 0);
    expect_eq(rmdir(folder), 0);
    free(big);
    free(read_back);
    return 0;
}
