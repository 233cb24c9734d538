"""One address, two owners: polarkv serves its TCP ports in user space, and the kernel of the same host keeps ping, ARP, UDP
and the other TCP ports, here an echo on port 22. By AF_XDP, where all of it goes on when polarkv dies; and by a TAP device
beside a port that gives us every frame, where it goes on when polarkv is back.
"""
import os
import signal
import socket
import sys
import unittest

import host
import network
from harness import BUILD, Polarkv, Raw, main, seconds, wait_for

ADDRESS = "10.79.0.1"
CLIENT = "10.79.0.2/24"
SHARE_CLIENT = os.environ.get("SHARE_CLIENT", os.path.join(BUILD, "tests/net/share/share_client"))


def kernel_echo(connection, size=1000):
    data = os.urandom(size)
    connection.send(data)
    return connection.read(size) == data


def udp_echo():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(seconds(1))
        s.sendto(b"datagram", (ADDRESS, host.UDP_PORT))
        try:
            return s.recvfrom(100)[0] == b"datagram"
        except OSError:
            return False


class Share:
    """A class of these has device(host), which makes the wire and returns polarkv's options, and outlives, whether the
    kernel's part goes on while polarkv is dead."""

    def setUp(self):
        self.host = host.Host()
        self.addCleanup(self.host.close)
        network.veth("pk-server", "pk-client", CLIENT)
        self.addCleanup(network.ip, "link", "delete", "pk-client")
        self.options = self.device()
        self.server = None
        self.start()
        self.addCleanup(self.end)

    def polarkv(self, *more):
        return Polarkv("--listen", "", "--ip", f"{ADDRESS}/24", "--protected=no", *self.options, *more,
                       address=ADDRESS, wait=False, prefix=self.host.prefix)

    def start(self):
        self.server = self.polarkv()
        try:
            self.server.wait_ready(30)
        except BaseException:
            self.server.process.kill()
            self.server.process.wait()
            print(self.server.text())
            raise

    def end(self):
        if self.server.alive():
            self.server.stop()

    def kill(self):
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()
        self.server.output.close()

    def kernel_connection(self):
        connection = Raw((ADDRESS, host.TCP_PORT))
        self.addCleanup(connection.close)
        return connection

    def assert_kernel_serves(self):
        network.ip("neighbour", "flush", "all")
        self.assertTrue(network.ping(ADDRESS), "ping")
        self.assertIn(f"{ADDRESS} dev pk-client lladdr", network.ip("neighbour", "show"), "ARP")
        self.assertTrue(udp_echo(), "UDP")
        self.assertTrue(kernel_echo(self.kernel_connection()), "TCP")

    def assert_polarkv_serves(self):
        with self.server.memcache() as m, self.server.resp() as r:
            self.assertEqual(m.ask(b"set k 0 0 5\r\nvalue\r\n"), b"STORED\r\n")
            self.assertEqual(r.command("GET", "k"), b"value")

    def test_both_serve_the_same_address(self):
        before = self.server.stats()
        self.assert_polarkv_serves()
        self.assert_kernel_serves()
        self.assert_polarkv_serves()
        after = self.server.stats()
        self.assertGreaterEqual(after["accepted"] - before["accepted"], 4)
        self.assertEqual(after["icmp_echoes"], before["icmp_echoes"], "the kernel answers pings, not we")
        self.assertEqual(self.host.run("ss", "-Htn", "sport", f"= :{self.server.resp_address[1]}"), "")

    def test_a_port_of_neither_is_refused_by_the_kernel(self):
        with self.assertRaises(ConnectionRefusedError):
            Raw((ADDRESS, 1))
        self.assertEqual(self.server.stats()["resets_sent"], 0)

    def test_much_of_both_at_once(self):
        value = os.urandom(300_000)
        echo = self.kernel_connection()
        with self.server.resp(limit=20) as r:
            for _ in range(5):
                self.assertEqual(r.command("SET", "big", value), "OK")
                self.assertTrue(kernel_echo(echo, 200_000))
                self.assertTrue(r.command("GET", "big") == value)
                self.assertTrue(network.ping(ADDRESS, 1400))

    def test_killed_and_started_again(self):
        echo = self.kernel_connection()
        self.assertTrue(kernel_echo(echo))
        ours = self.server.resp()
        self.addCleanup(ours.close)
        self.assertEqual(ours.command("PING"), "PONG")
        self.kill()
        if self.outlives:
            self.assertTrue(kernel_echo(echo), "a kernel connection goes on")
            self.assert_kernel_serves()
            with self.assertRaises(ConnectionRefusedError):
                Raw(self.server.resp_address)
        self.start()
        self.assert_polarkv_serves()
        self.assertTrue(kernel_echo(echo), "a kernel connection goes on when we are back")
        self.assert_kernel_serves()
        with self.assertRaises(ConnectionResetError):
            ours.ask(b"PING\r\n")
            raise ConnectionResetError if ours.read_all() == b"" else AssertionError("an answer of a dead server")


