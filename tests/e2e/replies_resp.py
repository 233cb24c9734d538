"""Random redis commands, good and bad, for a comparison with Debian's redis.

Not drawn, since polarkv differs there with a reason: databases 1 to 15 (there is one); times beyond 2^47 ms, the year 6429 (an
item's expiry is shorter); what numbers the server's own doings (INFO, CLIENT LIST, COMMAND's tables, SCAN's cursors); a float
whose text is longer than 256 bytes; more than 128 bytes of a client's word in an error; a cursor of SCAN that was never given; a header line over 64 bytes that does have an end (its
error says what redis says of one without); the answers before a browser's request, which redis drops; a zero byte where a "$"
should stand (redis' error ends before it); commands that are not there yet. DIFFERENCES has those that can be asserted.
"""
import re

from harness import resp

KEYS = [b"a", b"b", b"c", b"{t}1", b"{t}2", b"", b"\r\n\x00\xff", b"n1", b"n2", b"f1", b"k" * 300]
NUMBER_KEYS = [b"n1", b"n2", b"f1"]
INTEGERS = [b"0", b"1", b"-1", b"10", b"99", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775806",
            b"-9223372036854775807", b"4611686018427387904"]
BAD_INTEGERS = [b"", b"x", b"1x", b" 1", b"1 ", b"+1", b"01", b"-0", b"1.0", b"1e3", b"0x10", b"9223372036854775808",
                b"-9223372036854775809", b"99999999999999999999999999", b"-", b"\x00", b"1\x00"]
FLOATS = [b"0", b"0.1", b"-0.1", b"3.0e3", b"1e17", b"5e-1", b"10.50", b"-2.5", b"1234567.891", b".5", b"5.", b"+3", b"0x1p3"]
BAD_FLOATS = [b"", b"x", b" 1", b"1 ", b"nan", b"1,5", b"1e", b"--1", b"1\x00", b"1e9999", b"1e-9999"]
TIMES = [b"100", b"1000", b"1000000", b"9999999"]
AT = [b"9999999999", b"99999999999"]
BAD_TIMES = [b"0", b"-1", b"-9223372036854775808", b"9223372036854775807", b"x", b"", b"+5", b" 5", b"05", b"1.5", b"1e3",
             b"99999999999999999999"]
WORDS = [b"NX", b"XX", b"GT", b"LT", b"GET", b"KEEPTTL", b"EX", b"PX", b"EXAT", b"PXAT", b"FOO", b"", b"PERSIST", b"nx", b"Xx", b"get"]

# Request, redis' answer, polarkv's: each with its reason.
DIFFERENCES = [
    ("there is one database", resp("SELECT", 1), b"+OK\r\n", b"-ERR DB index is out of range\r\n"),
    ("clients of redis 7.2 say it at their start", resp("CLIENT", "SETINFO", "lib-name", "x"),
     b"-ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.\r\n", b"+OK\r\n"),
    ("each read counts for eviction, and clients of redis 7.2 may say so", resp("CLIENT", "NO-TOUCH", "on"),
     b"-ERR unknown subcommand 'NO-TOUCH'. Try CLIENT HELP.\r\n", b"+OK\r\n"),
    ("options are read at the start", resp("CONFIG", "SET", "maxmemory", "0"), b"+OK\r\n",
     b"-ERR CONFIG SET is not possible: options are read at start\r\n"),
]


