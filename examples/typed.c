// SPDX-License-Identifier: MIT
// typed - a channel of a type: what goes in and comes out is checked by the compiler.
#include <coir/go.h>
#include <stdio.h>

struct point {
    double x, y;
};

static void walk(coir_chan_of(struct point) out, int steps)
{
    struct point at = {0, 0};

    for (int i = 0; i < steps; i++, at.x += 3, at.y += 4)
        if (coir_of_send(out, at, COIR_FOREVER) < 0) break;
    coir_of_close(out);
    coir_of_unref(out);
}

static int run(void *arg)
{
    coir_chan_of(struct point) c;
    struct point p = {0, 0};
    int err;

    (void)arg;
    if ((err = coir_of_make(&c, 4)) < 0) return err;
    if ((err = go(walk, coir_of_ref(c), 11)) < 0) return err;
    while (coir_of_recv(c, &p, COIR_FOREVER) == 0) continue;
    coir_of_unref(c);
    printf("at %g, %g\n", p.x, p.y);
    return 0;
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
