// SPDX-License-Identifier: MIT
// coir/spawn.h - start coroutines: coir_go(fn, args...), as a plain call would be written.
//
//     void serve(int fd, const struct limits *limits);
//
//     if (coir_go(serve, fd, &limits) < 0) ...          // int: 0 or an error
//
// The arguments are evaluated by the caller, converted and checked by the compiler exactly as in
// serve(fd, &limits), and arrive in the new coroutine. A compound literal stands in parentheses of
// its own, as in every macro: coir_go(draw, ((struct point){1, 2})). 'fn' is any expression of function or
// function-pointer type, evaluated once, that returns nothing or a scalar. Refused at compile
// time, with a sentence: functions that return a struct, more than 128 bytes of arguments, and
// (by gcc) functions that never return.
//
// How: the macro calls an assembly stub through fn's own type, so the compiler places the
// arguments by the ABI; the stub copies them; a second, plain call commits. Nothing but a spawn
// of its own runs between the two.
//
// The macros need GNU C (statement expressions, __typeof__, __VA_OPT__): gcc 8, clang 6 and later,
// from gnu99 on. C++
// has coir_spawn. Compile with -Werror=int-conversion -Werror=incompatible-pointer-types: a wrong
// argument is then an error, as it should be.
#ifndef COIR_SPAWN_H
#define COIR_SPAWN_H

#include <stdbool.h>
#include <stddef.h>

#include <coir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// How a coroutine is made. coir_opts(.name = "x", .stack_bytes = 1 << 20) makes a pointer to one
// that lives as long as the block it stands in.
typedef struct coir_options {
    const char *name;   // shown in dumps and logs, cut at 23 bytes; copied
    size_t stack_bytes; // 16 KiB to 1 GiB; 0: the runtime's default
    bool pinned;        // starts pinned to a thread; not there yet: -ENOTSUP
    coir_runtime *rt;   // where; NULL: the caller's own runtime
} coir_options;

// Where a spawn stands in the program's text.
typedef struct coir_site {
    const char *file, *function;
    int line;
} coir_site;

// Starts fn(arg) as a coroutine of rt. The plain-function form: any language, any thread.
// rt NULL: opts->rt, else the caller's own runtime. opts may be NULL. Never waits.
// 0 | -ENOMEM | -EAGAIN (coroutines_max) | -ECANCELED (rt stops) | -EINVAL (NULL fn, bad options,
// NULL rt outside a coroutine)
COIR_API int coir_spawn(coir_runtime *rt, const coir_options *opts, void (*fn)(void *), void *arg);

// The macros' own. coir_spawn_capture_ is called through the type of the function to spawn.
COIR_API int coir_spawn_commit_(coir_runtime *rt, const coir_options *opts, void (*fn)(void),
                                const coir_site *site);
COIR_API void coir_spawn_capture_(void);
COIR_API void coir_spawn_capture_x87_(void);

#ifdef __cplusplus
}
#endif

#if !defined(__cplusplus) && defined(__GNUC__)

#define coir_opts(...) (&(const coir_options){__VA_ARGS__})

// Each is an int expression. Never waits; an ordinary thread uses coir_go_on.
// 0 | -ENOMEM | -EAGAIN (coroutines_max) | -ECANCELED (the runtime stops) | -EPERM (no runtime
// here) | -EINVAL (NULL fn, bad options)
#define coir_go(fn, ...) COIR_SPAWN_(NULL, NULL, fn __VA_OPT__(,) __VA_ARGS__)
#define coir_go_on(rt, fn, ...) COIR_SPAWN_(rt, NULL, fn __VA_OPT__(,) __VA_ARGS__)
#define coir_go_with(opts, fn, ...) COIR_SPAWN_(NULL, opts, fn __VA_OPT__(,) __VA_ARGS__)

// fn comes first, then the options, then the arguments; the stub runs after all of them.
#define COIR_SPAWN_(rt, opts, fn, ...)                                                   \
    COIR_SPAWN_AS_(__COUNTER__, rt, opts, fn __VA_OPT__(, ) __VA_ARGS__)
#define COIR_SPAWN_AS_(n, rt, opts, fn, ...)                                             \
    COIR_SPAWN_NAMES_(n, rt, opts, fn __VA_OPT__(, ) __VA_ARGS__)
#define COIR_SPAWN_NAMES_(n, rt, opts, fn, ...)                                          \
    COIR_SPAWN_IN_(coir_site_##n, coir_fn_##n, coir_rt_##n, coir_opts_##n, coir_stub_##n, \
                   rt, opts, fn __VA_OPT__(, ) __VA_ARGS__)
