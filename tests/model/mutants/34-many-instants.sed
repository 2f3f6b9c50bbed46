# file: sync/select.c
# scene: select_one_instant
# A select that may not wait looks at one channel after the other and says that nothing was ready.
/^static int run(/,/^}/ s/^    sort_locks(s);$/    if (s->deadline <= CLOCK_PAST) return park_in_vain();\n    sort_locks(s);/
