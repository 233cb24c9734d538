"""Single-sided over AF_XDP on one end of a veth pair."""
import itertools

import network
from harness import main
from single_sided import SingleSided, suites

count = itertools.count()


class AfXdp(SingleSided):
    address = "10.77.0.1"

    @classmethod
    def start_device(cls):
        network.ip("link", "show")
        if next(count):
            network.ip("link", "delete", "pk-server")
        network.veth("pk-server", "pk-client", "10.77.0.2/24")
        return "--vdev", "net_af_xdp0,iface=pk-server", "--port", "net_af_xdp0"


globals().update(suites(AfXdp))
del SingleSided, AfXdp

if __name__ == "__main__":
    network.enter_namespace()
    main()
