"""GETs by RDMA READ over soft-RoCE in a guest: kvbench --onesided against polarkv's two shards, whose kernel answers the
reads while their cores write. kvbench checks each value that it reads; keys that are gone are not read; and who has not
given a server's password reads nothing at all, whatever he knows (rdma_thief.c).
"""
import json
import re
import unittest

import guest
import rdma
from harness import KVBENCH

THE_KERNEL = guest.need_kernel()
rdma.need_polarkv()
FAULTS = ("errors", "wrong_values", "connection_failures", "connections_lost", "onesided_strange")
WHY = ("absent", "apart", "expiring", "torn", "moved", "left")


class OnesidedTest(unittest.TestCase):
    def check_sum(self, report):
        """Each get was answered by a read, or it is said why it was not; 16 may be on their way at either end."""
        whys = sum(report["onesided_" + why] for why in WHY)
        self.assertAlmostEqual(report["onesided_values"] + whys, report["gets"], delta=32, msg=report)

    def test_onesided(self):
        image = rdma.image(THE_KERNEL, "onesided.sh")
        guest.add_polarkv(image)
        image.program(KVBENCH, "/usr/bin/kvbench")
        machine = guest.Guest(THE_KERNEL, image, "onesided", cpus=2, memory_mib=768, append="hugepagesz=2M hugepages=96")
        steps, took = guest.run(machine, 200)
        reports = {name: json.loads(text)
                   for name, text in re.findall(r"^@@report (\S+) (\{.*\})$", machine.text(), re.MULTILINE)}
        for step in ("strict_beside", "disturbed", "rest", "wrong", "refused_said", "strict_after", "stopped_without", "thief",
                     "stopped_password"):
            self.assertIn(step, steps)
        for name in ("mixed", "present", "gone", "password"):
            report = reports[name]
            for fault in FAULTS:
                self.assertEqual(report[fault], 0, (name, report))
            self.assertTrue(report["good"], (name, report))
            self.check_sum(report)
        present, gone, mixed = reports["present"], reports["gone"], reports["mixed"]
        self.assertEqual(present["misses"] + present["onesided_absent"] + present["onesided_torn"], 0, present)
        self.assertGreater(present["onesided_values"], present["gets"] * 9 // 10, present)
        self.assertEqual(gone["onesided_values"], 0, gone)
        self.assertGreaterEqual(gone["misses"], gone["gets"], gone)
        self.assertGreater(gone["gets"], 10, gone)
        self.assertGreater(mixed["onesided_values"], 100, mixed)
        self.assertGreater(mixed["misses"], 0, mixed)
        wrong = reports["wrong"]
        self.assertGreater(wrong["onesided_values"], 10, wrong)
        self.assertGreaterEqual(wrong["wrong_values"], wrong["onesided_values"], wrong)
        self.assertEqual(reports["refused"]["operations"], 0)
        self.assertGreater(reports["password"]["onesided_values"], 50, reports["password"])
        for name, why in (("no_password", "ended when it asked for one-sided reads"), ("wrong_password", "WRONGPASS")):
            self.assertEqual(reports[name]["operations"], 0, reports[name])
            self.assertIn(why, reports[name]["first_error"])
        self.assertIn("does not grant one-sided reads", reports["refused"]["first_error"])
        for name in ("mixed", "present"):
            report = reports[name]
            whys = ", ".join(f"{why} {report['onesided_' + why]}" for why in WHY)
            print(f"{name}: {report['onesided_values']} of {report['gets']} gets one-sided ({whys}), p50 "
                  f"{report['get_p50_us']:.0f} us; {report['sets']} sets, {report['misses']} misses")
        print(f"{took:.1f} s from start to power-off")


if __name__ == "__main__":
    from harness import main
    main()
