"""The guests' kernel: Debian's own, fetched the way apt is set up here and unpacked into a cache folder of the build tree,
of which only the image, unpacked too, and the modules that guests load are kept.
"""
import fcntl
import glob
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile

METAPACKAGE = "linux-image-amd64"
FETCH_TRIES = 3
FETCH_SECONDS = 120

# What guests load; what these depend on is found in them. crc32: rxe asks for it at run time.
MODULES = {
    "rdma": ["crc32_generic", "rdma_rxe", "rdma_ucm", "dummy"],
    "virtio": ["virtio_pci", "virtio_net"],
    "vfio": ["vfio_iommu_type1", "vfio-pci"],
    "flower": ["tun", "sch_ingress", "sch_multiq", "cls_flower", "act_gact", "act_mirred", "act_skbedit"],
}
# Folders of the package, most of its bytes, that have none of them.
NEEDLESS = """drivers/gpu drivers/iio drivers/media drivers/net/ethernet drivers/net/wireless drivers/scsi drivers/staging
    drivers/usb fs/btrfs fs/xfs sound""".split()
IMAGE = "kernel"  # its file in the cache
# A folder that an earlier list filled is not taken for this one's.
STAMP = hashlib.sha256(repr((IMAGE, sorted(MODULES.items()))).encode()).hexdigest()[:8]


class Missing(Exception):
    """What is not here, and what to do about it; the test is skipped."""


def plain(name):
    return name.replace("-", "_")


class Kernel:
    def __init__(self, folder):
        self.image = os.path.join(folder, IMAGE)
        self.modules = os.path.join(folder, "modules")

    def module_path(self, name):
        return os.path.join(self.modules, plain(name) + ".ko")

    def load_order(self, groups):
        """Names of the modules of these groups and of all that they need, each behind what it needs."""
        return dependencies_first([name for group in groups for name in MODULES[group]], self.module_path)


def dependencies_first(names, path_of):
    order = []

    def visit(name):
        path = path_of(name)
        if plain(name) in order or path is None or not os.path.exists(path):
            return  # without a file of its own it is part of the kernel
        for needed in module_depends(path):
            visit(needed)
        order.append(plain(name))

    for name in names:
        visit(name)
    return order


def plain_image(packed):
    """Of a bzImage (Documentation/x86/boot.rst) the kernel itself, which QEMU starts at its PVH entry: to unpack it takes an
    emulated processor half of its boot. What cannot be started so is returned as it is.
    """
    setup_sectors = packed[0x1f1]
    offset, length = struct.unpack_from("<II", packed, 0x248)
    payload = packed[(setup_sectors + 1) * 512 + offset:][:length]
    try:
        image = lzma.LZMADecompressor().decompress(payload)
    except lzma.LZMAError:
        return packed
    # An ELF note of Xen's, of 4 or 8 bytes, type 18: XEN_ELFNOTE_PHYS32_ENTRY.
    has_entry = re.search(rb"\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0", image)
    return image if image.startswith(b"\x7fELF") and has_entry else packed


def module_bytes(path):
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as file:
        return file.read()


def module_depends(path):
    found = re.search(rb"\0depends=([^\0]*)\0", module_bytes(path))
    return [name for name in found.group(1).decode().split(",") if name] if found else []


def output(*command, seconds=60):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=seconds)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def package_name():
    """The real package behind the metapackage, whose name changes with every kernel."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Missing(f"the guests' kernel is Debian's package {METAPACKAGE}: needs apt-get and dpkg-deb")
    _, text, _ = output("apt-cache", "depends", "--important", METAPACKAGE)
    found = re.search(r"^\s*Depends: (linux-image-\d\S+)", text, re.MULTILINE)
    if not found:
        raise Missing(f"apt knows no package {METAPACKAGE}, whose kernel the guests run: run apt-get update first")
    return found.group(1)


def fetch(package, folder):
    """Downloads a package into the folder; returns its path."""
    why = ""
    for _ in range(FETCH_TRIES):
        try:
            subprocess.run(["apt-get", "download", "-q", package], cwd=folder, stdin=subprocess.DEVNULL, check=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=FETCH_SECONDS)
            return glob.glob(os.path.join(folder, package + "_*.deb"))[0]
        except subprocess.CalledProcessError as fault:
            why = fault.stderr.decode(errors="replace").strip().split("\n")[-1]
        except subprocess.TimeoutExpired:
            why = f"not within {FETCH_SECONDS} s"
    raise Missing(f"cannot fetch the guests' kernel: apt-get download {package}: {why}; with old lists: apt-get update")


def unpack(deb, folder, work):
    """From the package into the cache folder: the image and our modules, uncompressed, flat."""
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", work, "--wildcards", *[f"--exclude=*/kernel/{name}" for name in NEEDLESS],
                    "./boot/vmlinuz-*", "./lib/modules/*/kernel/*"], stdin=tar.stdout, check=True)
    tar.stdout.close()
    if tar.wait() != 0:
        raise Missing(f"dpkg-deb cannot unpack {os.path.basename(deb)}")
    files = {plain(os.path.basename(path).split(".ko")[0]): path
             for path in glob.glob(f"{work}/lib/modules/*/kernel/**/*.ko*", recursive=True)}
    wanted = dependencies_first([name for names in MODULES.values() for name in names],
                                lambda name: files.get(plain(name)))
    os.makedirs(os.path.join(folder, "modules"))
    for name in wanted:
        with open(os.path.join(folder, "modules", name + ".ko"), "wb") as file:
            file.write(module_bytes(files[name]))
    with open(glob.glob(f"{work}/boot/vmlinuz-*")[0], "rb") as file:
        image = plain_image(file.read())
    with open(os.path.join(folder, IMAGE), "wb") as file:
        file.write(image)


def cached(cache):
    return glob.glob(os.path.join(cache, f"linux-image-*-{STAMP}/{IMAGE}"))


def get(cache):
    """The kernel in the cache folder, which the first test that asks fills; the others wait for it."""
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cached(cache):
            package = package_name()
            with tempfile.TemporaryDirectory(dir=cache) as work:
                done = os.path.join(work, package)
                unpack(fetch(package, work), done, work)
                os.rename(done, os.path.join(cache, f"{package}-{STAMP}"))
        return Kernel(os.path.dirname(cached(cache)[0]))
