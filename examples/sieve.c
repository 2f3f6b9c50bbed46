// SPDX-License-Identifier: MIT
// sieve [N] - the first N primes, by a chain of coroutines: each takes the numbers that the one
// before it lets pass, prints the first as a prime and passes on what that one does not divide.
#include <coir/go.h>
#include <stdio.h>
#include <stdlib.h>

// 2, 3, 4 ... until nobody listens any more.
static void count(coir_chan *out)
{
    for (int i = 2; coir_chan_send(out, &i, COIR_FOREVER) == 0; i++) continue;
    coir_chan_unref(out);
}

static void filter(int prime, coir_chan *in, coir_chan *out)
{
    int i;

    while (coir_chan_recv(in, &i, COIR_FOREVER) == 0)
        if (i % prime != 0 && coir_chan_send(out, &i, COIR_FOREVER) != 0) break;
    coir_chan_close(in); // whoever sends to us may stop
    coir_chan_unref(in);
    coir_chan_unref(out);
}

static int run(void *arg)
{
    int primes = *(int *)arg, prime, err;
    coir_chan *in, *out;

    if ((err = coir_chan_make(sizeof(int), 0, &in))) return err;
    if ((err = go(count, coir_chan_ref(in)))) {
        coir_chan_unref(in); // the one that count would have given back
        goto done;
    }
    for (int i = 0; i < primes; i++) {
        if ((err = coir_chan_recv(in, &prime, COIR_FOREVER))) break;
        printf("%d\n", prime);
        if ((err = coir_chan_make(sizeof(int), 0, &out))) break;
        if ((err = go(filter, prime, in, coir_chan_ref(out)))) { // hands 'in' off
            coir_chan_unref(out);
            coir_chan_unref(out);
            break;
        }
        in = out;
    }
done:
    coir_chan_close(in);
    coir_chan_unref(in);
    return err;
}

int main(int argc, char **argv)
{
    int primes = argc > 1 ? atoi(argv[1]) : 20;

    return coir_run(NULL, run, &primes) == 0 ? 0 : 1;
}
