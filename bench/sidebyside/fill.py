"""Loads a server with many items over one loopback connection, pipelined; counts those that it keeps."""

import collections
import socket

BATCH = 2000  # requests sent before their answers are read
TIMEOUT_SECONDS = 60

# ttl: seconds, or a false value
Load = collections.namedtuple("Load", "items key_bytes value_bytes ttl")


def memcache_sets(load, first, last, value):
    tail = b" 0 %d %d\r\n%s\r\n" % (load.ttl or 0, load.value_bytes, value)
    return b"".join(b"set " + b"%0*d" % (load.key_bytes, n) + tail for n in range(first, last))


def resp_sets(load, first, last, value):
    expiry = b"$2\r\nEX\r\n$%d\r\n%d\r\n" % (len(str(load.ttl)), load.ttl) if load.ttl else b""
    head = b"*%d\r\n$3\r\nSET\r\n$%d\r\n" % (5 if load.ttl else 3, load.key_bytes)
    tail = b"\r\n$%d\r\n%s\r\n" % (load.value_bytes, value) + expiry
    return b"".join(head + b"%0*d" % (load.key_bytes, n) + tail for n in range(first, last))


def answers(stream, count, wanted):
    """How many of the next answers are the wanted one."""
    return sum(stream.readline() == wanted for _ in range(count))


def memcache_items(stream, sock):
    sock.sendall(b"stats\r\n")
    items = None
    while (line := stream.readline()) not in (b"END\r\n", b""):
        if line.startswith(b"STAT curr_items "):
            items = int(line.split()[2])
    return items


def resp_items(stream, sock):
    sock.sendall(b"*1\r\n$6\r\nDBSIZE\r\n")
    return int(stream.readline()[1:])


PROTOCOLS = {"memcache": (memcache_sets, b"STORED\r\n", memcache_items), "resp": (resp_sets, b"+OK\r\n", resp_items)}


def fill(port, protocol, load):
    """Items that are there in the end; at the first that is refused it ends."""
    sets, stored, items = PROTOCOLS[protocol]
    value = b"v" * load.value_bytes
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as sock:
        stream = sock.makefile("rb", buffering=1 << 16)
        for first in range(0, load.items, BATCH):
            last = min(first + BATCH, load.items)
            sock.sendall(sets(load, first, last, value))
            if answers(stream, last - first, stored) != last - first:
                break
        return items(stream, sock)
