// SPDX-License-Identifier: MIT
// run SECONDS PROGRAM [ARGUMENT...] - runs a program, puts its lines in capitals, and ends it when
// its time is up. Exits as the program did, or with 124.
// Try: ./example_run 5 sh -c 'echo one; sleep 1; echo two'
#include <coir.h>
#include <coir/go.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char **args;
static int code = 1;
static coir_waitgroup heard;

static void hear(int fd)
{
    char text[4096];
    ssize_t n;

    while ((n = coir_read(fd, text, sizeof(text), COIR_FOREVER)) > 0) {
        for (ssize_t i = 0; i < n; i++) text[i] = (char)toupper((unsigned char)text[i]);
        if (coir_write_all(1, text, (size_t)n, COIR_FOREVER) < 0) break;
    }
    coir_close(fd);
    coir_waitgroup_done(&heard);
}

static int run(void *arg)
{
    int ends[2], status;
    pid_t pid;

    (void)arg;
    if (pipe2(ends, O_CLOEXEC)) return -1;
    const int passed[][2] = {{ends[1], 1}}; // its output is our pipe
    coir_process_options options = {.fds = passed, .n_fds = 1};
    int err = coir_process_start(args[2], args + 2, NULL, &options, &pid);
    coir_close(ends[1]);
    if (err) {
        fprintf(stderr, "%s: %s\n", args[2], strerror(-err));
        return coir_close(ends[0]);
    }
    coir_waitgroup_add(&heard, 1);
    if (go(hear, ends[0])) return -1;
    int got = coir_waitpid(pid, &status, coir_after(atoi(args[1]) * COIR_SEC));
    if (got == -ETIMEDOUT) {
        kill(pid, SIGKILL);
        got = coir_waitpid(pid, &status, COIR_FOREVER);
        code = 124;
    } else if (got == pid && WIFEXITED(status)) {
        code = WEXITSTATUS(status);
    }
    return coir_waitgroup_wait(&heard, COIR_FOREVER);
}

int main(int argc, char **argv)
{
    args = argv;
    if (argc < 3) return 2;
    return coir_run(NULL, run, NULL) == 0 ? code : 1;
}
