// SPDX-License-Identifier: MIT
// kv [ADDRESS] - a key-value server for redis-cli and redis-benchmark: GET, SET with EX, DEL, INCR,
// MGET, PING over RESP. Try: ./example_kv 127.0.0.1:6380 &  redis-cli -p 6380 set name coir ex 60
//
//     a coroutine a connection:  receive -> every whole request -> its reply queued -> send once
//     the store: shards, each a hash table under a lock of its own; what has expired is dropped
//     when somebody comes to it
#include <coir/go.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHARDS 64
#define ARGS_MOST 1024
#define BULK_MOST (16l << 20)
#define READ_BYTES 16384u
#define SEND_AT 65536u // replies beyond so many bytes go out before the next request
#define KEEP_BYTES 65536u

struct text {
    const char *at;
    size_t n;
};

struct buffer {
    char *at;
    size_t n, room;
};

// Room for n more bytes.
static bool reserve(struct buffer *b, size_t n)
{
    size_t room = b->room ? b->room : READ_BYTES;
    char *bigger;

    if (b->room - b->n >= n) return true;
    while (room - b->n < n) room *= 2;
    bigger = realloc(b->at, room);
    if (!bigger) return false;
    b->at = bigger;
    b->room = room;
    return true;
}

static void release(struct buffer *b)
{
    free(b->at);
    *b = (struct buffer){0};
}

// ---- The store -------------------------------------------------------------------------------

struct entry {
    struct entry *next;
    uint64_t hash;
    int64_t expires;
    size_t key_bytes, value_bytes, room; // of the value
    char bytes[];                        // the key, then the value
};

static struct shard {
    coir_mutex lock;
    struct entry **buckets; // under lock, like the rest
    size_t n_buckets, n;
} shards[SHARDS];

static uint64_t hash_of(struct text key)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.at[i]) * 0x100000001b3u; // FNV-1a
    return h ^ h >> 32;
}

static struct shard *lock_shard(uint64_t hash)
{
    struct shard *s = &shards[hash % SHARDS];

    return coir_mutex_lock(&s->lock, COIR_FOREVER) == 0 ? s : NULL; // NULL: cancelled
}

static void drop(struct shard *s, struct entry **link)
{
    struct entry *e = *link;

    *link = e->next;
    free(e);
    s->n--;
}

// Where key's entry hangs, or NULL.
static struct entry **find(struct shard *s, struct text key, uint64_t hash)
{
    struct entry **link, *e;

    if (!s->n) return NULL;
    link = &s->buckets[hash / SHARDS & (s->n_buckets - 1)];
    while ((e = *link) &&
           (e->hash != hash || e->key_bytes != key.n || memcmp(e->bytes, key.at, key.n)))
        link = &e->next;
    if (e && e->expires != COIR_FOREVER && e->expires <= coir_now()) {
        drop(s, link);
        return NULL;
    }
    return e ? link : NULL;
}

static bool grow(struct shard *s)
{
    size_t n = s->n_buckets ? 2 * s->n_buckets : 64;
    struct entry **bigger;

    if (s->n < s->n_buckets) return true;
    bigger = calloc(n, sizeof(struct entry *));
    if (!bigger) return s->n_buckets > 0; // slower, not full
    for (size_t i = 0; i < s->n_buckets; i++)
        for (struct entry *e = s->buckets[i], *next; e; e = next) {
            next = e->next;
            e->next = bigger[e->hash / SHARDS & (n - 1)];
            bigger[e->hash / SHARDS & (n - 1)] = e;
        }
    free(s->buckets);
    s->buckets = bigger;
    s->n_buckets = n;
    return true;
}

static bool set(struct shard *s, struct text key, uint64_t hash, struct text value,
                int64_t expires)
{
    struct entry **link = find(s, key, hash), *e;

    if (link && (*link)->room < value.n) {
        drop(s, link);
        link = NULL;
    }
    if (!link) {
        e = grow(s) ? malloc(sizeof(*e) + key.n + value.n) : NULL;
        if (!e) return false;
        link = &s->buckets[hash / SHARDS & (s->n_buckets - 1)];
        *e = (struct entry){*link, hash, 0, key.n, 0, value.n};
        memcpy(e->bytes, key.at, key.n);
        *link = e;
        s->n++;
    }
    e = *link;
    e->expires = expires;
    e->value_bytes = value.n;
    memcpy(e->bytes + e->key_bytes, value.at, value.n);
    return true;
}

// ---- Replies: false means that the connection ends ---------------------------------------------

static bool say(struct buffer *out, const char *line)
{
    size_t n = strlen(line);

    if (!reserve(out, n)) return false;
    memcpy(out->at + out->n, line, n);
    out->n += n;
    return true;
}

