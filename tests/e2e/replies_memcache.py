"""Random memcached commands, good and bad, for a comparison with Debian's memcached.

Not drawn, since polarkv differs there and says so: a bad storage line whose length can be read (its data block is
swallowed, tables.MEMCACHE_STAYS_IN_STEP); what is refused with noreply set on a bad line of that kind; times beyond 32 bits
(polarkv keeps 64); gat without a key; a zero byte in a line (ends it at memcached); lengths near a megabyte (memcached counts the item's header);
lines over 2 kB without a get (tables.MEMCACHE); "-0" and blanks other than the space, where strtoull takes them; a number at the head of a value over 64 bytes (none for polarkv), or behind a value of blanks (memcached reads on into what
lies there); memcached's own administration (slabs, lru, lru_crawler, watch,
cache_memlimit, shutdown, stats' figures).
"""
import re

KEYS = [b"a", b"b", b"c", b"key:%d" % 7, b"n1", b"n2", b"n3", b"0", b"k" * 250, b"\x01\x7f\xff\xfe", b"noreply"]
NUMBER_KEYS = [b"n1", b"n2", b"n3"]
TOO_LONG = b"k" * 251
NUMBERS = [b"0", b"1", b"9", b"10", b"99", b"100", b"007", b"000000000000000000000000000012", b"+5", b"-5", b"-0", b" 5",
           b"5 ", b"5  x", b"\t8", b"4\n", b"4\x0b4", b"18446744073709551615", b"18446744073709551614",
           b"18446744073709551616", b"99999999999999999999", b"1x", b"x1", b"", b"+", b"-", b"+-1", b"0x10", b"1.5",
           b"1e3", b"5" + b" " * 60, b" " * 30 + b"6"]
DELTAS = [b"0", b"1", b"2", b"9", b"10", b"91", b"1000", b"18446744073709551615", b"007", b"+5"]
BAD_DELTAS = [b"x", b"-1", b"18446744073709551616", b"1x", b"+", b"1.5", b"99999999999999999999"]
FLAGS = [b"0"] * 5 + [b"1", b"65536", b"4294967295", b"007", b"+7"]
TIMES = [b"0"] * 8 + [b"100", b"2592000", b"2592001", b"-1", b"-2147483648", b"2147483647", b"+100", b"0100"]
BAD_TIMES = [b"x", b"1x", b"", b"--1", b"1.5", b"+"]
FILLER = b"version\r\n" * 6  # what a data block that is too short takes for its own

# A time that would come while the test runs, or one that memcached cannot hold.
SOON = re.compile(rb" *(?:touch +\S+|gats?) +(?:\+?0*[1-9]\d?|-?\d{10,})(?: |$)")
CAS = re.compile(rb"(VALUE (\S+) \d+ \d+) (\d+)\r\n")


class Uniques:
    """The cas uniques that one server has given last: they differ from server to server."""

    def __init__(self):
        self.last = {}

    def fill(self, request):
        """Puts the last one in the place of "<cas KEY>"."""
        return re.sub(rb"<cas ([^>]*)>", lambda m: self.last.get(m.group(1), b"1234567890123"), request)

    def take(self, reply):
        """Notes them and leaves a word in their place."""
        def note(match):
            self.last[match.group(2)] = match.group(3)
            return match.group(1) + (b" <cas>\r\n" if int(match.group(3)) else b" <no cas>\r\n")

        return CAS.sub(note, reply)


