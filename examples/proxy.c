// SPDX-License-Identifier: MIT
// proxy FROM TO - takes connections on FROM and joins each to one of its own to TO.
// Two coroutines a connection, one a direction; the end of one direction travels on (half-close).
#include <coir/go.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define IDLE_MAX (60 * COIR_SEC)
#define DIAL_MAX (5 * COIR_SEC)

static const char *to;

static void copy(int in, int out, coir_waitgroup *both)
{
    char buf[16384];
    ssize_t n;

    while ((n = coir_recv(in, buf, sizeof(buf), 0, coir_after(IDLE_MAX))) > 0)
        if (coir_write_all(out, buf, (size_t)n, coir_after(IDLE_MAX)) != n) break;
    coir_shutdown(out, n == 0 ? SHUT_WR : SHUT_RDWR); // an error ends both directions
    coir_waitgroup_done(both);
}

static void join(int client)
{
    coir_waitgroup both = {0};
    int server = coir_dial(to, coir_after(DIAL_MAX));

    if (server < 0) {
        fprintf(stderr, "%s: %s\n", to, strerror(-server));
    } else {
        coir_waitgroup_add(&both, 2);
        if (go(copy, server, client, &both)) {
            coir_waitgroup_done(&both);
            coir_shutdown(client, SHUT_RDWR);
        }
        copy(client, server, &both);
        coir_shield_begin(); // the other direction uses our stack: wait for it in any case
        (void)!coir_waitgroup_wait(&both, COIR_FOREVER);
        coir_shield_end();
        coir_close(server);
    }
    coir_close(client);
}

static int run(void *from)
{
    int fd, listener = coir_listen(from, NULL);

    if (listener < 0) {
        fprintf(stderr, "%s: %s\n", (char *)from, strerror(-listener));
        return listener;
    }
    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        if (go(join, fd)) coir_close(fd);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s FROM TO\n", argv[0]);
        return 2;
    }
    to = argv[2];
    return coir_run(NULL, run, argv[1]) == 0 ? 0 : 1;
}
