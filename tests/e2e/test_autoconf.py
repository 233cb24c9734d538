"""Addresses that polarkv makes of what a router on the link announces: the kernel at the other end of a veth pair is the
router's and the client's; the router itself, which answers solicitations as radvd does, is a thread of this test.
"""
import re
import socket
import struct
import threading
import unittest

import network
from harness import Polarkv, Raw, main, wait_for

PREFIX = "2001:db8:5::"
CLIENT = PREFIX + "2"
ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"
SOLICITATION, ADVERTISEMENT = 133, 134
MADE = re.compile(r"address (2001:db8:5:\S+) is made")


class Router:
    """Announces one prefix to whoever asks, with these lifetimes."""

    def __init__(self, iface, valid=86400, preferred=14400):
        self.index = socket.if_nametoindex(iface)
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, iface.encode())
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        group = socket.inet_pton(socket.AF_INET6, ALL_ROUTERS) + struct.pack("@I", self.index)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        self.valid, self.preferred = valid, preferred
        self.asked = 0
        self.over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def announce(self):
        head = struct.pack("!BBHBBHII", ADVERTISEMENT, 0, 0, 64, 0, 1800, 0, 0)
        option = struct.pack("!BBBBIII16s", 3, 4, 64, 0xc0, self.valid, self.preferred, 0,
                             socket.inet_pton(socket.AF_INET6, PREFIX))
        self.socket.sendto(head + option, (ALL_NODES, 0, 0, self.index))

    def run(self):
        self.socket.settimeout(0.1)
        while not self.over:
            try:
                data, _ = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            if data[0] == SOLICITATION:
                self.asked += 1
                self.announce()

    def close(self):
        self.over = True
        self.thread.join()
        self.socket.close()


class AutoconfTest(unittest.TestCase):
    def setUp(self):
        network.veth("p6-server", "p6-client", "10.87.0.2/24")
        self.addCleanup(network.ip, "link", "delete", "p6-client")
        network.add_ipv6("p6-client", CLIENT + "/64")
        # Only a link-local address that is no longer probed for may be a router's.
        wait_for(lambda: "fe80::" in (shown := network.ip("-6", "address", "show", "dev", "p6-client")) and
                 "tentative" not in shown, "the client's link-local address")

    def polarkv(self, *more, cores=1):
        server = Polarkv("--listen", "", "--ip", "10.87.0.1/24", "--protected=no", "--vdev", "net_af_xdp0,iface=p6-server",
                         "--port", "net_af_xdp0", "--router-discovery", "yes", *more, address="10.87.0.1", wait=False,
                         cores=cores)
        self.addCleanup(lambda: server.alive() and server.stop())
        server.wait_ready()
        return server

    def made(self, server):
        wait_for(lambda: MADE.search(server.text()), f"polarkv makes an address:\n{server.text()}")
        return MADE.findall(server.text())

    def router(self, **lifetimes):
        router = Router("p6-client", **lifetimes)
        self.addCleanup(router.close)
        return router

    def test_a_stable_address_serves_and_comes_back(self):
        router = self.router()
        seen = []
        for _ in range(2):
            server = self.polarkv("--autoconf-secret", "000102030405060708090a0b0c0d0e0f", cores=2)
            addresses = self.made(server)
            self.assertEqual(len(addresses), 1, "one core speaks for both")
            self.assertGreater(router.asked, 0)
            for number in range(16):  # on whichever core
                with Raw((addresses[0], server.resp_address[1])) as c:
                    self.assertEqual(c.command("SET", f"k{number}", "x" * 5000), "OK")
                    self.assertEqual(c.command("GET", f"k{number}"), b"x" * 5000)
            seen += addresses
            server.stop()
        self.assertEqual(seen[0], seen[1])
        server = self.polarkv("--autoconf-secret", "100102030405060708090a0b0c0d0e0f")
        self.assertNotEqual(self.made(server)[0], seen[0])

    def test_the_macs_own(self):
        self.router()
        server = self.polarkv("--autoconf", "eui64")
        shown = network.ip("link", "show", "p6-server")
        mac = bytes.fromhex(re.search(r"link/ether (\S+)", shown)[1].replace(":", ""))
        tail = bytes([mac[0] ^ 2, *mac[1:3], 0xff, 0xfe, *mac[3:]])
        want = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, PREFIX)[:8] + tail)
        self.assertEqual(self.made(server), [want])
        with Raw((want, server.resp_address[1])) as c:
            self.assertEqual(c.command("PING"), "PONG")

    def test_its_time_is_over(self):
        self.router(valid=3, preferred=2)
        server = self.polarkv()
        address = self.made(server)[0]
        wait_for(lambda: f"address {address} is ours no more" in server.text(), "its end", 20)
        network.ip("-6", "neighbour", "flush", "dev", "p6-client")
        with self.assertRaises(OSError):
            Raw((address, server.resp_address[1]), limit=1)

    def test_none_is_wanted(self):
        router = self.router()
        server = self.polarkv("--autoconf", "no")
        router.announce()
        wait_for(lambda: server.stats()["router_adverts"] > 0, "the router is heard")
        self.assertEqual(server.stats()["addresses_made"], 0)

    def test_a_key_that_is_none(self):
        server = Polarkv("--listen", "", "--ip", "10.87.0.1/24", "--protected=no", "--vdev", "net_af_xdp0,iface=p6-server",
                         "--port", "net_af_xdp0", "--router-discovery", "yes", "--autoconf-secret", "abc", wait=False)
        self.assertNotEqual(server.process.wait(20), 0)
        self.assertIn("option 'autoconf-secret' got \"abc\": takes 32 hex digits", server.text())
        server.output.close()


if __name__ == "__main__":
    network.enter_namespace()
    main()
