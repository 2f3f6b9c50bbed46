// SPDX-License-Identifier: MIT
// limits: where memory is scarce or locked a spawn says so and service goes on.
// Method: a child process a case, which takes the limit upon itself.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;
static char reason[256];

// Runs fn in a child. Its exit code, or 256 and its signal.
static int child(void (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        fn();
        _exit(0);
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static long status_kib(const char *format)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[128];
    long kib = -1;

    while (fgets(line, sizeof(line), file))
        if (sscanf(line, format, &kib) == 1) break;
    fclose(file);
    return kib;
}

static void keep_reason(void *arg, int level, const char *line)
{
    (void)arg, (void)level;
    if (strstr(line, "spawn at")) snprintf(reason, sizeof(reason), "%s", line);
}

static coir_waitgroup waiting;

static void waits(coir_chan *c)
{
    expect_eq(coir_chan_recv(c, NULL, COIR_FOREVER), -EPIPE);
    coir_waitgroup_done(&waiting);
}

// The result of a spawn of 'waits'.
static int counted(int err)
{
    if (err == 0) coir_waitgroup_add(&waiting, 1);
    return err;
}

static void end_them(coir_chan *c)
{
    coir_chan_close(c);
    expect_eq(coir_waitgroup_wait(&waiting, COIR_FOREVER), 0);
    coir_chan_unref(c);
}

static int spawns_until_it_ends(void *arg)
{
    coir_chan *c;
    int n = 0, err;

    (void)arg;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    while (n < 100000 && (err = counted(go(waits, c))) == 0) n++;
    expect_eq(err, -ENOMEM);
    expect(n > 100);
    end_them(c);
    return 0;
}

static void runs_in_little_address_space(void)
{
    struct rlimit limit;

    limit.rlim_cur = limit.rlim_max = ((rlim_t)status_kib("VmSize: %ld") + (256 << 10))
                                      << 10;
    expect_eq(setrlimit(RLIMIT_AS, &limit), 0);
    config.log = keep_reason;
    expect_eq(coir_run(&config, spawns_until_it_ends, NULL), 0);
    expect(strstr(reason, "address space"));
}

// As where vm.overcommit_memory is 2: a mapping that becomes writable is refused, without reserve
// or not. RLIMIT_DATA refuses at the same step, and for this process alone.
static void runs_on_little_commitment(void)
{
    struct rlimit limit;

    limit.rlim_cur = limit.rlim_max = ((rlim_t)status_kib("VmData: %ld") + (128 << 10))
                                      << 10;
    expect_eq(setrlimit(RLIMIT_DATA, &limit), 0);
    config.log = keep_reason;
    expect_eq(coir_run(&config, spawns_until_it_ends, NULL), 0);
    expect(strstr(reason, "overcommit"));
}

static int spawns_some(void *arg)
{
    coir_chan *c;

    expect_eq(coir_chan_make(0, 0, &c), 0);
    for (int i = 0; i < 1000; i++) expect_eq(counted(go(waits, c)), 0);
    coir_sleep(10 * COIR_MS);
    *(long *)arg = status_kib("VmRSS: %ld");
    end_them(c);
    return 0;
}

// A thousand stacks of 64 KiB would be 64 MiB if every page were filled.
static void runs_with_locked_memory(void)
{
    long before, with;

    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) _exit(77);
    before = status_kib("VmRSS: %ld");
    if (coir_run(&config, spawns_some, &with) == -EAGAIN)
        _exit(77); // no thread: RLIMIT_MEMLOCK
    expect(with - before < (40 << 10));
}

static void runs_on_little_locked_memory(void)
{
    struct rlimit limit = {8 << 20, 8 << 20};

    expect_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    mlockall(MCL_FUTURE); // as root the limit does not hold, else threads may be refused
    long with;
    int err = coir_run(&config, spawns_some, &with);
    expect(err == 0 || err == -EAGAIN || err == -ENOMEM);
}

// The log line tells one limit from the other (threads_max: tests/sched/test_pin.c).
static int spawns_one_too_many(void *arg)
{
    coir_chan *c;

    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(counted(go(waits, c)), 0);
    if (arg)
        expect_eq(coir_go_with(coir_opts(.name = "third"), waits, c), -EAGAIN);
    else
        expect_eq(go(waits, c), -EAGAIN);
    end_them(c);
    return 0;
}

static void is_told_which_limit(void)
{
    config.log = keep_reason;
    config.coroutines_max = 2;
    for (int with_options = 0; with_options < 2; with_options++) {
        reason[0] = 0;
        expect_eq(coir_run(&config, spawns_one_too_many, with_options ? &config : NULL),
                  0);
        expect(strstr(reason, "coroutines_max"));
    }
    config.coroutines_max = 0;
}

static int tries_sizes(void *arg)
{
    coir_chan *c;

    (void)arg;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_go_with(coir_opts(.stack_bytes = (16 << 10) - 1), waits, c), -EINVAL);
    expect_eq(coir_go_with(coir_opts(.stack_bytes = ((size_t)1 << 30) + 1), waits, c),
              -EINVAL);
    expect_eq(counted(coir_go_with(coir_opts(.stack_bytes = 16 << 10), waits, c)), 0);
    expect_eq(counted(coir_go_with(coir_opts(.stack_bytes = 1 << 30), waits, c)), 0);
    coir_sleep(COIR_MS);
    end_them(c);
    return 0;
}

int main(void)
{
    config.workers = 2;
    expect_eq(coir_run(&config, tries_sizes, NULL), 0);
    is_told_which_limit();
    if (test_slowness() > 1)
        return 0; // a sanitizer's shadows take more than there would be
    expect_eq(child(runs_in_little_address_space), 0);
    expect_eq(child(runs_on_little_commitment), 0);
    int code = child(runs_with_locked_memory);
    if (code == 77) printf("memory cannot be locked here\n");
    expect(code == 0 || code == 77);
    code = child(runs_on_little_locked_memory);
    expect(code == 0 || code == 77);
    return 0;
}
