// SPDX-License-Identifier: MIT
// hello - coroutines say hello, and main waits until all have.
#include <coir/go.h>
#include <stdio.h>

static void hello(const char *name, coir_waitgroup *all)
{
    printf("hello from %s, coroutine %llu\n", name, (unsigned long long)coir_id());
    coir_waitgroup_done(all);
}

static int run(void *arg)
{
    static const char *const names[] = {"coconut", "coir", "copra"};
    coir_waitgroup all = {0};

    (void)arg;
    for (int i = 0; i < 3; i++) {
        int err = coir_waitgroup_add(&all, 1);

        if (!err) err = go(hello, names[i], &all);
        if (err) return err;
    }
    return coir_waitgroup_wait(&all, COIR_FOREVER);
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
