# file: runtime/scope.c
# scene: scope_turnstile
# Leaving a scope takes bits back and never sets them: one that an inner scope took back too early is
# lost when the walk comes by and the inner scope is gone.
/^static void leave_locked(/,/^}/ s/^    if (keep & ~load_own(&c->asked)) .*$//
