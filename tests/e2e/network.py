"""A network namespace of the test's own. The test process itself moves into it, and with it all that it starts, so that
everything in it (veth pairs, TAP devices, XDP programs) is gone when the last of these processes is, however it ends.
"""
import ctypes
import os
import socket
import struct
import sys
import time

from harness import LIBC, SKIPPED, run, seconds, wait_for

CLONE_NEWNET = 0x40000000


def enter_namespace():
    """Ends the whole test program as skipped where this is not allowed."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        print(f"skipped: no network namespace ({os.strerror(ctypes.get_errno())}); run as root")
        sys.exit(SKIPPED)
    ip("link", "set", "lo", "up")


def command(*words):
    status, out, err = run(list(words))
    if status != 0:
        raise AssertionError(f"{' '.join(words)}: exit status {status}: {out}{err}")
    return out


def ip(*words):
    return command("ip", *words)


def veth(ours, theirs, address):
    """A veth pair: `ours` for the server, without an address; `theirs` with the client's. Checksums in software: what the
    kernel leaves to the device would reach the other end wrong."""
    ip("link", "add", ours, "type", "veth", "peer", "name", theirs)
    for end in (ours, theirs):
        try:
            with open(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6", "w") as file:
                file.write("1")
        except OSError:
            pass  # no IPv6 here, or not ours to change: then a few frames more are dropped
    command("ethtool", "-K", theirs, "tx", "off", "gso", "off", "tso", "off", "gro", "off")
    ip("link", "set", ours, "promisc", "on")
    ip("link", "set", ours, "up")
    ip("link", "set", theirs, "up")
    ip("address", "add", address, "dev", theirs)


def add_ipv6(iface, address):
    """Turns IPv6 on again at an end of a veth pair, with an address that is good at once. Ends the whole test program as
    skipped where the kernel has none."""
    try:
        with open(f"/proc/sys/net/ipv6/conf/{iface}/disable_ipv6", "w") as file:
            file.write("0")
    except OSError as fault:
        print(f"skipped: no IPv6 here ({fault})")
        sys.exit(SKIPPED)
    ip("address", "add", address, "dev", iface, "nodad")


def internet_checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ping(address, size=56, identity=0x504b, sequence=1, limit=2):
    """One ICMP echo; true when its whole answer came."""
    payload = bytes(i % 251 for i in range(size))
    header = struct.pack("!BBHHH", 8, 0, 0, identity, sequence)
    header = header[:2] + struct.pack("!H", internet_checksum(header + payload)) + header[4:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.sendto(header + payload, (address, 0))
        end = time.monotonic() + seconds(limit)
        while time.monotonic() < end:
            s.settimeout(max(0.01, end - time.monotonic()))
            try:
                packet, (source, _) = s.recvfrom(65536)
            except socket.timeout:
                return False
            icmp = packet[(packet[0] & 15) * 4:]
            if source == address and icmp[0] == 0 and icmp[4:8] == header[4:8]:
                return internet_checksum(icmp) == 0 and icmp[8:] == payload
    return False


def wait_for_ping(server, limit=20):
    def answers():
        assert server.alive(), server.text()
        return ping(server.address, limit=0.5)

    wait_for(answers, f"{server.address} answers a ping", limit)
