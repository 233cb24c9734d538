"""The library's echo server over AF_XDP on a veth pair, to a kernel whose TCP has odd settings, and over a wire that loses
frames and doubles others by BPF, both ways at once. `test_peers.py --bytes N`: so much each way over the bad wire.
"""
import contextlib
import hashlib
import os
import select
import shutil
import socket
import sys
import tempfile
import time
import unittest

import network
from harness import BUILD, Process, main, run, seconds, wait_for

EXAMPLES = os.environ.get("EXAMPLES", os.path.join(BUILD, "net/examples"))
LOSS_BPF = os.environ.get("LOSS_BPF", os.path.join(os.path.dirname(os.path.abspath(__file__)), "loss.bpf.c"))
SERVER, CLIENT, ADDRESS, PORT = "pp-server", "pp-client", "10.81.0.1", 7
LONG_BYTES = 64 << 20
BLOCK = 1 << 20
TIMESTAMPS, SACK, SCALE = 1, 2, 4  # bits of tcpi_options


@contextlib.contextmanager
def sysctl(name, value):
    path = f"/proc/sys/net/ipv4/{name}"
    with open(path) as file:
        before = file.read()
    with open(path, "w") as file:
        file.write(value)
    try:
        yield
    finally:
        with open(path, "w") as file:
            file.write(before)


class Pattern:
    """A stream of bytes that differs everywhere, and what of it comes back."""

    def __init__(self):
        self.block = os.urandom(BLOCK)
        self.sent, self.back = hashlib.sha256(), hashlib.sha256()

    def piece(self, at):
        return b"%016x" % at + self.block[16:]


def echo(s, total, limit):
    """Sends total bytes and reads them back at the same time; the bytes that came back, equal or not, and the seconds."""
    pattern, queued, sent, got = Pattern(), b"", 0, 0
    start = time.monotonic()
    s.setblocking(False)
    while got < total:
        if time.monotonic() - start > seconds(limit):
            raise AssertionError(f"after {seconds(limit):g} s {sent} of {total} bytes sent, {got} back")
        readable, writable, _ = select.select([s], [s] if sent < total else [], [], 1)
        if writable:
            if not queued:
                queued = pattern.piece(sent)[:total - sent]
                pattern.sent.update(queued)
            n = s.send(queued)
            queued, sent = queued[n:], sent + n
            if sent == total:
                s.shutdown(socket.SHUT_WR)
        if readable:
            data = s.recv(BLOCK)
            if not data:
                break
            pattern.back.update(data)
            got += len(data)
    return got == total and pattern.sent.digest() == pattern.back.digest(), time.monotonic() - start


class PeerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        network.veth(SERVER, CLIENT, "10.81.0.2/24")
        network.ip("link", "set", CLIENT, "gso_max_segs", "1")  # tc is to see frames, not what becomes many of them later
        cls.server = Process([os.path.join(EXAMPLES, "echo"), "--vdev", f"net_af_xdp0,iface={SERVER}", "--address",
                              f"{ADDRESS}/24", "--listen", str(PORT)])
        cls.addClassCleanup(cls.end)
        wait_for(lambda: cls.alive() and "ready" in cls.server.text(), "the echo server is ready", 30)
        wait_for(lambda: network.ping(ADDRESS, limit=0.5), f"{ADDRESS} answers a ping", 20)

    @classmethod
    def alive(cls):
        assert cls.server.alive(), cls.server.text()
        return True

    @classmethod
    def end(cls):
        status = cls.server.stop()
        network.ip("link", "delete", SERVER)
        assert status == 0, f"ended with {status}:\n{cls.server.text()}"

    def connect(self, **options):
        s = socket.socket()
        self.addCleanup(s.close)
        s.settimeout(seconds(20))
        if "segment" in options:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, options["segment"])
        if "receive" in options:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive"])
        s.connect((ADDRESS, PORT))
        return s

    def agreed(self, s):
        return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[5] & (TIMESTAMPS | SACK | SCALE)

    def info(self, s, at):
        """A 32-bit field of TCP_INFO."""
        return int.from_bytes(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[at:at + 4], sys.byteorder)

    def check(self, s, total=8 << 20, limit=60):
        same, _ = echo(s, total, limit)
        self.assertTrue(same)

    @contextlib.contextmanager
    def bad_wire(self, loss, twice):
        """Parts of a thousand, each way."""
        if not shutil.which("clang") or not shutil.which("tc"):
            self.skipTest("no clang or no tc")
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "loss.o")
            network.command("clang", "-target", "bpf", "-O2", "-g", "-Wall", f"-DLOSS={loss}", f"-DTWICE={twice}",
                            "-isystem", f"/usr/include/{os.uname().machine}-linux-gnu", "-c", LOSS_BPF, "-o", program)
            network.command("tc", "qdisc", "add", "dev", CLIENT, "clsact")
            try:
                for hook, section in (("egress", "out"), ("ingress", "in")):
                    status, out, err = run(["tc", "filter", "add", "dev", CLIENT, hook, "bpf", "direct-action", "object-file",
                                            program, "section", section])
                    if status != 0:
                        self.skipTest(f"tc takes no BPF program here: {out}{err}")
                yield
            finally:
                network.command("tc", "qdisc", "delete", "dev", CLIENT, "clsact")


