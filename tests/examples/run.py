#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py WHAT PROGRAM [PROGRAM] - runs an example and looks at what it does, as a stranger would.

Servers get a free port; curl and wrk are used where they are installed. COIR_DRIVER chooses the
driver. Every wait has an end."""
import collections
import glob
import os
import pwd
import random
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

LIMIT = 60


def ran(program, *args):
    return subprocess.run([program, *args], check=True, capture_output=True, text=True,
                          timeout=LIMIT).stdout


class Server:
    """A server on a port of its own; ends with the block."""

    def __init__(self, program, *args, stderr=None, stdout=None):
        self.argv = [program, *args]
        self.stderr, self.stdout = stderr, stdout

    def __enter__(self):
        for _ in range(20):
            self.port = random.randrange(20000, 32000)
            self.address = f"127.0.0.1:{self.port}"
            self.process = subprocess.Popen([self.argv[0], self.address, *self.argv[1:]],
                                            stderr=self.stderr, stdout=self.stdout)
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


def measure_cpu(pid):
    """Seconds of processor time."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def tags(program):
    said = ran(program)
    for i in (1, 2, 3):
        assert f"request {i}: begins" in said and f"request {i}: ends" in said, said
    assert said.endswith("nobody: all served\n"), said


def spans(program):
    said = ran(program).splitlines()
    wanted = ["/index of nobody"] * 2 + ["/login of nobody"]
    wanted += ["query of /index"] * 2 + ["query of /login"]
    assert sorted(said) == wanted, said


def pinned(program):
    assert sorted(ran(program).split()) == ["0.33", "0.67", "1.00"]


def seeded(program):
    said = ran(program)
    seed = re.fullmatch(r"seed (\d+) fetches key \d twice\n", said).group(1)
    assert ran(program, seed) == said


def stuck(program):
    said = ran(program)
    assert "nothing can run any more, 3 coroutines wait" in said, said
    for name in ("ada", "zeno"):
        assert re.search(rf"\({name}\) spawned at .*stuck.c:\d+ waits: mutex 0x", said), said


def mirrors(program):
    assert ran(program) == "near has it, after less than a second\n"


def pipeline(program):
    assert ran(program).strip().endswith(": 333383335000")


def select(program):
    said = ran(program).split("\n")
    assert said[0].startswith("first: quick"), said
    assert said[1:] == ["nobody in 5 ms", "work done: 20", ""], said


def timer(program):
    said = ran(program).split("\n")
    assert said[:3] == ["tick 1", "tick 2", "tick 3"] and said[3] == "quiet for 20 ms", said


def typed(program):
    assert ran(program) == "at 30, 40\n"


def futures(program):
    assert ran(program) == "".join(f"thread {i}: 4900\n" for i in range(4)) + \
        "one took too long: given up\nno answer for 1\n"


def locks(program):
    assert ran(program) == "made once, 3 at a time at most, 300 looked up, 10 written\n"


def echo(program):
    with Server(program) as server:
        echoes(server)


def hosted(program):
    """The loop's own timer goes on beside the coroutines, and its end is a clean one."""
    server = Server(program, os.environ["COIR_DRIVER"], stdout=subprocess.PIPE).__enter__()
    said = []
    echoes(server)
    s = server.connect()
    s.sendall(b"stays open")
    assert s.recv(100) == b"stays open"
    for line in server.process.stdout:
        said.append(int(line.split()[0]))
        if said[-1] > 52 and len(said) > 5:
            break
    assert said == sorted(said), said
    before = measure_cpu(server.process.pid)
    time.sleep(0.5)
    assert measure_cpu(server.process.pid) - before < 0.25  # it sleeps
    server.process.terminate()
    assert server.process.wait(LIMIT) == 0
    assert s.recv(100) == b""


