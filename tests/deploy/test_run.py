"""deploy/run and deploy/test as a newcomer calls them, on a copy of the tree's scripts around the binaries that are built:
what they refuse and in which words, and what is left when they end. Debian's package tool and cmake are stood in for.
"""
import glob
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../.."))
POLARKV, KVBENCH = os.environ["POLARKV"], os.environ["KVBENCH"]
LIMIT = 60
INSTALLED = "echo installed"
NO_GCC = 'for name; do :; done\n[ "$name" = gcc ] && echo not-installed || echo installed'


def free_offset():
    """Such a --port-offset that both ports are free."""
    for offset in range(20000, 50000, 7):
        with socket.socket() as a, socket.socket() as b:
            try:
                a.bind(("127.0.0.1", 11211 + offset))
                b.bind(("127.0.0.1", 6379 + offset))
                return offset
            except OSError:
                pass
    raise AssertionError("no two free ports")


class Scripts(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="polar deploy ")  # with blanks: a folder may have them
        self.addCleanup(shutil.rmtree, self.top)
        for folder in ("deploy", "bench/sidebyside"):
            shutil.copytree(os.path.join(ROOT, folder), os.path.join(self.top, folder))
        shutil.copy2(os.path.join(ROOT, "bench/demo"), os.path.join(self.top, "bench/demo"))
        for binary in (POLARKV, KVBENCH):
            place = os.path.join(self.top, "build/release", os.path.basename(os.path.dirname(binary)))
            os.makedirs(place, exist_ok=True)
            os.symlink(binary, os.path.join(place, os.path.basename(binary)))
        self.stubs = os.path.join(self.top, "stubs")
        os.mkdir(self.stubs)
        self.stub("cmake", "exit 0")
        self.stub("dpkg-query", INSTALLED)
        self.stub("apt-get", "echo 'apt-get was called'; exit 1")
        self.stub("id", "echo 1000")

    def stub(self, name, script):
        path = os.path.join(self.stubs, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/bash\n{script}\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def start(self, script, *arguments):
        environment = dict(os.environ, PATH=self.stubs + ":" + os.environ["PATH"], TMPDIR=self.top)
        return subprocess.Popen([os.path.join(self.top, "deploy", script), *arguments], cwd="/", env=environment, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def run_to_end(self, script, *arguments):
        process = self.start(script, *arguments)
        try:
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, out, err

    def refused(self, status, words, *arguments, script="run"):
        got, out, err = self.run_to_end(script, *arguments)
        self.assertEqual(got, status, out + err)
        self.assertRegex(err, r"\A[^\n]+\n\Z", f"{arguments}: one line")
        self.assertTrue(err.startswith(f"deploy/{script}: "), err)
        for word in words:
            self.assertIn(word, err)
        self.assertNotIn("apt-get was called", out)

    def test_arguments(self):
        for arguments, words in (
            (["--nosuch"], ["'--nosuch'", "--help"]),
            (["stray"], ["'stray'", "--help"]),
            (["--memcache-port"], ["--memcache-port", "nothing", "number"]),
            (["--memcache-port", "x"], ["--memcache-port", "'x'", "1 to 65535"]),
            (["--memcache-port", "0"], ["--memcache-port", "'0'", "1 to 65535"]),
            (["--resp-port", "65536"], ["--resp-port", "'65536'", "1 to 65535"]),
            (["--resp-port", "-1"], ["--resp-port", "'-1'", "1 to 65535"]),
            (["--resp-port", ""], ["--resp-port", "''", "1 to 65535"]),
            (["--port-offset", "50001"], ["--port-offset", "'50001'", "0 to 50000"]),
            (["--port-offset", "50000", "--memcache-port", "60000"], ["--port-offset", "'50000'", "65535"]),
            (["--memcache-port", "6379"], ["6379", "two ports"]),
            (["--memcache-port", "06379"], ["6379", "two ports"]),
            (["--demo-only", "--no-demo"], ["--demo-only", "--no-demo"]),
        ):
            with self.subTest(arguments):
                self.refused(2, words, *arguments)

    def test_help(self):
        status, out, err = self.run_to_end("run", "--help")
        self.assertEqual((status, err), (0, ""))
        for option in ("--demo-only", "--no-demo", "--memcache-port", "--resp-port", "--port-offset"):
            self.assertIn(option, out)

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.refused(1, [port, "in use", "--port-offset"], "--resp-port", port)

    def test_packages_are_missing(self):
        """An ordinary user is told in one line what to install; nothing is tried."""
        self.stub("dpkg-query", NO_GCC)
        offset = str(free_offset())
        want = "as root: apt-get install -y --no-install-recommends gcc\n"
        self.refused(1, [want], "--port-offset", offset)
        self.refused(1, [want], script="test")

    def test_root_installs_them(self):
        self.stub("dpkg-query", NO_GCC)
        self.stub("id", "echo 0")
        self.stub("apt-get", 'echo "$@" >>"$TMPDIR/apt"; touch "$TMPDIR/done"')
        status, out, _ = self.run_to_end("run", "--no-demo", "--port-offset", str(free_offset()), "--", "--nosuch")
        self.assertEqual(status, 1)
        self.assertIn("==> installing gcc\n", out)
        with open(os.path.join(self.top, "apt"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "update\ninstall -y --no-install-recommends gcc\n")

    def test_installation_fails(self):
        self.stub("dpkg-query", NO_GCC)
        self.stub("id", "echo 0")
        self.stub("apt-get", 'echo "E: no network" >&2; exit 100')
        status, _, err = self.run_to_end("run", "--port-offset", str(free_offset()))
        self.assertEqual((status, err), (1, "E: no network\ndeploy/run: apt-get could not install: gcc\n"))

    def test_the_build_fails(self):
        self.stub("cmake", 'echo "CMake Error: of some kind"; exit 1')
        status, _, err = self.run_to_end("run", "--port-offset", str(free_offset()))
        self.assertEqual((status, err), (1, "CMake Error: of some kind\ndeploy/run: cmake could not configure the release preset\n"))

    def scratch(self):
        return set(glob.glob("/tmp/polarkv.*"))

    def group_is_gone(self, pid):
        """Nobody of the session is left."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                os.killpg(pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.05)
        return False

    def test_polarkv_refuses(self):
        before = self.scratch()
        status, _, err = self.run_to_end("run", "--no-demo", "--port-offset", str(free_offset()), "--", "--nosuch")
        self.assertEqual(status, 1)
        self.assertEqual(len(err.splitlines()), 2, err)
        self.assertIn("unknown option '--nosuch'", err)
        self.assertIn("did not start (exit status 2)", err)
        self.assertEqual(self.scratch(), before)

    def read_until(self, process, text):
        lines = []
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return "".join(lines)
        raise AssertionError("".join(lines) + process.stderr.read())

    def serve_and_stop(self, stop):
        """Serves with both protocols, then ends without a trace when stopped so."""
        before, offset = self.scratch(), free_offset()
        process = self.start("run", "--no-demo", "--resp-port", "06379", "--port-offset", str(offset), "--", "--memory-limit", "96m", "--buffer-memory",
                             "64m", "--cores", "1")
        try:
            said = self.read_until(process, "Ctrl-C stops it")
            self.assertIn(f"redis-cli -p {6379 + offset}", said)
            for port, ask, want in ((6379, b"PING\r\n", b"+PONG\r\n"), (11211, b"get a\r\n", b"END\r\n")):
                with socket.create_connection(("127.0.0.1", port + offset), timeout=10) as c:
                    c.sendall(ask)
                    self.assertEqual(c.recv(100), want)
            stop(process)
            process.wait(LIMIT)
            self.assertTrue(self.group_is_gone(process.pid), "something of it still runs")
            self.assertEqual(self.scratch(), before, "its folder is gone")
            return process.returncode
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdout.close()
            process.stderr.close()

    def test_ctrl_c(self):
        """As a terminal does it: to the whole group."""
        self.assertEqual(self.serve_and_stop(lambda p: os.killpg(p.pid, signal.SIGINT)), 0)

    def test_terminated(self):
        self.assertEqual(self.serve_and_stop(lambda p: os.kill(p.pid, signal.SIGTERM)), 0)

    def test_hung_up(self):
        """The terminal is closed."""
        self.assertNotEqual(self.serve_and_stop(lambda p: os.killpg(p.pid, signal.SIGHUP)), 0)

    @unittest.skipIf(os.environ.get("POLAR_SLOW", "1") != "1", "what it measures is no sanitizer's")
    def test_demonstration(self):
        before = self.scratch()
        status, out, err = self.run_to_end("run", "--demo-only", "--port-offset", str(free_offset()), "--", "--cores", "1")
        self.assertEqual(status, 0, out + err)
        for word in ("kernel sockets", "user-space TCP over memif", "p50", "p99", "every value checked"):
            self.assertIn(word, out)
        self.assertEqual(self.scratch(), before)

    def test_ctrl_c_in_the_demonstration(self):
        before = self.scratch()
        process = self.start("run", "--demo-only", "--port-offset", str(free_offset()), "--", "--cores", "1")
        try:
            self.read_until(process, "==> the same load")
            time.sleep(1)
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=LIMIT)
            self.assertEqual(process.returncode, 130)
            self.assertNotIn("Traceback", err)
            self.assertTrue(self.group_is_gone(process.pid), "something of it still runs")
            self.assertEqual(self.scratch(), before)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


if __name__ == "__main__":
    if not shutil.which("setsid"):
        sys.exit(77)
    unittest.main(verbosity=2)
