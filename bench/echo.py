# SPDX-License-Identifier: MIT
"""echo - echo servers of 64 bytes and what a request costs them.

One generator for all servers, in a process of its own: a closed loop, one request in flight on each
connection. On one worker the server has processor 0 and the generator processor 1; on two nobody is
bound. What counts is the processor time of the server's threads; latency and requests a second depend
on the generator too."""
import itertools
import os
import socket
import subprocess
import time

import measure

ROWS = [(64, 1), (1000, 1)]
ROWS_ALL = [(1, 1), (64, 1), (1000, 1), (1, 2), (64, 2), (1000, 2)]
PORTS = itertools.count(12000 + os.getpid() % 16000)  # below the ephemeral ones


def contenders(build):
    """The servers; each takes a port and the number of workers."""
    servers = {who: os.path.join(build, "bench", "echo_" + who)
               for who in ("coir", "pthreads", "uring")}
    go = measure.go_peer(build, "echo")
    if go:
        servers["Go"] = go
    return servers


def bind_to(cpu):
    return (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None


def wait_for(port, server):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.02)
    raise SystemExit(f"the server on port {port} does not answer")


def once(build, server, connections, workers, seconds):
    port = next(PORTS)
    pinned = workers == 1 and (os.cpu_count() or 1) > 1
    process = subprocess.Popen([server, str(port), str(workers)],
                               preexec_fn=bind_to(0 if pinned else None))
    try:
        wait_for(port, process)
        load = [os.path.join(build, "bench", "echo_load"), str(port), str(connections),
                str(seconds), str(process.pid)]
        if pinned:
            load = ["taskset", "-c", "1", *load]
        return measure.program(load)
    finally:
        process.kill()
        process.wait()


def row(build, connections, workers, rounds, seconds):
    runs = {who: lambda server=server: once(build, server, connections, workers, seconds)
            for who, server in contenders(build).items()}
    values = measure.interleave(rounds, runs, f"echo, {connections} connections, {workers} workers")
    base = measure.median(values["pthreads"])
    for who, results in values.items():
        us = measure.median(results)
        to_go = f"{us / measure.median(values['Go']):6.2f}" if "Go" in values else f"{'-':>6}"
        print(f"{connections:5} connections, {workers} t  {who:10} {us:8.2f}"
              f" {measure.spread(results):4.0f} % {base / us:7.2f}x {to_go}"
              f" {measure.median(results, 'requests_per_s'):10,.0f}"
              f" {measure.median(results, 'p50_us'):9.1f} {measure.median(results, 'p99_us'):9.1f}"
              f" {measure.median(results, 'p999_us'):9.1f}", flush=True)
    return {"question": "echo", "connections": connections, "workers": workers,
            "unit": "CPU us/request", "values": values}


def table(build, rounds, everything):
    print(f"\n{'echo of 64 bytes':23} {'server':>10} CPU us/req. sprd.  faster  to Go"
          f" {'requests/s':>10} {'p50 us':>9} {'p99 us':>9} {'p99.9 us':>9}")
    return [row(build, connections, workers, rounds, 2 if everything else 1)
            for connections, workers in (ROWS_ALL if everything else ROWS)]
