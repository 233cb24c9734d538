"""polarkv's TCP over a PCI driver: QEMU's NIC behind an IOMMU, handed to polarkv in the guest by vfio-pci, with two cores;
at the other end the kernel of this machine, through a TAP device in a network namespace of the test's own. GUEST_NIC:
virtio (two queues that the device spreads by RSS; the IOMMU knows 48 bits, so that items are sent from where they lie) or
e1000e (one queue that two cores share; an IOMMU of 39 bits, so that they cannot be).
"""
import os
import random
import re
import threading

import guest
import network
import tap
from clients import MEGABYTE, pattern
from harness import Polarkv, Raw, ServerTest, resp
from single_sided import Stack

NIC = os.environ.get("GUEST_NIC", "virtio")
CONNECTIONS = 24
SIZES = (1, 2, 63, 255, 256, 257, 1447, 1448, 1449, 4096, 9000, 65535, 65536, 65537, 262144, MEGABYTE - 1, MEGABYTE)
# Without interrupt remapping, whose emulation fails now and then when the processor is scarce.
IOMMU = "intel-iommu,caching-mode=on,intremap=off,aw-bits="


def wire():
    """The TAP device, and QEMU's options for the NIC at its end."""
    if NIC == "virtio":
        tap.add("multi_queue", "vnet_hdr")
        return ["-device", IOMMU + "48", *tap.netdev(",queues=2"), "-device", "virtio-net-pci,netdev=wire,addr=0x10,mq=on,"
                "rss=on,vectors=6,iommu_platform=on,disable-legacy=on,romfile="]
    tap.add("vnet_hdr")
    return ["-device", IOMMU + "39", *tap.netdev(), "-device", "e1000e,netdev=wire,addr=0x10,romfile="]


class GuestServer(tap.Face):
    """polarkv in the guest."""
    wait_ready = Polarkv.wait_ready
    answers = Polarkv.answers

    def __init__(self, the_guest):
        self.guest = the_guest
        self.command = ["polarkv"]

    def start(self):
        self.guest.start()
        self.guest.wait_step("started", 60)
        network.wait_for_ping(self, 40)
        self.wait_ready(20)

    def alive(self):
        return self.guest.alive() and not self.guest.failures() and "polarkv" not in self.guest.results()

    def text(self):
        return self.guest.text()

    def stop(self):
        """Has the guest say what it saw and end: both cores have executed requests."""
        try:
            self.guest.tell("finish")
            self.guest.finish(60)
        finally:
            self.guest.kill()
        cycles = re.findall(r"^  stage  session +(\d+) cycles", self.text(), re.MULTILINE)
        if len(cycles) != 2 or min(map(int, cycles)) == 0:
            raise AssertionError(f"not both cores served:\n{self.text()}")


class PciTest(Stack, ServerTest):
    address = tap.ADDRESS

    @classmethod
    def start_server(cls):
        the_kernel = guest.need_kernel()
        image = guest.new_image(the_kernel, "pci.sh", ["vfio"])
        guest.add_polarkv(image)
        server = GuestServer(guest.Guest(the_kernel, image, f"pci_{NIC}", cpus=2, memory_mib=512, devices=wire(),
                                         append="intel_iommu=on hugepagesz=2M hugepages=96"))
        try:
            server.start()
        except BaseException:
            server.guest.kill()
            raise
        return server

    def port_line(self):
        """What polarkv says of its port at the start."""
        return re.search(r"port 0000:00:10.0 \((\w+)\): (\d) queues?, .*", self.server.text())

    def test_device(self):
        said = self.port_line()
        self.assertTrue(said, self.server.text())
        driver, queues = ("net_virtio", "2") if NIC == "virtio" else ("net_e1000_em", "1")
        self.assertEqual((said[1], said[2]), (driver, queues))
        self.assertIn("sends checksums", said[0])
        self.assertIn("checks checksums", said[0])
        self.assertEqual("spreads by RSS" in said[0], NIC == "virtio")
        self.assertEqual("they are copied for it" in self.server.text(), NIC != "virtio")

    def test_values_of_every_size_on_many_connections(self):
        """Each connection writes its own values and reads another's, in both protocols."""
        faults = []

        def work(number):
            draw = random.Random(number)
            sizes = list(SIZES)
            draw.shuffle(sizes)
            try:
                with Raw(self.server.resp_address, limit=60) as r, Raw(self.server.memcache_address, limit=60) as m:
                    for size in sizes:
                        value = pattern(size, number * 7 + size)
                        assert r.command("SET", f"r{number}", value) == "OK"
                        head = b"VALUE r%d 0 %d\r\n" % (number, size)
                        m.send(b"get r%d\r\n" % number)
                        assert m.read(len(head) + size + 7) == head + value + b"\r\nEND\r\n", f"{size} bytes, memcached"
                        assert m.ask(b"set m%d 0 0 %d\r\n%b\r\n" % (number, size, value)) == b"STORED\r\n"
                        assert r.command("GET", f"m{number}") == value, f"{size} bytes, redis"
                    for i in range(50):
                        r.send(b"".join(resp("SET", f"s{number}.{k}", f"{i}.{k}") for k in range(8)))
                        r.send(b"".join(resp("GET", f"s{number}.{k}") for k in range(8)))
                        assert [r.read_reply() for _ in range(16)] == ["OK"] * 8 + [b"%d.%d" % (i, k) for k in range(8)]
            except Exception as fault:
                faults.append(f"connection {number}: {fault!r}")

        before = self.server.stats()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(CONNECTIONS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(faults, [])
        after = self.server.stats()
        for name in ("drop_ip_checksum", "drop_tcp_checksum", "drop_tcp_header", "drop_ip_header", "tx_no_buffer",
                     "steered_dropped"):
            self.assertEqual(after[name], before[name], name)
        # What RSS spreads needs no help from core to core; what it does not is divided in software.
        self.assertEqual(after["steered_in"] > before["steered_in"] + 1000, NIC != "virtio")
        self.assertEqual(after["get_value_bytes_copied"], before["get_value_bytes_copied"])


del Stack, ServerTest

if __name__ == "__main__":
    tap.run_tests()
