# file: sched/idle.c
# scene: crowd
# Who sleeps alone waits for a crowd too.
/^static int64_t soonest_alarm(/,/^}/ s/^    if (beside-- <= 1) return CLOCK_PAST;$/    beside += 9;/
