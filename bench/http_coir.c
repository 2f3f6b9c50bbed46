// SPDX-License-Identifier: MIT
// http_coir PORT WORKERS: hello over HTTP with keep-alive, raw: no header is looked at.
#include <coir/go.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench/http_hello.h"

static void serve(int fd)
{
    char in[HTTP_IN], out[HTTP_OUT];
    struct http h = {0};
    ssize_t n;

    while ((n = coir_read(fd, in, sizeof(in), COIR_FOREVER)) > 0) {
        size_t bytes = http_answer(&h, in, (size_t)n, out);
        if (bytes && coir_write_all(fd, out, bytes, COIR_FOREVER) != (ssize_t)bytes)
            break;
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
