"""TCP fast open (RFC 7413) with the kernel as the client, over a TAP device: the first connection brings a cookie, the
next ones carry their request with the SYN."""
import json
import os
import socket
import struct
import sys
import tempfile
import unittest

import network
from harness import KVBENCH, SKIPPED, Polarkv, main, run, seconds, wait_for

ADDRESS, SYN_DATA, DEVICE = "10.79.0.1", 32, "pk-fo"  # SYN_DATA: of tcpi_options


class FastOpen(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Polarkv("--vdev", f"net_tap0,iface={DEVICE}", "--port", "net_tap0", "--ip", f"{ADDRESS}/24",
                             "--listen", "", "--protected=no", "--fast-open", "16", address=ADDRESS, wait=False)
        cls.addClassCleanup(cls.server.stop)

        def there():
            assert cls.server.alive(), cls.server.text()
            return DEVICE in (name for _, name in socket.if_nameindex())

        wait_for(there, "polarkv makes the TAP device", 20)
        network.ip("link", "set", DEVICE, "up")
        network.ip("address", "replace", "10.79.0.2/24", "dev", DEVICE)
        network.wait_for_ping(cls.server)
        cls.server.wait_ready()

    def ask(self, request, answer):
        """True when the request went with the SYN and was taken there."""
        with socket.socket() as s:
            limit = struct.pack("ll", int(seconds(10)), 0)  # python's own would make it a non-blocking socket
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self.assertEqual(s.sendto(request, socket.MSG_FASTOPEN, self.server.memcache_address), len(request))
            got = b""
            while not got.endswith(answer):
                piece = s.recv(65536)
                self.assertTrue(piece, f"the connection ended after {got[-100:]}")
                got += piece
            return bool(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[5] & SYN_DATA)

    def test_request_with_the_syn(self):
        self.ask(b"set k 0 0 5\r\nhello\r\n", b"STORED\r\n")  # asks for the cookie
        for _ in range(20):
            self.assertTrue(self.ask(b"get k\r\n", b"VALUE k 0 5\r\nhello\r\nEND\r\n"))

    def test_kvbench_over_kernel_sockets(self):
        """Its connections opened anew carry their first request with the SYN, which the server takes."""
        for fast_open in ("no", "yes"):
            before = self.server.stats()
            report = kvbench(f"{ADDRESS}:{self.server.memcache_address[1]}", "--fast-open", fast_open)
            after = self.server.stats()
            opened = after["fast_opened"] - before["fast_opened"]
            self.assertGreater(report["reconnections"], 50)
            if fast_open == "yes":
                self.assertGreaterEqual(opened, report["reconnections"] * 9 // 10)
            else:
                self.assertEqual(opened, 0)

    def test_more_than_a_syn_carries(self):
        self.ask(b"get none\r\n", b"END\r\n")
        value = os.urandom(100000).hex().encode()
        self.assertTrue(self.ask(b"set big 0 0 %d\r\n%s\r\n" % (len(value), value), b"STORED\r\n"))
        self.assertTrue(self.ask(b"get big\r\n", value + b"\r\nEND\r\n"))


class MemifFastOpen(unittest.TestCase):
    """kvbench on our own TCP at both ends."""

    def test_kvbench_over_memif(self):
        with tempfile.TemporaryDirectory() as folder:
            memif = f"id=0,socket={folder}/memif,socket-abstract=no,rsize=10,bsize=9216"
            server = Polarkv("--vdev", f"net_memif0,role=server,{memif}", "--port", "net_memif0", "--ip", "10.9.0.1/24",
                             "--protected=no", "--fast-open", "16")
            self.addCleanup(server.stop)
            report = kvbench(f"10.9.0.1:{server.memcache_address[1]}", "--fast-open", "yes", "--transport", "tcp",
                             "--vdev", f"net_memif0,role=client,{memif}", "--ip", "10.9.0.2/24")
            self.assertGreater(report["reconnections"], 50)
            self.assertGreaterEqual(server.stats()["fast_opened"], report["reconnections"] * 9 // 10)


def kvbench(server, *options):
    """Connections for three requests each; every value is checked."""
    status, out, err = run([KVBENCH, "--server", server, "--connections", "4", "--reconnect", "3", "--keys", "200",
                            "--ratio", "1:1", "--warmup", "0s", "--duration", "700ms", "--json", "-", *options], 60)
    assert status == 0, out + err
    report = json.loads(out)
    assert report["good"], report
    return report


if __name__ == "__main__":
    network.enter_namespace()
    if not os.path.exists("/dev/net/tun"):
        print("skipped: this machine has no /dev/net/tun")
        sys.exit(SKIPPED)
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as switch:
        switch.write("1")
    main()
