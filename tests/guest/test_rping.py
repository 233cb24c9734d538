"""Debian's rping over soft-RoCE in a guest: the emulated machine's RDMA works, so that a failure of the tests beside this
one is not its.
"""
import unittest

import guest
import rdma

THE_KERNEL = guest.need_kernel()


class RpingTest(unittest.TestCase):
    def test_rping(self):
        image = guest.new_image(THE_KERNEL, "rping.sh", rdma.GROUPS)
        rdma.add(image)
        image.program(guest.need("rping", "rdmacm-utils"))
        steps, took = guest.run(guest.Guest(THE_KERNEL, image, "rping", memory_mib=192), 90)
        self.assertIn("rping", steps)
        self.assertIn("rping_server", steps)
        print(f"{took:.1f} s from start to power-off")


if __name__ == "__main__":
    from harness import main
    main()
