"""Who may include whom: the arrows between the folders, checked on every #include "..." line."""
import re
import sys

import tree

BELOW = {
    "base": (),
    "store": ("base",),
    "protocol": ("base",),
    "net": ("base",),
    "rdma": ("base",),
    "client": ("base", "protocol", "net", "rdma"),
    "server": ("base", "protocol", "net", "rdma", "store"),
    "bench": ("base", "protocol", "net", "rdma", "client"),
    "tests": ("base", "store", "protocol", "net", "rdma", "client", "server", "bench"),
}
MICRO_BENCHMARK = re.compile(r"bench/([a-z]+)_(?:bench|hitratio)\.c$")  # of that module, which it may include
INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]*)"')


def judge(path, included):
    """What is wrong with the file including this; None when nothing is."""
    folder, target = path.split("/")[0], included.split("/")[0]
    micro = MICRO_BENCHMARK.match(path)
    if folder not in BELOW:
        return "the folder %s has no place in the arrows of tests/house/arrows.py" % folder
    if "/" not in included or target not in BELOW:
        return 'includes "%s": write the path from the root of the tree' % included
    if target != folder and target not in BELOW[folder] and not (micro and target == micro.group(1)):
        return 'includes "%s": %s may include %s' % (included, folder, ", ".join((folder,) + BELOW[folder]))
    return None


def check(root):
    findings = []
    for path in tree.tracked(root, (".c", ".h", ".def")):
        for number, text in tree.lines(root, path):
            include = INCLUDE.match(text)
            problem = include and judge(path, include.group(1))
            if problem:
                findings.append("%s:%d: %s" % (path, number, problem))
    return findings


def self_test():
    tree.expect(check, {
        "base/a.h": "#include <stdint.h>\n",
        "base/a.c": '#include "base/a.h"\n#include "base/a.def"\n',
        "store/s.c": '#include <net/if.h>\n#include "base/a.h"\n/* #include "net/n.h" */\n',
        "server/m.c": '#include "store/s.h"\n#include "net/n.h"\n',
        "tests/store/t.c": '#include "store/s.c"\n#include "server/m.h"\n#include "tests/support/e.h"\n',
        "bench/store_bench.c": '#include "store/s.h"\n',
        "build/x.c": '#include "y.h"\n',
    }, [])
    tree.expect(check, {
        "base/a.c": '\n#include "store/s.h"\n',
        "net/n.h": '#include "net/m.h"\n  # include "protocol/resp/p.h"\n',
        "net/rows.def": '#include "server/x.def"\n',
        "bench/b.c": '#include "store/s.h"\n',
        "bench/store_bench.c": '#include "server/m.h"\n',
        "store/s.c": '#include "s.h"\n#include "../base/a.h"\n',
        "extra/e.c": '#include "base/a.h"\n',
        "protocol/p.c": '#include "tests/support/e.h"\n',
    }, [
        'base/a.c:2: includes "store/s.h": base may include base',
        'bench/b.c:1: includes "store/s.h": bench may include bench, base, protocol, net, rdma, client',
        'bench/store_bench.c:1: includes "server/m.h": bench may include bench, base, protocol, net, rdma, client',
        "extra/e.c:1: the folder extra has no place in the arrows of tests/house/arrows.py",
        'net/n.h:2: includes "protocol/resp/p.h": net may include net, base',
        'net/rows.def:1: includes "server/x.def": net may include net, base',
        'protocol/p.c:1: includes "tests/support/e.h": protocol may include protocol, base',
        'store/s.c:1: includes "s.h": write the path from the root of the tree',
        'store/s.c:2: includes "../base/a.h": write the path from the root of the tree',
    ])


if __name__ == "__main__":
    sys.exit(tree.run(check, self_test, sys.argv))
