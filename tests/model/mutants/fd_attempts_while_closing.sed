# file: io/fd.c
# scene: file_is_closed
# Attempts without a use go on until the number goes: a read that a close ended is followed by one
# that finds the file open.
s/^    store_relaxed(&f->cache, CACHE_CLOSES);.*$//
