#!/usr/bin/python3
"""bench/compare's and bench/demo's arithmetic on made-up rows."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "bench"))
from sidebyside import bars, servers, table  # noqa: E402

CELL = table.Cell("get", 64, 50, 1)


def report(ops, **more):
    made = {"ops_per_s": ops, "p50_us": 10.0, "p99_us": 20.0, "p999_us": 30.0, "client_busy_share": 1.0,
            "client_limited": False, "misses": 0, "server_cpu_us_per_op": 8.0, "server_cpu_share": 0.5}
    made.update(more)
    return made


def row(server, ops, cost, **more):
    return table.row_of(server, CELL, report(ops, server_cpu_us_per_op=cost, **more), None)


class Rows(unittest.TestCase):
    def test_kernel_server_is_charged_its_processor_time(self):
        made = table.row_of("memcached", CELL, report(1000), 250)
        self.assertEqual((made["server_cpu_us_per_op"], made["server_cpu_share"]), (8.0, 0.5))
        self.assertIsNone(made["cycles_per_op"])
        self.assertEqual((made["op"], made["value_bytes"], made["connections"], made["depth"]), tuple(CELL))
        self.assertEqual(made["wire_pingpong_ns"], 250)

    def test_polling_server_is_charged_its_busy_time(self):
        made = table.row_of("polarkv-memif", CELL, report(1000, server_busy_us_per_op=0.4, server_busy_share=0.7,
                                                          server_cpu_share=1.0, server_cycles_per_op=980), 250)
        self.assertEqual((made["server_cpu_us_per_op"], made["server_cpu_share"]), (0.4, 0.7))
        self.assertEqual(made["cycles_per_op"], 980)

    def test_every_key_the_json_promises(self):
        promised = {"server", "op", "value_bytes", "connections", "depth", "ops_per_s", "p50_us", "p99_us", "p999_us",
                    "server_cpu_us_per_op", "cycles_per_op", "wire_pingpong_ns"}
        self.assertLessEqual(promised, set(table.median_row([row("redis", 1, 1)])))

    def test_median_of_rounds_is_taken_number_by_number(self):
        rounds = [row("redis", 300, 5.0, p99_us=9.0), row("redis", 100, 7.0, p99_us=1.0),
                  row("redis", 200, 6.0, p99_us=5.0)]
        rounds[0]["wire_pingpong_ns"], rounds[1]["wire_pingpong_ns"] = 400, 500
        middle = table.median_row(rounds)
        self.assertEqual((middle["ops_per_s"], middle["server_cpu_us_per_op"], middle["p99_us"]), (200, 6.0, 5.0))
        self.assertEqual(middle["wire_pingpong_ns"], 450)
        self.assertIsNone(middle["cycles_per_op"])
        self.assertEqual((middle["ops_per_s_least"], middle["ops_per_s_most"], middle["rounds"]), (100, 300, 3))
        self.assertEqual(middle["server"], "redis")

    def test_client_was_the_limit_when_it_was_in_most_rounds(self):
        yes, no = row("redis", 1, 1, client_limited=True), row("redis", 1, 1)
        self.assertTrue(table.median_row([yes, no, yes])["client_limited"])
        self.assertFalse(table.median_row([yes, no, no])["client_limited"])


class Ratios(unittest.TestCase):
    def test_both_ratios_are_over_one_when_better(self):
        ours, theirs = row("polarkv-kernel", 120000, 4.0), row("memcached", 60000, 8.0)
        self.assertEqual(table.rate_ratio(ours, theirs), 2.0)
        self.assertEqual(table.cost_ratio(ours, theirs), 2.0)
        self.assertEqual(table.rate_ratio(theirs, ours), 0.5)
        self.assertEqual(table.cost_ratio(theirs, ours), 0.5)

    def test_nothing_to_divide_by(self):
        ours = row("polarkv-kernel", 120000, 0.0)
        self.assertIsNone(table.rate_ratio(ours, None))
        self.assertIsNone(table.cost_ratio(ours, row("memcached", 1, 8.0)))
        ours["server_cpu_us_per_op"] = None
        self.assertIsNone(table.cost_ratio(ours, row("memcached", 1, 8.0)))

    def test_core_note(self):
        self.assertEqual(table.core_note(row("redis", 1, 1, server_cpu_share=0.97)), "full")
        self.assertEqual(table.core_note(row("redis", 1, 1, server_cpu_share=0.5)), "50% used")
        self.assertEqual(table.core_note(row("redis", 1, 1, server_cpu_share=0.5, client_limited=True)),
                         "50% used, client the limit")
        self.assertEqual(table.core_note(row("polarkv-memif", 1, 1)), "")


class Table(unittest.TestCase):
    def setUp(self):
        other = table.Cell("set", 4096, 1000, 1)
        self.rows = [table.median_row([r]) for r in (
            row("polarkv-memif", 1500000, 8, server_busy_us_per_op=0.5, server_busy_share=0.99,
                server_cycles_per_op=1200),
            row("memcached", 60000, 8.0), row("redis", 50000, 10.0),
            table.row_of("memcached", other, report(40000), 1700.0),
            table.row_of("redis", other, report(20000), 1700.0))]
        self.text = table.render(self.rows)

    def line(self, server, block):
        return next(line for line in self.text.split("\n\n")[block].split("\n") if line.startswith(server)).split()

    def test_ratios_stand_within_their_cell(self):
        self.assertEqual(self.line("polarkv-memif", 0)[:4], ["polarkv-memif", "1,500,000", "25.00x", "30.00x"])
        self.assertEqual(self.line("polarkv-memif", 0)[7:], ["0.50", "16.00x", "20.00x", "1,200", "full"])
        self.assertEqual(self.line("redis", 1)[:4], ["redis", "20,000", "0.50x", "1.00x"])

    def test_titles_tell_cell_and_wire(self):
        self.assertIn("GET of 64 bytes, 50 connections, depth 1\n", self.text)
        self.assertIn("SET of 4096 bytes, 1000 connections, depth 1, wire 1,700 ns (far)\n", self.text)

    def test_columns_align(self):
        lines = self.text.split("\n\n")[0].split("\n")[1:]
        ends = {line.index(word) + len(word) for line, word in zip(lines, ["ops/s", "1,500,000", "60,000", "50,000"])}
        self.assertEqual(len(ends), 1)


class Servers(unittest.TestCase):
    def test_commands_name_what_is_pinned_and_where(self):
        binaries = {name: "/bin/" + name for name in ("polarkv", "memcached", "redis-server")}
        made = servers.make(["polarkv-memif", "polarkv-kernel", "memcached", "redis"], "/tmp/x", 0, binaries)
        self.assertEqual([s.protocol for s in made], ["memcache", "memcache", "memcache", "resp"])
        self.assertEqual(made[0].memif, "/tmp/x/memif.sock")
        self.assertTrue(all(s.memif is None for s in made[1:]))
        self.assertEqual(len({s.port for s in made}), 4)
        vdev = made[0].command[made[0].command.index("--vdev") + 1]
        self.assertIn("role=server", vdev)
        self.assertIn("bsize=9216", vdev)
        self.assertRaises(ValueError, servers.make, ["mongodb"], "/tmp/x", 0, binaries)


class Bars(unittest.TestCase):
    def test_bar_is_as_long_as_its_share(self):
        self.assertEqual(bars.bar(50, 100, 10, utf8=False), "#####")
        self.assertEqual(bars.bar(100, 100, 10, utf8=False), "#" * 10)
        self.assertEqual(bars.bar(50, 100, 10, utf8=True), "█" * 5)
        self.assertEqual(bars.bar(56.25, 100, 2, utf8=True), "█▏")
        self.assertEqual(bars.bar(1, 100000, 10, utf8=True), "▏")
        self.assertEqual(bars.bar(0, 0, 10, utf8=True), "")

    def test_drawing_shows_figures_and_ratio(self):
        text = bars.draw([("kernel sockets", report(50000)), ("user-space TCP", report(1000000))], utf8=False)
        self.assertIn("50,000", text)
        self.assertIn("20.0x", text)
        self.assertTrue(text.isascii())


if __name__ == "__main__":
    unittest.main()
