"""What a guest needs for RDMA in software: the modules' group, the libraries, and rdma.sh for its script."""
import glob
import os

from guest import HERE, LIBGCC, need, skip

GROUPS = ["rdma", "virtio"]
PROVIDERS = "/usr/lib/x86_64-linux-gnu/libibverbs"


def add(image):
    providers = glob.glob(PROVIDERS + "/librxe-rdmav*.so")
    if not providers:
        skip("no soft-RoCE in libibverbs: install Debian's package ibverbs-providers")
    for path in (need("ip", "iproute2"), need("rdma", "iproute2"), need("ibv_devinfo", "ibverbs-utils"), *providers):
        image.program(path)
    image.add("/etc/libibverbs.d/rxe.driver")
    image.program(LIBGCC)
    image.file("/rdma.sh", os.path.join(HERE, "rdma.sh"))
