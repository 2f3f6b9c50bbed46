#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py BUILD [QUESTION...] - coir beside pthreads, one table.

Each row asks one question on so many workers. Rounds are interleaved (coir, threads, coir ...), at
least five, so that a machine that slows down slows both; the table has medians, the spread between
the quartiles, and the ratio. 'all' runs every question on 1 and 2 workers, longer. JSON goes to
BUILD/bench.json."""
import json
import os
import statistics
import subprocess
import sys
import time

# question: what it is called, how often for coir and for threads
QUESTIONS = {
    "switch": ("yield between two", 3000000, 300000),
    "spawn": ("spawn and finish", 1000000, 20000),
    "pingpong": ("round trip, unbuffered channels", 500000, 20000),
    "fan": ("4 producers, 4 consumers, per item", 2000000, 200000),
    "mutex": ("one mutex, 8 in turn", 3000000, 3000000),
    "skynet": ("skynet, per million leaves", 1000000, 1000),
}
ROUNDS = 5


def once(build, question, who, workers, n):
    out = subprocess.run([os.path.join(build, "bench", "bench_" + question), who, str(workers),
                          str(n)], capture_output=True, text=True, timeout=120)
    if out.returncode:
        sys.exit(f"bench_{question} {who}: exit code {out.returncode}: {out.stderr.strip()}")
    return json.loads(out.stdout)


def say(progress):
    if sys.stderr.isatty():
        print(f"\r{progress:60}\r", end="", file=sys.stderr, flush=True)


def spread(values):
    q = statistics.quantiles(values, n=4)
    return (q[2] - q[0]) / statistics.median(values) * 100


def row(build, question, workers, rounds):
    title, n_coir, n_threads = QUESTIONS[question]
    values = {"coir": [], "pthreads": []}
    for i in range(rounds):
        for who, n in (("coir", n_coir), ("pthreads", n_threads)):
            say(f"{question}, {workers} workers, round {i + 1} of {rounds}, {who}")
            result = once(build, question, who, workers, n)
            values[who].append(result["value"])
    say("")
    coir, threads = (statistics.median(values[w]) for w in ("coir", "pthreads"))
    print(f"{title:36} {workers:3}  {coir:12,.1f} {spread(values['coir']):4.0f} %"
          f"  {threads:12,.1f} {spread(values['pthreads']):4.0f} %  {threads / coir:8.1f}x"
          f"  {result['unit']}", flush=True)
    return {"question": question, "title": title, "workers": workers, "unit": result["unit"],
            "n": {"coir": n_coir, "pthreads": n_threads}, "values": values}


def main(argv):
    build, asked = argv[0], argv[1:]
    everything = asked == ["all"]
    unknown = [q for q in asked if q not in QUESTIONS and q != "all"]
    if unknown:
        sys.exit(f"no such question: {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    names = list(QUESTIONS) if everything or not asked else asked
    start = time.monotonic()
    print(f"{'':36} workers     coir  spread      pthreads  spread     faster  unit")
    rows = [row(build, q, w, 11 if everything else ROUNDS) for q in names for w in (1, 2)
            if not (q == "switch" and w == 2)]
    with open(os.path.join(build, "bench.json"), "w") as f:
        json.dump({"machine": os.uname()._asdict() if hasattr(os.uname(), "_asdict")
                   else list(os.uname()), "processors": os.cpu_count(), "rows": rows}, f, indent=1)
    print(f"{time.monotonic() - start:.0f} s; each value in {build}/bench.json")


if __name__ == "__main__":
    main(sys.argv[1:])
