// SPDX-License-Identifier: MIT
// echo_hosted_event PORT WORKERS: the server in libevent's loop; examples/hosted_event.c says how.
#include <event2/event.h>

#include "bench/echo_hosted.h"

static coir_runtime *rt;
static struct event *runtime;

static void turn(evutil_socket_t fd, short what, void *arg)
{
    struct timeval now = {0, 0};

    (void)fd, (void)what, (void)arg;
    int more = coir_hosted_turn(rt, 256);
    event_remove_timer(runtime);
    event_add(runtime, more > 0 ? &now : NULL); // a time-out has taken it out of the loop
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();

    if (argc < 3 || !base) return 2;
    rt = start_echo(argv[1]);
    runtime = event_new(base, coir_hosted_fd(rt), EV_READ | EV_PERSIST, turn, NULL);
    event_add(runtime, NULL);
    return event_base_dispatch(base);
}
