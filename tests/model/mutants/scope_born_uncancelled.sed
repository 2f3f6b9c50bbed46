# file: runtime/scope.c
# scene: scope_tree
# A child of a scope that is cancelled already is born without its bit, and no walk comes any more.
/^static void adopt(/,/^}/ s/^    if (s->canceled) asked .*$//
