// SPDX-License-Identifier: MIT
// Goal:   many at once and much at once: accept storms, large transfers, slow readers, as many
//         connections as there are descriptors; and a listener without descriptors that waits
//         and does not spin.
// Method: small numbers in every run; with the argument 'big' (suite stress) 2 GiB over the
//         loopback and all that RLIMIT_NOFILE leaves, the far ends in a process of their own.
//         It prints what it reached.
#include <coir/go.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/io/mode.h"
#include "tests/lib/test.h"

static bool big;
static coir_waitgroup group;

static void done(void)
{
    expect_eq(coir_waitgroup_done(&group), 0);
}

static int listen_here(char address[40])
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    int fd = coir_listen("127.0.0.1:0", NULL);

    expect(fd >= 0);
    expect_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    snprintf(address, 40, "127.0.0.1:%d", ntohs(a.sin_port));
    return fd;
}

static int64_t cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * COIR_SEC +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * COIR_US;
}

static long resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long all = 0, resident = 0;

    expect(f && fscanf(f, "%ld %ld", &all, &resident) == 2);
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

// ---- An accept storm ------------------------------------------------------------------

enum { CALLERS = 100, CALLS = 20 };

static atomic_int accepted;

static void greet(int fd)
{
    expect_eq(coir_write(fd, "!", 1, COIR_FOREVER), 1);
    expect_eq(coir_close(fd), 0);
}

static void accept_many(int listener)
{
    int fd;

    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0) {
        atomic_fetch_add(&accepted, 1);
        expect_eq(go(greet, fd), 0);
    }
    expect_eq(fd, -EBADF);
    done();
}

static void call_often(const char *address)
{
    char c = 0;

    for (int i = 0; i < CALLS; i++) {
        int fd = coir_dial(address, coir_after(30 * COIR_SEC));

        expect(fd >= 0);
        expect_eq(coir_read(fd, &c, 1, coir_after(30 * COIR_SEC)), 1);
        expect_eq(coir_read(fd, &c, 1, coir_after(30 * COIR_SEC)), 0);
        expect_eq(coir_close(fd), 0);
    }
    done();
}

// Several accept from one listener, and each connection is taken once.
static int storm(void *arg)
{
    char address[40];
    int listener = listen_here(address);

    (void)arg;
    accepted = 0;
    coir_waitgroup_add(&group, CALLERS);
    for (int i = 0; i < CALLERS; i++) expect_eq(go(call_often, (const char *)address), 0);
    coir_waitgroup_add(&group, 3);
    for (int i = 0; i < 3; i++) expect_eq(go(accept_many, listener), 0);
    while (accepted < CALLERS * CALLS) expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(coir_close(listener), 0);
    expect_eq(coir_waitgroup_wait(&group, coir_after(30 * COIR_SEC)), 0);
    expect_eq(accepted, CALLERS * CALLS);
    return 0;
}

// ---- No descriptors: patience, no spinning --------------------------------------------

static int backs_off_without_spinning(void *arg)
{
    char address[40];
    int listener = listen_here(address);
    struct rlimit before, tight;
    int client = coir_dial(address, coir_after(5 * COIR_SEC));

    (void)arg;
    expect(client >= 0);
    expect_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = (struct rlimit){3, before.rlim_max};
    expect_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int64_t cpu = cpu_ns();
    expect_eq(coir_accept(listener, NULL, NULL, 0, coir_after(300 * COIR_MS)),
              -ETIMEDOUT);
    cpu = cpu_ns() - cpu;
    expect_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect(cpu < 60 * COIR_MS * test_slowness());
    int fd = coir_accept(listener, NULL, NULL, 0, coir_after(5 * COIR_SEC));
    expect(fd >= 0);
    expect_eq(coir_close(fd), 0);
    expect_eq(coir_close(client), 0);
    expect_eq(coir_close(listener), 0);
    return 0;
}

// ---- A large transfer -----------------------------------------------------------------

enum { PIECE = 1 << 18 };

static size_t transfer_bytes(void)
{
    return big ? (size_t)2 << 30 : (size_t)64 << 20;
}

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i ^ i >> 8 ^ i >> 16 ^ i >> 24);
}

static void send_all(int fd)
{
    unsigned char *piece = malloc(PIECE);
    size_t n;

    for (size_t i = 0; i < transfer_bytes(); i += n) {
        n = 1 + (i * 2654435761u >> 7) % PIECE; // uneven pieces
        if (n > transfer_bytes() - i) n = transfer_bytes() - i;
        for (size_t j = 0; j < n; j++) piece[j] = byte_at(i + j);
        expect_eq(coir_write_all(fd, piece, n, coir_after(30 * COIR_SEC)), (ssize_t)n);
    }
    free(piece);
    expect_eq(coir_shutdown(fd, SHUT_WR), 0);
    done();
}

