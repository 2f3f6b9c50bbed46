# file: sched/sched.c
# scene: hooks
# The host hears of a switch when the coroutine may run elsewhere already.
/^__attribute__((always_inline)) static inline void run(/,/^}/ {
    s/^    if (told) tell_out(.*$/    bool ends = m->left_how == LEAVE_END;/
    s/^    finish_left(m);$/&\n    if (told) tell_out(m, g, ends);/
}
