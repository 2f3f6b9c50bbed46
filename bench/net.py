#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""net.py BUILD [QUESTION...] [OPTION VALUE...] - servers beside their peers.

    echo     64 bytes there and back                             generator: echo_load
    http     hello over HTTP with keep-alive, raw                generator: wrk
    kv       SET and GET, 50 connections, pipelines of 1 and 16  generator: redis-benchmark
    hosted   echo in other programs' loops                       generator: echo_load
    held     10,000 connections that say nothing: bytes each

    --rounds N      so many (3)          --size N      connections, or the pipeline
    --workers N     1 or 2 (both)        --only A,B    these servers
    --seconds N     of echo and http (2)

One generator for all servers of a question, in a process of its own; rounds are interleaved (every
server once, then again); the table has medians and the spread between the quartiles. What counts is
the processor time of all threads of the server per request: latency and requests a second depend on
the generator too. One worker: the server on processor 0, the generator on processor 1; two: nobody
is bound. Peers that are not installed are left out. JSON goes to BUILD/net.json."""
import itertools
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time

import measure

# question: its sizes, what they are, on how many workers, and who all are compared with.
QUESTIONS = {"echo": ((64, 1000), "connections", (1, 2), "Go"),
             "http": ((64, 512), "connections", (1, 2), "Go"),
             "kv": ((1, 16), "pipelined", (1,), "redis-server"),
             "hosted": ((64,), "connections", (1,), "coir uring"),
             "held": ((10000,), "connections", (1,), "Go")}
KV_REQUESTS = {1: 100000, 16: 500000}
PORTS = itertools.count(12000 + os.getpid() % 16000)  # below the ephemeral ones


def servers(build, question):
    """name: (command with PORT and WORKERS, environment)"""
    bench = os.path.join(build, "bench")
    drivers = ("uring", "epoll")
    if question == "kv":
        kv = [os.path.join(build, "examples", "example_kv"), "127.0.0.1:PORT"]
        found = {f"coir {d}": (kv, {"COIR_WORKERS": "WORKERS", "COIR_DRIVER": d}) for d in drivers}
        if shutil.which("redis-server"):
            found["redis-server"] = (["redis-server", "--port", "PORT", "--save", "", "--appendonly",
                                      "no"], {})
        return found
    what = "http" if question == "http" else "echo"
    found = {f"coir {d}": ([f"{bench}/{what}_coir", "PORT", "WORKERS"], {"COIR_DRIVER": d})
             for d in drivers}
    if question == "hosted":
        loops = [loop for loop in ("uv", "event", "glib")
                 if os.path.exists(f"{bench}/echo_hosted_{loop}")]
        found |= {f"{loop} {d}": ([f"{bench}/echo_hosted_{loop}", "PORT", "WORKERS"],
                                  {"COIR_DRIVER": d}) for loop in loops for d in drivers}
        return found
    go = measure.go_peer(build, what)
    if go:
        found["Go"] = ([go, "PORT", "WORKERS", "raw"], {})
    if go and question == "http":
        found["Go net/http"] = ([go, "PORT", "WORKERS", "net"], {})
    found["pthreads"] = ([f"{bench}/{what}_pthreads", "PORT"], {})
    if question != "held":
        found["hand uring"] = ([f"{bench}/{what}_uring", "PORT", "WORKERS"], {})
        found["hand epoll"] = ([f"{bench}/{what}_epoll", "PORT", "WORKERS"], {})
    return found


def bind_to(cpu):
    return (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None


class Server:
    def __init__(self, command, env, workers):
        self.port = next(PORTS)
        self.pinned = workers == 1 and (os.cpu_count() or 1) > 1
        said = {"PORT": str(self.port), "WORKERS": str(workers)}
        self.process = subprocess.Popen(
            [said.get(a, a).replace("PORT", str(self.port)) for a in command],
            env={**os.environ, **{k: said.get(v, v) for k, v in env.items()}},
            stdout=subprocess.DEVNULL, preexec_fn=bind_to(0 if self.pinned else None))
        for _ in range(250):
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.02)
        self.end()
        sys.exit(f"{command[0]} does not serve")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def generator(self, *command):
        out = subprocess.run(command, capture_output=True, text=True, timeout=120,
                             preexec_fn=bind_to(1 if self.pinned else None))
        if out.returncode:
            sys.exit(f"{command[0]}: exit code {out.returncode}: {out.stderr.strip()}")
        return out.stdout

    def cpu_us(self):
        """Of all threads, those too that ended with their connection; in ticks of 10 ms."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000000 // os.sysconf("SC_CLK_TCK")

    def memory(self):
        """VmRSS and VmPTE, in bytes."""
        with open(f"/proc/{self.process.pid}/status") as f:
            text = f.read()
        return sum(int(re.search(rf"{name}:\s+(\d+) kB", text).group(1)) * 1024
                   for name in ("VmRSS", "VmPTE"))

    def end(self):
        self.process.kill()
        self.process.wait()


