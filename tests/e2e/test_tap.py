"""Single-sided over a TAP device: its kernel end is the client's interface."""
import os
import socket
import sys

import network
from harness import SKIPPED, main, wait_for
from single_sided import SingleSided, suites


class Tap(SingleSided):
    address = "10.78.0.1"

    @classmethod
    def start_device(cls):
        return "--vdev", "net_tap0,iface=pk-tap", "--port", "net_tap0"

    @classmethod
    def device_ready(cls, server):
        def there():
            assert server.alive(), server.text()
            return "pk-tap" in (name for _, name in socket.if_nameindex())

        wait_for(there, "polarkv makes the TAP device", 20)
        network.ip("link", "set", "pk-tap", "up")
        network.ip("address", "replace", "10.78.0.2/24", "dev", "pk-tap")


globals().update(suites(Tap))
del SingleSided, Tap

if __name__ == "__main__":
    network.enter_namespace()
    if not os.path.exists("/dev/net/tun"):
        print("skipped: this machine has no /dev/net/tun")
        sys.exit(SKIPPED)
    main()
