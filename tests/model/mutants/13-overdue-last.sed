# file: sched/sched.c
# scene: ticks_beside_naps
# Whoever takes a P from a stuck thread goes on where that one stood.
/^static struct g \*find_work(/,/^}/ s/^            put_overdue_first(m);$//
