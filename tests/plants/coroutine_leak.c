// SPDX-License-Identifier: MIT
// A plant: a coroutine parks with memory in hand, and ends without it. LeakSanitizer has to say so.
#include <coir/go.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

static void forget(int bytes)
{
    char *volatile block = malloc((size_t)bytes);

    memset(block, 1, (size_t)bytes);
    expect_eq(coir_sleep(COIR_MS), 0);
    block = NULL;
}

static int run(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) expect_eq(go(forget, 100), 0);
    return coir_sleep(50 * COIR_MS);
}

int main(void)
{
    return coir_run(NULL, run, NULL);
}
