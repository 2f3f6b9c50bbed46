# file: sched/pin.c
# scene: pinned_canceled
# An M gives its P to another's coroutine while its own has been brought.
/^static bool find_p_locked(/,/^}/ s/^    if (load_relaxed(&m->own)) return false;.*$//
