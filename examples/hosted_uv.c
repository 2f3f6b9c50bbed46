// SPDX-License-Identifier: MIT
// hosted_uv [ADDRESS [epoll]] - an echo server of coroutines in libuv's loop.
// One turn in every round of the loop, just before it sleeps. Beside it the loop has a timer.
#include <signal.h>
#include <uv.h>

#include "examples/hosted_echo.h"

static coir_runtime *rt;
static uv_prepare_t before_sleep;
static uv_poll_t readable;
static uv_timer_t due, tick;
static uv_idle_t again; // while it is started, the loop does not sleep
static uv_signal_t end;

static void on_again(uv_idle_t *handle)
{
    (void)handle;
}

static void on_due(uv_timer_t *handle)
{
    (void)handle; // the turn of this round comes next
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)handle, (void)status, (void)events; // as above
}

static void turn(uv_prepare_t *handle)
{
    int more = coir_hosted_turn(rt, 256);
    int64_t deadline = coir_hosted_deadline(rt), left = deadline - coir_now();

    if (more > 0)
        uv_idle_start(&again, on_again);
    else
        uv_idle_stop(&again);
    uv_timer_stop(&due);
    if (more > 0 || deadline == COIR_FOREVER) return;
    uv_update_time(handle->loop);
    uv_timer_start(&due, on_due,
                   left > 0 ? (uint64_t)((left + COIR_MS - 1) / COIR_MS) : 0, 0);
}

static void on_tick(uv_timer_t *handle)
{
    (void)handle;
    say();
}

static void on_end(uv_signal_t *handle, int signal)
{
    (void)signal;
    uv_stop(handle->loop);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();

    if (!(rt = start_echo(argc, argv))) return 1;
    uv_prepare_init(loop, &before_sleep);
    uv_poll_init(loop, &readable, coir_hosted_fd(rt));
    uv_timer_init(loop, &due);
    uv_timer_init(loop, &tick);
    uv_idle_init(loop, &again);
    uv_signal_init(loop, &end);
    uv_prepare_start(&before_sleep, turn);
    uv_poll_start(&readable, UV_READABLE, on_readable);
    uv_timer_start(&tick, on_tick, 100, 100);
    uv_signal_start(&end, on_end, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);
    return coir_stop(rt, COIR_FOREVER);
}
