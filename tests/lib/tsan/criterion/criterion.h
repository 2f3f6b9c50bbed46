// SPDX-License-Identifier: MIT
// criterion.h - the part of Criterion that our tests use, for ThreadSanitizer builds.
//
// Criterion hands tests to its child processes in a mapping at an address of its own choice, and
// there ThreadSanitizer's shadow memory already is: every test would end before it began ("Could
// not initialize inheritable arena"). Here a test is a fork, an assertion that fails ends it.
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct criterion_test {
    const char *suite, *name;
    void (*body)(void);
    void (*init)(void);
    void (*fini)(void);
    double timeout;
    int signal, exit_code;
    bool disabled;
    struct criterion_test *next;
};

void criterion_add(struct criterion_test *test);
_Noreturn void criterion_fail(const char *file, int line, const char *what,
                              const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define Test(suite_, name_, ...)                                                         \
    static void suite_##_##name_##_body(void);                                           \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)                \
    {                                                                                    \
        static struct criterion_test test = {.suite = #suite_,                           \
                                             .name = #name_,                             \
                                             .body = suite_##_##name_##_body,            \
                                             __VA_ARGS__};                               \
        criterion_add(&test);                                                            \
    }                                                                                    \
    static void suite_##_##name_##_body(void)

#define CR_SAY_(claim, what, ...)                                                        \
    ((claim) ? (void)0 : criterion_fail(__FILE__, __LINE__, what, "" __VA_ARGS__))

#define cr_assert(claim, ...) CR_SAY_(claim, #claim, __VA_ARGS__)
#define cr_assert_not(claim, ...) CR_SAY_(!(claim), "not " #claim, __VA_ARGS__)
#define cr_assert_eq(a, b, ...) CR_SAY_((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) CR_SAY_((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) CR_SAY_((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) CR_SAY_((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) CR_SAY_((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) CR_SAY_((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_null(a, ...) CR_SAY_((a) == NULL, #a " is NULL", __VA_ARGS__)
#define cr_assert_not_null(a, ...) CR_SAY_((a) != NULL, #a " is not NULL", __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)                                                      \
    CR_SAY_(strcmp(a, b) == 0, #a " is the text " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)                                                     \
    CR_SAY_(strcmp(a, b) != 0, #a " is not the text " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, bytes, ...)                                               \
    CR_SAY_(memcmp(a, b, bytes) == 0, #a " holds what " #b " holds", __VA_ARGS__)
#define cr_assert_mem_eq cr_assert_arr_eq
#define cr_assert_fail(...)                                                              \
    criterion_fail(__FILE__, __LINE__, "not to come here", "" __VA_ARGS__)
#define cr_fail cr_assert_fail

#define cr_expect cr_assert
#define cr_expect_not cr_assert_not
#define cr_expect_eq cr_assert_eq
#define cr_expect_neq cr_assert_neq
#define cr_expect_lt cr_assert_lt
#define cr_expect_gt cr_assert_gt
#define cr_expect_leq cr_assert_leq
#define cr_expect_geq cr_assert_geq
#define cr_expect_null cr_assert_null
#define cr_expect_not_null cr_assert_not_null
#define cr_expect_str_eq cr_assert_str_eq

#define cr_log_info(...) (printf(__VA_ARGS__), putchar('\n'))
#define cr_log_warn cr_log_info
#define cr_log_error cr_log_info
#define cr_skip_test(...) (cr_log_info("skipped: " __VA_ARGS__), exit(0))
#define cr_skip cr_skip_test
