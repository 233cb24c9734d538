"""What is to be seen of a running server through polarctl, over a TAP device: connections, neighbours, drops, stages, and a
capture that tshark reads. Nothing of it stops the server.
"""
import os
import re
import shutil
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
import unittest

import network
from harness import BUILD, SKIPPED, Polarkv, Raw, ServerTest, main, run, wait_for
from single_sided import SingleSided

POLARCTL = os.environ.get("POLARCTL", os.path.join(BUILD, "client/polarctl"))
FOLDER = tempfile.mkdtemp(prefix="polarkv-admin-")
SOCKET = os.path.join(FOLDER, "admin.sock")
SEEN_LATE = 5  # seconds between what the clock says and what a capture says


def ask(*words, path=SOCKET):
    """Exit status, answer, error."""
    return run([POLARCTL, "--socket", path, *words])


class Admin(SingleSided):
    address = "10.80.0.1"

    @classmethod
    def start_device(cls):
        return ("--vdev", "net_tap0,iface=pk-tap", "--port", "net_tap0", "--admin-socket", SOCKET, "--capture-frames",
                "20000", "--capture-snap", "200")

    @classmethod
    def device_ready(cls, server):
        wait_for(lambda: "pk-tap" in (name for _, name in socket.if_nameindex()), "polarkv makes the TAP device", 20)
        network.ip("link", "set", "pk-tap", "up")
        network.ip("address", "replace", "10.80.0.2/24", "dev", "pk-tap")

    def answer(self, *words):
        status, out, err = ask(*words)
        self.assertEqual((status, err), (0, ""), out + self.server.text())
        return out

    def refused(self, *words):
        status, out, err = ask(*words)
        self.assertEqual((status, out), (1, ""))
        return err

    def connection(self, c):
        """The two lines about a connection of ours; None when it is not there."""
        ours = "%s:%d" % c.socket.getsockname()
        lines = self.answer("connections").splitlines()
        for i, line in enumerate(lines):
            if ours in line.split():
                return line.split(), lines[i + 1] if i + 1 < len(lines) else ""
        return None


class AdminTest(Admin):
    def test_the_socket_is_for_its_owner_alone(self):
        self.assertEqual(stat.S_IMODE(os.stat(SOCKET).st_mode), 0o600)

    def test_help(self):
        text = self.answer("help")
        for word in ("connections", "neighbours", "drops", "stages", "capture start|stop|write FILE", "help"):
            self.assertIn(word, text)

    def test_what_is_refused(self):
        self.assertIn("no such command: nonsense", self.refused("nonsense"))
        self.assertIn("takes no arguments", self.refused("drops", "now"))
        self.assertIn("start, stop or write FILE", self.refused("capture"))
        self.assertIn("more words", self.refused("a", "b", "c", "d", "e"))
        self.assertIn("it does not run", self.refused("capture", "stop"))
        status, _, err = ask("help", path=SOCKET + ".no")
        self.assertEqual(status, 2)
        self.assertIn("No such file", err)

    def test_a_client_that_says_nothing_does_not_hold_it_up(self):
        with socket.socket(socket.AF_UNIX) as quiet, socket.socket(socket.AF_UNIX) as endless:
            quiet.connect(SOCKET)
            endless.connect(SOCKET)
            endless.sendall(b"x" * 5000)
            self.assertIn("help", self.answer("help"))

    def test_an_established_connection(self):
        with self.server.resp() as c:
            c.command("PING")
            words, details = self.connection(c)
            self.assertEqual(words[:3], ["ESTAB", "0", "0"])
            self.assertEqual(words[3], "%s:%d" % self.server.resp_address)
            self.assertRegex(details, r"ts sack.* wscale:\d+,\d+ rto:[\d.]+ rtt:[\d.]+/[\d.]+ mss:\d+ rcvmss:\d+ cwnd:\d+")
            self.assertRegex(details, r"^\t (cubic|newreno|dctcp) ")
            self.assertGreater(float(re.search(r"rtt:([\d.]+)", details)[1]), 0)
            self.assertRegex(details, r"snd_wnd:[1-9]\d* rcv_wnd:[1-9]\d* unacked:0 retrans:\d+")

    def test_the_queue_of_a_slow_reader(self):
        with self.server.resp(limit=20) as c, self.server.resp(receive_buffer=4096) as slow:
            c.command("SET", "slow", os.urandom(900_000))
            slow.send(b"*2\r\n$3\r\nGET\r\n$4\r\nslow\r\n")
            wait_for(lambda: int(self.connection(slow)[0][2]) > 100_000, "bytes wait to be read")
            self.assertRegex(self.connection(slow)[1], r"unacked:\d+")

    def test_time_wait(self):
        with self.server.resp() as c:
            c.send(b"QUIT\r\n")
            self.assertEqual(c.read_all(), b"+OK\r\n")
            ours = "%s:%d" % c.socket.getsockname()
        wait_for(lambda: re.search(r"TIME-WAIT .* %s " % re.escape(ours), self.answer("connections")), "TIME-WAIT")

    def test_very_many_connections(self):
        """More than a core looks at in a turn, each told once, while others are served."""
        many = [self.server.resp() for _ in range(700)]
        try:
            for c in many:
                c.command("PING")
            names = {"%s:%d" % c.socket.getsockname() for c in many}
            told = [line.split()[4] for line in self.answer("connections").splitlines() if line.startswith("ESTAB")]
            self.assertEqual(len(told), len(set(told)))
            self.assertLessEqual(names, set(told))
        finally:
            for c in many:
                c.close()

    def test_neighbours(self):
        network.ip("neighbour", "flush", "all")
        self.assertTrue(network.ping(self.address))
        ours = re.search(r"link/ether (\S+)", network.ip("link", "show", "pk-tap"))[1]
        self.assertRegex(self.answer("neighbours"), r"(?m)^10\.80\.0\.2 +%s (reachable|stale|delay|probe)" % ours)

    def drops(self):
        rows = (line.split(None, 3) for line in self.answer("drops").splitlines())
        return {f"{group}.{name}": int(value) for group, name, value, _ in rows}

    def test_drops_by_reason(self):
        before = self.drops()
        self.assertIn("port.tx_dropped", before)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(7):
                s.sendto(b"nobody takes this", (self.address, 9))
        wait_for(lambda: sum(v - before[k] for k, v in self.drops().items() if k.startswith("net.")) >= 7, "counted", 5)

    def test_stages(self):
        with self.server.resp() as c:
            for _ in range(100):
                c.command("PING")
        text = self.answer("stages")
        self.assertRegex(text, r"(?m)^core 0  busy [\d.]+%  turns [1-9]\d*")
        for stage in ("rx_burst", "input", "output", "tx_burst", "session"):
            self.assertRegex(text, r"(?m)^  stage  %s +[1-9]\d* cycles +[\d.]+ a " % stage)
        self.assertRegex(text, r"(?m)^  poller sessions +[1-9]\d* cycles")


