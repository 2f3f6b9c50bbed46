# file: sched/park.c
# scene: a_hog_tells_another
# Who readies another and finds that its P was taken forgets whom it was about to queue.
/^void ready_lost(/,/^}/ s/^    push_next(m, g);$/    (void)g;/
