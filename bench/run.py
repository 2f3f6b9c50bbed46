#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py BUILD [QUESTION...] - coir beside pthreads; beside Go and Boost.Fiber where installed.

Each row asks one question on so many workers. Rounds are interleaved (coir, threads, Go, coir ...),
at least five, so that a machine that slows down slows all of them; the tables have medians, the
spread between the quartiles, and the ratio to pthreads. Without a question: the default rows, within
four minutes. 'all': every row, more rounds, no limit. JSON goes to BUILD/bench.json."""
import json
import os
import sys
import time

import measure
import net

# question: what it is called, how often for coir, for threads and for Go, on how many workers.
# Threads are asked for the largest number that they do in reasonable time, or that can be had at all;
# figures are per unit.
QUESTIONS = {
    "switch": ("yield between two", 3000000, 300000, 3000000, (1,)),
    "spawn": ("spawn and finish", 1000000, 20000, 1000000, (1, 2)),
    "pingpong": ("round trip, unbuffered channels", 500000, 20000, 500000, (1, 2)),
    "fan": ("4 producers, 4 consumers, per item", 2000000, 200000, 2000000, (1, 2)),
    "mutex": ("one mutex, 8 in turn", 3000000, 3000000, 3000000, (1, 2)),
    "skynet": ("skynet, per million leaves", 1000000, 1000, 1000000, (1, 2)),
    "sleepers": ("100,000 sleepers (threads: 10,000)", 100000, 10000, 100000, (1, 2)),
    "parked": ("memory, 100,000 parked (threads: 10,000)", 100000, 10000, 100000, (1,)),
}
# Asked by name, or by 'all'. 0: it has no counterpart there.
MORE = {
    "lock_1": ("a lock that nobody else wants", 3000000, 3000000, 0, (1,)),
    "lock_2": ("one mutex, 2 in turn", 3000000, 3000000, 0, (1, 2)),
    "rwmutex": ("one rwmutex, readers and a writer", 3000000, 3000000, 0, (1, 2)),
    "select_1": ("a plain receive, to read select beside", 4000000, 400000, 0, (1,)),
    "select_2": ("select over 2 ready channels", 4000000, 400000, 0, (1,)),
    "select_8": ("select over 8 ready channels", 4000000, 400000, 0, (1,)),
    "select_64": ("select over 64 ready channels", 2000000, 100000, 0, (1,)),
    "timer": ("a timer set and cancelled", 4000000, 400000, 0, (1,)),
    "timers": ("a million timers that expire", 1000000, 10000, 0, (1,)),
    "scope": ("a child of a scope of 1,000", 1000000, 20000, 0, (1, 2)),
    "sieve": ("sieve, 300 primes, per prime", 300, 300, 300, (1, 2)),
    "powser": ("power series, 40 terms of tan, per term", 40, 40, 40, (1, 2)),
    "million": ("a million parked (threads: 5,000)", 1000000, 5000, 1000000, (1, 2)),
    "asleep": ("memory, a million asleep (threads: 5,000)", 1000000, 5000, 1000000, (1, 2)),
    "spawn_cold": ("spawn on stacks that are new", 100000, 5000, 100000, (1, 2)),
    "switch_1000": ("yield among 1,000", 3000000, 300000, 3000000, (1,)),
    "switch_100000": ("yield among 100,000 (threads: 5,000)", 6000000, 300000, 6000000, (1,)),
    "connections": ("memory, idle TCP connections (threads: 5,000)", 1000000, 5000, 1000000, (1,)),
    "alloc": ("allocated here, freed there", 2000000, 400000, 2000000, (1, 2)),
    "alloc_jemalloc": ("the same, jemalloc's arenas", 2000000, 400000, 0, (1, 2)),
    "hog": ("delay of a 1 ms sleeper beside hogs", 2000, 2000, 500, (2,)),
    "blocking": ("100 in usleep(100 ms), undeclared", 100, 100, 0, (2,)),
    "blocking_pool": ("100 in usleep(100 ms) by coir_blocking", 100, 100, 0, (2,)),
    "hog_echo": ("echo's p99 beside a hog on each worker", 2000, 2000, 2000, (2,)),
    "tail": ("echo's p99, half of them compute 2 ms", 4000, 4000, 4000, (2,)),
    "spawn_thread": ("spawn from an ordinary thread", 1000000, 20000, 0, (1, 2)),
    "handover": ("a thread hands over (threads: futex)", 200000, 200000, 0, (1, 2)),
    "wake": ("a byte wakes a sleeping worker", 2000, 2000, 2000, (2,)),
    "idle": ("a million parked (threads: 5,000), idle", 1000000, 5000, 1000000, (2,)),
    "file": ("cached random reads of 4 KiB, 64 at once", 200000, 200000, 0, (1, 2)),
    "file_direct": ("the same past the page cache", 80000, 80000, 0, (1, 2)),
}
WORDS = {"file_direct": ("file", "direct")}  # the program, and what it is told behind the numbers
BESIDE = ("hog_echo", "tail")  # bench_beside.c asks every server, also Go's
BOOST = ("switch", "spawn", "pingpong", "fan", "mutex")
WHOLE = ("sieve", "powser")
ALL = QUESTIONS | MORE
ROUNDS, ROUNDS_ALL = 5, 11


def peer_of(question):
    """The Go program that answers it."""
    if question in WHOLE:
        return "whole"
    return "beside" if question in BESIDE else "inproc"


def contenders(build, question, workers):
    """Who is asked, as functions that run one round."""
    _, n_coir, n_threads, n_go, _ = ALL[question]
    name, *words = WORDS.get(question, (question,))
    binary = os.path.join(build, "bench", "bench_" + name)
    runs = {who: lambda who=who, n=n: measure.program([binary, who, str(workers), str(n), *words])
            for who, n in (("coir", n_coir), ("pthreads", n_threads))}
    go = measure.go_peer(build, peer_of(question)) if n_go else None
    if go:
        asked = [binary, go] if question in BESIDE else [go, question]
        runs["Go"] = lambda: measure.program([*asked, str(workers), str(n_go)])
    boost = measure.boost_peer(build, "fiber")
    if boost and workers == 1 and question in BOOST:
        runs["Boost.Fiber"] = lambda: measure.program([boost, question, "1", str(n_go // 5)])
    return runs


def cell(values, who):
    if who not in values:
        return f"{'-':>12}       "
    return f"{measure.median(values[who]):12,.1f} {measure.spread(values[who]):4.0f} %"


def row(build, question, workers, rounds):
    title, *counts, _ = ALL[question]
    values = measure.interleave(rounds, contenders(build, question, workers),
                                f"{question}, {workers} workers")
    coir = measure.median(values["coir"])
    faster = f"{measure.median(values['pthreads']) / coir:8.1f}x" if coir else f"{'-':>9}"
    go = measure.median(values["Go"]) if "Go" in values else 0
    to_go = f"{coir / go:6.2f}" if go else f"{'-':>6}"
    unit = values["coir"][0]["unit"]
    if "Boost.Fiber" in values:
        unit += f"; Boost.Fiber {measure.median(values['Boost.Fiber']):,.1f}"
    print(f"{title:40} {workers:3} {cell(values, 'coir')} {cell(values, 'pthreads')}"
          f" {cell(values, 'Go')} {faster} {to_go}  {unit}", flush=True)
    return {"question": question, "title": title, "workers": workers,
            "unit": values["coir"][0]["unit"], "n": dict(zip(("coir", "pthreads", "Go"), counts)), "values": values}


def main(argv):
    if not argv or not os.path.isdir(argv[0]):
        sys.exit(__doc__)
    build, asked = argv[0], argv[1:]
    everything = asked == ["all"]
    known = [*ALL, *net.QUESTIONS]
    unknown = [q for q in asked if q not in known and q != "all"]
    if unknown:
        sys.exit(f"no such question: {', '.join(unknown)}; there are {', '.join(known)}, all")
    names = known if everything else asked or [*QUESTIONS, "echo"]
    servers = [q for q in names if q in net.QUESTIONS]
    rounds = ROUNDS_ALL if everything else ROUNDS
    start = time.monotonic()
    rows = []
    if any(q in ALL for q in names):
        print(f"{'':40}   t {'coir':>12} sprd. {'pthreads':>13} sprd. {'Go':>13} sprd."
              f" {'faster':>8}  to Go  unit")
    for q in (q for q in names if q in ALL):
        rows += [row(build, q, workers, rounds) for workers in ALL[q][4]]
    if asked:
        rows += net.table(build, servers, rounds)
    else:
        rows += net.table(build, servers, rounds, workers=1, seconds=1,
                          only=("coir uring", "Go", "pthreads", "hand uring"))
    with open(os.path.join(build, "bench.json"), "w") as f:
        json.dump({"machine": list(os.uname()), "processors": os.cpu_count(), "rows": rows}, f,
                  indent=1)
    print("t: worker threads (pthreads have as many as the work has parties); faster: pthreads / "
          "coir; to Go: coir / Go")
    print(f"{time.monotonic() - start:.0f} s; each value in {build}/bench.json")


if __name__ == "__main__":
    main(sys.argv[1:])
