"""Large values into a store full of small ones: they wait until room has been made, and only their connection does."""
import unittest

from harness import Polarkv, wait_for

SHARD_BYTES = 16 << 20
SMALL, COUNT, BURST = 64, 220_000, 5000  # of each shard: more than it holds
LARGE = 600_000


class RoomTest(unittest.TestCase):
    def full(self, *options, cores=1):
        """A server whose shards are full of small values."""
        server = Polarkv("--memory-limit", str(cores * SHARD_BYTES), *options, cores=cores)
        self.addCleanup(lambda: server.alive() and server.stop())
        value = bytes(SMALL)
        with server.memcache() as c:
            for first in range(0, cores * COUNT, BURST):
                c.send(b"".join(b"set k%d 0 0 %d noreply\r\n%b\r\n" % (n, SMALL, value) for n in range(first, first + BURST)))
            self.assertTrue(c.ask(b"version\r\n").startswith(b"VERSION"))
        return server

    def store(self, c, key, size):
        return c.ask(b"set %s 0 0 %d\r\n" % (key, size) + b"v" * size + b"\r\n")

    def test_none_is_refused(self):
        for eviction, cores in (("hybrid", 1), ("fifo", 1), ("hybrid", 2)):
            with self.subTest(eviction=eviction, cores=cores):
                server = self.full("--eviction", eviction, "--max-value-size", "4m", cores=cores)
                self.assertGreater(server.stats()["evictions"], 0)
                with server.memcache() as c:
                    for n in range(8):
                        self.assertEqual(self.store(c, b"large%d" % n, LARGE), b"STORED\r\n", n)
                    self.assertEqual(self.store(c, b"largest", 1_800_000), b"STORED\r\n")
                    self.assertEqual(c.ask(b"get largest\r\n"), b"VALUE largest 0 1800000\r\n")
                    self.assertEqual(c.read(1_800_000 + 7), b"v" * 1_800_000 + b"\r\nEND\r\n")
                self.assertGreater(server.stats()["room_waits"], 0)
                server.stop()

    def test_who_leaves_while_it_waits(self):
        server = self.full("--eviction", "hybrid", "--max-value-size", "4m", cores=2)
        for n in range(20):
            with server.memcache() as c:
                c.send(b"set gone%d 0 0 1800000\r\n" % n + b"v" * 3000)
        wait_for(lambda: server.stats()["curr_connections"] == 1, "all have gone", 10)
        with server.memcache() as c:
            self.assertEqual(self.store(c, b"stays", LARGE), b"STORED\r\n")
            self.assertEqual(c.ask(b"get gone0 gone7 gone19\r\n"), b"END\r\n")
        wait_for(lambda: server.stats()["store_bytes_pinned"] == 0, "nothing is held", 10)
        server.stop()

    def test_without_eviction_it_is_refused_at_once(self):
        server = self.full("--eviction", "none")
        with server.memcache() as c:
            self.assertEqual(self.store(c, b"large", LARGE), b"SERVER_ERROR out of memory storing object\r\n")
        self.assertEqual(server.stats()["room_waits"], 0)
        server.stop()

    def test_without_eviction_it_waits_for_what_is_free_in_parts(self):
        server = self.full("--eviction", "none", "--max-value-size", "8m")
        with server.memcache() as c:
            gone = range(0, COUNT, 2)
            for first in range(0, len(gone), BURST):
                c.send(b"".join(b"delete k%d noreply\r\n" % n for n in gone[first:first + BURST]))
            self.assertTrue(c.ask(b"version\r\n").startswith(b"VERSION"))
            left = server.stats()["curr_items"]
            self.assertEqual(self.store(c, b"large", 4_000_000), b"STORED\r\n")
            self.assertEqual(self.store(c, b"larger", 8_000_000), b"SERVER_ERROR out of memory storing object\r\n")
            self.assertEqual(c.ask(b"get large\r\n"), b"VALUE large 0 4000000\r\n")
            self.assertEqual(c.read(4_000_000 + 7), b"v" * 4_000_000 + b"\r\nEND\r\n")
        stats = server.stats()
        self.assertGreater(stats["room_waits"], 0)
        self.assertEqual((stats["curr_items"], stats["evictions"]), (left + 1, 0))
        self.assertLessEqual(stats["store_moved_most"], 4096)
        server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
