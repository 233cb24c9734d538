"""Our CUBIC beside the kernel's, through the same bottleneck: a switch in a namespace of its own, whose port to the receiver
has a token bucket and a short queue. What each gets of it, over two runs, once each with the other already under way.
"""
import os
import select
import socket
import sys
import time
import unittest

import host
import network
from harness import Polarkv, Process, main, resp, run, seconds, wait_for

OURS, RECEIVER, KERNEL = "10.87.0.1", "10.87.0.2", "10.87.0.3"
PORT = 5000
RATE = 40_000_000       # bits a second
QUEUE_BYTES = 150_000   # 30 ms
WARM_UP, MEASURED = 3, 8  # seconds
VALUE = 1_000_000
AHEAD = 4               # values asked for and not yet come
LEAST, MOST = 0.28, 0.72
SENDER = f"""
import socket
s = socket.create_server(("", {PORT}))
while True:
    c = s.accept()[0]
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    try:
        while True: c.sendall(bytes(1 << 16))
    except OSError:
        c.close()
"""


class FromOurs:
    """Values of polarkv's, asked for ahead."""

    def __init__(self, server):
        self.connection = server.resp(limit=20)
        self.socket = self.connection.socket
        self.got = 0
        self.asked = 0

    def ask(self):
        while self.asked * VALUE < self.got + AHEAD * VALUE:
            self.socket.send(resp("GET", "bulk"))
            self.asked += 1


class FromKernel:
    def __init__(self):
        self.socket = socket.create_connection((KERNEL, PORT), seconds(10))
        self.got = 0

    def ask(self):
        pass


def receive(flows, duration):
    end = time.monotonic() + duration
    while time.monotonic() < end:
        for flow in flows:
            flow.ask()
        for s in select.select([f.socket for f in flows], [], [], 0.1)[0]:
            flow = next(f for f in flows if f.socket is s)
            data = s.recv(1 << 18)
            assert data, "the sender has closed"
            flow.got += len(data)


class FairTest(unittest.TestCase):
    def setUp(self):
        self.switch, self.kernel = host.Host(), host.Host()
        self.addCleanup(self.switch.close)
        self.addCleanup(self.kernel.close)
        for ours, port in (("f-ours", "f-port1"), ("f-receiver", "f-port2"), ("f-kernel", "f-port3")):
            network.ip("link", "add", ours, "type", "veth", "peer", "name", port)
            network.command("ethtool", "-K", ours, "tx", "off", "gso", "off", "tso", "off", "gro", "off")
            self.switch.take(port)
        self.addCleanup(run, ["ip", "link", "delete", "f-ours"])
        self.addCleanup(run, ["ip", "link", "delete", "f-receiver"])
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge")
        for port in ("f-port1", "f-port2", "f-port3"):
            self.switch.run("ip", "link", "set", port, "master", "bridge")
        self.switch.run("ip", "link", "set", "bridge", "up")
        self.kernel.take("f-kernel", f"{KERNEL}/24")
        network.ip("link", "set", "f-ours", "promisc", "on", "up")
        network.ip("address", "add", f"{RECEIVER}/24", "dev", "f-receiver")
        network.ip("link", "set", "f-receiver", "up")
        self.bottleneck()
        self.sender = Process([*self.kernel.prefix, sys.executable, "-c", SENDER])
        self.addCleanup(self.sender.output.close)
        self.addCleanup(self.sender.process.wait)
        self.addCleanup(self.sender.process.kill)
        self.server = Polarkv("--listen", "", "--ip", f"{OURS}/24", "--protected=no", "--vdev", "net_af_xdp0,iface=f-ours",
                              "--port", "net_af_xdp0", address=OURS, wait=False)
        self.addCleanup(self.server.stop)
        self.server.wait_ready(30)
        wait_for(lambda: network.ping(KERNEL, limit=0.5), "the kernel that sends answers", 10)
        wait_for(self.sender_listens, "the kernel's sender listens", 10)

    def sender_listens(self):
        with socket.socket() as s:
            return s.connect_ex((KERNEL, PORT)) == 0

    def bottleneck(self):
        status, out, err = run([*self.switch.prefix, "tc", "qdisc", "add", "dev", "f-port2", "root", "tbf", "rate",
                                f"{RATE}bit", "burst", "5000", "limit", str(QUEUE_BYTES)])
        if status != 0:
            self.skipTest(f"no token bucket here: {out}{err}")

    def contest(self, kernel_first):
        """Bytes that ours and the kernel's brought in the time that is measured."""
        makers = [lambda: FromOurs(self.server), FromKernel]
        first, second = makers[::-1] if kernel_first else makers
        flows = [first()]
        receive(flows, 1)
        flows.append(second())
        receive(flows, WARM_UP)
        before = [f.got for f in flows]
        receive(flows, MEASURED)
        got = [f.got - b for f, b in zip(flows, before)]
        for f in flows:
            f.socket.close()
        time.sleep(0.5)  # the queue runs empty
        return got[::-1] if kernel_first else got

    def test_shares_the_bottleneck(self):
        with self.server.resp() as c:
            self.assertEqual(c.command("SET", "bulk", os.urandom(VALUE)), "OK")
        runs = [self.contest(kernel_first) for kernel_first in (False, True)]
        ours, kernels = (sum(values) for values in zip(*runs))
        for run_ours, run_kernel in runs:
            print(f"ours {run_ours * 8 / MEASURED / 1e6:.1f} Mb/s, kernel {run_kernel * 8 / MEASURED / 1e6:.1f} Mb/s: "
                  f"{run_ours / (run_ours + run_kernel):.0%}", file=sys.stderr)
        self.assertGreater(ours + kernels, 0.8 * RATE / 8 * MEASURED * len(runs), "the bottleneck is used")
        self.assertGreater(ours / (ours + kernels), LEAST)
        self.assertLess(ours / (ours + kernels), MOST)


if __name__ == "__main__":
    network.enter_namespace()
    main()