class Commands:
    def __init__(self, random):
        self.random = random
        self.resp3 = False

    def pick(self, *choices):
        return self.random.choice(choices)

    def chance(self, part):
        return self.random.random() < part

    def case(self, word):
        word = word.encode() if isinstance(word, str) else word
        return self.pick(word, word.lower(), word.title())

    def key(self):
        return self.random.choice(KEYS)

    def number_key(self):
        return self.random.choice(NUMBER_KEYS) if self.chance(0.8) else self.key()

    def value(self):
        r = self.random
        kind = r.randrange(10)
        if kind < 4:
            return r.choice(INTEGERS + BAD_INTEGERS)
        if kind < 6:
            return r.choice(FLOATS + BAD_FLOATS)
        return r.randbytes(r.choice((0, 1, 7, 255, 256, 257, 1000, 5000)))

    def time(self, at=False):
        if self.chance(0.3):
            return self.random.choice(BAD_TIMES)
        return self.random.choice(AT if at else TIMES)

    def set(self):
        words = [self.case("SET"), self.number_key() if self.chance(0.4) else self.key(), self.value()]
        for _ in range(self.pick(0, 0, 0, 1, 1, 2, 3, 4)):
            word = self.random.choice(WORDS)
            words.append(word)
            if word.upper() in (b"EX", b"PX", b"EXAT", b"PXAT") and self.chance(0.9):
                seconds = not word.upper().startswith(b"P")
                time = self.time(word.upper().endswith(b"AT"))
                words.append(time if seconds or not time.isdigit() or len(time) > 13 else time + b"000")
        return words

    def set_kin(self):
        key, value = self.key(), self.value()
        return self.pick([b"SETNX", key, value], [b"GETSET", key, value], [b"APPEND", self.number_key(), value],
                         [b"SETEX", key, self.time(), value], [b"PSETEX", key, self.time() + b"000", value])

    def read(self):
        many = [self.key() for _ in range(self.pick(1, 1, 2, 5, 30))]
        return self.pick([b"GET", self.key()], [b"GET", self.number_key()], [b"MGET", *many], [b"STRLEN", self.key()], [b"TYPE", self.key()],
                         [b"EXISTS", *many], [b"TOUCH", *many], [b"TTL", self.key()], [b"PTTL", self.key()], [b"DBSIZE"])

    def remove(self):
        return self.pick([b"DEL", self.key()], [b"UNLINK", self.key(), self.key()], [b"DEL", self.key(), self.key()], [b"PERSIST", self.key()])

    def mset(self):
        words = [b"MSET"]
        for _ in range(self.pick(1, 2, 5)):
            words += [self.key(), self.value()]
        return words

    def number(self):
        key, by = self.number_key(), self.random.choice(INTEGERS if self.chance(0.8) else BAD_INTEGERS)
        return self.pick([self.case("INCR"), key], [self.case("DECR"), key], [b"INCRBY", key, by], [b"DECRBY", key, by],
                         [b"INCRBYFLOAT", key, self.random.choice(FLOATS + [b"inf", b"-inf"] if self.chance(0.7) else BAD_FLOATS)])

    def expire(self):
        verb = self.pick("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT")
        time = self.time(verb.endswith("AT"))
        if verb.startswith("P") and time.isdigit() and len(time) < 13:
            time += b"000"
        words = [self.case(verb), self.key(), time]
        return words + [self.random.choice(WORDS[:4] + WORDS) for _ in range(self.pick(0, 0, 1, 1, 2, 3))]

    def connection(self):
        return self.pick([b"PING"], [b"PING", self.value()], [b"ECHO", self.value()], [b"SELECT", self.pick(b"0", b"-1", b"16", b"x", b"",
                         b"99999999999", b"99999999999999999999")], [b"CLIENT", b"GETNAME"], [b"CLIENT", b"SETNAME", self.pick(b"me", b"", b"a b", b"\n", b"x" * 60, b"\xff")],
                         [b"CLIENT", b"ID"], [b"CLIENT", b"nosuch"], [b"CLIENT"], [b"CLIENT", b"GETNAME", b"x"], [b"CLIENT", b"SETNAME"],
                         [b"CLIENT", b"NO-EVICT", self.pick(b"on", b"off", b"x")], [b"AUTH", b"x"], [b"AUTH", b"default", b"x"], [b"AUTH", b"DEFAULT", b"x"],
                         [b"AUTH", b"u", b"x"], [b"AUTH", b"a", b"b", b"c"], [b"RESET"] if self.chance(0.2) else [b"PING"])

    def hello(self):
        words = [b"HELLO"]
        if self.chance(0.9):
            words.append(self.pick(b"2", b"3", b"3", b"4", b"1", b"x", b"", b"03", b"99999999999999999999"))
        for _ in range(self.pick(0, 0, 0, 1, 2)):
            words += self.pick([b"AUTH", b"default", b"x"], [b"AUTH", b"x", b"y"], [b"AUTH", b"x"], [b"SETNAME", b"me"], [b"SETNAME", b"a b"],
                               [b"setname"], [b"FOO"], [b"a\r\nb"])
        return words

    def server(self):
        return self.pick([b"CONFIG"], [b"CONFIG", b"GET"], [b"CONFIG", b"GET", b"nosuch"], [b"CONFIG", b"GET", b"appendonly"], [b"config", b"get", b"SAVE"],
                         [b"CONFIG", b"NOSUCH"], [b"CONFIG", b"RESETSTAT"], [b"COMMAND", b"NOSUCH"], [b"COMMAND", b"INFO", b"nosuch"],
                         [b"COMMAND", b"COUNT", b"x"], [b"COMMAND", b"DOCS", b"nosuch"], [b"INFO", b"nosuch"], [b"INFO", b"nosuch", b"nosuch2"], [b"SCAN", b"x"], [b"SCAN"],
                         [b"SCAN", b"0", b"COUNT", b"0"], [b"SCAN", b"0", b"COUNT", b"x"], [b"SCAN", b"0", b"FOO"],
                         [b"SCAN", b"0", b"MATCH"], [b"SCAN", b"0", b"FOO", b"BAR"], [b"SCAN", b"x", b"FOO"], [b"KEYS", b"nosuch*"], [b"KEYS", b"\\{t\\}?"], [b"KEYS", b"[a-c]"],
                         [b"KEYS"], [b"DBSIZE"], [b"DBSIZE", b"x"], [b"FLUSHALL", b"x"], [b"FLUSHDB", b"ASYNC", b"x"],
                         [self.pick(b"FLUSHALL", b"FLUSHDB", b"flushall"), self.pick(b"SYNC", b"async")] if self.chance(0.1) else [b"DBSIZE"])

    def unknown(self):
        return self.pick([b"NOSUCH"], [b"nosuch", b"a", b"b" * 100, b"c" * 100, b"d"], [b""], [b"G\r\nT", b"\r\n"], [b"GE"], [b"GETT", b"a"],
                         [b"GET\x00", b"a"], [b"N" * 200, b"x" * 200], [b"gEt "], [b"\xff", b"\x00"])

    def words(self):
        weights = ((self.set, 22), (self.set_kin, 12), (self.read, 24), (self.remove, 6), (self.mset, 4), (self.number, 22),
                   (self.expire, 14), (self.connection, 8), (self.hello, 3), (self.server, 8), (self.unknown, 4))
        words = self.random.choices([w[0] for w in weights], [w[1] for w in weights])[0]()
        if self.chance(0.06) and len(words) > 1:
            words.pop()  # one too few
        elif self.chance(0.04):
            words.append(self.value())  # one too many
        return words

    def quoted(self, word):
        """A word of an inline command, quoted in one of the ways."""
        plain = word and not re.search(rb"[\s\"'\\\x00]", word)
        kind = self.random.randrange(3)
        if kind == 0 and plain:
            return word
        if kind == 1 and not re.search(rb"[\r\n\x00\\]", word):
            return b"'" + word.replace(b"'", b"\\'") + b"'"
        return b'"' + b"".join(self.escaped(c) for c in word) + b'"'

    def escaped(self, c):
        names = {10: b"\\n", 13: b"\\r", 9: b"\\t", 8: b"\\b", 7: b"\\a", 34: b'\\"', 92: b"\\\\"}
        if c in names and self.chance(0.7) or c in (34, 92):
            return names[c]
        if c < 32 or c > 126 or self.chance(0.05):
            return b"\\x%02x" % c if self.chance(0.5) else b"\\x%02X" % c
        return bytes([c])

    def inline(self, words):
        blanks = self.pick(b" ", b"  ", b"\t", b" \t ")
        return self.pick(b"", b" ") + blanks.join(map(self.quoted, words)) + self.pick(b"\r\n", b"\n", b" \r\n")

    def next(self):
        """(request, its words)."""
        while True:
            words = self.words()
            if not left_out(words):
                break
        if self.chance(0.1) and sum(map(len, words)) < 2000:
            return self.inline(words), words
        return resp(*words), words

    def malformed(self):
        """What ends a connection, behind a few good requests."""
        good = b"".join(resp(*self.read()) for _ in range(self.random.randrange(4)))
        bad = self.pick(b"*x\r\n", b"*1x\r\n", b"*\r\n", b"*-\r\n", b"* 1\r\n", b"*+1\r\n", b"*01\r\n$4\r\nPING\r\n", b"*2147483648\r\n", b"*99999999999999999999\r\n",
                        b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$\r\n", b"*1\r\n$+4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n", b"*1\r\n$4x\r\nPING\r\n",
                        b"*1\r\n$536870913\r\n", b"*1\r\n$99999999999999999999\r\n", b"*1\r\nPING\r\n", b"*1\r\n:1\r\n", b"*1\r\n\r\n", b"*2\r\n$3\r\nGET\r\n*1\r\n",
                        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$-1\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n+1\r\n", b"*4\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n!\r\n",
                        b"*2\r\n$6\r\nNOSUCH\r\nx\r\n", b"*3\r\n$3\r\nGET\r\n$1\r\na\r\nx\r\n", b"ECHO \"a\r\n", b"ECHO 'a\r\n", b"ECHO \"a\"b\r\n", b"ECHO 'a'b\r\n", b"\"PING\r\n",
                        b"ECHO \"\\\r\n", b"'\r\n", b"QUIT\r\n", b"*1\r\n$4\r\nQUIT\r\n", b"*2\r\n$4\r\nquit\r\n$1\r\nx\r\n")
        if self.chance(0.1):
            return self.pick(b"x" * 65537, b"*" + b"1" * 65537, b"*1\r\n$" + b"1" * 65537, b"POST / HTTP/1.1\r\n", b"Host: x\r\n",
                             b"host: x y z\r\n" + resp("PING"))
        return good + bad + self.pick(b"", resp("PING"))

    def harmless(self):
        """Odd framing that does not end the connection."""
        return self.pick(b"*0\r\n", b"*-1\r\n", b"*-5\r\n", b"\r\n", b"\n", b"  \r\n", b"\t\r\n", b"*1\r\n$4\r\nPINGxx", b"*-0\r\n" * 0, b"*2\rx$4\rxECHO\r\n$0\r\n\r\n")


