"""Each reason to drop (a row METRIC(drop_..) of a .def under net/) is named by a test: else nobody knows that it counts."""
import re
import sys

import tree

ROW = re.compile(r"^METRIC\((drop_\w+)", re.M)
TESTS = (".c", ".pkt", ".py")


def text(root, path):
    return "\n".join(line for _, line in tree.lines(root, path))


def check(root):
    rows = {name: path for path in tree.tracked(root, (".def",)) if path.startswith("net/")
            for name in ROW.findall(text(root, path))}
    named = set()
    for path in tree.tracked(root, TESTS):
        if path.startswith("tests/net/"):
            named.update(re.findall(r"\bdrop_\w+", text(root, path)))
    return [f"{path}: no test under tests/net asks for {name}" for name, path in sorted(rows.items()) if name not in named]


def self_test():
    tree.expect(check, {
        "net/metrics.def": 'METRIC(drop_a, COUNTER, "a")\nMETRIC(drop_b, COUNTER, "b")\nMETRIC(rest, COUNTER, "c")\n',
        "tests/net/scripts/x/a.pkt": "metric drop_a +1\n",
        "tests/other.c": "drop_b\n",
    }, ["net/metrics.def: no test under tests/net asks for drop_b"])


if __name__ == "__main__":
    sys.exit(tree.run(check, self_test, sys.argv))
