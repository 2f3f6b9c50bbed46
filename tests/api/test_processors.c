// SPDX-License-Identifier: MIT
// processors: as many workers as this process may use processors at a time: its affinity mask, and
// the quota of its control group and of all above it, rounded up.
// Method: a child process a case, in namespaces of its own, where /sys/fs/cgroup and
// /proc/self/cgroup are what the case says. Where no such namespace can be had it is skipped.
#include <coir.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

// ---- A place with groups of our own ------------------------------------------------------------

__attribute__((format(printf, 2, 3))) static void put(const char *path,
                                                      const char *format, ...)
{
    FILE *file = fopen(path, "we");
    va_list args;

    if (!file) printf("%s: %s\n", path, strerror(errno));
    expect(file);
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    expect_eq(fclose(file), 0);
}

static void may(int err)
{
    if (err < 0) _exit(77);
}

// What the kernel tells of groups, from now on, to this process.
static void enter_groups(const char *own)
{
    int uid = (int)getuid(), gid = (int)getgid();

    if (unshare(CLONE_NEWNS) < 0) {
        may(unshare(CLONE_NEWUSER | CLONE_NEWNS));
        put("/proc/self/setgroups", "deny");
        put("/proc/self/uid_map", "0 %d 1", uid);
        put("/proc/self/gid_map", "0 %d 1", gid);
    }
    may(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    may(mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL));
    put("/sys/fs/cgroup/own", "%s", own);
    may(mount("/sys/fs/cgroup/own", "/proc/self/cgroup", NULL, MS_BIND, NULL));
}

static void make_group(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "/sys/fs/cgroup%s", name);
    expect(mkdir(path, 0755) == 0 || errno == EEXIST);
}

static void grant(const char *name, const char *quota)
{
    char path[256];

    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", name);
    put(path, "%s\n", quota);
}

static void grant_v1(const char *name, long quota, long period)
{
    char path[256];

    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.cfs_quota_us", name);
    put(path, "%ld\n", quota);
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.cfs_period_us", name);
    put(path, "%ld\n", period);
}

// ---- Asking ------------------------------------------------------------------------------------

static unsigned count_workers(void)
{
    coir_info info = COIR_INFO_INIT;
    coir_runtime *rt;

    expect_eq(coir_start(NULL, &rt), 0);
    expect_eq(coir_query(rt, &info), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    return info.workers;
}

static unsigned all; // of the affinity mask
static int n_cases;

static void in_a_child(void (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        test_watchdog(20);
        fn();
        _exit(0);
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return;
    expect_eq(status, 0);
    n_cases++;
}

static unsigned least(unsigned n)
{
    return n < all ? n : all;
}

static void the_mask_counts(void)
{
    cpu_set_t set, one;
    size_t first = 0;

    expect_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    while (!CPU_ISSET(first, &set)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    expect_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    expect_eq(count_workers(), 1);
}

static void no_quota_is_no_limit(void)
{
    enter_groups("0::/a/b\n");
    make_group("/a");
    make_group("/a/b");
    grant("/a", "max 100000");
    expect_eq(count_workers(), all);
    grant("/a/b", "nonsense");
    expect_eq(count_workers(), all);
    grant("/a/b", "100000 0");
    expect_eq(count_workers(), all);
    grant("/a/b", "900000000 1000");
    expect_eq(count_workers(), all);
}

static void a_tenth_is_one(void)
{
    enter_groups("0::/a\n");
    make_group("/a");
    grant("/a", "10000 100000");
    expect_eq(count_workers(), 1);
}

static void a_part_is_rounded_up(void)
{
    enter_groups("0::/a\n");
    make_group("/a");
    grant("/a", "100001 100000");
    expect_eq(count_workers(), least(2));
    grant("/a", "100000 100000");
    expect_eq(count_workers(), 1);
}

static void the_least_of_all_above_counts(void)
{
    enter_groups("0::/a/b/c\n");
    make_group("/a");
    make_group("/a/b");
    make_group("/a/b/c");
    grant("/a/b/c", "max 100000");
    grant("/a/b", "900000 100000");
    grant("/a", "50000 100000");
    expect_eq(count_workers(), 1);
    grant("/a", "max 100000");
    grant("", "70000 100000"); // as a container sees its own, at the top
    expect_eq(count_workers(), 1);
}

static void version_1_counts(void)
{
    enter_groups("3:cpuset:/x\n2:cpu,cpuacct:/a/b\n0::/c\n");
    make_group("/cpu");
    make_group("/cpu/a");
    make_group("/cpu/a/b");
    grant_v1("/cpu/a/b", -1, 100000); // none
    expect_eq(count_workers(), all);
    grant_v1("/cpu/a", 60000, 100000);
    expect_eq(count_workers(), 1);
    grant_v1("/cpu/a", 100001, 100000);
    expect_eq(count_workers(), least(2));
}

// The path is the host's, the mount the container's: nothing lies at the path.
static void a_path_that_is_not_here_is_the_top(void)
{
    enter_groups("2:cpu,cpuacct:/docker/0123\n0::/docker/0123\n");
    make_group("/cpu");
    grant_v1("/cpu", 30000, 100000);
    expect_eq(count_workers(), 1);
    grant_v1("/cpu", -1, 100000);
    grant("", "40000 100000");
    expect_eq(count_workers(), 1);
}

int main(void)
{
    cpu_set_t set;

    expect_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    all = (unsigned)CPU_COUNT(&set);
    in_a_child(the_mask_counts);
    expect_eq(n_cases, 1);
    in_a_child(no_quota_is_no_limit);
    in_a_child(a_tenth_is_one);
    in_a_child(a_part_is_rounded_up);
    in_a_child(the_least_of_all_above_counts);
    in_a_child(version_1_counts);
    in_a_child(a_path_that_is_not_here_is_the_top);
    printf("%u processors, %d of 7 cases\n", all, n_cases);
    if (n_cases == 1) test_skip("no namespace of its own can be had here");
    return 0;
}
