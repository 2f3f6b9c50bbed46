// SPDX-License-Identifier: MIT
// runtime: start, stop and their errors, as include/coir/runtime.h promises them.
// Method: every error that a header names is provoked once; inside coroutines values are recorded
// or expected (expect ends the process), the test's own stack asserts.
#include <coir.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"

static int give_seven(void *arg)
{
    (void)arg;
    return 7;
}

static unsigned entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned n = 0;

    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

Test(version, of_the_library_is_that_of_the_headers)
{
    char text[32];

    snprintf(text, sizeof(text), "%d.%d.%d", COIR_VERSION_MAJOR, COIR_VERSION_MINOR,
             COIR_VERSION_PATCH);
    cr_assert_str_eq(coir_version(), text);
}

Test(run, returns_what_the_function_returned)
{
    cr_assert_eq(coir_run(NULL, give_seven, NULL), 7);
}

Test(run, without_a_function_is_einval)
{
    cr_assert_eq(coir_run(NULL, NULL, NULL), -EINVAL);
}

static int run_another(void *arg)
{
    (void)arg;
    return coir_run(NULL, give_seven, NULL);
}

Test(run, from_a_coroutine_is_edeadlk)
{
    cr_assert_eq(coir_run(NULL, run_another, NULL), -EDEADLK);
}

// ---- The configuration ----------------------------------------------------------------

static int run_with(coir_config config)
{
    return coir_run(&config, give_seven, NULL);
}

Test(config, of_no_size_is_einval)
{
    coir_config config = {0};

    cr_assert_eq(run_with(config), -EINVAL);
}

Test(config, of_an_older_program_is_shorter_and_taken)
{
    coir_config config = COIR_CONFIG_INIT;

    config.size = offsetof(coir_config, driver);
    config.workers = 1;
    config.driver = (coir_driver)77; // beyond what the program knew: not read
    cr_assert_eq(run_with(config), 7);
}

Test(config, of_a_newer_program_is_taken_only_if_its_tail_is_zero)
{
    struct {
        coir_config known;
        uint64_t more;
    } config = {.known = COIR_CONFIG_INIT};

    config.known.size = sizeof(config);
    cr_assert_eq(coir_run(&config.known, give_seven, NULL), 7);
    config.more = 1;
    cr_assert_eq(coir_run(&config.known, give_seven, NULL), -EINVAL);
}

Test(config, stacks_are_from_16_kib_to_1_gib)
{
    coir_config config = COIR_CONFIG_INIT;

    config.stack_bytes = (16 << 10) - 1;
    cr_assert_eq(run_with(config), -EINVAL);
    config.stack_bytes = ((size_t)1 << 30) + 1;
    cr_assert_eq(run_with(config), -EINVAL);
    config.stack_bytes = 16 << 10;
    cr_assert_eq(run_with(config), 7);
}

static int guard_here(void *arg)
{
    coir_info info = COIR_INFO_INIT;

    (void)arg;
    expect_eq(coir_query(NULL, &info), 0);
    return (int)info.guard_bytes;
}

Test(config, guards_are_up_to_1_mib)
{
    coir_config config = COIR_CONFIG_INIT;

    cr_assert_geq(coir_run(NULL, guard_here, NULL), (int)sysconf(_SC_PAGESIZE));
    config.guard_bytes = 128 << 10;
    cr_assert_eq(coir_run(&config, guard_here, NULL), 128 << 10);
    config.guard_bytes = (1 << 20) + 1;
    cr_assert_eq(run_with(config), -EINVAL);
}

Test(config, values_that_no_enum_has_are_einval)
{
    coir_config config = COIR_CONFIG_INIT;

    config.driver = (coir_driver)77;
    cr_assert_eq(run_with(config), -EINVAL);
    config.driver = COIR_DRIVER_AUTO;
    config.overflow_report = (coir_switch)77;
    cr_assert_eq(run_with(config), -EINVAL);
}

static void find_size(void *arg, int level, const char *line)
{
    if (level == COIR_LOG_ERROR && strstr(line, "newer")) *(int *)arg += 1;
}

Test(config, of_a_newer_program_is_refused_with_a_word)
{
    struct {
        coir_config known;
        uint64_t more;
    } config = {.known = COIR_CONFIG_INIT, .more = 1};
    int named = 0;

    config.known.size = sizeof(config);
    config.known.log = find_size;
    config.known.log_arg = &named;
    cr_assert_eq(coir_run(&config.known, give_seven, NULL), -EINVAL);
    cr_assert_eq(named, 1);
}

static int lines;

