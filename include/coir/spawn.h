// SPDX-License-Identifier: MIT
// coir/spawn.h - start coroutines: coir_go(fn, args...), as a plain call would be written.
//
//     void serve(int fd, const struct limits *limits);
//
//     if (coir_go(serve, fd, &limits) < 0) ...          // int: 0 or an error
//
// The arguments are evaluated by the caller, converted and checked by the compiler exactly as in
// serve(fd, &limits), and arrive in the new coroutine. A compound literal stands in parentheses
// of its own, as in every macro: coir_go(draw, ((struct point){1, 2})). 'fn' is any expression
// of function or function-pointer type, evaluated once, that returns nothing or a scalar.
// Refused at compile time, with a sentence: functions that return a struct, (on aarch64) structs
// over 16 bytes by value, more than 128 bytes
// of arguments, and (by gcc) functions that never return.
//
// How: the macro calls an assembly stub through fn's own type, so the compiler places the
// arguments by the ABI; the stub copies them; a second, plain call commits. Nothing but a spawn
// of its own runs between the two.
//
// The macros need GNU C (statement expressions, __typeof__, __VA_OPT__): gcc 8, clang 6 and later,
// from gnu99 on; the library itself is built by gcc 12 or clang 14 and later. C++ has coir_spawn,
// C++17 coir::go too (coir.hpp). Compile with -Werror=int-conversion and
// -Werror=incompatible-pointer-types: a wrong argument is then an error, as it should be.
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
    bool pinned;        // starts pinned to a thread, as after coir_pin
    coir_runtime *rt;   // where; NULL: the caller's own runtime
} coir_options;

// Where a spawn stands in the program's text.
typedef struct coir_site {
    const char *file, *function;
    int line;
    bool only_ints; // the function takes integers and pointers only, six at most
    char returns;   // bytes of the signed integer whose sign a scope looks at; 0: none
} coir_site;

// Starts fn(arg) as a coroutine of rt. The plain-function form: any language, any thread.
// rt NULL: opts->rt, else the caller's own runtime. opts may be NULL. Never waits.
// 0 | -ENOMEM | -EAGAIN (coroutines_max, or threads_max has no thread for a pinned one)
// | -ECANCELED (rt stops) | -EINVAL (NULL fn, bad options, NULL rt outside a coroutine)
// | -EPERM (after fork, in the child)
COIR_API int coir_spawn(coir_runtime *rt, const coir_options *opts, void (*fn)(void *),
                        void *arg);

// The macros' own. coir_spawn_capture_ is called through the type of the function to spawn.
COIR_API int coir_spawn_commit_(coir_runtime *rt, const coir_options *opts,
                                void (*fn)(void), const coir_site *site);
COIR_API int coir_spawn_commit_on_(coir_runtime *rt, const coir_options *opts,
                                   void (*fn)(void), const coir_site *site);
COIR_API void coir_spawn_capture_(void);
COIR_API void coir_spawn_capture_ints_(void);
COIR_API void coir_spawn_capture_x87_(void);

#ifdef __cplusplus
}
#endif

#if !defined(__cplusplus) && defined(__GNUC__)

// Makes a pointer to a coir_options from its fields: coir_opts(.name = "x", .stack_bytes = 65536).
// It lives as long as the block it stands in. Never fails.
#define coir_opts(...) (&(const coir_options){__VA_ARGS__})

// Each is an int expression. Never waits; an ordinary thread uses coir_go_on.
// 0 | -ENOMEM | -EAGAIN (coroutines_max, or threads_max has no thread for a pinned one)
// | -ECANCELED (the runtime stops) | -EPERM (no runtime here) | -EINVAL (NULL fn, bad options, rt
// NULL outside a coroutine)
#define coir_go(...) COIR_SPAWN_(COIR_AS_GO_, NULL, NULL, __VA_ARGS__)
#define coir_go_on(rt, ...) COIR_SPAWN_(COIR_AS_GO_ON_, rt, NULL, __VA_ARGS__)
#define coir_go_with(opts, ...) COIR_SPAWN_(COIR_AS_GO_, NULL, opts, __VA_ARGS__)

