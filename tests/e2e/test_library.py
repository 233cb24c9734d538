"""libpolarnet's two examples against kernel TCP, over AF_XDP on a veth pair and over TAP: echo and fileserver."""
import hashlib
import os
import re
import socket
import sys
import tempfile
import threading
import time
import unittest

import network
from harness import BUILD, Process, SLOW, main, run, wait_for

EXAMPLES = os.environ.get("EXAMPLES", os.path.join(BUILD, "net/examples"))


class Example(unittest.TestCase):
    """A program on a device of its own; each class below says which."""

    @classmethod
    def start(cls, program, *options):
        cls.link_up()
        cls.program = Process([os.path.join(EXAMPLES, program), *cls.device, "--address", f"{cls.address}/24", *options])
        cls.addClassCleanup(cls.end)
        wait_for(lambda: cls.ready(), f"{program} is ready; its output:\n{cls.program.text()}", 30)
        cls.linked()
        wait_for(lambda: network.ping(cls.address, limit=0.5), f"{cls.address} answers a ping", 20)

    @classmethod
    def ready(cls):
        assert cls.program.alive(), cls.program.text()
        return "ready" in cls.program.text()

    @classmethod
    def end(cls):
        if cls.program.alive():
            status = cls.program.stop()
            assert status == 0, f"ended with {status}:\n{cls.program.text()}"

    def connect(self, port, limit=20):
        s = socket.create_connection((self.address, port), limit * SLOW)
        self.addCleanup(s.close)
        return s


class AfXdp:
    address = "10.79.0.1"
    device = ("--vdev", "net_af_xdp0,iface=pl-server")

    @classmethod
    def link_up(cls):
        if "pl-server" in (name for _, name in socket.if_nameindex()):
            network.ip("link", "delete", "pl-server")
        network.veth("pl-server", "pl-client", "10.79.0.2/24")

    @classmethod
    def linked(cls):
        pass


class Tap:
    address = "10.78.0.1"
    device = ("--vdev", "net_tap0,iface=pl-tap")

    @classmethod
    def link_up(cls):
        pass

    @classmethod
    def linked(cls):
        network.ip("link", "set", "pl-tap", "up")
        network.ip("address", "replace", "10.78.0.2/24", "dev", "pl-tap")


def read_all(s):
    parts = []
    while True:
        data = s.recv(1 << 20)
        if not data:
            return b"".join(parts)
        parts.append(data)


class Echo:
    @classmethod
    def setUpClass(cls):
        cls.start("echo", "--listen", "7")

    def test_bytes_come_back(self):
        with self.connect(7) as s:
            for size in (1, 2, 1448, 1449, 100_000):
                data = os.urandom(size)
                s.sendall(data)
                got = b""
                while len(got) < size:
                    got += s.recv(size - len(got))
                self.assertTrue(got == data, f"{size} bytes")

    def test_half_close(self):
        """All of it comes back after our FIN, and then the server's."""
        data = os.urandom(3_000_000)
        with self.connect(7) as s:
            def write():
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)

            writer = threading.Thread(target=write)
            writer.start()
            got = read_all(s)
            writer.join()
        self.assertTrue(got == data, f"{len(got)} of {len(data)} bytes")

    def test_a_reader_that_does_not_read(self):
        """It is not echoed without bound, others are served, and when it reads, nothing is missing."""
        with self.connect(7) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            slow.setblocking(False)
            data, sent, stalled = os.urandom(20_000_000), 0, time.monotonic()
            while sent < len(data) and time.monotonic() - stalled < 1:
                try:
                    sent += slow.send(data[sent:sent + 65536])
                    stalled = time.monotonic()
                except BlockingIOError:
                    time.sleep(0.01)
            self.assertLess(sent, len(data))
            with self.connect(7) as other:
                other.sendall(b"still there?")
                self.assertEqual(other.recv(100), b"still there?")
            slow.setblocking(True)
            slow.settimeout(20 * SLOW)
            slow.shutdown(socket.SHUT_WR)
            self.assertTrue(read_all(slow) == data[:sent])

    def test_many(self):
        connections = [self.connect(7) for _ in range(200)]
        for i, s in enumerate(connections):
            s.sendall(b"%d" % i)
        for i, s in enumerate(connections):
            self.assertEqual(s.recv(10), b"%d" % i)
        for s in connections:
            s.close()

    def test_a_reset_is_survived(self):
        for _ in range(20):
            s = self.connect(7)
            s.sendall(os.urandom(100_000))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            s.close()
        with self.connect(7) as s:
            s.sendall(b"ok")
            self.assertEqual(s.recv(2), b"ok")

    def test_a_closed_port_refuses(self):
        with self.assertRaises(ConnectionRefusedError):
            self.connect(8)


class Fileserver:
    SIZE = 5_000_001
    downloads = 0

    @classmethod
    def setUpClass(cls):
        data = os.urandom(cls.SIZE)
        cls.digest = hashlib.sha256(data).digest()
        file = tempfile.NamedTemporaryFile()
        cls.addClassCleanup(file.close)
        file.write(data)
        file.flush()
        cls.start("fileserver", "--listen", "8000", "--file", file.name)

    def download(self):
        with self.connect(8000) as s:
            data = read_all(s)
        type(self).downloads += 1
        return hashlib.sha256(data).digest()

    def test_downloads(self):
        digests = []
        threads = [threading.Thread(target=lambda: digests.append(self.download())) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(digests, [self.digest] * 4)

    def test_a_broken_download(self):
        s = self.connect(8000)
        s.recv(100_000)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        s.close()
        self.assertEqual(self.download(), self.digest)

    def test_zz_every_call_back_came(self):
        """The last: at its end the server knows of each byte that it arrived."""
        self.assertEqual(self.download(), self.digest)
        self.end()
        arrived = int(re.search(r"^arrived (\d+) failed \d+$", self.program.text(), re.M).group(1))
        self.assertGreaterEqual(arrived, self.downloads * self.SIZE)


for program in (Echo, Fileserver):
    for device in (AfXdp, Tap):
        name = f"{program.__name__}{device.__name__}Test"
        globals()[name] = type(name, (program, device, Example), {"__module__": "__main__"})
del Example

if __name__ == "__main__":
    network.enter_namespace()
    if not os.path.exists("/dev/net/tun"):
        print("skipped: this machine has no /dev/net/tun")
        sys.exit(77)
    network.ip("link", "show")
    main()
