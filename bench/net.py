#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""net.py BUILD [QUESTION...] [--rounds N] [--workers N] - servers beside their peers.

    echo     64 bytes, 64 and 1,000 connections        generator: echo_load
    http     raw hello, keep-alive, 64 and 512         generator: wrk
    kv       SET and GET, 50 connections, pipeline 1 and 16     generator: redis-benchmark
    idle     10,000 connections that say nothing: bytes each

Rounds are interleaved (every server once, then again); the table has medians and the spread between
the quartiles. The unit is processor time of all threads of the server (/proc/PID/stat) per request. One worker: the server on CPU 0, the generator on CPU 1; more workers: both anywhere. Peers
that are not installed (go, redis-server) are left out, and it says so. JSON goes to BUILD/net.json."""
import json
import os
import random
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 2
KV_REQUESTS = {1: 100000, 16: 500000}
CONNECTIONS = {"echo": (64, 1000), "http": (64, 512), "kv": (1, 16), "idle": (10000,)}
IDLE_SERVERS = ("coir uring", "coir epoll", "go", "pthreads")


def go_programs(folder):
    """The Go peers, compiled; empty without go."""
    if not shutil.which("go"):
        print("no go here: its rows are left out")
        return {}
    for name in ("echo", "http"):
        subprocess.run(["go", "build", "-o", f"{folder}/{name}_go", f"{HERE}/peers/{name}.go"],
                       check=True)
    return {"echo": f"{folder}/echo_go", "http": f"{folder}/http_go"}


def servers(build, question, workers, go):
    """name: (command with PORT, environment)"""
    bench, one = os.path.join(build, "bench"), str(workers)
    if question == "kv":
        kv = os.path.join(build, "examples", "example_kv")
        found = {f"coir {d}": ([kv, "127.0.0.1:PORT"], {"COIR_WORKERS": one, "COIR_DRIVER": d})
                 for d in ("uring", "epoll")}
        if shutil.which("redis-server"):
            found["redis-server"] = (["redis-server", "--port", "PORT", "--save", "",
                                      "--appendonly", "no"], {})
        else:
            print("no redis-server here: its rows are left out")
        return found
    what = "http" if question == "http" else "echo"
    found = {f"coir {d}": ([f"{bench}/{what}_coir", "PORT", one], {"COIR_DRIVER": d})
             for d in ("uring", "epoll")}
    if go:
        found["go"] = ([go[what], "PORT", one, "raw"], {})
        if question == "http":
            found["go net/http"] = ([go[what], "PORT", one, "net"], {})
    found["pthreads"] = ([f"{bench}/{what}_pthreads", "PORT"], {})
    found["liburing"] = ([f"{bench}/{what}_uring", "PORT"], {})
    if what == "echo":
        found["epoll loop"] = ([f"{bench}/echo_epoll", "PORT"], {})
    return {n: s for n, s in found.items() if question != "idle" or n in IDLE_SERVERS}


class Server:
    def __init__(self, command, env, workers):
        self.command = command
        self.port = random.randrange(20000, 32000)
        pin = ["taskset", "-c", "0"] if workers == 1 else []
        self.process = subprocess.Popen(
            pin + [a.replace("PORT", str(self.port)) for a in command],
            env={**os.environ, **env}, stdout=subprocess.DEVNULL)
        for _ in range(250):
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.02)
        sys.exit(f"{command[0]} does not serve")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def cpu_ns(self):
        """Of all threads, those too that ended with their connection; in ticks of 10 ms."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 10**9 // os.sysconf("SC_CLK_TCK")

    def memory(self):
        """VmRSS and VmPTE, in bytes."""
        with open(f"/proc/{self.process.pid}/status") as f:
            text = f.read()
        return sum(int(re.search(rf"{name}:\s+(\d+) kB", text).group(1)) * 1024
                   for name in ("VmRSS", "VmPTE"))

    def end(self):
        self.process.kill()
        self.process.wait()


def generator(command, workers):
    out = subprocess.run((["taskset", "-c", "1"] if workers == 1 else []) + command,
                         capture_output=True, text=True, timeout=120)
    if out.returncode:
        sys.exit(f"{command[0]}: exit code {out.returncode}: {out.stderr.strip()}")
    return out.stdout


