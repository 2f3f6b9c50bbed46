# file: sched/handoff.c
# scene: hooks
# An M that lost its P in a hook enters the runtime with a note that says it is outside.
/^void handoff_lost(/,/^}/ s/^        store_relaxed(&m->hold.at, P_RT);.*$//
