// SPDX-License-Identifier: MIT
// service OUTCOME WORKERS - a small server and its clients in a place that is short of something.
//
//     serves    every client is answered, if need be late (no descriptor free: both sides wait)
//     ERRNO     coir_run fails so, and says so in the log; never a crash, never a hang
//     short     the start went well, and then no descriptor was left: -EMFILE from the calls
//
// Either way no descriptor is left. tests/fault/meson.build has the places.
#include <coir/go.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum { CLIENTS = 10, ASKS = 20 };

static int lines;

static void note_line(void *arg, int level, const char *line)
{
    (void)arg;
    (void)level;
    if (strstr(line, "held its worker")) return; // a slow machine, not what is asked here
    __atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED);
    printf("log: %s\n", line);
}

static void serve(int fd)
{
    char buf[100];
    ssize_t n;

    while ((n = coir_read(fd, buf, sizeof(buf), COIR_FOREVER)) > 0)
        if (coir_write_all(fd, buf, (size_t)n, COIR_FOREVER) != n) break;
    coir_close(fd);
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        if (go(serve, fd)) serve(fd);
}

static int ask(const char *address)
{
    char c = 'x';
    int fd = coir_dial(address, coir_after(10 * COIR_SEC));

    if (fd < 0) return fd;
    for (int i = 0; i < ASKS; i++) {
        expect_eq(coir_write_all(fd, &c, 1, COIR_FOREVER), 1);
        expect_eq(coir_read_full(fd, &c, 1, coir_after(10 * COIR_SEC)), 1);
    }
    expect_eq(coir_close(fd), 0);
    return 0;
}

// One after the other, so that two free descriptors are enough.
static int serve_clients(void *arg)
{
    struct sockaddr_in where;
    socklen_t len = sizeof(where);
    char address[40];
    int err = 0, listener = coir_listen("127.0.0.1:0", NULL);

    (void)arg;
    if (listener < 0) return listener;
    expect_eq(getsockname(listener, (struct sockaddr *)&where, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(where.sin_port));
    if (go(accept_all, listener)) return -ENOMEM;
    for (int i = 0; i < CLIENTS && err == 0; i++) err = ask(address);
    expect_eq(coir_close(listener), 0);
    return err;
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

int main(int argc, char **argv)
{
    coir_config config = COIR_CONFIG_INIT;
    int before = open_fds();

    expect(argc == 3);
    config.workers = (unsigned)atoi(argv[2]);
    config.log = note_line;
    int got = coir_run(&config, serve_clients, NULL);
    printf("%s\n", got ? strerrordesc_np(-got) : "serves");
    if (strcmp(argv[1], "serves") == 0)
        expect_eq(got, 0);
    else if (strcmp(argv[1], "short") == 0)
        expect(got == -EMFILE && !lines);
    else
        expect(strcmp(strerrorname_np(-got), argv[1]) == 0 && lines > 0);
    expect_eq(open_fds(), before);
    return 0;
}
