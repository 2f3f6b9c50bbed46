// SPDX-License-Identifier: MIT
// shadow_stack: a process that has user shadow stacks gets no runtime, and is told why.
// Method: this program's own syscall(2) stands before libc's and answers the one question as a
// processor with CET would.
#include <coir.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "tests/lib/test.h"

#define ARCH_SHSTK_STATUS 0x5005

static int answer = -1; // what the kernel says; -1: it is not asked by us
static uint64_t features;
static int n_asked;
static char line[256];

long syscall(long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_arch_prctl && a[0] == ARCH_SHSTK_STATUS && answer >= 0) {
        n_asked++;
        if (answer == 0) memcpy((void *)a[1], &features, sizeof(features));
        errno = answer;
        return answer == 0 ? 0 : -1;
    }
    long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void keep(void *arg, int level, const char *text)
{
    (void)arg;
    if (level == COIR_LOG_ERROR) snprintf(line, sizeof(line), "%s", text);
}

static int first(void *arg)
{
    (void)arg;
    return 7;
}

static int run_where(int error, uint64_t has)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt = NULL;

    config.log = keep;
    answer = error;
    features = has;
    n_asked = 0;
    line[0] = 0;
    int result = coir_run(&config, first, NULL);
    expect(n_asked > 0);
    int err = coir_start(&config, &rt);
    expect_eq(err, result < 0 ? result : 0);
    if (err == 0) expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(coir_hosted_start(&config, &rt), err);
    if (err == 0) expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    return result;
}

int main(void)
{
    expect_eq(run_where(0, 1), -ENOTSUP); // ARCH_SHSTK_SHSTK
    expect(strstr(line, "shadow stacks"));
    expect(strstr(line, "GLIBC_TUNABLES"));
    expect_eq(run_where(0, 0), 7);      // the kernel has them, this process does not
    expect_eq(run_where(EINVAL, 0), 7); // an older kernel
    return 0;
}