// 'as' gives what the kinds of spawn differ in: what it is spawned into, the commit, and what is
// noted of the result. What follows is fn and its arguments as one list, taken apart by HEAD and
// TAIL, because a list that may be empty behind a name is not ISO C. The locals are numbered: a
// spawn may be an argument of another.
#define COIR_SPAWN_(as, in, opts, ...)                                                   \
    COIR_SPAWN_AS_(__COUNTER__, as, in, opts, __VA_ARGS__)
#define COIR_SPAWN_AS_(n, as, in, opts, ...)                                             \
    COIR_SPAWN_NAMES_(n, as, in, opts, __VA_ARGS__)
#define COIR_SPAWN_NAMES_(n, as, in, opts, ...)                                          \
    COIR_SPAWN_IN_(coir_site_##n, coir_fn_##n, coir_in_##n, coir_opts_##n,               \
                   coir_stub_##n, COIR_BYTES_(__VA_ARGS__),                              \
                   COIR_ONLY_INTS_(coir_fn_##n, __VA_ARGS__), as, in, opts,              \
                   COIR_HEAD_(__VA_ARGS__, 0), COIR_TAIL_(__VA_ARGS__))

#define COIR_AS_GO_(what, ...) COIR_AS_GO_##what##_(__VA_ARGS__)
#define COIR_AS_GO_TYPE_(_) coir_runtime
#define COIR_AS_GO_COMMIT_(_) coir_spawn_commit_
#define COIR_AS_GO_RETURNS_(call) 0
#define COIR_AS_GO_REFUSE_(call)

#define COIR_AS_GO_ON_(what, ...) COIR_AS_GO_ON_##what##_(__VA_ARGS__)
#define COIR_AS_GO_ON_TYPE_(_) coir_runtime
#define COIR_AS_GO_ON_COMMIT_(_) coir_spawn_commit_on_
#define COIR_AS_GO_ON_RETURNS_(call) 0
#define COIR_AS_GO_ON_REFUSE_(call)

// fn comes first, then the options, then the arguments; the stub runs after all of them.
#define COIR_SPAWN_IN_(site_, fn_, in_, opts_, stub_, bytes, ints, as, in, opts, fn,     \
                       ...)                                                              \
    __extension__({                                                                      \
        __typeof__(&*(fn)) fn_ = (fn);                                                   \
        static const coir_site site_ = {__FILE__, __func__, __LINE__, ints,              \
                                        as(RETURNS, (*fn_)(__VA_ARGS__))};               \
        as(TYPE, 0) *in_ = (in);                                                         \
        const coir_options *opts_ = (opts);                                              \
        COIR_REFUSE_NORETURN_(fn)                                                        \
        as(REFUSE, (*fn_)(__VA_ARGS__)) _Static_assert((bytes) <= 128, COIR_TOO_MUCH_);  \
        _Static_assert(COIR_RETURNS_SCALAR_((*fn_)(__VA_ARGS__)),                        \
                       "coir_go: the function returns a struct; return it by pointer");  \
        __typeof__(fn_) stub_ = (__typeof__(fn_))COIR_STUB_(ints, (*fn_)(__VA_ARGS__));  \
        (void)stub_(__VA_ARGS__);                                                        \
        as(COMMIT, 0)(in_, opts_, (void (*)(void))fn_, &site_);                          \
    })

// 12 and 13 are gcc's and clang's classes of struct and union. The call is never evaluated.
#define COIR_RETURNS_SCALAR_(call) (COIR_CLASS_(call) != 12 && COIR_CLASS_(call) != 13)
#define COIR_CLASS_(call)                                                                \
    __builtin_classify_type(                                                             \
        __builtin_choose_expr(__builtin_types_compatible_p(__typeof__(call), void), 0,   \
                              call))

#define COIR_STUB_(ints, call)                                                           \
    (__builtin_types_compatible_p(__typeof__(call), long double)                         \
         ? coir_spawn_capture_x87_                                                       \
     : (ints) ? coir_spawn_capture_ints_                                                 \
              : coir_spawn_capture_)

