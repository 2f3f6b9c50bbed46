// SPDX-License-Identifier: MIT
// hand_io - scenes for descriptors: bytes, deadlines, close, numbers that are used again.
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "coir/io.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

struct line {
    struct world world;
    int fds[2];
    uint32_t n, chunk;
    bool timed;
    atomic_u32 n_ended;
};

static uint8_t byte_at(uint32_t i)
{
    return (uint8_t)(i * 131 + (i >> 8) + 17);
}

static struct line line_of(uint32_t n)
{
    struct line l = {.n = n, .chunk = 1 + sim_choose(24, 1)};

    sim_socketpair(l.fds);
    sim.kept_blocks = 1; // the table of descriptors is the process's
    return l;
}

// ---- Bytes ---------------------------------------------------------------------------------

static int64_t short_deadline(const struct line *l)
{
    return l->timed && sim_choose(2, 1) ? coir_after(300) : COIR_FOREVER;
}

// Sends the pattern to fd; a deadline only makes it try again.
static void send_pattern(struct line *l, int fd)
{
    for (uint32_t i = 0; i < l->n;) {
        uint8_t buf[32];
        uint32_t n = l->n - i < l->chunk ? l->n - i : l->chunk;

        for (uint32_t k = 0; k < n; k++) buf[k] = byte_at(i + k);
        int64_t deadline = short_deadline(l);
        ssize_t put = coir_write(fd, buf, n, deadline);
        if (put == -ETIMEDOUT) {
            sim_expect_late(deadline);
            continue;
        }
        sim_expect(put > 0 && put <= (ssize_t)n);
        i += (uint32_t)put;
        if (l->timed && sim_choose(2, 1)) coir_sleep(400);
    }
}

// Receives it from fd: no byte twice, none lost, whatever deadlines passed meanwhile.
static void receive_pattern(struct line *l, int fd)
{
    for (uint32_t i = 0; i < l->n;) {
        uint8_t buf[32] = {0};
        int64_t deadline = short_deadline(l);
        ssize_t got = coir_read(fd, buf, sizeof(buf), deadline);

        if (got == -ETIMEDOUT) {
            sim_expect_late(deadline);
            for (uint32_t k = 0; k < sizeof(buf); k++) sim_expect_eq(buf[k], 0);
            continue;
        }
        sim_expect(got > 0);
        for (uint32_t k = 0; k < got; k++) sim_expect_eq(buf[k], byte_at(i + k));
        i += (uint32_t)got;
    }
}

static void echoes(void *arg)
{
    struct line *l = arg;
    uint8_t buf[48];
    ssize_t got;

    while ((got = coir_recv(l->fds[1], buf, sizeof(buf), 0, COIR_FOREVER)) > 0)
        sim_expect_eq(coir_write_all(l->fds[1], buf, (size_t)got, COIR_FOREVER), got);
    sim_expect_eq(got, 0);
    sim_expect_eq(coir_close(l->fds[1]), 0);
    world_done(&l->world);
}

static void writes(void *arg)
{
    struct line *l = arg;

    send_pattern(l, l->fds[0]);
    sim_expect_eq(coir_shutdown(l->fds[0], SHUT_WR), 0);
    world_done(&l->world);
}

static void reads(void *arg)
{
    struct line *l = arg;
    char more;

    receive_pattern(l, l->fds[0]);
    sim_expect_eq(coir_read(l->fds[0], &more, 1, COIR_FOREVER), 0);
    world_done(&l->world);
}

void scene_socket_echo(void)
{
    struct line l = line_of(120);

    world_start(&l.world, 2 + sim_choose(2, 1), 3);
    world_go(&l.world, echoes, &l);
    world_go(&l.world, writes, &l);
    world_go(&l.world, reads, &l);
    world_end(&l.world);
    sim_expect_eq(coir_close(l.fds[0]), 0);
}

// ---- Deadlines -----------------------------------------------------------------------------

static void writes_timed(void *arg)
{
    struct line *l = arg;

    send_pattern(l, l->fds[0]);
    world_done(&l->world);
}

static void reads_timed(void *arg)
{
    struct line *l = arg;

    receive_pattern(l, l->fds[1]);
    world_done(&l->world);
}

