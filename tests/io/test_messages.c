// SPDX-License-Identifier: MIT
// Goal:   datagrams, messages and descriptors that travel in them.
// Method: UDP and Unix sockets on every driver and on a thread.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/io/everywhere.h"

static int udp_socket(struct sockaddr_in *ret_addr)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(*ret_addr);

    *ret_addr = (struct sockaddr_in){.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    expect(fd >= 0);
    expect_eq(bind(fd, (struct sockaddr *)ret_addr, sizeof(*ret_addr)), 0);
    expect_eq(getsockname(fd, (struct sockaddr *)ret_addr, &len), 0);
    return fd;
}

static int datagrams(void *arg)
{
    struct sockaddr_in a_addr, b_addr, from;
    socklen_t len = sizeof(from);
    int a = udp_socket(&a_addr);
    int b = udp_socket(&b_addr);
    char buf[16];

    (void)arg;
    expect_eq(coir_recvfrom(b, buf, sizeof(buf), 0, NULL, NULL, COIR_NOW), -ETIMEDOUT);
    int64_t when = coir_after(2 * COIR_MS);
    expect_eq(coir_recvfrom(b, buf, sizeof(buf), 0, NULL, NULL, when), -ETIMEDOUT);
    expect(coir_now() >= when);
    expect_eq(coir_recvfrom(b, buf, sizeof(buf), MSG_DONTWAIT, NULL, NULL, COIR_FOREVER),
              -EAGAIN);
    expect_eq(coir_sendto(a, "hello", 5, 0, (struct sockaddr *)&b_addr, sizeof(b_addr),
                          COIR_FOREVER),
              5);
    expect_eq(coir_sendto(a, "", 0, 0, (struct sockaddr *)&b_addr, sizeof(b_addr),
                          COIR_FOREVER),
              0);
    expect_eq(coir_recvfrom(b, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len,
                            coir_after(COIR_SEC)),
              5);
    expect_eq(memcmp(buf, "hello", 5), 0);
    expect_eq(len, sizeof(from));
    expect_eq(from.sin_port, a_addr.sin_port);
    expect_eq(coir_recvfrom(b, buf, sizeof(buf), 0, NULL, NULL, coir_after(COIR_SEC)), 0);
    expect_eq(coir_sendto(a, "hello", 5, 0, NULL, 0, COIR_FOREVER), -EDESTADDRREQ);
    char *huge = calloc(1, 70000);
    expect_eq(coir_sendto(a, huge, 70000, 0, (struct sockaddr *)&b_addr, sizeof(b_addr),
                          COIR_FOREVER),
              -EMSGSIZE);
    free(huge);
    expect_eq(coir_recvfrom(b, NULL, 5, 0, NULL, NULL, COIR_NOW), -EINVAL);
    expect_eq(coir_recvfrom(b, buf, 5, 0, (struct sockaddr *)&from, NULL, COIR_NOW),
              -EINVAL);
    expect_eq(coir_sendto(a, NULL, 5, 0, NULL, 0, COIR_NOW), -EINVAL);
    expect_eq(coir_recvmsg(a, NULL, 0, COIR_NOW), -EINVAL);
    expect_eq(coir_sendmsg(a, NULL, 0, COIR_NOW), -EINVAL);
    expect_eq(coir_close(a), 0);
    expect_eq(coir_close(b), 0);
    return 0;
}

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static void send_descriptor(int through, int fd)
{
    union control control = {0};
    struct iovec one = {"d", 1};
    struct msghdr msg = {.msg_iov = &one,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    expect_eq(coir_sendmsg(through, &msg, 0, COIR_FOREVER), 1);
}

static int receive_descriptor(int from)
{
    union control control = {0};
    char byte;
    int fd;
    struct iovec one = {&byte, 1};
    struct msghdr msg = {.msg_iov = &one,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};

    expect_eq(coir_recvmsg(from, &msg, 0, coir_after(COIR_SEC)), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    expect(c && c->cmsg_type == SCM_RIGHTS);
    memcpy(&fd, CMSG_DATA(c), sizeof(int));
    return fd;
}

static int descriptors_travel(void *arg)
{
    int pair[2], pipe_ends[2];
    char byte = 0;

    (void)arg;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    expect_eq(pipe2(pipe_ends, O_CLOEXEC), 0);
    send_descriptor(pair[0], pipe_ends[1]);
    expect_eq(coir_close(pipe_ends[1]), 0);
    int got = receive_descriptor(pair[1]);
    expect_eq(fcntl(got, F_GETFD), FD_CLOEXEC);
    expect_eq(coir_write(got, "p", 1, COIR_FOREVER), 1);
    expect_eq(coir_read(pipe_ends[0], &byte, 1, COIR_FOREVER), 1);
    expect_eq(byte, 'p');
    expect_eq(coir_close(got), 0);
    expect_eq(coir_read(pipe_ends[0], &byte, 1, COIR_FOREVER), 0);
    expect_eq(coir_close(pipe_ends[0]), 0);
    for (int i = 0; i < 2; i++) expect_eq(coir_close(pair[i]), 0);
    return 0;
}

int main(void)
{
    everywhere("datagrams", datagrams);
    everywhere("descriptors", descriptors_travel);
    return 0;
}
