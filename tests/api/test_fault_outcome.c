// SPDX-License-Identifier: MIT
// fault outcome: with the overflow report on, a fault and a signal that was sent have what the host
// has put there for them, as if no report were; and a disposition is the host's after the stop.
// Method: a child process a case, its descriptor 2 a pipe.
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>

#include "tests/api/overflow.h"

// ---- Other faults ------------------------------------------------------------------------------

static int *volatile nowhere;

static int writes_nowhere(void *arg)
{
    (void)arg;
    *nowhere = 1;
    return 0;
}

static void runs_a_writer(void)
{
    coir_run(NULL, writes_nowhere, NULL);
}

static void other_faults_pass(void)
{
    int status = child(runs_a_writer);

    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect_eq(said[0], 0);
}

static int sends_itself_one(void *arg)
{
    (void)arg;
    kill(getpid(), SIGSEGV);
    return coir_sleep(COIR_SEC);
}

static void runs_a_sender(void)
{
    coir_run(NULL, sends_itself_one, NULL);
}

static void a_sent_signal_passes(void)
{
    int status = child(runs_a_sender);

    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect_eq(said[0], 0);
}

static void ends_with_42(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    _exit(info->si_addr ? 42 : 43);
}

static void runs_with_a_handler(void)
{
    struct sigaction act = {.sa_sigaction = ends_with_42, .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &act, NULL);
    coir_run(NULL, spawns_a_diver, NULL);
}

// What a host may have put there. Each is called as the kernel would have called it.
static int n_called;

static void says_so(int sig)
{
    (void)sig;
    n_called++;
    ssize_t ignored = write(2, "host\n", 5);
    (void)ignored;
}

static void ends_with_44(int sig)
{
    says_so(sig);
    _exit(44);
}

static void installs(void (*handler)(int), int flags)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags};

    sigaction(SIGSEGV, &act, NULL);
}

static void runs_with_a_plain_handler(void)
{
    installs(ends_with_44, 0);
    coir_run(NULL, spawns_a_diver, NULL);
}

// The usual one of a crash reporter: it notes the fault, returns, and the next one ends it.
static void runs_with_a_handler_for_once(void)
{
    installs(says_so, (int)SA_RESETHAND);
    coir_run(NULL, spawns_a_diver, NULL);
}

static int counts_what_is_sent(void *arg)
{
    (void)arg;
    kill(getpid(), SIGSEGV);
    expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(n_called, 1);
    kill(getpid(), SIGSEGV);
    return coir_sleep(COIR_SEC);
}

static void runs_a_sender_with_a_handler_for_once(void)
{
    installs(says_so, (int)SA_RESETHAND);
    coir_run(NULL, counts_what_is_sent, NULL);
}

static void runs_a_diver_where_it_is_ignored(void)
{
    installs(SIG_IGN, 0);
    coir_run(NULL, spawns_a_diver, NULL);
}

static int survives_its_own(void *arg)
{
    (void)arg;
    kill(getpid(), SIGSEGV);
    expect_eq(coir_sleep(COIR_MS), 0);
    return 0;
}

static void runs_a_sender_where_it_is_ignored(void)
{
    installs(SIG_IGN, 0);
    expect_eq(coir_run(NULL, survives_its_own, NULL), 0);
}

// A handler that repairs what was wrong, as a write barrier does: the instruction is repeated.
static char *page;

static void opens_the_page(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    if (!context || info->si_addr != page + 8) _exit(45);
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
    n_called++;
}

static int writes_behind_the_barrier(void *arg)
{
    (void)arg;
    page[8] = 7;
    return page[8];
}

static void runs_with_a_write_barrier(void)
{
    struct sigaction act = {.sa_sigaction = opens_the_page, .sa_flags = SA_SIGINFO};

    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &act, NULL);
    expect_eq(coir_run(NULL, writes_behind_the_barrier, NULL), 7);
    expect_eq(n_called, 1);
}

// A thread of the host's runs off its own stack: its handler gets the altstack that it asked for.
static char altstack[64 << 10];

static void is_on_the_altstack(int sig)
{
    char here;

    (void)sig;
    _exit(&here > altstack && &here < altstack + sizeof(altstack) ? 46 : 47);
}

static void *dives_on_a_thread(void *arg)
{
    stack_t alt = {.ss_sp = altstack, .ss_size = sizeof(altstack)};

    sigaltstack(&alt, NULL);
    dives();
    return arg;
}

static int makes_a_thread(void *arg)
{
    pthread_t thread;

    (void)arg;
    expect_eq(pthread_create(&thread, NULL, dives_on_a_thread, NULL), 0);
    return coir_sleep(COIR_FOREVER);
}

static void runs_beside_a_thread_that_dives(void)
{
    installs(is_on_the_altstack, SA_ONSTACK);
    coir_run(NULL, makes_a_thread, NULL);
}

// A crash reporter that comes while a runtime lives, and calls whom it found there.
static struct sigaction found;

static void says_so_and_calls_on(int sig, siginfo_t *info, void *context)
{
    says_so(sig);
    if (n_called > 100) _exit(48);
    if (found.sa_flags & SA_SIGINFO) found.sa_sigaction(sig, info, context);
}

