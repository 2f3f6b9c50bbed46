// SPDX-License-Identifier: MIT
// hand_fd - scenes for the descriptor object: several at once, threads beside coroutines, files.
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "coir/io.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

struct shared {
    struct world world;
    int fds[2];
    atomic_u32 n_closed, n_refused, n_bytes;
};

static void begin(struct shared *s)
{
    *s = (struct shared){0};
    sim_socketpair(s->fds);
    sim.kept_blocks = 1;      // the table of descriptors is the process's
    sim.fresh_numbers = true; // who comes late finds nothing, and not another file
}

// ---- A thread in poll(2) ----------------------------------------------------------------------

static void thread_reads_until_closed(void *arg)
{
    struct shared *s = arg;
    char buf[8];

    sim_expect_eq(coir_read(s->fds[0], buf, sizeof(buf), COIR_FOREVER), -EBADF);
    world_done(&s->world);
}

static void closes_some_time(void *arg)
{
    struct shared *s = arg;

    if (sim_choose(2, 1)) coir_sleep(300);
    sim_expect_eq(coir_close(s->fds[0]), 0);
    world_done(&s->world);
}

void scene_thread_is_closed(void)
{
    struct shared s;
    struct os_thread thread;

    begin(&s);
    world_start(&s.world, 2, 2);
    sim_expect_eq(os_thread_start(&thread, thread_reads_until_closed, &s, "reader", NULL),
                  0);
    world_go(&s.world, closes_some_time, &s);
    world_end(&s.world);
    os_thread_join(thread);
    coir_close(s.fds[1]);
}

// ---- Two closes -------------------------------------------------------------------------------

static void closes_or_not(void *arg)
{
    struct shared *s = arg;
    int err = coir_close(s->fds[0]);

    sim_expect(err == 0 || err == -EBADF);
    add_relaxed(err == 0 ? &s->n_closed : &s->n_refused, 1); // relaxed: counters
    world_done(&s->world);
}

void scene_two_closes(void)
{
    struct shared s;

    begin(&s);
    world_start(&s.world, 2 + sim_choose(2, 1), 4);
    for (int i = 0; i < 3; i++) world_go(&s.world, closes_or_not, &s);
    world_go(&s.world, thread_reads_until_closed, &s);
    world_end(&s.world);
    sim_expect_eq(s.n_closed.value, 1);
    sim_expect_eq(s.n_refused.value, 2);
    coir_close(s.fds[1]);
}

// ---- Turns ------------------------------------------------------------------------------------

#define TURNS_BYTES 24u

static void takes_turns(void *arg)
{
    struct shared *s = arg;

    for (;;) {
        char buf[3];
        int64_t deadline = sim_choose(2, 2) ? coir_after(400) : COIR_FOREVER;
        ssize_t got = coir_read(s->fds[0], buf, sizeof(buf), deadline);

        if (got == -ETIMEDOUT) {
            sim_expect_late(deadline);
            continue;
        }
        sim_expect(got >= 0);
        if (got == 0) break;
        add_relaxed(&s->n_bytes, (uint32_t)got); // relaxed: a counter
    }
    world_done(&s->world);
}

static void feeds(void *arg)
{
    struct shared *s = arg;
    char bytes[TURNS_BYTES] = {0};

    sim_expect_eq(coir_write_all(s->fds[1], bytes, sizeof(bytes), COIR_FOREVER),
                  TURNS_BYTES);
    sim_expect_eq(coir_shutdown(s->fds[1], SHUT_WR), 0);
    world_done(&s->world);
}

// Three readers of one descriptor: each byte goes to one of them, and all see the end.
void scene_turns(void)
{
    struct shared s;

    begin(&s);
    world_start(&s.world, 2 + sim_choose(2, 1), 4);
    for (int i = 0; i < 3; i++) world_go(&s.world, takes_turns, &s);
    world_go(&s.world, feeds, &s);
    world_end(&s.world);
    sim_expect_eq(s.n_bytes.value, TURNS_BYTES);
    for (int i = 0; i < 2; i++) coir_close(s.fds[i]);
}

// ---- Poll -------------------------------------------------------------------------------------

static void polls_then_reads(void *arg)
{
    struct shared *s = arg;
    char byte = 0;

    int events = coir_poll(s->fds[0], POLLIN, COIR_FOREVER);
    sim_expect(events > 0 && events & POLLIN);
    sim_expect_eq(coir_read(s->fds[0], &byte, 1, COIR_NOW), 1); // it is there
    sim_expect_eq(byte, 'p');
    int64_t deadline = coir_after(200);
    sim_expect_eq(coir_poll(s->fds[0], POLLIN, deadline), -ETIMEDOUT);
    sim_expect_late(deadline);
    world_done(&s->world);
}

static void writes_one(void *arg)
{
    struct shared *s = arg;

    sim_expect_eq(coir_write(s->fds[1], "p", 1, COIR_FOREVER), 1);
    world_done(&s->world);
}

