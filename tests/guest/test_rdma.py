"""polarkv's RDMA on two cores over soft-RoCE in a guest, against clients that hold it to the protocol's document
(rdma_client.c) and one that breaks its every rule (rdma_hostile.c); what they held comes back. On one processor, which
the emulator serves twice as fast as two; cores that run side by side are in the servers of test_rdma_two.py, for the same
clients, and test_onesided.py.
"""
import unittest

import guest
import rdma

THE_KERNEL = guest.need_kernel()
rdma.need_polarkv()
BOTH = [f"{task}_{protocol}" for task in ("values", "pairs", "small", "ends") for protocol in ("redis", "memcache")]
STEPS = [*BOTH, "slow", "idle", "churn", "rest", "died", "rest_after_deaths", "hostile", "hostile_counted",
         "rest_after_hostile", "stopped", "kernel"]


class RdmaTest(unittest.TestCase):
    def test_protocol(self):
        image = rdma.image(THE_KERNEL, "rdma_smoke.sh")
        guest.add_polarkv(image)
        steps, took = guest.run(guest.Guest(THE_KERNEL, image, "rdma", memory_mib=384), 200)
        for step in STEPS:
            self.assertIn(step, steps)
        print(f"{took:.1f} s from start to power-off")


if __name__ == "__main__":
    from harness import main
    main()
