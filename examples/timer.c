// SPDX-License-Identifier: MIT
// timer - a clock that ticks, and a watch that is wound up again by whatever happens.
#include <coir/go.h>
#include <stdio.h>

static void speaks(coir_chan *out)
{
    for (int i = 0; i < 5; i++) {
        if (coir_chan_send(out, &i, COIR_FOREVER) || coir_sleep(2 * COIR_MS)) break;
    }
    coir_chan_unref(out); // and says nothing more
}

static int ticks(void)
{
    coir_timer *clock;
    int64_t due;

    if (coir_timer_make(coir_after(2 * COIR_MS), 2 * COIR_MS, &clock)) return -1;
    for (int i = 1; i <= 3; i++) {
        if (coir_chan_recv(coir_timer_chan(clock), &due, COIR_FOREVER)) return -1;
        printf("tick %d\n", i); // it was due at 'due', and it is never early
    }
    coir_timer_free(clock);
    return 0;
}

static int watch(void)
{
    coir_timer *watch;
    coir_chan *words;
    int word, heard = 0;

    if (coir_chan_make(sizeof(int), 0, &words)) return -1;
    if (coir_timer_make(coir_after(20 * COIR_MS), 0, &watch)) return -1;
    if (go(speaks, coir_chan_ref(words))) return -1;
    coir_case cases[] = {
        {.chan = words, .dir = COIR_RECV, .value = &word},
        {.chan = coir_timer_chan(watch), .dir = COIR_RECV},
    };
    for (int at = 0; at == 0;) {
        if ((at = coir_select(cases, 2, COIR_FOREVER)) < 0) return at;
        if (at == 0) heard++;
        coir_timer_reset(watch, coir_after(20 * COIR_MS), 0); // what was due is gone
    }
    printf("quiet for 20 ms\nafter %d words\n", heard);
    coir_timer_free(watch);
    coir_chan_unref(words);
    return 0;
}

static int run(void *arg)
{
    (void)arg;
    return ticks() || watch() ? -1 : 0;
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