class XdpTest(Share, unittest.TestCase):
    outlives = True

    def device(self):
        self.host.take("pk-server", f"{ADDRESS}/24")
        return "--vdev", "net_af_xdp0,iface=pk-server", "--port", "net_af_xdp0"

    def program(self):
        return "prog/xdp" in self.host.run("ip", "link", "show", "pk-server")

    def test_the_program_comes_and_goes_with_us(self):
        self.assertTrue(self.program())
        self.server.stop()
        self.assertFalse(self.program())
        self.assert_kernel_serves()

    def test_what_a_crash_left_does_not_hinder_one_that_shares_not(self):
        self.kill()
        self.assertTrue(self.program())
        self.options += "--share-address", "no"
        self.server = self.polarkv()
        wait_for(lambda: "ready" in self.server.text() or not self.server.alive(), "polarkv is ready", 30)
        self.assertTrue(self.server.alive(), self.server.text())

    def test_an_address_that_the_kernel_has_not_is_refused(self):
        self.server.stop()
        self.host.run("ip", "address", "del", f"{ADDRESS}/24", "dev", "pk-server")
        self.options += "--share-address", "yes"
        self.server = self.polarkv()
        self.assertNotEqual(self.server.process.wait(seconds(20)), 0)
        self.assertIn("the kernel does not have the port's address on interface pk-server", self.server.text())
        self.server.output.close()

    def test_a_second_one_is_refused(self):
        second = self.polarkv()
        self.assertNotEqual(second.process.wait(seconds(20)), 0)
        self.assertIn("another process serves on interface pk-server", second.text())
        second.output.close()
        self.assert_polarkv_serves()

    def test_it_is_shared_because_the_kernel_has_the_address(self):
        """With share-address auto, the default."""
        self.assertIn("shared with the kernel by xdp", self.server.text())


    def test_active_opens_beside_the_kernels(self):
        """We connect to a service of the other machine, whose kernel's MAC our kernel has to find for us, while our kernel
        has a connection there too."""
        self.server.stop()
        with host.Echo(CLIENT.split("/")[0]) as echo:
            kernel = "import socket,sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.sendall(b'x' * 999); " \
                     "print(len(s.recv(999, socket.MSG_WAITALL)), s.getsockname()[1])"
            for _ in range(2):
                self.host.run("ip", "neighbour", "flush", "dev", "pk-server")
                out = self.host.run(SHARE_CLIENT, "net_af_xdp0,iface=pk-server", f"{ADDRESS}/24", echo.address,
                                    str(echo.port))
                self.assertIn("200000 of 200000 bytes came back", out)
                size, port = self.host.run(sys.executable, "-c", kernel, echo.address, str(echo.port)).split()
                self.assertEqual(size, "999")
                self.assertLess(int(port), 61000)
        self.assertFalse(self.program())


class TapTest(Share, unittest.TestCase):
    """The port is a packet socket on one end of a veth pair that the kernel itself must leave alone."""
    outlives = False

    def device(self):
        self.host.take("pk-server")
        self.host.setting("ipv4/conf/pk-server/arp_ignore", 8)
        self.host.setting("ipv4/conf/pk-server/rp_filter", 1)
        return ("--vdev", "net_af_packet0,iface=pk-server", "--port", "net_af_packet0", "--share-address", "yes", "--tap",
                "pk-host")

    def there(self):
        return "pk-host" in self.host.run("ip", "link", "show")

    def test_the_device_comes_and_goes_with_us(self):
        self.assertIn(f"{ADDRESS}/24", self.host.run("ip", "address", "show", "dev", "pk-host"))
        self.server.stop()
        self.assertFalse(self.there())

    def test_frames_are_counted(self):
        before = self.server.stats()
        self.assertTrue(network.ping(ADDRESS))
        after = self.server.stats()
        self.assertGreater(after["exception_to_kernel"], before["exception_to_kernel"])
        self.assertGreater(after["exception_from_kernel"], before["exception_from_kernel"])
        self.assertEqual(after["exception_to_kernel_dropped"], 0)

    def test_what_the_kernel_does_not_take_is_counted(self):
        self.assertTrue(network.ping(ADDRESS))
        self.host.run("ip", "link", "set", "pk-host", "down")
        self.assertFalse(network.ping(ADDRESS, limit=0.2))
        self.assertGreater(self.server.stats()["exception_to_kernel_dropped"], 0)
        self.host.run("ip", "link", "set", "pk-host", "up")
        wait_for(lambda: network.ping(ADDRESS), "the kernel's answer to a ping")

    def test_longer_frames_of_the_kernel_than_the_port_takes_are_counted(self):
        self.assertTrue(network.ping(ADDRESS))
        self.host.run("ip", "link", "set", "pk-host", "mtu", "4000")
        before = self.server.stats()["exception_from_kernel_dropped"]
        send = "import socket,sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(3000), (sys.argv[1], 9))"
        for _ in range(3):
            self.host.run(sys.executable, "-c", send, CLIENT.split("/")[0])
        wait_for(lambda: self.server.stats()["exception_from_kernel_dropped"] >= before + 3, "three frames counted")
        self.assertTrue(network.ping(ADDRESS))


if __name__ == "__main__":
    network.enter_namespace()
    main()