// The next runtime finds the reporter, and behind it the library's own handler.
static void runs_behind_one_that_calls_on(void)
{
    struct sigaction act = {.sa_sigaction = says_so_and_calls_on, .sa_flags = SA_SIGINFO};
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *rt;

    config.overflow_report = COIR_ON;
    expect_eq(coir_start(&config, &rt), 0);
    sigaction(SIGSEGV, &act, &found);
    expect(found.sa_flags & SA_SIGINFO);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    coir_run(NULL, spawns_a_diver, NULL);
}

// One that leaves by a jump, each time.
static sigjmp_buf back;

static void jumps_out(int sig)
{
    says_so(sig);
    siglongjmp(back, 1);
}

static int faults_three_times(void *arg)
{
    (void)arg;
    for (volatile int i = 0; i < 3; i++)
        if (sigsetjmp(back, 1) == 0) *nowhere = 1;
    expect_eq(n_called, 3);
    return 7;
}

static void runs_with_one_that_jumps(void)
{
    installs(jumps_out, 0);
    expect_eq(coir_run(NULL, faults_three_times, NULL), 7);
}

static int count_host(void)
{
    int n = 0;

    for (const char *at = said; (at = strstr(at, "host\n")); at++) n++;
    return n;
}

static void every_disposition_of_the_hosts_has_its_outcome(void)
{
    int status = child(runs_with_a_plain_handler);

    expect(WIFEXITED(status) && WEXITSTATUS(status) == 44);
    expect(strstr(said, "(pearl)"));

    status = child(runs_with_a_handler_for_once);
    expect(WIFSIGNALED(status));
    expect_eq(WTERMSIG(status), SIGSEGV);
    expect_eq(count_host(), 1);
    status = child(runs_a_sender_with_a_handler_for_once);
    expect(WIFSIGNALED(status));
    expect_eq(WTERMSIG(status), SIGSEGV);
    expect_eq(count_host(), 1);

    expect_eq(child(runs_with_one_that_jumps), 0);
    expect_eq(count_host(), 3);

    status = child(runs_behind_one_that_calls_on);
    expect(WIFSIGNALED(status));
    expect_eq(WTERMSIG(status), SIGSEGV);
    expect_eq(count_host(), 1);
    expect(strstr(said, "(pearl)"));

    status = child(runs_a_diver_where_it_is_ignored);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect(strstr(said, "(pearl)"));
    expect_eq(child(runs_a_sender_where_it_is_ignored), 0);

    expect_eq(child(runs_with_a_write_barrier), 0);
    expect_eq(said[0], 0);
    status = child(runs_beside_a_thread_that_dives);
    expect(WIFEXITED(status));
    expect_eq(WEXITSTATUS(status), 46);
    expect_eq(said[0], 0);
}

static void the_hosts_handler_is_called(void)
{
    int status = child(runs_with_a_handler);

    expect(WIFEXITED(status));
    expect_eq(WEXITSTATUS(status), 42);
    expect(strstr(said, "(pearl)"));
}

// ---- The disposition ---------------------------------------------------------------------------

static bool is_default(void)
{
    struct sigaction now;

    sigaction(SIGSEGV, NULL, &now);
    return now.sa_handler == SIG_DFL;
}

static void is_taken_on_request_and_given_back(void)
{
    coir_config config = COIR_CONFIG_INIT;
    coir_runtime *a, *b;

    config.workers = 1;
    expect_eq(coir_start(&config, &a), 0);
    expect(is_default());
    expect_eq(coir_stop(a, COIR_FOREVER), 0);

    config.overflow_report = COIR_ON;
    expect_eq(coir_start(&config, &a), 0);
    expect_eq(coir_start(&config, &b), 0);
    expect(!is_default());
    expect_eq(coir_stop(a, COIR_FOREVER), 0);
    expect(!is_default());
    expect_eq(coir_stop(b, COIR_FOREVER), 0);
    expect(is_default());
}

// The signal that a runtime took for its pump.
static int find_pump(void)
{
    struct sigaction now;

    for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
        if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_DFL) return sig;
    return 0;
}

// A host that takes a disposition for itself while a runtime has it keeps it over the stop.
static void what_a_host_puts_there_meanwhile_stays(void)
{
    coir_config config = COIR_CONFIG_INIT;
    struct sigaction now;
    coir_runtime *rt;

    config.overflow_report = COIR_ON;
    for (int i = 0; i < 2; i++) { // and a later runtime gives it back
        expect_eq(coir_start(&config, &rt), 0);
        int pump = find_pump();
        if (i == 0) {
            installs(says_so, 0);
            if (pump) signal(pump, says_so);
        }
        expect_eq(coir_stop(rt, COIR_FOREVER), 0);
        sigaction(SIGSEGV, NULL, &now);
        expect(now.sa_handler == says_so);
        if (pump && i == 0) {
            sigaction(pump, NULL, &now);
            expect(now.sa_handler == says_so);
            signal(pump, SIG_DFL);
        }
    }
    installs(SIG_DFL, 0);
    expect_eq(find_pump(), 0);
}

int main(void)
{
    other_faults_pass();
    a_sent_signal_passes();
    the_hosts_handler_is_called();
    every_disposition_of_the_hosts_has_its_outcome();
    is_taken_on_request_and_given_back();
    what_a_host_puts_there_meanwhile_stays();
    return 0;
}
