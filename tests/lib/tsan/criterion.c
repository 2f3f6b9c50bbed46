// SPDX-License-Identifier: MIT
// criterion - runs the tests of one binary, each in a fork; see criterion/criterion.h.
#include <criterion/criterion.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

static struct criterion_test *first, **last = &first;

void criterion_add(struct criterion_test *test)
{
    *last = test;
    last = &test->next;
}

void criterion_fail(const char *file, int line, const char *what, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s:%d: expected: %s", file, line, what);
    if (*format) {
        fputs(": ", stderr);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
    }
    fputc('\n', stderr);
    _exit(1);
}

static int run(const struct criterion_test *test)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        test_watchdog(60); // timers stay with the parent
        if (test->init) test->init();
        test->body();
        if (test->fini) test->fini();
        exit(0);
    }
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == test->signal) return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == test->exit_code) return 0;
    fprintf(stderr, "FAILED: %s::%s: %s %d\n", test->suite, test->name,
            WIFSIGNALED(status) ? "signal" : "exit code",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return 1;
}

int main(void)
{
    int n = 0, failed = 0;

    test_watchdog(0); // each test has its own
    for (struct criterion_test *test = first; test; test = test->next) {
        if (test->disabled) continue;
        n++;
        failed += run(test);
    }
    printf("%d tests, %d failed\n", n, failed);
    return failed || !n;
}
