# file: sync/sema.c
# scene: front_gives_up
# Who gives up at the front of the line does not serve those behind it.
/^static int wait_turn(/,/^}/ s/^        serve_locked(s, &woken);.*$//
