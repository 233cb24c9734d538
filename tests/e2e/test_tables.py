"""Every row of the protocol tables: whole, byte by byte, and split in two at every place."""
from harness import REFERENCE, ServerTest, main, resp
import tables

SPLIT_LONGEST = 600  # longer requests are sent whole only
MEMCACHE_MARK = b"set the-last-reply 0 0 3 noreply\r\nEOR\r\nget the-last-reply\r\n"
MEMCACHE_MARK_ANSWER = b"VALUE the-last-reply 0 3\r\nEOR\r\nEND\r\n"
MEMCACHE_ROWS = tables.MEMCACHE + ([] if REFERENCE else tables.MEMCACHE_STAYS_IN_STEP)


class Tables(ServerTest):
    """A mark behind each request has an answer of its own, so that too many or too few replies are seen at once."""

    def converse(self, connect, pieces, closes, mark, mark_answer, pause=0.0):
        with connect() as c:
            try:
                c.send_pieces(pieces, pause)
                if not closes:
                    c.send(mark)
            except (BrokenPipeError, ConnectionResetError):
                self.assertTrue(closes, "closed too early")
            if closes:
                return c.read_all()
            answer = c.read_until(mark_answer)
            self.assertTrue(answer.endswith(mark_answer), f"closed after {answer!r}")
            return answer[:-len(mark_answer)]

    def memcache_case(self, case, pieces, pause=0.0):
        self.flush_memcache()
        answer = self.converse(self.server.memcache, pieces, case.closes, MEMCACHE_MARK, MEMCACHE_MARK_ANSWER, pause)
        if case.want is not None:
            self.assertEqual(answer, case.want)

    def resp_case(self, case, pieces, pause=0.0):
        self.flush_resp()
        answer = self.converse(self.server.resp, pieces, case.closes, resp("ECHO", "the-last-reply"),
                               b"$14\r\nthe-last-reply\r\n", pause)
        self.assertEqual(answer, case.want)

    def flush_memcache(self):
        self.assertEqual(self.control_memcache.ask(b"flush_all\r\n"), b"OK\r\n")

    def flush_resp(self):
        self.assertEqual(self.control_resp.ask(resp("FLUSHALL")), b"+OK\r\n")

    maxDiff = None

    def setUp(self):
        super().setUp()
        self.control_memcache = self.memcache()
        self.control_resp = self.resp()

    def each(self, cases, check):
        for case in cases:
            with self.subTest(case.name):
                check(case)

    def test_memcache_whole(self):
        self.each(MEMCACHE_ROWS, lambda case: self.memcache_case(case, [case.send]))

    def test_resp_whole(self):
        self.each(tables.RESP, lambda case: self.resp_case(case, [case.send]))

    def bytewise(self, cases, run_case):
        for case in cases:
            if len(case.send) > SPLIT_LONGEST:
                continue
            with self.subTest(case.name):
                run_case(case, [case.send[i:i + 1] for i in range(len(case.send))], 0.0001)

    def test_memcache_byte_by_byte(self):
        self.bytewise(MEMCACHE_ROWS, self.memcache_case)

    def test_resp_byte_by_byte(self):
        self.bytewise(tables.RESP, self.resp_case)

    def splits(self, cases, run_case):
        for case in cases:
            if len(case.send) > SPLIT_LONGEST:
                continue
            with self.subTest(case.name):
                for at in range(1, len(case.send)):
                    try:
                        run_case(case, [case.send[:at], case.send[at:]], 0.0002)
                    except AssertionError as fault:
                        raise AssertionError(f"split at {at}: {fault}") from None

    def test_memcache_split_everywhere(self):
        self.splits(MEMCACHE_ROWS, self.memcache_case)

    def test_resp_split_everywhere(self):
        self.splits(tables.RESP, self.resp_case)


if __name__ == "__main__":
    main()
