// SPDX-License-Identifier: MIT
// client PORT CONNECTIONS SECONDS FIRST_NUMBER - keeps so many connections to the soak server busy.
//
// Knows nothing of coir: plain non-blocking sockets and one epoll, in a process of its own. All
// connections are made before the first message, so that they stand at once. Each sends a few
// messages about a second apart, checks what comes back byte by byte, and ends in one of three ways
//
//     plain       everything came back, then close
//     half-close  shutdown(SHUT_WR) with echoes under way; they and then the end must arrive
//     reset       close with SO_LINGER 0 in the middle of a message
//
// and is replaced by the next until the time is up. Prints how many ended how; exit code 1 if a
// byte was wrong, a connection failed or stood still.
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "tests/soak/pattern.h"

#define TICK_NS 20000000
#define SECOND INT64_C(1000000000)
#define STUCK_NS (60 * SECOND)
#define MESSAGE_MAX 2048
#define OPENED_A_TICK 100

enum end { PLAIN, HALF_CLOSE, RESET, N_ENDS };
enum state { CLOSED, CONNECTING, OPEN, SHUT };

struct conn {
    int fd;
    enum state state;
    enum end end;
    uint64_t number, sent, received;
    uint64_t message_end; // of the message that is being sent
    uint64_t reset_at;    // in the middle of the last message
    unsigned messages;    // that are still to begin
    int64_t next, moved;  // when the next one begins; when a byte last moved
};

static struct conn *conns;
static unsigned n_conns, n_open;
static uint64_t number, chance, opened, ended[N_ENDS], failures;
static struct sockaddr_in server;
static int epoll;

static int64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static uint64_t below(uint64_t n)
{
    return pattern_word(chance++, 0) % n;
}

static void finish(struct conn *c, bool good, const char *why)
{
    if (!good) {
        failures++;
        printf("connection %" PRIu64 ": %s (%s), sent %" PRIu64 ", received %" PRIu64
               "\n",
               c->number, why, strerror(errno), c->sent, c->received);
    } else {
        ended[c->end]++;
    }
    close(c->fd);
    c->state = CLOSED;
    n_open--;
}

static void begin(struct conn *c, int64_t now)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    uint64_t kind = below(10);

    *c = (struct conn){.number = number++,
                       .moved = now,
                       .messages = 4 + (unsigned)below(12)};
    c->end = kind < 3 ? RESET : kind < 6 ? HALF_CLOSE : PLAIN;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        perror("socket");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    c->state = CONNECTING;
    n_open++;
    opened++;
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) &&
        errno != EINPROGRESS)
        finish(c, false, "connect");
}

static void connected(struct conn *c, int64_t now)
{
    int err = 0;
    socklen_t len = sizeof(err);

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    errno = err;
    if (err ||
        send(c->fd, &c->number, sizeof(c->number), MSG_NOSIGNAL) != sizeof(c->number)) {
        finish(c, false, "connect");
        return;
    }
    c->state = OPEN;
    c->moved = now;
    c->next = now + (int64_t)below((uint64_t)SECOND);
}

static void receive(struct conn *c, int64_t now)
{
    uint8_t buf[4096];
    ssize_t n;

    while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0) {
        if (pattern_check(c->number, c->received, buf, (size_t)n) != (size_t)n) {
            finish(c, false, "a wrong byte came back");
            return;
        }
        c->received += (uint64_t)n;
        c->moved = now;
    }
    if (n == 0)
        finish(c, c->state == SHUT && c->received == c->sent,
               "an end that nobody asked for");
    else if (errno != EAGAIN)
        finish(c, false, "recv");
}

// Sends what is due, and ends the connection when everything is said.
static void transmit(struct conn *c, int64_t now)
{
    uint8_t buf[MESSAGE_MAX];
    uint64_t until;
    ssize_t n;

    if (c->sent == c->message_end && c->messages && now >= c->next) {
        c->messages--;
        c->message_end += 2 + below(MESSAGE_MAX - 2);
        c->next = now + SECOND / 2 + (int64_t)below((uint64_t)SECOND);
        if (!c->messages) c->reset_at = (c->sent + c->message_end) / 2;
    }
    until = c->end == RESET && c->reset_at ? c->reset_at : c->message_end;
    if (c->sent < until) {
        size_t want = (size_t)(until - c->sent);
        pattern_fill(c->number, c->sent, buf, want);
        n = send(c->fd, buf, want, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            finish(c, false, "send");
            return;
        }
        if (n > 0) c->sent += (uint64_t)n;
        c->moved = now;
    }
    if (c->messages || c->sent < until || !c->message_end) return;
    if (c->end == RESET) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                   sizeof(struct linger));
        finish(c, true, "");
    } else if (c->end == HALF_CLOSE) {
        shutdown(c->fd, SHUT_WR);
        c->state = SHUT;
    } else if (c->received == c->sent) {
        finish(c, true, "");
    }
}

static void tick(int64_t now, bool refill, bool talk)
{
    unsigned budget = OPENED_A_TICK;

    for (unsigned i = 0; i < n_conns; i++) {
        struct conn *c = &conns[i];
        if (c->state == CLOSED && refill && budget) {
            budget--;
            begin(c, now);
        } else if (c->state == OPEN && talk) {
            if (!refill && c->messages > 1) c->messages = 1; // time to end
            transmit(c, now);
        } else if (c->state == OPEN) {
            c->moved = now; // waits for the others
        }
        if (c->state != CLOSED && now - c->moved > STUCK_NS) {
            errno = ETIMEDOUT;
            finish(c, false, "stands still");
        }
    }
}

static bool all_stand(void)
{
    for (unsigned i = 0; i < n_conns; i++)
        if (conns[i].state != OPEN) return false;
    return true;
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    int64_t now = clock_ns(), end, next = now;
    bool talk = false;

    if (argc != 5) return 2;
    test_watchdog(0);
    server = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    n_conns = (unsigned)atoi(argv[2]);
    end = now + atoi(argv[3]) * SECOND;
    chance = number = strtoull(argv[4], NULL, 0);
    conns = calloc(n_conns, sizeof(*conns));
    epoll = epoll_create1(EPOLL_CLOEXEC);

    while ((now = clock_ns()) < end || n_open) {
        int n = epoll_wait(epoll, events, 256, 5);

        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c->state == CONNECTING && events[i].events & (EPOLLOUT | EPOLLERR))
                connected(c, now);
            if (c->state == OPEN || c->state == SHUT) receive(c, now);
        }
        if (now < next) continue;
        next = now + TICK_NS;
        if (!talk && all_stand()) {
            talk = true;
            end = now + atoi(argv[3]) * SECOND;
        }
        tick(now, now < end, talk || now >= end);
    }
    printf("client opened=%" PRIu64 " plain=%" PRIu64 " half_close=%" PRIu64
           " reset=%" PRIu64 " failures=%" PRIu64 " stood=%d\n",
           opened, ended[PLAIN], ended[HALF_CLOSE], ended[RESET], failures, talk);
    return failures != 0 || !talk;
}
