# file: io/offload.c
# scene: blocking_pipe
# A helper runs a job without asking whether its caller still waits.
/^static bool claim_locked(/,/^}/ s/^    return .*;$/    if (job->waited_for) waiter_claim(\&job->waiter);\n    return true;/
