// SPDX-License-Identifier: MIT
// Asks:  what does a TCP connection take on which nothing happens?
// Shows: bytes each, the growth of VmRSS and VmPTE, with one that waits in a receive on every
//        connection; accept_us to connect, accept and have it wait. Both ends are in this process,
//        so there are as many as half of its descriptors allow ("n"), at most N.
#include "bench/bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define A_PORT                                                                           \
    20000 // connections that one listener takes: client ports end at 28,000 or so

static int listener = -1;
static struct sockaddr_in at;
static int *clients;
static int64_t accept_ns;
static long bytes_before, bytes_with;

// As many connections as there is room for.
static long room(long wanted)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    long most = ((long)limit.rlim_cur - 200) / 2;
    bench_must(most > 0, "descriptors");
    return wanted < most ? wanted : most;
}

static void listen_anew(void)
{
    socklen_t len = sizeof(at);

    if (listener >= 0) close(listener);
    at = (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_must(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0, "bind");
    bench_must(listen(listener, 128) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&at, &len);
}

// The other end of the i-th; the kernel answers before anybody accepts.
static void connect_one(long i)
{
    if (i % A_PORT == 0) listen_anew();
    clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_must(clients[i] >= 0, "socket");
    bench_must(connect(clients[i], (struct sockaddr *)&at, sizeof(at)) == 0, "connect");
}

static void begin(void)
{
    bytes_before = bench_memory();
    accept_ns = -coir_now();
}

static void all_wait(void)
{
    accept_ns += coir_now();
    bytes_with = bench_memory();
}

static void serve(int fd, coir_waitgroup *there, coir_waitgroup *done)
{
    char byte;

    coir_waitgroup_done(there);
    bench_must(coir_recv(fd, &byte, 1, 0, COIR_FOREVER) == 0, "recv");
    coir_close(fd);
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup there = {0}, done = {0};

    coir_waitgroup_add(&there, (int)b->n);
    coir_waitgroup_add(&done, (int)b->n);
    begin();
    for (long i = 0; i < b->n; i++) {
        connect_one(i);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); // it is there
        bench_must(fd >= 0 && go(serve, fd, &there, &done) == 0, "go");
        if (i % 256 == 255) coir_yield();
    }
    bench_must(coir_waitgroup_wait(&there, COIR_FOREVER) == 0, "wait");
    coir_sleep(100 * COIR_MS); // the last ones are on their way into the kernel
    all_wait();
    for (long i = 0; i < b->n; i++) close(clients[i]);
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    return 0;
}

static void *serve_on_a_thread(void *fd)
{
    char byte;

    bench_must(recv((int)(intptr_t)fd, &byte, 1, 0) == 0, "recv");
    close((int)(intptr_t)fd);
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t *threads = calloc((size_t)b->n, sizeof(*threads));

    bench_must(threads != NULL, "calloc");
    begin();
    for (long i = 0; i < b->n; i++) {
        connect_one(i);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        bench_must(fd >= 0, "accept");
        threads[i] = bench_thread(serve_on_a_thread, (void *)(intptr_t)fd);
    }
    usleep(100000);
    all_wait();
    for (long i = 0; i < b->n; i++) close(clients[i]);
    for (long i = 0; i < b->n; i++) pthread_join(threads[i], NULL);
    free(threads);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    coir_config config = COIR_CONFIG_INIT;

    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|pthreads WORKERS N\n", argv[0]);
        return 2;
    }
    config.workers = b.workers = (unsigned)atoi(argv[2]);
    b.n = room(atol(argv[3]));
    clients = calloc((size_t)b.n, sizeof(*clients));
    bench_must(clients != NULL, "calloc");
    memset(clients, 0xff, (size_t)b.n * sizeof(*clients)); // touched
    if (strcmp(argv[1], "coir") == 0)
        bench_must(coir_run(&config, bench_coir, &b) == 0, "coir_run");
    else
        bench_pthreads(&b);
    printf(
        "{\"value\": %.1f, \"unit\": \"bytes each\", \"n\": %ld, \"accept_us\": %.2f}\n",
        (double)(bytes_with - bytes_before) / (double)b.n, b.n,
        (double)(accept_ns - 100 * COIR_MS) / 1e3 / (double)b.n);
    return 0;
}
