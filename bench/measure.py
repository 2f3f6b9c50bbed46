# SPDX-License-Identifier: MIT
"""measure - what the bench drivers share: interleaved rounds, medians, progress, the Go peers."""
import json
import os
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def say(progress):
    if sys.stderr.isatty():
        print(f"\r{progress:70}\r", end="", file=sys.stderr, flush=True)


def interleave(rounds, runs, title):
    """Runs {who: function returning a dict} in turn, so many rounds; {who: [dict, ...]}.
    A machine that slows down for a moment slows all of them."""
    values = {who: [] for who in runs}
    for i in range(rounds):
        for who, run in runs.items():
            say(f"{title}, round {i + 1} of {rounds}, {who}")
            values[who].append(run())
    say("")
    return values


def median(results, key="value"):
    return statistics.median(r[key] for r in results)


def spread(results, key="value"):
    """The distance between the quartiles, in per cent of the median."""
    values = [r[key] for r in results]
    if len(values) < 2 or not statistics.median(values):
        return 0.0
    q = statistics.quantiles(values, n=4)
    return (q[2] - q[0]) / statistics.median(values) * 100


def program(argv, timeout=180):
    """Runs a bench program that prints one line of JSON."""
    out = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    if out.returncode:
        sys.exit(f"{' '.join(argv)}: exit code {out.returncode}: {out.stderr.strip()}")
    return json.loads(out.stdout)


def build_peer(build, name, source, command, libraries=()):
    """Compiles a peer into BUILD/peers where its tool is installed; None where it is not."""
    target = os.path.join(build, "peers", name)
    if not shutil.which(command[0]):
        return None
    os.makedirs(os.path.dirname(target), exist_ok=True)
    source = os.path.join(HERE, "peers", source)
    if os.path.exists(target) and os.path.getmtime(target) > os.path.getmtime(source):
        return target
    say(f"compiling {os.path.basename(source)}")
    done = subprocess.run([*command, "-o", target, source, *libraries], capture_output=True, text=True)
    say("")
    if done.returncode:
        print(f"{os.path.basename(source)} does not compile here, its column stays empty: "
              f"{done.stderr.strip().splitlines()[:1]}", file=sys.stderr)
        return None
    return target


def go_peer(build, name):
    return build_peer(build, name, name + ".go", ["go", "build"])


def boost_peer(build, name):
    if not os.path.exists("/usr/include/boost/fiber/all.hpp"):
        return None
    return build_peer(build, name, name + ".cpp", ["g++", "-O2", "-std=c++17"],
                      ["-lboost_fiber", "-lboost_context"])
