// SPDX-License-Identifier: MIT
// serve_coir PORT WORKERS: the server under test, as a user would write it.
#include <coir/go.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench/service.h"

static int answer(int fd, struct service *s)
{
    const char *out;
    size_t n;

    while ((out = service_answer(s, &n)), n > 0)
        if (coir_write_all(fd, out, n, COIR_FOREVER) != (ssize_t)n) return -1;
    return 0;
}

static void serve(int fd)
{
    struct service s;
    ssize_t n;

    s.seen = 0;
    while ((n = coir_read(fd, s.in, sizeof(s.in), COIR_FOREVER)) > 0) {
        service_take(&s, (size_t)n);
        if (answer(fd, &s) < 0) break;
    }
    coir_close(fd);
}

static int run(void *address)
{
    coir_listen_options options = {.tcp_nodelay = true};
    int listener = coir_listen(address, &options);
    int fd;

    if (listener < 0) return listener;
    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        if (coir_go(serve, fd) < 0) coir_close(fd);
    return fd;
}

int main(int argc, char **argv)
{
    coir_config config = COIR_CONFIG_INIT;
    char address[32];

    if (argc < 3) return 2;
    config.workers = (unsigned)atoi(argv[2]);
    snprintf(address, sizeof(address), "127.0.0.1:%s", argv[1]);
    return coir_run(&config, run, address) == 0 ? 0 : 1;
}
