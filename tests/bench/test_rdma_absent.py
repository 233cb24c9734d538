"""kvbench by RDMA where there is none, or where it was built without: one clear line, exit status 1."""
import os
import subprocess
import sys
import unittest

SKIPPED = 77
KVBENCH = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else "kvbench"


class Absent(unittest.TestCase):
    def refused(self, *options):
        done = subprocess.run([KVBENCH, "--duration", "1s", "--hard-stop", "5s", *options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, text=True)
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual(done.stdout, "", done)
        lines = [line for line in done.stderr.splitlines() if line]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], "transport rdma: .*(RDMA device|connection manager|rdma_cm|POLAR_RDMA)")

    def test_by_option(self):
        self.refused("--transport", "rdma", "--server", "10.9.0.1:6379")

    def test_by_url(self):
        self.refused("--server", "rdma://10.9.0.1:6379", "--protocol", "resp", "--connections", "3", "--threads", "2")


if __name__ == "__main__":
    if os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband"):
        print("skipped: this machine has RDMA devices")
        sys.exit(SKIPPED)
    unittest.main()
