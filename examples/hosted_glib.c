// SPDX-License-Identifier: MIT
// hosted_glib [ADDRESS [epoll]] - an echo server of coroutines in GLib's main loop.
// The runtime is one GSource: its descriptor, and its deadline as the ready time. Beside it the
// loop has a timer of its own.
#include <glib-unix.h>
#include <glib.h>
#include <signal.h>

#include "examples/hosted_echo.h"

static coir_runtime *rt;

static gboolean turn(GSource *source, GSourceFunc callback, gpointer data)
{
    int more = coir_hosted_turn(rt, 256);
    int64_t deadline = coir_hosted_deadline(rt);

    (void)callback, (void)data;
    if (more > 0)
        g_source_set_ready_time(source, 0);
    else if (deadline == COIR_FOREVER)
        g_source_set_ready_time(source, -1);
    else // GLib counts the same clock in microseconds
        g_source_set_ready_time(source, deadline / COIR_US + 1);
    return G_SOURCE_CONTINUE;
}

static gboolean on_tick(gpointer data)
{
    (void)data;
    say();
    return G_SOURCE_CONTINUE;
}

static gboolean on_end(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
    static GSourceFuncs functions = {.dispatch = turn};
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    GSource *source = g_source_new(&functions, sizeof(GSource));

    if (!(rt = start_echo(argc, argv))) return 1;
    g_source_add_unix_fd(source, coir_hosted_fd(rt), G_IO_IN);
    g_source_set_ready_time(source, 0); // the first turn
    g_source_attach(source, NULL);
    g_timeout_add(100, on_tick, NULL);
    g_unix_signal_add(SIGTERM, on_end, loop);
    g_main_loop_run(loop);
    g_source_destroy(source);
    g_source_unref(source);
    g_main_loop_unref(loop);
    return coir_stop(rt, COIR_FOREVER);
}
