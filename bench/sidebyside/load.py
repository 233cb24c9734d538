"""Runs of kvbench against a server, and the round trip of the wire."""

import json
import os
import subprocess
import tempfile

from . import servers

CLIENT_MAC = "02:70:6f:6c:61:02"
RUN_SPARE_SECONDS = 90


class LoadFailed(RuntimeError):
    """kvbench did not bring a result that counts."""


def call_kvbench(binary, arguments, cpu, seconds):
    """One run to its end; its JSON report. seconds: what the run itself takes, at most."""
    with tempfile.NamedTemporaryFile(prefix="kvbench", suffix=".json") as report:
        command = [binary] + arguments + ["--json", report.name]
        if cpu is not None:
            command = servers.on_cpu(cpu, command + ["--cpu", str(cpu)])
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=seconds + RUN_SPARE_SECONDS, text=True, errors="replace")
        except subprocess.TimeoutExpired as late:
            raise LoadFailed(f"kvbench did not end: {' '.join(command)}") from late
        if done.returncode != 0:
            raise LoadFailed(f"kvbench: {reason_of(done.stdout)}\n{' '.join(command)}\n{done.stdout}")
        with open(report.name) as text:
            return json.load(text)


def reason_of(output):
    """The one line of kvbench's output that says why it failed."""
    lines = [line for line in output.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("first error:") or " error " in line]
    return (told or lines or ["no output"])[-1]


class Wire:
    """How kvbench reaches a server: over kernel sockets, or as the client of its memif."""

    def __init__(self, client_ip="10.9.0.2/24", server_ip="10.9.0.1", mtu=9000, bsize=9216):
        self.client_ip, self.server_ip, self.mtu, self.bsize = client_ip, server_ip, mtu, bsize

    def client_vdev(self, path):
        return servers.memif_vdev("client", path, self.bsize) + ",mac=" + CLIENT_MAC

    def arguments(self, port, memif):
        if memif is None:
            return ["--server", f"127.0.0.1:{port}"]
        return ["--server", f"{self.server_ip}:{port}", "--transport", "tcp", "--vdev", self.client_vdev(memif),
                "--ip", self.client_ip, "--mtu", str(self.mtu), "--port-checksums", "no"]


def fill(binary, wire, server, cpu, keys, value_bytes):
    """Stores every key once."""
    arguments = wire.arguments(server.port, server.memif) + [
        "--protocol", server.protocol, "--keys", str(keys), "--value-size", str(value_bytes), "--load", "yes",
        "--duration", "0", "--connections", "32", "--hard-stop", "60s"]
    call_kvbench(binary, arguments, cpu, 60)


def measure(binary, wire, server, cpu, cell, keys, seconds, warmup):
    """kvbench's report of one cell."""
    arguments = wire.arguments(server.port, server.memif) + [
        "--protocol", server.protocol, "--keys", str(keys), "--value-size", str(cell.value_bytes), "--load", "no",
        "--ratio", "0:1" if cell.op == "get" else "1:0", "--connections", str(cell.connections),
        "--pipeline", str(cell.depth), "--warmup", f"{warmup * 1000:.0f}ms", "--duration", f"{seconds * 1000:.0f}ms",
        "--server-pid", str(server.pid)]
    if server.protocol == "memcache":
        arguments.append("--server-stats")
    return call_kvbench(binary, arguments, cpu, seconds + warmup)


def pingpong_ns(binary, wire, directory, server_cpu, client_cpu, count=50000):
    """p50 of the round trip of a 64-byte frame over a memif between the two processors, ns."""
    path = os.path.join(directory, "ping.sock")
    serve = servers.on_cpu(server_cpu, [
        binary, "--ping-serve", "--duration", "20s", "--cpu", str(server_cpu), "--vdev",
        servers.memif_vdev("server", path, wire.bsize), "--mtu", str(wire.mtu)])
    ask = ["--ping", "--ping-count", str(count), "--vdev", wire.client_vdev(path), "--mtu", str(wire.mtu)]
    echo = subprocess.Popen(serve, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        servers.wait_for_file(path, echo)
        return call_kvbench(binary, ask, client_cpu, 15)["p50_ns"]
    finally:
        end(echo)
        if os.path.exists(path):
            os.unlink(path)


def end(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
