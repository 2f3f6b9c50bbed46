// SPDX-License-Identifier: MIT
// Goal:   the stall watch's line says who held a worker, and where by module and offset for
//         addr2line; the dump says who is pinned.
// Method: one computes until its line has come, on one worker that another wants. Argument: any,
//         where the place can be told.
#include <coir/go.h>

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;
static char said[512];
static int told;

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)

// Keeps the first line with 'arg' in it.
static void hear(void *arg, int level, const char *line)
{
    expect_eq(level, COIR_LOG_WARNING);
    if (!strstr(line, arg) || LOAD(told)) return;
    snprintf(said, sizeof(said), "%s", line);
    STORE(told, 1);
}

// Not static, so that the test can ask the loader where it is.
void holds_the_worker(void);

__attribute__((noinline)) void holds_the_worker(void)
{
    while (!LOAD(told)) __asm__ volatile("");
}

static int holds(void *arg)
{
    (void)arg;
    expect_eq(go(coir_yield), 0); // somebody who wants to run
    holds_the_worker();
    return 0;
}

// True if a place in the line lies in the program between the two offsets.
static bool names_a_place(const char *program, uintptr_t from, uintptr_t to)
{
    const char *at = said;

    while ((at = strstr(at, program))) {
        at += strlen(program);
        uintptr_t offset = *at == '+' ? strtoul(at + 1, NULL, 16) : 0;
        if (offset >= from && offset < to) return true;
    }
    return false;
}

// program: NULL where a sanitizer hands signals on later, in a function of its own.
static void a_stall_line_says_where(const char *program)
{
    struct link_map *map;
    Dl_info info;

    config.log_arg = (void *)"held its worker";
    STORE(told, 0);
    expect_eq(coir_run(&config, holds, NULL), 0);
    expect(strstr(said, "coroutine 1 ("));
    printf("%s\n", said);
    if (!program) return;
    expect(dladdr1((void *)(uintptr_t)holds_the_worker, &info, (void **)&map,
                   RTLD_DL_LINKMAP));
    uintptr_t from = (uintptr_t)holds_the_worker - map->l_addr;
    expect(names_a_place(program, from, from + 128)); // it is a short function
}

static int finds_itself_pinned(void *arg, const coir_coroutine_info *info)
{
    *(int *)arg += info->pins;
    return 0;
}

static int looks_while_pinned(void *arg)
{
    int pins = 0;

    (void)arg;
    expect_eq(coir_each(NULL, finds_itself_pinned, &pins), 0);
    expect_eq(pins, 0);
    expect_eq(coir_pin(), 0);
    expect_eq(coir_pin(), 0);
    expect_eq(coir_each(NULL, finds_itself_pinned, &pins), 0);
    expect_eq(pins, 2);
    FILE *out = tmpfile();
    char text[2000] = "";
    expect_eq(coir_dump(NULL, fileno(out)), 0);
    rewind(out);
    expect(fread(text, 1, sizeof(text) - 1, out) > 0);
    expect(strstr(text, ": running, pinned"));
    fclose(out);
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');

    test_watchdog(60);
    config.workers = 1;
    config.log = hear;
    a_stall_line_says_where(argc > 1 ? slash + 1 : NULL);
    expect_eq(coir_run(&config, looks_while_pinned, NULL), 0);
    return 0;
}