class Commands:
    def __init__(self, random):
        self.random = random
        self.reads = True

    def begin_batch(self):
        """memcached pads a number with blanks only while no answer still refers to it: a batch reads, or it counts."""
        self.reads = self.chance(0.5)

    def pick(self, *choices):
        return self.random.choice(choices)

    def chance(self, part):
        return self.random.random() < part

    def key(self):
        return self.random.choice(KEYS)

    def noreply(self, part=0.15):
        return b" noreply" if self.chance(part) else b""

    def value(self):
        r = self.random
        kind = r.randrange(10)
        if kind < 5:
            return r.choice(NUMBERS)
        if kind == 5:
            return b"\r\nget a\r\n"
        data = r.randbytes(r.choice((0, 1, 7, 50, 255, 256, 257, 1000, 3000)))
        return data if data.strip() else b""

    def storage(self):
        verb = self.pick(b"set", b"set", b"set", b"add", b"replace", b"append", b"prepend")
        value = self.value()
        key = self.random.choice(NUMBER_KEYS) if self.chance(0.5) else self.key()
        if key in NUMBER_KEYS and verb in (b"append", b"prepend"):
            verb = b"set"
        return b"%b %b %b %b %d%b\r\n%b\r\n" % (verb, key, self.random.choice(FLAGS), self.random.choice(TIMES), len(value),
                                               self.noreply(), value)

    def cas(self):
        value, key = self.value(), self.key()
        unique = self.pick(b"<cas %b>" % key, b"<cas %b>" % key, b"<cas %b>" % key, b"1", b"18446744073709551615")
        return b"cas %b %b %b %d %b%b\r\n%b\r\n" % (key, self.random.choice(FLAGS), self.random.choice(TIMES), len(value),
                                                   unique, self.noreply(), value)

    def get(self):
        keys = [self.key() for _ in range(self.pick(1, 1, 2, 5, 30))]
        if self.chance(0.05):
            keys.insert(self.random.randrange(len(keys) + 1), TOO_LONG)
        return self.pick(b"get ", b"gets ", b"gets ", b" get ", b"get  ") + self.pick(b" ", b" ", b"  ").join(keys) + \
            self.pick(b"\r\n", b"\r\n", b"\n", b" \r\n")

    def gat(self):
        return self.pick(b"gat ", b"gats ") + self.random.choice(TIMES + BAD_TIMES[:2]) + b" " + \
            b" ".join(self.key() for _ in range(self.pick(1, 2, 5))) + b"\r\n"

    def arithmetic(self):
        key = self.random.choice(NUMBER_KEYS) if self.chance(0.9) else self.pick(b"missing", TOO_LONG)
        delta = self.random.choice(DELTAS if self.chance(0.8) else BAD_DELTAS)
        return b"%b %b %b%b\r\n" % (self.pick(b"incr", b"decr"), key, delta, self.noreply())

    def delete(self):
        tail = self.pick(b"", b"", b" 0", b" noreply", b" 0 noreply", b" 1", b" x", b" 1 noreply", b" noreply 0", b" 00", b" 0 0")
        return b"delete %b%b\r\n" % (self.pick(*KEYS, TOO_LONG), tail)

    def touch(self):
        return b"touch %b %b%b\r\n" % (self.pick(*KEYS, TOO_LONG), self.random.choice(TIMES + BAD_TIMES), self.noreply())

    def flush(self):
        return b"flush_all%b\r\n" % self.pick(b"", b" 0", b" noreply", b" 0 noreply", b" x", b" x noreply", b" 0 x", b" noreply 0",
                                              b" 0 0 0", b" -1")

    def other(self):
        return self.pick(b"version", b"version x", b"verbosity 0", b"verbosity 1", b"verbosity 0 noreply", b"verbosity noreply",
                         b"verbosity", b"verbosity x", b"verbosity -1", b"verbosity 0 0", b"verbosity 0 0 0", b"stats nosuch",
                         b"stats reset", b"", b" ", b"x", b"foo", b"foo a b c", b"GET a", b"Set a 0 0 1", b"get", b"gets", b"gat",
                         b"incr", b"incr n1", b"incr n1 1 1 1", b"decr n1 1 x", b"touch", b"touch a", b"touch a 0 0 0",
                         b"delete", b"delete a b c d", b"set", b"set a", b"set a 0", b"set a 0 0", b"set a 0 0 1 noreply x",
                         b"cas a 0 0 1", b"cas a 0 0 1 1 noreply x", b"append a 0", b"set a 0 0 x", b"set a 0 0 -1",
                         b"set a 0 0 2147483646", b"set a 0 0 9223372036854775808", b"add a 0 0 1x", b"set a 0 0 x noreply",
                         b"get a" + b" x" * 100, b"set" + b" 1" * 30, b"flush_allx", b"gett a", b"ge a") + b"\r\n"

    def bad_block(self):
        """A data block that is not as long as was said."""
        verb, key, off = self.pick(b"set", b"add", b"append"), self.key(), self.pick(-40, -3, -1, 1, 2, 3, 40)
        data = b"d" * self.random.randrange(41, 60)
        return b"%b %b 0 0 %d%b\r\n%b\r\n" % (verb, key, len(data) - off, self.noreply(0.3), data) + FILLER

    def damaged(self):
        """A line without a data block, one byte of it another."""
        while True:
            kinds = (self.get, self.gat) if self.reads else (self.arithmetic,)
            line = bytearray(self.pick(*kinds, self.delete, self.touch)().rstrip(b"\r\n"))
            line[self.random.randrange(len(line))] = self.random.choice(b" abcegtnr0159-+\"$*:~\x7f\x80\xff")
            if not SOON.match(line) and not re.fullmatch(rb" *gats? +\S+ *", line):
                return bytes(line) + b"\r\n"

    def too_large(self):
        verb = self.pick(b"set", b"add", b"append", b"replace")
        return b"%b %b 0 0 2000000%b\r\n%b\r\n" % (verb, self.key(), self.noreply(), bytes(2_000_000))

    def next(self):
        reads, counts = (1, 0) if self.reads else (0, 1)
        weights = ((self.storage, 30), (self.cas, 8), (self.get, 40 * reads), (self.gat, 10 * reads),
                   (self.arithmetic, 50 * counts), (self.delete, 6), (self.touch, 5), (self.flush, 1), (self.other, 8), (self.bad_block, 2), (self.damaged, 8),
                   (self.too_large, 0.05))
        return self.random.choices([w[0] for w in weights], [w[1] for w in weights])[0]()


def mark(number):
    """A command whose answer stands behind those of the one before it; memcached's and ours differ in none."""
    return b"set the-mark 0 0 5 noreply\r\n%05d\r\nget the-mark\r\n" % number


MARK_ANSWER = re.compile(rb"VALUE the-mark 0 5\r\n\d{5}\r\nEND\r\n")


def last_mark_answer(number):
    return b"VALUE the-mark 0 5\r\n%05d\r\nEND\r\n" % number
