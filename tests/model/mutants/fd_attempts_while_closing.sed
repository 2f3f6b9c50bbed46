# file: io/fd.c
# scene: file_is_closed
# Attempts without a use go on until the number goes: a read that a close ended is followed by one
# that finds the file open.
s/^    forbid_attempts(f);$//; s/^static void forbid_attempts/__attribute__((unused)) &/; s/CACHE_UNKNOWN - (uint32_t)CACHE_CLOSES/0/
