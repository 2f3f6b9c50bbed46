// SPDX-License-Identifier: MIT
// http [ADDRESS] - says hello over HTTP/1.1, with keep-alive and pipelining.
// Try: ./example_http 127.0.0.1:8080 &  curl http://127.0.0.1:8080/
#include <coir/go.h>
#include <stdio.h>
#include <string.h>

#define IDLE_MAX (30 * COIR_SEC)
#define HELLO                                                                            \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n"          \
    "Hello, World\n"

struct session {
    int fd;
    size_t have, queued; // bytes in 'in' and 'out'
    char in[8192], out[8192];
};

// True if all of it went out.
static bool flush(struct session *s)
{
    size_t n = s->queued;

    s->queued = 0;
    return !n || coir_write_all(s->fd, s->out, n, coir_after(IDLE_MAX)) == (ssize_t)n;
}

// Answers every whole request that has come; those that came together are answered together.
// False: the connection ends.
static bool answer(struct session *s)
{
    size_t used = 0;
    char *end;

    while ((end = memmem(s->in + used, s->have - used, "\r\n\r\n", 4))) {
        char *request = s->in + used;
        bool last;

        end[2] = '\0';
        last = strcasestr(request, "\r\nConnection: close") ||
               (strstr(request, " HTTP/1.0\r\n") && !strcasestr(request, ": keep-alive"));
        used = (size_t)(end - s->in) + 4;
        if (s->queued + sizeof(HELLO) > sizeof(s->out) && !flush(s)) return false;
        memcpy(s->out + s->queued, HELLO, sizeof(HELLO) - 1);
        s->queued += sizeof(HELLO) - 1;
        if (last) {
            flush(s);
            return false;
        }
    }
    s->have -= used;
    memmove(s->in, s->in + used, s->have);
    return flush(s) && s->have < sizeof(s->in); // a request that never ends is refused
}

static void serve(int fd)
{
    struct session s = {.fd = fd};
    ssize_t n;

    do {
        n = coir_recv(fd, s.in + s.have, sizeof(s.in) - s.have, 0, coir_after(IDLE_MAX));
        if (n > 0) s.have += (size_t)n;
    } while (n > 0 && answer(&s));
    coir_close(fd);
}

static int run(void *address)
{
    coir_listen_options options = {.tcp_nodelay = true};
    int fd, listener = coir_listen(address, &options);

    if (listener < 0) {
        fprintf(stderr, "%s: %s\n", (char *)address, strerror(-listener));
        return listener;
    }
    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        if (go(serve, fd)) coir_close(fd);
    return fd;
}

int main(int argc, char **argv)
{
    static char address[] = "127.0.0.1:8080";

    return coir_run(NULL, run, argc > 1 ? argv[1] : address) == 0 ? 0 : 1;
}
