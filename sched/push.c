// SPDX-License-Identifier: MIT
#include "sched/push.h"

#include "base/clock.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "sched/g.h"
#include "sched/sched.h"

#define OFFER_CYCLES                                                                     \
    500000 // 150 to 200 us: a few times what a wake and the first misses cost

// Only when p has not been without such for so long that the wake is worth its price.
void push_offer(struct p *p)
{
    // relaxed: a look
    if (p->sched->n_p == 1 || load_relaxed(&p->sched->idle.n) == 0) return;
    int64_t now = clock_cycles();
    if (p->was_empty) p->queued_since = now;
    p->was_empty = false;
    if (now - p->queued_since < OFFER_CYCLES && !maybe("offer at once")) return;
    p->queued_since = now;
    if (maybe("published, not yet looked")) choice_point();
    idle_wake(p->sched);
}

void push_tail(struct p *p, struct g *g)
{
    struct queue overflow = {0};
    unsigned n = runq_push(&p->runq, g, &overflow);

    if (n > 0) globq_push(&p->sched->globq, &overflow, n);
    if (++p->pushes % PUSH_OFFER_EVERY == 0) push_offer(p);
}

void push_behind(struct m *m, struct g *g)
{
    if (m->p)
        push_tail(m->p, g);
    else
        push_outside(g);
}

void push_all_behind(struct m *m, struct queue *batch, uint32_t n)
{
    if (m->p && n > 0 && globq_len(&m->sched->globq) > 0)
        // wakes nobody: we come there ourselves (W5)
        globq_push(&m->sched->globq, batch, n);
    else
        for (struct queue_node *node; (node = queue_pop(batch));)
            push_behind(m, g_of_node(node));
}

void push_next(struct m *m, struct g *g)
{
    if (!m->p) {
        push_outside(g);
        return;
    }
    struct g *kicked = runq_put_next(&m->p->runq, g);

    if (kicked) push_tail(m->p, kicked); // a lone one wakes nobody (W4)
}

void push_new_overflow(struct p *p, struct g *g)
{
    struct queue overflow = {0};
    unsigned n = fresh_make_room(&p->runq.fresh, &overflow);

    if (n > 0) globq_push(&p->sched->globq, &overflow, n);
    must(fresh_push(&p->runq.fresh, g));
}

void push_outside(struct g *g)
{
    struct sched *s = g->sched;
    struct queue one = {0};

    queue_push(&one, &g->node);
    globq_push(&s->globq, &one, 1);
    idle_wake(s);
}
