"""kvbench against polarkv: both on user-space TCP over memif, and both on kernel sockets. kvbench checks what it reads."""
import json
import os
import tempfile
import threading
import time
import unittest

from harness import KVBENCH, Polarkv, ServerTest, main, run, seconds, wait_for

INLINE_VALUE = 256  # polarkv's --inline-value


class Bench(ServerTest):
    """transport: kvbench's options for the way to the server; target: which address it is to name."""

    def bench(self, *options, connections=50, pipeline=1, protocol="memcache", value_size=64, ratio="1:1"):
        command = [KVBENCH, "--server", self.target(protocol), "--protocol", protocol, *self.transport(),
                   "--connections", str(connections), "--pipeline", str(pipeline), "--value-size", str(value_size),
                   "--ratio", ratio, "--keys", "2000", "--warmup", "200ms", "--duration", "1s", "--verify", "full",
                   "--json", "-", *options]
        status, out, err = run(command, 60)
        self.assertEqual(status, 0, f"{' '.join(command)}\n{out}{err}")
        report = json.loads(out)
        for fault in ("misses", "errors", "wrong_values", "connection_failures", "connections_lost"):
            self.assertEqual(report[fault], 0, report)
        self.assertTrue(report["good"], report)
        self.assertGreater(report["operations"], 100, report)
        return report

    def test_small_values(self):
        self.bench()

    def test_resp(self):
        self.bench(protocol="resp")

    def test_values_of_4_kb(self):
        self.bench(value_size=4096)

    def test_resp_values_of_4_kb(self):
        self.bench(value_size=4096, protocol="resp")

    def test_mixed_sizes(self):
        self.bench(value_size="1:20000", pipeline=4)

    def test_a_thousand_connections(self):
        self.bench(connections=1000)

    def test_a_thousand_connections_of_4_kb(self):
        self.bench(connections=1000, value_size=4096)

    def test_pipelined(self):
        self.bench(pipeline=32)

    def test_pipelined_4_kb(self):
        self.bench(pipeline=32, value_size=4096, protocol="resp")

    def test_zipf(self):
        self.bench("--distribution", "zipf", ratio="1:9")

    def test_open_loop(self):
        report = self.bench("--rate", "2000")
        self.assertLess(report["operations"], 4000)

    def test_no_value_is_copied_on_a_get(self):
        """Above the inline limit every byte of a value leaves by reference; below it, none does."""
        for size, copied in ((INLINE_VALUE + 1, False), (4096, False), (INLINE_VALUE, True)):
            self.flush()
            before = self.server.stats()
            report = self.bench("--load", "yes", value_size=size, ratio="0:1")
            after = self.server.stats()
            grown = {name: after[name] - before[name] for name in after if name.startswith("get_value_bytes_")}
            self.assertEqual(grown["get_value_bytes_copied"], 0)
            read = report["gets"] * size
            self.assertGreaterEqual(grown["get_value_bytes_inline" if copied else "get_value_bytes_referenced"], read)
            self.assertEqual(grown["get_value_bytes_referenced" if copied else "get_value_bytes_inline"], 0)

    def test_counts_come_back(self):
        self.bench()  # what the first run allocates for good is there
        names = ["curr_connections", "curr_items", "pins", "writes_open", "buffers_in_use"]
        self.flush()
        before = self.quiet_counts(names)
        self.bench(connections=200, pipeline=8, value_size=4096)
        self.flush()
        self.assert_metrics_return(before, names)


class KernelSocketsTest(Bench):
    def transport(self):
        return ["--transport", "kernel"]

    def target(self, protocol):
        return "%s:%d" % (self.server.memcache_address if protocol == "memcache" else self.server.resp_address)


