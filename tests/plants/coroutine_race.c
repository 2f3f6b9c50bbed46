// SPDX-License-Identifier: MIT
// A plant: coroutines on two workers write one word, nothing orders them. If ThreadSanitizer does
// not say so, it does not see our switches, and a green run of the other tests means nothing.
#include <coir/go.h>

#include "tests/lib/test.h"

static int word;
static int done;

static void writer(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        word++;
        if (i % 10000 == 0) coir_yield();
    }
    __atomic_add_fetch(&done, 1,
                       __ATOMIC_RELAXED); // relaxed: it must not order the writes
}

static int run(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) expect_eq(go(writer, 2000000), 0);
    while (__atomic_load_n(&done, __ATOMIC_RELAXED) < 4)
        expect_eq(coir_sleep(COIR_MS), 0);
    return 0;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    return coir_run(&config, run, NULL);
}
