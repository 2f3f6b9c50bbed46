// SPDX-License-Identifier: MIT
// http_pthreads PORT: the same with a thread a connection.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/http_hello.h"

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char in[HTTP_IN], out[HTTP_OUT];
    struct http h = {0};
    ssize_t n;

    while ((n = read(fd, in, sizeof(in))) > 0) {
        size_t bytes = http_answer(&h, in, (size_t)n, out);
        if (bytes && send(fd, out, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) break;
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)atoi(argv[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pthread_attr_t attr;
    int on = 1;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0) return 1;
    if (listen(listener, SOMAXCONN) < 0) return 1;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        if (pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd)) close(fd);
    }
    return 1;
}