#ifdef __aarch64__
#define COIR_TOO_MUCH_                                                                   \
    "coir_go: more than 128 bytes of arguments, or a struct over 16; pass a pointer"
#else
#define COIR_TOO_MUCH_ "coir_go: more than 128 bytes of arguments; pass a pointer"
#endif

#ifdef __clang__
#define COIR_REFUSE_NORETURN_(fn)
#else
#define COIR_REFUSE_NORETURN_(fn)                                                        \
    _Static_assert(!__builtin_has_attribute((fn), noreturn),                             \
                   "coir_go: the function never returns");
#endif

// ---- Lists of one to seventeen things: fn and its arguments ------------------------------

#define COIR_HEAD_(fn, ...) fn
#define COIR_TAIL_(...)                                                                  \
    COIR_PICK_(__VA_ARGS__, COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_,        \
               COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_,   \
               COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T_, COIR_T0_,  \
               0)                                                                        \
    (__VA_ARGS__)
#define COIR_T_(fn, ...) __VA_ARGS__
#define COIR_T0_(fn)

// What the arguments take where the ABI lays them out: each rounded up to eight bytes. More than
// sixteen are more than 128 bytes.
#define COIR_BYTES_(...)                                                                 \
    (0 COIR_PICK_(__VA_ARGS__, COIR_B_, COIR_B_, COIR_B_, COIR_B_, COIR_B_, COIR_B16_,   \
                  COIR_B15_, COIR_B14_, COIR_B13_, COIR_B12_, COIR_B11_, COIR_B10_,      \
                  COIR_B9_, COIR_B8_, COIR_B7_, COIR_B6_, COIR_B5_, COIR_B4_, COIR_B3_,  \
                  COIR_B2_, COIR_B1_, COIR_B0_, 0)(__VA_ARGS__))
#ifdef __aarch64__
// Larger structs are passed there by the address of a copy that dies with the caller's frame.
#define COIR_SIZE_(x)                                                                    \
    +(sizeof(__typeof__(((void)0, x))) > 16                                              \
          ? 129                                                                          \
          : (sizeof(__typeof__(((void)0, x))) + 7) / 8 * 8)
#else
#define COIR_SIZE_(x) +((sizeof(__typeof__(((void)0, x))) + 7) / 8 * 8)
#endif
#define COIR_B_(...) +129
#define COIR_B0_(fn)
#define COIR_B1_(fn, x) COIR_SIZE_(x)
#define COIR_B2_(fn, x, ...) COIR_SIZE_(x) COIR_B1_(fn, __VA_ARGS__)
#define COIR_B3_(fn, x, ...) COIR_SIZE_(x) COIR_B2_(fn, __VA_ARGS__)
#define COIR_B4_(fn, x, ...) COIR_SIZE_(x) COIR_B3_(fn, __VA_ARGS__)
#define COIR_B5_(fn, x, ...) COIR_SIZE_(x) COIR_B4_(fn, __VA_ARGS__)
#define COIR_B6_(fn, x, ...) COIR_SIZE_(x) COIR_B5_(fn, __VA_ARGS__)
#define COIR_B7_(fn, x, ...) COIR_SIZE_(x) COIR_B6_(fn, __VA_ARGS__)
#define COIR_B8_(fn, x, ...) COIR_SIZE_(x) COIR_B7_(fn, __VA_ARGS__)
#define COIR_B9_(fn, x, ...) COIR_SIZE_(x) COIR_B8_(fn, __VA_ARGS__)
#define COIR_B10_(fn, x, ...) COIR_SIZE_(x) COIR_B9_(fn, __VA_ARGS__)
#define COIR_B11_(fn, x, ...) COIR_SIZE_(x) COIR_B10_(fn, __VA_ARGS__)
#define COIR_B12_(fn, x, ...) COIR_SIZE_(x) COIR_B11_(fn, __VA_ARGS__)
#define COIR_B13_(fn, x, ...) COIR_SIZE_(x) COIR_B12_(fn, __VA_ARGS__)
#define COIR_B14_(fn, x, ...) COIR_SIZE_(x) COIR_B13_(fn, __VA_ARGS__)
#define COIR_B15_(fn, x, ...) COIR_SIZE_(x) COIR_B14_(fn, __VA_ARGS__)
#define COIR_B16_(fn, x, ...) COIR_SIZE_(x) COIR_B15_(fn, __VA_ARGS__)

