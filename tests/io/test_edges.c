// SPDX-License-Identifier: MIT
// Goal:   what a call says to the unusual - nothing to move, too many buffers, what does not
//         listen, flags that change whether it waits - is the same on a ring, on epoll and on a
//         thread.
// Method: each kind of descriptor against each such call, on every driver and on a thread; none has
//         a deadline, so a call that waits never comes back.
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "tests/io/everywhere.h"
#include "tests/io/far.h"

// What was just closed may be somebody else's: a worker that starts opens descriptors.
enum { NOBODYS = 999 };

static void close_pair(const int fds[2])
{
    for (int i = 0; i < 2; i++) expect_eq(coir_close(fds[i]), 0);
}

static int bound_socket(int type, struct sockaddr_in *ret_addr)
{
    socklen_t len = sizeof(*ret_addr);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    *ret_addr = (struct sockaddr_in){.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    expect(fd >= 0);
    expect_eq(bind(fd, (struct sockaddr *)ret_addr, sizeof(*ret_addr)), 0);
    expect_eq(getsockname(fd, (struct sockaddr *)ret_addr, &len), 0);
    return fd;
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in a;
    int listener = bound_socket(SOCK_STREAM, &a);

    expect_eq(listen(listener, 1), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // The host's blocking mode is there again behind the call.
    expect_eq(coir_connect(fds[0], (struct sockaddr *)&a, sizeof(a), COIR_FOREVER), 0);
    expect(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    expect_eq(coir_connect(fds[0], (struct sockaddr *)&a, sizeof(a), COIR_FOREVER),
              -EISCONN);
    fds[1] = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER);
    expect(fds[1] >= 0);
    expect_eq(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
    expect(!(fcntl(listener, F_GETFL) & O_NONBLOCK));
    expect_eq(coir_close(listener), 0);
}

// ---- Accept -----------------------------------------------------------------------------------

static void accept_is_refused(int fd, int err)
{
    int flags = fcntl(fd, F_GETFL);

    for (int i = 0; i < 2; i++) {
        expect_eq(coir_accept(fd, NULL, NULL, 0, COIR_FOREVER), err);
        expect_eq(coir_accept(fd, NULL, NULL, 0, COIR_NOW), err);
        expect_eq(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    }
    expect_eq(fcntl(fd, F_SETFL, flags), 0);
}

static int what_does_not_listen_accepts_nothing(void *arg)
{
    struct sockaddr_in a;
    int fds[2];

    (void)arg;
    tcp_pair(fds);
    accept_is_refused(fds[0], -EINVAL); // connected, and nobody says anything
    expect_eq(coir_write(fds[1], "x", 1, COIR_FOREVER), 1);
    expect_eq(coir_poll(fds[0], POLLIN, COIR_FOREVER), POLLIN);
    accept_is_refused(fds[0], -EINVAL); // and somebody does
    close_pair(fds);
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    for (int i = 0; i < 3; i++) {
        expect_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fds), 0);
        accept_is_refused(fds[0], types[i] == SOCK_DGRAM ? -EOPNOTSUPP : -EINVAL);
        close_pair(fds);
    }
    int fd = bound_socket(SOCK_DGRAM, &a);
    accept_is_refused(fd, -EOPNOTSUPP);
    expect_eq(coir_close(fd), 0);
    fd = bound_socket(SOCK_STREAM, &a);
    accept_is_refused(fd, -EINVAL); // not yet
    expect_eq(listen(fd, 5), 0);
    expect_eq(coir_accept(fd, NULL, NULL, 0, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_accept(fd, NULL, NULL, O_APPEND, COIR_FOREVER), -EINVAL);
    expect_eq(shutdown(fd, SHUT_RDWR), 0);
    accept_is_refused(fd, -EINVAL); // no more
    expect_eq(coir_close(fd), 0);
    return 0;
}

static void shuts_down(int fd)
{
    expect_eq(coir_shutdown(fd, SHUT_RDWR), 0);
}

// A shutdown of one's own ends those who wait there.
static int a_shutdown_wakes(void *arg)
{
    struct sockaddr_in a;
    struct far far;
    int fds[2];
    char c;

    (void)arg;
    tcp_pair(fds);
    let(&far, shuts_down, fds[0]);
    expect_eq(coir_read(fds[0], &c, 1, COIR_FOREVER), 0);
    has_acted(&far);
    expect_eq(coir_read(fds[1], &c, 1, COIR_FOREVER), 0);
    close_pair(fds);
    int listener = bound_socket(SOCK_STREAM, &a);
    expect_eq(listen(listener, 5), 0);
    let(&far, shuts_down, listener);
    expect_eq(coir_accept(listener, NULL, NULL, 0, COIR_FOREVER), -EINVAL);
    has_acted(&far);
    expect_eq(coir_close(listener), 0);
    expect_eq(coir_shutdown(NOBODYS, SHUT_RDWR), -EBADF);
    return 0;
}

// ---- A Unix listener whose queue is full --------------------------------------------------------

static void accepts_all(int listener)
{
    int fd;

    expect_eq(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    while ((fd = accept(listener, NULL, NULL)) >= 0) close(fd);
    expect_eq(fcntl(listener, F_SETFL, 0), 0);
}

// Nothing says that it has room again, and a socket without a peer looks ready to be written.
static int a_full_unix_queue_is_waited_for(void *arg)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct far far;
    char address[120];
    int fds[16], n = 0;
    char c;

    (void)arg;
    int length = snprintf(a.sun_path + 1, 40, "coir-edges-%d", getpid());
    socklen_t len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    snprintf(address, sizeof(address), "unix:@%s", a.sun_path + 1);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect_eq(bind(listener, (struct sockaddr *)&a, len), 0);
    expect_eq(listen(listener, 1), 0);
    while (n < 16 && (fds[n] = coir_dial(address, COIR_NOW)) >= 0) n++;
    expect(n > 0 && n < 16);
    expect_eq(fds[n], -ETIMEDOUT);
    int64_t when = coir_after(4 * COIR_MS);
    expect_eq(coir_dial(address, when), -ETIMEDOUT);
    expect(coir_now() >= when);
    for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
        expect_eq(coir_connect(fd, (struct sockaddr *)&a, len, coir_after(COIR_MS)),
                  -ETIMEDOUT);
        expect_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, flags);
        expect_eq(coir_close(fd), 0);
    }
    let(&far, accepts_all, listener);
    int fd = coir_dial(address, COIR_FOREVER);
    expect(fd >= 0);
    has_acted(&far);
    accepts_all(listener);
    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), 0); // it stood, and was closed
    expect_eq(coir_close(fd), 0);
    for (int i = 0; i < n; i++) expect_eq(coir_close(fds[i]), 0);
    expect_eq(coir_close(listener), 0);
    expect_eq(coir_dial(address, COIR_FOREVER), -ECONNREFUSED);
    return 0;
}

