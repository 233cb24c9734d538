"""Over vhost the client's memory goes with it, and the rings in it."""
import os

from harness import main
from peer_death import PeerDeath


class VhostDeathTest(PeerDeath):
    @classmethod
    def server_wire(cls, folder):
        return "--vdev", f"net_vhost0,iface={os.path.join(folder, 'vhost')},queues=1,tso=1", "--port", "net_vhost0"

    @classmethod
    def client_wire(cls, folder):
        path = os.path.join(folder, "vhost")
        return "--vdev", f"net_virtio_user0,path={path},queues=1,queue_size=1024,mac=02:00:00:00:00:02"


del PeerDeath

if __name__ == "__main__":
    main()
