// SPDX-License-Identifier: MIT
// plugin_host PLUGIN LIBRARY - loads a module that uses coroutines, uses it, unloads it, many
// times: the library (a shared one, or the module that has it inside) comes and goes with it, and
// a fork afterwards calls nothing that is gone.
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

static int loaded(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int n = 0;

    while (fgets(line, sizeof(line), maps)) n += strstr(line, name) != NULL;
    fclose(maps);
    return n;
}

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static void forks(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) _exit(0);
    expect_eq(waitpid(pid, &status, 0), pid);
    expect_eq(status, 0);
}

static void load_use_unload(const char *path, const char *library)
{
    int (*start)(void), (*stop)(void);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!plugin) puts(dlerror());
    expect(plugin);
    *(void **)&start = dlsym(plugin, "plugin_start");
    *(void **)&stop = dlsym(plugin, "plugin_stop");
    expect_eq(start(), 55);
    forks();
    expect(loaded(library) > 0);
    expect_eq(stop(), 0);
    expect_eq(dlclose(plugin), 0);
    expect_eq(loaded(library), 0);
    forks();
}

int main(int argc, char **argv)
{
    expect_eq(argc, 3);
    load_use_unload(argv[1], argv[2]);
    int fds = entries("/proc/self/fd");
    for (int i = 0; i < 20; i++) load_use_unload(argv[1], argv[2]);
    expect_eq(entries("/proc/self/fd"), fds);
    expect_soon(entries("/proc/self/task") <= 3); // ".", ".." and this one
    return 0;
}