def left_out(words):
    """What polarkv answers otherwise for a reason, or with the numbers of the moment."""
    name, rest = words[0].upper(), [w.upper() for w in words[1:]]
    if name == b"SCAN" and rest and rest[0] != b"X":
        sound = len(rest) == 1 or len(rest) == 3 and (rest[1] == b"MATCH" or rest[2].isdigit() and rest[2] != b"0")
        return sound or rest[0] != b"0"
    if name.endswith((b"EXPIRE", b"EXPIREAT", b"HELLO")) and any(len(w) > 128 for w in rest[1:]):
        return True
    if name == b"COMMAND" and (not rest or rest == [b"COUNT"] or rest[0] in (b"INFO", b"DOCS") and len(rest) == 1):
        return True
    if name == b"INFO" and not rest:
        return True
    if name == b"CONFIG" and rest == [b"GET", b""]:
        return True
    if b"9223372036854775807" in rest and (b"PXAT" in rest or name == b"PEXPIREAT"):
        return True
    return name == b"SELECT" and any(w.isdigit() and 0 < int(w) < 16 for w in rest)


def reply_end(data, at):
    """Where the reply that begins at `at` ends."""
    end = data.index(b"\r\n", at)
    kind, rest, at = data[at:at + 1], data[at + 1:end], end + 2
    if kind in b"$=":
        return at if rest == b"-1" else at + int(rest) + 2
    if kind in b"*~%":
        for _ in range(max(0, int(rest)) * (2 if kind == b"%" else 1)):
            at = reply_end(data, at)
        return at
    if kind in b"+-:_#,":
        return at
    raise ValueError(f"no reply: {data[at:at + 60]!r}")


def split(data):
    replies, at = [], 0
    while at < len(data):
        try:
            end = reply_end(data, at)
        except ValueError:
            end = len(data)  # cut off, or none
        replies.append(data[at:end])
        at = end
    return replies


def agree(words, want, got):
    """Whether two replies say the same: what counts time or connections may be apart."""
    if want == got:
        return True
    name = words[0].upper()
    if name in (b"TTL", b"PTTL") and want[:1] == got[:1] == b":":
        return abs(int(want[1:]) - int(got[1:])) <= (2 if name == b"TTL" else 3000) and int(want[1:]) > 0
    if name == b"CLIENT" and words[1].upper() == b"ID":
        return want[:1] == got[:1] == b":"
    if name == b"HELLO":
        number = re.compile(rb"(\$2\r\nid\r\n:)\d+")
        return number.sub(rb"\1", want) == number.sub(rb"\1", got)
    if name == b"KEYS":
        return len(want) == len(got) and sorted(want.split(b"\r\n")) == sorted(got.split(b"\r\n"))
    return False
