// SPDX-License-Identifier: MIT
// Asks:  a whole program that makes itself: N terms of the power series of the tangent, as streams
//        that are asked for one term at a time.
// Shows: us a term; tan = integral of 1 + tan * tan, and each product makes a product. It grows
//        with N, so all are asked for the same N.
//
// Source: M. Douglas McIlroy, "Squinting at Power Series", Software - Practice and Experience 20,
// 1990; after powser1.go of Go's tests. Coefficients are doubles here: what costs is the meeting.
#include "bench/bench.h"
#include "bench/thread_queue.h"

// One algorithm for both: what waits and what is started differs.
static bool on_threads;

struct end { // of a channel without a buffer
    coir_chan *chan;
    struct thread_queue queue;
};

struct series {
    struct end asked, told;
};

struct job {
    void (*fn)(struct job *);
    struct series *out, *a, *b;
    double factor;
};

static void make_end(struct end *e)
{
    if (on_threads)
        thread_queue_init(&e->queue, 1);
    else
        bench_must(coir_chan_make(sizeof(double), 0, &e->chan) == 0, "make");
}

// False: the program ends.
static bool put(struct end *e, double value)
{
    long bits;

    if (!on_threads) return coir_chan_send(e->chan, &value, COIR_FOREVER) == 0;
    memcpy(&bits, &value, sizeof(bits));
    thread_queue_put(&e->queue, bits);
    return true;
}

static bool take(struct end *e, double *ret_value)
{
    if (!on_threads) return coir_chan_recv(e->chan, ret_value, COIR_FOREVER) == 0;
    long bits = thread_queue_get(&e->queue);
    memcpy(ret_value, &bits, sizeof(bits));
    return true;
}

static bool term(struct series *s, double *ret_value)
{
    return put(&s->asked, 0) && take(&s->told, ret_value);
}

static bool is_asked(struct series *s)
{
    double nothing;

    return take(&s->asked, &nothing);
}

static void runs_job(struct job *j)
{
    j->fn(j);
    free(j);
}

static void *runs_job_on_thread(void *j)
{
    runs_job(j);
    return NULL;
}

static struct series *new_series(void)
{
    struct series *s = malloc(sizeof(*s));

    bench_must(s != NULL, "malloc");
    make_end(&s->asked);
    make_end(&s->told);
    return s;
}

static void start(void (*fn)(struct job *), struct series *out, struct series *a,
                  struct series *b, double factor)
{
    struct job *j = malloc(sizeof(*j));

    bench_must(j != NULL, "malloc");
    *j = (struct job){fn, out, a, b, factor};
    if (on_threads)
        pthread_detach(bench_thread(runs_job_on_thread, j));
    else
        bench_must(go(runs_job, j) == 0, "go");
}

static void adds(struct job *j)
{
    double a, b;

    while (is_asked(j->out) && term(j->a, &a) && term(j->b, &b) &&
           put(&j->out->told, a + b))
        continue;
}

static void scales(struct job *j)
{
    double a;

    while (is_asked(j->out) && term(j->a, &a) && put(&j->out->told, j->factor * a))
        continue;
}

// Asks for a term only when it is asked for one: of what it makes, its own terms are made.
static void integrates(struct job *j)
{
    double a = j->factor;

    for (int n = 0; is_asked(j->out); n++) {
        if (n > 0 && !term(j->a, &a)) return;
        if (n > 0) a /= n;
        if (!put(&j->out->told, a)) return;
    }
}

static void copies(struct job *j)
{
    double a;

    while (is_asked(j->out) && term(j->a, &a) && put(&j->out->told, a)) continue;
}

static struct series *make(void (*fn)(struct job *), struct series *a, struct series *b,
                           double factor)
{
    struct series *out = new_series();

    start(fn, out, a, b, factor);
    return out;
}

// Both halves get every term; whoever is behind has its own list of those it has not had.
struct cell {
    struct cell *next;
    double value;
};

struct split {
    pthread_mutex_t thread_lock;
    coir_mutex lock;
    struct series *from;
    struct cell *last;
};

