// SPDX-License-Identifier: MIT
// echo_load PORT CONNECTIONS SECONDS SERVER_PID: asks an echo server and watches what it costs.
//
// A closed loop: each connection has one request of 64 bytes in flight. After a second of warm-up
// it measures requests, their latency, and the processor time of all threads of the server
// (/proc/PID/task/*/schedstat). One line of JSON.
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 64, BUCKETS = 2000000 }; // latency in microseconds, up to two seconds

static uint32_t histogram[BUCKETS];
static int64_t *asked; // when, by descriptor

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

// Nanoseconds that the threads of pid have run.
static int64_t server_ns(const char *pid)
{
    char path[300];
    int64_t sum = 0;

    snprintf(path, sizeof(path), "/proc/%s/task", pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        long long ns = 0;
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "/proc/%s/task/%s/schedstat", pid, e->d_name);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%lld", &ns) == 1) sum += ns;
        if (file) fclose(file);
    }
    if (dir) closedir(dir);
    return sum;
}

static void ask(int fd)
{
    static const char request[BYTES] = "sixty-four bytes that come back as they went";

    asked[fd] = now();
    if (send(fd, request, BYTES, MSG_NOSIGNAL) != BYTES) {
        perror("send");
        exit(1);
    }
}

static int dial(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;

    for (int i = 0; connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0; i++) {
        if (i == 100) {
            perror("connect");
            exit(1);
        }
        usleep(20000);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

// Answers until 'end'; the number of them. Latencies go into the histogram where 'count'.
static long run(int epfd, int64_t end, int count)
{
    struct epoll_event events[256];
    long n = 0;

    while (now() < end) {
        int ready = epoll_wait(epfd, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            char buf[BYTES];
            int fd = events[i].data.fd;
            ssize_t got = recv(fd, buf, BYTES, MSG_WAITALL);
            if (got != BYTES) {
                fprintf(stderr, "echo_load: a connection ended\n");
                exit(1);
            }
            int64_t us = (now() - asked[fd]) / 1000;
            if (count) histogram[us < BUCKETS ? us : BUCKETS - 1]++;
            n++;
            ask(fd);
        }
    }
    return n;
}

static double quantile(long n, double q)
{
    long seen = 0;

    for (int i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) > (long)((double)n * q)) return i;
    return BUCKETS;
}

int main(int argc, char **argv)
{
    if (argc < 5) return 2;
    uint16_t port = (uint16_t)atoi(argv[1]);
    int connections = atoi(argv[2]);
    double seconds = atof(argv[3]);
    int epfd = epoll_create1(0);

    asked = calloc(65536, sizeof(*asked));
    for (int i = 0; i < connections; i++) {
        int fd = dial(port);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
        ask(fd);
    }
    run(epfd, now() + 1000000000, 0);
    int64_t cpu = -server_ns(argv[4]);
    int64_t from = now();
    long n = run(epfd, from + (int64_t)(seconds * 1e9), 1);
    double took = (double)(now() - from) / 1e9;
    cpu += server_ns(argv[4]);
    printf("{\"value\": %.3f, \"unit\": \"CPU us/request\", \"requests_per_s\": %.0f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n",
           (double)cpu / 1000.0 / (double)n, (double)n / took, quantile(n, 0.5),
           quantile(n, 0.99), quantile(n, 0.999));
    return 0;
}
