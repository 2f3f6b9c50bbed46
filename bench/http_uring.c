// SPDX-License-Identifier: MIT
// http_uring PORT: the limit for raw HTTP: one thread, one ring, no coroutines; a receive or a send
// a connection in flight, a whole round of them submitted by one call.
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/http_hello.h"

enum { MOST = 4096, ACCEPT = MOST };

static struct client {
    struct http http;
    char in[HTTP_IN];
    char out[HTTP_OUT];
} clients[MOST];
static struct io_uring ring;

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

    io_uring_prep_recv(sqe, fd, clients[fd].in, HTTP_IN, 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->user_data = (unsigned)fd;
}

static void start_send(int fd, size_t n)
{
    struct io_uring_sqe *sqe = next_sqe(0);

    io_uring_prep_send(sqe, fd, clients[fd].out, n, MSG_NOSIGNAL);
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
        struct client *c = &clients[fd];
        size_t n = http_answer(&c->http, c->in, (size_t)cqe->res, c->out);

        if (n)
            start_send(fd, n);
        else
            start_recv(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_CQSIZE,
                                     .cq_entries = 8192};
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)atoi(argv[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0) return 1;
    if (listen(listener, SOMAXCONN) < 0) return 1;
    if (io_uring_queue_init_params(1024, &ring, &params) < 0) return 1;
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
}
