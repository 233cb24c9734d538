"""polarkv's RDMA between two machines: guests with a wire between them. The clients' one is switched off in the end, in the
middle of their writes: the server finds out by itself, and what they held comes back.
"""
import os
import tempfile
import time
import unittest

import guest
import rdma
from harness import seconds

THE_KERNEL = guest.need_kernel()
rdma.need_polarkv()


def nic(folder, ours, theirs, number):
    return ["-netdev", f"dgram,id=wire,local.type=unix,local.path={folder}/{ours},remote.type=unix,"
            f"remote.path={folder}/{theirs}", "-device",
            f"virtio-net-pci,netdev=wire,mac=52:54:00:00:00:{number:02x},host_mtu=4200,romfile="]


class TwoMachinesTest(unittest.TestCase):
    def test_a_wire_between(self):
        images = {script: rdma.image(THE_KERNEL, script) for script in ("rdma_server.sh", "rdma_far.sh")}
        guest.add_polarkv(images["rdma_server.sh"])
        with tempfile.TemporaryDirectory() as folder:
            server = guest.Guest(THE_KERNEL, images["rdma_server.sh"], "rdma_server", cpus=2, memory_mib=320,
                                 devices=nic(folder, "server", "far", 1))
            far = guest.Guest(THE_KERNEL, images["rdma_far.sh"], "rdma_far", memory_mib=256,
                              devices=nic(folder, "far", "server", 2))
            start = time.monotonic()
            try:
                server.launch()
                far.launch()
                server.await_boot()
                far.await_boot()
                server.wait_step("started", 60)
                far.wait_step("rdma", 30)
                far.tell("go")
                far.wait_step("quiet", 150)
                server.tell("quiet")
                server.wait_step("rest", 40)
                far.tell("write")
                time.sleep(seconds(1))
                self.assertTrue(far.alive() and not far.failures(), far.tail())
                far.kill()
                server.tell("alone")
                self.assertIn("rest_after_power_cut", server.finish(120))
            finally:
                far.kill()
                server.kill()
            print(f"{time.monotonic() - start:.1f} s in all")


if __name__ == "__main__":
    from harness import main
    main()
