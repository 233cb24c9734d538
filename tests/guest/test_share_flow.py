"""One address, two owners, by flow rules: in the guest polarkv takes its two TCP ports from the kernel's own interface,
isolated, by rte_flow rules that DPDK's net_tap driver makes into the kernel's filters (its `remote`; what else it brings
there of its own, share_flow.sh takes away); and the guest's kernel keeps ping, ARP, UDP and the other TCP ports, here an
echo on port 22. In the guest, because the filters (cls_flower) are modules that not every kernel has; at the other end the
kernel of this machine, in a network namespace of the test's own.
"""
import os
import socket
import unittest

import guest
import network
import tap
from harness import Raw, limit_time, seconds
from tap import ADDRESS, TAP

TCP_PORT = 22
UDP_PORT = 9  # nobody's


class FlowTest(tap.Face, unittest.TestCase):
    """One guest; the steps of its life in their order, as share_flow.sh has them."""

    def setUp(self):
        the_kernel = guest.need_kernel()
        image = guest.new_image(the_kernel, "share_flow.sh", ["virtio", "flower"])
        guest.add_polarkv(image, "net_tap")
        image.program(guest.need("tc", "iproute2"), "/usr/sbin/tc")
        tap.add()
        self.guest = guest.Guest(the_kernel, image, "share_flow", devices=[
            *tap.netdev(",vnet_hdr=off"), "-device", "virtio-net-pci,netdev=wire,romfile="])
        self.addCleanup(self.guest.kill)
        self.guest.start()
        self.guest.wait_step("rules", 90)
        limit_time(120)
        self.addCleanup(limit_time, 0)

    def kernel_connection(self):
        connection = Raw((ADDRESS, TCP_PORT), limit=20)
        self.addCleanup(connection.close)
        return connection

    def assert_echoes(self, connection, size=1000):
        data = os.urandom(size)
        connection.send(data)
        self.assertTrue(connection.read(size) == data, "TCP of the kernel")

    def assert_udp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(seconds(10))
            s.connect((ADDRESS, UDP_PORT))
            s.send(b"datagram")
            with self.assertRaises(ConnectionRefusedError):
                s.recv(100)

    def assert_kernel_serves(self):
        network.ip("neighbour", "flush", "dev", TAP)
        self.assertTrue(network.ping(ADDRESS, limit=10), "ping")
        self.assertIn("lladdr", network.ip("neighbour", "show", "to", ADDRESS, "dev", TAP), "ARP")
        self.assert_udp()
        self.assert_echoes(self.kernel_connection())

    def assert_polarkv_serves(self, key, size):
        value = os.urandom(size)
        with self.memcache(limit=20) as m, self.resp(limit=20) as r:
            self.assertEqual(m.ask(b"set %b 0 0 %d\r\n%b\r\n" % (key, size, value)), b"STORED\r\n")
            self.assertTrue(r.command("GET", key) == value)

    def test_both_serve_the_same_address(self):
        self.assertIn("shared with the kernel by flow", self.guest.text())
        before = self.stats()
        self.assert_polarkv_serves(b"small", 10)
        self.assert_kernel_serves()
        self.assert_polarkv_serves(b"large", 300_000)
        echo = self.kernel_connection()
        self.assert_echoes(echo, 100_000)
        with self.assertRaises(ConnectionRefusedError):
            Raw((ADDRESS, 1))  # by the kernel
        after = self.stats()
        self.assertGreaterEqual(after["accepted"] - before["accepted"], 4)
        for name in ("icmp_echoes", "icmp_unreachables", "drop_ip_protocol"):
            self.assertEqual(after[name], before[name], f"{name}: the kernel's")

        ours = self.resp(limit=20)
        self.addCleanup(ours.close)
        self.assertEqual(ours.command("PING"), "PONG")
        self.guest.tell("kill")
        self.guest.wait_step("killed", 20)
        self.assert_echoes(echo)
        self.assert_kernel_serves()

        self.guest.tell("again")
        self.guest.wait_step("rules-again", 60)
        self.assert_polarkv_serves(b"again", 10_000)
        self.assert_echoes(echo)
        self.assert_kernel_serves()
        with self.assertRaises(ConnectionResetError):
            ours.ask(b"PING\r\n")
            raise ConnectionResetError if ours.read_all() == b"" else AssertionError("an answer of a dead server")

        self.guest.tell("stop")
        self.guest.wait_step("rules-gone", 30)
        self.assert_echoes(echo)
        self.assert_kernel_serves()
        with self.assertRaises(ConnectionRefusedError):
            Raw(self.resp_address)
        self.guest.tell("finish")
        self.guest.finish(30)


if __name__ == "__main__":
    tap.run_tests()
