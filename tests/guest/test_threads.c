// SPDX-License-Identifier: MIT
// Goal:   an ordinary thread that is cancelled in the library, or ends, leaves nothing behind; no
//         host thread's mask, altstack or cancel state is touched, whoever starts and stops.
// Method: a cancel that is asked for beforehand acts at the first cancellation point it meets: so a
//         thread with one pending makes every kind of call and must come out at the other end. Then
//         threads that wait are cancelled, and their objects looked at; threads end by the hundred,
//         and descriptors and mappings are compared.
#include <coir/go.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define WAITERS 6
#define HOSTS 4

static coir_config config = COIR_CONFIG_INIT;

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    expect(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

// A call of the test's own that is a cancellation point.
#define HELD(call)                                                                       \
    __extension__({                                                                      \
        int state_;                                                                      \
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);                         \
        __typeof__(call) done_ = (call);                                                 \
        pthread_setcancelstate(state_, NULL);                                            \
        done_;                                                                           \
    })

#ifdef COIR_ASAN
void __asan_handle_no_return(
    void); // libc's unwinding leaves the frames' red zones otherwise
#endif

static void end_if_cancelled(void)
{
#ifdef COIR_ASAN
    __asan_handle_no_return();
#endif
    pthread_testcancel();
}

static void *joined(pthread_t thread)
{
    void *result;

    expect_eq(pthread_join(thread, &result), 0);
    return result;
}

static void run_thread(void *(*fn)(void *), void *arg, void *wanted)
{
    pthread_t thread;

    expect_eq(pthread_create(&thread, NULL, fn, arg), 0);
    expect(joined(thread) == wanted);
}

// ---- Every kind of call -------------------------------------------------------------------------

static void do_nothing(void *arg)
{
    (void)arg;
}

