// SPDX-License-Identifier: MIT
// Goal:   I/O in turns: sockets, pipes, files, deadlines, close and cancel from other threads, on
//         ring and epoll; the host's signals, masks and EPIPEs are untouched.
// Method: a plain program whose main thread is the host, in a loop around poll(2).
#include "tests/hosted/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int done;
static volatile sig_atomic_t n_signals;

// ---- An echo server and its clients, all in one loop --------------------------------------------

#define CLIENTS 20
#define ROUNDS 30

static int served;

static void serves(int fd)
{
    char buf[4096];
    ssize_t n;

    while ((n = coir_read(fd, buf, sizeof(buf), coir_after(20 * COIR_SEC))) > 0)
        expect_eq(coir_write_all(fd, buf, (size_t)n, coir_after(20 * COIR_SEC)), n);
    expect_eq(n, 0);
    expect_eq(coir_close(fd), 0);
    served++;
}

static void accepts(int listener)
{
    int fd;

    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        expect_eq(coir_go(serves, fd), 0);
    expect_eq(fd, -EBADF); // it was closed
}

static void asks(const char *address, int id, int *left)
{
    int fd = coir_dial(address, coir_after(20 * COIR_SEC));
    char buf[64], back[64];

    expect(fd >= 0);
    memset(buf, id, sizeof(buf));
    for (int i = 0; i < ROUNDS; i++) {
        expect_eq(coir_write_all(fd, buf, sizeof(buf), COIR_FOREVER), 64);
        expect_eq(coir_read_full(fd, back, sizeof(back), COIR_FOREVER), 64);
        expect_eq(memcmp(buf, back, sizeof(buf)), 0);
    }
    expect_eq(coir_close(fd), 0);
    if (--*left == 0) done = 1;
}

static void a_server_and_its_clients(void)
{
    coir_runtime *rt = loop_start();
    char address[] = "unix:/tmp/coir-hosted-XXXXXX";
    int left = CLIENTS;

    done = served = 0;
    expect(mkdtemp(address + 5)); // a name that is free
    expect_eq(rmdir(address + 5), 0);
    int listener = coir_listen(address, NULL);
    expect(listener >= 0);
    expect_eq(coir_go_on(rt, accepts, listener), 0);
    for (int i = 0; i < CLIENTS; i++)
        expect_eq(coir_go_on(rt, asks, address, i, &left), 0);
    loop_until(rt, &done, 5);
    expect_eq(coir_close(listener),
              0); // on the loop's thread, which has to end the accept
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(served, CLIENTS);
    unlink(address + 5);
}

// ---- Deadlines and cancel -----------------------------------------------------------------------

static void reads_in_vain(int fd)
{
    int64_t until = coir_after(5 * COIR_MS);
    char c;

    expect_eq(coir_read(fd, &c, 1, until), -ETIMEDOUT);
    expect(coir_now() >= until);
    done = 1;
}

static void an_operation_ends_at_its_deadline(void)
{
    coir_runtime *rt = loop_start();
    int fds[2];

    done = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_go_on(rt, reads_in_vain, fds[0]), 0);
    loop_until(rt, &done, 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_hosted_deadline(rt), COIR_FOREVER);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
}

static void reads_once(int fd, ssize_t wanted)
{
    char c;

    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), wanted);
    done = 1;
}

static void a_stop_ends_what_is_in_flight(void)
{
    coir_runtime *rt = loop_start();
    int fds[2];

    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < 5; i++)
        expect_eq(coir_go_on(rt, reads_once, fds[0], (ssize_t)-ECANCELED), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_stop(rt, coir_after(20 * COIR_SEC)), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
}

static void *closes(void *arg)
{
    expect_eq(coir_close(*(int *)arg), 0);
    return NULL;
}

static void another_thread_closes(void)
{
    coir_runtime *rt = loop_start();
    pthread_t thread;
    int fds[2];

    done = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_go_on(rt, reads_once, fds[0], (ssize_t)-EBADF), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(pthread_create(&thread, NULL, closes, &fds[0]), 0);
    loop_until(rt, &done, 0);
    expect_eq(pthread_join(thread, NULL), 0);
    expect_eq(coir_close(fds[1]), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void reads_until_it_is_closed(int fd, int *n_ended)
{
    char c;

    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), -EBADF);
    ++*n_ended;
}

