// SPDX-License-Identifier: MIT
// A plant: a byte written behind an array on a coroutine's stack, after it parked and came back.
// AddressSanitizer has to say so, and that it is a stack.
#include <coir/go.h>

#include "tests/lib/test.h"

static volatile int behind = 16;

static int run(void *arg)
{
    char array[16] = {0};
    char *volatile p = array;

    (void)arg;
    expect_eq(coir_sleep(COIR_MS), 0);
    ((volatile char *)p)[behind] = 1;
    return array[0];
}

int main(void)
{
    return coir_run(NULL, run, NULL);
}
