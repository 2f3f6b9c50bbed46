// SPDX-License-Identifier: MIT
// words - counts words in C++: a reader, three counters, one result; coir.hpp in use.
#include <coir.hpp>

#include <cstdio>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

using counts = std::map<std::string, int>;

static const char *const text[] = {
    "a coroutine waits and a thread goes on",
    "a thread waits and nobody goes on",
    "", // refused below
    "go on",
};

// Throws what the caller catches, on the coroutine, like anywhere else.
static counts count(const std::string &line)
{
    std::istringstream in(line);
    counts found;

    if (line.empty()) throw std::invalid_argument("an empty line");
    for (std::string word; in >> word;) found[word]++;
    return found;
}

static void count_lines(coir::channel<std::string> lines, coir::channel<counts> results)
{
    for (std::string line; lines.recv(line) == 0;) {
        try {
            if (results.send(count(line)) < 0) return;
        } catch (const std::exception &e) {
            coir_sleep(COIR_MS); // a handler may wait
            if (results.send(counts{{e.what(), 1}}) < 0) return;
        }
    }
}

static int run(void *)
{
    coir::channel<std::string> lines;
    coir::channel<counts> results(8);
    counts all;

    for (int i = 0; i < 3; i++)
        if (coir::go([=] { count_lines(lines, results); }) < 0) return 1;
    if (coir::go([lines]() mutable {
            for (const char *line : text)
                if (lines.send(line) < 0) return;
            lines.close();
        }) < 0)
        return 1;

    counts one;
    for (std::size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        if (results.recv(one, coir_after(COIR_SEC)) < 0) return 1;
        for (const auto &[word, n] : one) all[word] += n;
    }
    for (const auto &[word, n] : all) std::printf("%d %s\n", n, word.c_str());
    return all["on"] == 3 && all["an empty line"] == 1 ? 0 : 1;
}

int main()
{
    return coir_run(nullptr, run, nullptr);
}