// In a callback of the loop, so between turns: the close itself sees to it that what is under way
// ends, and the number may be given away at once.
static void the_loops_own_thread_closes(void)
{
    coir_runtime *a = loop_start(), *b = loop_start();
    int fds[2], more[2], n_ended = 0;
    char c;

    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < 3; i++) {
        expect_eq(coir_go_on(a, reads_until_it_is_closed, fds[0], &n_ended), 0);
        expect_eq(coir_go_on(b, reads_until_it_is_closed, fds[0], &n_ended), 0);
    }
    expect_eq(coir_hosted_turn(a, 0), 0);
    expect_eq(coir_hosted_turn(b, 0), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, more), 0);
    expect_eq(more[0], fds[0]);
    expect_eq(write(more[1], "x", 1), 1);
    while (n_ended < 6) {
        expect(coir_hosted_turn(a, 0) >= 0 && coir_hosted_turn(b, 0) >= 0);
        if (n_ended < 6) loop_wait(a, coir_after(COIR_MS));
    }
    expect_eq(read(more[0], &c, 1), 1); // nobody of the old ones took it
    expect_eq(coir_stop(a, COIR_FOREVER), 0);
    expect_eq(coir_stop(b, COIR_FOREVER), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    expect_eq(close(more[1]), 0);
}

static void closes_it(int fd)
{
    expect_eq(coir_close(fd), 0);
    done = 1;
}

// The closer in one loop, the readers in it and in another of the same thread.
static void a_coroutine_of_another_loop_closes(void)
{
    coir_runtime *a = loop_start(), *b = loop_start();
    int fds[2], n_ended = 0;

    done = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_go_on(a, reads_until_it_is_closed, fds[0], &n_ended), 0);
    expect_eq(coir_go_on(b, reads_until_it_is_closed, fds[0], &n_ended), 0);
    expect_eq(coir_hosted_turn(a, 0), 0);
    expect_eq(coir_hosted_turn(b, 0), 0);
    expect_eq(coir_go_on(a, closes_it, fds[0]), 0);
    while (n_ended < 2 || !done) {
        expect(coir_hosted_turn(a, 0) >= 0 && coir_hosted_turn(b, 0) >= 0);
        if (n_ended < 2 || !done) loop_wait(a, coir_after(COIR_MS));
    }
    expect_eq(coir_stop(a, COIR_FOREVER), 0);
    expect_eq(coir_stop(b, COIR_FOREVER), 0);
    expect_eq(coir_close(fds[1]), 0);
}

// The same descriptor in the hands of a coroutine and of an ordinary thread.
static void *writes_bytes(void *arg)
{
    for (int i = 0; i < 200; i++)
        expect_eq(coir_write(*(int *)arg, "x", 1, COIR_FOREVER), 1);
    return NULL;
}

static void reads_bytes(int fd)
{
    char c;

    for (int i = 0; i < 200; i++) expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), 1);
    done = 1;
}

