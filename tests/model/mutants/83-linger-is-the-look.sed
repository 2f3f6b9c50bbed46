# file: sched/idle.c
# scene: fed
# Who has lingered in vain takes that for the last look, though it had not announced itself (W1).
/^struct queue idle_sleep(/,/^}/ s/= home ? work_anywhere(s) : !stays;/= home ? !m->vain_most \&\& work_anywhere(s) : !stays;/
