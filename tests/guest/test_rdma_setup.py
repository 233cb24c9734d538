"""polarkv's RDMA connections over soft-RoCE in a guest, asked by a client that has nothing of ours in it (rdma_peer.c):
they come and go by the hundred, die in the middle of a write, are refused, lose their device or its port, and what they
held comes back.
"""
import os
import unittest

import guest
import rdma

THE_KERNEL = guest.need_kernel()
STEPS = ["smoke", "memcache", "churn", "many", "all_back", "killed_clients", "after_killed", "stopped", "client_told",
         "again", "client_told_of_death", "third", "too_many", "rejected_memory", "stopped_third",
         *"""no_device no_library no_locked_memory started six own_core other_core rejected_limit carrier carrier_after
         down_after lost after_lost idle_removed removed let_go back after_back""".split()]


class RdmaSetupTest(unittest.TestCase):
    def test_connections(self):
        image = guest.new_image(THE_KERNEL, "rdma_setup.sh", rdma.GROUPS)
        rdma.add(image)
        guest.add_polarkv(image)
        image.program(os.environ["RDMA_PEER"], "/usr/bin/rdma_peer")
        image.program(guest.need("setpriv", "util-linux"), "/usr/bin/setpriv")
        image.file("/rdma_life.sh", os.path.join(guest.HERE, "rdma_life.sh"))
        steps, took = guest.run(guest.Guest(THE_KERNEL, image, "rdma_setup", memory_mib=384), 200)
        for step in STEPS:
            self.assertIn(step, steps)
        print(f"{took:.1f} s from start to power-off")


if __name__ == "__main__":
    from harness import main
    main()
