// SPDX-License-Identifier: MIT
// Goal:   deadlines, cancels and closes are exact: never early, nothing lost, nobody left waiting,
//         and a re-used descriptor number never meets what was meant for the old one.
// Method: each kind of waiting call against deadlines; a trickle of bytes and of connections
//         against deadlines of a few microseconds; closes against every kind of waiter; numbers
//         that are re-used under load.
#include <coir/go.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/io/kinds.h"
#include "tests/io/mode.h"
#include "tests/lib/test.h"

static coir_waitgroup group;

static void done(void)
{
    expect_eq(coir_waitgroup_done(&group), 0);
}

static void wait_for_all(void)
{
    expect_eq(coir_waitgroup_wait(&group, coir_after(30 * COIR_SEC)), 0);
}

// ---- Deadlines ------------------------------------------------------------------------

// Also on an ordinary thread.
static int deadlines_are_never_early(void *arg)
{
    static const int64_t waits[] = {30 * COIR_US, COIR_MS, 7 * COIR_MS};

    (void)arg;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct sockaddr_in address;
        struct scene s = open_scene(kind, &address);

        for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
            int64_t deadline = coir_after(waits[i]);
            // A connect that timed out goes on in the kernel: its socket is used once.
            if (connects(kind) && i > 0) break;
            expect_eq(wait_there(kind, s.fd, &address, deadline), -ETIMEDOUT);
            expect(coir_now() >= deadline);
            expect(coir_now() < deadline + 2 * COIR_SEC * test_slowness());
        }
        expect_eq(coir_close(s.fd), 0);
        close_others(&s);
    }
    return 0;
}

static int past_deadlines_fail_at_once(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct sockaddr_in address;
        struct scene s = open_scene(kind, &address);
        int64_t from = coir_now();

        for (int i = 0; i < 20 && !(connects(kind) && i > 0); i++)
            expect_eq(wait_there(kind, s.fd, &address, i % 2 ? from - 1 : COIR_NOW),
                      -ETIMEDOUT);
        expect(coir_now() - from < COIR_SEC * test_slowness());
        expect_eq(coir_close(s.fd), 0);
        close_others(&s);
    }
    return 0;
}

// What is there is taken, however late the deadline says it is.
static int past_deadlines_try_first(void *arg)
{
    int fds[2], pipes[2];
    char c = 'x';

    (void)arg;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    expect_eq(pipe2(pipes, O_CLOEXEC), 0);
    for (int i = 0; i < 500; i++) {
        int64_t deadline = i % 2 ? coir_now() - 1 : COIR_NOW;

        expect_eq(coir_write(fds[1], &c, 1, deadline), 1);
        expect_eq(coir_poll(fds[0], POLLIN, deadline), POLLIN);
        expect_eq(coir_recv(fds[0], &c, 1, 0, deadline), 1);
        expect_eq(coir_write(pipes[1], &c, 1, deadline), 1);
        expect_eq(coir_read(pipes[0], &c, 1, deadline), 1);
    }
    for (int i = 0; i < 2; i++) {
        expect_eq(coir_close(fds[i]), 0);
        expect_eq(coir_close(pipes[i]), 0);
    }
    return 0;
}

// Rule 11: a pthread lock may be held over a call that does not wait.
static void try_often(void)
{
    int fds[2];
    char c = 'x';

    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (int round = 0; round < 20; round++) {
        pid_t here = gettid(); // pthread_self is "const": a compiler asks once

        for (int i = 0; i < 500; i++) {
            expect_eq(coir_write(fds[1], &c, 1, COIR_NOW), 1);
            expect_eq(coir_recv(fds[0], &c, 1, 0, COIR_NOW), 1);
            expect_eq(coir_recv(fds[0], &c, 1, 0, COIR_NOW), -ETIMEDOUT);
            expect_eq(gettid(), here);
        }
        expect_eq(coir_yield(), 0);
    }
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    done();
}

static int who_only_tries_stays_on_its_thread(void *arg)
{
    (void)arg;
    coir_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++) expect_eq(go(try_often), 0);
    wait_for_all();
    return 0;
}

// ---- What happened wins ---------------------------------------------------------------

enum { TRICKLE = 3000 };

static void trickle(int fd)
{
    for (int i = 0; i < TRICKLE; i++) {
        unsigned char c = (unsigned char)i;

        expect_eq(coir_write(fd, &c, 1, COIR_FOREVER), 1);
        if (i % 3 == 0) expect_eq(coir_sleep(i % 50 * COIR_US), 0);
    }
    expect_eq(coir_close(fd), 0);
    done();
}

