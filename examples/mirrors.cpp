// SPDX-License-Identifier: MIT
// mirrors.cpp - asks several servers at once and takes the first answer: coir::scope in use.
//
// The scope is an object: whichever way the function is left, by a return or by an exception, its
// children have ended first, so that they may use what stands in its frame.
#include <coir.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

// Stands for a request: it takes so long, or fails.
static std::string ask(const char *mirror, int64_t ns)
{
    if (ns < 0) throw std::runtime_error(std::string(mirror) + " is broken");
    if (coir_sleep(ns) < 0) return ""; // cancelled: somebody was faster
    return mirror;
}

static std::string fastest(int64_t broken)
{
    coir::scope mirrors(coir_after(10 * COIR_SEC));
    std::string first;

    for (auto [name, ns] :
         {std::pair{"near", COIR_MS}, {"far", COIR_SEC * 5}, {"odd", broken}})
        mirrors.go([&mirrors, &first, name = name, ns = ns] {
            std::string answer = ask(name, ns);
            if (answer.empty()) return;
            first = answer;
            mirrors.cancel(); // the others need not go on
        });
    int err = mirrors.wait(); // throws what a child threw
    if (err < 0 && err != -ECANCELED) throw std::runtime_error("nobody answers");
    return first;
}

static int run(void *)
{
    std::printf("%s has it\n", fastest(COIR_SEC).c_str());
    try {
        fastest(-1);
    } catch (const std::exception &e) {
        std::printf("%s\n", e.what());
        return 0;
    }
    return 1;
}

int main()
{
    return coir_run(nullptr, run, nullptr);
}
