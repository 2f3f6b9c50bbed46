// SPDX-License-Identifier: MIT
// echo_uring PORT THREADS: the limit: no coroutines; each thread has a ring and a listener of its
// own on the same port; a receive or a send a connection in flight, a whole round of them submitted
// by one call. A receive is tried before it is polled: the peer's answer is often there by then.
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES = 512, MOST = 4096, ACCEPT = MOST };

static char buffers[MOST][BYTES];
static _Thread_local struct io_uring ring;

static struct io_uring_sqe *next_sqe(uint64_t data)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    sqe->user_data = data;
    return sqe;
}

static void start_accept(int listener)
{
    struct io_uring_sqe *sqe = next_sqe(0);

    io_uring_prep_accept(sqe, listener, NULL, NULL, 0);
    sqe->user_data = ACCEPT;
}

static void start_recv(int fd)
{
    struct io_uring_sqe *sqe = next_sqe(0);

    io_uring_prep_recv(sqe, fd, buffers[fd], BYTES, 0);
    sqe->user_data = (unsigned)fd;
}

static void start_send(int fd, int n)
{
    struct io_uring_sqe *sqe = next_sqe(0);

    io_uring_prep_send(sqe, fd, buffers[fd], (size_t)n, MSG_NOSIGNAL);
    sqe->user_data = (unsigned)fd | 1u << 16;
}

static void handle(const struct io_uring_cqe *cqe, int listener)
{
    int fd = (int)(cqe->user_data & 0xffff);

    if (fd == ACCEPT) {
        if (cqe->res >= MOST)
            close(cqe->res);
        else if (cqe->res >= 0)
            start_recv(cqe->res);
        start_accept(listener);
    } else if (cqe->res <= 0) {
        close(fd);
    } else if (cqe->user_data >> 16) {
        start_recv(fd);
    } else {
        start_send(fd, cqe->res);
    }
}

static int open_listener(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0) exit(1);
    if (listen(listener, SOMAXCONN) < 0) exit(1);
    return listener;
}

static void *loop(void *port)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_CQSIZE,
                                     .cq_entries = 8192};
    int listener = open_listener((uint16_t)(uintptr_t)port);

    if (io_uring_queue_init_params(1024, &ring, &params) < 0) exit(1);
    start_accept(listener);
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, n = 0;

        if (io_uring_submit_and_wait(&ring, 1) < 0) continue;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            handle(cqe, listener);
            n++;
        }
        io_uring_cq_advance(&ring, n);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    if (argc < 3) return 2;
    void *port = (void *)(uintptr_t)atoi(argv[1]);
    for (int i = 1; i < atoi(argv[2]); i++)
        if (pthread_create(&thread, NULL, loop, port)) return 1;
    loop(port);
}
