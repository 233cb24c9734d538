"""kvbench over soft-RoCE in a guest: the client's side of RDMA (dialing, datapath, reports) against polarkv's, in every
mode. kvbench checks each value that it reads.
"""
import json
import re
import unittest

import guest
import rdma
from harness import KVBENCH

THE_KERNEL = guest.need_kernel()
RUNS = ("memcache", "pipelined", "split", "open", "anew", "threads")
FAULTS = ("misses", "errors", "wrong_values", "connection_failures", "connections_lost")


class BenchTest(unittest.TestCase):
    def test_bench(self):
        image = guest.new_image(THE_KERNEL, "bench.sh", rdma.GROUPS)
        rdma.add(image)
        guest.add_polarkv(image)
        image.program(KVBENCH, "/usr/bin/kvbench")
        machine = guest.Guest(THE_KERNEL, image, "bench", memory_mib=768)
        steps, took = guest.run(machine, 240)
        for step in (*RUNS, "refused", "device_gone", "stopped"):
            self.assertIn(step, steps)
        reports = {name: json.loads(text)
                   for name, text in re.findall(r"^@@report (\S+) (\{.*\})$", machine.text(), re.MULTILINE)}
        for name in RUNS:
            report = reports[name]
            self.assertEqual(report["transport"], "rdma", name)
            for fault in FAULTS:
                self.assertEqual(report[fault], 0, (name, report))
            self.assertTrue(report["good"], (name, report))
            self.assertGreater(report["operations"], 2, (name, report))  # a busy machine gives the guest little of itself
            print(f"{name}: {report['operations']} operations, p50 {report['p50_us']:.0f} us")
        self.assertGreater(reports["split"]["sets"], 0)
        self.assertGreater(reports["anew"]["reconnections"], 2)
        self.assertEqual(reports["anew"]["idle_connections"], 3)
        print(f"{took:.1f} s from start to power-off")


if __name__ == "__main__":
    from harness import main
    main()
