"""Over memif the rings go with the peer, under the server's hands. See net/port_gate.h."""
import os

from harness import main
from peer_death import PeerDeath


class MemifDeathTest(PeerDeath):
    @staticmethod
    def vdev(role, folder):
        path = os.path.join(folder, "memif")
        mac = "02:00:00:00:00:01" if role == "server" else "02:00:00:00:00:02"  # a client that comes back has its own
        return f"net_memif0,role={role},id=0,socket={path},socket-abstract=no,rsize=10,bsize=2048,mac={mac}"

    @classmethod
    def server_wire(cls, folder):
        return "--vdev", cls.vdev("server", folder), "--port", "net_memif0"

    @classmethod
    def client_wire(cls, folder):
        return "--vdev", cls.vdev("client", folder)


del PeerDeath

if __name__ == "__main__":
    main()
