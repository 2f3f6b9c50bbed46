// SPDX-License-Identifier: MIT
// server - an echo server that checks every byte it receives and counts how connections end.
//
// A connection begins with its number c (8 bytes); what follows must be pattern c. Commands on
// standard input: "stat" prints one line of name=value pairs, the end of the input stops the
// server. What a soak must leave as it was - descriptors, live coroutines, memory - is in the line.
#include <coir/go.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "tests/soak/pattern.h"

#define PATIENCE (120 * COIR_SEC)

static atomic_ulong live, peak, accepted, ended, reset, failed, wrong, bytes;

static void note_peak(unsigned long now)
{
    unsigned long was = atomic_load(&peak);

    while (was < now && !atomic_compare_exchange_weak(&peak, &was, now)) continue;
}

static void count_end(uint64_t c, ssize_t why)
{
    if (why == 0) {
        atomic_fetch_add(&ended, 1);
    } else if (why == -ECONNRESET || why == -EPIPE) {
        atomic_fetch_add(&reset, 1);
    } else {
        atomic_fetch_add(&failed, 1);
        printf("failed connection %" PRIu64 ": %s\n", c, strerror((int)-why));
    }
}

// Echoes until the end of the stream. 0 | -errno
static ssize_t echo(int fd, uint64_t c)
{
    uint8_t buf[4096];
    ssize_t n;

    for (uint64_t k = 0;
         (n = coir_recv(fd, buf, sizeof(buf), 0, coir_after(PATIENCE))) > 0;
         k += (uint64_t)n) {
        size_t good = pattern_check(c, k, buf, (size_t)n);
        ssize_t out;

        if (good != (size_t)n) {
            atomic_fetch_add(&wrong, 1);
            printf("wrong connection %" PRIu64 " byte %" PRIu64 "\n", c, k + good);
        }
        atomic_fetch_add(&bytes, (unsigned long)n);
        out = coir_write_all(fd, buf, (size_t)n, coir_after(PATIENCE));
        if (out < 0) return out;
        if (out < n) { // the next call says why
            out = coir_write(fd, buf + out, (size_t)(n - out), coir_after(PATIENCE));
            return out < 0 ? out : -EIO;
        }
    }
    return n;
}

static void serve(int fd)
{
    uint64_t c = 0;
    ssize_t n;

    note_peak(atomic_fetch_add(&live, 1) + 1);
    n = coir_read_full(fd, &c, sizeof(c), coir_after(PATIENCE));
    if (n == (ssize_t)sizeof(c))
        count_end(c, echo(fd, c));
    else
        count_end(0, n < 0 ? n : n == 0 ? -ECONNRESET : coir_read(fd, &c, 1, COIR_NOW));
    if (coir_close(fd)) atomic_fetch_add(&failed, 1);
    atomic_fetch_sub(&live, 1);
}

// Blocks its worker, undeclared.
static void block(coir_waitgroup *blocked)
{
    usleep(50 * 1000);
    coir_waitgroup_done(blocked);
}

// After this the runtime has the spare thread that it keeps for the next hand-off: under load it
// would get it sooner or later, and a soak could not tell it from a leak.
static void make_the_spare(void)
{
    coir_waitgroup blocked = {0};

    expect_eq(coir_waitgroup_add(&blocked, 4), 0);
    for (int i = 0; i < 4; i++) expect_eq(go(block, &blocked), 0);
    expect_eq(coir_waitgroup_wait(&blocked, COIR_FOREVER), 0);
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0) {
        atomic_fetch_add(&accepted, 1);
        if (go(serve, fd)) {
            atomic_fetch_add(&failed, 1);
            coir_close(fd);
        }
    }
    if (fd != -EBADF) printf("failed accept: %s\n", strerror(-fd));
}

static unsigned descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    if (!dir) return 0;
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static long rss_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kib = 0;

    while (f && fgets(line, sizeof(line), f)) sscanf(line, "VmRSS: %ld", &kib);
    if (f) fclose(f);
    return kib;
}

static void print_stat(void)
{
    printf("stat live=%lu peak=%lu accepted=%lu ended=%lu reset=%lu failed=%lu wrong=%lu "
           "bytes=%lu fds=%u rss_kib=%ld\n",
           atomic_load(&live), atomic_exchange(&peak, 0), atomic_load(&accepted),
           atomic_load(&ended), atomic_load(&reset), atomic_load(&failed),
           atomic_load(&wrong), atomic_load(&bytes), descriptors(), rss_kib());
}

static int run(void *address)
{
    struct sockaddr_in where;
    socklen_t len = sizeof(where);
    coir_info info = COIR_INFO_INIT;
    char command[64];
    ssize_t n;
    int listener = coir_listen(address, NULL);

    if (listener < 0) return listener;
    expect_eq(getsockname(listener, (struct sockaddr *)&where, &len), 0);
    expect_eq(coir_query(NULL, &info), 0);
    printf("port %d driver %s workers %u\n", ntohs(where.sin_port),
           info.driver == COIR_DRIVER_URING ? "uring" : "epoll", info.workers);
    make_the_spare();
    expect_eq(go(accept_all, listener), 0);
    while ((n = coir_read(0, command, sizeof(command), COIR_FOREVER)) > 0) print_stat();
    coir_close(listener);
    return (int)n;
}

int main(int argc, char **argv)
{
    static char any[] = "127.0.0.1:0";

    setvbuf(stdout, NULL, _IOLBF, 0);
    test_watchdog(0); // whoever started it has one
    return coir_run(NULL, run, argc > 1 ? argv[1] : any) == 0 ? 0 : 1;
}
