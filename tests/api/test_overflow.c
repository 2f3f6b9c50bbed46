// SPDX-License-Identifier: MIT
// overflow: who runs off its stack is named, then the process has the outcome that it would have
// had (fault_outcome: whichever that is).
// Method: a child process a case, its descriptor 2 a pipe.
#include <stdlib.h>

#include "tests/api/overflow.h"

static void runs_a_diver(void)
{
    coir_run(NULL, spawns_a_diver, NULL);
}

static void is_named(void)
{
    int status = child(runs_a_diver);

    expect(WIFSIGNALED(status));
    expect_eq(WTERMSIG(status), SIGSEGV);
    const char *who = strstr(said, "coir: stack overflow: coroutine ");
    expect(who &&
           strtoul(who + strlen("coir: stack overflow: coroutine "), NULL, 10) > 0);
    expect(strstr(said, " (pearl), spawned at "));
    expect(strstr(said, "overflow.h:"));
    expect(strstr(said, " in spawns_a_diver\n"));
    const char *size = strstr(said, "it has "), *most = strstr(said, "most ever used: ");
    expect(size && strstr(size, " bytes of stack") && most);
    // All but the last frames, which wrote nothing into the stack's end.
    unsigned long bytes = strtoul(size + 7, NULL, 10),
                  used = strtoul(most + 16, NULL, 10);
    expect(used <= bytes && used > bytes - 4096);
    expect(strstr(said, "coir_on_big_stack"));
}

// A frame larger than the guard, probed page by page because this file is compiled with
// -fstack-clash-protection.
static void takes_much(size_t bytes)
{
    volatile char *frame = __builtin_alloca(bytes);

    frame[0] = 1;
}

static int spawns_a_glutton(void *arg)
{
    (void)arg;
    expect_eq(go(takes_much, (size_t)1 << 20), 0);
    return coir_sleep(COIR_FOREVER);
}

static void runs_a_glutton(void)
{
    coir_run(NULL, spawns_a_glutton, NULL);
}

static void large_frames_are_caught(void)
{
    int status = child(runs_a_glutton);

    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect(strstr(said, "spawns_a_glutton"));
}

static void dives_on(void *arg)
{
    (void)arg;
    dive(0);
}

static int dives_on_a_big_stack(void *arg)
{
    return arg ? 0 : coir_on_big_stack(1 << 20, dives_on, NULL);
}

static void runs_a_deep_diver(void)
{
    coir_run(NULL, dives_on_a_big_stack, NULL);
}

static void a_big_stack_is_named_by_its_size(void)
{
    int status = child(runs_a_deep_diver);

    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect(strstr(said, "it has 104") || strstr(said, "it has 105"));
}

// A hosted runtime has no thread of its own: its host's has an alternate stack, or has not.
static void turns_a_diver(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    config.overflow_report = COIR_ON;
    expect_eq(coir_hosted_start(&config, &rt), 0);
    expect_eq(coir_go_with(coir_opts(.name = "pearl", .rt = rt), dives), 0);
    coir_hosted_turn(rt, 0);
}

static char altstack[64 << 10];

static void turns_a_diver_with_an_altstack(void)
{
    stack_t alt = {.ss_sp = altstack, .ss_size = sizeof(altstack)};

    expect_eq(sigaltstack(&alt, NULL), 0);
    turns_a_diver();
}

static void in_a_turn_it_is_named_where_the_host_has_an_altstack(void)
{
    int status = child(turns_a_diver_with_an_altstack);

    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect(strstr(said, "(pearl), spawned at "));
    status = child(turns_a_diver);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect_eq(said[0], 0);
}

static void dives_on_its_own_big_stack(void)
{
    expect_eq(coir_on_big_stack(1 << 20, dives_on, NULL), 0);
}

static void a_thread_on_a_big_stack_has_the_hosts_outcome(void)
{
    int status = child(dives_on_its_own_big_stack);

    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect_eq(said[0], 0);
}

int main(void)
{
    is_named();
    large_frames_are_caught();
    a_big_stack_is_named_by_its_size();
    in_a_turn_it_is_named_where_the_host_has_an_altstack();
    a_thread_on_a_big_stack_has_the_hosts_outcome();
    return 0;
}
