// SPDX-License-Identifier: MIT
// serve_epoll PORT THREADS: the limit on epoll: no coroutines; each thread has a listener of its
// own on the same port; level-triggered, the call when ready.
#include <sys/epoll.h>

#include "bench/serve_hand.h"

enum { EVENTS = 256 };

static struct service clients[CLIENTS];

// A send that does not fit at once would need a queue; a few bytes to a peer that waits do fit.
static int answer(int fd)
{
    const char *out;
    size_t n;

    while ((out = service_answer(&clients[fd], &n)), n > 0)
        if (send(fd, out, n, MSG_NOSIGNAL) != (ssize_t)n) return -1;
    return 0;
}

static void serve(int fd)
{
    ssize_t n = recv(fd, clients[fd].in, SERVICE_IN, MSG_DONTWAIT);

    if (n > 0) {
        service_take(&clients[fd], (size_t)n);
        if (answer(fd) == 0) return;
    }
    close(fd);
}

static void accept_one(int epfd, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd < 0) return;
    if (fd < CLIENTS) clients[fd] = (struct service){0};
    if (fd >= CLIENTS || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) < 0) close(fd);
}

static void *loop(void *port)
{
    int listener = open_listener((uint16_t)(uintptr_t)port);
    int epfd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};

    if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event) < 0) exit(1);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epfd, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_one(epfd, listener);
            else
                serve(events[i].data.fd);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    return serve_on_threads(argc, argv, loop);
}
