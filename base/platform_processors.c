// SPDX-License-Identifier: MIT
// platform_processors - how many processors this process may use, and how many threads it has: what
// the kernel tells in files of /proc and /sys.
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/platform.h"
#include "base/platform_call.h"

static unsigned affinity_count(void)
{
    for (size_t cpus = 1024; cpus <= 1u << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        size_t bytes = CPU_ALLOC_SIZE(cpus);
        int err = set ? sched_getaffinity(0, bytes, set) : -1;
        unsigned n = err == 0 ? (unsigned)CPU_COUNT_S(bytes, set) : 0;

        CPU_FREE(set);
        if (err == 0) return n;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

// The processors that one cgroup directory grants; UINT_MAX where it says nothing.
static unsigned quota_of(const char *dir)
{
    char path[PATH_MAX + 32];
    long long quota = -1;
    long long period = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/cpu.max", dir); // version 2
    if ((file = fopen(path, "re"))) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = -1;
        fclose(file);
    } else {
        snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir); // version 1
        if ((file = fopen(path, "re"))) {
            if (fscanf(file, "%lld", &quota) != 1) quota = -1;
            fclose(file);
        }
        snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
        if ((file = fopen(path, "re"))) {
            if (fscanf(file, "%lld", &period) != 1) period = 0;
            fclose(file);
        }
    }
    if (quota <= 0 || period <= 0) return UINT_MAX;
    long long n = (quota + period - 1) / period;
    return n > INT_MAX ? UINT_MAX : (unsigned)n;
}

// The least grant from the group at mount + path up to the mount itself.
static unsigned quota_above(const char *mount, const char *path)
{
    char dir[PATH_MAX];
    unsigned least = UINT_MAX;
    size_t top = strlen(mount);
    int n = snprintf(dir, sizeof(dir), "%s%s", mount, path);

    if (n < 0 || (size_t)n >= sizeof(dir)) return least;
    for (;;) {
        unsigned here = quota_of(dir);
        char *slash = strrchr(dir, '/');

        if (here < least) least = here;
        if (strlen(dir) <= top || !slash || slash < dir + top) return least;
        *slash = 0;
    }
}

static unsigned cgroup_count(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    unsigned least = UINT_MAX;

    while (file && fgets(line, sizeof(line), file)) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        unsigned here = UINT_MAX;

        if (!path) continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        if (controllers[1] == 0)
            here = quota_above("/sys/fs/cgroup", path);
        else if (strstr(controllers + 1, "cpu") && !strstr(controllers + 1, "cpuset"))
            here = quota_above("/sys/fs/cgroup/cpu", path);
        if (here < least) least = here;
    }
    if (file) fclose(file);
    return least;
}

unsigned os_cpu_count(void)
{
    unsigned n = affinity_count();
    unsigned quota = UNCANCELED(cgroup_count());

    if (quota < n) n = quota;
    return n > 0 ? n : 1;
}

static unsigned read_thread_count(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned n = 0;

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "Threads:", 8) == 0) n = (unsigned)strtoul(line + 8, NULL, 10);
    if (file) fclose(file);
    return n;
}

unsigned os_thread_count(void)
{
    return UNCANCELED(read_thread_count());
}
