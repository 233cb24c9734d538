"""The single-sided deployment: the server alone is moved to user space; its clients are existing programs on kernel TCP in
the network namespace of the test. What the two devices have in common.
"""
import os
import socket
import time

import network
from clients import Pymemcache, RedisPy, SharedKeys, Tools, Wire
from hard import Hard
from harness import Polarkv, Raw, ServerTest, resp, wait_for


class SingleSided(ServerTest):
    """A class of these has address (the server's), and start_device() that makes the wire and returns polarkv's options."""

    @classmethod
    def start_server(cls):
        options = cls.start_device()
        server = Polarkv("--listen", "", "--ip", f"{cls.address}/24", "--protected", "no", *options, address=cls.address,
                         wait=False)
        try:
            cls.device_ready(server)
            network.wait_for_ping(server)
            server.wait_ready()
        except BaseException:
            server.process.kill()
            server.process.wait()
            print(server.text())
            raise
        return server

    @classmethod
    def device_ready(cls, server):
        pass


class Stack:
    """What is to be seen of our IP and TCP from the kernel's side."""

    def test_ping(self):
        before = self.server.stats()
        for size in (0, 1, 56, 1000, 1472):
            self.assertTrue(network.ping(self.address, size, sequence=size), f"{size} bytes")
        self.assertEqual(self.server.stats()["drop_icmp"], before["drop_icmp"])

    def test_arp(self):
        network.ip("neighbour", "flush", "all")
        self.assertTrue(network.ping(self.address, sequence=77))
        self.assertIn(self.address, network.ip("neighbour", "show"))

    def test_a_closed_port_refuses(self):
        start = time.monotonic()
        with self.assertRaises(ConnectionRefusedError):
            Raw((self.address, 1))
        self.assertLess(time.monotonic() - start, 2)

    def test_options_of_the_handshake(self):
        """The kernel agreed with us on window scale, timestamps and SACK."""
        with self.server.resp() as c:
            self.assertEqual(c.command("PING"), "PONG")
            info = c.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
            agreed = info[5]  # tcpi_options: timestamps 1, SACK 2, window scale 4
            self.assertEqual(agreed & 7, 7, f"tcpi_options {agreed}")

    def test_other_congestion_controls(self):
        for name in (b"cubic", b"reno", b"bbr"):
            with self.server.resp() as c:
                try:
                    c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
                except OSError:
                    continue  # not in this kernel
                value = os.urandom(500_000)
                self.assertEqual(c.command("SET", "cc", value), "OK")
                self.assertTrue(c.command("GET", "cc") == value)

    def test_values_leave_by_reference_and_come_whole(self):
        before = self.server.stats()
        with self.server.resp(limit=20) as c:
            value = os.urandom(100_000)
            self.assertEqual(c.command("SET", "ref", value), "OK")
            for _ in range(50):
                self.assertTrue(c.command("GET", "ref") == value)
        after = self.server.stats()
        self.assertEqual(after["get_value_bytes_copied"], before["get_value_bytes_copied"])
        self.assertEqual(after["get_value_bytes_referenced"] - before["get_value_bytes_referenced"], 50 * 100_000)

    def test_our_close_and_theirs(self):
        """Each side closes first in turn; nothing lingers but TIME-WAIT on the side that closed first."""
        before = self.server.stats()["curr_connections"]
        for _ in range(100):
            with self.server.resp() as c:
                c.send(resp("QUIT"))
                self.assertEqual(c.read_all(), b"+OK\r\n")
            with self.server.memcache() as c:
                self.assertEqual(c.ask(b"get a\r\n"), b"END\r\n")
                c.finish()
                self.assertEqual(c.read_all(), b"")
        wait_for(lambda: self.server.stats()["curr_connections"] == before, "connections come back", 10)


def suites(base):
    """The tests that run over one device, each in a class of its own with a server of its own."""
    mixins = {"Stack": Stack, "RedisPy": RedisPy, "Pymemcache": Pymemcache, "Tools": Tools, "Wire": Wire,
              "SharedKeys": SharedKeys, "Hard": Hard}
    return {f"{name}Test": type(f"{name}Test", (mixin, base), {"__module__": "__main__"}) for name, mixin in mixins.items()}