static void read_trickle(int fd)
{
    ssize_t n = 0;
    int seen = 0;

    while (n != 0 || seen < TRICKLE) {
        unsigned char c;

        n = coir_read(fd, &c, 1, coir_after((1 + seen % 60) * COIR_US));
        expect(n == 1 || n == -ETIMEDOUT || (n == 0 && seen == TRICKLE));
        if (n == 1) expect_eq(c, (unsigned char)seen++);
        if (n == 0) break;
    }
    expect_eq(coir_close(fd), 0);
    done();
}

static int no_byte_is_lost_to_a_deadline(void *arg)
{
    int fds[2];

    (void)arg;
    coir_waitgroup_add(&group, 4);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    expect_eq(go(trickle, fds[0]), 0);
    expect_eq(go(read_trickle, fds[1]), 0);
    expect_eq(pipe2(fds, O_CLOEXEC), 0);
    expect_eq(go(trickle, fds[1]), 0);
    expect_eq(go(read_trickle, fds[0]), 0);
    wait_for_all();
    return 0;
}

// read(2) of nothing says so at once and takes no message; recv(2) waits for one, and takes it.
static int a_read_of_nothing_does_not_wait(void *arg)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    struct iovec none[2] = {{NULL, 0}, {NULL, 0}};
    int fds[2];
    char c = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        bool is_stream = types[i] == SOCK_STREAM;

        expect_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fds), 0);
        expect_eq(coir_read(fds[0], &c, 0, coir_after(COIR_SEC)), 0);
        expect_eq(coir_read(fds[0], &c, 0, COIR_NOW), 0);
        expect_eq(coir_readv(fds[0], none, 2, coir_after(COIR_SEC)), 0);
        expect_eq(coir_readv(fds[0], none, 0, coir_after(COIR_SEC)), 0);
        expect_eq(coir_recv(fds[0], &c, 0, 0, coir_after(COIR_MS)), -ETIMEDOUT);
        expect_eq(coir_recv(fds[0], &c, 0, MSG_DONTWAIT, COIR_FOREVER), -EAGAIN);
        expect_eq(coir_write(fds[1], "ab", 2, COIR_FOREVER), 2);
        expect_eq(coir_read(fds[0], &c, 0, COIR_FOREVER), 0);
        expect_eq(coir_readv(fds[0], none, 2, COIR_FOREVER), 0);
        expect_eq(coir_recv(fds[0], &c, 0, 0, COIR_FOREVER), 0);
        expect_eq(coir_recv(fds[0], &c, 1, 0, COIR_NOW), is_stream ? 1 : -ETIMEDOUT);
        expect_eq(coir_close(fds[0]), 0);
        expect_eq(coir_read(999, &c, 0, COIR_FOREVER), -EBADF); // nobody's
        expect_eq(coir_close(fds[1]), 0);
    }
    expect_eq(pipe2(fds, O_CLOEXEC), 0);
    expect_eq(coir_read(fds[0], &c, 0, coir_after(COIR_SEC)), 0);
    expect_eq(coir_write(fds[1], &c, 0, COIR_FOREVER), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    return 0;
}

enum { GUESTS = 200 };

static void guest(struct sockaddr_in address)
{
    char c = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    expect_eq(coir_connect(fd, (struct sockaddr *)&address, sizeof(address),
                           coir_after(20 * COIR_SEC)),
              0);
    expect_eq(coir_read(fd, &c, 1, coir_after(20 * COIR_SEC)), 1); // lost: nobody greets
    expect_eq(coir_close(fd), 0);
    done();
}

static int no_connection_is_lost_to_a_deadline(void *arg)
{
    int listener = coir_listen("127.0.0.1:0", NULL);
    struct sockaddr_in address = address_of(listener);

    (void)arg;
    coir_waitgroup_add(&group, GUESTS);
    for (int i = 0; i < GUESTS;) {
        if (i % 10 == 0)
            for (int j = 0; j < 10; j++) expect_eq(go(guest, address), 0);
        for (int to = i + 10; i < to;) {
            int fd =
                coir_accept(listener, NULL, NULL, 0, coir_after((1 + i % 40) * COIR_US));
            expect(fd >= 0 || fd == -ETIMEDOUT);
            if (fd < 0) continue;
            expect_eq(coir_write(fd, "!", 1, COIR_FOREVER), 1);
            expect_eq(coir_close(fd), 0);
            i++;
        }
    }
    wait_for_all();
    expect_eq(coir_close(listener), 0);
    return 0;
}

// ---- Close wakes ----------------------------------------------------------------------

struct waiting {
    enum kind kind;
    int fd;
    struct sockaddr_in address;
    atomic_int begun, woken;
};

