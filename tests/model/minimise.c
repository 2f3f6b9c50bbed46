// SPDX-License-Identifier: MIT
#include "tests/model/minimise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/sim.h"

#define RUNS_MOST 6000

static int runs;

static bool fails(uint64_t seed, const uint8_t *bytes, uint32_t n, void (*fn)(void))
{
    runs++;
    return !sim_run(seed, bytes, n, fn);
}

static uint32_t without_tail(const uint8_t *bytes, uint32_t n)
{
    while (n && !bytes[n - 1]) n--;
    return n;
}

// Makes bytes [at, at + size) dull if the rest still fails.
static bool try_dull(uint64_t seed, uint8_t *bytes, uint32_t n, uint32_t at,
                     uint32_t size, void (*fn)(void))
{
    static uint8_t kept[SIM_CHOICES_MAX];
    bool any = false;

    for (uint32_t i = at; i < at + size; i++) any |= bytes[i] != 0;
    if (!any) return false;
    memcpy(kept, bytes + at, size);
    memset(bytes + at, 0, size);
    if (fails(seed, bytes, n, fn)) return true;
    memcpy(bytes + at, kept, size);
    return false;
}

uint32_t minimise(uint64_t seed, uint8_t *bytes, uint32_t n, void (*fn)(void))
{
    bool better = true;

    runs = 0;
    for (uint32_t cut = n / 2; cut; cut /= 2) // the tail first
        while (n > cut && fails(seed, bytes, n - cut, fn) && runs < RUNS_MOST) n -= cut;
    while (better && runs < RUNS_MOST) {
        better = false;
        n = without_tail(bytes, n);
        for (uint32_t size = n; size; size /= 2)
            for (uint32_t at = 0; at < n && runs < RUNS_MOST; at += size)
                better |= try_dull(seed, bytes, n, at, at + size > n ? n - at : size, fn);
    }
    return without_tail(bytes, n);
}

char *choices_print(const uint8_t *bytes, uint32_t n)
{
    char *text = malloc((size_t)n * 4 + 16);
    char *at = text;

    *at = 0;
    for (uint32_t i = 0; i < n;) {
        uint32_t run = 1;
        while (i + run < n && bytes[i + run] == bytes[i]) run++;
        if (run > 2)
            at += sprintf(at, "%s%ux%u", i ? "," : "", run, bytes[i]);
        else
            at += sprintf(at, "%s%u", i ? "," : "", bytes[i]), run = 1;
        i += run;
    }
    return text;
}

int choices_parse(const char *text, uint8_t *ret_bytes, uint32_t *ret_n)
{
    uint32_t n = 0;

    while (*text) {
        char *end;
        unsigned long value = strtoul(text, &end, 10), run = 1;

        if (end == text) return -1;
        if (*end == 'x') {
            run = value;
            text = end + 1;
            value = strtoul(text, &end, 10);
            if (end == text) return -1;
        }
        if (value > 255 || run > SIM_CHOICES_MAX - n) return -1;
        memset(ret_bytes + n, (int)value, run);
        n += (uint32_t)run;
        text = end + (*end == ',');
        if (*end && *end != ',') return -1;
    }
    *ret_n = n;
    return 0;
}
