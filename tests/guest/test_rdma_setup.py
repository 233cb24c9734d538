"""polarkv's RDMA connections over soft-RoCE in a guest, asked by a client that has nothing of ours in it (rdma_peer.c):
they come and go by the hundred, die in the middle of a write, are refused, and what they held comes back.
"""
import os
import unittest

import guest
import rdma

THE_KERNEL = guest.need_kernel()
STEPS = ["smoke", "memcache", "churn", "many", "all_back", "killed_clients", "after_killed", "stopped", "client_told",
         "again", "client_told_of_death", "third", "too_many", "rejected_memory", "stopped_third"]


class RdmaSetupTest(unittest.TestCase):
    def test_connections(self):
        image = guest.new_image(THE_KERNEL, "rdma_setup.sh", rdma.GROUPS)
        rdma.add(image)
        guest.add_polarkv(image)
        image.program(os.environ["RDMA_PEER"], "/usr/bin/rdma_peer")
        steps, took = guest.run(guest.Guest(THE_KERNEL, image, "rdma_setup", memory_mib=384), 200)
        for step in STEPS:
            self.assertIn(step, steps)
        print(f"{took:.1f} s from start to power-off")


if __name__ == "__main__":
    from harness import main
    main()
