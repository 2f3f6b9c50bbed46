# file: sched/fresh.c
# scene: toy_fresh
# A thief looks where the owner stands, but does not make its claim visible first.
/^static bool fence_for_both(/,/^}/ s/return fence_heavy();$/return true;/