static void wait_until_closed(struct waiting *w)
{
    atomic_fetch_add(&w->begun, 1);
    expect_eq(wait_there(w->kind, w->fd, &w->address, COIR_FOREVER), -EBADF);
    atomic_fetch_add(&w->woken, 1);
}

static void *wait_on_a_thread(void *w)
{
    wait_until_closed(w);
    return NULL;
}

static void *close_on_a_thread(void *w)
{
    expect_eq(coir_close(((struct waiting *)w)->fd), 0);
    return NULL;
}

// A number that nobody is given by chance: who comes too late to wait, on a slow machine, finds
// nothing there, instead of what was opened since.
static int number_of_its_own(int fd)
{
    int far = fcntl(fd, F_DUPFD_CLOEXEC, 500);

    expect(far >= 500);
    expect_eq(close(fd), 0);
    return far;
}

// Three coroutines and a thread wait; a coroutine or a thread closes.
static void close_under(enum kind kind, bool by_thread)
{
    struct waiting w = {.kind = kind};
    struct scene s = open_scene(kind, &w.address);
    int waiters = connects(kind) ? 1 : 4; // one connect a socket
    pthread_t sleeper, closer;
    struct stat before, after;

    w.fd = number_of_its_own(s.fd);
    expect_eq(fstat(w.fd, &before), 0);
    for (int i = 0; i < (waiters + 2) / 2; i++) expect_eq(go(wait_until_closed, &w), 0);
    if (waiters > 1) expect_eq(pthread_create(&sleeper, NULL, wait_on_a_thread, &w), 0);
    do expect_eq(coir_sleep(3 * COIR_MS), 0);
    while (w.begun < waiters);
    expect_eq(w.woken, 0);
    if (by_thread)
        expect_eq(pthread_create(&closer, NULL, close_on_a_thread, &w), 0);
    else
        expect_eq(coir_close(w.fd), 0);
    while (w.woken < waiters) expect_eq(coir_sleep(100 * COIR_US), 0);
    if (by_thread) pthread_join(closer, NULL);
    if (waiters > 1) pthread_join(sleeper, NULL);
    // The number may be somebody else's by now.
    expect(fstat(w.fd, &after) < 0 || after.st_ino != before.st_ino);
    close_others(&s);
}

static int close_wakes_every_kind_of_waiter(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        close_under(kind, false);
        close_under(kind, true);
    }
    return 0;
}

// ---- A cancel ends every kind -----------------------------------------------------------

static ssize_t waits_to_be_cancelled(struct waiting *w)
{
    ssize_t got = wait_there(w->kind, w->fd, &w->address, COIR_FOREVER);

    expect_eq(got, -ECANCELED);
    return got;
}

// Three wait, one of them in its turn, until a scope's deadline cancels them; then the descriptor
// is as it was. Also on an ordinary thread, alone.
static int cancels_end_every_kind_of_waiter(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct waiting w = {.kind = kind};
        struct scene s = open_scene(kind, &w.address);
        coir_scope scope;

        w.fd = s.fd;
        expect_eq(coir_scope_open(&scope, coir_after(3 * COIR_MS)), 0);
        for (int i = 0; i < 2 && coir_current() && !connects(kind); i++)
            expect_eq(coir_scope_go(&scope, waits_to_be_cancelled, &w), 0);
        waits_to_be_cancelled(&w);
        expect_eq(wait_there(kind, s.fd, &w.address, COIR_NOW), -ECANCELED); // still
        expect_eq(coir_scope_wait(&scope), -ETIMEDOUT);
        if (!connects(kind) && kind != ACCEPTS && !writes(kind)) {
            expect_eq(wait_there(kind, s.fd, &w.address, COIR_NOW), -ETIMEDOUT);
            expect_eq(write(s.others[0], "x", 1), 1);
            expect_eq(wait_there(kind, s.fd, &w.address, COIR_FOREVER), 1);
        }
        expect_eq(coir_close(s.fd), 0);
        close_others(&s);
    }
    return 0;
}

// ---- Numbers are re-used --------------------------------------------------------------

struct life {
    int fd;
    uint64_t tag;
    atomic_bool closing;
    atomic_int begun, ended;
};

static atomic_ulong tags, lives_read, lives_closed;
static int64_t reuse_until;
static bool numbers_are_shared;

static void read_own_tag(struct life *life)
{
    uint64_t got = 0;

    atomic_fetch_add(&life->begun, 1);
    ssize_t n = coir_read_full(life->fd, &got, sizeof(got), COIR_FOREVER);
    if (n == (ssize_t)sizeof(got)) {
        expect_eq(got, life->tag);
        atomic_fetch_add(&lives_read, 1);
    } else {
        expect_eq(n, -EBADF); // from its own close, not from one before
        expect(life->closing);
        atomic_fetch_add(&lives_closed, 1);
    }
    atomic_fetch_add(&life->ended, 1);
}

