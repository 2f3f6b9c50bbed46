# file: sched/idle.c
# scene: pinned_ping_pong
# An M lies down although its pinned coroutine was brought meanwhile.
/^static bool lie_down(/,/^}/ s/^    if (load_relaxed(&m->own)) {.*$/    if (s == NULL) {/
