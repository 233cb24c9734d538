"""What the server keeps of memory: resident from the start and no more under load; evictions, expired memory."""
import random
import time
import unittest

import huge
from harness import Polarkv, resp, seconds, wait_for

LIMIT_BYTES = 32 << 20
WRITES = 40000
BURST = 100
HUGE_BYTES = 256 << 20
GROWTH_MOST = 2 << 20  # buffers of connections, which the limit of the store does not hold


class MemoryTest(unittest.TestCase):
    def start(self, *options):
        server = Polarkv("--memory-limit", str(LIMIT_BYTES), *options)
        self.addCleanup(lambda: server.alive() and server.stop())
        return server

    def rows(self, server, section):
        with server.resp() as c:
            text = c.command("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def mixed_load(self, server, writes):
        """Sets of all sizes, gets, deletes, times to live: several times what fits. Returns the writes refused."""
        dice = random.Random(4)
        refused = 0
        with server.resp() as c:
            for first in range(0, writes, BURST):
                words = []
                for n in range(first, first + BURST):
                    size = dice.choice((20, 100, 300, 1000, 4000, 20000))
                    ttl = ("PX", str(dice.randrange(50, 5000))) if n % 7 == 0 else ()
                    words.append(resp("SET", f"key{dice.randrange(writes)}", b"v" * dice.randrange(size), *ttl))
                    words.append(resp("GET", f"key{dice.randrange(writes)}"))
                    words.append(resp("DEL" if n % 4 == 0 else "EXISTS", f"key{dice.randrange(writes)}"))
                c.send(b"".join(words))
                for n in range(3 * BURST):
                    reply = c.read_reply()
                    if n % 3 == 0 and reply != "OK":
                        self.assertIn("OOM", str(reply))
                        refused += 1
        return refused

    def resident_after(self, eviction):
        server = self.start("--eviction", eviction)
        self.mixed_load(server, 2 * BURST)  # the connection's own buffers and the code's pages
        before = server.resident_bytes()
        refused = self.mixed_load(server, WRITES)
        after = server.resident_bytes()
        print(f"{eviction}: {before >> 10} KiB resident before, {after >> 10} after {WRITES} writes, {refused} refused")
        self.assertLess(after - before, GROWTH_MOST)
        return server, refused

    def test_resident_memory_stays_with_eviction(self):
        for eviction in ("hybrid", "fifo"):
            with self.subTest(eviction=eviction):
                server, refused = self.resident_after(eviction)
                stats = server.stats()
                self.assertEqual(refused, 0)
                self.assertGreater(stats["evictions"], 0)
                self.assertEqual(int(self.rows(server, "stats")["evicted_keys"]), stats["evictions"])
                server.stop()

    def test_resident_memory_stays_without_eviction(self):
        server, refused = self.resident_after("none")
        self.assertGreater(refused, 0)
        self.assertEqual(server.stats()["evictions"], 0)
        self.assertEqual(self.rows(server, "stats")["evicted_keys"], "0")
        server.stop()

    def huge_bytes(self, server):
        with open(f"/proc/{server.process.pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("HugetlbPages:"))

    def test_huge_pages(self):
        """Reserved ones hold items and buffers, as many from the start as under load; too few of them are told at once."""
        huge.want(self, HUGE_BYTES)
        server = self.start("--huge-pages", "yes", "--buffer-memory", "32m")
        before = self.huge_bytes(server)
        self.assertGreaterEqual(before, LIMIT_BYTES)
        self.mixed_load(server, WRITES // 4)
        self.assertEqual(self.huge_bytes(server), before)
        server.stop()
        server = Polarkv("--huge-pages", "yes", "--buffer-memory", "32m", "--memory-limit",
                         str(huge.free_bytes() * 2), wait=False)
        self.assertEqual(server.process.wait(seconds(20)), 1)
        self.assertIn("reserve huge pages with sysctl vm.nr_hugepages", server.text())
        server.output.close()

    def test_expired_memory_comes_back_unasked(self):
        server = self.start("--eviction", "none")
        count = 20000
        with server.resp() as c:
            for first in range(0, count, BURST):
                c.send(b"".join(resp("SET", f"key{n}", b"v" * 500, "PX", "1000") for n in range(first, first + BURST)))
                for _ in range(BURST):
                    self.assertEqual(c.read_reply(), "OK")
        begin = time.monotonic()
        wait_for(lambda: server.stats()["curr_items"] == 0, "all expired items are gone", seconds(11))
        print(f"{count} items of a second: all gone {time.monotonic() - begin:.1f} s after the last was stored")
        server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
