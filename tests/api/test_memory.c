// SPDX-License-Identifier: MIT
// memory: what twenty thousand that wait take, how it is mapped, and that it is given back.
// The figures are of the kernel's accounts, not of time: they are the same on any machine.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define MANY 20000
#define BYTES_MOST                                                                       \
    4400 // of docs/memory.md: a page, its page table, and nothing else that grows
#define FIXED_BYTES (2L << 20) // whatever else the process came to need meanwhile
#define MAPPINGS_MOST 100

static bool has_light_guards;

static long held(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[128];
    long kib = 0, n;

    expect(file != NULL);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %ld", &n) == 1 || sscanf(line, "VmPTE: %ld", &n) == 1)
            kib += n;
    fclose(file);
    return kib << 10;
}

// Mappings in all; each that is a stack's (large, and only touched in places) has the flags "nh",
// no huge pages, and "nr", no reserve.
static int look_at_mappings(void)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    long size = 0, rss = 0;
    int n = 0, n_regions = 0;

    expect(file != NULL);
    while (fgets(line, sizeof(line), file)) {
        sscanf(line, "Size: %ld", &size);
        sscanf(line, "Rss: %ld", &rss);
        if (strncmp(line, "VmFlags:", 8) != 0) continue;
        n++;
        if (size < (64 << 10) || rss < 1024)
            continue; // KiB: regions of 1,024 slots and more
        n_regions++;
        expect(strstr(line, " nh") && strstr(line, " nr"));
    }
    fclose(file);
    expect(n_regions > 0);
    return n;
}

static bool kernel_has_light_guards(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p =
        mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int err = madvise(p, page, 102); // MADV_GUARD_INSTALL

    munmap(p, page);
    return err == 0;
}

static void waits(coir_chan *c, coir_waitgroup *there)
{
    expect_eq(coir_waitgroup_done(there), 0);
    expect_eq(coir_chan_recv(c, NULL, COIR_FOREVER), -EPIPE);
}

static int first(void *arg)
{
    coir_waitgroup there = {0};
    coir_chan *c;
    long before = held();

    (void)arg;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_waitgroup_add(&there, MANY), 0);
    for (int i = 0; i < MANY; i++) expect_eq(go(waits, c, &there), 0);
    expect_eq(coir_waitgroup_wait(&there, COIR_FOREVER), 0);

    long grown = held() - before;
    printf("%ld bytes each\n", grown / MANY);
    expect(grown > MANY * sysconf(_SC_PAGESIZE));
    expect(grown < MANY * BYTES_MOST + FIXED_BYTES);
    int n_mappings = look_at_mappings();
    printf("%d mappings\n", n_mappings);
    if (has_light_guards) expect(n_mappings < MAPPINGS_MOST);

    coir_chan_close(c);
    coir_chan_unref(c);
    // Half of what lies free goes each second; no claim is made of when.
    while (held() - before > grown / 20) expect_eq(coir_sleep(200 * COIR_MS), 0);
    return 7;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    has_light_guards = kernel_has_light_guards();
    if (sysconf(_SC_PAGESIZE) != 4096) test_skip("another page size");
    expect_eq(coir_run(&config, first, NULL), 7);
    return 0;
}