static void run_timed(bool from_thread)
{
    struct line l = line_of(60);
    struct os_thread thread = {0};

    l.timed = true;
    world_start(&l.world, 2, 2);
    world_go(&l.world, writes_timed, &l);
    if (from_thread)
        sim_expect_eq(os_thread_start(&thread, reads_timed, &l, "reads", NULL), 0);
    else
        world_go(&l.world, reads_timed, &l);
    world_end(&l.world);
    if (from_thread) os_thread_join(thread);
    coir_close(l.fds[0]);
    coir_close(l.fds[1]);
}

void scene_cancel_or_completion(void)
{
    run_timed(false);
}

void scene_thread_reads(void)
{
    run_timed(true);
}

static void reads_nothing(struct line *l, int side)
{
    for (int i = 0; i < 3; i++) {
        int64_t deadline = coir_after(1 + (int64_t)sim_choose(8, 1) * 60);
        char buf[8];

        sim_expect_eq(coir_read(l->fds[side], buf, sizeof(buf), deadline), -ETIMEDOUT);
        sim_expect_late(deadline);
    }
    world_done(&l->world);
}

static void start_silence(void *arg)
{
    for (int i = 0; i < 4; i++) sim_expect_eq(coir_go(reads_nothing, arg, i % 2), 0);
}

// Nothing ever comes: every read ends by its deadline, however early that is.
void scene_deadline_in_silence(void)
{
    struct line l = line_of(0);

    world_start(&l.world, 2, 4);
    world_go(&l.world, start_silence, &l);
    world_end(&l.world);
    coir_close(l.fds[0]);
    coir_close(l.fds[1]);
}

// ---- Close ---------------------------------------------------------------------------------

static void reads_until_closed(struct line *l)
{
    char buf[8];
    ssize_t got = coir_read(l->fds[0], buf, sizeof(buf), COIR_FOREVER);

    // -EBADF too if the close came first.
    sim_expect_eq(got, -EBADF);
    // [LINE-ENDED] acq_rel, pairs with itself.
    add_acq_rel(&l->n_ended, 1);
    world_done(&l->world);
}

static void closes_and_opens(struct line *l)
{
    int fresh[2];
    char in = 'n', out = 0;

    if (sim_choose(4, 1)) coir_yield();
    sim_expect_eq(coir_close(l->fds[0]), 0);
    // The number is free: mostly the next pair has it. Nobody of before may touch it.
    sim_socketpair(fresh);
    sim_expect_eq(coir_write(fresh[1], &in, 1, COIR_FOREVER), 1);
    sim_expect_eq(coir_read(fresh[0], &out, 1, coir_after(COIR_SEC)), 1);
    sim_expect_eq(out, 'n');
    coir_close(fresh[0]);
    coir_close(fresh[1]);
    world_done(&l->world);
}

// Readers begin before the close, or find the old number closing: both end with -EBADF; a reader
// that comes later would find the new file, so the closer waits until all have begun.
static void start_close(void *arg)
{
    struct line *l = arg;

    for (int i = 0; i < 2; i++) sim_expect_eq(coir_go(reads_until_closed, l), 0);
    coir_sleep(COIR_SEC); // time passes when nobody can run: both wait by then
    sim_expect_eq(coir_go(closes_and_opens, l), 0);
}

void scene_close_and_reuse(void)
{
    struct line l = line_of(0);

    world_start(&l.world, 2 + sim_choose(2, 1), 3);
    world_go(&l.world, start_close, &l);
    world_end(&l.world);
    coir_close(l.fds[1]);
}

// The close comes at any moment of the read: before it, while its operation is on its way to the
// kernel, in flight. A reader that comes late finds nothing: numbers are not used again here.
static void close_at_once(struct line *l)
{
    sim_expect_eq(coir_close(l->fds[0]), 0);
    world_done(&l->world);
}

static void start_early_close(void *arg)
{
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_go(reads_until_closed, arg), 0);
    sim_expect_eq(coir_go(close_at_once, arg), 0);
}

void scene_close_at_once(void)
{
    struct line l = line_of(0);

    sim.fresh_numbers = true;
    world_start(&l.world, 2 + sim_choose(2, 1), 3);
    world_go(&l.world, start_early_close, &l);
    world_end(&l.world);
    coir_close(l.fds[1]);
}

