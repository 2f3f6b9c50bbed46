// SPDX-License-Identifier: MIT
// echo_hosted_glib PORT WORKERS: the server in GLib's loop; examples/hosted_glib.c says how.
#include <glib.h>

#include "bench/echo_hosted.h"

static coir_runtime *rt;

static gboolean turn(GSource *source, GSourceFunc callback, gpointer data)
{
    (void)callback, (void)data;
    g_source_set_ready_time(source, coir_hosted_turn(rt, 256) > 0 ? 0 : -1);
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    static GSourceFuncs functions = {.dispatch = turn};
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    GSource *source = g_source_new(&functions, sizeof(GSource));

    if (argc < 3) return 2;
    rt = start_echo(argv[1]);
    g_source_add_unix_fd(source, coir_hosted_fd(rt), G_IO_IN);
    g_source_attach(source, NULL);
    g_main_loop_run(loop);
    return 0;
}
