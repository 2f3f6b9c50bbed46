// SPDX-License-Identifier: MIT
// ring - every way in which a ring can be refused, and what must come of it.
//
//     refused at the first worker    auto: epoll, one line in the log, the reason in driver_why
//                                    uring: the start fails with that error
//     refused at a later worker      the runtime goes on with fewer and serves
//     either way                     no descriptor is left
//
// COIR_FAULT (base/platform_fault.h) plays the kernel that refuses; a build without checks skips.
#include <coir/go.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/io/mode.h"
#include "tests/lib/test.h"

static struct {
    atomic_int lines;
    char last[256];
} logged;

static void note_line(void *arg, int level, const char *line)
{
    (void)arg;
    (void)level;
    if (strstr(line, "held its worker")) return; // a slow machine, not what is asked here
    strncat(strcpy(logged.last, ""), line, sizeof(logged.last) - 1);
    atomic_fetch_add(&logged.lines, 1);
}

static coir_waitgroup group;

static void answer(int fd)
{
    char buf[100];
    ssize_t n;

    while ((n = coir_read(fd, buf, sizeof(buf), COIR_FOREVER)) > 0)
        expect_eq(coir_write_all(fd, buf, (size_t)n, COIR_FOREVER), n);
    expect_eq(coir_close(fd), 0);
    coir_waitgroup_done(&group);
}

static void ask(int fd)
{
    char out[100] = "question", in[100];

    for (int i = 0; i < 20; i++) {
        expect_eq(coir_write_all(fd, out, sizeof(out), COIR_FOREVER), sizeof(out));
        expect_eq(coir_read_full(fd, in, sizeof(in), COIR_FOREVER), sizeof(in));
        expect_eq(memcmp(in, out, sizeof(in)), 0);
    }
    expect_eq(coir_close(fd), 0);
    coir_waitgroup_done(&group);
}

// Many pairs talk: whatever came of the start, it serves.
static void serve_some(coir_runtime *rt)
{
    enum { PAIRS = 20 };

    coir_waitgroup_add(&group, 2 * PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        int fds[2];

        expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        expect_eq(coir_go_on(rt, answer, fds[0]), 0);
        expect_eq(coir_go_on(rt, ask, fds[1]), 0);
    }
    expect_eq(coir_waitgroup_wait(&group, coir_after(20 * COIR_SEC)), 0);
}

static int start(coir_driver driver, unsigned workers, coir_runtime **ret_rt)
{
    coir_config config = COIR_CONFIG_INIT;

    logged.lines = 0;
    config.driver = driver;
    config.workers = workers;
    config.log = note_line;
    return coir_start(&config, ret_rt);
}

static void refused_at_once(const char *fault, int err)
{
    coir_info info = COIR_INFO_INIT;
    coir_runtime *rt;
    int before = count_fds();

    printf("%s\n", fault);
    fflush(stdout);
    setenv("COIR_FAULT", fault, 1);
    expect_eq(start(COIR_DRIVER_AUTO, 1, &rt), 0);
    expect_eq(coir_query(rt, &info), 0);
    expect_eq(info.driver, COIR_DRIVER_EPOLL);
    expect(strstr(info.driver_why, strerrordesc_np(err)));
    expect_eq(logged.lines, 1);
    expect(strstr(logged.last, strerrordesc_np(err)));
    serve_some(rt);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(logged.lines, 1);

    expect_eq(start(COIR_DRIVER_URING, 1, &rt), -err);
    expect_eq(logged.lines, 1);
    expect(strstr(logged.last, strerrordesc_np(err)));
    expect_eq(count_fds(), before);
}

static void refused_later(const char *fault)
{
    coir_runtime *rt;
    int before = count_fds();

    printf("%s, at the second worker\n", fault);
    fflush(stdout);
    setenv("COIR_FAULT", fault, 1);
    expect_eq(start(COIR_DRIVER_URING, 2, &rt), 0);
    while (logged.lines == 0) serve_some(rt); // until two are wanted
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(logged.lines, 1);
    expect(strstr(logged.last, "going on with fewer"));
    expect_eq(count_fds(), before);
}

// One number formatted into the fault's words.
static const char *with(const char *format, int n)
{
    static char text[64];

    snprintf(text, sizeof(text), format, n);
    return text;
}

// ---- Cancels that find no room -------------------------------------------------------------

static void reads_until_the_deadline(int fd, int64_t deadline)
{
    char c;

    expect_eq(coir_read(fd, &c, 1, deadline), -ETIMEDOUT);
    expect(coir_now() >= deadline);
    expect(coir_now() < deadline + COIR_SEC * test_slowness());
    coir_waitgroup_done(&group);
}

