// SPDX-License-Identifier: MIT
// seeded - a test that looks for a race by seed: a cache that fetches what it has not.
//
//     seeded           looks for a seed under which one key is fetched twice, and says which
//     seeded SEED      that run alone, as a debugger would have it
//
// The fault: 'get' looks under the lock, fetches without it, and stores under it. Two that ask for
// the same key at the same time both find nothing and both fetch. In most orders nobody notices.
#include <coir.h>
#include <coir/go.h>

#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 4, CLIENTS = 2 };

static coir_mutex lock;
static int values[KEYS], fetches[KEYS];

static int fetch(int key)
{
    fetches[key]++;
    return key * key + 1;
}

static int get(int key)
{
    if (coir_mutex_lock(&lock, COIR_FOREVER) < 0) return -1;
    int value = values[key];
    coir_mutex_unlock(&lock);
    if (value) return value;
    value = fetch(key);
    if (coir_mutex_lock(&lock, COIR_FOREVER) < 0) return -1;
    values[key] = value;
    coir_mutex_unlock(&lock);
    return value;
}

static int client(int n)
{
    coir_sleep(n * 2 * COIR_US); // the first has a start, so they seldom meet
    for (int key = 0; key < KEYS; key++)
        if (get(key) != key * key + 1) return -1;
    return 0;
}

static int program(void *arg)
{
    coir_scope s;

    (void)arg;
    for (int key = 0; key < KEYS; key++) values[key] = fetches[key] = 0;
    if (coir_scope_open(&s, COIR_FOREVER) < 0) return -1;
    for (int n = 0; n < CLIENTS; n++) coir_scope_go(&s, client, n);
    return coir_scope_wait(&s);
}

// The key that was fetched twice under this seed, or -1.
static int look(unsigned long seed)
{
    coir_config config = COIR_CONFIG_INIT;

    config.seed = seed;
    if (coir_run(&config, program, NULL) < 0) exit(1);
    for (int key = 0; key < KEYS; key++)
        if (fetches[key] > 1) return key;
    return -1;
}

int main(int argc, char **argv)
{
    unsigned long first = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    unsigned long last = argc > 1 ? first : 1000;

    for (unsigned long seed = first; seed <= last; seed++) {
        int key = look(seed);
        if (key >= 0) return printf("seed %lu fetches key %d twice\n", seed, key) < 0;
    }
    printf("nothing found\n");
    return 1;
}
