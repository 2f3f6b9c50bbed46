// SPDX-License-Identifier: MIT
// Asks:  what does a random read of 4 KiB cost, 64 at a time?
// Shows: us a read and, as "cpu_us", the processor time of a read; coroutines with coir_pread
//        beside 64 threads with pread(2), and beside the limit on a ring: a loop on one thread
//        that keeps 64 reads in flight ('uring'), or, of what is cached, beside the threads with
//        the one system call that does not wait for a disk, preadv2(2) with RWF_NOWAIT
//        ('nowait'). The file is in the page cache, or is read past it with a fourth argument
//        'direct'; with 'vector' coir_preadv reads what is cached, which goes to the ring at
//        once. COIR_BENCH_FILE names a file to use and keep instead of one in /var/tmp.
#include "bench/bench.h"

#include <fcntl.h>
#include <liburing.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DEPTH = 64, PART = 4096 };
#define FILE_BYTES ((int64_t)256 << 20)

static int file;
static bool by_vector, by_nowait;
static long each; // reads of one reader
static coir_waitgroup done;

static int64_t next_place(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*seed >> 33) % (FILE_BYTES / PART)) * PART;
}

static char *buffer(void)
{
    void *p = NULL;

    bench_must(posix_memalign(&p, PART, PART) == 0, "memory");
    return p;
}

static ssize_t read_one(char *part, int64_t place)
{
    struct iovec one = {part, PART};

    return by_vector ? coir_preadv(file, &one, 1, place, COIR_FOREVER)
                     : coir_pread(file, part, PART, place, COIR_FOREVER);
}

static void reads(uint64_t seed)
{
    char *part = buffer();

    for (long i = 0; i < each; i++)
        bench_must(read_one(part, next_place(&seed)) == PART, "coir_pread");
    free(part);
    coir_waitgroup_done(&done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;

    bench_start(b);
    coir_waitgroup_add(&done, DEPTH);
    for (uint64_t i = 0; i < DEPTH; i++) bench_must(go(reads, i) == 0, "go");
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    bench_stop(b);
    return 0;
}

static ssize_t read_by_a_thread(char *part, int64_t place)
{
    struct iovec one = {part, PART};

    return by_nowait ? preadv2(file, &one, 1, place, RWF_NOWAIT)
                     : pread(file, part, PART, place);
}

static void *reads_on_a_thread(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    char *part = buffer();

    for (long i = 0; i < each; i++)
        bench_must(read_by_a_thread(part, next_place(&seed)) == PART, "pread");
    free(part);
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t threads[DEPTH];

    bench_start(b);
    for (uintptr_t i = 0; i < DEPTH; i++)
        threads[i] = bench_thread(reads_on_a_thread, (void *)i);
    for (int i = 0; i < DEPTH; i++) pthread_join(threads[i], NULL);
    bench_stop(b);
}

static void start_read(struct io_uring *ring, uint64_t i, char *parts, uint64_t *seeds)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    io_uring_prep_read(sqe, file, parts + i * PART, PART,
                       (uint64_t)next_place(&seeds[i]));
    sqe->user_data = i;
}

static void bench_ring(struct bench *b)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN};
    struct io_uring ring;
    uint64_t seeds[DEPTH];
    void *parts = NULL;
    long asked = DEPTH;

    bench_must(io_uring_queue_init_params(DEPTH, &ring, &params) == 0, "ring");
    bench_must(posix_memalign(&parts, PART, DEPTH * PART) == 0, "memory");
    bench_start(b);
    for (uint64_t i = 0; i < DEPTH; i++) {
        seeds[i] = i;
        start_read(&ring, i, parts, seeds);
    }
    for (long n_done = 0; n_done < b->n;) {
        struct io_uring_cqe *cqe;
        unsigned head, n = 0;

        bench_must(io_uring_submit_and_wait(&ring, 1) >= 0, "enter");
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            bench_must(cqe->res == PART, "read");
            if (asked++ < b->n) start_read(&ring, cqe->user_data, parts, seeds);
            n++;
        }
        io_uring_cq_advance(&ring, n);
        n_done += n;
    }
    bench_stop(b);
    io_uring_queue_exit(&ring);
    free(parts);
}

// Writes the file once, and has it in the cache or on the disk.
static void prepare(bool direct)
{
    const char *name = getenv("COIR_BENCH_FILE");
    if (!name) name = "/var/tmp/coir-bench-file";
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char *mib = malloc(1 << 20);

    bench_must(fd >= 0, name);
    memset(mib, 'x', 1 << 20);
    for (int64_t at = lseek(fd, 0, SEEK_END); at < FILE_BYTES; at += 1 << 20)
        bench_must(pwrite(fd, mib, 1 << 20, at) == 1 << 20, "pwrite");
    bench_must(fdatasync(fd) == 0, "fdatasync");
    for (int64_t at = 0; !direct && at < FILE_BYTES; at += 1 << 20)
        bench_must(pread(fd, mib, 1 << 20, at) == 1 << 20, "pread");
    free(mib);
    close(fd);
    file = open(name, O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
    bench_must(file >= 0, "open");
    if (!getenv("COIR_BENCH_FILE")) unlink(name);
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    coir_config config = COIR_CONFIG_INIT;

    if (argc < 4) {
        fprintf(stderr,
                "usage: %s coir|pthreads|nowait|uring WORKERS N [direct|vector]\n",
                argv[0]);
        return 2;
    }
    by_nowait = strcmp(argv[1], "nowait") == 0;
    by_vector = argc > 4 && strcmp(argv[4], "vector") == 0;
    prepare(argc > 4 && !by_vector);
    config.workers = (unsigned)atoi(argv[2]);
    each = atol(argv[3]) / DEPTH;
    b.n = each * DEPTH;
    double before = cpu_seconds();
    if (strcmp(argv[1], "coir") == 0)
        bench_must(coir_run(&config, bench_coir, &b) == 0, "coir_run");
    else if (strcmp(argv[1], "uring") == 0)
        bench_ring(&b);
    else
        bench_pthreads(&b);
    printf("{\"value\": %.3f, \"unit\": \"us\", \"n\": %ld, \"cpu_us\": %.3f}\n",
           (double)b.ns / (double)b.n / 1e3, b.n,
           (cpu_seconds() - before) * 1e6 / (double)b.n);
    return 0;
}
