# file: runtime/deadlock.c
# scene: run_helped
# What a helper works on is not counted as hope.
/^enum deadlock deadlock_look(/,/^}/ s/alone && !helped ?/alone ?/
