# file: sched/fresh.c
# scene: toy_fresh
# A thief takes all that it claimed, however far the owner has come meanwhile.
/^static uint32_t claim_locked(/,/^}/ s/^    if (left < (int32_t)n) n = .*$/    (void)left;/