def ask_echo(build, server, connections, workers):
    out = json.loads(generator([f"{build}/bench/echo_load", str(server.port), str(connections),
                                str(SECONDS), str(server.process.pid)], workers))
    return out["value"], out["requests_per_s"]


def ask_http(_, server, connections, workers):
    url = f"http://127.0.0.1:{server.port}/"
    generator(["wrk", "-t1", f"-c{connections}", "-d1s", url], workers)  # warm
    before = server.cpu_ns()
    out = generator(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", url], workers)
    n = int(re.search(r"(\d+) requests in", out).group(1))
    assert n > 0 and "Non-2xx" not in out and "Socket errors" not in out, (server.command, out)
    return (server.cpu_ns() - before) / 1000 / n, n / SECONDS


def ask_kv(_, server, pipeline, workers):
    n, rate = KV_REQUESTS[pipeline], []
    before = server.cpu_ns()
    for command in ("set", "get"):
        out = generator(["redis-benchmark", "-p", str(server.port), "-c", "50", "-P", str(pipeline),
                         "-n", str(n), "-r", "100000", "-t", command, "-q"], workers)
        rate.append(float(re.findall(r"([\d.]+) requests per second", out)[-1]))
    return (server.cpu_ns() - before) / 1000 / (2 * n), statistics.mean(rate)


def ask_idle(_, server, connections, __):
    before = server.memory()
    held = [server.connect() for _ in range(connections)]
    for s in held:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
    time.sleep(0.2)
    each = (server.memory() - before) / connections
    for s in held:
        s.close()
    return each, connections


ASK = {"echo": ask_echo, "http": ask_http, "kv": ask_kv, "idle": ask_idle}
WHAT = {"kv": "pipeline", "idle": "connections", "echo": "connections", "http": "connections"}


def spread(values):
    if len(values) < 2:
        return 0
    q = statistics.quantiles(values, n=4)
    return (q[2] - q[0]) / statistics.median(values) * 100


def answer(build, question, size, workers, rounds, go):
    values, rates = {}, {}
    found = servers(build, question, workers, go)
    for _ in range(rounds):
        for name, (command, env) in found.items():
            server = Server(command, env, workers)
            value, rate = ASK[question](build, server, size, workers)
            server.end()
            values.setdefault(name, []).append(value)
            rates.setdefault(name, []).append(rate)
    unit = "bytes each" if question == "idle" else "CPU us/request"
    print(f"\n{question}, {size} {WHAT[question]}, {workers} worker(s): {unit}")
    first = statistics.median(values["coir uring"])
    for name, v in values.items():
        m = statistics.median(v)
        print(f"  {name:14} {m:10,.2f} {spread(v):4.0f} %  {first / m:6.2f}x"
              f"  {statistics.median(rates[name]):12,.0f}/s" if question != "idle" else
              f"  {name:14} {m:10,.0f} {spread(v):4.0f} %  {first / m:6.2f}x", flush=True)
    return {"question": question, "size": size, "workers": workers, "unit": unit, "values": values,
            "rates": rates}


def main(argv):
    options = {"--rounds": 5, "--workers": 1}
    for name in options:
        if name in argv:
            at = argv.index(name)
            options[name] = int(argv[at + 1])
            del argv[at:at + 2]
    build, asked = os.path.abspath(argv[0]), argv[1:] or list(CONNECTIONS)
    unknown = [q for q in asked if q not in CONNECTIONS]
    if unknown:
        sys.exit(f"no such question: {', '.join(unknown)}; there are {', '.join(CONNECTIONS)}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        go = go_programs(folder) if set(asked) & {"echo", "http", "idle"} else {}
        rows = [answer(build, q, size, options["--workers"], options["--rounds"], go)
                for q in asked for size in CONNECTIONS[q]]
    with open(os.path.join(build, "net.json"), "w") as f:
        json.dump({"machine": list(os.uname()), "processors": os.cpu_count(), "rows": rows}, f,
                  indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
