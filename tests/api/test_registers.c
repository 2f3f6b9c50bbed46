// SPDX-License-Identifier: MIT
// registers: what a program computes with is the same after a wait as before it, whichever thread
// it goes on on; what the ABI makes the thread's (how it rounds) is the thread's.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <fenv.h>
#include <string.h>

#include "tests/lib/test.h"

#define TURNS 3000
#define DOUBLES 12 // more than any ABI has registers for that a call keeps

typedef double wide __attribute__((vector_size(32)));

static coir_waitgroup done;

// Everything of it lives across each yield: in registers, or where the compiler put it because the
// ABI says that no call keeps it. 'start' makes each coroutine's numbers its own.
static void computes(double start)
{
    double d[DOUBLES], same[DOUBLES];
    wide v = {start, start + 1, start + 2, start + 3}, again = v;
    long double x = start, y = start;

    for (int i = 0; i < DOUBLES; i++) d[i] = same[i] = start + i;
    double a = d[0], b = d[1], c = d[2], e = d[3], f = d[4], g = d[5], h = d[6], k = d[7];
    for (int turn = 0; turn < TURNS; turn++) {
        expect_eq(coir_yield(), 0);
        a += b, b += c * 0.5, c += e * 0.25, e += f * 0.125;
        f += g * 0.0625, g += h * 0.03125, h += k * 0.5, k += 1;
        v = v * 0.5 + a;
        x = x / 3 + k;
    }
    // The same without a wait.
    volatile int turns = TURNS;
    double p = same[0], q = same[1], r = same[2], s = same[3];
    double t = same[4], u = same[5], w = same[6], z = same[7];
    for (int turn = 0; turn < turns; turn++) {
        p += q, q += r * 0.5, r += s * 0.25, s += t * 0.125;
        t += u * 0.0625, u += w * 0.03125, w += z * 0.5, z += 1;
        again = again * 0.5 + p;
        y = y / 3 + z;
    }
    const double mine[] = {a, b, c, e, f, g, h, k}, others[] = {p, q, r, s, t, u, w, z};
    expect(memcmp(mine, others, sizeof(mine)) == 0);
    expect(memcmp(&v, &again, sizeof(v)) == 0);
    expect(x == y);
    coir_waitgroup_done(&done);
}

static int many_compute(void *arg)
{
    (void)arg;
    expect_eq(coir_waitgroup_add(&done, 16), 0);
    for (int i = 0; i < 16; i++) expect_eq(go(computes, i * 1.7), 0);
    return coir_waitgroup_wait(&done, COIR_FOREVER);
}

// ---- How the thread rounds ---------------------------------------------------------------------

static volatile double one = 1, three = 3;

// Here and now: a compiler may move a division over a change of how to round.
__attribute__((noinline)) static double third(void)
{
    double value = one / three;

    __asm__ volatile("" : "+m"(value));
    return value;
}

static int calls_keep_it(void *arg)
{
    coir_chan *c;
    int value = 5;

    (void)arg;
    expect_eq(fegetround(), FE_TONEAREST);
    double nearest = third();
    expect_eq(fesetround(FE_UPWARD), 0);
    double up = third();
    expect(up > nearest);
    // None of these waits, so none may change it.
    expect_eq(coir_chan_make(sizeof(int), 1, &c), 0);
    expect_eq(coir_chan_send(c, &value, COIR_NOW), 0);
    expect_eq(coir_chan_recv(c, &value, COIR_NOW), 0);
    expect_eq(coir_chan_recv(c, &value, COIR_NOW), -ETIMEDOUT);
    coir_chan_unref(c);
    expect_eq(fegetround(), FE_UPWARD);
    expect(third() == up);
    return fesetround(FE_TONEAREST);
}

static int seen;

static void looks(void)
{
    seen = fegetround();
}

// docs/stacks.md: it belongs to the thread, so whoever waits puts it back first. With one worker
// the next coroutine is on this very thread.
static int a_switch_leaves_it(void *arg)
{
    (void)arg;
    expect_eq(fesetround(FE_DOWNWARD), 0);
    expect_eq(go(looks), 0);
    expect_eq(coir_yield(), 0);
    expect_eq(seen, FE_DOWNWARD);
    expect_eq(fegetround(), FE_DOWNWARD);
    expect_eq(fesetround(FE_TONEAREST), 0);
    expect_eq(go(looks), 0);
    expect_eq(coir_yield(), 0);
    expect_eq(seen, FE_TONEAREST);
    return 0;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    for (config.workers = 1; config.workers <= 3; config.workers++) {
        expect_eq(coir_run(&config, many_compute, NULL), 0);
        expect_eq(coir_run(&config, calls_keep_it, NULL), 0);
    }
    config.workers = 1;
    config.pump_signal = -1; // and nobody takes the worker away amid it
    expect_eq(coir_run(&config, a_switch_leaves_it, NULL), 0);
    return 0;
}