void scene_poll(void)
{
    struct shared s;

    begin(&s);
    world_start(&s.world, 2, 2);
    world_go(&s.world, polls_then_reads, &s);
    world_go(&s.world, writes_one, &s);
    world_end(&s.world);
    for (int i = 0; i < 2; i++) coir_close(s.fds[i]);
}

// ---- Names ------------------------------------------------------------------------------------

static void looks_up(void *arg)
{
    (void)arg;
    int64_t deadline = sim_choose(2, 1) ? coir_after(100) : COIR_FOREVER;
    int err = coir_dial("nowhere.example:80", deadline);

    if (err == -ETIMEDOUT) sim_expect_late(deadline);
    sim_expect(err == -ENOENT || err == -ETIMEDOUT || err == -ECANCELED);
}

// A name is looked up by a helper, which may outlive its caller's wait; the stop waits for it.
void scene_name(void)
{
    struct shared s;

    begin(&s);
    world_start(&s.world, 2, 0);
    for (int i = 0; i < 2; i++) world_go(&s.world, looks_up, &s);
    if (sim_choose(2, 1)) os_sleep_until(os_now() + 1000);
    world_end(&s.world);
    for (int i = 0; i < 2; i++) coir_close(s.fds[i]);
}

// ---- Files -------------------------------------------------------------------------------------

enum { PART = 4, READS = 3 };

// All of it, as it is on the disk; or what was moved before the close, and then its -EBADF.
static void reads_parts(struct shared *s, bool may_be_closed)
{
    ssize_t got = PART;

    for (int i = 0; i < READS || got != PART; i++) {
        bool is_over = got != PART;
        int64_t at =
            8 * (int64_t)add_relaxed(&s->n_bytes, 1); // relaxed: a place of its own
        uint8_t part[PART];

        got = coir_pread(s->fds[0], part, PART, at, COIR_FOREVER);
        if (may_be_closed && got == -EBADF) break;
        sim_expect(got == PART || (may_be_closed && got > 0));
        sim_expect(!is_over);
        for (int j = 0; j < got; j++) sim_expect_eq(part[j], sim_disk_byte(at + j));
    }
    world_done(&s->world);
}

static void reads_all(void *arg)
{
    reads_parts(arg, false);
}

static void reads_until_closed(void *arg)
{
    reads_parts(arg, true);
}

static void sleeps_beside(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < 2; i++) {
        int64_t until = clock_after(1000 + 30000 * sim_choose(4, 1));

        sim_expect_eq(coir_sleep_until(until), 0);
        sim_expect(clock_now() >= until);
    }
    world_done(&s->world);
}

static void begin_disk(struct shared *s)
{
    *s = (struct shared){0};
    s->fds[0] = sim_disk(sim_choose(2, 2), 0);
    sim.kept_blocks = 1;
    sim.fresh_numbers = true;
}

// A worker that has nothing but files in flight sleeps for several of them: all end all the same,
// and timers beside them.
void scene_reads_files(void)
{
    struct shared s;

    begin_disk(&s);
    world_start(&s.world, 1 + sim_choose(2, 1), 4);
    for (int i = 0; i < 3; i++) world_go(&s.world, reads_all, &s);
    world_go(&s.world, sleeps_beside, &s);
    world_end(&s.world);
    coir_close(s.fds[0]);
}

// Attempts without a use beside a close (D4).
void scene_file_is_closed(void)
{
    struct shared s;

    begin_disk(&s);
    world_start(&s.world, 2, 4);
    for (int i = 0; i < 3; i++) world_go(&s.world, reads_until_closed, &s);
    world_go(&s.world, closes_some_time, &s);
    world_end(&s.world);
}

// A call is of one file, though the number goes to another one in the middle of it.
static void reads_of_one_file(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < READS; i++) {
        uint8_t part[PART];
        ssize_t got = coir_pread(s->fds[0], part, PART, 8 * i, COIR_FOREVER);

        for (int j = 0; j < got; j++)
            sim_expect_eq(part[j] ^ part[0],
                          sim_disk_byte(8 * i + j) ^ sim_disk_byte(8 * i));
    }
    world_done(&s->world);
}

static void closes_and_opens_another(void *arg)
{
    struct shared *s = arg;

    if (sim_choose(2, 1)) coir_sleep(300);
    sim_expect_eq(coir_close(s->fds[0]), 0);
    s->fds[1] = sim_disk(false, 0x80);
    world_done(&s->world);
}

void scene_number_goes_on(void)
{
    struct shared s;

    begin_disk(&s);
    sim.fresh_numbers = false;
    world_start(&s.world, 2, 4);
    for (int i = 0; i < 3; i++) world_go(&s.world, reads_of_one_file, &s);
    world_go(&s.world, closes_and_opens_another, &s);
    world_end(&s.world);
    coir_close(s.fds[1]);
}
