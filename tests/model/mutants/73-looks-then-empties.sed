# file: netpoll/uring.c
# scene: hosted_echo
# A hosted ring's descriptor is emptied behind the look: what the kernel told in between is swallowed.
/^static bool uring_rest(/,/^}/ {
    s/^    os_readv_nowait(.*$/    bool more = uring_pending(np);\n&/
    s/^    return uring_pending(np);$/    return more;/
}
