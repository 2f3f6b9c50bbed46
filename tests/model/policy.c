// SPDX-License-Identifier: MIT
#include "tests/model/policy.h"

#include "tests/model/sim.h"

// splitmix64: neighbouring seeds must not give neighbouring runs.
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void policy_init(uint64_t seed)
{
    static const uint32_t drains[] = {0, 1, 4, 16};

    rand_init(&sim.chance, mix(seed));
    uint32_t r = rand_next(&sim.chance);
    sim.policy = r % POLICY_COUNT;
    sim.often = (1u << (r >> 8 & 7) % 6) - 1; // every point to one of 32
    sim.buffered = (r >> 12 & 3) != 0;
    sim.drain = drains[r >> 14 & 3];
    sim.spurious = (r >> 16 & 3) == 0;
    sim.jumps = (r >> 18 & 7) == 0;
    sim.reuses = r >> 21 & 1;
    sim.maybes =
        rand_next(&sim.chance) & rand_next(&sim.chance); // a quarter of the sites
    sim.ring_mode = (r >> 24 & 3) == 3 ? 1 + (r >> 26 & 1) : 0;
    sim.next_priority = 0x7fffffffu;
}

// The index of worker 'thread' among the others, as the core counts: those behind the current one
// first.
static uint32_t index_of(uint32_t others, uint32_t thread)
{
    uint32_t above = others & ~((UINT32_C(2) << sim.current) - 1);
    uint32_t upto = (UINT32_C(1) << thread) - 1;

    if (thread > sim.current) return (uint32_t)__builtin_popcount(above & upto);
    return (uint32_t)(__builtin_popcount(above) + __builtin_popcount(others & upto));
}

static uint32_t choose_pct(uint32_t others)
{
    uint32_t best = sim.current;

    if (rand_below(&sim.chance, 256) ==
        0) // a change point: the favourite becomes the last
        sim.threads[best].priority = sim.next_priority--;
    for (uint32_t mask = others; mask; mask &= mask - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(mask);
        if (sim.threads[i].priority > sim.threads[best].priority) best = i;
    }
    return best == sim.current ? 0 : 1 + index_of(others, best);
}

static uint32_t choose_starve(uint32_t others)
{
    if (sim.points >= sim.starved_until) {
        sim.starved = rand_next(&sim.chance);
        sim.starved_until = sim.points + 20 + rand_below(&sim.chance, 400);
    }
    uint32_t fed = others & ~sim.starved;
    bool self_fed = !(sim.starved & UINT32_C(1) << sim.current);

    if (!fed || (self_fed && rand_next(&sim.chance) & sim.often)) return 0;
    uint32_t n = rand_below(&sim.chance, (uint32_t)__builtin_popcount(fed));
    while (n--) fed &= fed - 1;
    return 1 + index_of(others, (uint32_t)__builtin_ctz(fed));
}

static uint32_t choose_worker(const struct options *o, uint32_t others)
{
    if (!o->others) return 0;
    switch (sim.policy) {
    case POLICY_PCT: return choose_pct(others);
    case POLICY_STARVE: return choose_starve(others);
    case POLICY_ROUND: return sim.run_length > sim.often ? 1 : 0;
    default:
        if (rand_next(&sim.chance) & sim.often) return 0;
        return 1 + rand_below(&sim.chance, o->others);
    }
}

uint32_t policy_choose(const struct options *o, uint32_t others)
{
    uint32_t r = rand_next(&sim.chance);

    if (o->stores && (r & 63) < sim.drain)
        return 1 + o->others + rand_below(&sim.chance, o->stores);
    if (o->kernel && (r >> 6 & 15) == 0) return 1 + o->others + o->stores;
    if (o->sleepers && (r >> 10 & 15) == 0)
        return 1 + o->others + o->stores + o->kernel +
               rand_below(&sim.chance, o->sleepers);
    return choose_worker(o, others);
}

uint32_t policy_successor(uint32_t n)
{
    return rand_below(&sim.chance, n);
}
