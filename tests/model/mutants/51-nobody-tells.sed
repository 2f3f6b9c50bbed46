# file: io/offload.c
# scene: no_helpers
# The last helper could not be made, and those who wait for one are not told.
/^static void add_helper(/,/^}/ s/^    if (--pool->n_threads == 0) refuse_locked(pool, &refused);$/    --pool->n_threads;/