// ---- Nothing, and too much --------------------------------------------------------------------

static struct iovec too_many[IOV_MAX + 1]; // of nothing each

// Of any descriptor that one reads and the other writes.
static void vectors_are_checked(int in, int out)
{
    struct iovec below[1] = {{(char[1]){0}, SIZE_MAX}};

    expect_eq(coir_readv(in, NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_readv(in, too_many, 0, COIR_FOREVER), 0);
    expect_eq(coir_readv(in, too_many, 1, COIR_FOREVER), 0);
    expect_eq(coir_readv(in, too_many, IOV_MAX, COIR_FOREVER), 0);
    expect_eq(coir_readv(in, too_many, IOV_MAX + 1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_readv(in, too_many, -1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_readv(in, NULL, 1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_readv(in, below, 1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_writev(out, NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_writev(out, too_many, IOV_MAX, COIR_FOREVER), 0);
    expect_eq(coir_writev(out, too_many, IOV_MAX + 1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_writev(out, too_many, -1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_writev(out, NULL, 1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_writev(out, below, 1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_read(in, NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_read(in, NULL, 0, COIR_NOW), 0);
    expect_eq(coir_read(in, NULL, 1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_write(out, NULL, 1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_read_full(in, NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_write_all(out, NULL, 0, COIR_FOREVER), 0);
}

static void places_are_checked(int fd)
{
    expect_eq(coir_preadv(fd, NULL, 0, 0, COIR_FOREVER), 0);
    expect_eq(coir_preadv(fd, too_many, IOV_MAX, 0, COIR_FOREVER), 0);
    expect_eq(coir_preadv(fd, too_many, IOV_MAX + 1, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_preadv(fd, too_many, -1, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_preadv(fd, NULL, 1, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_preadv(fd, too_many, 1, -1, COIR_FOREVER), -EINVAL);
    expect_eq(coir_pwritev(fd, NULL, 0, 0, COIR_FOREVER), 0);
    expect_eq(coir_pwritev(fd, too_many, IOV_MAX, 0, COIR_FOREVER), 0);
    expect_eq(coir_pwritev(fd, too_many, IOV_MAX + 1, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_pwritev(fd, too_many, -1, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_pwritev(fd, NULL, 1, 0, COIR_FOREVER), -EINVAL);
    expect_eq(coir_pread(fd, NULL, 0, 0, COIR_FOREVER), 0);
    expect_eq(coir_pwrite(fd, NULL, 0, 0, COIR_FOREVER), 0);
}

static void fill(int fd)
{
    static char much[1 << 16];
    int flags = fcntl(fd, F_GETFL);

    expect_eq(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    while (write(fd, much, sizeof(much)) > 0) continue;
    while (write(fd, much, 1) > 0) continue;
    expect_eq(fcntl(fd, F_SETFL, flags), 0);
}

static void terminal(int fds[2])
{
    struct termios raw;

    expect_eq(openpty(&fds[0], &fds[1], NULL, NULL, NULL), 0);
    expect_eq(tcgetattr(fds[1], &raw), 0);
    cfmakeraw(&raw);
    expect_eq(tcsetattr(fds[1], TCSANOW, &raw), 0);
}

static void streams_move_nothing(void)
{
    int fds[2];

    expect_eq(pipe2(fds, O_CLOEXEC), 0);
    vectors_are_checked(fds[0], fds[1]);
    fill(fds[1]);
    vectors_are_checked(fds[0], fds[1]); // a full one has no room for nothing either
    expect_eq(coir_write(fds[1], NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_preadv(fds[0], NULL, 0, 0, COIR_FOREVER), -ESPIPE);
    expect_eq(coir_pwritev(fds[1], NULL, 0, 0, COIR_FOREVER), -ESPIPE);
    close_pair(fds);
    expect_eq(coir_readv(NOBODYS, NULL, 0, COIR_FOREVER), -EBADF);
    expect_eq(coir_writev(NOBODYS, NULL, 0, COIR_FOREVER), -EBADF);
    expect_eq(coir_read(NOBODYS, NULL, 0, COIR_FOREVER), -EBADF);
    expect_eq(coir_read_full(NOBODYS, NULL, 0, COIR_FOREVER), 0); // whatever it is

    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    vectors_are_checked(fds[0], fds[1]);
    fill(fds[1]);
    vectors_are_checked(fds[0], fds[1]);
    close_pair(fds);

    terminal(fds);
    vectors_are_checked(fds[0], fds[1]);
    vectors_are_checked(fds[1], fds[0]);
    expect_eq(coir_write(fds[1], NULL, 0, COIR_FOREVER), 0);
    expect(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
    close_pair(fds);
}

// writev(2) of nothing sends no empty message, send(2) and write(2) do.
static void an_empty_message(void)
{
    int fds[2];
    char c;

    expect_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    vectors_are_checked(fds[0], fds[1]);
    expect_eq(coir_recv(fds[0], &c, 1, 0, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_write(fds[1], NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_recv(fds[0], &c, 1, 0, COIR_NOW), 0);
    expect_eq(coir_recv(fds[0], &c, 1, 0, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_send(fds[1], NULL, 0, 0, COIR_FOREVER), 0);
    expect_eq(coir_recv(fds[0], NULL, 0, 0, COIR_FOREVER), 0);
    close_pair(fds);
}

static int nothing_moves_at_once(void *arg)
{
    char path[] = "/tmp/coir-edges-XXXXXX";
    int none = eventfd(0, EFD_CLOEXEC);
    sigset_t set;

    (void)arg;
    streams_move_nothing();
    an_empty_message();
    int file = mkostemp(path, O_CLOEXEC);
    expect(file >= 0);
    expect_eq(unlink(path), 0);
    vectors_are_checked(file, file);
    places_are_checked(file);
    expect_eq(coir_sendfile(none, file, NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_close(file), 0);
    sigemptyset(&set);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    expect_eq(coir_read(signals, NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_read(none, NULL, 0, COIR_FOREVER), 0);
    expect_eq(coir_close(signals), 0);
    expect_eq(coir_close(none), 0);
    return 0;
}

// As many buffers as there may be, of a byte each, across a pipe and a socket.
static int the_most_buffers(void *arg)
{
    static char from[IOV_MAX], to[IOV_MAX];
    static struct iovec out[IOV_MAX], in[IOV_MAX];
    int fds[2];

    (void)arg;
    for (int i = 0; i < IOV_MAX; i++) {
        from[i] = (char)i;
        out[i] = (struct iovec){&from[i], 1};
        in[i] = (struct iovec){&to[i], 1};
    }
    for (int is_pipe = 0; is_pipe < 2; is_pipe++) {
        int made = is_pipe ? pipe2(fds, O_CLOEXEC)
                           : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
        int sum = 0;

        expect_eq(made, 0);
        memset(to, 0, sizeof(to));
        while (sum < IOV_MAX) {
            ssize_t n = coir_writev(fds[1], out + sum, IOV_MAX - sum, COIR_FOREVER);
            expect(n > 0);
            sum += (int)n;
        }
        expect_eq(coir_readv(fds[0], in, IOV_MAX, COIR_FOREVER), IOV_MAX);
        expect_eq(memcmp(to, from, sizeof(to)), 0);
        close_pair(fds);
    }
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct msghdr msg = {.msg_iov = too_many, .msg_iovlen = IOV_MAX + 1};
    expect_eq(coir_sendmsg(fds[1], &msg, 0, COIR_FOREVER), -EMSGSIZE);
    expect_eq(coir_recvmsg(fds[0], &msg, 0, COIR_FOREVER), -EMSGSIZE);
    close_pair(fds);
    return 0;
}

// ---- Flags ------------------------------------------------------------------------------------

static int who_says_not_to_wait_does_not(void *arg)
{
    struct iovec one = {(char[1]){0}, 1};
    struct msghdr msg = {.msg_iov = &one, .msg_iovlen = 1};
    int fds[2];
    char c;

    (void)arg;
    tcp_pair(fds);
    expect_eq(coir_recv(fds[0], &c, 1, MSG_DONTWAIT, COIR_FOREVER), -EAGAIN);
    expect_eq(coir_recvmsg(fds[0], &msg, MSG_DONTWAIT, COIR_FOREVER), -EAGAIN);
    expect_eq(coir_recv(fds[0], &c, 1, MSG_OOB, COIR_FOREVER), -EINVAL);
    expect_eq(coir_recv(fds[0], &c, 1, MSG_ERRQUEUE, COIR_FOREVER), -EAGAIN);
    expect_eq(coir_recvmsg(fds[0], &msg, MSG_ERRQUEUE, COIR_FOREVER), -EAGAIN);
    expect_eq(coir_write(fds[1], "x", 1, COIR_FOREVER), 1);
    expect_eq(coir_recv(fds[0], &c, 1, MSG_PEEK, COIR_FOREVER), 1);
    expect_eq(coir_recv(fds[0], &c, 1, MSG_DONTWAIT, COIR_FOREVER), 1);
    close_pair(fds);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    fill(fds[0]);
    expect_eq(coir_send(fds[0], &c, 1, MSG_DONTWAIT, COIR_FOREVER), -EAGAIN);
    expect_eq(coir_sendmsg(fds[0], &msg, MSG_DONTWAIT, COIR_FOREVER), -EAGAIN);
    expect_eq(coir_send(fds[0], &c, 1, 0, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_sendmsg(fds[0], &msg, 0, COIR_NOW), -ETIMEDOUT);
    close_pair(fds);
    return 0;
}

static void says_the_rest(int fd)
{
    expect_eq(send(fd, "def", 3, 0), 3);
}

// What of MSG_WAITALL the two backends and a thread could do by themselves differs.
static int who_waits_for_all_gets_it(void *arg)
{
    struct far far;
    char buf[8] = "";
    int fds[2];

    (void)arg;
    tcp_pair(fds);
    expect_eq(send(fds[1], "abc", 3, 0), 3);
    let(&far, says_the_rest, fds[1]);
    expect_eq(coir_recv(fds[0], buf, 6, MSG_WAITALL, COIR_FOREVER), 6);
    expect_eq(memcmp(buf, "abcdef", 6), 0);
    has_acted(&far);

    expect_eq(coir_recv(fds[0], buf, 6, MSG_WAITALL, COIR_NOW), -ETIMEDOUT);
    expect_eq(send(fds[1], "abc", 3, 0), 3);
    expect_eq(coir_poll(fds[0], POLLIN, COIR_FOREVER), POLLIN);
    // Neither a peek nor who does not want to wait waits, nor a message.
    expect_eq(coir_recv(fds[0], buf, 6, MSG_WAITALL | MSG_PEEK, COIR_FOREVER), 3);
    expect_eq(coir_recv(fds[0], buf, 1, MSG_WAITALL | MSG_DONTWAIT, COIR_FOREVER), 1);
    expect_eq(coir_recvfrom(fds[0], buf, 6, MSG_WAITALL, NULL, NULL, COIR_FOREVER), 2);
    // What came before the deadline, or before the end, is counted.
    expect_eq(send(fds[1], "abc", 3, 0), 3);
    expect_eq(coir_recv(fds[0], buf, 6, MSG_WAITALL, coir_after(20 * COIR_MS)), 3);
    expect_eq(send(fds[1], "abc", 3, 0), 3);
    expect_eq(shutdown(fds[1], SHUT_WR), 0);
    expect_eq(coir_recv(fds[0], buf, 6, MSG_WAITALL, COIR_FOREVER), 3);
    expect_eq(coir_recv(fds[0], buf, 6, MSG_WAITALL, COIR_FOREVER), 0);
    close_pair(fds);

    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET}; // one message is all
    for (int i = 0; i < 2; i++) {
        expect_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fds), 0);
        for (int j = 0; j < 2; j++) expect_eq(send(fds[1], "abc", 3, 0), 3);
        expect_eq(coir_recv(fds[0], buf, 6, MSG_WAITALL, COIR_FOREVER), 3);
        expect_eq(coir_recv(fds[0], buf, 6, MSG_WAITALL, COIR_FOREVER), 3);
        close_pair(fds);
    }
    return 0;
}

// ---- Deadlines that are over --------------------------------------------------------------------

static void says_one(int fd)
{
    expect_eq(send(fd, "x", 1, 0), 1);
}

// A deadline belongs to its call: neither one that was kept nor one that was missed ends the next.
static int a_deadline_is_its_calls_alone(void *arg)
{
    struct far far;
    int fds[2];
    char c;

    (void)arg;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 4; i++) {
        // The far end speaks behind the first deadline and behind the second.
        if (i % 2)
            expect_eq(coir_read(fds[0], &c, 1, coir_after(500 * COIR_US)), -ETIMEDOUT);
        else
            says_one(fds[1]);
        if (i % 2 == 0) expect_eq(coir_read(fds[0], &c, 1, coir_after(2 * COIR_MS)), 1);
        let(&far, says_one, fds[1]);
        expect_eq(coir_read(fds[0], &c, 1, COIR_FOREVER), 1);
        has_acted(&far);
    }
    close_pair(fds);
    return 0;
}

int main(void)
{
    everywhere("accept", what_does_not_listen_accepts_nothing);
    everywhere("shutdown", a_shutdown_wakes);
    everywhere("full queue", a_full_unix_queue_is_waited_for);
    everywhere("nothing", nothing_moves_at_once);
    everywhere("most", the_most_buffers);
    everywhere("do not wait", who_says_not_to_wait_does_not);
    everywhere("wait for all", who_waits_for_all_gets_it);
    everywhere("deadline", a_deadline_is_its_calls_alone);
    return 0;
}
