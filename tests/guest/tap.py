"""A guest's NIC at a TAP device of this machine's kernel, in a network namespace of the test's own; and polarkv behind it,
with the face of harness.Polarkv.
"""
import os

import guest
import network
from harness import Polarkv, main

ADDRESS = "10.77.0.1"  # the guest's
TAP = "pk-tap"


def add(*how):
    """The TAP device; how: words of `ip tuntap`."""
    network.ip("tuntap", "add", "dev", TAP, "mode", "tap", *how)
    with open(f"/proc/sys/net/ipv6/conf/{TAP}/disable_ipv6", "w") as file:
        file.write("1")
    network.ip("address", "add", "10.77.0.2/24", "dev", TAP)
    network.ip("link", "set", TAP, "up")


def netdev(more=""):
    """QEMU's end of it, as netdev `wire`."""
    return ["-netdev", f"tap,id=wire,ifname={TAP},script=no,downscript=no{more}"]


class Face:
    address = ADDRESS
    memcache_address = (ADDRESS, 11211)
    resp_address = (ADDRESS, 6379)
    memcache = Polarkv.memcache
    resp = Polarkv.resp
    stats = Polarkv.stats


def run_tests():
    """The test program's main."""
    if not os.path.exists("/dev/net/tun"):
        guest.skip("this machine has no /dev/net/tun")
    guest.need_kernel()  # from outside of the namespace, where the archive is
    network.enter_namespace()
    main()
