// SPDX-License-Identifier: MIT
// echo [ADDRESS] - sends back what it receives; a coroutine a connection.
// Try: ./example_echo 127.0.0.1:7777 &  nc 127.0.0.1 7777
#include <coir/go.h>
#include <stdio.h>
#include <string.h>

#define IDLE_MAX (60 * COIR_SEC)

static void serve(int fd)
{
    char buf[4096];
    ssize_t n;

    while ((n = coir_recv(fd, buf, sizeof(buf), 0, coir_after(IDLE_MAX))) > 0)
        if (coir_write_all(fd, buf, (size_t)n, coir_after(IDLE_MAX)) != n) break;
    if (n < 0) fprintf(stderr, "connection %d: %s\n", fd, strerror((int)-n));
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
    static char address[] = "127.0.0.1:7777";

    return coir_run(NULL, run, argc > 1 ? argv[1] : address) == 0 ? 0 : 1;
}
