// SPDX-License-Identifier: MIT
// Goal:   the typed macros do what the plain calls do, for scalars, pointers and structs.
// Method: a plain program; what must not compile is in tests/spawn/refusals.py.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <string.h>

#include "tests/lib/test.h"

struct pair {
    char name[20];
    double value;
};

static void doubles(coir_chan_of(long) in, coir_chan_of(struct pair) out)
{
    long v;

    while (coir_of_recv(in, &v, COIR_FOREVER) == 0) {
        struct pair p = {"twice", (double)v * 2};
        expect_eq(coir_of_send(out, p, COIR_FOREVER), 0);
    }
    coir_of_close(out);
    coir_of_unref(in);
    coir_of_unref(out);
}

static int passes_values(void *arg)
{
    coir_chan_of(long) in;
    coir_chan_of(struct pair) out;
    struct pair p;
    int evaluated = 0;

    (void)arg;
    expect_eq(coir_of_make(&in, 0), 0);
    expect_eq(coir_of_make(&out, 3), 0);
    expect_eq(go(doubles, coir_of_ref(in), coir_of_ref(out)), 0);
    for (int i = 0; i < 10; i++) {
        expect_eq(coir_of_send(in, (evaluated++, i), COIR_FOREVER),
                  0); // an int for a long
        expect_eq(coir_of_recv(out, &p, COIR_FOREVER), 0);
        expect(p.value == 2 * i && strcmp(p.name, "twice") == 0);
    }
    expect_eq(evaluated, 10);
    expect_eq(coir_of_close(in), 0);
    expect_eq(coir_of_close(in), -EALREADY);
    expect_eq(coir_of_recv(out, NULL, COIR_FOREVER), -EPIPE);
    coir_of_unref(in);
    coir_of_unref(out);
    return 0;
}

static int selects(void *arg)
{
    coir_chan_of(const char *) words;
    coir_timer *t;
    const char *word = "coir", *got = NULL;
    int64_t due = 0;

    (void)arg;
    expect_eq(coir_of_make(&words, 1), 0);
    expect_eq(coir_timer_make(coir_after(COIR_MS), 0, &t), 0);
    coir_chan_of(int64_t) ticks = coir_chan_as(int64_t, coir_timer_chan(t));
    coir_case cases[] = {coir_of_recv_case(words, &got), coir_of_recv_case(ticks, &due)};
    expect_eq(coir_select(cases, 2, COIR_FOREVER), 1);
    expect(due > 0);
    expect_eq(coir_of_send(words, word, COIR_NOW), 0);
    expect_eq(coir_of_len(words), coir_of_cap(words));
    expect_eq(coir_select(cases, 2, COIR_FOREVER), 0);
    expect(got == word);
    coir_case send = coir_of_send_case(words, &word);
    expect_eq(coir_select(&send, 1, COIR_NOW), 0);
    coir_timer_free(t);
    coir_of_unref(words);
    return 0;
}

int main(void)
{
    coir_chan_of(int) none = {0};

    expect_eq(coir_of_send(none, 1, COIR_NOW), -EINVAL);
    expect_eq(coir_of_recv(none, NULL, COIR_NOW), -EINVAL);
    coir_of_unref(none);
    expect_eq(coir_run(NULL, passes_values, NULL), 0);
    expect_eq(coir_run(NULL, selects, NULL), 0);
    return 0;
}
