"""What the store tells of itself, in stats and in INFO: every byte has its kind, every item that went its reason."""
import random
import time
import unittest

from harness import Polarkv, resp, wait_for

LIMIT_BYTES = 16 << 20
KINDS = ("payload", "headers", "index", "eviction", "slack", "pinned", "free", "head")
REASONS = ("new", "cold", "page", "class")
BURST = 200


class CountersTest(unittest.TestCase):
    def info(self, server):
        with server.resp() as c:
            text = c.command("INFO").decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def sets(self, server, numbers, sizes, *options):
        dice = random.Random(5)
        numbers = list(numbers)
        with server.resp() as c:
            for at in range(0, len(numbers), BURST):
                burst = numbers[at:at + BURST]
                c.send(b"".join(resp("SET", f"key{n}", b"v" * dice.randrange(*sizes), *options) for n in burst))
                for _ in burst:
                    self.assertEqual(c.read_reply(), "OK")

    def assert_adds_up(self, server):
        """In both, and they say the same where nothing happens meanwhile."""
        time.sleep(0.3)  # slack is reckoned by the background steps
        stats, info = server.stats(), self.info(server)
        self.assertEqual(sum(stats[f"store_bytes_{kind}"] for kind in KINDS), stats["store_bytes_limit"])
        for row in [f"bytes_{kind}" for kind in KINDS] + ["moves", "splits", "expired", "cycles_work_most"]:
            self.assertEqual(int(info[f"store_{row}"]), stats[f"store_{row}"], row)
        self.assertEqual(sum(stats[f"store_evicted_{reason}"] for reason in REASONS), stats["evictions"])
        self.assertEqual(int(info["evicted_keys"]), stats["evictions"])
        self.assertGreater(stats["cycles_step_most"], 0)
        return stats

    def test_counters(self):
        for cores in (1, 2):
            with self.subTest(cores=cores):
                server = Polarkv("--memory-limit", str(LIMIT_BYTES), cores=cores)
                self.addCleanup(lambda: server.alive() and server.stop())
                self.sets(server, range(1000), (50, 60), "PX", "300")
                wait_for(lambda: server.stats()["store_expired"] == 1000, "all have expired")
                self.sets(server, range(40_000), (50, 60))
                stats = self.assert_adds_up(server)
                payload = sum(len(f"key{n}") for n in range(40_000))
                self.assertGreaterEqual(stats["store_bytes_payload"], payload + 40_000 * 50)
                self.assertLess(stats["store_bytes_payload"], payload + 40_000 * 60)
                self.assertEqual(stats["store_bytes_headers"], 40_000 * 4)
                self.assertEqual((stats["evictions"], stats["curr_items"]), (0, 40_000))
                self.assertGreater(stats["store_splits"], 0)
                self.assertGreater(stats["store_cycles_work_most"], 0)
                with server.resp() as c:
                    self.assertEqual(len([1 for n in range(39_900, 40_100) if c.command("GET", f"key{n}")]), 100)
                after = server.stats()
                self.assertEqual((after["get_hits"] - stats["get_hits"], after["get_misses"] - stats["get_misses"]), (100, 100))
                self.sets(server, range(100_000, 250_000), (100, 300))
                self.sets(server, range(300_000, 305_000), (2000, 4000))
                stats = self.assert_adds_up(server)
                self.assertGreater(stats["evictions"], 0)
                self.assertGreater(stats["store_moves"], 0)
                server.stop()

    def test_pinned(self):
        """Of an item that has been overwritten while a reader has not taken it yet."""
        server = Polarkv("--memory-limit", str(LIMIT_BYTES))
        self.addCleanup(lambda: server.alive() and server.stop())
        with server.resp() as c, server.memcache(receive_buffer=4096) as stuck:
            self.assertEqual(c.command("SET", "large", b"x" * 900_000), "OK")
            stuck.send(b"get large\r\n" * 4)
            wait_for(lambda: server.stats()["pins"] == 1, "the reader holds it")
            self.assertEqual(c.command("SET", "large", b"y"), "OK")
            self.assertGreaterEqual(self.assert_adds_up(server)["store_bytes_pinned"], 900_000)
            stuck.reset()
        wait_for(lambda: server.stats()["store_bytes_pinned"] == 0, "it is given back")
        self.assert_adds_up(server)
        server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
