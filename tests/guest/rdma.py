"""What a guest needs for RDMA in software: modules, libraries, rdma.sh for its script; and our clients."""
import glob
import os
import re
import subprocess

import guest
from guest import HERE, LIBGCC, need, skip

GROUPS = ["rdma", "virtio"]
PROVIDERS = "/usr/lib/x86_64-linux-gnu/libibverbs"
MANAGER = "/usr/lib/x86_64-linux-gnu/librdmacm.so.1"  # loaded when it is needed, so in no list of libraries


def need_polarkv():
    """Ends the test as skipped where polarkv was built without RDMA."""
    text = subprocess.run([guest.POLARKV, "--help"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout.decode()
    if not re.search(r"^ *--rdma ", text, re.MULTILINE):
        skip("polarkv was built without RDMA")


def add(image):
    providers = glob.glob(PROVIDERS + "/librxe-rdmav*.so")
    if not providers:
        skip("no soft-RoCE in libibverbs: install Debian's package ibverbs-providers")
    if not os.path.exists(MANAGER):
        skip("no librdmacm: install Debian's package librdmacm1")
    for path in (MANAGER, need("ip", "iproute2"), need("rdma", "iproute2"), need("ibv_devinfo", "ibverbs-utils"), *providers):
        image.program(path)
    image.add("/etc/libibverbs.d/rxe.driver")
    image.program(LIBGCC)
    image.file("/rdma.sh", os.path.join(HERE, "rdma.sh"))


def image(the_kernel, script):
    """For a script that uses our clients."""
    made = guest.new_image(the_kernel, script, GROUPS)
    add(made)
    for program in ("rdma_client", "rdma_hostile", "rdma_thief"):
        made.program(os.path.join(os.environ["GUEST_PROGRAMS"], program), "/usr/bin/" + program)
    return made
