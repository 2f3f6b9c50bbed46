# file: base/fence.c
# scene: toy_bias
# That no signal is under way counts as an answer, although none was sent behind the store.
/^bool fence_heavy_one(/,/^}/ s/^        if (d.sent .*$/        if (note->pump.value \&\& os_pump_answered(note->pump.value)) return true;/
/^bool fence_heavy_one(/,/^}/ s/^        send_signal(&d);$/        (void)send_signal;/