class OddSettingsTest(PeerTest):
    def test_usual(self):
        s = self.connect()
        self.assertEqual(self.agreed(s), TIMESTAMPS | SACK | SCALE)
        self.check(s)

    def test_no_timestamps(self):
        with sysctl("tcp_timestamps", "0"):
            s = self.connect()
            self.assertEqual(self.agreed(s), SACK | SCALE)
            self.check(s)

    def test_no_sack(self):
        with sysctl("tcp_sack", "0"):
            s = self.connect()
            self.assertEqual(self.agreed(s), TIMESTAMPS | SCALE)
            self.check(s)

    def test_no_window_scale(self):
        with sysctl("tcp_window_scaling", "0"):
            s = self.connect()
            self.assertEqual(self.agreed(s), TIMESTAMPS | SACK)
            self.check(s)

    def test_nothing_at_all(self):
        with sysctl("tcp_timestamps", "0"), sysctl("tcp_sack", "0"), sysctl("tcp_window_scaling", "0"):
            s = self.connect()
            self.assertEqual(self.agreed(s), 0)
            self.check(s)

    def test_tiny_window(self):
        s = self.connect(receive=2048)
        self.check(s, 1 << 20)

    def test_small_segments(self):
        s = self.connect(segment=536)
        self.check(s)
        self.assertLessEqual(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), 536)

    def test_advertised_segments(self):
        """What the kernel says in its SYN, by a route's option: our segments are no longer than that."""
        network.ip("route", "replace", "10.81.0.0/24", "dev", CLIENT, "src", "10.81.0.2", "advmss", "536")
        try:
            s = self.connect()
            self.check(s)
            self.assertLessEqual(self.info(s, 20), 536)  # tcpi_rcv_mss
        finally:
            network.ip("route", "replace", "10.81.0.0/24", "dev", CLIENT, "src", "10.81.0.2")

    def test_reader_that_stops(self):
        """The kernel does not read, so its window closes, then the echo's own; both open again and nothing is missing."""
        s = self.connect(receive=8192)
        pattern, queued, sent, last = Pattern(), b"", 0, time.monotonic()
        s.setblocking(False)
        while time.monotonic() - last < 1:
            queued = queued or pattern.piece(sent)
            try:
                n = s.send(queued)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            pattern.sent.update(queued[:n])
            queued, sent, last = queued[n:], sent + n, time.monotonic()
            self.assertLess(sent, 256 << 20, "somebody takes bytes without end")
        time.sleep(1)  # a probe or two
        s.settimeout(seconds(20))
        s.shutdown(socket.SHUT_WR)
        got = 0
        while data := s.recv(BLOCK):
            pattern.back.update(data)
            got += len(data)
        self.assertEqual(got, sent)
        self.assertEqual(pattern.back.digest(), pattern.sent.digest())

    def test_other_congestion_controls(self):
        for name in (b"reno", b"bbr", b"dctcp"):
            s = self.connect()
            try:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
            except OSError:
                continue  # not in this kernel
            self.check(s, 1 << 20)


class BadWireTest(PeerTest):
    def test_loss_and_duplicates(self):
        with self.bad_wire(10, 10):
            s = self.connect()
            same, took = echo(s, LONG_BYTES, 60 + (LONG_BYTES >> 20))
            print(f"{LONG_BYTES >> 20} MiB each way, 1% lost and 1% doubled each way: {took:.1f} s", file=sys.stderr)
            self.assertTrue(same)
            self.assertGreater(self.info(s, 100), LONG_BYTES >> 20)  # tcpi_total_retrans: frames were lost indeed

    def test_more_loss(self):
        with self.bad_wire(50, 50):
            self.check(self.connect(), 2 << 20, 120)

    def test_duplicates_alone(self):
        with self.bad_wire(0, 200):
            self.check(self.connect())

    def test_loss_and_odd_settings(self):
        with self.bad_wire(10, 10):
            for name in ("tcp_timestamps", "tcp_sack", "tcp_window_scaling"):
                with self.subTest(name), sysctl(name, "0"):
                    self.check(self.connect(), 1 << 20, 120)
            with self.subTest("small segments"):
                self.check(self.connect(segment=536), 1 << 20, 120)


del PeerTest

if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--bytes":
        LONG_BYTES = int(sys.argv[2])
        del sys.argv[1:3]
    network.enter_namespace()
    main()
