// SPDX-License-Identifier: MIT
// serve_hand - what the servers without coroutines share: PORT THREADS, a listener, the threads.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/service.h"

enum { CLIENTS = 4096 }; // by descriptor

// Any number of them may listen on the port.
static inline int open_listener(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0) exit(1);
    if (listen(listener, SOMAXCONN) < 0) exit(1);
    return listener;
}

// Runs loop(port) on as many threads as the arguments say.
static inline int serve_on_threads(int argc, char **argv, void *(*loop)(void *port))
{
    pthread_t thread;

    if (argc < 3) return 2;
    void *port = (void *)(uintptr_t)atoi(argv[1]);
    for (int i = 1; i < atoi(argv[2]); i++)
        if (pthread_create(&thread, NULL, loop, port)) return 1;
    loop(port);
    return 1;
}
