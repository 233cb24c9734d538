"""Where the emulator is missing, or no kernel can be had, a guest's test is skipped, and one line says what to do."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77


class MissingTest(unittest.TestCase):
    def said(self, programs):
        """By a guest's test where these are the only programs, and nothing is in the cache."""
        with tempfile.TemporaryDirectory() as folder:
            for name in programs:
                with open(os.path.join(folder, name), "w") as file:
                    os.chmod(file.fileno(), 0o755)
            done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "test_rping.py")], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, text=True,
                                  env={**os.environ, "PATH": folder, "POLAR_BUILD": folder})
        self.assertEqual((done.returncode, done.stderr), (SKIPPED, ""), done)
        self.assertRegex(done.stdout, r"\Askipped: [^\n]+\n\Z")
        return done.stdout

    def test_emulator(self):
        self.assertIn("no qemu-system-x86_64: install Debian's package qemu-system-x86", self.said([]))

    def test_kernel(self):
        said = self.said(["qemu-system-x86_64"])
        self.assertIn("linux-image-amd64", said)
        self.assertIn("needs apt-get and dpkg-deb", said)


if __name__ == "__main__":
    unittest.main()
