"""From kvbench's reports to rows, from rows to the table."""

import collections
import statistics

Cell = collections.namedtuple("Cell", "op value_bytes connections depth")

FULL_CORE = 0.95  # a server whose core is busier than this was the limit
NEAR_NS = 600     # a wire's round trip below this: both processors share a cache


def row_of(server, cell, report, wire_ns):
    """One run. A server that polls uses all of its processor: its busy time counts instead."""
    polls = server == "polarkv-memif"
    cost = report.get("server_busy_us_per_op" if polls else "server_cpu_us_per_op")
    share = report.get("server_busy_share" if polls else "server_cpu_share")
    return {
        "server": server, "op": cell.op, "value_bytes": cell.value_bytes, "connections": cell.connections,
        "depth": cell.depth, "ops_per_s": report["ops_per_s"], "p50_us": report["p50_us"],
        "p99_us": report["p99_us"], "p999_us": report["p999_us"], "server_cpu_us_per_op": cost,
        "cycles_per_op": report.get("server_cycles_per_op"), "wire_pingpong_ns": wire_ns,
        "server_cpu_share": share, "client_busy_share": report["client_busy_share"],
        "client_limited": report["client_limited"], "misses": report["misses"],
    }


def median_row(rows):
    """The rounds of one server and cell as one row: the median of every number."""
    merged = dict(rows[0])
    for name, value in merged.items():
        values = [row[name] for row in rows if row[name] is not None]
        if isinstance(value, bool):
            merged[name] = sum(values) * 2 > len(values)
        elif name not in ("server", "op", "value_bytes", "connections", "depth"):
            merged[name] = statistics.median(values) if values else None
    merged["rounds"] = len(rows)
    merged["ops_per_s_least"] = min(row["ops_per_s"] for row in rows)
    merged["ops_per_s_most"] = max(row["ops_per_s"] for row in rows)
    return merged


def ratio(part, whole):
    """None where there is nothing to divide by."""
    return None if part is None or not whole else part / whole


def rate_ratio(row, base):
    """How many times the operations a second of base; over 1 is better."""
    return ratio(row["ops_per_s"], base["ops_per_s"]) if base else None


def cost_ratio(row, base):
    """How many times as many operations out of the same processor time; over 1 is better."""
    return ratio(base["server_cpu_us_per_op"], row["server_cpu_us_per_op"]) if base else None


def core_note(row):
    """Says where the server's core was not full: the rate is then not the server's limit."""
    share = row["server_cpu_share"]
    if share is None:
        return ""
    if share >= FULL_CORE:
        return "full"
    return f"{share:.0%} used" + (", client the limit" if row["client_limited"] else "")


def number(value, digits=1):
    return "-" if value is None else f"{value:,.{digits}f}"


def times(value):
    return "-" if value is None else f"{value:.2f}x"


HEADINGS = ["server", "ops/s", "rate:mc", "rate:redis", "p50 us", "p99 us", "p99.9 us", "cpu us/op", "cpu:mc",
            "cpu:redis", "cycles/op", "server's core"]


def line_of(row, by_name):
    memcached, redis = by_name.get("memcached"), by_name.get("redis")
    ours = row["server"].startswith("polarkv")
    return [row["server"], number(row["ops_per_s"], 0),
            times(rate_ratio(row, memcached)), times(rate_ratio(row, redis)),
            number(row["p50_us"]), number(row["p99_us"]), number(row["p999_us"]),
            number(row["server_cpu_us_per_op"], 2), times(cost_ratio(row, memcached)), times(cost_ratio(row, redis)),
            number(row["cycles_per_op"], 0) if ours else "-", core_note(row)]


def columns(lines):
    """Aligned: the first and last column left, numbers right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    last = len(widths) - 1
    return ["  ".join(text.ljust(w) if i in (0, last) else text.rjust(w)
                      for i, (text, w) in enumerate(zip(line, widths))).rstrip() for line in lines]


def cells_of(rows):
    """The cells in the order of their first row."""
    return list(dict.fromkeys(Cell(r["op"], r["value_bytes"], r["connections"], r["depth"]) for r in rows))


def in_cell(rows, cell):
    return [r for r in rows if Cell(r["op"], r["value_bytes"], r["connections"], r["depth"]) == cell]


def title_of(cell, rows):
    wires = [r["wire_pingpong_ns"] for r in rows if r["wire_pingpong_ns"] is not None]
    wire = f", wire {wires[0]:,.0f} ns ({'near' if wires[0] < NEAR_NS else 'far'})" if wires else ""
    return f"{cell.op.upper()} of {cell.value_bytes} bytes, {cell.connections} connections, depth {cell.depth}{wire}"


def render(rows):
    """The whole table as text."""
    lines = [HEADINGS]
    for cell in cells_of(rows):
        by_name = {row["server"]: row for row in in_cell(rows, cell)}
        lines += [line_of(row, by_name) for row in by_name.values()]
    headings, *lines = columns(lines)
    blocks = []
    for cell in cells_of(rows):
        mine = len(in_cell(rows, cell))
        blocks.append("\n".join([title_of(cell, in_cell(rows, cell)), headings] + lines[:mine]))
        del lines[:mine]
    return "\n\n".join(blocks) + "\n\n" + LEGEND


LEGEND = """\
ops/s: answered in a second by a server on one core, asked from one other core.
cpu us/op: processor time of the server an operation, user and system; of a polling server, its busy time.
rate:mc, rate:redis: how many times the rate of memcached, of redis.
cpu:mc, cpu:redis: how many times as many operations as theirs out of the same processor time of the server.
server's core: where it was not full the rate is not the server's limit: a load generator on kernel sockets costs as
much as the server, so there compare cpu us/op. On memif both ends leave TCP checksums out, as the kernel's loopback does
(--port-checksums no). wire: p50 of a 64-byte frame's round trip over memif, no stack.
"""
