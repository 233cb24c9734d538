"""Snapshots and warm restarts: what is there again after an end of any kind, and what is not believed."""
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import huge
from harness import BUILD, POLARKV, Polarkv, resp, run, seconds, wait_for

POLARCTL = os.environ.get("POLARCTL", os.path.join(BUILD, "client/polarctl"))
KILLS = int(os.environ.get("POLAR_KILLS", "0"))  # 0: as many as go into half a minute, at least 12


class Restarts(unittest.TestCase):
    """Servers one after the other in one folder."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="polar-snapshot-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = os.path.join(self.folder, "dump")
        self.running = None
        self.addCleanup(self.kill)

    def start(self, *options, cores=2, **rest):
        self.running = Polarkv("--snapshot-file", self.file, *options, cores=cores, **rest)
        return self.running

    def stop(self):
        text = self.running.text()
        self.running.stop()
        self.running = None
        return text

    def kill(self):
        if self.running and self.running.alive():
            self.running.process.send_signal(signal.SIGKILL)
            self.running.process.wait()
            self.running.output.close()
        self.running = None

    def info(self, server):
        with server.resp() as c:
            text = c.command("INFO", "persistence").decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def refused_start(self, *options):
        """The exit status and the output of a server that does not start."""
        server = Polarkv("--snapshot-file", self.file, *options, cores=2, wait=False)
        status = server.process.wait(seconds(20))
        text = server.text()
        server.output.close()
        return status, text


class SnapshotTest(Restarts):
    def fill(self, server, count=500):
        with server.resp() as c, server.memcache() as m:
            for i in range(count):
                self.assertEqual(c.command("SET", f"key{i}", f"value{i}" * (i % 50)), "OK")
            self.assertEqual(c.command("SET", "large", b"x" * 900_000 + b"end"), "OK")
            self.assertEqual(c.command("SET", "k" * 60_000, "long key"), "OK")
            self.assertEqual(c.command("SET", "soon", "gone", "PX", 600), "OK")
            self.assertEqual(c.command("SET", "later", "there", "PX", 1_000_000), "OK")
            self.assertEqual(m.ask(b"set flags 4242 0 5\r\nhello\r\n"), b"STORED\r\n")
            return m.ask(b"gets flags\r\n", b"END\r\n").split()[4]

    def assert_filled(self, server, cas, count=500):
        with server.resp() as c, server.memcache() as m:
            for i in range(count):
                self.assertEqual(c.command("GET", f"key{i}"), (f"value{i}" * (i % 50)).encode())
            self.assertTrue(c.command("GET", "large") == b"x" * 900_000 + b"end")
            self.assertEqual(c.command("GET", "k" * 60_000), b"long key")
            self.assertIsNone(c.command("GET", "soon"))
            self.assertTrue(900_000 < c.command("PTTL", "later") <= 1_000_000)
            self.assertEqual(m.ask(b"gets flags\r\n", b"END\r\n"), b"VALUE flags 4242 5 %b\r\nhello\r\nEND\r\n" % cas)
            self.assertEqual(c.command("DBSIZE"), count + 4)

    def test_save_and_load(self):
        """Into as many cores as there were, and into others."""
        server = self.start()
        cas = self.fill(server)
        with server.resp() as c:
            before = time.time()
            self.assertEqual(c.command("SAVE"), "OK")
            self.assertGreaterEqual(c.command("LASTSAVE"), int(before))
        time.sleep(0.7)
        self.stop()
        for cores in (2, 1, 3):
            server = self.start(cores=cores)
            self.assert_filled(server, cas)
            self.assertEqual(self.info(server)["rdb_last_load_keys_loaded"], "504")
            self.assertIn("504 items loaded, 1 expired", self.stop())

    def test_info(self):
        server = self.start()
        with server.resp() as c:
            c.command("SET", "a", "1")
            info = self.info(server)
            self.assertEqual((info["rdb_bgsave_in_progress"], info["rdb_last_bgsave_status"], info["rdb_saves"],
                              info["rdb_changes_since_last_save"]), ("0", "ok", "0", "1"))
            self.assertEqual(c.command("BGSAVE"), "Background saving started")
            wait_for(lambda: self.info(server)["rdb_saves"] == "1", "the snapshot")
            self.assertEqual(self.info(server)["rdb_changes_since_last_save"], "0")
            self.assertIsInstance(c.command("BGSAVE", "never"), Exception)
            stats = server.stats()
            self.assertEqual((stats["snapshot_completed"], stats["snapshot_last_items"]), (1, 1))
            self.assertEqual(stats["snapshot_last_bytes"], os.path.getsize(self.file))
        self.stop()

    def test_off(self):
        self.running = server = Polarkv()
        with server.resp() as c:
            self.assertIn("snapshot-file", str(c.command("SAVE")))
            self.assertIn("snapshot-file", str(c.command("BGSAVE")))
            self.assertGreater(c.command("LASTSAVE"), 0)
        self.stop()

    def test_a_file_that_cannot_be_written(self):
        """Its folder has gone since the start."""
        self.file = os.path.join(self.folder, "nowhere", "dump")
        os.mkdir(os.path.dirname(self.file))
        server = self.start()
        os.rmdir(os.path.dirname(self.file))
        with server.resp() as c:
            self.assertIn("failed", str(c.command("SAVE")))
            self.assertEqual(c.command("PING"), "PONG")
        self.assertEqual(self.info(server)["rdb_last_bgsave_status"], "err")
        self.assertIn("No such file or directory", self.stop())

    def test_a_file_that_grows_too_large(self):
        """As on a full disk: an error in the middle of writing. What was there before stays."""
        server = self.start()
        with server.resp() as c:
            c.command("SET", "a", "1")
            self.assertEqual(c.command("SAVE"), "OK")
        self.stop()
        server = self.start(prefix=("prlimit", "--fsize=2000000"))
        with server.resp() as c:
            for i in range(40):
                c.command("SET", f"key{i}", b"x" * 200_000)
            self.assertIn("failed", str(c.command("SAVE")))
            self.assertEqual(c.command("GET", "a"), b"1")
            self.assertEqual(os.listdir(self.folder), ["dump"])
            c.command("FLUSHALL")
            c.command("SET", "b", "2")
            self.assertEqual(c.command("SAVE"), "OK")
        self.assertIn("File too large", self.stop())
        server = self.start()
        with server.resp() as c:
            self.assertEqual(c.command("MGET", "a", "b"), [None, b"2"])
        self.stop()

    def test_on_shutdown_and_at_intervals(self):
        server = self.start("--snapshot-on-shutdown", "yes")
        with server.resp() as c:
            c.command("SET", "a", "1")
        self.stop()
        server = self.start("--snapshot-interval", "200ms")
        with server.resp() as c:
            self.assertEqual(c.command("GET", "a"), b"1")
            c.command("SET", "b", "2")
            wait_for(lambda: int(self.info(server)["rdb_saves"]) >= 3, "three snapshots")
        self.stop()
        server = self.start()
        with server.resp() as c:
            self.assertEqual(c.command("MGET", "a", "b"), [b"1", b"2"])
        self.stop()

    def test_signals_that_end_it(self):
        """In order, with the snapshot; but a hangup does not where it is ignored."""
        for turn, number in enumerate((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
            server = self.start("--snapshot-on-shutdown", "yes")
            with server.resp() as c:
                self.assertEqual(c.command("INCR", "turn"), turn + 1)
            server.process.send_signal(number)
            self.assertEqual(server.process.wait(seconds(15)), 0, server.text())
            server.output.close()
        server = self.start(prefix=("nohup",))
        server.process.send_signal(signal.SIGHUP)
        with server.resp() as c:
            self.assertEqual(c.command("GET", "turn"), b"3")
        self.assertTrue(server.alive())
        self.stop()

    def test_polarctl(self):
        path = os.path.join(self.folder, "admin")
        server = self.start("--admin-socket", path)
        with server.resp() as c:
            c.command("SET", "a", "1")
        self.assertEqual(run([POLARCTL, "--socket", path, "save"])[0], 0)
        wait_for(lambda: re.search(r"completed +1 ", run([POLARCTL, "--socket", path, "snapshot"])[1]), "the snapshot")
        self.stop()
        self.running = server = Polarkv("--admin-socket", path)
        self.assertIn("snapshot-file", run([POLARCTL, "--socket", path, "save"])[2])
        self.stop()

    def test_damage(self):
        server = self.start()
        cas = self.fill(server)
        with server.resp() as c:
            c.command("SAVE")
        self.stop()
        status, text, _ = run([POLARKV, "--check-snapshot", self.file])
        self.assertEqual(status, 0)
        self.assertIn("505 items", text)
        with open(self.file, "rb") as f:
            good = f.read()
        dice = random.Random(7)
        for cut in (0, 1):
            at = dice.randrange(len(good))
            bad = good[:at] if cut else good[:at] + bytes([good[at] ^ 4]) + good[at + 1:]
            with open(self.file, "wb") as f:
                f.write(bad)
            status, text = self.refused_start()
            self.assertEqual(status, 1, text)
            self.assertEqual(len(re.findall(r"is damaged: block \d+ at byte \d+: ", text)), 1, text)
            self.assertNotIn("ready", text)
            status, _, text = run([POLARKV, "--check-snapshot", self.file])
            self.assertEqual(status, 1)
            self.assertEqual(len(text.splitlines()), 1, text)
        server = self.start("--snapshot-load", "ignore")
        with server.resp() as c:
            self.assertEqual(c.command("DBSIZE"), 0)
            self.assertIsNone(c.command("GET", "key1"))
            c.command("SET", "new", "1")
            c.command("SAVE")
        self.assertIn("ignored", self.stop())
        with open(self.file + ".refused", "rb") as f:
            self.assertEqual(f.read(), bad)
        with open(self.file, "wb") as f:
            f.write(good)
        self.assert_filled(self.start(), cas)
        self.stop()

    def test_it_does_not_fit(self):
        server = self.start()
        with server.resp() as c:
            for i in range(40):
                self.assertEqual(c.command("SET", f"key{i}", b"x" * 900_000), "OK")
            c.command("SAVE")
        self.stop()
        status, text = self.refused_start("--max-value-size", "100k")
        self.assertEqual(status, 1, text)
        self.assertIn("40 are longer than max-value-size", text)

    def test_it_is_larger_than_memory(self):
        """With eviction as much is loaded as fits, and it is said how much had to go; without it there is no start."""
        server = self.start("--memory-limit", "64m")
        with server.resp() as c:
            for i in range(400):
                self.assertEqual(c.command("SET", f"key{i}", f"{i:06}".encode() * (15_000 if i % 2 else 1_000)), "OK")
            self.assertEqual(c.command("SET", "large", b"x" * 900_000), "OK")
            c.command("SAVE")
        self.stop()
        status, text = self.refused_start("--memory-limit", "16m", "--eviction", "none")
        self.assertEqual(status, 1, text)
        self.assertIn("do not fit memory-limit", text)
        server = self.start("--memory-limit", "16m")
        with server.resp() as c:
            count = c.command("DBSIZE")
            found = [i for i in range(400) if c.command("EXISTS", f"key{i}")]
            self.assertTrue(100 < count < 401, count)
            for i in found:
                self.assertTrue(c.command("GET", f"key{i}") == f"{i:06}".encode() * (15_000 if i % 2 else 1_000))
            self.assertEqual(c.command("SET", "new", "1"), "OK")
        evicted = int(re.search(r"larger than memory-limit: (\d+) of its items were evicted", self.stop()).group(1))
        self.assertEqual(evicted + count, 401)

    def test_service_goes_on(self):
        """Requests while a snapshot of 60 MB is written: all right, none lost. The longest wait is told, not judged."""
        server = self.start()
        value = os.urandom(20_000)
        with server.resp() as c:
            for i in range(3000):
                c.send(resp("SET", f"key{i}", value))
                if i % 100 == 99:
                    for _ in range(100):
                        self.assertEqual(c.read_reply(), "OK")
            waits = {}
            for name in ("before", "meanwhile"):
                worst, count = 0, 0
                if name == "meanwhile":
                    self.assertEqual(c.command("BGSAVE"), "Background saving started")
                while count < 200 or (name == "meanwhile" and self.info(server)["rdb_bgsave_in_progress"] == "1"):
                    for i in range(20):
                        begin = time.monotonic()
                        self.assertTrue(c.command("GET", f"key{(count * 7 + i) % 3000}") == value)
                        self.assertEqual(c.command("SET", f"new{count % 50}", "x"), "OK")
                        worst = max(worst, time.monotonic() - begin)
                    count += 20
                waits[name] = worst
        print(f"longest GET and SET: {waits['before'] * 1e3:.2f} ms before, {waits['meanwhile'] * 1e3:.2f} ms meanwhile")
        self.stop()
        server = self.start()
        with server.resp() as c:
            for i in range(0, 3000, 50):
                self.assertTrue(c.command("GET", f"key{i}") == value)
        self.stop()

    def test_at_intervals_under_load(self):
        """Writes go on while one snapshot follows another; the last complete one has what stood, and of what moved nothing old."""
        server = self.start("--snapshot-interval", "300ms")
        standing, moving, burst = 2000, 500, 100
        with server.resp() as c:
            c.send(b"".join(resp("SET", f"stands{i}", f"value{i}") for i in range(standing)))
            for _ in range(standing):
                self.assertEqual(c.read_reply(), "OK")
            written, seen = 0, []  # seen[n]: what was written when n snapshots were complete
            while len(seen) <= 5:
                numbers = range(written, written + burst)
                c.send(b"".join(resp("SET", f"moves{n % moving}", str(n)) for n in numbers))
                for _ in numbers:
                    self.assertEqual(c.read_reply(), "OK")
                written += burst
                saves = int(self.info(server)["rdb_saves"])
                seen += [written] * (saves + 1 - len(seen))
        self.kill()
        server = self.start()
        with server.resp() as c:
            for i in range(standing):
                self.assertEqual(c.command("GET", f"stands{i}"), f"value{i}".encode())
            for i in range(moving):
                value = int(c.command("GET", f"moves{i}"))
                self.assertEqual(value % moving, i)
                self.assertGreaterEqual(value, seen[3] - moving)
                self.assertLess(value, written)
        print(f"{written} writes beside {len(seen) - 1} snapshots")
        self.stop()

    def test_a_client_that_goes_while_it_waits(self):
        server = self.start()
        with server.resp() as c:
            for i in range(300):
                c.command("SET", f"key{i}", b"x" * 100_000)
            for i in range(5):
                d = server.resp()
                d.send(resp("SAVE"))
                time.sleep(0.01 * i)
                d.reset()
                self.assertEqual(c.command("PING"), "PONG")
                wait_for(lambda: self.info(server)["rdb_bgsave_in_progress"] == "0", "the snapshot")
            c.send(resp("SAVE") + resp("GET", "key1") + resp("PING"))  # answered in order
            self.assertEqual(c.read_reply(), "OK")
            self.assertEqual(len(c.read_reply()), 100_000)
            self.assertEqual(c.read_reply(), "PONG")
        self.stop()


class KillTest(Restarts):
    KEYS = 1500
    VALUE = 6000

    def write_all(self, server, generation):
        tail = b"%08d" % generation
        with server.resp() as c:
            for i in range(0, self.KEYS, 100):
                c.send(b"".join(resp("SET", f"key{n}", b"v" * self.VALUE + tail) for n in range(i, i + 100)))
                for _ in range(100):
                    self.assertEqual(c.read_reply(), "OK")

    def generation(self, server):
        """Of all keys: there is one, and only one."""
        tails = set()
        with server.resp() as c:
            for i in range(0, self.KEYS, 100):
                c.send(resp("MGET", *(f"key{n}" for n in range(i, i + 100))))
                for value in c.read_reply():
                    self.assertEqual(len(value), self.VALUE + 8)
                    tails.add(value[-8:])
        self.assertEqual(len(tails), 1, tails)
        return int(tails.pop())

    def test_kill_at_random_moments(self):
        """The last complete snapshot is loaded each time; which one that is shows that some were cut off."""
        dice = random.Random(int(os.environ.get("POLAR_SEED", "1")))
        server = self.start()
        self.write_all(server, 0)
        with server.resp() as c:
            begin = time.monotonic()
            self.assertEqual(c.command("SAVE"), "OK")
            took = time.monotonic() - begin
        self.stop()
        known, completed, kills, end = 0, 0, 0, time.monotonic() + 30
        while kills < (KILLS or 12) or (not KILLS and time.monotonic() < end):
            kills += 1
            server = self.start()
            found = self.generation(server)
            self.assertIn(found, (known, known + 1))
            completed += found == known + 1
            known = found
            self.write_all(server, known + 1)
            with server.resp() as c:
                c.send(resp("BGSAVE"))
                time.sleep(dice.random() * took * 1.5)
            self.kill()
        print(f"{kills} kills, {completed} after the snapshot was complete; a snapshot takes {took * 1e3:.0f} ms")


def huge_bytes(pid):
    with open(f"/proc/{pid}/status") as text:
        return int(dict(line.split(":", 1) for line in text)["HugetlbPages"].split()[0]) << 10


class WarmTest(Restarts):
    def start_warm(self, *options, cores=2, **rest):
        self.running = Polarkv("--region-file", self.folder, *options, cores=cores, **rest)
        return self.running

    def setUp(self):
        super().setUp()
        if not self.folder.startswith("/dev/shm"):
            self.skipTest("there is no tmpfs at /dev/shm")

    def test_everything_is_there_again(self):
        server = self.start_warm()
        expected = {}
        dice = random.Random(3)
        with server.resp() as c, server.memcache() as m:
            for i in range(4000):
                key = f"key{dice.randrange(1500)}"
                if dice.random() < 0.2:
                    c.command("DEL", key)
                    expected.pop(key, None)
                else:
                    expected[key] = dice.randbytes(dice.choice((0, 10, 300, 5000, 20000)))
                    self.assertEqual(c.command("SET", key, expected[key]), "OK")
            c.command("SET", "later", "there", "PX", 1_000_000)
            m.ask(b"set flags 77 0 5\r\nhello\r\n")
            gets = m.ask(b"gets flags\r\n", b"END\r\n")
        for turn in range(3):
            # A reader that does not read, and a writer in the middle of its value: pins and an open write at the end.
            stuck, writer = server.memcache(receive_buffer=4096), server.resp()
            with server.resp() as c:
                c.command("SET", "big", b"y" * 900_000)
            stuck.send(b"get big\r\n" * 8)
            writer.send(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$900000\r\n" + bytes(400_000))
            time.sleep(0.2)
            self.stop()
            stuck.close()
            writer.close()
            server = self.start_warm()
            self.assertIn("taken up", server.text())
            stats = server.stats()
            self.assertEqual((stats["pins"], stats["writes_open"]), (0, 0))
            with server.resp() as c, server.memcache() as m:
                self.assertEqual(c.command("DBSIZE"), len(expected) + 3)
                for key, value in expected.items():
                    self.assertTrue(c.command("GET", key) == value, key)
                self.assertIsNone(c.command("GET", "half"))
                self.assertTrue(900_000 < c.command("PTTL", "later") <= 1_000_000)
                self.assertEqual(m.ask(b"gets flags\r\n", b"END\r\n"), gets)
                expected[f"key{turn}"] = b"changed"
                c.command("SET", f"key{turn}", "changed")
        self.stop()

    def test_on_hugetlbfs(self):
        """The region in huge pages, none of it in ordinary ones; taken up, snapshots beside it."""
        limit = 64 << 20
        huge.want(self, limit)
        folder = tempfile.mkdtemp(prefix="polar-huge-")
        self.addCleanup(os.rmdir, folder)
        status, _, err = run(["mount", "-t", "hugetlbfs", "none", folder])
        if status != 0:
            self.skipTest(f"hugetlbfs cannot be mounted: {err}")
        self.addCleanup(run, ["umount", "--lazy", folder])
        options = ("--region-file", folder, "--memory-limit", str(limit), "--snapshot-file", self.file)
        for turn in range(3):
            server = self.running = Polarkv(*options, cores=2)
            # What is taken up is mapped beside the first answers.
            wait_for(lambda: huge_bytes(server.process.pid) == limit, "all of the region mapped, in huge pages")
            with server.resp() as c:
                if turn:
                    self.assertIn("taken up: 3000 items", server.text())
                    self.assertEqual(c.command("GET", "key7"), b"7" * 900)
                for i in range(3000):
                    self.assertEqual(c.command("SET", f"key{i}", f"{i % 10}" * 900), "OK")
                self.assertEqual(c.command("SAVE"), "OK")
            self.stop()
        server = self.start()  # from the snapshot alone
        with server.resp() as c:
            self.assertEqual((c.command("DBSIZE"), c.command("GET", "key7")), (3000, b"7" * 900))
        self.stop()

    def test_what_is_not_believed(self):
        server = self.start_warm()
        with server.resp() as c:
            c.command("SET", "a", "1")
        self.stop()

        def assert_cold(why, *options, **rest):
            server = self.start_warm(*options, **rest)
            self.assertIn(f"not taken up: {why}", server.text())
            with server.resp() as c:
                self.assertEqual(c.command("DBSIZE"), 0)
                c.command("SET", "a", "1")
            self.stop()

        server = self.start_warm()
        with server.resp() as c:
            self.assertEqual(c.command("GET", "a"), b"1")
        self.kill()
        assert_cold("the server that had it did not end cleanly")
        assert_cold("there was none", "--memory-limit", "64m")
        assert_cold("", cores=1)  # of twice the size, and the other one stays
        assert_cold("", cores=2)
        for at in (20, 300, 66_000, 70_000):
            with open(os.path.join(self.folder, "polarkv-region-1"), "r+b") as f:
                f.seek(at)
                byte = f.read(1)
                f.seek(at)
                f.write(bytes([byte[0] ^ 1]))
            assert_cold("its ")

    def test_one_server_at_a_time(self):
        server = self.start_warm()
        with server.resp() as c:
            c.command("SET", "a", "1")
        second = Polarkv("--region-file", self.folder, cores=2, wait=False)
        self.assertEqual(second.process.wait(seconds(20)), 1)
        self.assertIn("region-file", second.text())
        second.output.close()
        self.stop()
        server = self.start_warm()
        with server.resp() as c:
            self.assertEqual(c.command("GET", "a"), b"1")
        self.stop()

    def test_with_snapshots(self):
        """What is in memory is newer than the snapshot; after a crash the snapshot is what there is."""
        both = ("--snapshot-file", self.file)
        server = self.start_warm(*both)
        with server.resp() as c:
            c.command("SET", "a", "1")
            c.command("SAVE")
            c.command("SET", "a", "2")
        self.stop()
        server = self.start_warm(*both)
        with server.resp() as c:
            self.assertEqual(c.command("GET", "a"), b"2")
        self.kill()
        server = self.start_warm(*both)
        with server.resp() as c:
            self.assertEqual(c.command("GET", "a"), b"1")
        self.stop()

    def test_a_folder_that_is_not_memory(self):
        if os.stat("/var/tmp").st_dev == os.stat("/dev/shm").st_dev:
            self.skipTest("/var/tmp is on tmpfs")
        folder = tempfile.mkdtemp(dir="/var/tmp")
        self.addCleanup(shutil.rmtree, folder)
        kind = subprocess.run(["stat", "-f", "-c", "%T", folder], stdout=subprocess.PIPE, check=True).stdout
        if kind.strip() in (b"tmpfs", b"hugetlbfs"):
            self.skipTest("/var/tmp is on tmpfs")
        server = Polarkv("--region-file", folder, wait=False)
        self.assertEqual(server.process.wait(seconds(20)), 1)
        self.assertIn("takes a folder on tmpfs or hugetlbfs", server.text())
        server.output.close()


del Restarts

if __name__ == "__main__":
    unittest.main(verbosity=2)
