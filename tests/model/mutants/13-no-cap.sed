# file: sched/handoff.c
# scene: caps
# Nobody looks whether too many threads compute without a P.
/^static bool over_cap_locked(/,/^}/ s/load_relaxed(&h->n_computing) >= h->computing_most/false/