// The queue has one place, most enters are interrupted, and nothing else happens that would bring
// the worker back from its sleep.
static void cancels_are_not_forgotten(void)
{
    enum { READERS = 50 };
    int fds[READERS][2];
    coir_runtime *rt;

    setenv("COIR_FAULT", "sq=1,cq=2,enter=4,every=20,burst=19", 1);
    expect_eq(start(COIR_DRIVER_URING, 1, &rt), 0);
    coir_waitgroup_add(&group, READERS);
    for (int i = 0; i < READERS; i++) {
        expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]), 0);
        expect_eq(coir_go_on(rt, reads_until_the_deadline, fds[i][0],
                             coir_after(50 * COIR_MS)),
                  0);
    }
    expect_eq(coir_waitgroup_wait(&group, coir_after(20 * COIR_SEC)), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    for (int i = 0; i < READERS; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

// ---- In a host's loop ------------------------------------------------------------------------

// A ring without DEFER_TASKRUN works within the system calls of the host's thread, which end with
// EINTR or raise SIGPIPE there: as on a kernel without rings.
static void hosts_get_the_newest_ring_or_none(const char *fault)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_info info = COIR_INFO_INIT;
    coir_runtime *rt;
    int before = count_fds();

    printf("hosted, %s\n", fault);
    fflush(stdout);
    setenv("COIR_FAULT", fault, 1);
    logged.lines = 0;
    config.log = note_line;
    expect_eq(coir_hosted_start(&config, &rt), 0);
    expect_eq(coir_query(rt, &info), 0);
    expect_eq(info.driver, COIR_DRIVER_EPOLL);
    expect(strstr(info.driver_why, strerrordesc_np(EINVAL)));
    expect_eq(logged.lines, 1);
    expect_eq(coir_hosted_turn(rt, 0), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    config.driver = COIR_DRIVER_URING;
    expect_eq(coir_hosted_start(&config, &rt), -EINVAL);
    expect_eq(count_fds(), before);
}

// ---- Features one by one ---------------------------------------------------------------------

// What may be missing is missed; what a ring must have refuses it.
static void features_are_missing(void)
{
    static const unsigned needed[] = {IORING_FEAT_NODROP, IORING_FEAT_EXT_ARG};
    coir_runtime *rt;
    char fault[64];

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        snprintf(fault, sizeof(fault), "lack=%u", needed[i]);
        refused_at_once(fault, ENOSYS);
    }
    for (unsigned bit = 1; bit; bit <<= 1) {
        if (bit == IORING_FEAT_NODROP || bit == IORING_FEAT_EXT_ARG) continue;
        snprintf(fault, sizeof(fault), "lack=%u", bit);
        setenv("COIR_FAULT", fault, 1);
        expect_eq(start(COIR_DRIVER_URING, 1, &rt), 0);
        serve_some(rt);
        expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    }
}

int main(void)
{
    static const int at_setup[] = {ENOSYS, EPERM, EACCES, EINVAL, ENOMEM, EMFILE, ENFILE};
    static const int at_probe[] = {EPERM, EINVAL, ENOMEM, ENOSYS};
    static const int at_enter[] = {EPERM, ENOSYS, EINVAL};
    static const int ops[] = {
        IORING_OP_READ,   IORING_OP_WRITE,   IORING_OP_READV,    IORING_OP_WRITEV,
        IORING_OP_RECV,   IORING_OP_SEND,    IORING_OP_RECVMSG,  IORING_OP_SENDMSG,
        IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
    };
    coir_runtime *rt;

    int err = start(COIR_DRIVER_URING, 1, &rt);
    if (err < 0) test_skip(strerrordesc_np(-err));
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    setenv("COIR_FAULT", "setup=38", 1);
    if (start(COIR_DRIVER_URING, 1, &rt) == 0)
        test_skip("built without checks: no COIR_FAULT");

    for (size_t i = 0; i < sizeof(at_setup) / sizeof(at_setup[0]); i++)
        refused_at_once(with("setup=%d", at_setup[i]), at_setup[i]);
    for (size_t i = 0; i < sizeof(at_probe) / sizeof(at_probe[0]); i++)
        refused_at_once(with("probe=%d", at_probe[i]), at_probe[i]);
    for (size_t i = 0; i < sizeof(at_enter) / sizeof(at_enter[0]); i++)
        refused_at_once(with("enter=%d,every=1", at_enter[i]), at_enter[i]);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        refused_at_once(with("op=%d", ops[i]), ENOSYS);
    for (size_t i = 0; i < sizeof(at_setup) / sizeof(at_setup[0]); i++)
        refused_later(with("after=1,setup=%d", at_setup[i]));
    cancels_are_not_forgotten();
    features_are_missing();
    hosts_get_the_newest_ring_or_none("refuse=0x2000");
    hosts_get_the_newest_ring_or_none("refuse=0x2100");
    return 0;
}
