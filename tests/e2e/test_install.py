"""cmake --install puts a working polarkv somewhere else."""
import glob
import os
import re
import shutil
import tempfile
import unittest

from harness import BUILD, main, run

CFLAGS = os.environ.get("EXAMPLE_CFLAGS", "").split()  # what a library with sanitizers needs of its programs


class LibraryTest(unittest.TestCase):
    """libpolarnet as an application finds it, in a tree that was moved after it was installed."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        first = os.path.join(cls.folder, "first")
        status, out, err = run(["cmake", "--install", BUILD, "--prefix", first], 60)
        assert status == 0, out + err
        cls.prefix = os.path.join(cls.folder, "moved")
        os.rename(first, cls.prefix)
        pc = glob.glob(cls.prefix + "/lib*/**/pkgconfig/polarnet.pc", recursive=True)[0]
        cls.libraries = os.path.dirname(os.path.dirname(pc))
        cls.environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(pc), LD_LIBRARY_PATH=cls.libraries)
        with open(os.path.join(cls.prefix, "include/polar/polar.h")) as file:
            text = re.sub(r"typedef [^;]*;", "", re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S))
        cls.calls = set(re.findall(r"\b(polar_\w+)\(", text))

    def pkg_config(self, *options):
        status, out, err = run(["pkg-config", *options, "polarnet"], env=self.environment)
        self.assertEqual((status, err), (0, ""))
        return out.split()

    def build(self, name, words):
        source = os.path.join(self.prefix, f"share/doc/polarkv/examples/{name}.c")
        program = os.path.join(self.folder, name)
        status, out, err = run(["cc", "-Wall", "-Wextra", "-Werror", *CFLAGS, source, "-o", program, *words], 60,
                               env=self.environment)
        self.assertEqual((status, out + err), (0, ""))
        return program

    def complaint(self, program):
        status, out, err = run([program], env=self.environment)
        self.assertEqual((status, out), (1, ""))
        return err

    def test_examples_shared(self):
        words = self.pkg_config("--cflags", "--libs")
        self.assertIn("vdev or pci is missing", self.complaint(self.build("echo", words)))
        self.assertIn("--file is missing", self.complaint(self.build("fileserver", words)))

    def test_example_static(self):
        words = ["-Wl,-Bdynamic" if w == "" else w for w in self.pkg_config("--static", "--cflags", "--libs")]
        words = [os.path.join(self.libraries, "libpolarnet.a") if w == "-lpolarnet" else w for w in words]
        program = self.build("echo", words)
        _, needed, _ = run(["ldd", program])
        self.assertNotIn("libpolarnet", needed)
        self.assertNotIn("libinih", needed)
        self.assertIn("vdev or pci is missing", self.complaint(program))

    def test_a_cxx_program_may_include_it(self):
        source = os.path.join(self.folder, "x.cc")
        with open(source, "w") as file:
            file.write("#include <polar/polar.h>\nint main() { return polar_fini() == -1 ? 0 : 1; }\n")
        if not shutil.which("c++"):
            self.skipTest("no C++ compiler")
        program = os.path.join(self.folder, "x")
        status, out, err = run(["c++", *CFLAGS, source, "-o", program, *self.pkg_config("--cflags", "--libs")],
                               env=self.environment)
        self.assertEqual((status, out + err), (0, ""))
        self.assertEqual(run([program], env=self.environment)[0], 0)

    def test_it_shows_its_calls_and_nothing_else(self):
        library = os.path.join(self.libraries, "libpolarnet.so")
        _, out, _ = run(["nm", "-D", "--defined-only", library])
        shown = {line.split()[-1] for line in out.splitlines()}
        self.assertEqual({name for name in shown if not name.startswith("rte_intr_callback_")}, self.calls)
        _, out, _ = run(["nm", os.path.join(self.libraries, "libpolarnet.a")])
        self.assertIsNone(re.search(r"\b(store_|session_|mc_|resp_|server_)\w+", out))

    def test_each_call_has_its_page(self):
        pages = {name[:-2] for name in os.listdir(os.path.join(self.prefix, "share/man/man3"))}
        self.assertEqual(pages, self.calls)
        self.assertTrue(os.path.exists(os.path.join(self.prefix, "share/man/man7/polarnet.7")))


class InstallTest(unittest.TestCase):
    def test_installed_tree(self):
        with tempfile.TemporaryDirectory() as prefix:
            status, out, err = run(["cmake", "--install", BUILD, "--prefix", prefix], 60)
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
