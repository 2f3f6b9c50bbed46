// SPDX-License-Identifier: MIT
// model - runs scenes under seeds, in parallel, and says how the failing one failed.
//
//     model --scene NAME --seeds 1..20000 [-j 2] [--twice] [--arrows]
//     model --scene NAME --seed 7741 --replay 12x0,3,1
//     model --scene NAME --seeds 1..20000 --must-fail    (a mutant, or a scene with a bug)
//
// Exit: 0 passed, 1 failed, 2 usage.
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/model/arrows.h"
#include "tests/model/minimise.h"
#include "tests/model/oracle.h"
#include "tests/model/scenes.h"
#include "tests/model/sim.h"

#define WATCH_SECONDS 20 // of processor time for 64 runs: a loop without a point
#define JOBS_MOST 64

// Shared by the processes of a campaign.
struct campaign {
    uint64_t next, done, points, switches, decisions;
    uint32_t n_failed, n_unlike; // a seed that gave two different runs
    uint64_t failed_seed;
    char failure[512];
    uint64_t hashes[];
};

static struct {
    const struct scene *scene;
    uint64_t first, last;
    unsigned jobs;
    bool twice, must_fail, all, with_arrows, traces;
    const char *replay;
} asked = {.first = 1, .last = 1000, .jobs = 1};

static struct campaign *shared;

static void *share(size_t bytes)
{
    void *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("model: mmap");
        exit(2);
    }
    return p;
}

static void watch(void)
{
    struct itimerval limit = {.it_value.tv_sec = WATCH_SECONDS};

    setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

static bool run(uint64_t seed, const uint8_t *bytes, uint32_t n)
{
    static uint32_t n_runs;

    if (n_runs++ % 64 == 0) watch();
    oracle_reset();
    return sim_run(seed, bytes, n, asked.scene->fn);
}

// ---- A campaign -----------------------------------------------------------------------

static void note_failure(uint64_t seed)
{
    if (__atomic_fetch_add(&shared->n_failed, 1, __ATOMIC_RELAXED) > 0) return;
    shared->failed_seed = seed;
    memcpy(shared->failure, sim.failure, sizeof(shared->failure));
}

static bool run_seed(uint64_t seed)
{
    if (!run(seed, NULL, 0)) {
        note_failure(seed);
        return false;
    }
    uint64_t hash = sim.hash;
    shared->hashes[seed - asked.first] = hash;
    __atomic_fetch_add(&shared->points, sim.points, __ATOMIC_RELAXED);
    __atomic_fetch_add(&shared->switches, sim.switches, __ATOMIC_RELAXED);
    __atomic_fetch_add(&shared->decisions, sim.n_choices, __ATOMIC_RELAXED);
    __atomic_fetch_add(&shared->done, 1, __ATOMIC_RELAXED);
    if (!asked.twice) return true;
    run(seed, NULL, 0);
    if (sim.hash == hash) return true;
    snprintf(sim.failure, sizeof(sim.failure), "two runs of one seed differ");
    note_failure(seed);
    __atomic_fetch_add(&shared->n_unlike, 1, __ATOMIC_RELAXED);
    return false;
}

static void work(void)
{
    uint64_t n = asked.last - asked.first + 1;

    for (uint64_t i; (i = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED)) < n;) {
        if (__atomic_load_n(&shared->n_failed, __ATOMIC_RELAXED)) return;
        run_seed(asked.first + i);
    }
}

static bool all_ended_well(void)
{
    bool well = true;
    int status;

    for (unsigned i = 0; i < asked.jobs; i++)
        if (wait(&status) < 0 || status != 0) well = false;
    return well;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static uint64_t n_distinct(uint64_t n)
{
    uint64_t distinct = n > 0;

    qsort(shared->hashes, n, sizeof(uint64_t), compare);
    for (uint64_t i = 1; i < n; i++)
        distinct += shared->hashes[i] != shared->hashes[i - 1];
    return distinct;
}

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

// ---- What a failure looks like --------------------------------------------------------

// Of the program itself: a replay needs the same one.
static uint64_t build_id(void)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    FILE *self = fopen("/proc/self/exe", "rb");
    int c;

    while (self && (c = getc_unlocked(self)) != EOF)
        hash = (hash ^ (uint64_t)c) * UINT64_C(1099511628211);
    if (self) fclose(self);
    return hash;
}

static void report(uint64_t seed)
{
    static uint8_t bytes[SIM_CHOICES_MAX];

    run(seed, NULL, 0);
    printf("FAILED %s seed %" PRIu64 " build %016" PRIx64
           "\n  %s\n  after %u points, %u decisions\n",
           asked.scene->name, seed, build_id(),
           sim.failed ? sim.failure : shared->failure, sim.points, sim.n_choices);
    if (!sim.failed) {
        printf("  it did not fail again\n");
        return;
    }
    uint32_t n = sim.n_choices;
    memcpy(bytes, sim.choices, n);
    n = minimise(seed, bytes, n, asked.scene->fn);
    bool again = !run(seed, bytes, n);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < n; i++) taken += bytes[i] != 0;
    char *text = choices_print(bytes, n);
    printf("  made small: %s, %u points, %u of %u decisions not dull\n"
           "  again: model --scene %s --seed %" PRIu64 " --replay %s\n",
           again ? sim.failure : "(lost)", sim.points, taken, n, asked.scene->name, seed,
           text);
    free(text);
}