// Whether the function is known to take integers and pointers only, six at most: if its type is
// exactly what the arguments' types make, no conversion hides a double.
#define COIR_ONLY_INTS_(f, ...)                                                          \
    COIR_PICK_(__VA_ARGS__, COIR_I_, COIR_I_, COIR_I_, COIR_I_, COIR_I_, COIR_I_,        \
               COIR_I_, COIR_I_, COIR_I_, COIR_I_, COIR_I_, COIR_I_, COIR_I_, COIR_I_,   \
               COIR_I_, COIR_I6_, COIR_I5_, COIR_I4_, COIR_I3_, COIR_I2_, COIR_I1_,      \
               COIR_I0_, 0)                                                              \
    (f, __VA_ARGS__)
#define COIR_I_(...) false
#define COIR_I0_(f, fn) COIR_IS_(f, (*f)(), void)
#define COIR_I1_(f, fn, a) (COIR_IS_(f, (*f)(a), COIR_OF_(a)) && COIR_INT_(a))
#define COIR_I2_(f, fn, a, b)                                                            \
    (COIR_IS_(f, (*f)(a, b), COIR_OF_(a), COIR_OF_(b)) && COIR_INT_(a) && COIR_INT_(b))
#define COIR_I3_(f, fn, a, b, c)                                                         \
    (COIR_IS_(f, (*f)(a, b, c), COIR_OF_(a), COIR_OF_(b), COIR_OF_(c)) &&                \
     COIR_INT_(a) && COIR_INT_(b) && COIR_INT_(c))
#define COIR_I4_(f, fn, a, b, c, d)                                                      \
    (COIR_IS_(f, (*f)(a, b, c, d), COIR_OF_(a), COIR_OF_(b), COIR_OF_(c),                \
              COIR_OF_(d)) &&                                                            \
     COIR_INT_(a) && COIR_INT_(b) && COIR_INT_(c) && COIR_INT_(d))
#define COIR_I5_(f, fn, a, b, c, d, e)                                                   \
    (COIR_IS_(f, (*f)(a, b, c, d, e), COIR_OF_(a), COIR_OF_(b), COIR_OF_(c),             \
              COIR_OF_(d), COIR_OF_(e)) &&                                               \
     COIR_INT_(a) && COIR_INT_(b) && COIR_INT_(c) && COIR_INT_(d) && COIR_INT_(e))
#define COIR_I6_(f, fn, a, b, c, d, e, g)                                                \
    (COIR_IS_(f, (*f)(a, b, c, d, e, g), COIR_OF_(a), COIR_OF_(b), COIR_OF_(c),          \
              COIR_OF_(d), COIR_OF_(e), COIR_OF_(g)) &&                                  \
     COIR_INT_(a) && COIR_INT_(b) && COIR_INT_(c) && COIR_INT_(d) && COIR_INT_(e) &&     \
     COIR_INT_(g))
#define COIR_OF_(x) __typeof__(((void)0, x))
#define COIR_IS_(f, call, ...)                                                           \
    __builtin_types_compatible_p(__typeof__(f), __typeof__(call) (*)(__VA_ARGS__))
// 1 to 4 are the classes of integers, 5 that of pointers.
#define COIR_INT_(x)                                                                     \
    (__builtin_classify_type(((void)0, x)) >= 1 &&                                       \
     __builtin_classify_type(((void)0, x)) <= 5 && sizeof(COIR_OF_(x)) <= 8)

#define COIR_PICK_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v,     \
                   name, ...)                                                            \
    name

#endif

#endif
