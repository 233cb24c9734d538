"""The servers under comparison: started once, all but one frozen while that one is measured, stopped by pid."""

import os
import shutil
import signal
import socket
import subprocess
import time

START_SECONDS = 15
STOP_SECONDS = 5


def free_port():
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def on_cpu(cpu, command):
    """The command pinned to one processor, and ended by the kernel should this process die."""
    dies_with_us = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return dies_with_us + ["taskset", "-c", str(cpu)] + command


class Server:
    """A server process. `protocol` is kvbench's; `memif` the path of its socket, or None for kernel sockets."""

    def __init__(self, name, command, port, protocol, cpu, directory, memif=None):
        self.name = name
        self.command = command
        self.port = port
        self.protocol = protocol
        self.cpu = cpu
        self.directory = directory
        self.memif = memif
        self.process = None
        self.log = os.path.join(directory, name + ".log")

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(on_cpu(self.cpu, self.command), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.directory, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if not self.alive():
                raise RuntimeError(f"{self.name} ended at its start:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not listen on port {self.port}:\n{self.log_tail()}")
            time.sleep(0.05)

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return self.memif is None or os.path.exists(self.memif)
        except OSError:
            return False

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log_tail(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:]

    def freeze(self):
        if self.alive():
            self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        if self.alive():
            self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process is None:
            return
        for end in (signal.SIGTERM, signal.SIGKILL):
            self.thaw()
            if self.alive():
                self.process.send_signal(end)
            try:
                self.process.wait(STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        self.process = None


def polarkv_command(binary, port, memory, extra):
    return [binary, "--listen", "127.0.0.1", "--memcache-port", str(port), "--resp-port", "0", "--cores", "1",
            "--memory-limit", memory, "--log-level", "warn"] + extra


RING_ORDER = 10  # 1,024 frames of bsize bytes each way: a request of each connection; more would only leave the caches


def memif_vdev(role, path, bsize):
    return f"net_memif0,role={role},id=0,socket={path},socket-abstract=no,rsize={RING_ORDER},bsize={bsize}"


def make(names, directory, cpu, binaries, memory="512m", server_ip="10.9.0.1", mtu=9000, bsize=9216):
    """The servers of these names, not yet started. binaries: polarkv, memcached, redis-server."""
    made = []
    for name in names:
        port, memif, protocol = free_port(), None, "memcache"
        pin = ["--cpus", str(cpu)]
        if name == "polarkv-memif":
            memif = os.path.join(directory, "memif.sock")
            command = polarkv_command(binaries["polarkv"], port, memory, pin + [
                "--poll", "busy", "--vdev", memif_vdev("server", memif, bsize), "--port", "net_memif0",
                "--ip", server_ip + "/24", "--mtu", str(mtu), "--port-checksums", "no"])
        elif name == "polarkv-kernel":
            command = polarkv_command(binaries["polarkv"], port, memory, pin + ["--poll", "adaptive"])
        elif name == "memcached":
            command = [binaries["memcached"], "-t", "1", "-m", "1024", "-l", "127.0.0.1", "-p", str(port), "-U", "0",
                       "-c", "8192", "-b", "4096"] + (["-u", "root"] if os.geteuid() == 0 else [])
        elif name == "redis":
            protocol = "resp"
            command = [binaries["redis-server"], "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                       "--appendonly", "no", "--io-threads", "1", "--maxclients", "8192", "--tcp-backlog", "4096",
                       "--dir", directory]
        else:
            raise ValueError(f"no server is called {name}")
        made.append(Server(name, command, port, protocol, cpu, directory, memif))
    return made


def wait_for_file(path, process):
    """Until the process has made the file."""
    deadline = time.monotonic() + START_SECONDS
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args[0]} does not make {path}")
        time.sleep(0.02)