static bool say_number(struct buffer *out, char kind, long long value)
{
    unsigned long long rest =
        value < 0 ? -(unsigned long long)value : (unsigned long long)value;
    char line[32], *at = line + sizeof(line) - 3;

    memcpy(at, "\r\n", 3);
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) *--at = '-';
    *--at = kind;
    return say(out, at);
}

static bool say_bulk(struct buffer *out, const char *at, size_t n)
{
    if (!say_number(out, '$', (long long)n) || !reserve(out, n + 2)) return false;
    memcpy(out->at + out->n, at, n);
    memcpy(out->at + out->n + n, "\r\n", 2);
    out->n += n + 2;
    return true;
}

// ---- Commands ----------------------------------------------------------------------------------

// The whole of text as a number.
static bool number_of(struct text t, long long *ret_value)
{
    char digits[24], *end;

    if (t.n == 0 || t.n >= sizeof(digits) || t.at[0] == ' ') return false;
    memcpy(digits, t.at, t.n);
    digits[t.n] = '\0';
    errno = 0;
    *ret_value = strtoll(digits, &end, 10);
    return !errno && !*end;
}

static bool ping(const struct text *args, int n, struct buffer *out)
{
    return n == 1 ? say(out, "+PONG\r\n") : say_bulk(out, args[1].at, args[1].n);
}

static bool say_value(struct text key, struct buffer *out)
{
    uint64_t hash = hash_of(key);
    struct shard *s = lock_shard(hash);
    struct entry **link;
    bool ok;

    if (!s) return false;
    link = find(s, key, hash);
    ok = link ? say_bulk(out, (*link)->bytes + key.n, (*link)->value_bytes)
              : say(out, "$-1\r\n");
    coir_mutex_unlock(&s->lock);
    return ok;
}

static bool get(const struct text *args, int n, struct buffer *out)
{
    (void)n;
    return say_value(args[1], out);
}

static bool mget(const struct text *args, int n, struct buffer *out)
{
    bool ok = say_number(out, '*', n - 1);

    for (int i = 1; ok && i < n; i++) ok = say_value(args[i], out);
    return ok;
}

static bool set_command(const struct text *args, int n, struct buffer *out)
{
    uint64_t hash = hash_of(args[1]);
    long long seconds = 0;
    struct shard *s;
    bool ok;

    if (n == 4 || (n == 5 && (args[3].n != 2 || strncasecmp(args[3].at, "ex", 2) != 0)))
        return say(out, "-ERR syntax error\r\n");
    if (n == 5 &&
        (!number_of(args[4], &seconds) || seconds <= 0 || seconds > INT64_MAX / COIR_SEC))
        return say(out, "-ERR invalid expire time in 'set' command\r\n");
    if (!(s = lock_shard(hash))) return false;
    ok = set(s, args[1], hash, args[2],
             seconds ? coir_after(seconds * COIR_SEC) : COIR_FOREVER);
    coir_mutex_unlock(&s->lock);
    return say(out, ok ? "+OK\r\n" : "-OOM command not allowed\r\n");
}

static bool del(const struct text *args, int n, struct buffer *out)
{
    int dropped = 0;

    for (int i = 1; i < n; i++) {
        uint64_t hash = hash_of(args[i]);
        struct shard *s = lock_shard(hash);
        struct entry **link;

        if (!s) return false;
        link = find(s, args[i], hash);
        if (link) drop(s, link);
        dropped += link != NULL;
        coir_mutex_unlock(&s->lock);
    }
    return say_number(out, ':', dropped);
}

static bool incr(const struct text *args, int n, struct buffer *out)
{
    uint64_t hash = hash_of(args[1]);
    struct shard *s = lock_shard(hash);
    struct entry **link;
    long long value = 0;
    char digits[24];
    bool ok;

    (void)n;
    if (!s) return false;
    link = find(s, args[1], hash);
    ok = !link ||
         number_of((struct text){(*link)->bytes + args[1].n, (*link)->value_bytes},
                   &value);
    ok = ok && !__builtin_add_overflow(value, 1, &value);
    if (ok) {
        struct text text = {digits,
                            (size_t)snprintf(digits, sizeof(digits), "%lld", value)};
        ok = set(s, args[1], hash, text, link ? (*link)->expires : COIR_FOREVER);
    }
    coir_mutex_unlock(&s->lock);
    if (ok) return say_number(out, ':', value);
    return say(out, "-ERR value is not an integer or out of range\r\n");
}

