// SPDX-License-Identifier: MIT
// echo_hosted - the server of echo_coir.c, for a runtime in another program's loop.
#pragma once

#include <coir.h>
#include <coir/go.h>

#include <stdio.h>
#include <stdlib.h>

static void serve(int fd)
{
    char buf[512];
    ssize_t n;

    while ((n = coir_read(fd, buf, sizeof(buf), COIR_FOREVER)) > 0)
        if (coir_write_all(fd, buf, (size_t)n, COIR_FOREVER) != n) break;
    coir_close(fd);
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        if (coir_go(serve, fd) < 0) coir_close(fd);
}

// Serves on this port; ends the program where that cannot be. COIR_DRIVER is heard, as by coir_run.
static coir_runtime *start_echo(const char *port)
{
    coir_listen_options options = {.tcp_nodelay = true};
    coir_config config = COIR_CONFIG_INIT;
    const char *driver = getenv("COIR_DRIVER");
    char address[32];
    coir_runtime *rt;

    if (driver && *driver == 'e') config.driver = COIR_DRIVER_EPOLL;
    snprintf(address, sizeof(address), "127.0.0.1:%s", port);
    int listener = coir_listen(address, &options);
    if (listener < 0 || coir_hosted_start(&config, &rt) < 0) exit(1);
    if (coir_go_on(rt, accept_all, listener) < 0) exit(1);
    return rt;
}
