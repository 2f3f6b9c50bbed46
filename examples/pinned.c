// SPDX-License-Identifier: MIT
// pinned - a library whose state belongs to a thread, served by one coroutine that keeps a thread.
//
// The "library" here is uselocale(3): what it sets, it sets for a thread. The formatter is
// pinned, so its locale is on its thread alone; whoever wants something formatted sends it over a
// channel, as one would to a GL context or an interpreter that allows one thread.
#include <coir.h>
#include <coir/go.h>

#include <locale.h>
#include <stdio.h>

struct order {
    double number;
    char text[32];
    coir_chan *done;
};

static coir_chan *orders;

static void formatter(void)
{
    struct order *order;
    locale_t own = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    uselocale(own); // of this thread, which is ours until we end
    while (coir_chan_recv(orders, &order, COIR_FOREVER) == 0) {
        snprintf(order->text, sizeof(order->text), "%.2f", order->number);
        if (coir_chan_send(order->done, NULL, COIR_FOREVER) < 0) break;
    }
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(own);
}

static int customer(double number)
{
    struct order order = {.number = number}, *p = &order;
    int err = coir_chan_make(0, 1, &order.done);

    if (err < 0) return err;
    err = coir_chan_send(orders, &p, COIR_FOREVER);
    if (err == 0) err = coir_chan_recv(order.done, NULL, COIR_FOREVER);
    if (err == 0) printf("%s\n", order.text);
    coir_chan_unref(order.done);
    return err;
}

static int program(void *arg)
{
    coir_scope s;

    (void)arg;
    if (coir_chan_make(sizeof(struct order *), 4, &orders) < 0) return 1;
    if (coir_go_with(coir_opts(.name = "formatter", .pinned = true), formatter) < 0)
        return 1;
    if (coir_scope_open(&s, COIR_FOREVER) < 0) return 1;
    for (int i = 1; i <= 3; i++) coir_scope_go(&s, customer, i / 3.0);
    int err = coir_scope_wait(&s);
    coir_chan_close(orders); // ends the formatter, and its thread
    return err;
}

int main(void)
{
    return coir_run(NULL, program, NULL) == 0 ? 0 : 1;
}