class CaptureTest(Admin):
    """Frames of a capture as tshark tells them."""
    FIELDS = ("frame.time_epoch", "frame.interface_name", "frame.packet_flags_direction", "frame.len", "frame.cap_len",
              "tcp.srcport", "tcp.dstport", "tcp.flags.syn")

    def tshark(self, path, *options):
        if not shutil.which("tshark"):
            self.skipTest("no tshark")
        status, out, err = run(["tshark", "-r", path, *options], limit=60)
        self.assertEqual(status, 0, err)
        return out

    def frames(self, path):
        fields = [word for field in self.FIELDS for word in ("-e", field)]
        rows = self.tshark(path, "-T", "fields", "-E", "separator=,", *fields).splitlines()
        return [dict(zip(self.FIELDS, row.split(","))) for row in rows]

    def path(self, name):
        return os.path.join(FOLDER, f"{self.id()}-{name}.pcapng")

    def test_a_conversation(self):
        begin = time.time()
        self.assertIn("last 20000 frames", self.answer("capture", "start"))
        with self.server.resp() as c:
            port = str(c.socket.getsockname()[1])
            for _ in range(20):
                self.assertEqual(c.command("PING"), "PONG")
        path = self.path("a")
        self.assertRegex(self.answer("capture", "write", path), r"^[1-9]\d* frames written")
        ours = [f for f in self.frames(path) if port in (f["tcp.srcport"], f["tcp.dstport"])]
        received = [f for f in ours if f["tcp.srcport"] == port]
        sent = [f for f in ours if f["tcp.dstport"] == port]
        self.assertGreaterEqual(len(received), 21)
        self.assertGreaterEqual(len(sent), 21)
        self.assertEqual({int(f["frame.packet_flags_direction"], 0) for f in received}, {1})
        self.assertEqual({int(f["frame.packet_flags_direction"], 0) for f in sent}, {2})
        self.assertEqual({f["frame.interface_name"] for f in ours}, {"core-0"})
        times = [float(f["frame.time_epoch"]) for f in ours]
        self.assertEqual(times, sorted(times))
        self.assertGreater(times[0], begin - SEEN_LATE)
        self.assertLess(times[-1], time.time() + SEEN_LATE)
        self.assertEqual(ours[0]["tcp.flags.syn"] in ("1", "True"), True)
        self.assertEqual(self.tshark(path, "-Y", "_ws.malformed"), "")
        # What comes after goes into the next file alone.
        self.assertTrue(network.ping(self.address, 1000))
        again = self.path("b")
        self.assertRegex(self.answer("capture", "write", again), r"^[1-9]\d* frames written")
        frames = self.frames(again)
        self.assertNotIn(port, {f["tcp.srcport"] for f in frames if f["tcp.flags.syn"] in ("1", "True")})
        self.assertIn(("1042", "200"), {(f["frame.len"], f["frame.cap_len"]) for f in frames})
        self.assertIn("stopped", self.answer("capture", "stop"))

    def test_start_stop_write(self):
        self.answer("capture", "start")
        self.assertIn("it runs already", self.refused("capture", "start"))
        self.assertTrue(network.ping(self.address))
        self.answer("capture", "stop")
        self.assertTrue(network.ping(self.address, sequence=2))
        path = self.path("a")
        self.answer("capture", "write", path)
        self.assertIn("File exists", self.refused("capture", "write", path))
        self.assertIn("path from the root", self.refused("capture", "write", "a.pcapng"))
        self.answer("capture", "write", self.path("b"))
        with open(path, "rb") as a, open(self.path("b"), "rb") as b:
            self.assertEqual(len(a.read()), len(b.read()))
        pings = self.tshark(path, "-Y", "icmp.type == 8").splitlines()
        self.assertEqual(len(pings), 1)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def test_under_load(self):
        """Files are written while requests go on, and none is disturbed."""
        value = os.urandom(20_000)
        end = time.monotonic() + 3
        faults = []

        def load(name):
            try:
                with self.server.resp(limit=20) as c:
                    while time.monotonic() < end:
                        if c.command("SET", name, value) != "OK" or c.command("GET", name) != value:
                            faults.append("a wrong answer")
            except OSError as fault:
                faults.append(fault)

        self.answer("capture", "start")
        threads = [threading.Thread(target=load, args=(f"load{i}",)) for i in range(3)]
        for t in threads:
            t.start()
        count = 0
        while time.monotonic() < end:
            self.answer("capture", "write", self.path(str(count)))
            self.answer("connections")
            count += 1
        for t in threads:
            t.join()
        self.answer("capture", "stop")
        self.assertEqual(faults, [], self.server.text())
        self.assertGreater(count, 2)
        for i in (0, count - 1):
            self.assertEqual(self.tshark(self.path(str(i)), "-c", "2000", "-Y", "_ws.malformed"), "")