static void count_line(void *arg, int level, const char *line)
{
    if (level == COIR_LOG_ERROR && strlen(line) > 0) *(int *)arg += 1;
}

Test(config, a_refusal_is_logged)
{
    coir_config config = COIR_CONFIG_INIT;

    config.log = count_line;
    config.log_arg = &lines;
    config.stack_bytes = 1;
    cr_assert_eq(run_with(config), -EINVAL);
    cr_assert_geq(lines, 1);
}

static void find_pump(void *arg, int level, const char *line)
{
    if (level == COIR_LOG_ERROR && strstr(line, "pump_signal")) *(int *)arg += 1;
}

Test(config, a_bad_pump_signal_is_refused_by_name)
{
    static const int bad[] = {-2, 1, 65};
    coir_config config = COIR_CONFIG_INIT;
    int named = 0;

    config.log = find_pump;
    config.log_arg = &named;
    for (int i = 0; i < 3; i++) {
        config.pump_signal = bad[i];
        cr_assert_eq(run_with(config), -EINVAL);
        cr_assert_eq(named, i + 1);
    }
    config.pump_signal = -1;
    cr_assert_eq(run_with(config), 7);
}

// ---- The environment ------------------------------------------------------------------

static int workers_here(void *arg)
{
    coir_info info = COIR_INFO_INIT;

    (void)arg;
    expect_eq(coir_query(NULL, &info), 0);
    return (int)info.workers;
}

static int driver_here(void *arg)
{
    coir_info info = COIR_INFO_INIT;

    (void)arg;
    expect_eq(coir_query(NULL, &info), 0);
    expect(info.driver_why && *info.driver_why);
    return (int)info.driver;
}

static int stack_here(void *arg)
{
    coir_info info = COIR_INFO_INIT;

    (void)arg;
    expect_eq(coir_query(NULL, &info), 0);
    return (int)info.stack_bytes;
}

Test(environment, fills_what_the_config_leaves_at_default)
{
    coir_config config = COIR_CONFIG_INIT;

    setenv("COIR_WORKERS", "3", 1);
    setenv("COIR_DRIVER", "epoll", 1);
    setenv("COIR_STACK", "131072", 1);
    cr_assert_eq(coir_run(NULL, stack_here, NULL), 131072);
    config.stack_bytes = 32 << 10;
    cr_assert_eq(coir_run(&config, stack_here, NULL), 32 << 10);
    config.stack_bytes = 0;
    cr_assert_eq(coir_run(NULL, workers_here, NULL), 3);
    cr_assert_eq(coir_run(NULL, driver_here, NULL), COIR_DRIVER_EPOLL);
    config.workers = 1;
    cr_assert_eq(coir_run(&config, workers_here, NULL), 1);
}

static void find_variable(void *arg, int level, const char *line)
{
    if (level == COIR_LOG_ERROR && strstr(line, *(const char **)arg))
        *(const char **)arg = NULL;
}