static int replay(void)
{
    static uint8_t bytes[SIM_CHOICES_MAX];
    uint32_t n = 0;

    if (choices_parse(asked.replay, bytes, &n) < 0) {
        fprintf(stderr, "model: --replay takes decisions as a failure prints them\n");
        return 2;
    }
    sim.traces = asked.traces;
    bool passed = run(asked.first, bytes, n);
    printf("%s seed %" PRIu64 ": %s, %u points, hash %016" PRIx64 "\n", asked.scene->name,
           asked.first, passed ? "passed" : sim.failure, sim.points, sim.hash);
    return passed ? 0 : 1;
}

// One campaign of asked.scene. 0 | 1
static int campaign(void)
{
    uint64_t n = asked.last - asked.first + 1;
    bool must_fail = asked.must_fail || asked.scene->flags & SCENE_FAILS;
    double begin = seconds();

    shared = share(sizeof(*shared) + n * sizeof(uint64_t));
    fflush(stdout);
    for (unsigned i = 0; i < asked.jobs; i++) {
        pid_t pid = fork();
        if (pid < 0) exit(2);
        if (pid == 0) {
            work();
            _exit(0);
        }
    }
    bool well = all_ended_well();
    double took = seconds() - begin;
    uint64_t done = shared->done ? shared->done : 1;

    if (!well) {
        printf("FAILED %s: the simulator ended badly\n", asked.scene->name);
        return 1;
    }
    if (shared->n_failed && must_fail) {
        printf("found  %-22s seed %" PRIu64 " after %.1f s: %s\n", asked.scene->name,
               shared->failed_seed, took, shared->failure);
        return 0;
    }
    if (shared->n_failed) {
        report(shared->failed_seed);
        return 1;
    }
    uint64_t distinct = n_distinct(n), all = 0;
    for (uint64_t i = 0; i < n; i++)
        all = all * 31 + shared->hashes[i]; // they are sorted
    printf("%s %-22s %" PRIu64
           " seeds, %.0f points a run, %.0f switches, %.1f %% distinct, "
           "%.1f s, %.0f us a run, all %08" PRIx32 "%s\n",
           must_fail ? "FAILED" : "passed", asked.scene->name, n,
           (double)shared->points / (double)done, (double)shared->switches / (double)done,
           100.0 * (double)distinct / (double)n, took,
           took * 1e6 * asked.jobs / (double)n, (uint32_t)(all >> 32),
           asked.twice ? ", each run twice" : "");
    if (must_fail) printf("  nothing was found, but something is there\n");
    munmap(shared, sizeof(*shared) + n * sizeof(uint64_t));
    return must_fail;
}

// ---- The command line -----------------------------------------------------------------

static int usage(void)
{
    fprintf(
        stderr,
        "usage: model --scene NAME|all --seeds A..B [-j N] [--twice] [--arrows] "
        "[--must-fail]\n       model --scene NAME --seed N --replay DECISIONS [--trace]\n"
        "       model --list\n");
    return 2;
}

static bool parse_seeds(const char *text)
{
    char *end;

    asked.first = asked.last = strtoull(text, &end, 10);
    if (strncmp(end, "..", 2) == 0) asked.last = strtoull(end + 2, &end, 10);
    return !*end && asked.first <= asked.last;
}

static int list(void)
{
    for (unsigned i = 0; i < n_scenes; i++) printf("%s\n", scenes[i].name);
    return 0;
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--twice") == 0) {
            asked.twice = true;
        } else if (strcmp(argv[i], "--must-fail") == 0) {
            asked.must_fail = true;
        } else if (strcmp(argv[i], "--arrows") == 0) {
            asked.with_arrows = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            asked.traces = true;
        } else if (!value) {
            return false;
        } else if (strcmp(argv[i], "--scene") == 0) {
            asked.all = strcmp(value, "all") == 0;
            asked.scene = asked.all ? scenes : scene_find(value);
            i++;
        } else if (strcmp(argv[i], "--seeds") == 0 || strcmp(argv[i], "--seed") == 0) {
            if (!parse_seeds(value)) return false;
            i++;
        } else if (strcmp(argv[i], "-j") == 0) {
            asked.jobs = (unsigned)strtoul(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--replay") == 0) {
            asked.replay = value;
            i++;
        } else {
            return false;
        }
    }
    return asked.scene && asked.jobs >= 1 && asked.jobs <= JOBS_MOST;
}

int main(int argc, char **argv)
{
    int failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) return list();
    if (!parse(argc, argv)) return usage();
    arrows = share(sizeof(*arrows));
    if (asked.replay) return replay();
    if (!asked.all) failed = campaign();
    for (unsigned i = 0; asked.all && i < n_scenes; i++) {
        asked.scene = &scenes[i];
        failed |= campaign();
    }
    if (asked.with_arrows && !failed && arrows_print() > 0) {
        printf("FAILED: arrows that no run took\n");
        failed = 1;
    }
    return failed;
}
