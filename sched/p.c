// SPDX-License-Identifier: MIT
#include "sched/p.h"

#include "base/clock.h"
#include "base/maybe.h"
#include "base/platform.h"

#define ASK_NS                                                                           \
    1000000 // patience with a thread that has to be fenced alone; a look of sysmon's

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

void p_give(struct p *p)
{
    uint64_t was = load_relaxed(&p->word); // relaxed: but for an ask it is ours

    // [P-GIVE] acq_rel, pairs with [P-TAKE]. A swap: an ask that comes now is withdrawn by it.
    was = swap_acq_rel(&p->word, p_word(was >> 32, 0, P_IDLE));
    must(p_word_state(was) == P_HELD || p_word_state(was) == P_ASKED);
    arrow("p", P_HELD, P_IDLE);
}

bool p_enter_slow(struct p *p, const struct hold *h)
{
    uint64_t was = h->mine | P_ASKED;

    // [P-ENTER] seq_cst, pairs with [P-FENCE]: where nobody pays for both.
    if (!h->light) fence_seq_cst();
    // relaxed: as in p_enter
    if (load_relaxed(&p->word) == (h->mine | P_HELD)) return true;
    // [P-BACK] acquire, pairs with [P-STEAL]: one of the two has it. A full fence too: who asks
    // from here on sees 'at'.
    if (cas_acquire(&p->word, &was, h->mine | P_HELD)) return true;
    if (was == (h->mine | P_HELD)) return true; // it was withdrawn
    was = h->mine | P_BLOCK;
    // [P-BACK] acquire, pairs with [P-STEAL].
    if (!cas_acquire(&p->word, &was, h->mine | P_HELD)) return false;
    arrow("p", P_BLOCK, P_HELD);
    return true;
}

void p_leave_blocking(struct p *p, struct hold *h)
{
    check(load_own(&h->at) == P_RT);
    // [P-BLOCK] acq_rel, pairs with [P-STEAL]: what was done in the runtime is done. A swap, as in
    // p_give, and before the note: in BLOCK nobody asks for the note.
    uint64_t was = swap_acq_rel(&p->word, h->mine | P_BLOCK);

    must(was == (h->mine | P_HELD) || was == (h->mine | P_ASKED));
    arrow("p", P_HELD, P_BLOCK);
    // [P-LEAVE] release, pairs with [P-OUT].
    store_release(&h->at, P_USER);
}

bool p_ask(struct p *p, uint64_t seen, const struct hold *h)
{
    uint64_t was = seen;

    // [P-ASK] acq_rel, pairs with [P-BACK], [P-GIVE], [P-BLOCK]: one of them ends it.
    if (!cas_acq_rel(&p->word, &was, (seen & ~(uint64_t)0xffff) | P_ASKED)) return false;
    if (maybe("asked, not yet looked")) choice_point();
    // [P-FENCE] heavy, pairs with [P-ENTER]: ASKED is stored, now look at 'at' (P4).
    bool fenced = !h->light || fence_heavy_one(&h->note, clock_after(ASK_NS));
    // [P-FENCE] seq_cst, pairs with [P-ENTER].
    if (!h->light) fence_seq_cst();
    if (fenced && p_is_out(h)) return true;
    p_withdraw(p, seen);
    return false;
}

void p_withdraw(struct p *p, uint64_t seen)
{
    uint64_t was = (seen & ~(uint64_t)0xffff) | P_ASKED;

    // [P-ASK] acq_rel, pairs with [P-BACK], [P-GIVE], [P-BLOCK]: as above.
    cas_acq_rel(&p->word, &was, seen); // else its M came, and answered itself
}

bool p_steal(struct p *p, uint64_t seen)
{
    uint32_t state = p_word_state(seen) == P_BLOCK ? P_BLOCK : P_ASKED;
    uint64_t was = (seen & ~(uint64_t)0xffff) | state;

    // [P-STEAL] acq_rel, pairs with [P-BACK], [P-BLOCK], [P-TAKE]: sees all that its M did inside.
    if (!cas_acq_rel(&p->word, &was, p_word((seen >> 32) + 1, 0, P_IDLE))) return false;
    arrow("p", state, P_IDLE);
    return true;
}
