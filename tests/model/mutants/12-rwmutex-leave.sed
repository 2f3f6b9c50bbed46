# file: sync/rwmutex.c
# scene: front_gives_up
# The last writer that waits gives up, and the readers that it kept out are forgotten.
/^static void leave(/,/^}/ s/^        claim_readers_locked(m, WOKEN, &woken);/        (void)0;/
