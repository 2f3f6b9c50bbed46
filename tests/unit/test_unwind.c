// SPDX-License-Identifier: MIT
// unwind: finds the callers that glibc finds, and whatever the stack holds it comes to an end.
// Method: registers and a copy of the own stack, three calls deep; then that copy cut at every
// length and spoilt at random places.
#include "base/unwind.h"

#include <criterion/criterion.h>
#include <execinfo.h>
#include <stdalign.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>

#include "base/peek.h"
#include "base/rand.h"
#include "tests/lib/test.h"

#define DEEP 3
#define BYTES 8192 // a sanitizer makes frames large
#define MOST 32

static struct unwind start;
alignas(8) static char copy[BYTES];
static uintptr_t top; // of what may be copied
static void *theirs[MOST];
static int n_theirs;

__attribute__((noinline)) static void look(void)
{
    static const int numbers[] = {REG_RBX, REG_RBP, REG_RSP, REG_R12,
                                  REG_R13, REG_R14, REG_R15, REG_RIP};
    static const unsigned dwarf[] = {3, 6, 7, 12, 13, 14, 15, 16};
    ucontext_t here;

    getcontext(&here);
    n_theirs = backtrace(theirs, MOST);
    start = (struct unwind){.copy = copy};
    for (int i = 0; i < 8; i++)
        start.regs[dwarf[i]] = (uintptr_t)here.uc_mcontext.gregs[numbers[i]];
    start.low = start.regs[7];
    start.bytes = top - start.low < BYTES ? (top - start.low) & ~(uintptr_t)7 : BYTES;
    peek(copy, (const void *)start.low,
         BYTES); // NOLINT: the own stack, with a sanitizer's marks
}

__attribute__((noinline)) static void call(int depth)
{
    volatile char frame[100];

    frame[0] = (char)depth;
    if (depth > 0)
        call(depth - 1);
    else
        look();
    frame[1] = frame[0];
}

// The frames from ours[1] on, as libc has them; a sanitizer puts frames of its own before them.
static bool agree(void *const *ours, int n)
{
    int at = 0;

    while (at < n_theirs && theirs[at] != ours[1]) at++;
    for (int i = 1; i < n && at + i - 1 < n_theirs; i++)
        if (ours[i] != theirs[at + i - 1]) return false;
    return at < n_theirs;
}

// With room above: the copy must not reach beyond the stack.
__attribute__((noinline)) static void call_with_room(void)
{
    volatile char room[BYTES];

    room[0] = 0;
    top = (uintptr_t)room + BYTES;
    call(DEEP);
    room[BYTES - 1] = room[0];
}

Test(unwind, finds_the_callers_that_libc_finds)
{
    struct unwind u;
    void *ours[MOST];

    call_with_room();
    u = start;
    int n = unwind_walk(&u, ours, MOST);
    cr_assert(n > DEEP + 2);
    cr_assert(agree(ours, DEEP + 3)); // [0]: two places in look
    u = start;
    cr_assert_eq(unwind_walk(&u, ours, 2), 2); // no more than asked for
}

Test(unwind, ends_where_the_copy_ends)
{
    void *ours[MOST];
    int last = 0;

    call_with_room();
    for (size_t bytes = 0; bytes <= start.bytes; bytes += 8) {
        struct unwind u = start;

        u.bytes = bytes;
        int n = unwind_walk(&u, ours, MOST);
        cr_assert(n >= 1 && n >= last);
        if (n > 1) cr_assert(agree(ours, n));
        last = n;
    }
}

Test(unwind, survives_what_it_reads)
{
    struct rand r;
    char spoilt[BYTES];
    void *ours[MOST];

    call_with_room();
    rand_init(&r, test_seed());
    for (int i = 0; i < 5000; i++) {
        struct unwind u = start;

        memcpy(spoilt, copy, BYTES);
        for (int k = 0; k < 20; k++)
            spoilt[rand_below(&r, BYTES)] = (char)rand_below(&r, 256);
        u.copy = spoilt;
        int n = unwind_walk(&u, ours, MOST);
        cr_assert(n >= 1 && n <= MOST);
    }
}

Test(unwind, knows_nothing_of_what_is_no_code)
{
    struct unwind u = {.copy = copy, .bytes = BYTES};
    void *ours[MOST];

    cr_assert_eq(unwind_walk(&u, ours, MOST), 0);
    u.regs[16] = 12345;
    cr_assert_eq(unwind_walk(&u, ours, MOST), 1);
}
