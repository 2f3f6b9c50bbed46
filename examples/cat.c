// SPDX-License-Identifier: MIT
// cat [FILE...] - writes files, or its input, to its output; the next file is opened while this one
// is still written.
// Try: ./example_cat /etc/hostname /etc/os-release
#include <coir.h>
#include <coir/go.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static char **files;
static coir_chan *opened; // descriptors, in order

static void open_all(void)
{
    for (char **name = files; *name; name++) {
        int fd = coir_open(*name, O_RDONLY, 0);

        if (fd < 0) fprintf(stderr, "%s: %s\n", *name, strerror(-fd));
        if (fd >= 0 && coir_chan_send(opened, &fd, COIR_FOREVER)) coir_close(fd);
    }
    coir_chan_close(opened);
}

static int copy(int fd)
{
    static char buf[64 << 10];
    ssize_t n;

    while ((n = coir_read(fd, buf, sizeof(buf), COIR_FOREVER)) > 0)
        if (coir_write_all(1, buf, (size_t)n, COIR_FOREVER) != n) return -1;
    return n < 0 ? -1 : 0;
}

static int run(void *arg)
{
    int fd, err = 0;

    (void)arg;
    if (!*files) return copy(0); // a terminal, a pipe or a file: its mode stays as it is
    if (coir_chan_make(sizeof(int), 1, &opened) || go(open_all)) return -1;
    while (coir_chan_recv(opened, &fd, COIR_FOREVER) == 0) {
        if (copy(fd)) err = -1;
        coir_close(fd);
    }
    coir_chan_unref(opened);
    return err;
}

int main(int argc, char **argv)
{
    (void)argc;
    files = argv + 1;
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
