"""A guest: QEMU without hardware help, Debian's kernel, an initial file system of our making whose /init is init.sh, and
a test's script in it. What the script says on the serial line decides; the log stays in the build tree.

    @@ NAME ok, TIME | @@ NAME failed: WHY    a step is over
    @@ end                                    all are: without it the guest died
"""
import glob
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
import kernel  # noqa: E402
from harness import BUILD, POLARKV, SKIPPED, die_with_parent, seconds, wait_for  # noqa: E402
from image import Image  # noqa: E402

QEMU = "qemu-system-x86_64"
POLARCTL = os.environ.get("POLARCTL", os.path.join(BUILD, "client/polarctl"))
DRIVERS = ("bus_pci", "bus_vdev", "mempool_ring", "net_virtio", "net_e1000")
LIBGCC = "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"  # opened when a thread ends, by nobody's list of libraries
FOLDER = os.path.join(BUILD, "guest")  # kernels, file systems, logs
# The kernel's own check of its timer fails now and then when the emulator does not get the processor.
TIMER_PANIC = "timer doesn't work through"
BOOT_SECONDS = 60
# Without `rep movsb` and its like, of which the emulator makes a loop by bytes: the kernel and libc copy by words then.
CPU = "max,-erms"
MACHINE = ["-accel", "tcg,thread=multi", "-cpu", CPU, "-machine", "q35", "-nodefaults", "-no-user-config", "-display",
           "none", "-no-reboot", "-chardev", "stdio,id=tty,signal=off", "-serial", "chardev:tty"]
# The kernel's tests of its own ciphers are a quarter of its boot.
APPEND = ("console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr no_timer_check random.trust_cpu=on "
          "cryptomgr.notests clearcpuid=rep_good")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def need(program, package):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        skip(f"no {program}: install Debian's package {package}")
    return path


def need_kernel():
    """Ends the whole test program as skipped where there is no emulator or no kernel to be had."""
    if platform.machine() != "x86_64":
        skip("guests are x86-64")
    need(QEMU, "qemu-system-x86")
    try:
        return kernel.get(FOLDER)
    except kernel.Missing as why:
        skip(why)


def new_image(the_kernel, script, groups):
    """A file system with busybox, init.sh, the modules of these groups and the test's script."""
    image = Image()
    image.file("/usr/bin/busybox", need("busybox", "busybox-static"), 0o755)
    image.link("/usr/bin/sh", "busybox")
    image.file("/init", os.path.join(HERE, "init.sh"), 0o755)
    image.file("/test.sh", os.path.join(HERE, script))
    order = the_kernel.load_order(groups)
    for name in order:
        image.file(f"/modules/{name}.ko", the_kernel.module_path(name))
    image.file("/modules/order", "".join(name + "\n" for name in order).encode())
    return image


def add_polarkv(image, *more_drivers):
    """polarkv, polarctl, and of DPDK's drivers those for the NICs that guests have, and more."""
    image.program(POLARKV, "/usr/bin/polarkv")
    image.program(POLARCTL, "/usr/bin/polarctl")
    image.program(LIBGCC)
    image.file("/polarkv.sh", os.path.join(HERE, "polarkv.sh"))
    for name in (*DRIVERS, *more_drivers):
        found = glob.glob(f"/usr/lib/x86_64-linux-gnu/dpdk/pmds-*/librte_{name}.so")
        if not found:
            skip(f"no DPDK driver {name}: install Debian's package libdpdk-dev")
        image.program(found[0])


class Guest:
    def __init__(self, the_kernel, image, name, cpus=1, memory_mib=256, devices=(), append="", prefix=()):
        self.name = name
        self.image = image
        self.initrd = os.path.join(FOLDER, name + ".cpio")
        self.log = os.path.join(FOLDER, name + ".log")
        self.command = [*prefix, QEMU, *MACHINE, "-smp", str(cpus), "-m", str(memory_mib), "-kernel", the_kernel.image,
                        "-initrd", self.initrd, "-append", f"{APPEND} {append}", *devices]
        self.process = None

    def start(self):
        """Returns when init.sh runs."""
        self.launch()
        self.await_boot()

    def launch(self):
        self.image.write(self.initrd)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=log, stderr=log,
                                            preexec_fn=die_with_parent)

    def await_boot(self):
        try:
            self.wait_step("boot", BOOT_SECONDS)
        except AssertionError:
            if TIMER_PANIC not in self.text():
                raise
            self.kill()
            self.launch()
            self.wait_step("boot", BOOT_SECONDS)
        os.unlink(self.initrd)

    def text(self):
        with open(self.log, "rb") as log:
            return log.read().decode(errors="replace").replace("\r", "")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def results(self):
        """Of each step that is over: None, or why it failed."""
        return {name: why for name, why in re.findall(r"^@@ (\S+) (?:ok, .*|failed: (.*))$", self.text(), re.MULTILINE)}

    def failures(self):
        return {name: why for name, why in self.results().items() if why}

    def wait_step(self, name, limit):
        """Waits for a step that must go well, as all before it."""
        def over():
            done = name in self.results()
            if self.failures() or (not done and not self.alive()):
                raise AssertionError(f"guest {self.name}: {self.failures() or 'died'} before {name}:\n{self.tail()}")
            return done

        try:
            wait_for(over, f"guest {self.name}: step {name}", limit)
        except AssertionError as fault:
            raise AssertionError(f"{fault}\n{self.tail()}") from None

    def tell(self, word):
        """A line for the script, which reads it by `hear`."""
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def finish(self, limit):
        """Waits for the end; returns the steps. Every one must have gone well."""
        try:
            self.process.wait(seconds(limit))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"guest {self.name} does not end within {seconds(limit):g} s:\n{self.tail()}") from None
        if self.failures() or not re.search(r"^@@ end$", self.text(), re.MULTILINE):
            raise AssertionError(f"guest {self.name}: {self.failures() or 'no end'}:\n{self.tail()}")
        return list(self.results())

    def tail(self, lines=60):
        return "\n".join(self.text().split("\n")[-lines:])

    def kill(self):
        if self.process is None:
            return
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()


def run(the_guest, limit):
    """From start to end; returns the steps and how long it took."""
    start = time.monotonic()
    try:
        the_guest.start()
        return the_guest.finish(limit), time.monotonic() - start
    finally:
        the_guest.kill()
