// SPDX-License-Identifier: MIT
// hosted_echo - the echo server that hosted_uv, hosted_event and hosted_glib have in their loops.
// It counts in a variable that the loop's own timer reads: both run on the loop's thread.
#pragma once

#include <coir/go.h>
#include <stdio.h>
#include <string.h>

static unsigned n_echoed;

static void serve(int fd)
{
    char buf[4096];
    ssize_t n;

    while ((n = coir_recv(fd, buf, sizeof(buf), 0, coir_after(60 * COIR_SEC))) > 0) {
        if (coir_write_all(fd, buf, (size_t)n, coir_after(60 * COIR_SEC)) != n) break;
        n_echoed++;
    }
    coir_close(fd);
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        if (go(serve, fd)) coir_close(fd);
}

// A runtime with the server in it, or NULL. Arguments: [ADDRESS [epoll]]
static coir_runtime *start_echo(int argc, char **argv)
{
    coir_listen_options options = {.tcp_nodelay = true};
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt = NULL;

    if (argc > 2 && strcmp(argv[2], "epoll") == 0) config.driver = COIR_DRIVER_EPOLL;
    int listener = coir_listen(argc > 1 ? argv[1] : "127.0.0.1:7777", &options);
    int err = listener < 0 ? listener : coir_hosted_start(&config, &rt);
    if (err == 0) err = coir_go_on(rt, accept_all, listener);
    if (err < 0) fprintf(stderr, "no server: %s\n", strerror(-err));
    return err < 0 ? NULL : rt;
}

static void say(void)
{
    printf("%u echoed\n", n_echoed);
    fflush(stdout);
}
