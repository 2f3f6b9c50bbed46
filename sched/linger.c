// SPDX-License-Identifier: MIT
#include "sched/linger.h"

#include "base/clock.h"
#include "base/maybe.h"
#include "sched/sched.h"

#define FED_NS 60000     // there and back through the kernel, and somewhat more
#define LINGER_NS 15000  // a thread's wake, and somewhat more
#define LINGER_BREATHS 8 // between two looks: each takes the line from who pushes
#define VAIN_MOST 127

// Rarer and rarer.
static void was_in_vain(struct m *m)
{
    m->vain_most = m->vain_most < VAIN_MOST ? (uint8_t)(2 * m->vain_most + 1) : VAIN_MOST;
    m->vain_left = m->vain_most;
}

static bool look(struct m *m)
{
    if (globq_len(&m->sched->globq) > 0) {
        struct p_counts *c = &m->p->counts;

        m->fed = true;
        m->vain_most = 0;
        store_relaxed(&c->spared, load_own(&c->spared) + 1); // relaxed: a statistic
        return true;
    }
    // relaxed: a look
    return poller_pending(m->poller) || load_relaxed(&m->sched->exiting);
}

bool linger(struct m *m)
{
    if (!m->fed) return false;
    m->fed = false;
    if (m->vain_left > 0 && !maybe("linger all the same")) {
        m->vain_left--;
        return false;
    }
    int64_t until = clock_after(LINGER_NS);
    // relaxed: a look; who arms one here meanwhile (idle_arm) waits as long
    if (load_relaxed(&m->p->timers.earliest) < until) return false;
    do {
        for (int i = 0; i < LINGER_BREATHS; i++) os_pause();
        if (look(m)) return true;
    } while (clock_now() < until);
    was_in_vain(m);
    return false;
}

void linger_note(struct m *m, int64_t since)
{
    struct sched *s = m->sched;

    if (s->n_p > 1 || m_is_reserved(m) || globq_len(&s->globq) == 0) return;
    m->fed = since < FED_NS || maybe("fed");
}
