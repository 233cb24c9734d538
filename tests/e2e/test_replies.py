"""The same random commands, good and bad, to polarkv and to Debian's memcached and redis: they answer the same, byte for byte.

POLAR_SEED=N repeats a run, POLAR_BATCHES=N its length.
"""
import os
import random
import shutil
import unittest

import replies_memcache
import replies_resp
from harness import SLOW, Polarkv, Reference, limit_time, main, resp

SEED = int(os.environ.get("POLAR_SEED", "1"))
BATCHES = int(os.environ.get("POLAR_BATCHES", str(int(160 / SLOW))))
BATCH = 20
FAULTS_MOST = 12


def shown(data, most=400):
    return repr(data if len(data) <= most else data[:most] + b"...")


def heard(connection, end):
    """What comes up to and with `end`; without it, when it does not come."""
    data = bytearray()
    try:
        while not data.endswith(end):
            more = connection.socket.recv(1 << 20)
            if not more:
                break
            data += more
    except OSError:
        pass
    return bytes(data)


@unittest.skipUnless(shutil.which("memcached") and shutil.which("redis-server"), "needs Debian's memcached and redis")
class Replies(unittest.TestCase):
    cores = 2

    @classmethod
    def setUpClass(cls):
        cls.reference = Reference()
        cls.addClassCleanup(cls.reference.stop)
        cls.server = Polarkv(cores=cls.cores)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.servers = (self.reference, self.server)
        self.faults = []
        self.random = random.Random(SEED)
        limit_time(60)

    def tearDown(self):
        limit_time(0)
        self.assertTrue(self.server.alive(), "the server died")

    def fault(self, request, want, got):
        self.faults.append(f"to {shown(request)}\n   the reference: {shown(want)}\n   polarkv:       {shown(got)}")

    def report(self):
        if self.faults:
            self.fail(f"POLAR_SEED={SEED}: other answers than the reference's\n" + "\n".join(self.faults[:FAULTS_MOST]))

    # memcached

    def memcache_batch(self, commands, batch):
        """Each command has a mark behind it; what stands between the marks is its answer. False: out of step since."""
        first = batch * BATCH
        commands.begin_batch()
        requests = [commands.next() for _ in range(BATCH)]
        want, got = (self.memcache_answers(c, u, requests, first) for c, u in zip(self.connections, self.uniques))
        if len(want) != len(got):
            self.fault(b"".join(requests), b"".join(want), b"".join(got))
            return False
        for request, a, b in zip(requests if len(want) > len(requests) else [b"".join(requests)] * len(want), want, got):
            if a != b:
                self.fault(request, a, b)
        return want == got

    def memcache_answers(self, connection, uniques, requests, first):
        connection.send(b"".join(uniques.fill(r) + replies_memcache.mark(first + i) for i, r in enumerate(requests)))
        data = heard(connection, replies_memcache.last_mark_answer(first + len(requests) - 1))
        return replies_memcache.MARK_ANSWER.split(uniques.take(data))

    def connect_memcache(self):
        self.connections = [s.memcache(limit=5) for s in self.servers]
        self.uniques = [replies_memcache.Uniques() for _ in self.servers]
        for connection in self.connections:
            self.addCleanup(connection.close)
            self.assertEqual(connection.ask(b"flush_all\r\n"), b"OK\r\n")

    def test_memcache(self):
        commands = replies_memcache.Commands(self.random)
        self.connect_memcache()
        for batch in range(BATCHES):
            if not self.memcache_batch(commands, batch):
                self.connect_memcache()
            if len(self.faults) >= FAULTS_MOST:
                break
        self.report()

    # redis

    def connect_resp(self):
        self.connections = [s.resp(limit=5) for s in self.servers]
        for connection in self.connections:
            self.addCleanup(connection.close)
            self.assertEqual(connection.ask(resp("FLUSHALL")), b"+OK\r\n")

    def resp_batch(self, commands, batch):
        drawn = [commands.next() for _ in range(BATCH)]
        odd = commands.harmless() if commands.chance(0.2) else b""
        requests = b"".join(request for request, _ in drawn)
        mark = b"mark-%d" % batch
        words = [w for _, w in drawn]
        if odd:
            requests, words = requests + odd, words + [[b"odd"]] * (b"PING" in odd or b"ECHO" in odd)
        words.append([b"ECHO", mark])
        answers = []
        for connection in self.connections:
            connection.send(requests + resp("ECHO", mark))
            answers.append(replies_resp.split(heard(connection, b"$%d\r\n%b\r\n" % (len(mark), mark))))
        want, got = answers
        if not len(want) == len(got) == len(words):
            self.fault(requests, b"".join(want), b"".join(got))
            return False
        same = True
        for w, a, b in zip(words, want, got):
            if not replies_resp.agree(w, a, b):
                self.fault(resp(*w), a, b)
                same = False
        return same

    def test_resp(self):
        commands = replies_resp.Commands(self.random)
        self.connect_resp()
        for batch in range(BATCHES):
            if not self.resp_batch(commands, batch):
                self.connect_resp()
            if len(self.faults) >= FAULTS_MOST:
                break
        self.report()

    def last_words(self, connect, data):
        """All that comes when this is sent and nothing more follows."""
        with connect(limit=5) as c:
            try:
                c.send(data)
                c.finish()
            except OSError:
                pass  # closed in the middle of it
            return c.read_all()

    def test_resp_malformed(self):
        commands = replies_resp.Commands(self.random)
        self.connect_resp()
        for _ in range(BATCHES):
            data = commands.malformed()
            want, got = (self.last_words(s.resp, data) for s in self.servers)
            if want != got:
                self.fault(data, want, got)
            if len(self.faults) >= FAULTS_MOST:
                break
        self.report()

    def test_differences(self):
        """Those that stay, each as it is said."""
        for reason, request, redis, polarkv in replies_resp.DIFFERENCES:
            with self.subTest(reason):
                for server, want in zip(self.servers, (redis, polarkv)):
                    with server.resp() as c:
                        self.assertEqual(c.ask(request), want)


if __name__ == "__main__":
    main()