static int transfer(void *arg)
{
    unsigned char *piece = malloc(PIECE);
    char address[40];
    int listener = listen_here(address);
    int from = coir_dial(address, coir_after(5 * COIR_SEC));
    int to = coir_accept(listener, NULL, NULL, 0, coir_after(5 * COIR_SEC));
    int64_t start = coir_now();
    size_t sum = 0;
    ssize_t n;

    (void)arg;
    coir_waitgroup_add(&group, 1);
    expect_eq(go(send_all, from), 0);
    while ((n = coir_read(to, piece, PIECE, coir_after(30 * COIR_SEC))) > 0) {
        size_t wrong = 0;

        for (ssize_t j = 0; j < n; j++) wrong += piece[j] != byte_at(sum + (size_t)j);
        expect_eq(wrong, 0);
        sum += (size_t)n;
    }
    expect_eq(n, 0);
    expect_eq(sum, transfer_bytes());
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    if (big) printf("2 GiB in %.1f s\n", (double)(coir_now() - start) / 1e9);
    free(piece);
    expect_eq(coir_close(from), 0);
    expect_eq(coir_close(to), 0);
    expect_eq(coir_close(listener), 0);
    return 0;
}

// ---- A large file -------------------------------------------------------------------------

enum { APART = 10000019 };

static unsigned char mark_at(size_t i)
{
    return i % APART == APART - 1 || i == transfer_bytes() - 1
               ? (unsigned char)(1 + i % 255)
               : 0;
}

// A file of holes but for the marks.
static int make_file(void)
{
    FILE *f = tmpfile();
    int file = f ? fcntl(fileno(f), F_DUPFD_CLOEXEC, 0) : -1;

    expect(file >= 0);
    expect_eq(fclose(f), 0);
    for (size_t i = APART - 1; i < transfer_bytes(); i += APART) {
        unsigned char c = mark_at(i);
        expect_eq(pwrite(file, &c, 1, (off_t)i), 1);
    }
    unsigned char last = mark_at(transfer_bytes() - 1);
    expect_eq(pwrite(file, &last, 1, (off_t)transfer_bytes() - 1), 1);
    return file;
}

static void send_file(int to, int file)
{
    off_t at = 0;

    while ((size_t)at < transfer_bytes()) {
        ssize_t n =
            coir_sendfile(to, file, &at, transfer_bytes(), coir_after(60 * COIR_SEC));
        expect(n > 0);
    }
    expect_eq(coir_sendfile(to, file, &at, 1, COIR_FOREVER), 0); // its end
    expect_eq(coir_shutdown(to, SHUT_WR), 0);
    done();
}

static int file_transfer(void *arg)
{
    unsigned char *piece = malloc(PIECE);
    char address[40];
    int listener = listen_here(address);
    int from = coir_dial(address, coir_after(5 * COIR_SEC));
    int to = coir_accept(listener, NULL, NULL, 0, coir_after(5 * COIR_SEC));
    int file = make_file();
    size_t sum = 0, wrong = 0, marks = 0;
    ssize_t n;

    (void)arg;
    coir_waitgroup_add(&group, 1);
    expect_eq(go(send_file, from, file), 0);
    while ((n = coir_read(to, piece, PIECE, coir_after(60 * COIR_SEC))) > 0) {
        for (ssize_t j = 0; j < n; j++) {
            if (!piece[j]) continue;
            marks++;
            wrong += piece[j] != mark_at(sum + (size_t)j);
        }
        sum += (size_t)n;
    }
    expect_eq(n, 0);
    expect_eq(sum, transfer_bytes());
    expect_eq(wrong, 0);
    expect_eq(marks, transfer_bytes() / APART + 1);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    free(piece);
    expect_eq(coir_close(file), 0);
    expect_eq(coir_close(from), 0);
    expect_eq(coir_close(to), 0);
    expect_eq(coir_close(listener), 0);
    return 0;
}

// ---- Slow readers ---------------------------------------------------------------------

enum { SLOW = 50, MUCH = 1 << 20 };

static char *much; // what everybody sends: the library must not copy it

static void send_much(int fd)
{
    expect_eq(coir_write_all(fd, much, MUCH, coir_after(30 * COIR_SEC)), MUCH);
    expect_eq(coir_close(fd), 0);
    done();
}

static void read_slowly(int fd)
{
    char buf[8192];
    ssize_t n;
    int sum = 0;

    expect_eq(coir_sleep(30 * COIR_MS), 0);
    while ((n = coir_read(fd, buf, sizeof(buf), coir_after(30 * COIR_SEC))) > 0)
        sum += (int)n;
    expect_eq(n, 0);
    expect_eq(sum, MUCH);
    expect_eq(coir_close(fd), 0);
    done();
}