class MemifTest(Bench):
    """polarkv listens on kernel sockets too: the counts are read there."""

    OPTIONS = []
    SERVER_IP, HOST, CLIENT_IP = "10.9.0.1/24", "10.9.0.1", "10.9.0.2/24"

    @classmethod
    def start_server(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.socket = os.path.join(folder.name, "memif")
        return Polarkv("--vdev", f"net_memif0,role=server,id=0,socket={cls.socket},socket-abstract=no,rsize=10,bsize=9216",
                       "--port", "net_memif0", "--ip", cls.SERVER_IP, "--mtu", "9000", "--protected=no",
                       *cls.OPTIONS)

    def transport(self):
        vdev = f"net_memif0,role=client,id=0,socket={self.socket},socket-abstract=no,rsize=10,bsize=9216"
        return ["--transport", "tcp", "--vdev", vdev, "--ip", self.CLIENT_IP, "--mtu", "9000"]

    def target(self, protocol):
        address = self.server.memcache_address if protocol == "memcache" else self.server.resp_address
        return f"{self.HOST}:{address[1]}"

    def test_idle_connections(self):
        """They are opened first, stay while the others work, and are gone after."""
        idle = 500
        before = self.server.stats()
        seen = []
        watch = threading.Thread(target=lambda: seen.extend(self.watch(idle)))
        watch.start()
        report = self.bench("--idle-connections", str(idle), connections=20)
        watch.join()
        self.assertEqual(report["idle_connections"], idle)
        self.assertGreaterEqual(max(seen), idle + 20)
        wait_for(lambda: self.server.stats()["curr_connections"] == before["curr_connections"], "they are gone", 30)

    def watch(self, wanted):
        """The connections that the server counts, until there have been as many as wanted and fewer again."""
        counts, end = [0], time.monotonic() + seconds(30)
        while time.monotonic() < end and not (max(counts) > wanted > counts[-1]):
            counts.append(self.server.stats()["curr_connections"])
            time.sleep(0.1)
        return counts


class VhostTest(Bench):
    """The other point-to-point wire, with its checksums and TSO."""

    TSO = True

    @classmethod
    def start_server(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.socket = os.path.join(folder.name, "vhost")
        return Polarkv("--vdev", f"net_vhost0,iface={cls.socket},queues=1,tso={int(cls.TSO)}", "--port", "net_vhost0",
                       "--ip", "10.9.0.1/24", "--protected=no")

    def transport(self):
        vdev = f"net_virtio_user0,path={self.socket},queues=1,queue_size=1024,mac=02:00:00:00:00:02"
        return ["--transport", "tcp", "--vdev", vdev, "--ip", "10.9.0.2/24"]

    HOST = "10.9.0.1"
    target = MemifTest.target

    def test_segmentation_by_the_device(self):
        """The client's long values come in frames longer than the MTU, or in segments, and are the same."""
        self.flush()
        before = self.server.stats()
        self.bench("--load", "yes", value_size=20000, ratio="3:1", connections=4)
        after = self.server.stats()
        frames, size = (after[name] - before[name] for name in ("rx_frames", "rx_bytes"))
        if self.TSO:
            self.assertGreater(size, 3 * 1514 * frames)
        else:
            self.assertLessEqual(size, 1514 * frames)


class VhostWithoutTsoTest(VhostTest):
    TSO = False


class MemifIpv6Test(MemifTest):
    SERVER_IP, HOST, CLIENT_IP = "10.9.0.1/24,fd00::1/64", "[fd00::1]", "fd00::2/64,fd00::3/64"

    def test_the_port_carries_them(self):
        """The connections come by the port, not by a kernel socket beside it."""
        before = self.server.stats()
        self.bench(connections=20)
        after = self.server.stats()
        self.assertGreaterEqual(after["accepted"] - before["accepted"], 20)
        self.assertEqual(after["drop_ip_not_ours"], before["drop_ip_not_ours"])


class MemifWithoutChecksumsTest(MemifTest):
    """Both ends say so; the frames then have none that is right, so an end that does verify hears nothing."""

    OPTIONS = ["--port-checksums", "no"]

    def transport(self):
        return [*super().transport(), "--port-checksums", "no"]

    def test_the_other_end_must_say_so_too(self):
        command = [KVBENCH, "--server", self.target("memcache"), *super().transport(), "--connections", "1", "--keys", "10",
                   "--load", "no", "--warmup", "0s", "--duration", "500ms", "--json", "-"]
        _, out, _ = run(command, 60)
        self.assertEqual(json.loads(out)["operations"] if out.startswith("{") else 0, 0)
        stats = self.server.stats()
        self.bench()
        self.assertGreater(self.server.stats()["cmd_get"], stats["cmd_get"])


class PasswordTest(unittest.TestCase):
    """A server that wants one, over both ways."""

    def bench(self, *options):
        status, out, err = run([KVBENCH, "--protocol", "resp", "--connections", "5", "--keys", "100", "--warmup", "0s",
                                "--duration", "300ms", "--ratio", "1:1", "--json", "-", *options], 60)
        self.assertTrue(out.startswith("{"), out + err)
        return status, json.loads(out)

    def test_password(self):
        with tempfile.TemporaryDirectory() as folder:
            wire = f"socket={folder}/memif,socket-abstract=no,rsize=10,bsize=2048"
            server = Polarkv("--password", "secret", "--vdev", f"net_memif0,role=server,id=0,{wire}", "--port", "net_memif0",
                             "--ip", "10.9.0.1/24", "--protected=no")
            self.addCleanup(server.stop)
            port = server.resp_address[1]
            over_memif = ["--transport", "tcp", "--vdev", f"net_memif0,role=client,id=0,{wire}", "--ip", "10.9.0.2/24"]
            for way in (["--server", f"127.0.0.1:{port}"], ["--server", f"10.9.0.1:{port}", *over_memif]):
                for right in (["--password", "secret"], ["--password", "secret", "--user", "default", "--reconnect", "20"]):
                    status, report = self.bench(*way, *right)
                    self.assertEqual((status, report["errors"], report["connection_failures"]), (0, 0, 0), report)
                    self.assertGreater(report["operations"], 20, report)
                    self.assertEqual("--reconnect" in right, report["reconnections"] > 0, report)
                for wrong, why in ((["--password", "Secret"], "WRONGPASS"), ([], "NOAUTH")):
                    status, report = self.bench(*way, *wrong)
                    self.assertEqual(status, 1, report)
                    self.assertIn(why, report["first_error"])
                    self.assertEqual(report["connection_failures"], 5 if wrong else 0, report)

    def test_memcached_has_none(self):
        status, out, err = run([KVBENCH, "--password", "secret", "--server", "127.0.0.1:1"])
        self.assertEqual((status, out), (2, ""))
        self.assertRegex(err, r"\A[^\n]*password[^\n]*resp[^\n]*\n\Z")


del Bench

if __name__ == "__main__":
    main()
