"""What the end-to-end tests share: a server of their own on free loopback ports, raw connections, waiting, metrics.

A server dies with the test that started it, however that ends. POLARKV and KVBENCH name the binaries; POLAR_SLOW
multiplies every time limit (sanitizers); E2E_SERVER=reference puts Debian's memcached and redis in polarkv's place, which
proves the tests themselves right.
"""
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = os.environ.get("POLAR_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/release"))
POLARKV = os.environ.get("POLARKV", os.path.join(BUILD, "server/polarkv"))
KVBENCH = os.environ.get("KVBENCH", os.path.join(BUILD, "bench/kvbench"))
SLOW = float(os.environ.get("POLAR_SLOW", "1"))
REFERENCE = os.environ.get("E2E_SERVER") == "reference"
SKIPPED = 77
SPARE_BUFFERS = 7
QUIET_CONNECTIONS = 2 if REFERENCE else 1  # the one that asks; memcached counts its listener too
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def seconds(limit):
    return limit * SLOW


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count):
    """Ports that nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(condition, what, limit=10):
    """Returns the first true value of condition(); fails when there is none in time."""
    end = time.monotonic() + seconds(limit)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds(limit):g} s: {what}")
        time.sleep(0.02)


def run(command, limit=30, **options):
    """Runs a client program to its end: (exit status, standard output, standard error)."""
    done = subprocess.run(command, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=seconds(limit), preexec_fn=die_with_parent, **options)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def resp(*words):
    """A RESP request."""
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Raw:
    """A connection that sends exactly what it is told to and reads exactly what comes."""

    def __init__(self, address, limit=10, receive_buffer=0):
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket.settimeout(seconds(limit))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_pieces(self, pieces, pause=0.0):
        for piece in pieces:
            self.socket.sendall(piece)
            if pause:
                time.sleep(pause)

    def read(self, count):
        """Exactly count bytes; fewer only when the peer closes first."""
        parts, have = [self.pending], len(self.pending)
        while have < count:
            data = self.socket.recv(1 << 20)
            if not data:
                break
            parts.append(data)
            have += len(data)
        data = b"".join(parts)
        self.pending = data[count:]
        return data[:count]

    def read_until(self, end):
        """Up to and with `end`; what there is when the peer closes first."""
        data, searched = bytearray(self.pending), 0
        while True:
            at = data.find(end, max(0, searched - len(end)))
            if at >= 0:
                self.pending = bytes(data[at + len(end):])
                return bytes(data[:at + len(end)])
            searched = len(data)
            try:
                more = self.socket.recv(1 << 20)
            except ConnectionResetError:
                more = b""
            if not more:
                self.pending = b""
                return bytes(data)
            data += more

    def read_all(self):
        """Everything until the peer closes. A reset counts as a close."""
        parts = [self.pending]
        self.pending = b""
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                return b"".join(parts)
            parts.append(data)

    def ask(self, data, end=b"\r\n"):
        self.send(data)
        return self.read_until(end)

    def read_reply(self):
        """One RESP2 or RESP3 reply: str for simple strings, Exception for errors, bytes for bulk strings."""
        line = self.read_until(b"\r\n")[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Exception(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        if kind in (b"$", b"="):
            return None if rest == b"-1" else self.read(int(rest) + 2)[:-2]
        if kind in (b"*", b"~"):
            return None if rest == b"-1" else [self.read_reply() for _ in range(int(rest))]
        if kind == b"%":
            return {self.read_reply(): self.read_reply() for _ in range(int(rest))}
        raise AssertionError(f"no RESP reply: {line[:100]!r}")

    def command(self, *words):
        self.send(resp(*words))
        return self.read_reply()

    def finish(self):
        """No more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()

    def close(self):
        self.socket.close()


