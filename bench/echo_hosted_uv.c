// SPDX-License-Identifier: MIT
// echo_hosted_uv PORT WORKERS: the server in libuv's loop; examples/hosted_uv.c says how.
#include <uv.h>

#include "bench/echo_hosted.h"

static coir_runtime *rt;
static uv_prepare_t before_sleep;
static uv_poll_t readable;
static uv_idle_t again;

static void on_again(uv_idle_t *handle)
{
    (void)handle;
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)handle, (void)status, (void)events;
}

static void turn(uv_prepare_t *handle)
{
    (void)handle;
    if (coir_hosted_turn(rt, 256) > 0)
        uv_idle_start(&again, on_again);
    else
        uv_idle_stop(&again);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();

    if (argc < 3) return 2;
    rt = start_echo(argv[1]);
    uv_prepare_init(loop, &before_sleep);
    uv_poll_init(loop, &readable, coir_hosted_fd(rt));
    uv_idle_init(loop, &again);
    uv_prepare_start(&before_sleep, turn);
    uv_poll_start(&readable, UV_READABLE, on_readable);
    return uv_run(loop, UV_RUN_DEFAULT);
}
