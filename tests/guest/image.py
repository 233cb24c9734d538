"""An initial file system for a guest: files of this machine at their own places with all that they need to run, written
as the archive (cpio, "newc") that the kernel unpacks.
"""
import os
import re
import stat
import subprocess

FOLDER, FILE, LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK


class Image:
    def __init__(self):
        self.entries = {}  # path: (mode, bytes, or the path of a file that has them)
        self.places = {}   # inode: where it is already
        self.entries["/"] = (FOLDER | 0o755, b"")
        for folder in ("dev", "proc", "sys", "tmp", "var/run", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc"):
            self.folder("/" + folder)
        for name in ("bin", "sbin", "lib", "lib64"):
            self.link("/" + name, "usr/" + name)

    def folder(self, path):
        if path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (FOLDER | 0o755, b"")

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self.entries[path] = (LINK | 0o777, target.encode())

    def file(self, path, source, mode=0o644):
        """source: bytes, or a file of this machine."""
        self.folder(os.path.dirname(path))
        self.entries[path] = (FILE | mode, source)

    def add(self, path):
        """A file of this machine at its own place, with the symbolic links that lead to it. What has two names is there
        once: the dynamic loader, and DPDK with it, take two files for two libraries."""
        place = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if place in self.entries:
            return
        if os.path.islink(place):
            target = os.readlink(place)
            self.link(place, target)
            self.add(os.path.join(os.path.dirname(place), target))
            return
        info = os.stat(place)
        inode = (info.st_dev, info.st_ino)
        if inode in self.places:
            self.link(place, self.places[inode])
            return
        self.places[inode] = place
        self.file(place, place, stat.S_IMODE(info.st_mode) | 0o400)

    def program(self, path, place=None):
        """A program or library with the libraries that it is linked with; place: where, if not at its own."""
        if place:
            self.file(place, path, 0o755)
        else:
            self.add(path)
        text = subprocess.run(["ldd", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE).stdout.decode()
        if "not found" in text:
            raise AssertionError(f"ldd {path}: {text}")
        for library in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", text, re.MULTILINE):
            self.add(library)

    def write(self, path):
        with open(path, "wb") as out:
            for inode, name in enumerate(sorted(self.entries), 1):
                mode, source = self.entries[name]
                write_entry(out, name.lstrip("/") or ".", inode, mode, source)
            write_entry(out, "TRAILER!!!", 0, 0, b"")


def write_entry(out, name, inode, mode, source):
    if isinstance(source, str):
        with open(source, "rb") as file:
            source = file.read()
    encoded = name.encode() + b"\0"
    # inode, mode, owner, group, links, time, bytes, device, device of a special file, bytes of the name, checksum
    numbers = (inode, mode, 0, 0, 1, 0, len(source), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % n for n in numbers) + encoded
    out.write(head + bytes(-len(head) % 4) + source + bytes(-len(source) % 4))
