// SPDX-License-Identifier: MIT
// Goal:   C++ works in coroutines: lambdas, channels of any type, and exceptions that are thrown,
//         handled and rethrown while others do the same on the same threads.
// Method: each coroutine throws its own number and looks for it after every wait; a handler that
//         lost its exception to another coroutine finds a stranger's.
#include <coir.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "tests/lib/test.h"

namespace
{

coir_config config = COIR_CONFIG_INIT;
coir_waitgroup all;

struct number : std::runtime_error {
    explicit number(int value)
        : std::runtime_error("number " + std::to_string(value)), n(value)
    {
    }
    int n;
};

void started(int err)
{
    expect_eq(err, 0);
}

// ---- Lambdas and channels ----------------------------------------------------------------------

int lambdas_and_channels(void *)
{
    coir::channel<int> numbers(2);
    coir::channel<std::string> words;
    coir::channel<std::unique_ptr<int>> owned(8);
    std::unique_ptr<int> box(new int(42));
    std::string prefix = "long enough not to fit into the string itself: ";
    std::string word;
    int sum = 0;

    started(coir::go([numbers]() mutable {
        for (int i = 1; i <= 100; i++) expect_eq(numbers.send(i), 0);
        expect_eq(numbers.close(), 0);
    }));
    for (int n; numbers.recv(n) == 0;) sum += n;
    expect_eq(sum, 5050);

    coir_options opts = {};
    opts.name = "words";
    started(coir::go_with(opts, [words, prefix]() mutable {
        for (int i = 0; i < 50; i++) expect_eq(words.send(prefix + std::to_string(i)), 0);
        expect_eq(words.close(), 0);
    }));
    for (int i = 0; words.recv(word) == 0; i++)
        expect(word == prefix + std::to_string(i));
    expect_eq(words.send("no", COIR_NOW), -EPIPE);

    // A value that was not taken stays with its sender; what is left over is freed with it.
    coir::channel<std::unique_ptr<int>> full;
    expect_eq(full.send(std::move(box), COIR_NOW), -ETIMEDOUT);
    expect(box && *box == 42);
    for (int i = 0; i < 5; i++)
        expect_eq(owned.send(std::unique_ptr<int>(new int(i))), 0);
    started(coir::go([captured = std::move(box)] { expect_eq(*captured, 42); }));
    return 0;
}

// ---- Exceptions --------------------------------------------------------------------------------

struct waits_when_destroyed {
    int expected;
    ~waits_when_destroyed()
    {
        expect_eq(std::uncaught_exceptions(), expected);
        expect_eq(coir_sleep(50 * COIR_US), 0);
        expect_eq(std::uncaught_exceptions(), expected);
    }
};

__attribute__((noinline)) void throws(int n)
{
    waits_when_destroyed unwound{1};

    coir_yield();
    throw number(n);
}

void is_still(const std::exception_ptr &e, int n)
{
    try {
        std::rethrow_exception(e);
    } catch (const number &again) {
        expect_eq(again.n, n);
    }
}

void handles_its_own(int me, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        try {
            throws(me);
            test_fail_at(__FILE__, __LINE__, "an exception");
        } catch (const number &outer) {
            expect_eq(std::uncaught_exceptions(), 0);
            coir_yield();
            try {
                throws(me + 1000);
            } catch (const number &inner) {
                expect_eq(coir_sleep(20 * COIR_US), 0);
                expect_eq(inner.n, me + 1000);
                is_still(std::current_exception(), me + 1000);
            }
            coir_yield();
            is_still(std::current_exception(), me); // and not whose handler began last
            try {
                throw;
            } catch (const number &again) {
                expect_eq(again.n, me);
            }
            expect_eq(outer.n, me);
        }
        expect(!std::current_exception());
        if (i % 4 == me % 4) coir_yield();
    }
    expect_eq(coir_waitgroup_done(&all), 0);
}

