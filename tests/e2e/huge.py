"""Huge pages for a test: what is missing is reserved, and given back when the test ends."""
import fcntl
import os

COUNT = "/proc/sys/vm/nr_hugepages"
LOCK = "/tmp/polar-huge-pages.lock"  # one test at a time


def rows():
    with open("/proc/meminfo") as info:
        return {line.split(":")[0]: int(line.split()[1]) for line in info}


def free_bytes():
    now = rows()
    return now.get("HugePages_Free", 0) * now.get("Hugepagesize", 0) << 10


def set_count(count):
    with open(COUNT, "w") as f:
        f.write(str(count))


def want(test, size):
    """Skips the test, with the reason, where so many bytes cannot be had."""
    lock = open(LOCK, "w")
    test.addCleanup(lock.close)
    fcntl.flock(lock, fcntl.LOCK_EX)
    missing = size - free_bytes()
    if missing > 0 and os.geteuid() == 0:
        before = rows()["HugePages_Total"]
        test.addCleanup(set_count, before)
        set_count(before + -(-missing // (rows()["Hugepagesize"] << 10)))
    if free_bytes() < size:
        test.skipTest(f"{free_bytes() >> 20} MiB of huge pages are free, {size >> 20} are needed")
