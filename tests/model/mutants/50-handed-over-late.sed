# file: io/offload.c
# scene: blocking
# A helper whose second is over ends although a job was handed to it just then.
/^static struct offload_job \*sleep_locked(/,/^}/ s/^    if (!job) list_remove(&h->node);$/    if (err < 0) { if (!job) list_remove(\&h->node); return NULL; }\n&/
