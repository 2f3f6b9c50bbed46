// SPDX-License-Identifier: MIT
// spans - a tracer whose current span, a thread-local, follows each coroutine wherever it runs.
// The tracer knows nothing of coroutines. Two hooks make it right: who comes in finds its own span.
#include <coir/go.h>
#include <stdio.h>

struct span {
    const char *name;
    struct span *parent;
};

static _Thread_local struct span *current;

__attribute__((noinline)) static struct span **here(void)
{
    __asm__ volatile(""); // a thread-local's address is good until the next wait
    return &current;
}

static void span_begin(struct span *s, const char *name)
{
    *s = (struct span){name, *here()};
    *here() = s;
}

static void span_end(struct span *s)
{
    printf("%s of %s\n", s->name, s->parent ? s->parent->name : "nobody");
    *here() = s->parent;
}

static void swap(void **slot)
{
    void *was = *here();

    *here() = *slot, *slot = was;
}

static void comes_in(void *arg, uint64_t id, void **slot)
{
    (void)arg, (void)id;
    swap(slot);
}

static void goes_out(void *arg, uint64_t id, void **slot, int ends)
{
    (void)arg, (void)id,
        (void)ends; // a span stands in its coroutine's frame: nothing to free
    swap(slot);
}

static coir_waitgroup all;

static void serve(const char *name, int depth)
{
    struct span s;

    span_begin(&s, name);
    if (depth > 0) serve("query", depth - 1);
    coir_sleep(10 * COIR_US); // others run on this thread meanwhile
    span_end(&s);
    if (depth) coir_waitgroup_done(&all);
}

static int run(void *arg)
{
    (void)arg;
    coir_waitgroup_add(&all, 3);
    for (int i = 0; i < 3; i++) go(serve, i % 2 ? "/login" : "/index", 1);
    return coir_waitgroup_wait(&all, COIR_FOREVER);
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.switch_in = comes_in, config.switch_out = goes_out;
    return coir_run(&config, run, NULL) == 0 ? 0 : 1;
}