static void the_descriptor_tells_of_data(void)
{
    coir_runtime *rt = loop_start();
    pthread_t thread;
    int fds[2];

    done = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_go_on(rt, reads_bytes, fds[0]), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect(!loop_is_readable(rt));
    expect_eq(pthread_create(&thread, NULL, writes_bytes, &fds[1]), 0);
    loop_until(rt, &done, 0);
    expect_eq(pthread_join(thread, NULL), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect(!loop_is_readable(rt));
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- SIGPIPE ------------------------------------------------------------------------------------

static void counts_signals(int signal)
{
    (void)signal;
    n_signals++;
}

static void writes_to_nobody(int fd, int waits)
{
    char big[4096] = {0};
    ssize_t n;

    // The pipe is full at first, so that the last write waits for its end.
    do n = coir_write(fd, big, sizeof(big), waits ? COIR_FOREVER : COIR_NOW);
    while (n > 0);
    expect_eq(n, -EPIPE);
    done++;
}

static void no_sigpipe_comes_or_stays(void)
{
    coir_runtime *rt = loop_start();
    struct sigaction action = {.sa_handler = counts_signals}, before;
    sigset_t mask, after;
    int fds[2];

    done = n_signals = 0;
    expect_eq(sigaction(SIGPIPE, &action, &before), 0);
    memset(&mask, 0, sizeof(mask));
    memset(&after, 0, sizeof(after));
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    expect_eq(pipe(fds), 0);
    expect_eq(coir_go_on(rt, writes_to_nobody, fds[1], 1), 0);
    while (coir_hosted_turn(rt, 0) > 0) continue;
    expect_eq(done, 0); // it waits
    expect_eq(close(fds[0]), 0);
    loop_until(rt, &done, 0);
    expect_eq(coir_go_on(rt, writes_to_nobody, fds[1], 0), 0);
    expect_eq(coir_go_on(rt, writes_to_nobody, fds[1], 1), 0);
    while (done < 3) {
        expect(coir_hosted_turn(rt, 0) >= 0);
        if (done < 3) loop_wait(rt, COIR_FOREVER / 2);
    }
    expect_eq(n_signals, 0);
    sigpending(&after);
    expect_eq(sigismember(&after, SIGPIPE), 0);
    memset(&after, 0, sizeof(after));
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    expect_eq(memcmp(&mask, &after, sizeof(mask)), 0);
    raise(SIGPIPE); // the host's own still comes
    expect_eq(n_signals, 1);
    expect_eq(sigaction(SIGPIPE, &before, NULL), 0);
    expect_eq(coir_close(fds[1]), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- Files --------------------------------------------------------------------------------------

// On a ring the kernel does it; on epoll only a helper could, and there is none.
static void uses_files(const char *path)
{
    int on_ring = loop_driver == COIR_DRIVER_URING;
    int fd = coir_open(path, O_RDWR | O_CREAT, 0600);
    char back[4] = "";

    if (!on_ring) {
        expect_eq(fd, -EAGAIN);
        done = 1;
        return;
    }
    expect(fd >= 0);
    expect_eq(coir_pwrite(fd, "abc", 3, 0, COIR_FOREVER), 3);
    expect_eq(coir_fsync(fd), 0);
    expect_eq(coir_pread(fd, back, 3, 0, COIR_FOREVER), 3);
    expect_eq(memcmp(back, "abc", 3), 0);
    expect_eq(coir_close(fd), 0);
    expect_eq(coir_unlink(path), 0);
    done = 1;
}

static void files_use_the_ring_or_are_refused(void)
{
    coir_runtime *rt = loop_start();
    char path[] = "/tmp/coir-hosted-XXXXXX";
    int before = count_threads(), fd = mkstemp(path);

    expect(fd >= 0);
    close(fd);
    done = 0;
    expect_eq(coir_go_on(rt, uses_files, path), 0);
    loop_until(rt, &done, 0);
    expect_soon(count_threads() <= before);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    unlink(path);
}

// ---- Scopes, from the host ----------------------------------------------------------------------

static int reads_as_child(int fd)
{
    char c;

    return (int)coir_read(fd, &c, 1, COIR_FOREVER);
}

static void has_a_scope(coir_scope **ret_scope, int fd)
{
    coir_scope s;

    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    expect_eq(coir_scope_go(&s, reads_as_child, fd), 0);
    *ret_scope = &s;
    expect_eq(coir_scope_wait(&s), -ECANCELED);
    done = 1;
}

static void the_host_cancels_a_scope(void)
{
    coir_runtime *rt = loop_start();
    coir_scope *scope = NULL;
    int fds[2];

    done = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_go_on(rt, has_a_scope, &scope, fds[0]), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    coir_scope_cancel(scope);
    loop_until(rt, &done, 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
}

// ---- fork ---------------------------------------------------------------------------------------

#ifndef COIR_TSAN
static int a_child(coir_runtime *parents)
{
    coir_runtime *rt;

    if (coir_hosted_turn(parents, 0) != -EPERM || coir_hosted_fd(parents) != -EPERM ||
        coir_hosted_deadline(parents) != -EPERM || coir_stop(parents, 0) != -EPERM)
        return 2;
#ifndef COIR_ASAN // whose allocator takes no lock at fork
    if (coir_hosted_start(NULL, &rt) != 0) return 3;
    done = 0;
    if (coir_hosted_turn(rt, 0) != 0 || coir_stop(rt, COIR_FOREVER) != 0) return 4;
#else
    (void)rt;
#endif
    return 0;
}

static void a_child_of_fork_is_told(void)
{
    coir_runtime *rt = loop_start();
    int status, fds[2];
    pid_t pid;

    done = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_go_on(rt, reads_once, fds[0], (ssize_t)1), 0);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0) _exit(a_child(rt));
    expect_eq(waitpid(pid, &status, 0), pid);
    expect_eq(status, 0);
    expect_eq(coir_write(fds[1], "x", 1, COIR_NOW), 1);
    loop_until(rt, &done, 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
}
#endif

int main(void)
{
    on_both(a_server_and_its_clients);
    on_both(an_operation_ends_at_its_deadline);
    on_both(a_stop_ends_what_is_in_flight);
    on_both(another_thread_closes);
    on_both(the_loops_own_thread_closes);
    on_both(a_coroutine_of_another_loop_closes);
    on_both(the_descriptor_tells_of_data);
    on_both(no_sigpipe_comes_or_stays);
    on_both(files_use_the_ring_or_are_refused);
    on_both(the_host_cancels_a_scope);
#ifndef COIR_TSAN
    on_both(a_child_of_fork_is_told);
#endif
    return 0;
}
