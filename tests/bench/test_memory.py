#!/usr/bin/python3
"""What bench/memory sends, against a server that only counts."""

import os
import socket
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "bench"))
from sidebyside import fill  # noqa: E402


class Counting:
    """Answers each set until it holds `room` items; then refuses."""

    def __init__(self, room):
        self.room, self.keys = room, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def store(self, key, good, bad):
        if len(self.keys) == self.room:
            return bad
        self.keys.add(key)
        return good

    def memcache(self, line, stream):
        if line == b"stats\r\n":
            return b"STAT pid 1\r\nSTAT curr_items %d\r\nEND\r\n" % len(self.keys)
        _, key, _, exptime, length = line.split()
        assert len(stream.read(int(length) + 2)) == int(length) + 2 and exptime in (b"0", b"77")
        return self.store(key, b"STORED\r\n", b"SERVER_ERROR out of memory storing object\r\n")

    def resp(self, line, stream):
        parts = []
        for _ in range(int(line[1:])):
            length = int(stream.readline()[1:])
            parts.append(stream.read(length + 2)[:-2])
        if parts == [b"DBSIZE"]:
            return b":%d\r\n" % len(self.keys)
        assert parts[0] == b"SET" and parts[3:] in ([], [b"EX", b"77"])
        return self.store(parts[1], b"+OK\r\n", b"-OOM no\r\n")

    def serve(self):
        peer, _ = self.listener.accept()
        stream = peer.makefile("rb")
        while line := stream.readline():
            peer.sendall((self.resp if line.startswith(b"*") else self.memcache)(line, stream))
        stream.close()
        peer.close()
        self.listener.close()


class Fill(unittest.TestCase):
    def test_every_item_is_sent_once(self):
        for protocol in ("memcache", "resp"):
            for ttl in (False, 77):
                server = Counting(room=10**6)
                kept = fill.fill(server.port, protocol, fill.Load(4321, 16, 9, ttl))
                self.assertEqual((kept, len(server.keys)), (4321, 4321))
                self.assertTrue(all(len(key) == 16 for key in server.keys))

    def test_a_refusal_ends_it(self):
        for protocol in ("memcache", "resp"):
            self.assertEqual(fill.fill(Counting(room=2500).port, protocol, fill.Load(9000, 16, 9, False)), 2500)


if __name__ == "__main__":
    unittest.main()