// The names are numbered: a spawn may be an argument of another. The x87 stub serves functions
// whose caller pops a long double.
#define COIR_SPAWN_IN_(site_, fn_, rt_, opts_, stub_, rt, opts, fn, ...)                 \
    __extension__({                                                                      \
        static const coir_site site_ = {__FILE__, __func__, __LINE__};                   \
        __typeof__(&*(fn)) fn_ = (fn);                                                   \
        coir_runtime *rt_ = (rt);                                                        \
        const coir_options *opts_ = (opts);                                              \
        COIR_REFUSE_NORETURN_(fn)                                                        \
        _Static_assert(COIR_BYTES_(__VA_ARGS__) <= 128,                                  \
                       "coir_go: more than 128 bytes of arguments; pass a pointer");     \
        _Static_assert(COIR_RETURNS_SCALAR_((*fn_)(__VA_ARGS__)),                        \
                       "coir_go: the function returns a struct; return it by pointer");  \
        __typeof__(fn_) stub_ = (__typeof__(fn_))COIR_STUB_((*fn_)(__VA_ARGS__));        \
        (void)stub_(__VA_ARGS__);                                                        \
        coir_spawn_commit_(rt_, opts_, (void (*)(void))fn_, &site_);                     \
    })

// 12 and 13 are gcc's and clang's classes of struct and union. The call is never evaluated.
#define COIR_RETURNS_SCALAR_(call)                                                       \
    (COIR_CLASS_(call) != 12 && COIR_CLASS_(call) != 13)
#define COIR_CLASS_(call)                                                                \
    __builtin_classify_type(__builtin_choose_expr(                                       \
        __builtin_types_compatible_p(__typeof__(call), void), 0, call))

#define COIR_STUB_(call)                                                                 \
    (__builtin_types_compatible_p(__typeof__(call), long double)                         \
         ? coir_spawn_capture_x87_                                                       \
         : coir_spawn_capture_)

#ifdef __clang__
#define COIR_REFUSE_NORETURN_(fn)
#else
#define COIR_REFUSE_NORETURN_(fn)                                                        \
    _Static_assert(!__builtin_has_attribute((fn), noreturn),                            \
                   "coir_go: the function never returns");
#endif

// What the arguments take where the ABI lays them out: each rounded up to eight bytes.
#define COIR_BYTES_(...) (0 COIR_EACH_(__VA_ARGS__))
#define COIR_BYTES_OF_(x) +((sizeof(__typeof__(((void)0, x))) + 7) / 8 * 8)

#define COIR_EACH_(...)                                                                  \
    COIR_PICK_(_ __VA_OPT__(, ) __VA_ARGS__, COIR_E_, COIR_E_, COIR_E_, COIR_E_, COIR_E16_,          \
               COIR_E15_, COIR_E14_, COIR_E13_, COIR_E12_, COIR_E11_, COIR_E10_,         \
               COIR_E9_, COIR_E8_, COIR_E7_, COIR_E6_, COIR_E5_, COIR_E4_, COIR_E3_,     \
               COIR_E2_, COIR_E1_, COIR_E0_)                                             \
    (__VA_ARGS__)
#define COIR_PICK_(_, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, name,  \
                   ...)                                                                  \
    name
#define COIR_E_(...) +129 /* more than sixteen */
#define COIR_E0_()
#define COIR_E1_(x) COIR_BYTES_OF_(x)
#define COIR_E2_(x, ...) COIR_BYTES_OF_(x) COIR_E1_(__VA_ARGS__)
#define COIR_E3_(x, ...) COIR_BYTES_OF_(x) COIR_E2_(__VA_ARGS__)
#define COIR_E4_(x, ...) COIR_BYTES_OF_(x) COIR_E3_(__VA_ARGS__)
#define COIR_E5_(x, ...) COIR_BYTES_OF_(x) COIR_E4_(__VA_ARGS__)
#define COIR_E6_(x, ...) COIR_BYTES_OF_(x) COIR_E5_(__VA_ARGS__)
#define COIR_E7_(x, ...) COIR_BYTES_OF_(x) COIR_E6_(__VA_ARGS__)
#define COIR_E8_(x, ...) COIR_BYTES_OF_(x) COIR_E7_(__VA_ARGS__)
#define COIR_E9_(x, ...) COIR_BYTES_OF_(x) COIR_E8_(__VA_ARGS__)
#define COIR_E10_(x, ...) COIR_BYTES_OF_(x) COIR_E9_(__VA_ARGS__)
#define COIR_E11_(x, ...) COIR_BYTES_OF_(x) COIR_E10_(__VA_ARGS__)
#define COIR_E12_(x, ...) COIR_BYTES_OF_(x) COIR_E11_(__VA_ARGS__)
#define COIR_E13_(x, ...) COIR_BYTES_OF_(x) COIR_E12_(__VA_ARGS__)
#define COIR_E14_(x, ...) COIR_BYTES_OF_(x) COIR_E13_(__VA_ARGS__)
#define COIR_E15_(x, ...) COIR_BYTES_OF_(x) COIR_E14_(__VA_ARGS__)
#define COIR_E16_(x, ...) COIR_BYTES_OF_(x) COIR_E15_(__VA_ARGS__)

#endif

#endif
