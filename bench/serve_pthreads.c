// SPDX-License-Identifier: MIT
// serve_pthreads PORT: the same with a thread a connection.
#include "bench/serve_hand.h"

static int answer(int fd, struct service *s)
{
    const char *out;
    size_t n;

    while ((out = service_answer(s, &n)), n > 0)
        if (send(fd, out, n, MSG_NOSIGNAL) != (ssize_t)n) return -1;
    return 0;
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct service s;
    ssize_t n;

    s.seen = 0;
    while ((n = read(fd, s.in, sizeof(s.in))) > 0) {
        service_take(&s, (size_t)n);
        if (answer(fd, &s) < 0) break;
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_attr_t attr;

    if (argc < 2) return 2;
    int listener = open_listener((uint16_t)atoi(argv[1]));
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        if (pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd)) close(fd);
    }
    return 1;
}
