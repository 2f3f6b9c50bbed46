# file: runtime/deadlock.c
# scene: run_fed_by_a_thread
# A thread of the host's that could still wake somebody is not counted.
/^enum deadlock deadlock_look(/,/^}/ s/^    bool alone = .*$/    bool alone = true;/
