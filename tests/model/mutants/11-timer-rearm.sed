# file: sync/timer.c
# scene: timer
# A timer that is moved earlier wakes nobody: who waits sleeps until the old time.
/^int coir_timer_reset(/,/^}/ s/^    if (earlier)$/    if (earlier \&\& !t->lock)/