def ask_echo(build, server, connections, seconds):
    return json.loads(server.generator(f"{build}/bench/echo_load", str(server.port), str(connections),
                                       str(seconds), str(server.process.pid)))


def ask_http(_, server, connections, seconds):
    wrk = ["wrk", "-t1", f"-c{connections}", f"http://127.0.0.1:{server.port}/"]
    server.generator(*wrk, "-d1s")  # warm
    before = server.cpu_us()
    out = server.generator(*wrk, f"-d{seconds}s")
    n = int(re.search(r"(\d+) requests in", out).group(1))
    assert n > 0 and "Non-2xx" not in out and "Socket errors" not in out, out
    return {"value": (server.cpu_us() - before) / n, "requests_per_s": n / seconds}


def ask_kv(_, server, pipeline, __):
    n, rates = KV_REQUESTS[pipeline], []
    before = server.cpu_us()
    for command in ("set", "get"):
        out = server.generator("redis-benchmark", "-p", str(server.port), "-c", "50", "-P",
                               str(pipeline), "-n", str(n), "-r", "100000", "-t", command, "-q")
        rates.append(float(re.findall(r"([\d.]+) requests per second", out)[-1]))
    return {"value": (server.cpu_us() - before) / (2 * n), "requests_per_s": sum(rates) / 2}


def ask_held(_, server, connections, __):
    before = server.memory()
    held = [server.connect() for _ in range(connections)]
    for s in held:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
    time.sleep(0.2)
    each = (server.memory() - before) / connections
    for s in held:
        s.close()
    return {"value": each}


ASK = {"echo": ask_echo, "hosted": ask_echo, "http": ask_http, "kv": ask_kv, "held": ask_held}


def once(build, question, size, workers, seconds, server):
    server = Server(*server, workers)
    try:
        return ASK[question](build, server, size, seconds)
    finally:
        server.end()


def line(who, results, base):
    us = measure.median(results)
    ratio = f"{us / base:6.2f}" if base else f"{'-':>6}"
    text = f"  {who:14} {us:10,.2f} {measure.spread(results):4.0f} % {ratio}"
    if "requests_per_s" in results[0]:
        text += f" {measure.median(results, 'requests_per_s'):12,.0f}/s"
    if "p50_us" in results[0]:
        text += "".join(f" {measure.median(results, q):9,.0f}" for q in ("p50_us", "p99_us", "p999_us"))
    return text


def row(build, question, size, workers, rounds, seconds=2, only=None):
    _, of_what, _, base = QUESTIONS[question]
    unit = "bytes each" if question == "held" else "CPU us/request"
    title = f"{question}, {size} {of_what}, {workers} worker{'s' if workers > 1 else ''}"
    runs = {who: lambda s=s: once(build, question, size, workers, seconds, s)
            for who, s in servers(build, question).items() if not only or who in only}
    values = measure.interleave(rounds, runs, title)
    print(f"{title}: {unit}, spread, to {base}, and a second"
          + (", p50, p99, p99.9 us" if question in ("echo", "hosted") else ""))
    by = measure.median(values[base]) if base in values else None
    for who, results in values.items():
        print(line(who, results, by), flush=True)
    return {"question": question, "size": size, "workers": workers, "unit": unit, "values": values}


def may_open_many():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def table(build, questions, rounds, workers=None, seconds=2, size=None, only=None):
    may_open_many()
    rows = []
    for q in questions:
        sizes, _, all_workers, _ = QUESTIONS[q]
        rows += [row(build, q, s, w, rounds, seconds, only)
                 for w in ([workers] if workers else all_workers) for s in ([size] if size else sizes)]
    return rows


def main(argv):
    options = {"--rounds": 3, "--workers": 0, "--seconds": 2, "--size": 0, "--only": ""}
    for name, default in options.items():
        if name in argv:
            at = argv.index(name)
            options[name] = type(default)(argv[at + 1])
            del argv[at:at + 2]
    if not argv or argv[0].startswith("-"):
        sys.exit(__doc__)
    build, asked = os.path.abspath(argv[0]), argv[1:] or list(QUESTIONS)
    unknown = [q for q in asked if q not in QUESTIONS]
    if unknown:
        sys.exit(f"no such question: {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    rows = table(build, asked, options["--rounds"], options["--workers"], options["--seconds"],
                 options["--size"], options["--only"].split(",") if options["--only"] else None)
    with open(os.path.join(build, "net.json"), "w") as f:
        json.dump({"machine": list(os.uname()), "processors": os.cpu_count(), "rows": rows}, f,
                  indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
