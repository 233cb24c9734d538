"""What polarkv is told at the start: bad input is one line that names the option, what it got and what it takes."""
import os
import re
import socket
import tempfile
import unittest

from harness import POLARKV, Polarkv, Process, Raw, free_ports, main, resp, run, wait_for

OPTIONS = ["config", "listen", "memcache-port", "resp-port", "protected", "password", "cores", "poll", "memory-limit",
           "eviction", "max-value-size", "max-connections", "huge-pages", "vdev", "port", "ip", "mtu", "log-level",
           "print-config", "syn-cookies", "max-half-open", "rx-memory", "keepalive", "keepalive-interval",
           "keepalive-count", "user-timeout", "tcp-congestion-control", "fast-open",
           "version", "help"]

def polarkv(*options, limit=30):
    return run([POLARKV, *options], limit)

class BadInput(unittest.TestCase):
    def refused(self, status, words, *options):
        """Ends with this status and exactly one line on standard error, in which every word stands."""
        got, out, err = polarkv(*options)
        self.assertEqual((got, out), (status, ""), f"{options}: {err}")
        self.assertRegex(err, r"\A[^\n]+\n\Z", f"{options}: one line")
        for word in words:
            self.assertIn(word, err, f"{options}")

    def test_options(self):
        for options, words in (
            (["--nosuch"], ["nosuch"]),
            (["--nosuch=1"], ["nosuch"]),
            (["stray"], ["stray"]),
            (["--cores", "65"], ["cores", "65", "64"]),
            (["--cores", "-1"], ["cores", "-1"]),
            (["--cores", "two"], ["cores", "two"]),
            (["--cores"], ["cores"]),
            (["--memcache-port", "65536"], ["memcache-port", "65536", "65535"]),
            (["--memcache-port", "x"], ["memcache-port", "x"]),
            (["--memcache-port", ""], ["memcache-port"]),
            (["--resp-port", "1.5"], ["resp-port", "1.5"]),
            (["--memory-limit", "1k"], ["memory-limit", "1k"]),
            (["--memory-limit", "12q"], ["memory-limit", "12q"]),
            (["--memory-limit", "99999999999999999999"], ["memory-limit", "99999999999999999999"]),
            (["--memory-limit", "-5m"], ["memory-limit", "-5m"]),
            (["--max-value-size", "1"], ["max-value-size", "1"]),
            (["--poll", "sometimes"], ["poll", "sometimes", "adaptive", "busy"]),
            (["--nap", "5x"], ["nap", "5x"]),
            (["--syn-cookies", "sometimes"], ["syn-cookies", "sometimes", "never"]),
            (["--max-half-open", "0"], ["max-half-open", "0"]),
            (["--rx-memory", "12q"], ["rx-memory", "12q"]),
            (["--keepalive", "soon"], ["keepalive", "soon"]),
            (["--keepalive-interval", "0"], ["keepalive-interval", "0"]),
            (["--keepalive-count", "128"], ["keepalive-count", "128", "127"]),
            (["--user-timeout", "-1s"], ["user-timeout", "-1s"]),
            (["--fast-open", "1025"], ["fast-open", "1025", "1024"]),
            (["--tcp-congestion-control", "bbr"], ["tcp-congestion-control", "bbr", "cubic"]),
            (["--protected=maybe"], ["protected", "maybe"]),
            (["--log-level", "loud"], ["log-level", "loud", "warn"]),
            (["--listen", "localhost.example.invalid"], ["listen", "localhost.example.invalid"]),
            (["--listen", "1.2.3.4.5"], ["listen", "1.2.3.4.5"]),
            (["--cpus", "0,x"], ["cpus", "0,x"]),
            (["--config", "/nosuch/polarkv.conf"], ["/nosuch/polarkv.conf"]),
        ):
            with self.subTest(options):
                self.refused(2, words, *options)

    MEMIF = "net_memif0,role=server,id=0,socket=/tmp/nosuch.memif,socket-abstract=no"

    def test_ports(self):
        memif = ["--vdev", f"{self.MEMIF},bsize=9216", "--port", "net_memif0"]
        for options, words in (
            (["--vdev", f"{self.MEMIF},bsize=2048", "--port", "net_memif0", "--ip", "10.9.0.1/24", "--mtu", "9000"],
             ["bsize", "2048", "9"]),
            (["--vdev", self.MEMIF, "--port", "net_memif0", "--ip", "10.9.0.1/24", "--mtu", "9000"], ["bsize"]),
            ([*memif, "--ip", "10.9.0.1"], ["ip", "10.9.0.1"]),
            ([*memif, "--ip", "10.9.0.256/24"], ["ip", "10.9.0.256/24"]),
            ([*memif, "--ip", "10.9.0.1/33"], ["ip", "10.9.0.1/33"]),
            ([*memif, "--ip", "x"], ["ip", "x"]),
            (memif, ["ip"]),
            ([*memif, "--ip", "10.9.0.1/24", "--mtu", "100"], ["mtu", "100", "576"]),
            ([*memif, "--ip", "10.9.0.1/24", "--gateway", "nowhere"], ["gateway", "nowhere"]),
        ):
            with self.subTest(options):
                self.refused(2, words, *options)

    def test_devices(self):
        """A driver or a device that does not exist."""
        ports = [str(p) for p in free_ports(2)]
        base = ["--memcache-port", ports[0], "--resp-port", ports[1], "--ip", "10.9.0.1/24", *Polarkv.SMALL, "--cores", "1"]
        memif = "net_memif0,role=server,socket-abstract=no,bsize=9216,"
        for options, words in ((["--vdev", "net_nosuch0", "--port", "net_nosuch0"], ["net_nosuch0"]),
                               (["--vdev", "garbage"], ["vdev", "garbage"]),
                               (["--vdev", memif + "socket=/nosuch/dir/x", "--port", "net_memif0"], ["port", "net_memif0", "DPDK says"]),
                               (["--vdev", memif + "rsize=99", "--port", "net_memif0"], ["port", "net_memif0", "DPDK says"]),
                               (["--vdev", "net_memif0,role=client,bsize=9216,socket=/tmp/nosuch.memif,socket-abstract=no", "--port", "net_memif0"],
                                ["port", "net_memif0", "server"]),
                               (["--vdev", "net_af_xdp0,iface=nosuch", "--port", "net_af_xdp0", "--protected=no"],
                                ["port", "net_af_xdp0", "DPDK says"]),
                               (["--vdev", "net_null0", "--port", "net_null7"], ["net_null7"]),
                               (["--vdev", "net_null0", "--port", "net_null0", "--port-checksums", "no"], ["net_null", "checksums"]),
                               (["--port", "0000:ff:1f.7"], ["0000:ff:1f.7"])):
            with self.subTest(options):
                got, _, err = polarkv(*base, *options)
                self.assertIn(got, (1, 2), err)
                self.assertRegex(err, r"\A[^\n]+\n\Z", f"{options}: one line")
                for word in words:
                    self.assertIn(word, err)

    def test_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            for text, words in (("nosuch = 1\n", ["nosuch", ":1"]),
                                ("# fine\n\ncores = 99\n", ["cores", "99", ":3"]),
                                ("memory-limit = lots\n", ["memory-limit", "lots", ":1"]),
                                ("just words\n", [":1"])):
                with self.subTest(text):
                    file.seek(0)
                    file.truncate()
                    file.write(text)
                    file.flush()
                    self.refused(2, [file.name, *words], "--config", file.name)

    def test_beyond_loopback_needs_a_word(self):
        ports = free_ports(2)
        options = ["--memcache-port", str(ports[0]), "--resp-port", str(ports[1]), *Polarkv.SMALL, "--cores", "1"]
        for address in ("0.0.0.0", "::"):
            with self.subTest(address):
                self.refused(2, ["listen", address, "protected"], "--listen", address, *options)

    def test_machine(self):
        """What the machine refuses: exit status 1."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            other = free_ports(1)[0]
            small = [*Polarkv.SMALL, "--cores", "1"]
            self.refused(1, [str(port)], "--memcache-port", str(port), "--resp-port", str(other), *small)
            self.refused(1, [str(port)], "--memcache-port", str(other), "--resp-port", str(port), *small)
            for option in (["--memory-limit", "1024g", "--cores", "64"], ["--buffer-memory", "1024g"]):
                self.refused(1, [option[0].strip("-"), "memory of this machine"], "--memcache-port", str(other), "--resp-port", "0", *option)
            with open("/proc/meminfo", encoding="ascii") as file:
                reserved = re.search(r"HugePages_Total:\s+(\d+)", file.read())
            if not reserved or reserved[1] == "0":
                self.refused(1, ["huge-pages"], "--memcache-port", str(other), "--resp-port", "0", "--huge-pages", "yes", *small)
            self.refused(1, ["snapshot-file", "/nosuch/x", "folder"], "--snapshot-file", "/nosuch/x", *small)
            self.refused(1, ["snapshot-file", "/tmp", "directory"], "--snapshot-file", "/tmp", *small)
            self.refused(1, ["region-file", "/nosuch", "tmpfs"], "--region-file", "/nosuch", "--log-level=error", "--resp-port", "0",
                         "--memcache-port", str(other), *small)
            self.refused(1, ["admin-socket", "/nosuch/x"], "--admin-socket", "/nosuch/x", "--log-level=error", "--resp-port", "0",
                         "--memcache-port", str(other), *small)
            self.refused(1, ["203.0.113.7"], "--listen", "203.0.113.7", "--protected=no", "--memcache-port", str(other),
                         "--resp-port", "0", *small)

    def test_port_in_use_by_another_polarkv(self):
        """Listeners that share a port among the cores of one server do not share it with another server."""
        first = Polarkv(cores=2)
        try:
            for cores in ("1", "2"):
                self.refused(1, [str(first.memcache_address[1])], "--memcache-port", str(first.memcache_address[1]),
                             "--resp-port", "0", "--cores", cores, *Polarkv.SMALL)
            with first.memcache() as c:
                self.assertEqual(c.ask(b"get a\r\n"), b"END\r\n")
        finally:
            first.stop()

class Answers(unittest.TestCase):
    def test_help(self):
        status, out, err = polarkv("--help")
        self.assertEqual((status, err), (0, ""))
        for option in OPTIONS:
            self.assertIn(f"--{option}", out)
        self.assertIn("256m", out, "defaults are named")

    def test_version(self):
        status, out, err = polarkv("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Apolarkv \d+\.\d+\.\d+")

    def test_print_config_is_a_configuration(self):
        status, sample, err = polarkv("--print-config")
        self.assertEqual((status, err), (0, ""))
        for option in set(OPTIONS) - {"print-config", "version", "help", "config"}:
            self.assertRegex(sample, rf"(?m)^#?\s*{option}\s*=", "each option is there")
        self.assertIn("#", sample)
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(sample)
            file.flush()
            self.assertEqual(polarkv("--config", file.name, "--print-config"), (0, sample, ""))

    def test_print_config_round_trip(self):
        """What was set comes out, goes in by a file, and comes out the same; the command line wins over the file."""
        status, text, err = polarkv("--cores", "3", "--memory-limit", "300m", "--poll", "busy", "--nap", "250us",
                                    "--protected=no", "--print-config")
        self.assertEqual((status, err), (0, ""))
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(text)
            file.write("cores = 3\nmemory-limit = 300m\npoll = busy\nnap = 250us\nprotected = no\n")
            file.flush()
            status, again, err = polarkv("--config", file.name, "--print-config")
            self.assertEqual((status, err), (0, ""))
            wanted = {"cores": "3", "memory-limit": "300m", "poll": "busy", "nap": "250us", "protected": "no"}
            for out in (text, again):
                got = dict(re.findall(r"(?m)^#?\s*([a-z-]+)\s*=\s*(\S*)\s*$", out))
                self.assertEqual({name: got.get(name) for name in wanted}, wanted)
            status, won, _ = polarkv("--config", file.name, "--cores", "5", "--print-config")
            self.assertRegex(won, r"(?m)^#?\s*cores\s*=\s*5\s*$")

    def test_keepalive_of_kernel_sockets(self):
        """The kernel runs its keepalive timer (2) for a client's socket, and without the option none (0)."""
        for options, timer in ((["--keepalive", "30s", "--keepalive-count", "3"], "02"), ([], "00")):
            server = Polarkv(*options)
            try:
                with server.memcache() as c:
                    self.assertEqual(c.ask(b"get a\r\n"), b"END\r\n")
                    local = f"0100007F:{server.memcache_address[1]:04X}"

                    def timers():
                        with open("/proc/net/tcp") as table:
                            rows = [line.split() for line in table]
                        return [row[5].split(":")[0] for row in rows if row[1] == local and row[3] == "01"]

                    wait_for(lambda: timers() == [timer], f"timer {timer} of the client's socket, not {timers()}", 10)
            finally:
                server.stop()

    def test_options_from_a_file_take_effect(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("max-value-size = 2k\n")
            file.flush()
            server = Polarkv("--config", file.name)
            try:
                with server.memcache() as c:
                    self.assertEqual(c.ask(b"set a 0 0 2049\r\n" + bytes(2049) + b"\r\n"),
                                     b"SERVER_ERROR object too large for cache\r\n")
                    self.assertEqual(c.ask(b"set a 0 0 2048\r\n" + bytes(2048) + b"\r\n"), b"STORED\r\n")
            finally:
                server.stop()

class Effects(unittest.TestCase):
    def server(self, *options, **more):
        server = Polarkv(*options, **more)
        self.addCleanup(server.stop)
        return server

    def test_memory_limit_refuses_writes(self):
        """Full memory is said in the protocol's own words; what was acknowledged stays; freed memory serves again."""
        server = self.server("--memory-limit", "16m", "--eviction", "none")
        value = b"v" * 10_000
        with server.memcache() as m, server.resp() as r:
            stored = []
            for i in range(5000):
                answer = m.ask(b"set k%d 0 0 %d\r\n%b\r\n" % (i, len(value), value))
                if answer != b"STORED\r\n":
                    break
                stored.append(b"k%d" % i)
            self.assertEqual(answer, b"SERVER_ERROR out of memory storing object\r\n")
            self.assertGreater(len(stored), 800, "most of 16 MB holds values")
            self.assertRegex(str(r.command("SET", "another", value)), "^OOM ")
            for key in stored:
                self.assertTrue(r.command("GET", key) == value, "what was acknowledged is there")
            self.assertEqual(r.command("DEL", *stored[:200]), 200)
            self.assertEqual(r.command("SET", "another", value), "OK")
            self.assertEqual(m.ask(b"flush_all\r\n"), b"OK\r\n")
            for i in range(600):
                self.assertEqual(r.command("SET", f"again{i}", value), "OK")

    def test_max_connections(self):
        server = self.server("--max-connections", "20")

        def hold():  # not at once: the harness's own connections may not be gone yet
            c = server.memcache()
            try:
                if c.ask(b"get a\r\n") == b"END\r\n":
                    return c
            except OSError:
                pass
            c.close()

        held = [wait_for(hold, "20 connections are served") for _ in range(20)]
        more = [server.memcache() for _ in range(10)]
        closed = sum(c.read_all() == b"" for c in more)
        self.assertEqual(closed, 10, "over the limit: closed at once")
        for c in held + more:
            c.close()

    def test_password(self):
        server = self.server("--password", "sesame")
        with server.resp() as c:
            self.assertRegex(str(c.command("GET", "a")), "^NOAUTH ")
            self.assertRegex(str(c.command("AUTH", "wrong")), "^WRONGPASS ")
            self.assertRegex(str(c.command("SET", "a", "1")), "^NOAUTH ")
            self.assertEqual(c.command("AUTH", "sesame"), "OK")
            self.assertEqual(c.command("SET", "a", "1"), "OK")
        with server.resp() as c:
            self.assertEqual(c.command("AUTH", "default", "sesame"), "OK")
            self.assertEqual(c.command("GET", "a"), b"1")
        with server.resp() as c:
            self.assertEqual(c.command("HELLO", "3", "AUTH", "default", "sesame")[b"proto"], 3)
            self.assertEqual(c.command("GET", "a"), b"1")

    def test_one_protocol_only(self):
        port = free_ports(1)[0]
        server = Polarkv("--resp-port", "0", "--memcache-port", str(port), wait=False)
        self.addCleanup(server.stop)
        server.memcache_address = server.resp_address = ("127.0.0.1", port)
        server.wait_ready()
        with server.memcache() as c:
            self.assertEqual(c.ask(b"get a\r\n"), b"END\r\n")

    def test_ipv6_loopback(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("this machine has no IPv6")
        with socket.socket(socket.AF_INET6) as s:
            try:
                s.bind(("::1", 0))
            except OSError:
                self.skipTest("no ::1 here")
        ports = free_ports(2)
        server = Polarkv("--listen", "::1", "--memcache-port", str(ports[0]), "--resp-port", str(ports[1]), wait=False)
        self.addCleanup(server.stop)

        def connect():
            try:
                return socket.create_connection(("::1", ports[1]), 2)
            except OSError:
                self.assertTrue(server.alive(), server.text())

        with wait_for(connect, "listens on ::1") as s:
            s.sendall(resp("PING"))
            self.assertEqual(s.recv(100), b"+PONG\r\n")

    def test_starts_as_an_ordinary_user(self):
        """Without root, huge pages or a device."""
        if os.getuid() != 0:
            self.skipTest("this test runs as an ordinary user anyway")
        ports = free_ports(2)
        with tempfile.TemporaryDirectory() as home:
            os.chmod(home, 0o777)
            binary = os.path.join(home, "polarkv")
            with open(POLARKV, "rb") as source, open(binary, "wb") as copy:
                copy.write(source.read())
            os.chmod(binary, 0o755)
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--pdeathsig=KILL",
                       binary, "--memcache-port", str(ports[0]), "--resp-port", str(ports[1]), *Polarkv.SMALL]

            server = Process(command, env={"PATH": "/usr/bin:/bin", "HOME": home})
            try:
                def answers():
                    self.assertTrue(server.alive(), server.text())
                    try:
                        return Raw(("127.0.0.1", ports[1]), limit=2)
                    except OSError:
                        return None

                with wait_for(answers, "an ordinary user's polarkv answers", 20) as c:
                    self.assertEqual(c.command("PING"), "PONG")
            finally:
                status, text = server.stop(), server.text()
                server.output.close()
            self.assertEqual(status, 0, text)

if __name__ == "__main__":
    main()
