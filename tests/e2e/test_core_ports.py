"""Option core-ports: a client that asks a key's core by its own port has its answer from there."""
import socket
import unittest

from harness import Polarkv, POLARKV, Raw, free_ports, main, resp, run

CORES = 2


def slot(key):
    """Redis Cluster's: CRC16 (XMODEM) modulo 16384."""
    crc = 0
    for byte in key.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return crc % 16384


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def rows_of_ports(count):
    """Ports with room for the cores' behind them."""
    found = []
    for _ in range(100):
        port = free_ports(1)[0]
        if port + CORES > 65535 or any(abs(port - other) <= CORES for other in found):
            continue
        if all(is_free(port + i) for i in range(CORES + 1)):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports in a row")


class CorePorts(unittest.TestCase):
    def setUp(self):
        memcache, redis = rows_of_ports(2)
        self.server = Polarkv("--core-ports", "yes", "--memcache-port", str(memcache), "--resp-port", str(redis),
                              cores=CORES, wait=False)
        self.addCleanup(self.server.stop)
        self.server.memcache_address, self.server.resp_address = ("127.0.0.1", memcache), ("127.0.0.1", redis)
        self.server.wait_ready()

    def ranges(self):
        """Of each core what INFO says: its slots and its ports' offset."""
        with self.server.resp() as c:
            text = c.command("INFO", "polarkv").decode()
        rows = dict(line.split(":", 1) for line in text.split("\r\n") if line.startswith("core") and ":slots=" in line)
        self.assertEqual(sorted(rows), [f"core{i}" for i in range(CORES)])
        fields = [dict(field.split("=") for field in rows[f"core{i}"].split(",")) for i in range(CORES)]
        return [(*map(int, f["slots"].split("-")), int(f["port_offset"])) for f in fields]

    def test_the_owner_answers(self):
        ranges = self.ranges()
        self.assertEqual([r[2] for r in ranges], [1, 2])
        self.assertEqual((ranges[0][0], ranges[0][1] + 1, ranges[1][1]), (0, ranges[1][0], 16383))
        stats = self.server.stats()
        self.assertEqual([stats[f"core_{i}_slots"] for i in range(CORES)], [f"{r[0]}-{r[1]}" for r in ranges])
        keys = [[k for k in map("k{}".format, range(400)) if r[0] <= slot(k) <= r[1]][:100] for r in ranges]
        address, redis = self.server.resp_address
        memcache = self.server.memcache_address[1]
        for core in range(CORES):
            for other in range(CORES):
                before = self.server.stats()["mailbox_sent"]
                with Raw((address, redis + ranges[core][2])) as r, Raw((address, memcache + ranges[core][2])) as m:
                    r.send(b"".join(resp("SET", k, k) for k in keys[other]))
                    self.assertEqual([r.read_reply() for _ in keys[other]], ["OK"] * 100)
                    for k in keys[other][:10]:
                        self.assertEqual(m.ask(b"get %b\r\n" % k.encode(), b"END\r\n").split(b"\r\n")[1], k.encode())
                sent = self.server.stats()["mailbox_sent"] - before
                self.assertEqual(sent, 0 if core == other else 110, f"core {other}'s keys at core {core}'s port")

    def test_somebody_has_one(self):
        port, other = rows_of_ports(2)
        with socket.socket() as s:
            s.bind(("127.0.0.1", port + CORES))
            s.listen()
            status, _, err = run([POLARKV, "--core-ports", "yes", "--memcache-port", str(other), "--resp-port", str(port),
                                  "--cores", str(CORES), *Polarkv.SMALL], 30)
        self.assertEqual(status, 1)
        self.assertIn(f"port {port + CORES}", err)


class Refused(unittest.TestCase):
    def refused(self, words, *options):
        status, out, err = run([POLARKV, "--core-ports", "yes", "--cores", str(CORES), *options], 30)
        self.assertEqual((status, out), (2, ""), err)
        for word in words:
            self.assertIn(word, err)

    def test_no_room(self):
        self.refused(["resp-port", "65534"], "--resp-port", "65534")
        self.refused(["memcache-port", "65535"], "--memcache-port", "65535")
        self.refused(["resp-port", "too near"], "--resp-port", "6379", "--memcache-port", "6381")


if __name__ == "__main__":
    main()
