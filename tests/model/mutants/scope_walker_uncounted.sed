# file: runtime/scope.c
# scene: scope_tree
# The scope closes although somebody still walks it.
/^static bool try_close(/,/^}/ s/ && !s->walkers;/;/
/^static void wait_for_all(/,/^}/ s/ || s->walkers//
/^static struct task \*end_locked(/,/^}/ s/ || s->walkers//
