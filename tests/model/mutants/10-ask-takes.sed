# file: sched/p.c
# scene: toy_hold
# Who asked for a P takes it although its thread is inside.
/^bool p_ask(/,/^}/ s/^    if (fenced .*) return true;$/    return true;/
