# file: netpoll/uring.c
# scene: close_at_once
# The kernel is asked to cancel what it has not seen yet: the entry comes behind its cancel.
/^static void queue_or_keep(/,/^}/ s/if (.*)$/if (true)/
/^static bool uring_cancel(/,/^}/ s/if (list_linked(&op->wait_node))/if (false)/
