"""What looks at all keys: KEYS and RANDOMKEY over two cores, and memcached's own tool that shows the size classes."""
import os
import re
import unittest

from harness import ServerTest, main, resp, run

TOOL = "/usr/share/memcached/scripts/memcached-tool"  # of Debian's package memcached
KEYS = 20000


class KeysTest(ServerTest):
    cores = 2

    def setUp(self):
        super().setUp()
        self.flush()
        self.redis = self.resp()

    def names(self, pattern):
        """The keys hold no line end, so that lines are enough to take the answer apart."""
        self.redis.send(resp("KEYS", pattern) + resp("ECHO", "the-end"))
        lines = self.redis.read_until(b"$7\r\nthe-end\r\n").split(b"\r\n")
        names = lines[2:-3:2]
        self.assertEqual(lines[0], b"*%d" % len(names))
        self.assertEqual(lines[1:-3:2], [b"$%d" % len(name) for name in names])
        return names

    def test_all_and_some(self):
        names = [b"key:%06d:%s" % (i, b"x" * (i % 300)) for i in range(KEYS)]
        for i in range(0, KEYS, 500):
            words = [word for name in names[i:i + 500] for word in (name, "v")]
            self.redis.send(resp("MSET", *words))
            self.assertEqual(self.redis.read(5), b"+OK\r\n")
        self.assertEqual(sorted(self.names("*")), names)
        self.assertEqual(sorted(self.names("key:0000[12]?:*")), names[10:30])
        self.assertEqual(self.names("nothing*"), [])
        self.redis.send(resp("RANDOMKEY"))
        length = int(self.redis.read_until(b"\r\n")[1:])
        self.assertIn(self.redis.read(length + 2)[:-2], names)
        with self.memcache() as c:
            c.send(b"stats items\r\n")
            numbers = re.findall(rb"STAT items:\d+:number (\d+)", c.read_until(b"END\r\n"))
        self.assertEqual(sum(map(int, numbers)), KEYS)


@unittest.skipUnless(os.path.exists(TOOL), "no memcached-tool: install Debian's package memcached")
class ToolTest(ServerTest):
    cores = 2

    def tool(self, mode):
        status, out, err = run([TOOL, "%s:%d" % self.server.memcache_address, mode])
        self.assertEqual((status, err), (0, ""), out)
        return [line.split() for line in out.splitlines()[1:]]

    def test_display_and_sizes(self):
        self.flush()
        with self.memcache() as c:
            for i in range(1000):
                c.send(b"set k%03d 0 0 %d noreply\r\n%b\r\n" % (i, 10 + i % 3 * 1000, b"v" * (10 + i % 3 * 1000)))
            c.ask(b"get k999\r\n", b"END\r\n")
        rows = self.tool("display")
        self.assertEqual(sum(int(row[4]) for row in rows), 1000)
        for row in rows:
            size = float(row[1][:-1]) * (1024 if row[1].endswith("K") else 1)
            self.assertTrue(size > 10 and int(row[3]) > 0, row)
        self.assertEqual(sum(int(row[1]) for row in self.tool("sizes")), 1000)
        self.assertEqual(len(self.tool("sizes")), 3)


if __name__ == "__main__":
    main()
