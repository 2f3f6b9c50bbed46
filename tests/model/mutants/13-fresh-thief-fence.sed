# file: sched/fresh.c
# scene: toy_fresh
# A thief looks where the owner stands, but does not make its claim visible first.
/^static void fence_for_both(/,/^}/ s/^        must(os_fence_heavy());$/        (void)0;/
