"""A flood of SYNs on the wire: those who are connected stay, newcomers still come (by cookies), memory stays bounded."""
import json
import os
import tempfile
import unittest

from harness import BUILD, Polarkv, main, run

SYN_FLOOD = os.path.join(BUILD, "tests/net/io/syn_flood")
HALF_OPEN_MAX = 16384  # net_stack_config_default's


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class FloodTest(unittest.TestCase):
    def test_a_flood_of_syns(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        wire = f"id=0,socket={folder.name}/memif,socket-abstract=no,rsize=10,bsize=9216"
        server = Polarkv("--vdev", f"net_memif0,role=server,{wire}", "--port", "net_memif0", "--ip", "10.9.0.1/24",
                         "--mtu", "9000", "--protected=no", "--syn-rate-full=0")  # all are answered, however slow we are
        self.addCleanup(server.stop)
        before = resident_kib(server.process.pid)
        command = [SYN_FLOOD, "--vdev", f"net_memif0,role=client,{wire}", "--server",
                   f"10.9.0.1:{server.memcache_address[1]}", "--connections", "50", "--rate", "2000", "--flood", "200000"]
        status, out, err = run(command, 60)
        self.assertEqual(status, 0, out + err)
        report = json.loads(out[out.index("{"):])
        self.assertEqual(report["lost"], 0, report)
        self.assertEqual(report["flooded"]["newcomers"], 50, report)
        self.assertGreater(report["flooded"]["answers_per_s"], 0, report)
        self.assertGreater(report["after"]["answers_per_s"], 0, report)
        stats = server.stats()
        self.assertGreater(stats["syn_cookies_sent"], 0)
        self.assertGreater(stats["syn_cookies_accepted"], 0)
        self.assertLessEqual(stats["half_open"], HALF_OPEN_MAX)
        self.assertLess(resident_kib(server.process.pid) - before, 32 * 1024)


if __name__ == "__main__":
    main()
