"""The longest value there may be, 512 MB, in and out by both protocols, beside other clients that go on."""
import hashlib
import random
import time
import unittest

from harness import Polarkv, resp, seconds, wait_for

LONGEST = 512 << 20
PIECE = 1 << 20
MEMORY = "1400m"  # one such value and a good part of a second


def pieces():
    """LONGEST bytes of which no two pieces are alike."""
    block = bytearray(random.Random(1).randbytes(PIECE))
    for n in range(LONGEST // PIECE):
        block[:8] = n.to_bytes(8, "big")
        yield bytes(block)


def digest_of(parts):
    digest = hashlib.blake2b()
    for part in parts:
        digest.update(part)
    return digest.digest()


class LargeTest(unittest.TestCase):
    def start(self, *options):
        server = Polarkv("--memory-limit", MEMORY, "--max-value-size", str(LONGEST), *options)
        self.addCleanup(lambda: server.alive() and server.stop())
        return server

    def send_value(self, c, head):
        c.send(head)
        for part in pieces():
            c.send(part)
        c.send(b"\r\n")

    def read_value(self, c):
        got = digest_of(c.read(PIECE) for _ in range(LONGEST // PIECE))
        self.assertEqual(got, digest_of(pieces()))
        self.assertEqual(c.read(2), b"\r\n")

    def test_there_and_back(self):
        server = self.start()
        with server.memcache(limit=seconds(120)) as mc, server.resp(limit=seconds(120)) as c:
            empty = server.stats()["store_bytes_payload"]
            self.send_value(c, b"*3\r\n$3\r\nSET\r\n$5\r\nvalue\r\n$%d\r\n" % LONGEST)
            self.assertEqual(c.read_reply(), "OK")
            self.assertEqual(mc.ask(b"get value\r\n"), b"VALUE value 0 %d\r\n" % LONGEST)
            self.read_value(mc)
            self.assertEqual(mc.read(5), b"END\r\n")
            self.send_value(mc, b"set value 7 0 %d\r\n" % LONGEST)
            self.assertEqual(mc.read(8), b"STORED\r\n")
            c.send(resp("GET", "value"))
            self.assertEqual(c.read(12), b"$%d\r\n" % LONGEST)
            self.read_value(c)
            self.assertEqual(c.command("DEL", "value"), 1)
        wait_for(lambda: server.stats()["store_bytes_payload"] == empty, "its memory is back", seconds(10))
        server.stop()

    def test_a_byte_longer(self):
        server = self.start()
        with server.memcache(limit=seconds(120)) as mc, server.resp() as c:
            mc.send(b"set value 0 0 %d\r\n" % (LONGEST + 1))
            for part in pieces():
                mc.send(part)
            mc.send(b"x\r\n")
            self.assertEqual(mc.read_until(b"\r\n"), b"SERVER_ERROR object too large for cache\r\n")
            self.assertEqual(mc.ask(b"get value\r\n"), b"END\r\n")
            c.send(b"*3\r\n$3\r\nSET\r\n$5\r\nvalue\r\n$%d\r\n" % (LONGEST + 1))
            self.assertIn(b"-ERR Protocol error: invalid bulk length", c.read_until(b"\r\n"))
        server.stop()

    def test_others_go_on(self):
        """Into a full store: small requests beside it are answered, and the value is whole."""
        server = self.start("--eviction", "hybrid")
        with server.memcache(limit=seconds(120)) as mc, server.memcache(limit=seconds(120)) as other:
            filler = bytes(100_000)
            for first in range(0, 16_000, 100):
                mc.send(b"".join(b"set f%d 0 0 100000 noreply\r\n%b\r\n" % (n, filler) for n in range(first, first + 100)))
            self.assertTrue(mc.ask(b"version\r\n").startswith(b"VERSION"))
            self.assertGreater(server.stats()["evictions"], 0)
            mc.send(b"set value 0 0 %d\r\n" % LONGEST)
            slowest = 0.0
            for n, part in enumerate(pieces()):
                mc.send(part)
                if n % 8 == 0:
                    begin = time.monotonic()
                    self.assertEqual(other.ask(b"set small 0 0 5\r\nsmall\r\n"), b"STORED\r\n")
                    slowest = max(slowest, time.monotonic() - begin)
            mc.send(b"\r\n")
            self.assertEqual(mc.read(8), b"STORED\r\n")
            self.assertEqual(mc.ask(b"get value\r\n"), b"VALUE value 0 %d\r\n" % LONGEST)
            self.read_value(mc)
            print("the slowest small request beside it: %.1f ms" % (slowest * 1000), end=" ... ", flush=True)
        server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
