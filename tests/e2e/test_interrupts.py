"""An idle core sleeps until its port's queue wakes it: over a TAP device, whose driver lends its file descriptor, with the
kernel as the peer. Between requests the core must sleep far longer than a nap, and each request must still be answered at
once; over AF_XDP, which has no interrupts, it naps as ever.
"""
import json
import os
import re
import socket
import tempfile
import time
import unittest

import network
from harness import BUILD, KVBENCH, Polarkv, main, run, wait_for

POLARCTL = os.environ.get("POLARCTL", os.path.join(BUILD, "client/polarctl"))
OURS, KERNEL = "10.81.0.1", "10.81.0.2"
QUIET = 2  # seconds
REQUESTS = 50
NAPS_A_SECOND = 10000  # of 100 us, had it to nap


class Interrupts(unittest.TestCase):
    def start(self, *device):
        folder = tempfile.TemporaryDirectory(prefix="polarkv-interrupts-")
        self.addCleanup(folder.cleanup)
        self.admin = os.path.join(folder.name, "admin.sock")
        self.server = Polarkv("--listen", "", "--ip", f"{OURS}/24", "--protected=no", "--admin-socket", self.admin, *device,
                              address=OURS, wait=False)
        self.addCleanup(self.server.stop)

    def sleeps(self):
        status, out, err = run([POLARCTL, "--socket", self.admin, "stages"])
        self.assertEqual(status, 0, err)
        return int(re.search(r"sleeps (\d+)", out)[1])

    def requests(self, c):
        for i in range(REQUESTS):
            self.assertEqual(c.command("SET", f"key{i}", f"value{i}"), "OK")
            self.assertEqual(c.command("GET", f"key{i}"), f"value{i}".encode())
            time.sleep(0.01)  # long enough to fall asleep

    def quiet(self):
        """Sleeps of a time without requests."""
        before = self.sleeps()
        time.sleep(QUIET)
        return self.sleeps() - before

    def test_a_tap_device_wakes_the_core(self):
        self.start("--vdev", "net_tap0,iface=i-tap", "--port", "net_tap0")
        wait_for(lambda: "i-tap" in (name for _, name in socket.if_nameindex()), "polarkv makes the TAP device", 20)
        network.ip("address", "replace", f"{KERNEL}/24", "dev", "i-tap")
        network.ip("link", "set", "i-tap", "up")
        self.server.wait_ready(30)
        with self.server.resp(limit=20) as c:
            self.requests(c)
            self.assertLess(self.quiet(), QUIET * NAPS_A_SECOND / 20)
            self.requests(c)
            self.assertGreater(self.server.stats()["rx_armed"], REQUESTS)

    def test_virtio_user_wakes_the_core(self):
        """The queue's interrupt is the vhost end's call, by an eventfd: kvbench over net_vhost, one connection, a request
        each 10 ms. polarkv begins when that end is there."""
        folder = tempfile.TemporaryDirectory(prefix="polarkv-interrupts-")
        self.addCleanup(folder.cleanup)
        path, self.admin = os.path.join(folder.name, "vhost"), os.path.join(folder.name, "admin.sock")
        self.server = Polarkv("--ip", f"{OURS}/24", "--protected=no", "--admin-socket", self.admin, "--vdev",
                              f"net_virtio_user0,path={path},server=1,queues=1,queue_size=1024,mac=02:00:00:00:00:01",
                              "--port", "net_virtio_user0", wait=False)
        self.addCleanup(self.server.stop)
        report = os.path.join(folder.name, "report.json")
        command = [KVBENCH, "--server", f"{OURS}:{self.server.resp_address[1]}", "--protocol", "resp",
                   "--transport", "tcp", "--vdev", f"net_vhost0,iface={path},client=1,queues=1", "--ip", f"{KERNEL}/24",
                   "--connections", "1", "--rate", "100", "--keys", "100", "--duration", "2s", "--warmup", "100ms",
                   "--json", report]
        for _ in range(5):
            status, out, err = run(command, 60)
            if "No route to host" not in out:  # else polarkv took longer to begin than its neighbour asked for it
                break
        self.assertEqual(status, 0, out + err)
        with open(report) as file:
            seen = json.load(file)
        self.assertGreater(self.server.stats()["rx_armed"], 50, "it slept between requests")
        self.assertGreater(seen["ops_per_s"], 0)
        self.assertEqual(seen["errors"], 0)
        self.assertLess(self.quiet(), QUIET * NAPS_A_SECOND / 20)

    def test_af_xdp_naps(self):
        network.ip("link", "add", "i-ours", "type", "veth", "peer", "name", "i-peer")
        self.addCleanup(run, ["ip", "link", "delete", "i-ours"])
        network.command("ethtool", "-K", "i-peer", "tx", "off")
        network.ip("link", "set", "i-ours", "up")
        network.ip("address", "add", f"{KERNEL}/24", "dev", "i-peer")
        network.ip("link", "set", "i-peer", "up")
        self.start("--vdev", "net_af_xdp0,iface=i-ours", "--port", "net_af_xdp0")
        self.server.wait_ready(30)
        with self.server.resp(limit=20) as c:
            self.requests(c)
            self.assertEqual(self.server.stats()["rx_armed"], 0)
            self.assertGreater(self.quiet(), QUIET)


if __name__ == "__main__":
    network.enter_namespace()
    main()
