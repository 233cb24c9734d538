"""The other end of a point-to-point wire dies in mid-burst, or leaves in good order, and another takes its place: the
server goes on, with its data. What the wires have in common.
"""
import json
import os
import random
import signal
import tempfile
import time

from harness import KVBENCH, Polarkv, Process, ServerTest, limit_time, run, wait_for

ROUNDS = 20
KEYS = 500


class PeerDeath(ServerTest):
    """A class of these has server_wire(folder) and client_wire(folder), which return options of polarkv and kvbench."""

    @classmethod
    def start_server(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        return Polarkv(*cls.server_wire(cls.folder), "--ip", "10.9.0.1/24", "--protected=no")

    def client(self, *options):
        port = self.server.memcache_address[1]
        return [KVBENCH, "--transport", "tcp", *self.client_wire(self.folder), "--server", f"10.9.0.1:{port}",
                "--keys", "2000", *options]

    def received(self):
        return self.server.stats()["rx_frames"]

    def kill_in_mid_burst(self, pause):
        before = self.received()
        client = Process(self.client("--ip", "10.9.0.2/24", "--connections", "50", "--pipeline", "8", "--value-size",
                                     "1:4000", "--ratio", "1:1", "--load", "no", "--duration", "60s"))
        try:
            wait_for(lambda: self.received() > before + 2000 or not client.alive(), "load", 20)
            self.assertTrue(client.alive(), client.text())
            time.sleep(pause)
            self.assertTrue(client.alive(), client.text())
        finally:
            os.kill(client.process.pid, signal.SIGKILL)
            client.process.wait()
            client.output.close()

    def works(self, address, *options):
        """A client that comes, loads, reads everything back and leaves in good order."""
        command = self.client("--ip", address, "--connections", "10", "--warmup", "0", "--duration", "200ms",
                              "--load", "yes", "--json", "-", *options)
        status, out, err = run(command, 60)
        self.assertEqual(status, 0, f"{' '.join(command)}\n{out}{err}{self.server.text()}")
        report = json.loads(out)
        for fault in ("misses", "errors", "wrong_values", "connection_failures", "connections_lost"):
            self.assertEqual(report[fault], 0, report)
        self.assertTrue(report["good"], report)

    def setUp(self):
        super().setUp()
        limit_time(170)

    def store(self):
        with self.server.memcache(limit=20) as m:
            for i in range(KEYS):
                m.send(b"set kept%d 7 0 %d\r\n%b\r\n" % (i, i, b"k" * i))
            for _ in range(KEYS):
                self.assertEqual(m.read_until(b"\r\n"), b"STORED\r\n")

    def check_store(self):
        with self.server.memcache(limit=20) as m:
            for i in range(KEYS):
                self.assertEqual(m.ask(b"get kept%d\r\n" % i, b"END\r\n"),
                                 b"VALUE kept%d 7 %d\r\n%b\r\nEND\r\n" % (i, i, b"k" * i))

    def test_orderly_leaves(self):
        self.store()
        for _ in range(ROUNDS):
            self.works("10.9.0.2/24")
            self.check_store()

    def test_killed_in_mid_burst(self):
        """By turns the next client has the dead one's address, and another. `seed` picks the moments."""
        seed = int(os.environ.get("PEER_DEATH_SEED", "1"))
        print(f"seed {seed}")
        moments = random.Random(seed)
        self.store()
        for i in range(ROUNDS):
            self.kill_in_mid_burst(moments.random() * 0.3)
            self.assertTrue(self.server.alive(), f"round {i}: {self.server.text()}")
            self.check_store()
            self.works(f"10.9.0.{2 + i % 2}/24")
        self.check_store()
