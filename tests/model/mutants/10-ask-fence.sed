# file: sched/p.c
# scene: toy_hold
# Who asks for a P looks where its thread is, but does not make that one's note visible first.
/^bool p_ask(/,/^}/ s/^    bool fenced = .*$/    bool fenced = true;/
