// SPDX-License-Identifier: MIT
#include "sched/p.h"

#include "base/platform.h"

void p_init(struct p *p, struct sched *s, uint32_t id, struct stack_depot *depot)
{
    p->sched = s;
    p->id = id;
    rand_init(&p->rand, os_random() + id);
    stack_cache_init(&p->stacks, depot);
    timers_init(&p->timers, depot->memory);
    // relaxed: its maker, before any thread
    store_relaxed(&p->word, p_word(0, 0, P_IDLE));
}

void p_fini(struct p *p)
{
    stack_cache_drain(&p->stacks);
    timers_fini(&p->timers);
}

bool p_enter_slow(struct p *p, uint64_t mine)
{
    uint64_t was = mine | P_BLOCK;

    // [P-ENTER] acquire, pairs with [P-STEAL].
    if (cas_acquire(&p->word, &was, mine | P_RT)) {
        arrow("p", P_BLOCK, P_RT);
        return true;
    }
    must((was & ~(uint64_t)0xffff) != mine); // entered twice
    return false;
}