static void reads_or_closed(struct line *l)
{
    char buf[8];
    ssize_t got = coir_read(l->fds[0], buf, sizeof(buf), COIR_FOREVER);

    sim_expect(got == -EBADF || got == 3);
    world_done(&l->world);
}

static void closes(struct line *l)
{
    sim_expect_eq(coir_close(l->fds[0]), 0);
    world_done(&l->world);
}

static void sends_three(struct line *l)
{
    ssize_t put = coir_write_all(l->fds[1], "abc", 3, COIR_FOREVER);

    sim_expect(put == -EPIPE || (put > 0 && put <= 3));
    world_done(&l->world);
}

static void start_race(void *arg)
{
    sim_expect_eq(coir_go(reads_or_closed, arg), 0);
    coir_sleep(COIR_SEC); // it waits by then
    sim_expect_eq(coir_go(sends_three, arg), 0);
    sim_expect_eq(coir_go(closes, arg), 0);
}

void scene_close_or_read(void)
{
    struct line l = line_of(0);

    sim.whole_transfers = true;
    world_start(&l.world, 2 + sim_choose(2, 1), 3);
    world_go(&l.world, start_race, &l);
    world_end(&l.world);
    coir_close(l.fds[1]);
}

// ---- Stop ----------------------------------------------------------------------------------

static void reads_for_ever(struct line *l, int side)
{
    char buf[8];

    sim_expect_eq(coir_read(l->fds[side], buf, sizeof(buf), COIR_FOREVER), -ECANCELED);
}

static void start_readers(void *arg)
{
    struct line *l = arg;

    for (int i = 0; i < 4; i++) sim_expect_eq(coir_go(reads_for_ever, l, i % 2), 0);
    if (sim_choose(2, 1)) coir_sleep(1000);
    world_done(&l->world);
}

void scene_stop_while_reading(void)
{
    struct line l = line_of(0);

    world_start(&l.world, 2, 1);
    world_go(&l.world, start_readers, &l);
    world_end(&l.world);
    coir_close(l.fds[0]);
    coir_close(l.fds[1]);
}

// ---- Connections ---------------------------------------------------------------------------

static void serves_one(struct line *l, int fd)
{
    char buf[16];
    ssize_t got;

    while ((got = coir_read(fd, buf, sizeof(buf), COIR_FOREVER)) > 0)
        sim_expect_eq(coir_write_all(fd, buf, (size_t)got, COIR_FOREVER), got);
    coir_close(fd);
    world_done(&l->world);
}

static void accepts(struct line *l)
{
    for (int i = 0; i < 2; i++) {
        int fd = coir_accept(l->fds[0], NULL, NULL, 0, COIR_FOREVER);
        sim_expect(fd >= 0);
        sim_expect_eq(coir_go(serves_one, l, fd), 0);
    }
    sim_expect_eq(coir_close(l->fds[0]), 0);
    world_done(&l->world);
}

static void calls(struct line *l)
{
    char buf[6] = {0};
    int fd;

    while ((fd = coir_dial("127.0.0.1:7000", COIR_FOREVER)) < 0)
        sim_expect_eq(fd, -EAGAIN);
    sim_expect_eq(coir_write_all(fd, "hello", 5, COIR_FOREVER), 5);
    sim_expect_eq(coir_read_full(fd, buf, 5, COIR_FOREVER), 5);
    for (int i = 0; i < 5; i++) sim_expect_eq(buf[i], "hello"[i]);
    sim_expect_eq(coir_close(fd), 0);
    world_done(&l->world);
}

static void start_server(void *arg)
{
    struct line *l = arg;

    l->fds[0] = coir_listen("127.0.0.1:7000", NULL);
    sim_expect(l->fds[0] >= 0);
    sim_expect_eq(coir_go(accepts, l), 0);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_go(calls, l), 0);
}

void scene_server(void)
{
    struct line l = {0};

    sim.kept_blocks = 1;
    world_start(&l.world, 2 + sim_choose(2, 1), 5);
    world_go(&l.world, start_server, &l);
    world_end(&l.world);
}
