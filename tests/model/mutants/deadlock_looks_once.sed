# file: runtime/deadlock.c
# scene: run_fed_by_a_thread
# What ran between the first look and the count of threads is not noticed.
/^enum deadlock deadlock_look(/,/^}/ s/^    if (!idle_is_quiet(s, &after) || after != before) return DEADLOCK_NO;$/    (void)after;/
