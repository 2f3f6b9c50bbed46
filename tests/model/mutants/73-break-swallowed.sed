# file: netpoll/netpoll.c
# scene: hosted_is_woken
# The break is not looked at behind the emptying, which may have taken its byte.
/^bool poller_rest(/,/^}/ {
    s/^           poller_is_broken(np);$/           false;/
}
