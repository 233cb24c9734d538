"""cmake --install puts a working polarkv somewhere else."""
import os
import tempfile
import unittest

from harness import main, run


class InstallTest(unittest.TestCase):
    def test_installed_tree(self):
        with tempfile.TemporaryDirectory() as prefix:
            status, out, err = run(["cmake", "--install", os.environ["POLAR_BUILD"], "--prefix", prefix], 60)
            self.assertEqual(status, 0, out + err)
            for program in ("polarkv", "kvbench"):
                status, out, err = run([os.path.join(prefix, "bin", program), "--version"])
                self.assertEqual((status, err), (0, ""))
                self.assertRegex(out, rf"\A{program} \d")
            documents = os.path.join(prefix, "share/doc/polarkv")
            for name in ("README.md", "LICENSE"):
                self.assertGreater(os.path.getsize(os.path.join(documents, name)), 1000)
            sample = os.path.join(documents, "polarkv.conf")
            status, out, err = run([os.path.join(prefix, "bin/polarkv"), "--config", sample, "--print-config"])
            self.assertEqual((status, err), (0, ""))
            with open(sample) as file:
                self.assertEqual(out, file.read())


if __name__ == "__main__":
    main()