int many_throw_at_once(void *)
{
    const int crowd = 40, rounds = 50;

    expect_eq(coir_waitgroup_add(&all, crowd), 0);
    for (int i = 0; i < crowd; i++)
        started(coir::go([i] { handles_its_own(i, rounds); }));
    return coir_waitgroup_wait(&all, COIR_FOREVER);
}

// ---- Scopes ------------------------------------------------------------------------------------

struct counted {
    explicit counted(int *count) : n(count)
    {
        ++*n;
    }
    counted(const counted &other) : n(other.n)
    {
        ++*n;
    }
    ~counted()
    {
        --*n;
    }
    int *n;
};

void a_scope_joins_when_it_is_left()
{
    int ended = 0, alive = 0;
    {
        coir::scope s;
        for (int i = 0; i < 20; i++)
            started(s.go([&ended, held = counted(&alive)] {
                (void)held;
                expect_eq(coir_sleep(COIR_MS), 0);
                __atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
            }));
        started(s.go([&s, &ended] { // a child may start more
            started(s.go([&ended] { __atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED); }));
        }));
    }
    expect_eq(ended, 21);
}

void a_scope_fails_with_the_first_failure()
{
    coir::scope by_child;
    started(by_child.go([] { return coir_sleep(10 * COIR_SEC); }));
    started(by_child.go([] { return long{-EINVAL}; }));
    expect_eq(by_child.wait(), -EINVAL);
    expect_eq(by_child.wait(), -EINVAL); // closed
    expect_eq(by_child.go([] {}), -EINVAL);

    coir::scope by_opener;
    started(by_opener.go([] { expect_eq(coir_sleep(10 * COIR_SEC), -ECANCELED); }));
    by_opener.fail(3); // no error
    by_opener.fail(-EBADF);
    by_opener.fail(-EIO);
    expect_eq(coir_yield(), -ECANCELED);
    expect_eq(by_opener.wait(), -EBADF);
    expect_eq(coir_yield(), 0);

    coir::scope late(coir_after(COIR_MS));
    started(late.go([] { return coir_sleep(10 * COIR_SEC); }));
    expect_eq(late.wait(), -ETIMEDOUT);

    coir::scope canceled;
    started(canceled.go([] { return coir_sleep(10 * COIR_SEC); }));
    canceled.cancel();
    expect_eq(canceled.wait(), -ECANCELED);

    coir::scope positive;
    started(positive.go([] { return 7u; }));
    expect_eq(positive.wait(), 0);
}

int caught_from(coir::scope &s)
{
    try {
        (void)s.wait();
    } catch (const number &e) {
        return e.n;
    }
    return -1;
}

void what_a_child_throws_is_its_openers()
{
    int cancelled = 0;
    coir::scope s;
    for (int i = 0; i < 10; i++)
        started(s.go([&cancelled] {
            if (coir_sleep(10 * COIR_SEC) == -ECANCELED)
                __atomic_fetch_add(&cancelled, 1, __ATOMIC_RELAXED);
        }));
    started(s.go([] {
        coir_yield();
        throw number(5);
    }));
    expect_eq(caught_from(s), 5);
    expect_eq(cancelled, 10);
    expect_eq(s.wait(), -EINVAL); // thrown once

    coir::scope several;
    for (int i = 0; i < 10; i++) started(several.go([i] { throw number(i); }));
    expect(caught_from(several) >= 0);
}

// A wait that is refused leaves the exception, and the children, to the one that closes the scope.
void a_refused_wait_throws_nothing()
{
    coir::scope outer;
    coir::scope inner;
    started(outer.go([] { throw number(6); }));
    while (coir_yield() == 0) continue; // until it has thrown
    expect_eq(outer.wait(), -EINVAL);   // inner is open
    int strangers = 0;
    coir_waitgroup done = {};
    coir_waitgroup_add(&done, 1);
    started(coir::go([&] {
        strangers = outer.wait();
        coir_waitgroup_done(&done);
    }));
    coir_shield_begin();
    expect_eq(coir_waitgroup_wait(&done, COIR_FOREVER), 0);
    coir_shield_end();
    expect_eq(strangers, -EPERM);
    expect_eq(inner.wait(), -ECANCELED);
    expect_eq(caught_from(outer), 6);
}

