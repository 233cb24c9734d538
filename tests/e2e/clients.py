"""What real clients do to a server, whatever lies between: mixed into the tests over kernel sockets and the single-sided
ones. The class has self.server.
"""
import csv
import os
import tempfile
import threading
import time

import pymemcache
import redis

from harness import REFERENCE, SLOW, resp, run, seconds

MEGABYTE = 1 << 20
BIG_VALUE = 1_000_000 if REFERENCE else MEGABYTE  # memcached's largest item includes its header


def pattern(size, seed=1):
    """Bytes in which every shifted, torn or repeated piece is seen."""
    out, x = bytearray(), seed
    while len(out) < size:
        x = (x * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        out += x.to_bytes(8, "little")
    return bytes(out[:size])


class RedisPy:
    """redis-py, as Debian has it: RESP2."""

    def redis(self, **options):
        host, port = self.server.resp_address
        client = redis.Redis(host=host, port=port, socket_timeout=seconds(20), **options)
        self.addCleanup(client.close)
        return client

    def test_redis_py_connection(self):
        r = self.redis(client_name="tester")
        self.assertTrue(r.ping())
        self.assertEqual(r.echo("x y"), b"x y")
        self.assertEqual(r.client_getname(), "tester")
        self.assertGreater(r.client_id(), 0)
        self.assertEqual(r.config_get("appendonly"), {"appendonly": "no"})
        info = r.info()
        self.assertRegex(info["redis_version"], r"^7\.")
        self.assertIn("connected_clients", info)
        self.assertEqual(info["redis_mode"], "standalone")
        self.assertIn("used_memory", r.info("memory"))
        table = r.command()
        self.assertEqual((table["get"]["arity"], table["get"]["first_key_pos"], table["get"]["step_count"]), (2, 1, 1))
        self.assertEqual((table["mset"]["arity"], table["mset"]["last_key_pos"], table["mset"]["step_count"]), (-3, -1, 2))
        self.assertGreater(r.command_count(), 20)
        with self.assertRaisesRegex(redis.RedisError, "without any password|WRONGPASS|AUTH"):
            self.redis(password="secret").ping()
        with self.assertRaises(redis.RedisError):
            r.execute_command("NOSUCH", "a")
        self.assertTrue(r.ping(), "an error leaves the connection usable")

    def test_redis_py_strings(self):
        self.flush()
        r = self.redis()
        self.assertTrue(r.set("a", "1"))
        self.assertEqual(r.get("a"), b"1")
        self.assertIsNone(r.get("missing"))
        self.assertIsNone(r.set("a", "2", nx=True))
        self.assertIsNone(r.set("b", "2", xx=True))
        self.assertEqual(r.set("a", "2", get=True), b"1")
        self.assertEqual(r.append("a", "34"), 3)
        self.assertEqual((r.strlen("a"), r.strlen("missing")), (3, 0))
        self.assertEqual((r.incr("n"), r.incrby("n", 41), r.decr("n", 2)), (1, 42, 40))
        self.assertEqual(r.incrbyfloat("f", 2.5), 2.5)
        self.assertTrue(r.mset({"k1": "v1", "k2": "v2", "k3": ""}))
        self.assertEqual(r.mget("k1", "missing", "k3", "k2"), [b"v1", None, b"", b"v2"])
        self.assertEqual(r.exists("k1", "k2", "missing"), 2)
        self.assertEqual(r.delete("k1", "missing", "k2"), 2)
        self.assertEqual(r.unlink("k3"), 1)
        self.assertEqual((r.type("a"), r.type("missing")), (b"string", b"none"))
        self.assertTrue(r.setnx("new", "x"))
        self.assertEqual(r.getset("new", "y"), b"x")
        self.assertEqual(r.dbsize(), 4)
        self.assertTrue(r.flushall())
        self.assertEqual(r.dbsize(), 0)

    def test_redis_py_expiry(self):
        r = self.redis()
        r.set("x", "1", px=150)
        self.assertTrue(0 < r.pttl("x") <= 150)
        r.set("y", "1", ex=100)
        self.assertTrue(98 <= r.ttl("y") <= 100)
        self.assertTrue(r.persist("y"))
        self.assertEqual((r.ttl("y"), r.ttl("missing")), (-1, -2))
        self.assertTrue(r.expire("y", 50))
        r.set("y", "2", keepttl=True)
        self.assertTrue(48 <= r.ttl("y") <= 50)
        self.assertTrue(r.pexpire("y", 100_000))
        self.assertTrue(r.expireat("y", int(time.time()) + 10))
        self.assertTrue(8 <= r.ttl("y") <= 10)
        self.assertTrue(r.setex("z", 100, "v"))
        time.sleep(0.2)
        self.assertIsNone(r.get("x"), "gone 150 ms later")
        self.assertEqual(r.exists("x"), 0)

    def test_redis_py_pipeline(self):
        r = self.redis()
        with r.pipeline(transaction=False) as p:
            for i in range(2000):
                p.set(f"p{i}", f"value {i}")
                p.get(f"p{i}")
            answers = p.execute()
        self.assertEqual(answers[1::2], [b"value %d" % i for i in range(2000)])
        self.assertTrue(all(a is True for a in answers[::2]))

    def test_redis_py_big_values(self):
        r = self.redis()
        for size in (255, 256, 257, 4096, 65535, 65536, BIG_VALUE):
            value = pattern(size, size)
            self.assertTrue(r.set("big", value))
            self.assertTrue(r.get("big") == value, f"{size} bytes came back different")

    def test_resp3(self):
        c = self.resp()
        hello = c.command("HELLO", "3", "SETNAME", "three")
        self.assertEqual(hello[b"proto"], 3)
        self.assertEqual((hello[b"mode"], hello[b"role"], hello[b"modules"]), (b"standalone", b"master", []))
        self.assertRegex(hello[b"version"], rb"^7\.")
        self.assertIn(b"server", hello)
        self.assertGreater(hello[b"id"], 0)
        self.assertEqual(c.command("CLIENT", "GETNAME"), b"three")
        c.send(resp("GET", "missing-in-3"))
        self.assertEqual(c.read(3), b"_\r\n")
        c.send(resp("CONFIG", "GET", "save"))
        self.assertEqual(c.read_until(b"save\r\n"), b"%1\r\n$4\r\nsave\r\n")
        self.assertEqual(c.read_reply(), b"")
        self.assertEqual(c.command("MGET", "missing-in-3"), [None])
        self.assertEqual(c.command("HELLO", "2")[:1], [b"server"])
        c.send(resp("GET", "missing-in-3"))
        self.assertEqual(c.read(5), b"$-1\r\n")

    def test_newer_redis_clients_handshakes(self):
        """What redis-py 8, node-redis and go-redis send first: each gets one reply and the connection goes on."""
        c = self.resp()
        starts = [("HELLO", "3"), ("CLIENT", "SETINFO", "LIB-NAME", "x"), ("CLIENT", "SETINFO", "LIB-VER", "1"),
                  ("CLIENT", "MAINT_NOTIFICATIONS", "ON"), ("CLIENT", "SETNAME", "n"), ("COMMAND", "DOCS"),
                  ("COMMAND", "INFO", "get"), ("SELECT", "0"), ("INFO", "server"), ("CLIENT", "ID")]
        c.send(b"".join(resp(*words) for words in starts))
        for _ in starts:
            c.read_reply()
        self.assertEqual(c.command("PING"), "PONG")


class Pymemcache:
    def pymemcache(self, **options):
        client = pymemcache.Client(self.server.memcache_address, timeout=seconds(20), connect_timeout=seconds(20),
                                   **{"default_noreply": False, **options})
        self.addCleanup(client.close)
        return client

    def test_pymemcache_verbs(self):
        self.flush()
        m = self.pymemcache()
        self.assertRegex(m.version(), rb"^\d+\.\d+")
        self.assertTrue(m.set("a", "1", flags=7))
        self.assertEqual(m.get("a"), b"1")
        self.assertIsNone(m.get("missing"))
        self.assertFalse(m.add("a", "2"))
        self.assertTrue(m.add("b", "2"))
        self.assertTrue(m.replace("b", "3"))
        self.assertFalse(m.replace("missing", "3"))
        self.assertTrue(m.append("b", "4") and m.prepend("b", "2"))
        self.assertEqual(m.get_many(["a", "b", "missing"]), {"a": b"1", "b": b"234"})
        self.assertFalse(m.append("missing", "x"))
        self.assertEqual(m.set_many({"x": "1", "y": "2"}), [])
        self.assertTrue(m.delete_many(["x", "y"]))
        self.assertFalse(m.delete("x"))
        self.assertTrue(m.touch("a", 100))
        self.assertFalse(m.touch("missing", 100))
        self.assertIn(b"curr_items", m.stats())
        self.assertTrue(m.flush_all())
        self.assertIsNone(m.get("a"))

    def test_pymemcache_cas(self):
        m = self.pymemcache()
        m.set("c", "1")
        value, unique = m.gets("c")
        self.assertEqual(value, b"1")
        self.assertTrue(m.cas("c", "2", unique))
        self.assertFalse(m.cas("c", "3", unique), "the item has changed since")
        self.assertEqual(m.get("c"), b"2")
        self.assertIsNone(m.cas("missing", "3", unique))
        first = m.gets("c")[1]
        m.set("c", "2")
        self.assertNotEqual(m.gets("c")[1], first, "every store gives a new unique")
        both = m.gets_many(["c", "missing"])
        self.assertEqual(list(both), ["c"])

    def test_gat_and_gats(self):
        c = self.memcache()
        self.assertEqual(c.ask(b"set g 3 0 1\r\nG\r\n"), b"STORED\r\n")
        unique = c.ask(b"gets g\r\n", b"END\r\n").split()[4]
        self.assertEqual(c.ask(b"gats 100 g missing\r\n", b"END\r\n"), b"VALUE g 3 1 " + unique + b"\r\nG\r\nEND\r\n")
        self.assertEqual(c.ask(b"gat 1 g\r\n", b"END\r\n"), b"VALUE g 3 1\r\nG\r\nEND\r\n")
        time.sleep(2.1)
        self.assertEqual(c.ask(b"get g\r\n", b"END\r\n"), b"END\r\n", "one second has passed")

    def test_pymemcache_numbers(self):
        m = self.pymemcache()
        m.set("n", "10")
        self.assertEqual((m.incr("n", 5), m.decr("n", 6)), (15, 9))
        self.assertEqual(m.get("n"), b"9 ", "decr pads with blanks")
        m.set("n", str(2**64 - 1))
        self.assertEqual(m.incr("n", 2), 1, "incr wraps at 2^64")
        m.set("n", "3")
        self.assertEqual(m.decr("n", 5), 0, "decr stops at 0")
        self.assertIsNone(m.incr("missing", 1))
        m.set("n", "x")
        with self.assertRaises(pymemcache.MemcacheClientError):
            m.incr("n", 1)
        self.assertEqual(m.get("n"), b"x")

    def test_pymemcache_noreply(self):
        m = self.pymemcache(default_noreply=True)
        m.set("q", "1")
        m.append("q", "2")
        m.add("q", "never")
        m.incr("q", 3, noreply=True)
        m.touch("q", 0)
        self.assertEqual(m.get("q"), b"15")
        m.delete("q")
        self.assertIsNone(m.get("q"))

    def test_pymemcache_expiry(self):
        m = self.pymemcache()
        m.set("e", "1", expire=1)
        m.set("f", "1", expire=int(time.time()) + 3600)
        m.set("g", "1", expire=60 * 60 * 24 * 30 + 1)
        self.assertEqual(m.get("f"), b"1", "beyond 30 days: seconds since 1970")
        self.assertIsNone(m.get("g"), "a moment in 1970")
        time.sleep(2.1)
        self.assertIsNone(m.get("e"))

    def test_pymemcache_big_values(self):
        m = self.pymemcache()
        for size in (0, 255, 256, 257, 4096, 65535, 65536, BIG_VALUE):
            value = pattern(size, size + 1)
            self.assertTrue(m.set("big", value))
            self.assertTrue(m.get("big") == value, f"{size} bytes came back different")

    def test_flush_all_with_a_delay(self):
        c = self.memcache()
        self.assertEqual(c.ask(b"set d 0 0 1\r\nD\r\n"), b"STORED\r\n")
        self.assertEqual(c.ask(b"flush_all 2\r\n"), b"OK\r\n")
        self.assertEqual(c.ask(b"get d\r\n", b"END\r\n"), b"VALUE d 0 1\r\nD\r\nEND\r\n", "not yet")
        time.sleep(3.1)
        self.assertEqual(c.ask(b"get d\r\n", b"END\r\n"), b"END\r\n")
        self.assertEqual(c.ask(b"set d 0 0 1\r\nE\r\n"), b"STORED\r\n")
        self.assertEqual(c.ask(b"get d\r\n", b"END\r\n"), b"VALUE d 0 1\r\nE\r\nEND\r\n", "the flush is over")


class Tools:
    """Command-line programs of others."""

    def tool(self, *command, limit=60, **options):
        return run(list(command), limit, **options)

    def memcached_server(self):
        return "--servers=%s:%d" % self.server.memcache_address

    def test_memccp_and_memccat(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, size in (("small", 5), ("large", 300_000)):
                path = os.path.join(folder, name)
                text = ("".join(f"{i:07d}\n" for i in range(size)))[:size]
                with open(path, "w") as file:
                    file.write(text)
                self.assertEqual(self.tool("memccp", self.memcached_server(), path)[0], 0)
                status, out, err = self.tool("memccat", self.memcached_server(), name)
                self.assertEqual((status, err), (0, ""))
                self.assertEqual(out.rstrip("\n"), text.rstrip("\n"))
        self.assertEqual(self.tool("memcrm", self.memcached_server(), "small")[0], 0)
        self.assertNotEqual(self.tool("memccat", self.memcached_server(), "small")[0], 0)
        self.assertEqual(self.tool("memcping", self.memcached_server())[0], 0)
        status, out, _ = self.tool("memcstat", self.memcached_server())
        self.assertEqual(status, 0)
        self.assertIn("curr_connections", out)

    def test_memcslap(self):
        for kind in ("set", "get", "mget"):
            status, out, err = self.tool("memcslap", self.memcached_server(), f"--test={kind}", "--concurrency=4",
                                         "--execute-number=500", "--initial-load=500")
            self.assertEqual((status, err), (0, ""), out)

    def test_memccapable_ascii(self):
        host, port = self.server.memcache_address
        status, out, err = self.tool("memccapable", "-h", host, "-p", str(port), "-a", "-t", str(int(seconds(5))))
        failed = [line for line in out.splitlines() if "[pass]" not in line and line != "All tests passed"]
        self.assertEqual((status, failed), (0, []), err)
        self.assertGreaterEqual(out.count("[pass]"), 27)

    def redis_cli(self, *words, **options):
        host, port = self.server.resp_address
        return self.tool("redis-cli", "-h", host, "-p", str(port), *words, **options)

    def test_redis_cli(self):
        self.assertEqual(self.redis_cli("set", "cli", "a b")[:2], (0, "OK\n"))
        self.assertEqual(self.redis_cli("get", "cli")[:2], (0, "a b\n"))
        self.assertEqual(self.redis_cli("-3", "get", "cli")[:2], (0, "a b\n"))
        self.assertEqual(self.redis_cli("-3", "get", "nothing")[1], "\n")
        self.assertIn("ERR unknown command", self.redis_cli("nosuch")[1])
        script = "".join("incr counted\n" for _ in range(500))
        with tempfile.TemporaryFile("w+") as file:
            file.write("del counted\n" + script)
            file.seek(0)
            status, out, _ = self.redis_cli(stdin=file)
        self.assertEqual((status, out.split()[-1]), (0, "500"))
        with tempfile.TemporaryFile() as file:
            file.write(b"".join(resp("SET", f"pipe{i}", i) for i in range(10_000)))
            file.seek(0)
            status, out, err = self.redis_cli("--pipe", stdin=file)
        self.assertEqual(status, 0, err)
        self.assertIn("errors: 0, replies: 10000", out)

    def redis_benchmark(self, *options, tests):
        host, port = self.server.resp_address
        status, out, err = self.tool("redis-benchmark", "-h", host, "-p", str(port), "--csv", "-t", ",".join(tests), *options)
        self.assertEqual((status, err), (0, ""), out)
        rates = [float(row["rps"]) for row in csv.DictReader(out.splitlines())]
        self.assertGreaterEqual(len(rates), len(tests), out)
        self.assertTrue(all(rate > 0 for rate in rates), out)

    def test_redis_benchmark(self):
        n = str(int(20_000 / SLOW))
        self.redis_benchmark("-n", n, "-c", "50", "-r", "1000", tests=["ping_mbulk", "set", "get", "incr", "mset"])

    def test_redis_benchmark_pipelined(self):
        n = str(int(50_000 / SLOW))
        self.redis_benchmark("-n", n, "-c", "20", "-P", "32", "-d", "3000", "-r", "100", tests=["set", "get"])

    def test_redis_benchmark_inline(self):
        self.redis_benchmark("-n", str(int(10_000 / SLOW)), "-c", "10", tests=["ping_inline"])


class Wire:
    """What a connection carries, whatever it is made of."""

    def test_line_ends_in_a_refused_word(self):
        """They do not end the error's line: what follows would be taken for another answer."""
        c = self.resp()
        for words in (("CLIENT", "a\r\n+b"), ("CONFIG", "a\r\n+b"), ("HELLO", 2, "a\r\n+b"), ("a\r\n+b",)):
            self.assertIsInstance(c.command(*words), Exception)
            self.assertEqual(c.command("PING"), "PONG")

    def test_options_behind_a_long_value(self):
        """They come with all of the value, or after all of it."""
        c, last = self.resp(limit=30), b"$2\r\nEX\r\n$3\r\n100\r\n"
        for size in (40_000, 100_000, 150_000, 200_000):
            value = pattern(size, size)
            request = resp("SET", "options", value, "EX", 100)
            for _ in range(3):
                c.send(request * 4)
                self.assertEqual([c.read_reply() for _ in range(4)], ["OK"] * 4)
                c.send_pieces([request[:-len(last)], last], 0.05)
                self.assertEqual(c.read_reply(), "OK")
            self.assertTrue(c.command("GET", "options") == value)
            self.assertIn(c.command("TTL", "options"), (99, 100))

    def test_ten_thousand_pipelined_memcache(self):
        c = self.memcache(limit=30)
        request = b"".join(b"set pl%d 0 0 %d\r\n%d\r\nget pl%d\r\n" % (i, len(str(i)), i, i) for i in range(10_000))
        want = b"".join(b"STORED\r\nVALUE pl%d 0 %d\r\n%d\r\nEND\r\n" % (i, len(str(i)), i) for i in range(10_000))
        sender = threading.Thread(target=c.send, args=(request,))
        sender.start()
        self.assertTrue(c.read(len(want)) == want, "20,000 answers in order")
        sender.join()

    def test_ten_thousand_pipelined_resp(self):
        c = self.resp(limit=30)
        request = b"".join(resp("SET", f"pr{i}", i) + resp("GET", f"pr{i}") + resp("ECHO", i) for i in range(10_000))
        want = b"".join(b"+OK\r\n" + b"$%d\r\n%d\r\n" % (len(str(i)), i) * 2 for i in range(10_000))
        sender = threading.Thread(target=c.send, args=(request,))
        sender.start()
        self.assertTrue(c.read(len(want)) == want, "30,000 answers in order")
        sender.join()

    def test_megabyte_both_ways(self):
        value = pattern(BIG_VALUE, 7)
        m, r = self.memcache(limit=20), self.resp(limit=20)
        self.assertEqual(m.ask(b"set mb 9 0 %d\r\n%b\r\n" % (len(value), value)), b"STORED\r\n")
        head = b"VALUE mb 9 %d\r\n" % len(value)
        m.send(b"get mb\r\n" * 3)
        for _ in range(3):
            self.assertTrue(m.read(len(head) + len(value) + 7) == head + value + b"\r\nEND\r\n")
        self.assertEqual(r.command("SET", "mb", value), "OK")
        self.assertTrue(r.command("GET", "mb") == value)
        r.send(resp("GET", "mb") * 3)
        for _ in range(3):
            self.assertTrue(r.read_reply() == value)

    def test_byte_at_a_time(self):
        m, r = self.memcache(), self.resp()
        m.send_pieces(bytes([b]) for b in b"set slow 1 0 11\r\nhello world\r\nget slow\r\n")
        self.assertEqual(m.read_until(b"END\r\n"), b"STORED\r\nVALUE slow 1 11\r\nhello world\r\nEND\r\n")
        r.send_pieces(bytes([b]) for b in resp("SET", "slow", "hello redis") + resp("GET", "slow") + b"PING\r\n")
        self.assertEqual(r.read_until(b"+PONG\r\n"), b"+OK\r\n$11\r\nhello redis\r\n+PONG\r\n")

    def test_half_close_gets_every_reply(self):
        value = pattern(30_000, 3)
        with self.memcache() as c:
            c.send(b"set hc 0 0 30000\r\n" + value + b"\r\n" + b"get hc\r\n" * 100)
            c.finish()
            time.sleep(0.2)
            self.assertTrue(c.read_all() == b"STORED\r\n" + (b"VALUE hc 0 30000\r\n" + value + b"\r\nEND\r\n") * 100)
        if not REFERENCE:  # redis drops what it has not sent
            with self.resp() as c:
                c.send(resp("SET", "hc", value) + resp("GET", "hc") * 100)
                c.finish()
                time.sleep(0.2)
                self.assertTrue(c.read_all() == b"+OK\r\n" + (b"$30000\r\n" + value + b"\r\n") * 100)

    def test_half_close_in_the_middle_of_a_request(self):
        for c, start, want in ((self.memcache(), b"get nothing\r\nset half 0 0 100\r\nabc", b"END\r\n"),
                               (self.resp(), resp("GET", "nothing") + b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100\r\nabc", b"$-1\r\n")):
            c.send(start)
            c.finish()
            self.assertEqual(c.read_all(), want)

    def test_many_clients_at_once(self):
        """Each of 8 threads reads back only what it wrote."""
        faults = []

        def work(number):
            try:
                with self.server.memcache(limit=20) as c:
                    for i in range(300):
                        value = b"%d-%d-" % (number, i) * (1 + i % 50)
                        c.send(b"set mc%d 0 0 %d\r\n%b\r\nget mc%d\r\n" % (number, len(value), value, number))
                        want = b"STORED\r\nVALUE mc%d 0 %d\r\n%b\r\nEND\r\n" % (number, len(value), value)
                        if c.read(len(want)) != want:
                            raise AssertionError(f"client {number}, round {i}")
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(faults, [])


class SharedKeys:
    """memcached and redis clients see the same keys."""

    def test_keys_shared(self):
        self.flush()
        m, r = self.memcache(), self.resp()
        self.assertEqual(m.ask(b"set s 5 0 3\r\nabc\r\n"), b"STORED\r\n")
        self.assertEqual(r.command("GET", "s"), b"abc")
        self.assertEqual(r.command("APPEND", "s", "def"), 6)
        self.assertEqual(m.ask(b"get s\r\n", b"END\r\n"), b"VALUE s 5 6\r\nabcdef\r\nEND\r\n")
        self.assertEqual(r.command("SET", "n", "41"), "OK")
        self.assertEqual(m.ask(b"incr n 1\r\n"), b"42\r\n")
        self.assertEqual(r.command("INCR", "n"), 43)
        self.assertEqual(m.ask(b"touch n 100\r\n"), b"TOUCHED\r\n")
        self.assertTrue(98 <= r.command("TTL", "n") <= 101)  # memcached's seconds end with the clock's
        self.assertEqual(r.command("DEL", "n"), 1)
        self.assertEqual(m.ask(b"get n\r\n", b"END\r\n"), b"END\r\n")
        self.assertEqual(m.ask(b"set x 0 100 1\r\nX\r\n"), b"STORED\r\n")
        self.assertTrue(98 <= r.command("TTL", "x") <= 101)
        self.assertEqual(r.command("DBSIZE"), 2)
        self.assertEqual(m.ask(b"flush_all\r\n"), b"OK\r\n")
        self.assertEqual(r.command("EXISTS", "s", "x"), 0)

    def test_keys_longer_than_memcached_s(self):
        r = self.resp()
        key = b"k" * 1000
        self.assertEqual(r.command("SET", key, "v"), "OK")
        self.assertEqual(r.command("GET", key), b"v")
        self.assertEqual(r.command("DEL", key), 1)
