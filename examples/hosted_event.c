// SPDX-License-Identifier: MIT
// hosted_event [ADDRESS [epoll]] - an echo server of coroutines in libevent's loop.
// One event stands for the runtime: its descriptor, and its deadline as the timeout. Beside it the
// loop has a timer of its own.
#include <event2/event.h>
#include <signal.h>

#include "examples/hosted_echo.h"

static coir_runtime *rt;
static struct event *runtime;

static void turn(evutil_socket_t fd, short what, void *arg)
{
    int more = coir_hosted_turn(rt, 256);
    int64_t deadline = coir_hosted_deadline(rt), left = deadline - coir_now();

    (void)fd, (void)what, (void)arg;
    if (more > 0 || left < 0) left = 0;
    left = (left + COIR_US - 1) / COIR_US;
    struct timeval tv = {left / 1000000, left % 1000000};
    bool sleeps = more == 0 && deadline == COIR_FOREVER;
    // libevent takes an event whose time-out came out of its loop: so it is added each time.
    event_remove_timer(runtime);
    event_add(runtime, sleeps ? NULL : &tv);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    say();
}

static void on_end(evutil_socket_t signal, short what, void *base)
{
    (void)signal, (void)what;
    event_base_loopbreak(base);
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    struct timeval often = {0, 100000};

    if (!base || !(rt = start_echo(argc, argv))) return 1;
    runtime = event_new(base, coir_hosted_fd(rt), EV_READ | EV_PERSIST, turn, NULL);
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    struct event *end = evsignal_new(base, SIGTERM, on_end, base);
    event_add(runtime, NULL);
    event_add(tick, &often);
    event_add(end, NULL);
    turn(-1, 0, NULL);
    event_base_dispatch(base);
    event_free(runtime);
    event_free(tick);
    event_free(end);
    event_base_free(base);
    return coir_stop(rt, COIR_FOREVER);
}
