#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py WHAT PROGRAM [PROGRAM] - runs an example and looks at what it does, as a stranger would.

Servers get a free port; curl and wrk are used where they are installed. COIR_DRIVER chooses the
driver. Every wait has an end."""
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time

LIMIT = 60


def ran(program, *args):
    return subprocess.run([program, *args], check=True, capture_output=True, text=True,
                          timeout=LIMIT).stdout


class Server:
    """A server on a port of its own; ends with the block."""

    def __init__(self, program, *args):
        self.argv = [program, *args]

    def __enter__(self):
        for _ in range(20):
            self.port = random.randrange(20000, 32000)
            self.address = f"127.0.0.1:{self.port}"
            self.process = subprocess.Popen([self.argv[0], self.address, *self.argv[1:]])
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    return self
                except OSError:
                    time.sleep(0.02)
                if self.process.poll() is not None:
                    break  # the port was taken: another one
        sys.exit(f"{self.argv[0]} does not serve, exit code {self.process.poll()}")

    def __exit__(self, *_):
        assert self.process.poll() is None, f"the server ended: {self.process.poll()}"
        self.process.terminate()
        self.process.wait(LIMIT)

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), LIMIT)
        s.settimeout(LIMIT)
        return s


def read_all(s):
    parts = []
    while True:
        part = s.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def echoes(server):
    """Small and large, many connections at once, half-close."""
    conns = [server.connect() for _ in range(50)]
    for i, s in enumerate(conns):
        s.sendall(b"%d" % i)
    for i, s in enumerate(conns):
        assert s.recv(100) == b"%d" % i
        s.close()
    s, data = server.connect(), random.randbytes(1 << 20)
    sent, got = 0, b""
    while len(got) < len(data):
        if sent < len(data):
            sent += s.send(data[sent:sent + 4096])
        got += s.recv(4096)
    assert got == data
    s.sendall(b"the rest")
    s.shutdown(socket.SHUT_WR)
    assert read_all(s) == b"the rest"


def hello(program):
    said = ran(program)
    for name in ("coconut", "coir", "copra"):
        assert f"hello from {name}, coroutine " in said, said


def sieve(program):
    primes = [n for n in range(2, 542) if all(n % d for d in range(2, n))]
    assert ran(program, "100").split() == [str(p) for p in primes]


def pipeline(program):
    assert ran(program).strip().endswith(": 333383335000")


def echo(program):
    with Server(program) as server:
        echoes(server)


def proxy(program, echo_program):
    with Server(echo_program) as behind, Server(program, behind.address) as front:
        echoes(front)


def http(program):
    hello_world = b"Hello, World\n"
    with Server(program) as server:
        url = f"http://{server.address}/"
        s = server.connect()
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        s.sendall(request[:10])  # a request in pieces
        time.sleep(0.05)
        s.sendall(request[10:])
        first = s.recv(1000)
        assert first.startswith(b"HTTP/1.1 200 OK\r\n") and first.endswith(hello_world), first
        s.sendall(request * 500)  # pipelined, on the same connection
        got = b""
        while got.count(hello_world) < 500:
            part = s.recv(65536)
            assert part
            got += part
        s.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert read_all(s).endswith(hello_world)
        s = server.connect()
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(s).endswith(hello_world)
        if shutil.which("curl"):
            assert ran("curl", "-sS", "--max-time", "20", url, url) == "Hello, World\n" * 2
        if shutil.which("wrk"):
            said = ran("wrk", "-t1", "-c50", "-d2s", url)
            requests = int(re.search(r"(\d+) requests in", said).group(1))
            assert requests > 100 and "Socket errors" not in said and "Non-2xx" not in said, said
            print(said)


def main(argv):
    what, programs = argv[0], argv[1:]
    if os.environ.get("COIR_DRIVER") == "uring":
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
        from tally import ring_can_be_had
        if not ring_can_be_had():
            print("skipped: no ring can be had here")
            return 77
    {"hello": hello, "sieve": sieve, "pipeline": pipeline, "echo": echo, "proxy": proxy,
     "http": http}[what](*programs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