def storm(program):
    """Two seconds of short connections from many clients at once: resets, half-closes, readers that
    let the server's buffers fill, and good ones; every byte that comes back is right, the loop's own
    timer goes on, and the server has the descriptors afterwards that it began with."""
    server = Server(program, os.environ["COIR_DRIVER"], stdout=subprocess.PIPE).__enter__()
    fd_folder = f"/proc/{server.process.pid}/fd"
    until = 0
    counts, bad = collections.Counter(), []

    def receive(s, n):
        got = bytearray()
        while len(got) < n:
            part = s.recv(n - len(got))
            assert part, f"{len(got)} of {n} bytes"
            got += part
        return bytes(got)

    def good(s, data):
        for i in range(3):
            s.sendall(data[i * 100:i * 100 + 100])
            assert receive(s, 100) == data[i * 100:i * 100 + 100]

    def half_closed(s, data):
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == data

    def reset(s, data):
        s.sendall(data)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def reset_unread(s, data):  # what the server sends has nowhere to go when the reset comes
        s.setblocking(False)
        try:
            while s.send(data * 20):
                pass
        except BlockingIOError:
            pass
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def slow(s, data):
        data *= 300
        feeder = threading.Thread(target=s.sendall, args=[data])
        feeder.start()
        time.sleep(0.05)
        assert receive(s, len(data)) == data
        feeder.join()

    def client(number):
        rand = random.Random(number)
        try:
            while time.monotonic() < until:
                how = rand.choice([good, good, half_closed, reset, reset_unread, slow])
                s = server.connect()
                if how is slow:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                how(s, rand.randbytes(3000))
                s.close()
                counts[how.__name__] += 1
        except Exception as e:  # of any kind: the thread's end would not be seen
            bad.append(repr(e))

    try:
        echoes(server)
        began_with = settled(fd_folder)
        until = time.monotonic() + 2
        clients = [threading.Thread(target=client, args=[i]) for i in range(12)]
        for c in clients:
            c.start()
        for _ in range(15):  # one every 100 ms: it is the loop's timer that says them
            assert server.process.stdout.readline().endswith(b" echoed\n")
        for c in clients:
            c.join(LIMIT)
        assert not bad and not any(c.is_alive() for c in clients), bad
        assert len(counts) == 5, counts
        for _ in range(LIMIT * 20):
            left = links(fd_folder)
            if len(left) <= began_with:
                break
            time.sleep(0.05)
        assert len(left) <= began_with, left
        echoes(server)
        server.process.terminate()
        assert server.process.wait(LIMIT) == 0
    finally:
        server.process.kill()
    print(dict(counts))


def links(folder):
    """What a server's descriptors are, but for those that go meanwhile."""
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(os.path.join(folder, name)))
        except FileNotFoundError:
            pass
    return found


def settled(folder):
    """How many descriptors a server has at rest: as many for half a second."""
    last, still = None, 0
    while still < 10:
        n = len(os.listdir(folder))
        still = still + 1 if n == last else 0
        last = n
        time.sleep(0.05)
    return last


def redis_module(module, echo_program):
    """Debian's redis-server loads it; many ask at once while Redis serves others; then it unloads."""
    if not shutil.which("redis-server"):
        print("skipped: no redis-server here")
        sys.exit(77)

    def command(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    def answer(s):
        got = b""
        while not got.endswith(b"\r\n") or (got[:1] == b"$" and got.count(b"\r\n") < 2):
            part = s.recv(1000)
            assert part, got
            got += part
        return got

    def asks(s, *words):
        s.sendall(command(*words))
        return answer(s)

    port = random.randrange(20000, 32000)
    driver = b"epoll" if os.environ["COIR_DRIVER"] == "epoll" else b"auto"
    with tempfile.TemporaryDirectory() as folder, Server(echo_program) as echo_server:
        redis = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder,
             "--enable-module-command", "yes", "--loadmodule", os.path.abspath(module), driver],
            stdout=subprocess.PIPE)
        try:
            for _ in range(500):
                try:
                    plain = socket.create_connection(("127.0.0.1", port), LIMIT)
                    break
                except OSError:
                    assert redis.poll() is None, redis.stdout.read()
                    time.sleep(0.02)
            address = echo_server.address.encode()
            conns = [socket.create_connection(("127.0.0.1", port), LIMIT) for _ in range(20)]
            for rounds in range(10):
                for i, s in enumerate(conns):
                    s.sendall(command(b"COIR.ASK", address, b"q%02d-%d" % (i, rounds)))
                assert asks(plain, b"INCR", b"n") == b":%d\r\n" % (rounds + 1)
                for i, s in enumerate(conns):
                    assert answer(s) == b"$5\r\nq%02d-%d\r\n" % (i, rounds)
            assert b"refused" in asks(plain, b"COIR.ASK", b"127.0.0.1:1", b"x")
            assert b"wrong number" in asks(plain, b"COIR.ASK", b"x")
            with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
                where = b"127.0.0.1:%d" % silent.getsockname()[1]
                conns[0].sendall(command(b"COIR.ASK", where, b"x"))
                _peer = silent.accept()
                assert b"timed out" in answer(conns[0])
                assert asks(plain, b"MODULE", b"UNLOAD", b"coir") == b"+OK\r\n"
            assert b"unknown command" in asks(plain, b"COIR.ASK", address, b"x")
            assert asks(plain, b"PING") == b"+PONG\r\n"
        finally:
            redis.terminate()
            redis.wait(LIMIT)


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