class SocketTest(unittest.TestCase):
    """The socket's file over a server's life, without a port."""

    def setUp(self):
        self.path = os.path.join(FOLDER, self.id())

    def server(self, **options):
        server = Polarkv("--admin-socket", self.path, **options)
        self.addCleanup(lambda: server.alive() and server.stop())
        return server

    def test_it_goes_with_a_clean_end_and_is_replaced_after_a_crash(self):
        server = self.server()
        server.stop()
        self.assertFalse(os.path.exists(self.path))
        server = self.server()
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server.output.close()
        self.assertTrue(os.path.exists(self.path))
        self.server()
        self.assertEqual(ask("help", path=self.path)[0], 0)

    def test_two_servers_cannot_share_it(self):
        self.server()
        second = self.server(wait=False)
        self.assertNotEqual(second.process.wait(20), 0)
        self.assertIn("Address already in use", second.text())
        second.output.close()
        self.assertEqual(ask("help", path=self.path)[0], 0)

    def test_a_file_that_is_no_socket_stays(self):
        with open(self.path, "w") as file:
            file.write("precious")
        server = self.server(wait=False)
        self.assertNotEqual(server.process.wait(20), 0)
        server.output.close()
        with open(self.path) as file:
            self.assertEqual(file.read(), "precious")

    def test_without_a_port(self):
        server = self.server(cores=2)
        self.assertEqual(len(ask("connections", path=self.path)[1].splitlines()), 1)
        self.assertEqual(ask("neighbours", path=self.path)[1], "")
        self.assertIn("core 1  busy", ask("stages", path=self.path)[1])
        self.assertIn("there is no port", ask("capture", "start", path=self.path)[2])
        with Raw(server.resp_address) as c:
            self.assertEqual(c.command("PING"), "PONG")


del ServerTest, SingleSided, Admin

if __name__ == "__main__":
    network.enter_namespace()
    if not os.path.exists("/dev/net/tun"):
        print("skipped: this machine has no /dev/net/tun")
        sys.exit(SKIPPED)
    try:
        main()
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