class Process:
    """A server process: its output in a file, stopped by its id."""

    def __init__(self, command, env=None):
        self.output = tempfile.TemporaryFile()
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
                                        preexec_fn=die_with_parent, env=env)

    def text(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def stop(self, limit=15):
        """Asks it to end; returns the exit status. One that does not end is killed, and that is an error."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds(limit))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.command[0]} does not end on SIGTERM; its output:\n{self.text()}")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Polarkv(Process):
    """polarkv, by default on loopback kernel sockets with little memory."""

    SMALL = ["--memory-limit", "96m", "--buffer-memory", "64m"]

    def __init__(self, *options, cores=1, address="127.0.0.1", wait=True, prefix=()):
        self.address = address
        memcache_port, resp_port = free_ports(2)
        self.memcache_address = (address, memcache_port)
        self.resp_address = (address, resp_port)
        super().__init__([*prefix, POLARKV, "--memcache-port", str(memcache_port), "--resp-port", str(resp_port),
                          "--cores", str(cores), *self.SMALL, *options])
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.process.kill()
                self.process.wait()
                raise

    def wait_ready(self, limit=20):
        for address in (self.memcache_address, self.resp_address):
            wait_for(lambda: self.answers(address), f"{self.command} listens on {address}; its output:\n{self.text()}",
                     limit)

    def answers(self, address):
        if not self.alive():
            raise AssertionError(f"{self.command} ended with {self.process.returncode}:\n{self.text()}")
        try:
            with Raw(address, limit=2):
                return True
        except OSError:
            return False

    def memcache(self, **options):
        return Raw(self.memcache_address, **options)

    def resp(self, **options):
        return Raw(self.resp_address, **options)

    def stats(self, kind=b""):
        """The rows of `stats`, numbers as int."""
        with self.memcache(limit=20) as c:
            text = c.ask(b"stats " + kind + b"\r\n" if kind else b"stats\r\n", b"END\r\n").decode()
        rows = dict(line.split(" ", 2)[1:] for line in text.split("\r\n") if line.startswith("STAT "))
        return {name: int(value) if re.fullmatch(r"-?\d+", value) else value for name, value in rows.items()}

    def stop(self, limit=30):
        status = super().stop(limit)
        text = self.text()
        self.output.close()
        fault = re.search(r"(ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer|Assertion .* failed)", text)
        if status != 0 or fault:
            raise AssertionError(f"polarkv ended with {status}; its output:\n{text}")
        return status


class Reference:
    """Debian's memcached and redis behind polarkv's face."""

    def __init__(self):
        memcache_port, resp_port = free_ports(2)
        self.memcache_address = ("127.0.0.1", memcache_port)
        self.resp_address = ("127.0.0.1", resp_port)
        self.processes = [
            Process(["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(memcache_port), "-U", "0"]),
            Process(["redis-server", "--bind", "127.0.0.1", "--port", str(resp_port), "--save", "", "--appendonly", "no",
                     "--dir", "/tmp"])]
        wait_for(lambda: self.answers(self.memcache_address) and self.answers(self.resp_address), "reference servers")

    @staticmethod
    def answers(address):
        with socket.socket() as s:
            return s.connect_ex(address) == 0

    memcache = Polarkv.memcache
    resp = Polarkv.resp
    stats = Polarkv.stats

    def alive(self):
        return all(p.alive() for p in self.processes)

    def stop(self):
        for p in self.processes:
            p.stop()
            p.output.close()


def limit_time(limit):
    """Raises AssertionError in what runs then, in so many seconds; 0: not any more."""
    def expired(*_):
        raise AssertionError(f"took longer than {seconds(limit):g} s")

    signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds(limit))


class ServerTest(unittest.TestCase):
    """One server for all tests of a class, which must still be alive and leave no sanitizer report at the end."""

    options = ()
    cores = 1

    @classmethod
    def start_server(cls):
        return Reference() if REFERENCE else Polarkv(*cls.options, cores=cls.cores)

    @classmethod
    def setUpClass(cls):
        cls.server = cls.start_server()
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        """A test has a minute. After one that left the server deaf, those that follow fail at once."""
        self.assertTrue(self.server.alive(), "the server died in an earlier test")
        with self.server.memcache(limit=3) as m, self.server.resp(limit=3) as r:
            m.ask(b"version\r\n")
            r.command("PING")
        limit_time(60)

    def tearDown(self):
        limit_time(0)
        self.assertTrue(self.server.alive(), "the server died")

    def memcache(self, **options):
        connection = self.server.memcache(**options)
        self.addCleanup(connection.close)
        return connection

    def resp(self, **options):
        connection = self.server.resp(**options)
        self.addCleanup(connection.close)
        return connection

    def flush(self):
        with self.server.memcache() as m, self.server.resp() as r:
            self.assertEqual(m.ask(b"flush_all\r\n"), b"OK\r\n")
            self.assertEqual(r.ask(resp("FLUSHALL")), b"+OK\r\n")

    def quiet_counts(self, names):
        """The counts once earlier connections are gone: when they have stood still for longer than gauges take."""
        last = [None, time.monotonic()]

        def quiet():
            stats = self.server.stats()
            now = {n: stats[n] for n in names}
            if now != last[0] or now["curr_connections"] > QUIET_CONNECTIONS:
                last[:] = now, time.monotonic()
            time.sleep(0.2)
            return time.monotonic() - last[1] > 1.5

        try:
            wait_for(quiet, "", 30)
        except AssertionError:
            self.fail(f"the counts do not come to rest: {last[0]}")
        return last[0]

    def assert_metrics_return(self, before, names, limit=20):
        """Each named metric comes back to what it was before, though gauges are refreshed but once a second. A core keeps
        a few buffers at hand for its next receive call; they count as in use."""
        slack = {"buffers_in_use": SPARE_BUFFERS * self.cores}
        off = {}

        def back():
            now = self.server.stats()
            off.clear()
            off.update({n: (before[n], now[n]) for n in names if abs(now[n] - before[n]) > slack.get(n, 0)})
            return not off

        try:
            wait_for(back, "", limit)
        except AssertionError:
            self.fail(f"metrics that did not come back (before, after): {off}")


def main():
    """unittest's main, with ctest's exit status for a run in which everything was skipped."""
    faults = unittest.main(verbosity=2, exit=False).result
    if not faults.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if faults.testsRun and len(faults.skipped) == faults.testsRun else 0)
