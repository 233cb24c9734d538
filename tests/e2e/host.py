"""The other machine: a network namespace of its own, in it a process with the services that a host's kernel offers, which
are a TCP echo (an ssh daemon in all but name) and a UDP echo. It dies with the test.
"""
import os
import select
import signal
import socket

import network
from harness import LIBC, PR_SET_PDEATHSIG, wait_for

TCP_PORT = 22
UDP_PORT = 7


def serve():
    listener = socket.create_server(("0.0.0.0", TCP_PORT), backlog=16)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", UDP_PORT))
    clients = []
    while True:
        for s in select.select([listener, udp, *clients], [], [])[0]:
            if s is listener:
                clients.append(listener.accept()[0])
            elif s is udp:
                data, peer = udp.recvfrom(65536)
                udp.sendto(data, peer)
            else:
                try:
                    data = s.recv(65536)
                    s.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    s.close()
                    clients.remove(s)


class Echo:
    """The same services in the test's own namespace."""
    port = TCP_PORT

    def __init__(self, address):
        self.address = address

    def __enter__(self):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                serve()
            finally:
                os._exit(1)
        wait_for(self.listens, "the echo service")
        return self

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex((self.address, self.port)) == 0

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Host:
    def __init__(self):
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                network.enter_namespace()
                os.write(tell, b"1")
                serve()
            finally:
                os._exit(1)
        os.close(tell)
        if os.read(ready, 1) != b"1":
            raise AssertionError("no second network namespace")
        os.close(ready)

    @property
    def prefix(self):
        """Before a command that is to run there."""
        return ["nsenter", "-t", str(self.pid), "-n"]

    def run(self, *words):
        return network.command(*self.prefix, *words)

    def setting(self, name, value):
        """A sysctl of its network, by its path below net."""
        self.run("sh", "-c", f"echo {value} > /proc/sys/net/{name}")

    def take(self, iface, address=None):
        """Moves an interface there, and sets it up."""
        network.ip("link", "set", iface, "netns", str(self.pid))
        if address:
            self.run("ip", "address", "add", address, "dev", iface)
        self.run("ip", "link", "set", iface, "up")

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
