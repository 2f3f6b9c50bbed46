# file: sync/select.c
# scene: selects_meet
# A select that was woken leaves its other waiters in their queues.
/^static int wait_locked(/,/^}/ s/if ((int)i != index)$/if (index < 0)/
