// SPDX-License-Identifier: MIT
// context: a switch keeps what the ABI says a call keeps, and passes one word across.
// Method: two contexts on one thread, thousands of switches, locals that live across them.
#include "arch/context.h"

#include <criterion/criterion.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

#define STACK_BYTES ((size_t)256 << 10)

static struct context here, there;
static char *stack;
static uintptr_t entered_with, got[8], left_from, left_with, left_at;
static void *low_mark;
static double got_double;
static long sum;
static int turns;

static void note_word(void *word)
{
    entered_with = (uintptr_t)word;
}

static void go_home(uintptr_t value)
{
    left_with = value;
    left_at = (uintptr_t)__builtin_frame_address(0);
    left_from++;
    context_switch(&there, &here, (void *)77, true);
    test_fail_at(__FILE__, __LINE__, "an ended context is not resumed");
}

static void make(void (*fn)(void), const struct arch_call *call)
{
    static const struct arch_call none;

    if (!stack) stack = aligned_alloc(4096, STACK_BYTES);
    context_adopt(&here);
    context_make(&there, stack, stack + STACK_BYTES, call ? call : &none, false, fn,
                 note_word, go_home, &low_mark);
}

static void *visit(uintptr_t word)
{
    return context_switch(&here, &there, (void *)word, false);
}

static void finish(void)
{
    context_fini(&there);
    context_fini(&here);
    free(stack);
}

static void look_at_alignment(void)
{
    // At a function's entry the stack is 16 bytes off by the return address; its frame is not.
    got[0] = (uintptr_t)__builtin_frame_address(0) % 16;
}

Test(context, enters_with_the_word_and_an_aligned_stack_and_leaves, .fini = finish)
{
    make(look_at_alignment, NULL);
    cr_assert_eq((uintptr_t)visit(5), 77);
    cr_assert_eq(entered_with, 5);
    cr_assert_eq(got[0], 0);
    cr_assert_eq(left_from, 1);
}

static void take_arguments(long a, long b, long c, long d, long e, long f, double x,
                           long g, long h)
{
    long all[8] = {a, b, c, d, e, f, g, h};

    for (int i = 0; i < 8; i++) got[i] = (uintptr_t)all[i];
    got_double = x;
}

Test(context, plays_registers_and_stack_words_back, .fini = finish)
{
    struct arch_call call = {0};
    double x = 2.5;
    long on_stack[2] = {7, 8}; // where registers hold eight, nobody looks there

    for (uint64_t i = 0; i < ARCH_INTS; i++) call.ints[i] = i + 1;

    memcpy(call.vectors[0], &x, sizeof(x));
    memcpy(call.stack, on_stack, sizeof(on_stack));
    make((void (*)(void))take_arguments, &call);
    visit(0);
    for (uintptr_t i = 0; i < 8; i++) cr_assert_eq(got[i], i + 1);
    cr_assert_eq(got_double, 2.5);
}

static uintptr_t answer(void)
{
    return 42;
}

Test(context, hands_the_value_of_the_function_to_its_end, .fini = finish)
{
    make((void (*)(void))answer, NULL);
    visit(0);
    cr_assert_eq(left_with, 42);
}

static void lower_the_mark(void)
{
    got[0] = (uintptr_t)low_mark;
    low_mark = (char *)low_mark - 4096;
}

Test(context, ends_below_what_the_function_wants_kept, .fini = finish)
{
    make(lower_the_mark, NULL);
    visit(0);
    cr_assert_gt(got[0], left_at + 4096);
    cr_assert_lt(got[0], left_at + 8192);
}

static void add_up_for_ever(void)
{
    unsigned long a = 1, b = 2, c = 3, d = 4, e = 5,
                  f = 6; // more than the registers that are saved

    for (;;) {
        uintptr_t word =
            (uintptr_t)context_switch(&there, &here, (void *)(uintptr_t)sum, false);
        sum += (long)word;
        a += b;
        b += c;
        c += d;
        d += e;
        e += f;
        f ^= a;
        turns += a != 0;
    }
}

// The same sums on this side and without any switch: what differs was not kept.
Test(context, keeps_registers_over_ten_thousand_switches, .fini = finish)
{
    unsigned long a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
    long expected = 0;
    unsigned long p = 1, q = 2, r = 3, s = 4, t = 5, u = 6;

    make(add_up_for_ever, NULL);
    visit(0);
    for (uintptr_t i = 1; i <= 10000; i++) {
        long back = (long)(uintptr_t)visit(i);
        expected += (long)i;
        if (back != expected) cr_assert_eq(back, expected, "turn %zu", (size_t)i);
        a += b, b += c, c += d, d += e, e += f, f ^= a;
        __asm__ volatile("" : "+r"(p), "+r"(q), "+r"(r), "+r"(s), "+r"(t), "+r"(u));
        p += q, q += r, r += s, s += t, t += u, u ^= p;
    }
    cr_assert_eq(a, p);
    cr_assert_eq(f, u);
    cr_assert_eq(turns, 10000);
}

// ---- What an unwinder sees ---------------------------------------------------------------------

static void *frames[16];
static int n_frames;

__attribute__((noinline)) static void looks_up(void)
{
    n_frames = backtrace(frames, 16);
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void goes_and_looks_up(void)
{
    context_switch(&there, &here, (void *)1, false); // and comes back
    looks_up();
    __asm__ volatile("" ::: "memory");
}

static bool is_in(void *at, void (*fn)(void))
{
    return (uintptr_t)at > (uintptr_t)fn && (uintptr_t)at < (uintptr_t)fn + 512;
}

// By the tables of every floor: the last frame is the entry, and nothing is taken for its caller.
Test(context, unwinds_to_its_entry_and_no_further, .fini = finish)
{
    make(goes_and_looks_up, NULL);
    visit(0);
    visit(0);
    cr_assert_geq(n_frames, 3);
    cr_assert_leq(n_frames, 5, "%d frames", n_frames); // a sanitizer's own among them
    cr_assert(is_in(frames[n_frames - 1], arch_entry), "the last one is elsewhere");
    cr_assert(is_in(frames[n_frames - 2], goes_and_looks_up));
    cr_assert(is_in(frames[n_frames - 3], looks_up));
}
