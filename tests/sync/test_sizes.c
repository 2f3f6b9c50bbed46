// SPDX-License-Identifier: MIT
// Goal:   a value of any size that a channel may have, from none to 64 KiB, arrives whole and
//         writes nothing beside itself, on every way that it can take.
// Method: each byte of a value is made of its number; the places around it are looked at. The ways:
//         through the buffer, to a receiver that waits, from a sender that waits, to and from an
//         ordinary thread, by select at either end, discarded. Closing and references with them.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

#define MOST 65536
#define AROUND 64

static const size_t sizes[] = {0,   1,   2,   3,    4,    7,    8,    9,     12,    15,
                               16,  17,  24,  31,   32,   33,   63,   64,    65,    100,
                               128, 255, 256, 1000, 1024, 4095, 4096, 32768, 65535, MOST};

struct parcel {
    unsigned char before[AROUND], value[MOST], after[AROUND];
};

static unsigned char byte_of(unsigned number, size_t i)
{
    return (unsigned char)(number * 31 + i * 7 + (i >> 8));
}

static struct parcel *new_parcel(void)
{
    struct parcel *p = malloc(sizeof(*p));

    expect(p);
    memset(p, 0xee, sizeof(*p));
    return p;
}

static void fill(struct parcel *p, size_t size, unsigned number)
{
    for (size_t i = 0; i < size; i++) p->value[i] = byte_of(number, i);
}

// The value of this number, and nothing around it.
static void holds(const struct parcel *p, size_t size, unsigned number)
{
    for (size_t i = 0; i < size; i++) expect_eq(p->value[i], byte_of(number, i));
    for (size_t i = size; i < MOST && i < size + AROUND; i++)
        expect_eq(p->value[i], 0xee);
    for (int i = 0; i < AROUND; i++) expect(p->before[i] == 0xee && p->after[i] == 0xee);
}

struct lane {
    coir_chan *chan;
    size_t size;
    int n; // values
    bool selects;
    coir_waitgroup senders;
};

static void selects(coir_case *c)
{
    expect_eq(coir_select(c, 1, COIR_FOREVER), 0);
    expect_eq(c->result, 0);
}

static void *sends(void *arg)
{
    const struct lane *l = arg;
    struct parcel *p = new_parcel();

    for (unsigned i = 0; i < (unsigned)l->n; i++) {
        coir_case c = {.chan = l->chan,
                       .dir = COIR_SEND,
                       .value = l->size ? p->value : NULL};
        fill(p, l->size, i);
        if (l->selects)
            selects(&c);
        else
            expect_eq(coir_chan_send(l->chan, c.value, COIR_FOREVER), 0);
        holds(p, l->size, i);
    }
    free(p);
    return NULL;
}

static void sends_on_coroutine(struct lane *l)
{
    sends(l);
    coir_waitgroup_done(&l->senders); // from here on l may be gone
}

static void starts_sender(struct lane *l)
{
    expect_eq(coir_waitgroup_add(&l->senders, 1), 0);
    expect_eq(go(sends_on_coroutine, l), 0);
}

static void receives(const struct lane *l)
{
    struct parcel *p = new_parcel();

    for (unsigned i = 0; i < (unsigned)l->n; i++) {
        coir_case c = {.chan = l->chan,
                       .dir = COIR_RECV,
                       .value = l->size ? p->value : NULL};
        if (i % 4 == 3) c.value = NULL; // discarded
        if (l->selects)
            selects(&c);
        else
            expect_eq(coir_chan_recv(l->chan, c.value, COIR_FOREVER), 0);
        if (c.value) holds(p, l->size, i);
    }
    free(p);
}

static void passes(struct lane *l)
{
    pthread_t thread;

    for (int selects = 0; selects < 2; selects++) {
        l->selects = selects;
        starts_sender(l);
        receives(l); // the receiver waits first
        expect_eq(coir_waitgroup_wait(&l->senders, COIR_FOREVER), 0);
        starts_sender(l);
        expect_eq(coir_yield(), 0); // the sender waits first, or has filled the buffer
        receives(l);
        expect_eq(coir_waitgroup_wait(&l->senders, COIR_FOREVER), 0);
    }
    expect_eq(pthread_create(&thread, NULL, sends, l), 0);
    receives(l);
    pthread_join(thread, NULL);
}

// What is in it when it is closed is received, and then nothing.
static void closes(const struct lane *l, size_t capacity)
{
    struct parcel *p = new_parcel();
    void *value = l->size ? p->value : NULL;

    fill(p, l->size, 5);
    for (size_t i = 0; i < capacity; i++)
        expect_eq(coir_chan_send(l->chan, value, COIR_NOW), 0);
    expect_eq(coir_chan_send(l->chan, value, COIR_NOW), -ETIMEDOUT);
    expect(coir_chan_len(l->chan) == capacity && coir_chan_cap(l->chan) == capacity);
    expect_eq(coir_chan_close(l->chan), 0);
    expect_eq(coir_chan_close(l->chan), -EALREADY);
    expect_eq(coir_chan_send(l->chan, value, COIR_FOREVER), -EPIPE);
    for (size_t i = 0; i < capacity; i++) {
        memset(p->value, 0xee, MOST);
        expect_eq(coir_chan_recv(l->chan, value, COIR_FOREVER), 0);
        holds(p, l->size, 5);
    }
    expect_eq(coir_chan_recv(l->chan, value, COIR_FOREVER), -EPIPE);
    coir_chan *held = coir_chan_ref(l->chan);
    coir_chan_unref(l->chan);
    expect_eq(coir_chan_recv(held, value, COIR_NOW), -EPIPE);
    coir_chan_unref(held);
    free(p);
}

static int every_size_arrives_whole(void *arg)
{
    static const size_t capacities[] = {0, 1, 3};

    (void)arg;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
        for (int k = 0; k < 3; k++) {
            struct lane l = {.size = sizes[s], .n = 8};

            expect_eq(coir_chan_make(l.size, capacities[k], &l.chan), 0);
            passes(&l);
            closes(&l, capacities[k]);
        }
    return 0;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    test_watchdog(100);
    for (config.workers = 1; config.workers <= 2; config.workers++)
        expect_eq(coir_run(&config, every_size_arrives_whole, NULL), 0);
    return 0;
}
