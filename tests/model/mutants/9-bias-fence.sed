# file: base/bias.c
# scene: toy_bias
# Who comes looks whether the lock's thread is inside, but does not make that one's note visible first.
/^void bias_take_away(/,/^}/ s/^    must(fence_heavy_one(.*));.*$//