static void use_channels_and_locks(void)
{
    coir_mutex mutex = {0}, taken = {0};
    coir_rwmutex rwmutex = {0};
    coir_cond cond = {0};
    coir_sema sema = {0};
    coir_waitgroup group = {0};
    coir_once once = {0};
    coir_timer *timer;
    coir_chan *c;
    int value = 7;

    expect_eq(coir_chan_make(sizeof(int), 1, &c), 0);
    expect_eq(coir_chan_send(c, &value, COIR_FOREVER), 0);
    expect_eq(coir_chan_send(c, &value, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_chan_recv(c, &value, COIR_FOREVER), 0);
    expect_eq(coir_chan_recv(c, &value, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_chan_close(c), 0);
    coir_chan_unref(c);
    expect_eq(coir_timer_make(coir_after(COIR_MS), 0, &timer), 0);
    expect_eq(coir_chan_recv(coir_timer_chan(timer), NULL, COIR_FOREVER), 0);
    coir_timer_free(timer);
    expect_eq(coir_mutex_lock(&mutex, COIR_FOREVER), 0);
    expect_eq(coir_cond_wait(&cond, &mutex, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_mutex_unlock(&mutex), 0);
    expect_eq(coir_mutex_lock(&taken, COIR_NOW), 0);
    expect_eq(coir_mutex_unlock(&taken), 0);
    expect_eq(coir_rwmutex_rlock(&rwmutex, COIR_FOREVER), 0);
    expect_eq(coir_rwmutex_lock(&rwmutex, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_rwmutex_runlock(&rwmutex), 0);
    expect_eq(coir_sema_acquire(&sema, 1, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_waitgroup_add(&group, 1), 0);
    expect_eq(coir_waitgroup_wait(&group, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_once_do(&once, do_nothing, NULL), 0);
    expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(coir_yield(), 0);
}

static void use_pipes_and_sockets(void)
{
    char address[32], c = 0;
    struct sockaddr_in name;
    socklen_t len = sizeof(name);
    struct iovec one = {.iov_base = &c, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &one, .msg_iovlen = 1};
    int fds[2];

    expect_eq(pipe(fds), 0);
    expect_eq(coir_read(fds[0], &c, 1, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_read(fds[0], &c, 1, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_write(fds[1], "x", 1, COIR_FOREVER), 1);
    expect_eq(coir_poll(fds[0], POLLIN, COIR_FOREVER), POLLIN);
    expect_eq(coir_read(fds[0], &c, 1, COIR_FOREVER), 1);
    expect_eq(coir_writev(fds[1], &one, 1, COIR_FOREVER), 1);
    expect_eq(coir_readv(fds[0], &one, 1, COIR_FOREVER), 1);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_write(fds[1], "x", 1, COIR_FOREVER), -EPIPE);
    expect_eq(coir_close(fds[1]), 0);

    int listener = coir_listen("127.0.0.1:0", NULL);
    expect(listener >= 0);
    expect_eq(getsockname(listener, (struct sockaddr *)&name, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(name.sin_port));
    expect_eq(coir_accept(listener, NULL, NULL, 0, coir_after(COIR_MS)), -ETIMEDOUT);
    fds[0] = coir_dial(address, COIR_FOREVER);
    fds[1] = coir_accept(listener, NULL, NULL, 0, COIR_FOREVER);
    expect(fds[0] >= 0 && fds[1] >= 0);
    expect_eq(coir_send(fds[0], "x", 1, 0, COIR_FOREVER), 1);
    expect_eq(coir_recv(fds[1], &c, 1, 0, COIR_FOREVER), 1);
    expect_eq(coir_sendmsg(fds[0], &msg, 0, COIR_FOREVER), 1);
    expect_eq(coir_recvmsg(fds[1], &msg, 0, COIR_FOREVER), 1);
    expect_eq(coir_recv(fds[1], &c, 1, 0, coir_after(COIR_MS)), -ETIMEDOUT);
    expect_eq(coir_shutdown(fds[0], SHUT_WR), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    expect_eq(coir_close(listener), 0);
}

static void use_files_names_and_children(void)
{
    char path[64], c = 'x';
    char *argv[] = {"true", NULL};
    coir_process_options how = {0};
    struct addrinfo *list = NULL;
    struct statx st;
    sigset_t usr1;
    off_t offset = 0;
    pid_t pid;
    int status;

    snprintf(path, sizeof(path), "/tmp/coir-threads-%d", getpid());
    int fd = coir_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    expect(fd >= 0);
    expect_eq(coir_pwrite(fd, &c, 1, 0, COIR_FOREVER), 1);
    expect_eq(coir_pread(fd, &c, 1, 0, COIR_FOREVER), 1);
    expect_eq(coir_fsync(fd), 0);
    expect_eq(coir_fdatasync(fd), 0);
    expect_eq(coir_statx(AT_FDCWD, path, 0, STATX_SIZE, &st), 0);
    expect_eq(coir_sendfile(fd, fd, &offset, 0, COIR_FOREVER), 0);
    expect_eq(coir_close(fd), 0);
    expect_eq(coir_unlink(path), 0);
    expect_eq(coir_resolve("127.0.0.1", "80", NULL, &list, COIR_FOREVER), 0);
    coir_resolve_free(list);
    expect_eq(coir_process_start("true", argv, NULL, &how, &pid), 0);
    expect_eq(coir_waitpid(pid, &status, COIR_FOREVER), pid);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    fd = coir_signal_open(&usr1);
    expect(fd >= 0);
    expect_eq(coir_close(fd), 0);
    expect_eq(coir_blocking(do_nothing, NULL), 0);
}

static int returns_five(void *arg)
{
    (void)arg;
    coir_sleep(COIR_MS);
    return 5;
}

static void sends(coir_chan *c)
{
    expect_eq(coir_chan_send(c, NULL, COIR_FOREVER), 0);
}

static void use_a_runtime_of_its_own(void)
{
    coir_info info = COIR_INFO_INIT;
    coir_stats stats = COIR_STATS_INIT;
    coir_runtime *rt;
    coir_scope scope;
    coir_chan *c;
    int quiet = HELD(open("/dev/null", O_WRONLY | O_CLOEXEC));

    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, sends, c), 0);
    expect_eq(coir_chan_recv(c, NULL, COIR_FOREVER), 0);
    expect_eq(coir_query(rt, &info), 0);
    expect_eq(coir_stats_read(rt, &stats), 0);
    expect_eq(coir_dump(rt, quiet), 0);
    expect_eq(coir_scope_open(&scope, coir_after(60 * COIR_SEC)), 0);
    expect_eq(coir_scope_go_with(&scope, coir_opts(.rt = rt), returns_five, NULL), 0);
    coir_sleep(COIR_MS);
    expect_eq(coir_scope_wait(&scope), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(coir_run(&config, returns_five, NULL), 5);

    expect_eq(coir_hosted_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, sends, c), 0);
    expect(coir_hosted_turn(rt, 0) >= 0);
    expect_eq(coir_chan_recv(c, NULL, COIR_FOREVER), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    coir_chan_unref(c);
    HELD(close(quiet));
}

static void use_everything(void)
{
    use_channels_and_locks();
    use_pipes_and_sockets();
    use_files_names_and_children();
    use_a_runtime_of_its_own();
}

// ---- Cancelled before ---------------------------------------------------------------------------

static int came_through;

static void *is_cancelled_and_uses(void *use)
{
    expect_eq(pthread_cancel(pthread_self()), 0);
    ((void (*)(void))use)();
    came_through++;
    end_if_cancelled();
    return NULL;
}

static void no_call_is_a_cancellation_point(void)
{
    int fds = entries("/proc/self/fd");

    came_through = 0;
    run_thread(is_cancelled_and_uses, (void *)use_channels_and_locks, PTHREAD_CANCELED);
    run_thread(is_cancelled_and_uses, (void *)use_pipes_and_sockets, PTHREAD_CANCELED);
    run_thread(is_cancelled_and_uses, (void *)use_files_names_and_children,
               PTHREAD_CANCELED);
    run_thread(is_cancelled_and_uses, (void *)use_a_runtime_of_its_own, PTHREAD_CANCELED);
    expect_eq(came_through, 4);
    expect_eq(entries("/proc/self/fd"), fds);
}

static void *keeps_its_state(void *arg)
{
    int state, type;

    (void)arg;
    for (int wanted = 0; wanted < 2; wanted++) {
        int off = wanted ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE;

        expect_eq(pthread_setcancelstate(off, NULL), 0);
        use_everything();
        expect_eq(pthread_setcancelstate(off, &state), 0);
        expect_eq(state, off);
        expect_eq(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type), 0);
        expect_eq(type, PTHREAD_CANCEL_DEFERRED);
    }
    return NULL;
}

// ---- Cancelled while they wait ------------------------------------------------------------------

static struct {
    coir_chan *chan;
    coir_mutex mutex;
    coir_sema sema;
    int pipe[2], listener;
    unsigned n_waiting, n_through;
} at;

static void *waits(void *arg)
{
    int value = 0, err = 0;
    char c = 0;

    __atomic_add_fetch(&at.n_waiting, 1, __ATOMIC_RELEASE);
    switch ((int)(intptr_t)arg) {
    case 0: err = coir_chan_recv(at.chan, &value, COIR_FOREVER); break;
    case 1: err = coir_mutex_lock(&at.mutex, COIR_FOREVER); break;
    case 2: err = coir_sema_acquire(&at.sema, 1, COIR_FOREVER); break;
    case 3: err = coir_read(at.pipe[0], &c, 1, COIR_FOREVER) == 1 ? 0 : -1; break;
    case 4:
        err = coir_accept(at.listener, NULL, NULL, 0, COIR_FOREVER) == -EBADF ? 0 : -1;
        break;
    default: err = coir_sleep(100 * COIR_MS);
    }
    expect_eq(err, 0);
    if ((intptr_t)arg == 0) expect_eq(value, 7);
    if ((intptr_t)arg == 1) expect_eq(coir_mutex_unlock(&at.mutex), 0);
    if ((intptr_t)arg == 3) expect_eq(c, 'x');
    __atomic_add_fetch(&at.n_through, 1, __ATOMIC_RELEASE);
    for (;;) end_if_cancelled();
}

// What each waits for comes after the cancel: it is taken by who was cancelled, and once.
static void who_is_cancelled_in_a_wait_ends_it_first(void)
{
    int fds = entries("/proc/self/fd"), value = 7;
    pthread_t threads[WAITERS];

    memset(&at, 0, sizeof(at));
    expect_eq(coir_chan_make(sizeof(int), 0, &at.chan), 0);
    expect_eq(coir_mutex_lock(&at.mutex, COIR_NOW), 0);
    expect_eq(pipe(at.pipe), 0);
    at.listener = coir_listen("127.0.0.1:0", NULL);
    expect(at.listener >= 0);
    for (intptr_t i = 0; i < WAITERS; i++)
        expect_eq(pthread_create(&threads[i], NULL, waits, (void *)i), 0);
    expect_soon(__atomic_load_n(&at.n_waiting, __ATOMIC_ACQUIRE) == WAITERS);
    coir_sleep(30 *
               COIR_MS); // most wait by now; who does not is cancelled on its way there
    for (int i = 0; i < WAITERS; i++) expect_eq(pthread_cancel(threads[i]), 0);
    coir_sleep(10 * COIR_MS);
    expect_eq(coir_chan_send(at.chan, &value, COIR_FOREVER), 0);
    expect_eq(coir_mutex_unlock(&at.mutex), 0);
    expect_eq(coir_sema_release(&at.sema, 1), 0);
    expect_eq(coir_write(at.pipe[1], "x", 1, COIR_FOREVER), 1);
    expect_soon(__atomic_load_n(&at.n_through, __ATOMIC_ACQUIRE) >= WAITERS - 2);
    expect_eq(coir_close(at.listener), 0); // whoever died in there would hold it for ever
    for (int i = 0; i < WAITERS; i++) expect(joined(threads[i]) == PTHREAD_CANCELED);
    expect_eq(at.n_through, WAITERS);

    expect_eq(coir_chan_send(at.chan, &value, COIR_NOW), -ETIMEDOUT); // nobody waits
    expect_eq(coir_mutex_lock(&at.mutex, COIR_NOW), 0);
    expect_eq(coir_sema_acquire(&at.sema, 1, COIR_NOW), -ETIMEDOUT);
    expect_eq(coir_mutex_unlock(&at.mutex), 0);
    expect_eq(coir_close(at.pipe[0]), 0);
    expect_eq(coir_close(at.pipe[1]), 0);
    coir_chan_unref(at.chan);
    expect_eq(entries("/proc/self/fd"), fds);
}

// ---- Ended --------------------------------------------------------------------------------------

static coir_runtime *shared;

static void *works_and_ends(void *exits)
{
    coir_scope scope;

    expect_eq(coir_scope_open(&scope, COIR_FOREVER), 0);
    expect_eq(coir_scope_go_with(&scope, coir_opts(.rt = shared), returns_five, NULL), 0);
    use_channels_and_locks();
    use_pipes_and_sockets();
    expect_eq(coir_scope_wait(&scope), 0);
    if (exits) pthread_exit(NULL);
    return NULL;
}

static int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int n = 0;

    expect(maps);
    for (int c; (c = fgetc(maps)) != EOF;) n += c == '\n';
    fclose(maps);
    return n;
}

static void come_and_go(int times)
{
    pthread_t threads[4];

    for (int i = 0; i < times; i++) {
        for (intptr_t k = 0; k < 4; k++)
            expect_eq(pthread_create(&threads[k], NULL, works_and_ends, (void *)(k & 1)),
                      0);
        for (int k = 0; k < 4; k++) expect(joined(threads[k]) == NULL);
    }
}

static void threads_that_end_leave_nothing(void)
{
    int fds, maps, tasks;

    expect_eq(coir_start(&config, &shared), 0);
    come_and_go(10); // libc's caches of stacks and arenas fill, the runtime's too
    fds = entries("/proc/self/fd");
    tasks = entries("/proc/self/task");
    maps = mappings();
    come_and_go(40);
    expect_eq(entries("/proc/self/fd"), fds);
    expect_soon(entries("/proc/self/task") <= tasks);
#if !defined(COIR_ASAN) && !defined(COIR_TSAN) // those map for themselves as they go
    expect(mappings() <= maps + 4);
#endif
    (void)maps;
    expect_eq(coir_stop(shared, COIR_FOREVER), 0);
}

// ---- Several hosts ------------------------------------------------------------------------------

struct habits {
    sigset_t mask;
    stack_t alt;
};

static void write_down(struct habits *h)
{
    memset(h, 0, sizeof(*h));
    pthread_sigmask(SIG_SETMASK, NULL, &h->mask);
    sigaltstack(NULL, &h->alt);
}

static void compare(const struct habits *h)
{
    struct habits now;

    write_down(&now);
    expect_eq(memcmp(&now.mask, &h->mask, sizeof(h->mask)), 0);
    expect(now.alt.ss_sp == h->alt.ss_sp);
    expect_eq(now.alt.ss_size, h->alt.ss_size);
    expect_eq(now.alt.ss_flags, h->alt.ss_flags);
}

static void *is_a_host(void *arg)
{
    int which = (int)(intptr_t)arg;
    stack_t mine = {.ss_size = 64 << 10}, was;
    struct habits habits;
    coir_runtime *rt;
    sigset_t more;

    mine.ss_sp = malloc(mine.ss_size);
    expect(mine.ss_sp);
    sigemptyset(&more);
    if (which & 1) sigaddset(&more, SIGUSR1);
    if (which & 2) sigaddset(&more, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &more, NULL);
    if (which > 0) expect_eq(sigaltstack(&mine, &was), 0);
    write_down(&habits);
    for (int i = 0; i < 3; i++) {
        expect_eq(coir_start(&config, &rt), 0);
        compare(&habits);
        use_channels_and_locks();
        use_pipes_and_sockets();
        compare(&habits);
        expect_eq(coir_stop(rt, COIR_FOREVER), 0);
        compare(&habits);
        expect_eq(coir_run(&config, returns_five, NULL), 5);
        compare(&habits);
        expect_eq(coir_hosted_start(&config, &rt), 0);
        expect_eq(coir_go_on(rt, returns_five, NULL), 0);
        expect(coir_hosted_turn(rt, 0) >= 0);
        compare(&habits);
        expect_eq(coir_stop(rt, COIR_FOREVER), 0);
        compare(&habits);
    }
    if (which > 0) expect_eq(sigaltstack(&was, NULL), 0);
    free(mine.ss_sp);
    return NULL;
}

static void several_hosts_keep_their_habits(void)
{
    pthread_t threads[HOSTS];

    for (intptr_t i = 0; i < HOSTS; i++)
        expect_eq(pthread_create(&threads[i], NULL, is_a_host, (void *)i), 0);
    for (int i = 0; i < HOSTS; i++) expect(joined(threads[i]) == NULL);
}

int main(void)
{
    static const coir_driver drivers[] = {COIR_DRIVER_AUTO, COIR_DRIVER_EPOLL};

    config.workers = 2;
    for (int i = 0; i < 2; i++) {
        config.driver = drivers[i];
        no_call_is_a_cancellation_point();
        run_thread(keeps_its_state, NULL, NULL);
        who_is_cancelled_in_a_wait_ends_it_first();
        threads_that_end_leave_nothing();
        several_hosts_keep_their_habits();
    }
    return 0;
}
