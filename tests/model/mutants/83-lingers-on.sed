# file: sched/linger.c
# scene: run_starved_by_a_thread
# Who was fed once looks until more comes: nobody hears that all is quiet, nor that it is over.
/^bool linger(/,/^}/ s/while (clock_now() < until)/while (true)/