def kv(program):
    def asks(s, request, reply):
        s.sendall(request)
        got = b""
        while len(got) < len(reply):
            part = s.recv(65536)
            assert part, (request[:100], got[:100])
            got += part
        assert got == reply, (request[:100], got[:100], reply[:100])

    with Server(program) as server:
        s = server.connect()
        asks(s, b"PING\r\n", b"+PONG\r\n")
        asks(s, b"*1\r\n$4\r\nping\r\n" * 3, b"+PONG\r\n" * 3)
        for i in range(1, 40):  # cut at every place
            request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n"
            s.sendall(request[:i])
            time.sleep(0.001)
            asks(s, request[i:], b"+OK\r\n")
        asks(s, b"GET k\r\nGET none\r\nMGET k none k\r\n",
             b"$5\r\nvalue\r\n$-1\r\n*3\r\n$5\r\nvalue\r\n$-1\r\n$5\r\nvalue\r\n")
        asks(s, b"INCR n\r\nINCR n\r\nINCR k\r\nDEL k n none\r\nGET k\r\n",
             b":1\r\n:2\r\n-ERR value is not an integer or out of range\r\n:2\r\n$-1\r\n")
        asks(s, b"SET n -10\r\nINCR n\r\nSET n 9223372036854775807\r\nINCR n\r\n",
             b"+OK\r\n:-9\r\n+OK\r\n-ERR value is not an integer or out of range\r\n")
        asks(s, b"SET k v EX 0\r\nSET k v XX 1\r\nGET\r\nnonsense\r\n",
             b"-ERR invalid expire time in 'set' command\r\n-ERR syntax error\r\n"
             b"-ERR wrong number of arguments\r\n-ERR unknown command\r\n")
        asks(s, b"SET k v EX 1\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n")
        big = random.randbytes(3 << 20)
        asks(s, b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s\r\n" % (len(big), big), b"+OK\r\n")
        asks(s, b"GET big\r\n" * 3, b"$%d\r\n%s\r\n" % (len(big), big) * 3)
        time.sleep(1.1)
        asks(s, b"GET k\r\n", b"$-1\r\n")
        for bad in (b"*1\r\n$x\r\n", b"*99999\r\n", b"*1\r\n$99999999999\r\n"):
            other = server.connect()
            other.sendall(bad)
            assert read_all(other) == b"-ERR Protocol error\r\n"
        if shutil.which("redis-cli"):
            def cli(*args):
                return ran("redis-cli", "-p", str(server.port), *args).strip()
            assert cli("set", "name", "coir", "ex", "60") == "OK"
            assert cli("get", "name") == "coir"
            assert cli("mget", "name", "none") == "coir"
            assert cli("incr", "count") == "1" and cli("del", "name", "count") == "2"
            assert cli("ping") == "PONG"
        if shutil.which("redis-benchmark"):
            for depth in ("1", "16"):
                said = ran("redis-benchmark", "-p", str(server.port), "-c", "50", "-P", depth,
                           "-n", "5000", "-r", "1000", "-t", "set,get,incr", "-q")
                for line in re.split(r"[\r\n]+", said):
                    if "per second" in line:
                        print(f"pipeline {depth}: {line.strip()}")
                assert said.count("requests per second") >= 3, said


def curl(program, http_program):
    with Server(http_program) as server:
        for n in ("1", "100"):
            assert ran(program, f"http://{server.address}/", n) == f"{n} of {n} answered\n"


def tls(program):
    """Many connections at once, with Python's ssl, a client that knows the certificate, and one that
    speaks no TLS; the pieces are larger than a record."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=LIMIT)
        with Server(program, cert, key) as server:
            knows = ssl.create_default_context(cafile=cert)

            def connect():
                return knows.wrap_socket(server.connect(), server_hostname="localhost")

            plain = server.connect()
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")  # no TLS: it ends, and disturbs nobody
            silent = server.connect()  # never shakes hands: it holds nobody up
            conns = [connect() for _ in range(30)]
            for i, s in enumerate(conns):
                s.sendall(b"%d" % i)
            for i, s in enumerate(conns):
                assert s.recv(100) == b"%d" % i
            conns[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conns[0].close()  # a reset
            data, got = random.randbytes(300000), b""
            feeder = threading.Thread(target=conns[1].sendall, args=[data])
            feeder.start()
            while len(got) < len(data):
                got += conns[1].recv(65536)
            feeder.join()
            assert got == data
            conns[2].unwrap()  # both say that they are through
            with subprocess.Popen(["openssl", "s_client", "-connect", server.address, "-quiet",
                                   "-CAfile", cert, "-verify_return_error"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
                client.stdin.write(b"through s_client\n")
                client.stdin.flush()
                assert client.stdout.readline() == b"through s_client\n"
                client.kill()
            silent.close()
    refused = subprocess.run([program, "127.0.0.1:0", "/no/cert", "/no/key"], capture_output=True,
                             text=True, timeout=LIMIT)
    assert refused.returncode == 2 and "usage" in refused.stderr, refused


def postgres_folder():
    """Where initdb and postgres are, or None."""
    for folder in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True):
        if os.path.exists(os.path.join(folder, "initdb")):
            return folder
    return None


class Postgres:
    """A server of our own: an empty data folder, a free port, an unprivileged user."""

    def __enter__(self):
        self.bin = postgres_folder()
        self.dir = tempfile.mkdtemp(prefix="coir-pq-")
        # postgres refuses to run as root.
        self.as_user = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
            self.as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.dir}
        data = os.path.join(self.dir, "data")
        subprocess.run([f"{self.bin}/initdb", "-D", data, "-U", "coir", "-A", "trust", "--no-sync"],
                       check=True, timeout=LIMIT, **quiet, **self.as_user)
        self.port = random.randrange(20000, 32000)
        self.process = subprocess.Popen(
            [f"{self.bin}/postgres", "-D", data, "-p", str(self.port), "-k", self.dir, "-F",
             "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60"], **quiet, **self.as_user)
        self.conninfo = f"host=127.0.0.1 port={self.port} user=coir dbname=postgres"
        for _ in range(500):
            if subprocess.run([f"{self.bin}/pg_isready", "-h", "127.0.0.1", "-p", str(self.port)],
                              stdout=subprocess.DEVNULL, timeout=LIMIT).returncode == 0:
                return self
            assert self.process.poll() is None, "postgres ended"
            time.sleep(0.05)
        sys.exit("postgres does not answer")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(LIMIT)
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


def pq(program):
    if not postgres_folder():
        print("skipped: no PostgreSQL server here")
        sys.exit(77)
    with Postgres() as server:
        for n in (1, 40):
            said = ran(program, server.conninfo, str(n))
            print(said.strip())
            assert said.startswith(f"{n} of {n} answered"), said
        bad = subprocess.run([program, "host=127.0.0.1 port=1 dbname=x"], capture_output=True,
                             text=True, timeout=LIMIT)
        assert bad.returncode == 1 and "refused" in bad.stderr, bad


def cat(program):
    names = [os.path.abspath(__file__), os.path.join(os.path.dirname(__file__), "meson.build")]
    wanted = b"".join(open(n, "rb").read() for n in names)
    got = subprocess.run([program, *names], check=True, capture_output=True, timeout=LIMIT).stdout
    assert got == wanted
    data = random.randbytes(300000)  # through pipes
    got = subprocess.run([program], input=data, check=True, capture_output=True, timeout=LIMIT)
    assert got.stdout == data
    none = subprocess.run([program, "/no/such/file"], capture_output=True, text=True, timeout=LIMIT)
    assert "No such file" in none.stderr, none


def udp(program):
    assert sorted(ran(program).splitlines()) == [
        "HELLO FROM COCONUT", "HELLO FROM COIR", "HELLO FROM COPRA"]


def run(program):
    def runs(*args):
        done = subprocess.run([program, *args], capture_output=True, text=True, timeout=LIMIT)
        return done.returncode, done.stdout

    assert runs("20", "sh", "-c", "echo one; sleep 0.1; echo two; exit 3") == (3, "ONE\nTWO\n")
    assert runs("1", "sh", "-c", "echo on; exec sleep 60") == (124, "ON\n")
    assert runs("20", "/no/such/program")[0] == 1


def graceful(program):
    for finish in (True, False):
        server = Server(program, stderr=subprocess.PIPE)
        server.__enter__()
        s = server.connect()
        s.sendall(b"before")
        assert s.recv(100) == b"before"
        server.process.terminate()
        time.sleep(0.2)
        s.sendall(b"after")  # the signal has not ended it
        assert s.recv(100) == b"after"
        try:
            server.connect()
            sys.exit("it still accepts")
        except OSError:
            pass
        if finish:
            s.close()
        said = server.process.communicate(timeout=LIMIT)[1]
        assert server.process.returncode == 0
        assert b"no new connections" in said
        assert (b"did not finish" not in said) == finish, said


def main(argv):
    what, programs = argv[0], argv[1:]
    if os.environ.get("COIR_DRIVER") == "uring":
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
        from tally import ring_can_be_had
        if not ring_can_be_had():
            print("skipped: no ring can be had here")
            return 77
    {"hello": hello, "tls": tls, "sieve": sieve, "pipeline": pipeline, "echo": echo, "proxy": proxy,
     "http": http, "kv": kv, "curl": curl, "pq": pq,
     "mirrors": mirrors, "tags": tags, "stuck": stuck, "pinned": pinned, "seeded": seeded, "spans": spans,
     "select": select, "timer": timer, "typed": typed, "locks": locks,
     "cat": cat, "futures": futures, "hosted": hosted, "storm": storm, "redis_module": redis_module, "udp": udp, "run": run, "graceful": graceful}[what](*programs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
