"""Two cores on a port. AF_XDP has one queue: the core that owns it receives and sends for the other, and connections are
divided by their hash. TAP has a queue for each, and the kernel keeps a connection on one.
"""
import os
import socket
import sys
import threading

import network
from clients import Wire, pattern
from harness import Raw, main, resp, wait_for
from single_sided import SingleSided

CONNECTIONS = 64


class Shared(SingleSided, Wire):
    cores = 2

    def test_both_learn_from_arp(self):
        before = self.server.stats()["steered_copies"]
        network.ip("neighbour", "flush", "all")
        self.assertTrue(network.ping(self.address, sequence=9))
        self.assertGreater(self.server.stats()["steered_copies"], before)

    def test_values_of_both_cores(self):
        c = self.resp(limit=30)
        for i in range(16):
            value = pattern(100_000, i)
            self.assertEqual(c.command("SET", f"shared{i}", value), "OK")
            self.assertTrue(c.command("GET", f"shared{i}") == value)

    def test_many_at_once(self):
        faults = []

        def work(number):
            try:
                with Raw(self.server.resp_address, limit=30) as c:
                    for i in range(200):
                        c.send(resp("SET", f"m{number}", f"{i}") + resp("GET", f"m{number}"))
                        assert c.read_reply() == "OK"
                        assert c.read_reply() == b"%d" % i
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(faults, [])

    def test_a_closed_port_refuses_once(self):
        before = self.server.stats()["resets_sent"]
        for _ in range(8):
            with self.assertRaises(ConnectionRefusedError):
                Raw((self.address, 1))
        self.assertEqual(self.server.stats()["resets_sent"] - before, 8)


class TapTest(Shared):
    address = "10.78.0.1"

    @classmethod
    def start_device(cls):
        return "--vdev", "net_tap0,iface=pk-tap", "--port", "net_tap0", "--cores", "2"

    @classmethod
    def device_ready(cls, server):
        def there():
            assert server.alive(), server.text()
            return "pk-tap" in (name for _, name in socket.if_nameindex())

        wait_for(there, "polarkv makes the TAP device", 20)
        network.ip("link", "set", "pk-tap", "up")
        network.ip("address", "replace", "10.78.0.2/24", "dev", "pk-tap")


class AfXdpTest(Shared):
    address = "10.77.0.1"

    @classmethod
    def start_device(cls):
        network.veth("pk-server", "pk-client", "10.77.0.2/24")
        return "--vdev", "net_af_xdp0,iface=pk-server", "--port", "net_af_xdp0", "--cores", "2"

    def test_connections_are_divided(self):
        before = self.server.stats()
        connections = [self.resp() for _ in range(CONNECTIONS)]
        for i, c in enumerate(connections):
            self.assertEqual(c.command("SET", f"divided{i}", i), "OK")
        for i, c in enumerate(connections):
            self.assertEqual(c.command("GET", f"divided{(i * 7) % CONNECTIONS}"), b"%d" % ((i * 7) % CONNECTIONS))
        after = self.server.stats()
        sent = {name: after[name] - before[name] for name in ("steered_out", "steered_in", "steered_dropped", "resets_sent")}
        self.assertGreater(sent["steered_in"], CONNECTIONS)
        self.assertGreater(sent["steered_out"], sent["steered_in"], "answers went back over the ring too")
        self.assertEqual(sent["steered_dropped"], 0)
        self.assertEqual(sent["resets_sent"], 0)


del Shared, SingleSided, Wire

if __name__ == "__main__":
    network.enter_namespace()
    if not os.path.exists("/dev/net/tun"):
        print("skipped: this machine has no /dev/net/tun")
        sys.exit(77)
    main()
