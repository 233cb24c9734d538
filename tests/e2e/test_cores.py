"""Two cores: keys of the other core go through the mailbox and come back in order."""
import random
import socket
import threading
import time

from clients import BIG_VALUE, Pymemcache, RedisPy, SharedKeys, Tools, Wire, pattern
from hard import Hard
from harness import SLOW, ServerTest, main, resp


class TwoCores(ServerTest):
    cores = 2


class WireTest(Wire, TwoCores):
    pass


class RedisPyTest(RedisPy, TwoCores):
    pass


class PymemcacheTest(Pymemcache, TwoCores):
    pass


class ToolsTest(Tools, TwoCores):
    pass


class SharedKeysTest(SharedKeys, TwoCores):
    pass


class HardTest(Hard, TwoCores):
    pass


class MailboxTest(TwoCores):
    def mailbox(self):
        stats = self.server.stats()
        return stats["mailbox_sent"], stats["mailbox_served"]

    def test_half_of_the_keys_are_another_core_s(self):
        sent, served = self.mailbox()
        c = self.resp()
        c.send(b"".join(resp("SET", f"half{i}", i) for i in range(2000)))
        self.assertEqual([c.read_reply() for _ in range(2000)], ["OK"] * 2000)
        now_sent, now_served = self.mailbox()
        self.assertTrue(600 < now_sent - sent < 1400, f"{now_sent - sent} of 2,000 went through the mailbox")
        self.assertGreaterEqual(now_served - served, 600)

    def test_one_tag_one_core(self):
        """Keys with the same {tag} have the same owner: all of them go through the mailbox, or none."""
        for tag in range(6):
            c = self.resp()
            sent = self.mailbox()[0]
            c.send(b"".join(resp("SET", f"{{tag{tag}}}{i}", i) for i in range(100)))
            for _ in range(100):
                self.assertEqual(c.read_reply(), "OK")
            self.assertIn(self.mailbox()[0] - sent, (0, 100))

    def test_half_close_waits_for_every_answer(self):
        """Gets of one core whose answers are reckoned over the output limit while they are out, the end of the stream with them."""
        for turn in range(50):
            m = self.memcache()
            m.socket.send(b"".join(b"get {g}%07d\r\n" % i for i in range(512)), socket.MSG_MORE)
            m.finish()
            self.assertEqual(m.read_all(), b"END\r\n" * 512, f"connection {turn}")

    def test_inline_writes_before_a_lent_value(self):
        """Their answers come while another core may still copy the value out of the connection's buffers."""
        c = self.resp(limit=30)
        value = pattern(30000)
        for turn in range(300):
            c.send(b"".join(b"SET inline%d %d\r\n" % (i, turn) for i in range(4)) + resp("SET", f"lent{turn}", value))
            self.assertEqual([c.read_reply() for _ in range(5)], ["OK"] * 5)
            self.assertEqual(c.command("GET", f"lent{turn}"), value)

    def test_pipelines_mix_owners_in_order(self):
        r = random.Random(2)
        c, m = self.resp(limit=30), self.memcache(limit=30)
        want_resp, want_memcache, send_resp, send_memcache = [], [], [], []
        for i in range(5000):
            key, value = f"mix{r.randrange(200)}", "x" * r.choice((1, 20, 255, 257, 4000))
            send_resp.append(resp("SET", key, value) + resp("GET", key) + resp("STRLEN", key) + resp("PING", i))
            want_resp.append(b"+OK\r\n$%d\r\n%b\r\n:%d\r\n$%d\r\n%d\r\n" %
                             (len(value), value.encode(), len(value), len(str(i)), i))
            key = f"mim{r.randrange(200)}"
            send_memcache.append(b"set %b 1 0 %d\r\n%b\r\nget %b\r\nnosuch\r\n" %
                                 (key.encode(), len(value), value.encode(), key.encode()))
            want_memcache.append(b"STORED\r\nVALUE %b 1 %d\r\n%b\r\nEND\r\nERROR\r\n" %
                                 (key.encode(), len(value), value.encode()))
        for connection, send, want in ((c, send_resp, want_resp), (m, send_memcache, want_memcache)):
            sender = threading.Thread(target=connection.send, args=(b"".join(send),))
            sender.start()
            for i, answer in enumerate(want):
                self.assertEqual(connection.read(len(answer)), answer, f"request {i}")
            sender.join()

    def test_a_pipeline_sees_its_own_writes(self):
        """Writes and reads of one key by one connection keep their order, whoever owns it."""
        c = self.resp(limit=30)
        for owner in range(8):
            key = f"order{owner}"
            c.send(resp("SET", key, 0) + resp("INCR", key) * 500 + resp("GET", key) + resp("DEL", key) + resp("GET", key))
            self.assertEqual([c.read_reply() for _ in range(504)], ["OK", *range(1, 501), b"500", 1, None])

    def test_mget_and_del_over_both(self):
        c = self.resp(limit=30)
        keys = [f"many{i}" for i in range(1000)]
        values = [b"v" * (i % 700) for i in range(1000)]
        self.assertEqual(c.command("MSET", *(x for pair in zip(keys, values) for x in pair)), "OK")
        self.assertEqual(c.command("MGET", *keys, "no-such-key"), [*values, None])
        self.assertEqual(c.command("EXISTS", *keys), 1000)
        self.assertEqual(c.command("DEL", *keys[::2], "no-such-key"), 500)
        self.assertEqual(c.command("MGET", *keys), [None if i % 2 == 0 else values[i] for i in range(1000)])
        m = self.memcache(limit=30)
        m.send(b"get " + b" ".join(k.encode() for k in keys) + b"\r\n")
        want = b"".join(b"VALUE many%d 0 %d\r\n%b\r\n" % (i, len(values[i]), values[i]) for i in range(1, 1000, 2))
        self.assertTrue(m.read(len(want) + 5) == want + b"END\r\n", "in the order asked for")

    def test_counts_over_both(self):
        self.flush()
        c = self.resp()
        c.send(b"".join(resp("SET", f"count{i}", i) for i in range(999)))
        for _ in range(999):
            c.read_reply()
        self.assertEqual(c.command("DBSIZE"), 999)
        self.assertEqual(self.server.stats()["curr_items"], 999)
        self.assertEqual(c.command("FLUSHALL"), "OK")
        self.assertEqual(c.command("DBSIZE"), 0)

    def test_flush_reaches_every_core_at_once(self):
        c, m = self.resp(), self.memcache()
        for i in range(20):
            c.send(b"".join(resp("SET", f"fl{k}", i) for k in range(50)))
            for _ in range(50):
                c.read_reply()
            self.assertEqual(m.ask(b"flush_all\r\n"), b"OK\r\n")
            self.assertEqual(c.command("EXISTS", *(f"fl{k}" for k in range(50))), 0)
            c.send(resp("SET", "fl1", "x") + resp("FLUSHALL") + resp("GET", "fl1") + resp("SET", "fl1", "y") + resp("GET", "fl1"))
            self.assertEqual([c.read_reply() for _ in range(5)], ["OK", "OK", None, "OK", b"y"])

    def test_cas_through_the_mailbox(self):
        c = self.memcache()
        for i in range(20):
            self.assertEqual(c.ask(b"set ca%d 0 0 1\r\nA\r\n" % i), b"STORED\r\n")
            unique = c.ask(b"gets ca%d\r\n" % i, b"END\r\n").split()[4]
            self.assertEqual(c.ask(b"cas ca%d 0 0 1 %b\r\nB\r\n" % (i, unique)), b"STORED\r\n")
            self.assertEqual(c.ask(b"cas ca%d 0 0 1 %b\r\nC\r\n" % (i, unique)), b"EXISTS\r\n")
            self.assertEqual(c.ask(b"get ca%d\r\n" % i, b"END\r\n"), b"VALUE ca%d 0 1\r\nB\r\nEND\r\n" % i)

    def test_big_values_of_both_owners(self):
        c = self.resp(limit=30)
        for i in range(8):
            value = pattern(BIG_VALUE, i)
            self.assertEqual(c.command("SET", f"big{i}", value), "OK")
            self.assertTrue(c.command("GET", f"big{i}") == value)
        self.assertEqual(c.command("DEL", *(f"big{i}" for i in range(8))), 8)

    def in_threads(self, count, work):
        faults = []

        def guarded(number):
            try:
                work(number)
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(faults, [])

    def test_increments_from_all_sides_add_up(self):
        self.flush()

        def work(number):
            with self.server.resp(limit=30) as c:
                for _ in range(10):
                    c.send(b"".join(resp("INCR", f"sum{k}") for k in range(100)))
                    for _ in range(100):
                        c.read_reply()

        self.in_threads(8, work)
        with self.server.resp() as c:
            self.assertEqual(c.command("MGET", *(f"sum{k}" for k in range(100))), [b"80"] * 100)

    def test_no_torn_values(self):
        """Readers of values that others overwrite and remove see one whole value or none."""
        end = time.monotonic() + 4

        def value(letter, size):
            return letter * size

        def writer(number):
            r = random.Random(number)
            with self.server.memcache(limit=30) as c:
                while time.monotonic() < end:
                    key, letter = r.randrange(6), r.choice((b"a", b"b", b"c", b"d"))
                    size = r.choice((200, 300, 5000, 100_000))
                    if r.randrange(10) == 0:
                        c.ask(b"delete torn%d\r\n" % key)
                    elif c.ask(b"set torn%d 0 0 %d\r\n%b\r\n" % (key, size, value(letter, size))) != b"STORED\r\n":
                        raise AssertionError("not stored")

        def reader(number):
            r = random.Random(100 + number)
            with self.server.resp(limit=30) as c:
                while time.monotonic() < end:
                    keys = [r.randrange(6) for _ in range(20)]
                    c.send(b"".join(resp("GET", f"torn{k}") for k in keys))
                    for k in keys:
                        got = c.read_reply()
                        if got is not None and (len(got) not in (200, 300, 5000, 100_000) or got != got[:1] * len(got)):
                            raise AssertionError(f"torn{k}: {len(got)} bytes of {sorted(set(got))}")

        self.in_threads(6, lambda n: writer(n) if n < 3 else reader(n))
        self.assertGreater(self.server.stats()["get_hits"], 100 / SLOW)


if __name__ == "__main__":
    main()
