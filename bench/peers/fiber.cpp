// SPDX-License-Identifier: MIT
// fiber QUESTION WORKERS N: the in-process questions with Boost.Fiber, which has one thread here.
// One line of JSON, as bench/bench.h says.
#include <boost/fiber/all.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

using boost::fibers::fiber;
using seconds = std::chrono::duration<double>;

static seconds timed(const std::vector<fiber> &,
                     std::chrono::steady_clock::time_point from)
{
    return std::chrono::steady_clock::now() - from;
}

static seconds join(std::vector<fiber> &all, std::chrono::steady_clock::time_point from)
{
    for (auto &f : all) f.join();
    return timed(all, from);
}

static seconds yields(long n)
{
    std::vector<fiber> two;
    auto from = std::chrono::steady_clock::now();

    for (int i = 0; i < 2; i++)
        two.emplace_back([n] {
            for (long j = 0; j < n / 2; j++) boost::this_fiber::yield();
        });
    return join(two, from);
}

static seconds spawn(long n)
{
    const long batch = 1000;
    std::vector<fiber> all;
    auto from = std::chrono::steady_clock::now();

    for (long i = 0; i < n; i += batch) {
        all.clear();
        for (long j = 0; j < batch; j++) all.emplace_back([] {});
        join(all, from);
    }
    return timed(all, from);
}

static seconds pingpong(long n)
{
    boost::fibers::unbuffered_channel<long> ping, pong;
    std::vector<fiber> echo;

    echo.emplace_back([&] {
        long v;
        while (ping.pop(v) == boost::fibers::channel_op_status::success) pong.push(v);
    });
    auto from = std::chrono::steady_clock::now();
    for (long i = 0; i < n; i++) {
        ping.push(i);
        pong.value_pop();
    }
    auto took = timed(echo, from);
    ping.close();
    echo[0].join();
    return took;
}

static seconds fan(long n)
{
    const long side = 4;
    boost::fibers::buffered_channel<long> c(128);
    std::vector<fiber> all;
    auto from = std::chrono::steady_clock::now();

    for (long i = 0; i < side; i++) {
        all.emplace_back([&c, n] {
            for (long j = 0; j < n / side; j++) c.push(j);
        });
        all.emplace_back([&c, n] {
            for (long j = 0; j < n / side; j++) c.value_pop();
        });
    }
    return join(all, from);
}

static seconds mutex(long n)
{
    const long parties = 8;
    boost::fibers::mutex m;
    std::vector<fiber> all;
    long counter = 0;
    auto from = std::chrono::steady_clock::now();

    for (long i = 0; i < parties; i++)
        all.emplace_back([&m, &counter, n] {
            for (long j = 0; j < n / parties; j++) {
                m.lock();
                counter++;
                m.unlock();
            }
        });
    auto took = join(all, from);
    if (counter != n / parties * parties) std::abort();
    return took;
}

int main(int argc, char **argv)
{
    const std::map<std::string, seconds (*)(long)> questions = {{"switch", yields},
                                                                {"spawn", spawn},
                                                                {"pingpong", pingpong},
                                                                {"fan", fan},
                                                                {"mutex", mutex}};

    if (argc < 4) return 2;
    auto question = questions.find(argv[1]);
    if (question == questions.end() || std::atoi(argv[2]) != 1) return 3;
    long n = std::atol(argv[3]);
    std::printf("{\"value\": %.3f, \"unit\": \"ns\", \"n\": %ld}\n",
                question->second(n).count() * 1e9 / double(n), n);
}