Test(environment, a_value_that_cannot_be_is_einval)
{
    coir_config config = COIR_CONFIG_INIT;
    const char *name;

    config.log = find_variable;
    config.log_arg = &name;
    static const char *const bad[][2] = {
        {"COIR_WORKERS", "many"}, {"COIR_WORKERS", "0"},   {"COIR_WORKERS", "2x"},
        {"COIR_WORKERS", "-1"},   {"COIR_DRIVER", "aio"},  {"COIR_STACK", "100"},
        {"COIR_STACK", "big"},    {"COIR_SEED", "chance"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv(bad[i][0], bad[i][1], 1);
        name = bad[i][0];
        cr_assert_eq(coir_run(&config, give_seven, NULL), -EINVAL, "%s=%s", bad[i][0],
                     bad[i][1]);
        cr_assert_null(name, "the log says %s", bad[i][0]);
        unsetenv(bad[i][0]);
    }
}

Test(environment, of_a_later_release_is_refused)
{
    setenv("COIR_TRACE", "/tmp/trace", 1);
    cr_assert_eq(coir_run(NULL, give_seven, NULL), -ENOTSUP);
}

Test(environment, is_not_read_by_start)
{
    coir_runtime *rt;

    setenv("COIR_WORKERS", "many", 1);
    cr_assert_eq(coir_start(NULL, &rt), 0);
    cr_assert_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- Start, query, stop ---------------------------------------------------------------

Test(start, without_a_place_for_the_runtime_is_einval)
{
    cr_assert_eq(coir_start(NULL, NULL), -EINVAL);
}

Test(query, needs_a_runtime_and_a_size)
{
    coir_info info = COIR_INFO_INIT;
    coir_info sizeless = {0};
    coir_runtime *rt;

    cr_assert_eq(coir_query(NULL, &info), -EINVAL, "no runtime here");
    cr_assert_eq(coir_start(NULL, &rt), 0);
    cr_assert_eq(coir_query(rt, NULL), -EINVAL);
    cr_assert_eq(coir_query(rt, &sizeless), -EINVAL);
    cr_assert_eq(coir_query(rt, &info), 0);
    cr_assert_geq(info.workers, 1);
    cr_assert_geq(info.page_bytes, 4096);
    cr_assert_eq(info.stack_bytes, 64 << 10);
    cr_assert_neq(info.driver, COIR_DRIVER_AUTO);
    cr_assert_not_null(info.driver_why);
    cr_assert_eq(coir_stop(rt, COIR_FOREVER), 0);
}

Test(stop, of_nothing_is_einval)
{
    cr_assert_eq(coir_stop(NULL, COIR_FOREVER), -EINVAL);
}

static int stop_own(void *arg)
{
    (void)arg;
    return coir_stop(coir_current(), COIR_NOW);
}

Test(stop, from_inside_is_edeadlk)
{
    cr_assert_eq(coir_run(NULL, stop_own, NULL), -EDEADLK);
}

static atomic_int shielded, let_go;

static void deaf(void *arg)
{
    (void)arg;
    coir_shield_begin();
    atomic_store(&shielded, 1);
    while (!atomic_load(&let_go)) expect_eq(coir_sleep(COIR_MS), 0);
    coir_shield_end();
    expect_eq(coir_sleep(COIR_MS), -ECANCELED);
}

Test(stop, reports_survivors_frees_nothing_and_can_be_called_again)
{
    coir_runtime *rt;

    cr_assert_eq(coir_start(NULL, &rt), 0);
    cr_assert_eq(coir_spawn(rt, NULL, deaf, NULL), 0);
    while (!atomic_load(&shielded)) coir_sleep(COIR_MS);
    cr_assert_eq(coir_stop(rt, coir_after(50 * COIR_MS)), 1);
    cr_assert_eq(coir_stop(rt, COIR_NOW), 1);
    atomic_store(&let_go, 1);
    cr_assert_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static char said[1024];

static void keep_said(void *arg, int level, const char *line)
{
    (void)arg;
    if (level != COIR_LOG_WARNING) return;
    strncat(said, line, sizeof(said) - strlen(said) - 1);
}

static int leaves_a_deaf_one(void *arg)
{
    (void)arg;
    expect_eq(coir_go_with(coir_opts(.name = "deaf"), deaf, NULL), 0);
    while (!atomic_load(&shielded)) coir_yield();
    return 7;
}

Test(run, names_who_did_not_end_and_lets_them_be)
{
    coir_config config = COIR_CONFIG_INIT;

    config.log = keep_said;
    config.stop_ns = 50 * COIR_MS;
    cr_assert_eq(coir_run(&config, leaves_a_deaf_one, NULL), 7);
    cr_assert(strstr(said, "(deaf) spawned at "), "%s", said);
    cr_assert(strstr(said, "test_runtime.c"), "%s", said);
    cr_assert(strstr(said, "did not end"), "%s", said);
    // It still has its stack and its thread, and goes on when it is let.
    atomic_store(&let_go, 1);
    coir_sleep(20 * COIR_MS);
    cr_assert_eq(coir_run(NULL, give_seven, NULL), 7, "another one starts beside it");
}

static void *stop_patiently(void *rt)
{
    return (void *)(intptr_t)coir_stop(rt, COIR_FOREVER);
}

Test(stop, while_another_stop_runs_is_ealready)
{
    coir_runtime *rt;
    pthread_t other;
    void *result;

    cr_assert_eq(coir_start(NULL, &rt), 0);
    cr_assert_eq(coir_spawn(rt, NULL, deaf, NULL), 0);
    while (!atomic_load(&shielded)) coir_sleep(COIR_MS);
    pthread_create(&other, NULL, stop_patiently, rt);
    coir_sleep(100 * COIR_MS);
    cr_assert_eq(coir_stop(rt, COIR_NOW), -EALREADY);
    atomic_store(&let_go, 1);
    pthread_join(other, &result);
    cr_assert_eq((intptr_t)result, 0);
}

static void wait_for_ever(void *arg)
{
    int got = coir_sleep_until(COIR_FOREVER);

    atomic_fetch_add((atomic_int *)arg, got == -ECANCELED);
}

Test(stop, cancels_those_who_wait)
{
    atomic_int canceled = 0;
    coir_runtime *rt;

    cr_assert_eq(coir_start(NULL, &rt), 0);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(coir_spawn(rt, NULL, wait_for_ever, &canceled), 0);
    coir_sleep(10 * COIR_MS);
    cr_assert_eq(coir_stop(rt, COIR_FOREVER), 0);
    cr_assert_eq(canceled, 100);
}

Test(start, and_stop_leave_nothing_behind, .timeout = 120)
{
    unsigned threads = entries("/proc/self/task") + (test_slowness() > 1); // TSan's own
    unsigned fds = 0, maps = 0;
    coir_runtime *rt, *other;
    atomic_int canceled = 0;

    for (int i = 0; i < 200; i++) {
        if (i == 20) { // what libc and the kernel keep is there by now
            fds = entries("/proc/self/fd");
            maps = entries("/proc/self/map_files");
        }
        cr_assert_eq(coir_start(NULL, &rt), 0);
        cr_assert_eq(coir_start(NULL, &other), 0, "two live in one process");
        cr_assert_eq(coir_spawn(rt, NULL, wait_for_ever, &canceled), 0);
        cr_assert_eq(coir_stop(rt, COIR_FOREVER), 0);
        cr_assert_eq(coir_stop(other, COIR_FOREVER), 0);
    }
    cr_assert_eq(canceled, 200);
    cr_assert_eq(entries("/proc/self/fd"), fds);
    expect_soon(entries("/proc/self/task") <= threads);
    cr_assert_leq(entries("/proc/self/map_files"), maps + 4);
}

// ---- Outside and inside ---------------------------------------------------------------

Test(thread, is_no_coroutine)
{
    int64_t before = coir_now();

    cr_assert_null(coir_current());
    cr_assert_eq(coir_id(), 0);
    cr_assert_eq(coir_yield(), 0);
    cr_assert_eq(coir_sleep(20 * COIR_MS), 0);
    cr_assert_geq(coir_now() - before, 20 * COIR_MS);
    coir_shield_begin();
    coir_shield_end();
    coir_shield_end();
}

static void note_id(void *arg)
{
    *(uint64_t *)arg = coir_id();
    expect(coir_current() != NULL);
}

static int collect_ids(void *arg)
{
    uint64_t *ids = arg;

    for (int i = 1; i < 100; i++) expect_eq(coir_spawn(NULL, NULL, note_id, &ids[i]), 0);
    ids[0] = coir_id();
    expect_eq(coir_sleep(50 * COIR_MS), 0);
    return 0;
}

#define LIVES 20000

static uint64_t numbers[3 * LIVES];

// Many more than are alive at once: stacks, and places in the table, are used again.
static int lives_and_ends(void *arg)
{
    for (uint64_t *n = arg; n < (uint64_t *)arg + LIVES; n++) {
        expect_eq(coir_spawn(NULL, NULL, note_id, n), 0);
        if ((n - (uint64_t *)arg) % 100 == 99) expect_eq(coir_yield(), 0);
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

Test(coroutine, numbers_are_never_used_again)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    config.stop_ns = 50 * COIR_SEC;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(coir_run(&config, lives_and_ends, numbers + i * LIVES), 0);
    qsort(numbers, 3 * LIVES, sizeof(numbers[0]), by_number);
    cr_assert_gt(numbers[0], 0);
    for (int i = 1; i < 3 * LIVES; i++) cr_assert_neq(numbers[i], numbers[i - 1]);
}

Test(coroutine, has_a_number_of_its_own)
{
    static uint64_t ids[100];

    cr_assert_eq(coir_run(NULL, collect_ids, ids), 0);
    for (int i = 0; i < 100; i++) {
        cr_assert_neq(ids[i], 0, "coroutine %d ran", i);
        for (int j = 0; j < i; j++) cr_assert_neq(ids[i], ids[j]);
    }
}

static int measure_sleep(void *arg)
{
    int64_t before = coir_now();

    (void)arg;
    expect_eq(coir_sleep(20 * COIR_MS), 0);
    expect(coir_now() - before >= 20 * COIR_MS);
    before = coir_now();
    expect_eq(coir_sleep_until(before - COIR_SEC), 0);
    expect_eq(coir_sleep(-5), 0);
    expect(coir_now() - before < 10 * COIR_SEC);
    return 0;
}

Test(sleep, is_never_short_and_a_past_time_is_a_yield)
{
    cr_assert_eq(coir_run(NULL, measure_sleep, NULL), 0);
}

Test(after, saturates)
{
    cr_assert_eq(coir_after(INT64_MAX), COIR_FOREVER);
    cr_assert_eq(coir_after(0), COIR_NOW);
    cr_assert_eq(coir_after(-1), COIR_NOW);
    cr_assert_gt(coir_after(COIR_SEC), coir_now());
}
