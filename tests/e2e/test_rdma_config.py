"""What polarkv says of option rdma: bad forms, what reaches beyond this host, and a machine without RDMA devices."""
import os
import unittest

from harness import POLARKV, Polarkv, free_ports, main, run

RDMA = os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband")
BUILT = os.environ["POLAR_RDMA"] == "ON"


class Rdma(unittest.TestCase):
    def refused(self, status, words, *options):
        """Ends with this status and exactly one line on standard error, in which every word stands."""
        ports = free_ports(2)
        got, out, err = run([POLARKV, "--memcache-port", str(ports[0]), "--resp-port", str(ports[1]), "--cores", "1",
                             *Polarkv.SMALL, *options], 60)
        self.assertEqual((got, out), (status, ""), f"{options}: {err}")
        self.assertRegex(err, r"\A[^\n]+\n\Z", f"{options}: one line")
        for word in words:
            self.assertIn(word, err, f"{options}")

    @unittest.skipUnless(BUILT, "built without RDMA")
    def test_bad_forms(self):
        for value in ("10.9.0.1", "10.9.0.1:", "10.9.0.1:0", "10.9.0.1:65536", "localhost:6379", "10.9.0.256:6379",
                      "2001:db8::1:6379", "[2001:db8::1]", "[2001:db8::1:6379", "memcache@", "redis@10.9.0.1:6379",
                      "memcache@memcache@10.9.0.1:6379", "memcached@127.0.0.1:1", ":6379", "*:6379"):
            with self.subTest(value):
                self.refused(2, ["'rdma'", f'"{value}"', "6379", "memcache@"], "--rdma", value)

    @unittest.skipUnless(BUILT, "built without RDMA")
    def test_beyond_this_host(self):
        for value in ("10.9.0.1:6379", "0.0.0.0:6379", "[::]:6379", "[fe80::1%lo]:6379"):
            with self.subTest(value):
                self.refused(2, ["'rdma'", value, "password", "protected"], "--rdma", value)
        value = "memcache@10.9.0.1:11211"
        self.refused(2, ["'rdma'", value, "no password"], "--rdma", value, "--password", "secret")

    @unittest.skipUnless(BUILT, "built without RDMA")
    def test_twice(self):
        self.refused(2, ["'rdma'", "twice"], "--rdma", "127.0.0.1:6380", "--rdma", "memcache@127.0.0.1:6380")

    @unittest.skipUnless(BUILT, "built without RDMA")
    def test_core_ports(self):
        self.refused(2, ["'rdma'", "65535", "core-ports"], "--rdma", "127.0.0.1:65535", "--core-ports", "yes")
        self.refused(2, ["'rdma'", "memcache@", "too near", "core-ports"], "--core-ports", "yes", "--rdma",
                     "127.0.0.1:6380", "--rdma", "memcache@127.0.0.1:6381")

    def test_sizes(self):
        for options, words in ((["--rdma-buffer", "127k"], ["rdma-buffer", "127k", "128k"]),
                               (["--rdma-buffer", "17m"], ["rdma-buffer", "17m", "16m"]),
                               (["--rdma-memory", "1k"], ["rdma-memory", "1k"])):
            with self.subTest(options):
                self.refused(2, words, *options)

    @unittest.skipUnless(BUILT, "built without RDMA")
    @unittest.skipIf(RDMA, "this machine has an RDMA device")
    def test_no_device(self):
        for value in ("127.0.0.1:6380", "[::1]:6380", "memcache@127.0.0.1:6380"):
            with self.subTest(value):
                self.refused(1, ["'rdma'", "no RDMA device", "rdma link add"], "--rdma", value)

    @unittest.skipIf(BUILT, "built with RDMA")
    def test_built_without(self):
        self.refused(2, ["'rdma'", "built without RDMA"], "--rdma", "127.0.0.1:6380")

    def test_without_the_option_nothing_is_asked_of_it(self):
        server = Polarkv()
        try:
            self.assertFalse([name for name in server.stats() if name.startswith("rdma")])
        finally:
            server.stop()


if __name__ == "__main__":
    main()
