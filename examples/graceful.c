// SPDX-License-Identifier: MIT
// graceful [ADDRESS] - an echo server that ends well: SIGTERM or SIGINT closes the listener, who is
// connected may finish for two seconds, what is left then is cancelled.
// Try: ./example_graceful 127.0.0.1:7777 &  kill %1
#include <coir.h>
#include <coir/go.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#define PATIENCE (2 * COIR_SEC)

static coir_waitgroup connections;

static void serve(int fd)
{
    char buf[4096];
    ssize_t n;

    while ((n = coir_read(fd, buf, sizeof(buf), COIR_FOREVER)) > 0)
        if (coir_write_all(fd, buf, (size_t)n, COIR_FOREVER) != n) break;
    coir_close(fd);
    coir_waitgroup_done(&connections);
}

// Waits for the signal and then closes the listener, which ends the loop in run.
static void watch(int signals, int listener)
{
    struct signalfd_siginfo info;

    if (coir_read(signals, &info, sizeof(info), COIR_FOREVER) == sizeof(info))
        fprintf(stderr, "%s: no new connections\n", strsignal((int)info.ssi_signo));
    coir_close(signals);
    coir_close(listener);
}

static int run(void *address)
{
    sigset_t set;
    int fd, listener = coir_listen(address, NULL);

    if (listener < 0) {
        fprintf(stderr, "%s: %s\n", (char *)address, strerror(-listener));
        return listener;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int signals = coir_signal_open(&set);
    if (signals < 0 || go(watch, signals, listener)) return -1;
    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0) {
        coir_waitgroup_add(&connections, 1);
        if (go(serve, fd)) {
            coir_close(fd);
            coir_waitgroup_done(&connections);
        }
    }
    if (coir_waitgroup_wait(&connections, coir_after(PATIENCE)) < 0)
        fprintf(stderr, "some did not finish\n");
    return 0; // coir_run cancels who is left
}

int main(int argc, char **argv)
{
    static char address[] = "127.0.0.1:7777";

    return coir_run(NULL, run, argc > 1 ? argv[1] : address) == 0 ? 0 : 1;
}
