// SPDX-License-Identifier: MIT
// spawn: every argument arrives as in a plain call.
// Goal: whatever C can pass, from none to 128 bytes of stack words, in registers and on the stack,
// arrives unchanged, converted as a prototype would; results of every scalar type are thrown away
// without damage. Method: callees expect constants and count themselves; tests/spawn/matrix.sh
// builds this file with each compiler at each level.
#include <coir/go.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/lib/test.h"

static atomic_int ran;

// Spawns, and waits until the callee has run.
#define ARRIVES(...)                                                                     \
    do {                                                                                 \
        int before_ = atomic_load(&ran);                                                 \
        expect_eq(go(__VA_ARGS__), 0);                                                   \
        while (atomic_load(&ran) == before_) expect_eq(coir_yield(), 0);                 \
    } while (0)

static void done(void)
{
    atomic_fetch_add(&ran, 1);
}

// ---- Scalars -----------------------------------------------------------------------------

static void none(void)
{
    done();
}

static void small(_Bool b, char c, signed char sc, unsigned char uc, short s,
                  unsigned short us)
{
    expect(b == 1 && c == 'x' && sc == -3 && uc == 250 && s == -30000 && us == 60000);
    done();
}

static void wide(int i, unsigned u, long l, unsigned long ul, long long ll,
                 unsigned long long ull)
{
    expect(i == -2000000000 && u == 4000000000u && l == -(1L << 40) && ul == 1UL << 63);
    expect(ll == -(1LL << 50) && ull == ~0ULL);
    done();
}

static void floating(float f, double d, long double ld)
{
    expect(f == 1.5f && d == -2.25 && ld == 3.0L + 1.0L / (1ULL << 63));
    done();
}

enum color { RED, GREEN = 7 };
typedef __int128 wide_int;

static void others(enum color c, const char *text, void *nothing, int (*f)(int),
                   wide_int w)
{
    expect(c == GREEN && strcmp(text, "text") == 0 && !nothing && f(20) == 21);
    expect(w == (wide_int)1 << 100);
    done();
}

static int plus_one(int x)
{
    return x + 1;
}

static void complex_numbers(float _Complex a, double _Complex b)
{
    expect(__real__ a == 1 && __imag__ a == 2 && __real__ b == 3 && __imag__ b == 4);
    done();
}

static void converted(double d, long l, unsigned char c, _Bool b)
{
    expect(d == 3.0 && l == -1 && c == 0x34 && b == 1);
    done();
}

// ---- Structs -----------------------------------------------------------------------------

struct tiny {
    char c;
};
struct point {
    int x, y;
};
struct mixed {
    double d;
    long l;
};
struct floats {
    float a, b, c;
};
#ifdef __aarch64__
#define MOST_LONGS 2 // by value: what is larger is refused
#else
#define MOST_LONGS 16
#endif
struct big {
    long a[MOST_LONGS < 5 ? MOST_LONGS : 5];
};
struct most {
    long a[MOST_LONGS];
};
union either {
    long l;
    double d;
};

static void structs(struct tiny t, struct point p, struct mixed m, struct floats f,
                    struct big b, union either e)
{
    expect(t.c == 't' && p.x == 1 && p.y == -2 && m.d == 0.5 && m.l == 6);
    expect(f.a == 1 && f.b == 2 && f.c == 3 && e.d == 9.75);
    for (int i = 0; i < (int)(sizeof(b.a) / sizeof(b.a[0])); i++)
        expect_eq(b.a[i], 10 * i);
    done();
}

static void the_most(struct most m)
{
    for (int i = 0; i < MOST_LONGS; i++) expect_eq(m.a[i], i * 3);
    done();
}

// ---- Many --------------------------------------------------------------------------------

static void twelve(int a, long b, int c, long d, int e, long f, int g, long h, int i,
                   long j, int k, long l)
{
    expect(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6);
    expect(g == 7 && h == 8 && i == 9 && j == 10 && k == 11 && l == 12);
    done();
}

static void in_turn(int a, double b, int c, double d, int e, double f, int g, double h,
                    int i, double j, int k, double l, int m, double n)
{
    expect(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7);
    expect(h == 8 && i == 9 && j == 10 && k == 11 && l == 12 && m == 13 && n == 14);
    done();
}

static void ten_doubles(double a, double b, double c, double d, double e, double f,
                        double g, double h, double i, double j)
{
    expect(a + b + c + d + e + f + g + h + i + j == 55 && i == 9 && j == 10);
    done();
}

static void sum(int n, ...)
{
    va_list args;
    double total = 0;

    va_start(args, n);
    for (int i = 0; i < n; i++) total += i % 2 ? va_arg(args, double) : va_arg(args, int);
    va_end(args);
    expect(total == n * (n + 1) / 2);
    done();
}

