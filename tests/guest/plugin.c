// SPDX-License-Identifier: MIT
// plugin - a module that a host loads and that has a runtime of its own; see plugin_host.c.
#include <coir/go.h>

#include <unistd.h>

COIR_API int plugin_start(void);
COIR_API int plugin_stop(void);

static coir_runtime *rt;
static coir_chan *answers;

static void answer(int n)
{
    coir_sleep(COIR_MS);
    if (coir_chan_send(answers, &n, COIR_FOREVER) < 0) coir_yield();
}

int plugin_start(void)
{
    int sum = 0;

    if (coir_chan_make(sizeof(int), 0, &answers) < 0 || coir_start(NULL, &rt) < 0)
        return -1;
    for (int i = 1; i <= 10; i++)
        if (coir_go_on(rt, answer, i) < 0) return -1;
    for (int i = 1; i <= 10; i++) {
        int n;
        if (coir_chan_recv(answers, &n, coir_after(10 * COIR_SEC)) < 0) return -1;
        sum += n;
    }
    return sum;
}

int plugin_stop(void)
{
    coir_chan_unref(answers);
    return coir_stop(rt, COIR_FOREVER);
}
