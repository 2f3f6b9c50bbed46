// SPDX-License-Identifier: MIT
// echo_epoll PORT: a hand-written loop on epoll: one thread, level-triggered, the call when ready.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES = 512, EVENTS = 256 };

// A send that does not fit at once would need a queue; 64 bytes to a peer that waits for them do.
static void serve(int fd)
{
    char buf[BYTES];
    ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n > 0 && send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n) return;
    close(fd);
}

static void accept_one(int epfd, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd >= 0 && epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) < 0) close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)atoi(argv[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int epfd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    int on = 1;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0) return 1;
    if (listen(listener, SOMAXCONN) < 0) return 1;
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event) < 0) return 1;
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
}