// ---- Results that are thrown away --------------------------------------------------------

static int gives_int(void)
{
    done();
    return 1;
}
static double gives_double(void)
{
    done();
    return 1;
}
static long double gives_long_double(int x)
{
    done();
    return x;
}
static _Bool gives_bool(void)
{
    done();
    return 1;
}
static const char *gives_pointer(void)
{
    done();
    return "x";
}
static float gives_float(float f)
{
    expect(f == 0.25f);
    done();
    return f;
}

// ---- The expression ----------------------------------------------------------------------

static int evaluated;

static void (*pick(int n))(void)
{
    evaluated += n;
    return none;
}

static int parks(int x)
{
    expect_eq(coir_sleep(COIR_MS), 0); // may come back on another thread
    expect_eq(coir_yield(), 0);
    return x;
}

static void takes(int a, int b)
{
    expect_eq(a, 1);
    expect_eq(b, 2);
    done();
}

static void status(int err)
{
    expect_eq(err, 0);
    done();
}

static void named(int x)
{
    expect_eq(x, 5);
    done();
}

static void scalars(void)
{
    int x = 0x1234;

    ARRIVES(none);
    ARRIVES(small, 1, 'x', -3, 250, -30000, 60000);
    ARRIVES(wide, -2000000000, 4000000000u, -(1L << 40), 1UL << 63, -(1LL << 50), ~0ULL);
    ARRIVES(floating, 1.5f, -2.25, 3.0L + 1.0L / (1ULL << 63));
    ARRIVES(others, GREEN, "text", NULL, plus_one, (wide_int)1 << 100);
    ARRIVES(complex_numbers, 1.0f + 2.0if, 3.0 + 4.0i);
    ARRIVES(converted, 3, (signed char)-1, (unsigned char)x, x != 0);
}

static void aggregates(void)
{
    struct big b;
    struct most m;

    for (size_t i = 0; i < sizeof(b.a) / sizeof(b.a[0]); i++) b.a[i] = 10 * (long)i;
    for (int i = 0; i < MOST_LONGS; i++) m.a[i] = i * 3;
    ARRIVES(structs, ((struct tiny){'t'}), ((struct point){1, -2}),
            ((struct mixed){0.5, 6}), ((struct floats){1, 2, 3}), b,
            ((union either){.d = 9.75}));
    ARRIVES(the_most, m);
    ARRIVES(twelve, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    ARRIVES(in_turn, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
    ARRIVES(ten_doubles, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    ARRIVES(sum, 0);
    ARRIVES(sum, 8, 1, 2.0, 3, 4.0, 5, 6.0, 7, 8.0);
    ARRIVES(sum, 12, 1, 2.0, 3, 4.0, 5, 6.0, 7, 8.0, 9, 10.0, 11, 12.0);
}

static void results(void)
{
    ARRIVES(gives_int);
    ARRIVES(gives_double);
    ARRIVES(gives_bool);
    ARRIVES(gives_pointer);
    ARRIVES(gives_float, 0.25f);
    for (int i = 0; i < 20; i++)
        ARRIVES(gives_long_double, i); // the x87 stack has 8 places
    expect(1.0L + 2.0L == 3.0L);
}

static void expressions(void)
{
    void (*pointer)(void) = none;
    int before;

    ARRIVES(pointer);
    ARRIVES(*pointer);
    ARRIVES(&none);
    ARRIVES(pick(1));
    expect_eq(evaluated, 1);
    ARRIVES(takes, parks(1), parks(2));
    before = atomic_load(&ran);
    ARRIVES(status, go(none)); // a spawn as another's argument
    while (atomic_load(&ran) < before + 2) expect_eq(coir_yield(), 0);
    ARRIVES(status, (parks(0), go(status, go(none))));
    while (atomic_load(&ran) < before + 5) expect_eq(coir_yield(), 0);
    before = atomic_load(&ran);
    expect_eq(coir_go_with(coir_opts(.name = "x", .stack_bytes = 1 << 20), named, 5), 0);
    expect_eq(coir_go_on(coir_current(), named, 5), 0);
    expect_eq(coir_go_with(coir_opts(.rt = coir_current()), named, 5), 0);
    while (atomic_load(&ran) < before + 3) expect_eq(coir_yield(), 0);
}

static int all(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        scalars();
        aggregates();
        results();
        expressions();
        evaluated = 0;
    }
    return 0;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    expect_eq(go(none), -EPERM); // no runtime here
    expect_eq(coir_run(&config, all, NULL), 0);
    printf("%d coroutines ran\n", atomic_load(&ran));
    return 0;
}
