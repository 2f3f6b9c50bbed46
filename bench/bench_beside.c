// SPDX-License-Identifier: MIT
// Two questions about an echo server on loopback whose threads have something else to do:
//
//   hog_echo  A coroutine on each worker computes for ever and calls nothing. How long does the
//             99th of a hundred requests on one connection take, and how long a new connection
//             until its first answer?
//   tail (-DTAIL)  Half of the connections ask for 2 ms of computing each time. How long does the
//             99th of a hundred requests on the others take?
//
// The clients are plain threads in a process of their own and ask once a millisecond, so what is
// measured is the server's doing. WHO may be the path of another server, which is then started
// with 'hogs' or 'tail', WORKERS and the listening socket as descriptor 3.
#include "bench/bench.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef TAIL
#define TAIL 0
#endif

enum { CLIENTS = TAIL ? 16 : 1, CONNECT_EVERY = 20, LISTENER = 3 };

// ---- The server -------------------------------------------------------------------------------

static void compute(int64_t ns)
{
    for (int64_t until = coir_now() + ns; coir_now() < until;) continue;
}

static void hog(void)
{
    for (volatile int going = 1; going;) continue;
}

static void serve(int fd)
{
    char c;

    while (coir_read(fd, &c, 1, COIR_FOREVER) == 1) {
        if (c == 'c') compute(2 * COIR_MS);
        if (coir_write(fd, &c, 1, COIR_FOREVER) != 1) break;
    }
    coir_close(fd);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;

    for (unsigned i = 0; !TAIL && i < b->workers; i++) bench_must(go(hog) == 0, "go");
    for (;;) {
        int fd = coir_accept(LISTENER, NULL, NULL, 0, COIR_FOREVER);
        bench_must(fd >= 0, "accept");
        bench_must(go(serve, fd) == 0, "go");
    }
}

static void *hog_thread(void *arg)
{
    hog();
    return arg;
}

static void *serve_thread(void *fd)
{
    char c;

    while (read((int)(intptr_t)fd, &c, 1) == 1) {
        if (c == 'c') compute(2 * COIR_MS);
        if (write((int)(intptr_t)fd, &c, 1) != 1) break;
    }
    close((int)(intptr_t)fd);
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    for (unsigned i = 0; !TAIL && i < b->workers; i++)
        pthread_detach(bench_thread(hog_thread, NULL));
    for (;;) {
        int fd = accept(LISTENER, NULL, NULL);
        bench_must(fd >= 0, "accept");
        pthread_detach(bench_thread(serve_thread, (void *)(intptr_t)fd));
    }
}

// Never returns.
static void be_server(struct bench *b, char **argv)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = b->workers;
    if (strcmp(argv[1], "coir") == 0)
        coir_run(&config, bench_coir, b);
    else if (strcmp(argv[1], "pthreads") == 0)
        bench_pthreads(b);
    else
        execl(argv[1], argv[1], TAIL ? "tail" : "hogs", argv[2], (char *)NULL);
    bench_must(0, "server");
}

// ---- The clients -------------------------------------------------------------------------------

static struct sockaddr_in address;
static long n_each;
static int n_going; // clients that measure

struct delays {
    int64_t *at;
    long n;
};

static struct delays answers[CLIENTS], accepts;

static void note(struct delays *d, int64_t ns)
{
    d->at[d->n++] = ns;
}

static void ask(int fd, char what)
{
    char c = what;

    bench_must(write(fd, &c, 1) == 1 && read(fd, &c, 1) == 1 && c == what, "echo");
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    bench_must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    return fd;
}

static void *measure(void *answers_there)
{
    struct delays *d = answers_there;
    int fd = dial();

    for (long i = 0; i < n_each; i++) {
        usleep(1000);
        int64_t asked = coir_now();
        ask(fd, 'e');
        note(d, coir_now() - asked);
        if (TAIL || i % CONNECT_EVERY) continue;
        asked = coir_now();
        int other = dial();
        ask(other, 'e');
        note(&accepts, coir_now() - asked);
        close(other);
    }
    close(fd);
    __atomic_sub_fetch(&n_going, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void *keep_computing(void *arg)
{
    int fd = dial();

    while (__atomic_load_n(&n_going, __ATOMIC_RELAXED)) ask(fd, 'c');
    close(fd);
    return arg;
}

static void be_clients(long n)
{
    pthread_t threads[CLIENTS];
    int measuring = TAIL ? CLIENTS / 2 : CLIENTS;

    n_each = n / measuring;
    n_going = measuring;
    accepts.at = calloc((size_t)n_each / CONNECT_EVERY + 1, sizeof(int64_t));
    for (int i = 0; i < CLIENTS; i++) {
        answers[i].at = calloc((size_t)n_each, sizeof(int64_t));
        bench_must(answers[i].at && accepts.at, "calloc");
        threads[i] = bench_thread(i < measuring ? measure : keep_computing, &answers[i]);
    }
    for (int i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
}

// ---- The answer --------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double us(const struct delays *d, long of_1000)
{
    long i = d->n * of_1000 / 1000;

    return d->n ? (double)d->at[i < d->n ? i : d->n - 1] / 1000.0 : 0;
}

// All in one, sorted.
static struct delays gather(void)
{
    struct delays all = {calloc((size_t)(n_each * CLIENTS), sizeof(int64_t)), 0};

    bench_must(all.at != NULL, "calloc");
    for (int i = 0; i < CLIENTS; i++)
        for (long k = 0; k < answers[i].n; k++) note(&all, answers[i].at[k]);
    qsort(all.at, (size_t)all.n, sizeof(int64_t), compare);
    qsort(accepts.at, (size_t)accepts.n, sizeof(int64_t), compare);
    return all;
}

static int64_t cpu_of(pid_t pid)
{
    clockid_t clock;
    struct timespec ts = {0};

    bench_must(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &ts) == 0,
               "clock");
    return (int64_t)ts.tv_sec * COIR_SEC + ts.tv_nsec;
}

static void listen_here(void)
{
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_must(bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
    bench_must(listen(fd, SOMAXCONN) == 0, "listen");
    bench_must(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
    bench_must(fd == LISTENER || dup2(fd, LISTENER) == LISTENER, "dup2");
    if (fd != LISTENER) close(fd);
}

int main(int argc, char **argv)
{
    struct bench b = {0};

    if (argc < 4) {
        fprintf(stderr, "usage: %s coir|pthreads|SERVER WORKERS N\n", argv[0]);
        return 2;
    }
    b.workers = (unsigned)atoi(argv[2]);
    b.n = atol(argv[3]);
    listen_here();
    pid_t server = fork();
    if (server == 0) be_server(&b, argv);
    ask(dial(), 'e'); // it is there
    int64_t cpu = -cpu_of(server);
    bench_start(&b);
    be_clients(b.n);
    bench_stop(&b);
    cpu += cpu_of(server);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);

    struct delays all = gather();
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    double fair = (double)b.ns * (double)(b.workers < cpus ? b.workers : cpus);
    printf("{\"value\": %.1f, \"unit\": \"us, p99\", \"n\": %ld, \"p50\": %.1f, "
           "\"p999\": %.1f, \"max\": %.1f, \"accept_p50\": %.1f, \"accept_max\": %.1f, "
           "\"server_share\": %.3f}\n",
           us(&all, 990), all.n, us(&all, 500), us(&all, 999), us(&all, 1000),
           us(&accepts, 500), us(&accepts, 1000), (double)cpu / fair);
    return 0;
}
