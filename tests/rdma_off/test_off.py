"""polarkv and kvbench with -DPOLAR_RDMA=OFF: one CMake option, neither of RDMA's libraries needed; and what they say when
they are asked for RDMA all the same. Built unoptimised in a folder of the build tree, so that the next time only what has
changed is.

    test_off.py SOURCES FOLDER [CMake's options...]
"""
import os
import re
import subprocess
import sys
import unittest

SOURCES, FOLDER, *OPTIONS = sys.argv[1:]
BUILD_SECONDS = 500
SKIPPED = 77


def run(*command, limit=120, **environment):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit,
                          env={**os.environ, **environment}, text=True)
    if done.returncode not in (0, SKIPPED):
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


class OffTest(unittest.TestCase):
    def test_without(self):
        run("cmake", "-S", SOURCES, "-B", FOLDER, "-G", "Ninja", "-DPOLAR_RDMA=OFF", "-DPOLAR_TESTS=OFF",
            "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O0", *OPTIONS)
        with open(os.path.join(FOLDER, "CMakeCache.txt")) as cache:
            self.assertIsNone(re.search(r"^(ibverbs|rdmacm)_FOUND", cache.read(), re.MULTILINE), "looked for")
        run("ninja", "-C", FOLDER, "polarkv", "kvbench", limit=BUILD_SECONDS)
        polarkv, kvbench = (os.path.join(FOLDER, name) for name in ("server/polarkv", "bench/kvbench"))
        for program in (polarkv, kvbench):
            self.assertIsNone(re.search(r"NEEDED.*(ibverbs|rdmacm)", run("readelf", "-d", program)), program)
            undefined = run("nm", "-D", "--undefined-only", program)
            self.assertIn("rte_eal_init", undefined, program)
            self.assertIsNone(re.search(r"\b(ibv|rdma)_", undefined), program)
        said = run(sys.executable, "-B", os.path.join(SOURCES, "tests/e2e/test_rdma_config.py"), POLARKV=polarkv,
                   KVBENCH=kvbench, POLAR_BUILD=FOLDER, POLAR_RDMA="OFF")
        self.assertRegex(said, r"(?m)^OK")
        run(sys.executable, "-B", os.path.join(SOURCES, "tests/bench/test_rdma_absent.py"), kvbench)


if __name__ == "__main__":
    del sys.argv[1:]
    unittest.main()
