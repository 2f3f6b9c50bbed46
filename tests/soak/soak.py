#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""soak.py SERVER CLIENT CONNECTIONS SECONDS - many connections for a long time, and what is left.

Starts the server, and clients in processes of their own. A first short wave with all connections
fills the caches; what stands then is "before". After the long wave the server must have as many
descriptors and live coroutines as before, and its memory within 5 %% (RSS_PERCENT). At least 20 %%
of the connections must have ended by a reset in mid-message and 20 %% by half-close.
"""
import os
import resource
import socket
import subprocess
import sys
import time

PROCESSES = 2


def stat(server):
    server.stdin.write("stat\n")
    server.stdin.flush()
    while True:
        line = server.stdout.readline()
        if not line:
            sys.exit(f"soak: the server is gone, exit code {server.wait()}")
        if line.startswith("stat "):
            return {k: int(v) for k, v in (f.split("=") for f in line.split()[1:])}
        print("server:", line.strip())


def settled(server, port, base, patience):
    """Waits until the server has noticed that everybody went away; then for threads that were made
    when others were stuck (each has a ring and an eventfd) to end, and free stacks to go back. A
    thread does not end while the accept waits on its ring: some connections, one at a time, bring
    the accept to a worker that stays."""
    peak = 0  # since the last question
    for _ in range(600):
        s = stat(server)
        peak = max(peak, s["peak"])
        if s["live"] <= base:
            break
        time.sleep(0.1)
    for _ in range(20):
        socket.create_connection(("127.0.0.1", int(port))).close()
        time.sleep(0.02)
    time.sleep(patience)
    return {**stat(server), "peak": peak}


def wave(client, port, connections, seconds, first):
    """Runs the clients; their counts, added up."""
    each = [connections // PROCESSES + (i < connections % PROCESSES) for i in range(PROCESSES)]
    clients = [subprocess.Popen([client, port, str(n), str(seconds), str(first + i * 10**9)],
                                stdout=subprocess.PIPE, text=True)
               for i, n in enumerate(each) if n]
    total, good = {}, True
    for c in clients:
        out, _ = c.communicate()
        good = good and c.returncode == 0
        for line in out.splitlines():
            if line.startswith("client "):
                for k, v in (f.split("=") for f in line.split()[1:]):
                    total[k] = total.get(k, 0) + int(v)
            else:
                print(line)
    print("clients:", *(f"{k}={v}" for k, v in total.items()), flush=True)
    return total, good


def main(argv):
    server_program, client = argv[0], argv[1]
    connections, seconds = int(argv[2]), int(argv[3])
    percent = float(os.environ.get("RSS_PERCENT", "5"))
    patience = 2 if seconds < 60 else 15
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = connections + 1000
    if hard != resource.RLIM_INFINITY and hard < want:
        print(f"skipped: {want} descriptors are needed, the limit is {hard}")
        return 77
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))

    server = subprocess.Popen([server_program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    hello = server.stdout.readline().split()
    if len(hello) < 2 or hello[0] != "port":
        print("soak: the server said", hello, "exit code", server.wait())
        return 1
    print("server:", *hello[2:], flush=True)
    port = hello[1]
    idle = stat(server)

    _, good_warm = wave(client, port, connections, min(max(5, seconds // 10), seconds), 10**12)
    before = settled(server, port, idle["live"], patience)
    peak_warm = before["peak"]
    counts, good = wave(client, port, connections, seconds, 2 * 10**12)
    after = settled(server, port, idle["live"], patience)
    print("before:", *(f"{k}={v}" for k, v in before.items()))
    print("after: ", *(f"{k}={v}" for k, v in after.items()))

    claims = {
        "every client's bytes and ends were right": good and good_warm,
        "every byte that the server got was right": after["wrong"] == 0,
        "the server saw no failure": after["failed"] == 0,
        f"{connections} connections stood at once": max(peak_warm, after["peak"]) >= connections,
        "20 % ended by a reset in mid-message": counts["reset"] * 5 >= counts["opened"],
        "20 % ended by half-close": counts["half_close"] * 5 >= counts["opened"],
        "descriptors as before": after["fds"] == before["fds"],
        "live coroutines as before": after["live"] == before["live"] == idle["live"],
        f"memory within {percent:g} %":
            abs(after["rss_kib"] - before["rss_kib"]) * 100 <= percent * before["rss_kib"],
    }
    server.stdin.close()
    claims["the server stopped with nobody left"] = server.wait(timeout=60) == 0
    for claim, holds in claims.items():
        print("holds:" if holds else "FAILS:", claim)
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
