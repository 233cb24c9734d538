"""Kernel clients over IPv6: redis-py, pymemcache and raw connections against polarkv over AF_XDP on a veth pair, with the
usual MTU and with one of 3,000 bytes.
"""
import os
import socket
import threading

import network
from clients import Pymemcache, RedisPy
from harness import Polarkv, Raw, ServerTest, main, wait_for

ADDRESS, PREFIX, CLIENT = "fd00::1", 64, "fd00::2/64"
TIMESTAMPS, SACK, SCALE = 1, 2, 4  # bits of tcpi_options
TCPI_SND_MSS, TCPI_RCV_MSS = 16, 20


class Ipv6(ServerTest):
    MTU = 1500

    @classmethod
    def start_server(cls):
        network.veth("p6-server", "p6-client", "10.86.0.2/24")
        cls.addClassCleanup(network.ip, "link", "delete", "p6-client")
        for end in ("p6-server", "p6-client"):
            network.ip("link", "set", end, "mtu", str(cls.MTU))
        network.add_ipv6("p6-client", CLIENT)
        server = Polarkv("--listen", "", "--ip", f"10.86.0.1/24,{ADDRESS}/{PREFIX}", "--protected=no", "--vdev",
                         "net_af_xdp0,iface=p6-server", "--port", "net_af_xdp0", "--mtu", str(cls.MTU), address=ADDRESS,
                         wait=False)
        try:
            server.wait_ready()
        except BaseException:
            server.process.kill()
            server.process.wait()
            print(server.text())
            raise
        return server

    def info(self, c, at):
        """A 32-bit field of TCP_INFO."""
        return int.from_bytes(c.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[at:at + 4], "little")


class Wire6:
    def test_large_values_both_ways(self):
        with self.server.resp(limit=20) as c:
            for size in (1, 1000, 1440, 1441, 70_000, 1_000_000):
                value = os.urandom(size)
                self.assertEqual(c.command("SET", f"v{size}", value), "OK")
                self.assertTrue(c.command("GET", f"v{size}") == value, f"{size} bytes")

    def test_segments_fill_the_mtu(self):
        """Both sides, without 40 bytes of IPv6, 20 of TCP and 12 of timestamps."""
        with self.server.resp(limit=20) as c:
            value = os.urandom(500_000)
            self.assertEqual(c.command("SET", "full", value), "OK")
            self.assertTrue(c.command("GET", "full") == value)
            self.assertEqual(self.info(c, TCPI_SND_MSS), self.MTU - 72)
            self.assertEqual(self.info(c, TCPI_RCV_MSS), self.MTU - 72)

    def test_options_of_the_handshake(self):
        with self.server.resp() as c:
            options = c.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[5]
            self.assertEqual(options & 7, TIMESTAMPS | SACK | SCALE)

    def test_a_closed_port_refuses(self):
        with self.assertRaises(ConnectionRefusedError):
            Raw((ADDRESS, 1))

    def test_neighbour_forgotten_in_mid_transfer(self):
        """The kernel asks for us anew, and what was under way goes on."""
        value = os.urandom(1_000_000)
        with self.server.resp(limit=20) as c:
            self.assertEqual(c.command("SET", "much", value), "OK")
            for _ in range(10):
                network.ip("-6", "neighbour", "flush", "dev", "p6-client")
                self.assertTrue(c.command("GET", "much") == value)
            self.assertIn(f"{ADDRESS} dev p6-client lladdr", network.ip("-6", "neighbour", "show"))

    def test_many_at_once(self):
        faults = []

        def work(number):
            try:
                with self.server.resp(limit=30) as r, self.server.memcache(limit=30) as m:
                    for turn in range(20):
                        value = os.urandom(1000 + 5000 * turn)
                        if r.command("SET", f"m{number}", value) != "OK":
                            raise AssertionError("not stored")
                        head = b"VALUE m%d 0 %d\r\n" % (number, len(value))
                        m.send(b"get m%d\r\n" % number)
                        if m.read(len(head) + len(value) + 7) != head + value + b"\r\nEND\r\n":
                            raise AssertionError("another value")
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(faults, [])

    def test_both_families(self):
        with self.server.resp() as six, Raw(("10.86.0.1", self.server.resp_address[1])) as four:
            self.assertEqual(six.command("SET", "both", "x"), "OK")
            self.assertEqual(four.command("GET", "both"), b"x")

    def test_our_close_and_theirs(self):
        before = self.server.stats()["curr_connections"]
        for _ in range(50):
            with self.server.resp() as c:
                self.assertEqual(c.command("QUIT"), "OK")
                self.assertEqual(c.read_all(), b"")
            with self.server.memcache() as c:
                self.assertEqual(c.ask(b"get nothing-here\r\n"), b"END\r\n")
                c.finish()
                self.assertEqual(c.read_all(), b"")
        wait_for(lambda: self.server.stats()["curr_connections"] == before, "connections come back", 10)


class Wire6Test(Wire6, Ipv6):
    pass


class Wire6LargerMtuTest(Wire6, Ipv6):
    MTU = 3000


class RedisPy6Test(RedisPy, Ipv6):
    pass


class Pymemcache6Test(Pymemcache, Ipv6):
    pass


del Ipv6, Wire6, RedisPy, Pymemcache

if __name__ == "__main__":
    network.enter_namespace()
    main()
