// SPDX-License-Identifier: MIT
// serve_uring PORT THREADS: the limit on a ring: no coroutines; each thread has a ring and a
// listener of its own on the same port; a receive or a send a connection in flight, a whole
// round of them submitted by one call. A receive is tried before it is polled: the peer's
// answer is often there by then. Multishot receives into a buffer ring were no better.
#include <liburing.h>

#include "bench/serve_hand.h"

enum { ACCEPT = CLIENTS, IS_SEND = 1 << 16 };

static struct service clients[CLIENTS];
static _Thread_local struct io_uring ring;

static struct io_uring_sqe *next_sqe(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (sqe) return sqe;
    io_uring_submit(&ring);
    return io_uring_get_sqe(&ring);
}

static void start_accept(int listener)
{
    struct io_uring_sqe *sqe = next_sqe();

    io_uring_prep_accept(sqe, listener, NULL, NULL, 0);
    sqe->user_data = ACCEPT;
}

static void start_recv(int fd)
{
    struct io_uring_sqe *sqe = next_sqe();

    io_uring_prep_recv(sqe, fd, clients[fd].in, SERVICE_IN, 0);
    sqe->user_data = (unsigned)fd;
}

// What is to be sent, else the next receive.
static void go_on(int fd)
{
    size_t n;
    const char *out = service_answer(&clients[fd], &n);

    if (n == 0) {
        start_recv(fd);
        return;
    }
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_send(sqe, fd, out, n, MSG_NOSIGNAL);
    sqe->user_data = (unsigned)fd | IS_SEND;
}

static void handle(const struct io_uring_cqe *cqe, int listener)
{
    int fd = (int)(cqe->user_data & (IS_SEND - 1));

    if (fd == ACCEPT) {
        if (cqe->res >= CLIENTS) {
            close(cqe->res);
        } else if (cqe->res >= 0) {
            clients[cqe->res] = (struct service){0};
            start_recv(cqe->res);
        }
        start_accept(listener);
    } else if (cqe->res <= 0) {
        close(fd);
    } else {
        if (!(cqe->user_data & IS_SEND)) service_take(&clients[fd], (size_t)cqe->res);
        go_on(fd);
    }
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
    return serve_on_threads(argc, argv, loop);
}