struct half {
    struct split *split;
    struct cell *at;
    struct series *out;
};

// The term behind 'at', which is asked for if nobody has had it yet. One that is there is given
// also while the next is being made of it.
static bool next_cell(struct split *s, struct cell **at)
{
    struct cell *next = __atomic_load_n(&(*at)->next, __ATOMIC_ACQUIRE);
    bool ok = true;

    if (next) {
        *at = next;
        return true;
    }
    if (on_threads)
        pthread_mutex_lock(&s->thread_lock);
    else if (coir_mutex_lock(&s->lock, COIR_FOREVER) < 0)
        return false;
    if (!(*at)->next) {
        struct cell *c = calloc(1, sizeof(*c));
        bench_must(c != NULL, "calloc");
        ok = term(s->from, &c->value);
        if (ok) {
            __atomic_store_n(&s->last->next, c, __ATOMIC_RELEASE);
            s->last = c;
        }
    }
    if (ok) *at = (*at)->next;
    if (on_threads)
        pthread_mutex_unlock(&s->thread_lock);
    else
        coir_mutex_unlock(&s->lock);
    return ok;
}

static void gives_half(struct half *h)
{
    while (is_asked(h->out) && next_cell(h->split, &h->at) &&
           put(&h->out->told, h->at->value))
        continue;
}

static void *gives_half_on_thread(void *h)
{
    gives_half(h);
    return NULL;
}

static void split(struct series *from, struct series *ret_halves[2])
{
    struct split *s = calloc(1, sizeof(*s));
    struct cell *first = calloc(1, sizeof(*first));

    bench_must(s && first, "calloc");
    pthread_mutex_init(&s->thread_lock, NULL);
    s->from = from;
    s->last = first;
    for (int i = 0; i < 2; i++) {
        struct half *h = calloc(1, sizeof(*h));
        bench_must(h != NULL, "calloc");
        *h = (struct half){s, first, ret_halves[i] = new_series()};
        if (on_threads)
            pthread_detach(bench_thread(gives_half_on_thread, h));
        else
            bench_must(go(gives_half, h) == 0, "go");
    }
}

// (a + x A)(b + x B) = ab + x (aB + bA + x AB)
static void multiplies(struct job *j)
{
    struct series *as[2], *bs[2];
    double a, b;

    if (!is_asked(j->out) || !term(j->a, &a) || !term(j->b, &b)) return;
    if (!put(&j->out->told, a * b)) return;
    if (!is_asked(j->out)) return; // what nobody asks for is not made
    split(j->a, as);
    split(j->b, bs);
    struct series *w =
        make(adds, make(scales, bs[0], NULL, a), make(scales, as[0], NULL, b), 0);
    if (!term(w, &a) || !put(&j->out->told, a)) return;
    struct job rest = {.out = j->out,
                       .a = make(adds, w, make(multiplies, as[1], bs[1], 0), 0)};
    copies(&rest);
}

static void adds_one(struct job *j)
{
    double a;

    if (!is_asked(j->out) || !term(j->a, &a) || !put(&j->out->told, a + 1)) return;
    copies(j);
}

// The first terms of tan are 0, 1, 0, 1/3, 0, 2/15.
static void tangent(struct bench *b)
{
    struct series *tan = new_series(), *halves[2], *factors[2];
    double a, sum = 0;

    bench_start(b);
    split(tan, halves);
    split(halves[0], factors);
    start(integrates, tan,
          make(adds_one, make(multiplies, factors[0], factors[1], 0), NULL, 0), NULL, 0);
    for (long i = 0; i < b->n; i++) {
        bench_must(term(halves[1], &a), "term");
        sum += a;
    }
    bench_stop(b);
    bench_must(b->n < 30 || (sum > 1.557 && sum < 1.558), "tan 1"); // 1.5574...
}

int bench_coir(void *arg)
{
    tangent(arg);
    return 0;
}

void bench_pthreads(struct bench *b)
{
    on_threads = true;
    tangent(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1000, "us");
}
