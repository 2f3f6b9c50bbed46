// SPDX-License-Identifier: MIT
// kinds - one waiting call of each kind, and a descriptor on which it waits.
#pragma once

#include <coir/io.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum kind {
    READS,
    READS_VECTOR,
    READS_FULL,
    RECEIVES,
    RECEIVES_ALL,
    RECEIVES_MESSAGE,
    POLLS,
    WRITES,
    WRITES_VECTOR,
    WRITES_ALL,
    SENDS,
    SENDS_MESSAGE,
    SENDS_FILE,
    READS_PIPE,
    READS_VECTOR_OF_PIPE,
    WRITES_PIPE,
    WRITES_VECTOR_TO_PIPE,
    ACCEPTS,
    CONNECTS,
    CONNECTS_NEAR,
    KINDS
};

static bool connects(enum kind kind)
{
    return kind == CONNECTS || kind == CONNECTS_NEAR;
}

static bool is_of_pipe(enum kind kind)
{
    return kind >= READS_PIPE && kind <= WRITES_VECTOR_TO_PIPE;
}

static bool writes(enum kind kind)
{
    return (kind >= WRITES && kind <= SENDS_FILE) || kind == WRITES_PIPE ||
           kind == WRITES_VECTOR_TO_PIPE;
}

static int some_file; // of a byte

static int file_of_a_byte(void)
{
    int fd = memfd_create("byte", MFD_CLOEXEC);

    expect_eq(write(fd, "x", 1), 1);
    return fd;
}

struct scene {
    int fd;        // what is waited on
    int others[3]; // what has to stay open meanwhile; -1: none
};

static void fill(int fd)
{
    static char bytes[1 << 16];

    expect_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (write(fd, bytes, sizeof(bytes)) > 0) continue;
    while (write(fd, bytes, 1) > 0) continue;
    expect_eq(fcntl(fd, F_SETFL, 0), 0);
}

static struct sockaddr_in address_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);

    expect_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return a;
}

// A listener whose queue is full: a further connect waits.
static void full_listener(struct scene *s, struct sockaddr_in *ret_address)
{
    coir_listen_options options = {.backlog = 1};
    int fd = coir_listen("127.0.0.1:0", &options);

    expect(fd >= 0);
    *ret_address = address_of(fd);
    s->others[0] = fd;
    for (int i = 1; i < 3; i++) {
        s->others[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(s->others[i], (struct sockaddr *)ret_address, sizeof(*ret_address));
    }
}

static struct sockaddr_un near; // of this process alone

static void full_unix_listener(struct scene *s)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    expect(fd >= 0);
    expect_eq(bind(fd, (const struct sockaddr *)&near, sizeof(near)), 0);
    expect_eq(listen(fd, 1), 0);
    s->others[0] = fd;
    for (int i = 1; i < 3; i++) {
        s->others[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        expect_eq(connect(s->others[i], (const struct sockaddr *)&near, sizeof(near)), 0);
    }
}

static struct scene open_scene(enum kind kind, struct sockaddr_in *ret_address)
{
    struct scene s = {.others = {-1, -1, -1}};
    int fds[2];

    switch (kind) {
    case ACCEPTS: s.fd = coir_listen("127.0.0.1:0", NULL); break;
    case CONNECTS:
        full_listener(&s, ret_address);
        s.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        break;
    case CONNECTS_NEAR:
        full_unix_listener(&s);
        s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        break;
    default:
        if (is_of_pipe(kind))
            expect_eq(pipe2(fds, O_CLOEXEC), 0);
        else
            expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        s.fd = fds[writes(kind)];
        s.others[0] = fds[!writes(kind)];
        if (writes(kind)) fill(s.fd);
    }
    expect(s.fd >= 0);
    return s;
}

static void close_others(const struct scene *s)
{
    for (int i = 0; i < 3; i++)
        if (s->others[i] >= 0) coir_close(s->others[i]);
}

static ssize_t wait_there(enum kind kind, int fd, const struct sockaddr_in *address,
                          int64_t deadline)
{
    char c = 'x';
    struct iovec one = {&c, 1};
    struct msghdr msg = {.msg_iov = &one, .msg_iovlen = 1};
    off_t at = 0;

    switch (kind) {
    case READS_VECTOR:
    case READS_VECTOR_OF_PIPE: return coir_readv(fd, &one, 1, deadline);
    case READS_FULL: return coir_read_full(fd, &c, 1, deadline);
    case RECEIVES: return coir_recv(fd, &c, 1, 0, deadline);
    case RECEIVES_ALL: return coir_recv(fd, &c, 1, MSG_WAITALL, deadline);
    case RECEIVES_MESSAGE: return coir_recvmsg(fd, &msg, 0, deadline);
    case POLLS: return coir_poll(fd, POLLIN, deadline);
    case WRITES:
    case WRITES_PIPE: return coir_write(fd, &c, 1, deadline);
    case WRITES_VECTOR:
    case WRITES_VECTOR_TO_PIPE: return coir_writev(fd, &one, 1, deadline);
    case WRITES_ALL: return coir_write_all(fd, &c, 1, deadline);
    case SENDS: return coir_send(fd, &c, 1, 0, deadline);
    case SENDS_MESSAGE: return coir_sendmsg(fd, &msg, 0, deadline);
    case SENDS_FILE: return coir_sendfile(fd, some_file, &at, 1, deadline);
    case ACCEPTS: return coir_accept(fd, NULL, NULL, 0, deadline);
    case CONNECTS:
        return coir_connect(fd, (const struct sockaddr *)address, sizeof(*address),
                            deadline);
    case CONNECTS_NEAR:
        return coir_connect(fd, (const struct sockaddr *)&near, sizeof(near), deadline);
    default: return coir_read(fd, &c, 1, deadline);
    }
}