static bool run_command(const struct text *args, int n, struct buffer *out)
{
    static const struct {
        const char *name;
        int least, most;
        bool (*fn)(const struct text *args, int n, struct buffer *out);
    } commands[] = {{"get", 2, 2, get},         {"set", 3, 5, set_command},
                    {"incr", 2, 2, incr},       {"ping", 1, 2, ping},
                    {"del", 2, ARGS_MOST, del}, {"mget", 2, ARGS_MOST, mget}};

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const char *name = commands[i].name;

        if (strlen(name) != args[0].n || strncasecmp(name, args[0].at, args[0].n))
            continue;
        if (n < commands[i].least || n > commands[i].most)
            return say(out, "-ERR wrong number of arguments\r\n");
        return commands[i].fn(args, n, out);
    }
    return say(out, "-ERR unknown command\r\n");
}

// ---- Requests ----------------------------------------------------------------------------------

// A line "<kind>number\r\n" at *at. 1: read, *at is behind it | 0: not all of it is there | -1: bad
static int read_number(const char **at, const char *end, char kind, long most,
                       long *ret_value)
{
    const char *p = *at;
    long value = 0;

    if (p == end) return 0;
    if (*p++ != kind) return -1;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        if ((value = value * 10 + (*p - '0')) > most) return -1;
    if (end - p < 2) return p == end || *p == '\r' ? 0 : -1;
    if (p[0] != '\r' || p[1] != '\n') return -1;
    *at = p + 2;
    *ret_value = value;
    return 1;
}

// Words on a line, as somebody with telnet types them. The same returns.
static int read_inline(const char **at, const char *end, struct text *args, int *ret_n)
{
    const char *line_end = memchr(*at, '\n', (size_t)(end - *at));
    const char *p = *at;

    if (!line_end) return end - p > (ptrdiff_t)READ_BYTES ? -1 : 0;
    for (*ret_n = 0; p < line_end && *ret_n < ARGS_MOST;) {
        const char *word = p;

        while (p < line_end && *p != ' ' && *p != '\r') p++;
        if (p > word) args[(*ret_n)++] = (struct text){word, (size_t)(p - word)};
        if (p < line_end) p++;
    }
    *at = line_end + 1;
    return 1;
}

static int read_request(const char **at, const char *end, struct text *args, int *ret_n)
{
    const char *p = *at;
    long n, bytes;
    int got;

    if (p < end && *p != '*') return read_inline(at, end, args, ret_n);
    if ((got = read_number(&p, end, '*', ARGS_MOST, &n)) <= 0) return got;
    for (long i = 0; i < n; i++) {
        if ((got = read_number(&p, end, '$', BULK_MOST, &bytes)) <= 0) return got;
        if (end - p < bytes + 2) return 0;
        args[i] = (struct text){p, (size_t)bytes};
        p += bytes + 2;
    }
    *at = p;
    *ret_n = (int)n;
    return 1;
}

static bool send_replies(int fd, struct buffer *out)
{
    size_t n = out->n;

    out->n = 0;
    if (n && coir_write_all(fd, out->at, n, COIR_FOREVER) != (ssize_t)n) return false;
    if (out->room > KEEP_BYTES) release(out);
    return true;
}

// Answers what has come whole and keeps the rest. False: the connection ends.
static bool answer(int fd, struct buffer *in, struct buffer *out)
{
    struct text args[ARGS_MOST];
    const char *at = in->at, *end = in->at + in->n;
    int n, got;

    while ((got = read_request(&at, end, args, &n)) > 0) {
        if (n > 0 && !run_command(args, n, out)) return false;
        if (out->n >= SEND_AT && !send_replies(fd, out)) return false;
    }
    if (got < 0) say(out, "-ERR Protocol error\r\n");
    in->n = (size_t)(end - at);
    if (at != in->at) memmove(in->at, at, in->n);
    if (!in->n && in->room > KEEP_BYTES) release(in);
    return send_replies(fd, out) && got == 0;
}

static void serve(int fd)
{
    struct buffer in = {0}, out = {0};
    bool on = true;

    while (on && reserve(&in, READ_BYTES / 2)) {
        ssize_t n = coir_recv(fd, in.at + in.n, in.room - in.n, 0, COIR_FOREVER);

        if (n > 0) in.n += (size_t)n;
        on = n > 0 && answer(fd, &in, &out);
    }
    release(&in);
    release(&out);
    coir_close(fd);
}

static int run(void *address)
{
    coir_listen_options options = {.tcp_nodelay = true};
    int fd, listener = coir_listen(address, &options);

    if (listener < 0) {
        fprintf(stderr, "%s: %s\n", (char *)address, strerror(-listener));
        return listener;
    }
    while ((fd = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER)) >= 0)
        if (go(serve, fd)) coir_close(fd);
    return fd;
}

int main(int argc, char **argv)
{
    static char address[] = "127.0.0.1:6380";

    return coir_run(NULL, run, argc > 1 ? argv[1] : address) == 0 ? 0 : 1;
}