static void *read_on_a_thread(void *life)
{
    read_own_tag(life);
    return NULL;
}

// The next number of the process, which somebody else has had a moment ago; or one that only this
// owner uses: with two workers a reader may come late, and then must not find somebody else there.
static void open_life(struct life *life, int fds[2], int owner)
{
    *life = (struct life){.tag = atomic_fetch_add(&tags, 1) + 1};
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    if (!numbers_are_shared) {
        expect_eq(dup3(fds[0], 500 + owner, O_CLOEXEC), 500 + owner);
        close(fds[0]);
        fds[0] = 500 + owner;
    }
    life->fd = fds[0];
}

// Opens, lets two read, sends to none, one or both, closes, and again.
static void live_many_lives(int owner, unsigned state)
{
    while (coir_now() < reuse_until) {
        struct life life;
        pthread_t thread;
        int fds[2];

        state = state * 1664525u + 1013904223u;
        bool threaded = !numbers_are_shared && (state >> 16) % 16 == 0;
        open_life(&life, fds, owner);
        expect_eq(go(read_own_tag, &life), 0);
        if (threaded)
            expect_eq(pthread_create(&thread, NULL, read_on_a_thread, &life), 0);
        else
            expect_eq(go(read_own_tag, &life), 0);
        while (life.begun < 2) expect_eq(coir_yield(), 0);
        if (state >> 20 & 1) expect_eq(coir_sleep((state >> 21) % 100 * COIR_US), 0);
        for (unsigned i = 0; i < (state >> 28) % 3; i++)
            expect_eq(coir_write_all(fds[1], &life.tag, sizeof(life.tag), COIR_FOREVER),
                      8);
        if (state >> 24 & 1) expect_eq(coir_yield(), 0);
        life.closing = true;
        expect_eq(coir_close(fds[0]), 0);
        expect_eq(coir_close(fds[1]), 0);
        while (life.ended < 2) expect_eq(coir_sleep(20 * COIR_US), 0);
        if (threaded) pthread_join(thread, NULL);
    }
    done();
}

static int a_new_life_meets_nothing_of_the_old(void *shared)
{
    enum { OWNERS = 8 };
    uint64_t seed = test_seed();

    numbers_are_shared = shared != NULL;
    lives_read = lives_closed = 0;
    reuse_until = coir_after(250 * COIR_MS);
    coir_waitgroup_add(&group, OWNERS);
    for (int i = 0; i < OWNERS; i++)
        expect_eq(go(live_many_lives, i, (unsigned)seed + (unsigned)i), 0);
    wait_for_all();
    printf("%lu tags read, %lu readers closed\n", lives_read, lives_closed);
    expect(lives_read > 0 && lives_closed > 0);
    return 0;
}

// ---- Everything, on one worker and on two, and what can on an ordinary thread ---------

static void run(unsigned workers, int (*fn)(void *), void *arg)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = workers;
    expect_eq(coir_run(&config, fn, arg), 0);
}

int main(void)
{
    static int yes;

    mode_check();
    some_file = file_of_a_byte();
    near.sun_family = AF_UNIX;
    snprintf(near.sun_path + 1, sizeof(near.sun_path) - 1, "coir-exact-%d", getpid());
    int before = count_fds();
    for (unsigned workers = 1; workers <= 2; workers++) {
        run(workers, deadlines_are_never_early, NULL);
        run(workers, past_deadlines_fail_at_once, NULL);
        run(workers, past_deadlines_try_first, NULL);
        run(workers, who_only_tries_stays_on_its_thread, NULL);
        run(workers, no_byte_is_lost_to_a_deadline, NULL);
        run(workers, a_read_of_nothing_does_not_wait, NULL);
        run(workers, no_connection_is_lost_to_a_deadline, NULL);
        run(workers, close_wakes_every_kind_of_waiter, NULL);
        run(workers, cancels_end_every_kind_of_waiter, NULL);
        run(workers, a_new_life_meets_nothing_of_the_old, workers == 1 ? &yes : NULL);
    }
    deadlines_are_never_early(NULL);
    a_read_of_nothing_does_not_wait(NULL);
    past_deadlines_fail_at_once(NULL);
    past_deadlines_try_first(NULL);
    cancels_end_every_kind_of_waiter(NULL);
    expect_eq(count_fds(), before);
    close(some_file);
    return 0;
}