void an_exception_of_the_openers_cancels_and_joins()
{
    int cancelled = 0;
    try {
        coir::scope s;
        started(s.go([&cancelled] {
            if (coir_sleep(10 * COIR_SEC) == -ECANCELED) cancelled = 1;
            throw number(1); // dropped: the opener's is on its way
        }));
        throw number(2);
    } catch (const number &e) {
        expect_eq(e.n, 2);
        expect_eq(cancelled, 1);
        coir::scope in_a_handler; // nothing is on its way here
        started(in_a_handler.go([] { throw number(3); }));
        expect_eq(caught_from(in_a_handler), 3);
    }
}

int scopes(void *)
{
    a_scope_joins_when_it_is_left();
    a_scope_fails_with_the_first_failure();
    what_a_child_throws_is_its_openers();
    a_refused_wait_throws_nothing();
    an_exception_of_the_openers_cancels_and_joins();
    return 0;
}

// Of an ordinary thread, which names the runtime.
void a_scope_of_a_thread()
{
    coir_runtime *rt = nullptr;
    coir_options opts = {};

    expect_eq(coir_start(&config, &rt), 0);
    opts.rt = rt;
    {
        coir::scope s;
        expect_eq(s.go([] {}), -EPERM);
        started(s.go_with(opts, [] { throw number(9); }));
        expect_eq(caught_from(s), 9);
    }
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- One that escapes --------------------------------------------------------------------------

std::string logged;

void keep(void *, int level, const char *line)
{
    expect(level == COIR_LOG_ERROR);
    logged += line;
}

[[noreturn]] void on_terminate()
{
    bool named = logged.find("\"careless\"") != std::string::npos &&
                 logged.find("test_cpp.cpp:") != std::string::npos &&
                 logged.find("number 7") != std::string::npos;
    bool there = std::current_exception() != nullptr;

    if (!named && !logged.empty())
        std::fprintf(stderr, "the log says: %s\n", logged.c_str());
    _exit(named && there ? 33 : 34);
}

int lets_one_escape(void *)
{
    coir_options opts = {};

    opts.name = "careless";
    started(coir::go_with(opts, [] { throw number(7); }));
    return coir_sleep(10 * COIR_SEC);
}

// The same by the C interface: nothing of ours is between, and terminate comes all the same.
void plain(void *)
{
    throw number(7);
}

int lets_one_escape_from_c(void *)
{
    expect_eq(coir_spawn(nullptr, nullptr, plain, nullptr), 0);
    return coir_sleep(10 * COIR_SEC);
}

int leaves_one_in_a_scope(void *)
{
    coir_options opts = {};

    opts.name = "careless";
    started(coir::go_with(opts, [] {
        coir::scope s;
        started(s.go([] { throw number(7); }));
    }));
    return coir_sleep(10 * COIR_SEC);
}

int exit_code_of(int (*fn)(void *))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        std::set_terminate(on_terminate);
        coir_config mine = config;
        mine.log = keep;
        coir_run(&mine, fn, nullptr);
        _exit(1);
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

} // namespace

int main()
{
    expect_eq(exit_code_of(lets_one_escape), 33);
    expect_eq(exit_code_of(lets_one_escape_from_c), 34); // terminated, without a name
    expect_eq(exit_code_of(leaves_one_in_a_scope), 33);
    expect_eq(coir::go([] {}), -EPERM);
    for (unsigned workers = 1; workers <= 2; workers++) {
        config.workers = workers;
        expect_eq(coir_run(&config, lambdas_and_channels, nullptr), 0);
        expect_eq(coir_run(&config, many_throw_at_once, nullptr), 0);
        for (int i = 0; i < 20; i++) expect_eq(coir_run(&config, scopes, nullptr), 0);
        a_scope_of_a_thread();
    }
    return 0;
}
