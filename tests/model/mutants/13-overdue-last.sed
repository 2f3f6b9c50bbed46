# file: sched/find.c
# scene: ticks_beside_naps
# Whoever takes a P from a stuck thread goes on where that one stood.
/^struct g \*find_work(/,/^}/ s/^            put_overdue_first(m);$//
