# file: sched/timer.c
# scene: timed_then_untimed
# A deadline that lost the claim readies the coroutine all the same.
/^static bool expire_locked(/,/^}/ s/ || !wait_claim(&g->task, ticket)) return false;/) return false;\n    (void)wait_claim(\&g->task, ticket);/
