# file: sched/sysmon.c
# scene: pinned_among_others
# Nobody is woken for what stands behind one who computes (W4, W5), while a P is idle.
/^static bool look(/,/^}/ s/if (wanted &&/if (0 * wanted \&\&/