static int slow_readers_cost_no_memory(void *arg)
{
    (void)arg;
    expect((much = calloc(1, MUCH)));
    memset(much, 1, MUCH);
    long before = resident_kib();
    coir_waitgroup_add(&group, 2 * SLOW);
    for (int i = 0; i < SLOW; i++) {
        int fds[2];

        expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        expect_eq(go(send_much, fds[0]), 0);
        expect_eq(go(read_slowly, fds[1]), 0);
    }
    expect_eq(coir_sleep(15 * COIR_MS), 0); // everybody is stuck now
    long stuck = resident_kib();
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    // 100 stacks of a few touched pages; 50 MiB are under way. Sanitizers keep shadows.
    if (test_slowness() == 1) expect(stuck - before < 8192);
    free(much);
    return 0;
}

// ---- As many connections as there are descriptors -------------------------------------

static atomic_int standing, wanted;

static void hold(int fd)
{
    char c;
    ssize_t n;

    atomic_fetch_add(&standing, 1);
    while ((n = coir_read(fd, &c, 1, coir_after(200 * COIR_SEC))) > 0)
        expect_eq(coir_write(fd, &c, 1, coir_after(200 * COIR_SEC)), 1);
    expect_eq(n, 0);
    expect_eq(coir_close(fd), 0);
    atomic_fetch_sub(&standing, 1);
}

static void accept_wanted(int listener)
{
    int fd;

    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        expect_eq(go(hold, fd), 0);
    expect_eq(fd, -EBADF);
    done();
}

// The far ends: plain blocking sockets. They stand, each asks once, they go.
static void call_from_outside(uint16_t port, int n, int ready, int go_on)
{
    int *fds = calloc((size_t)n, sizeof(*fds));
    char c = 'x';

    for (int i = 0; i < n; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&to, sizeof(to)) < 0) {
            perror("a client");
            _exit(1);
        }
    }
    for (int i = 0; i < n; i++)
        if (write(fds[i], &c, 1) != 1 || read(fds[i], &c, 1) != 1) _exit(2);
    if (write(ready, &c, 1) != 1 || read(go_on, &c, 1) != 1) _exit(3);
    _exit(0);
}

static int stand(void *arg)
{
    int *pipes = arg; // ready, go on
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    char address[40], c;
    int listener = listen_here(address);

    expect_eq(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    coir_waitgroup_add(&group, 1);
    expect_eq(go(accept_wanted, listener), 0);
    expect_eq(coir_write_all(pipes[3], &a.sin_port, sizeof(a.sin_port), COIR_FOREVER), 2);
    expect_eq(coir_read(pipes[0], &c, 1, coir_after(200 * COIR_SEC)), 1);
    printf("%d connections stand at once\n", standing);
    expect_eq(standing, wanted);
    expect_eq(coir_write(pipes[5], "x", 1, COIR_FOREVER), 1);
    while (standing > 0) expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(coir_close(listener), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    return 0;
}

static void many_connections(void)
{
    struct rlimit limit;
    int pipes[6]; // ready, port, go on
    int status;

    expect_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    if (big) setrlimit(RLIMIT_NOFILE, &limit);
    expect_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    wanted = big ? (int)(limit.rlim_cur < 28000 ? limit.rlim_cur - 100 : 28000) : 300;
    for (int i = 0; i < 3; i++) expect_eq(pipe(pipes + 2 * i), 0);
    pid_t child = fork();
    expect(child >= 0);
    if (child == 0) {
        uint16_t port;

        test_watchdog(250);
        if (read(pipes[2], &port, sizeof(port)) != sizeof(port)) _exit(4);
        call_from_outside(ntohs(port), wanted, pipes[1], pipes[4]);
    }
    expect_eq(coir_run(NULL, stand, pipes), 0);
    expect_eq(waitpid(child, &status, 0), child);
    expect_eq(status, 0);
    for (int i = 0; i < 6; i++) close(pipes[i]);
    if (big && wanted < 15000)
        printf("fewer than 15,000: RLIMIT_NOFILE is %lu\n", limit.rlim_cur);
}

// ---------------------------------------------------------------------------------------

int main(int argc, char **argv)
{
    big = argc > 1 && strcmp(argv[1], "big") == 0;
    mode_check();
    if (big) test_watchdog(500);
    int before = count_fds();
    for (unsigned workers = 1; workers <= 2; workers++) {
        coir_config config = COIR_CONFIG_INIT;

        config.workers = workers;
        expect_eq(coir_run(&config, storm, NULL), 0);
        expect_eq(coir_run(&config, backs_off_without_spinning, NULL), 0);
        expect_eq(coir_run(&config, slow_readers_cost_no_memory, NULL), 0);
        if (workers == 2) expect_eq(coir_run(&config, transfer, NULL), 0);
        if (workers == 2) expect_eq(coir_run(&config, file_transfer, NULL), 0);
    }
    many_connections();
    expect_eq(count_fds(), before);
    return 0;
}
