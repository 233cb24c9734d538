"""What memcached 1.6.18 and redis 7.0.15 answer, as tables: name, what is sent on a fresh connection to an empty server,
what comes back, whether the server closes then. Both are run against Debian's servers too (E2E_SERVER=reference).
"""
from collections import namedtuple

from harness import resp

Case = namedtuple("Case", "name send want closes", defaults=(False,))

LONGEST = b"k" * 250
TOO_LONG = b"k" * 251
BAD_LINE = b"CLIENT_ERROR bad command line format\r\n"
BAD_DELTA = b"CLIENT_ERROR invalid numeric delta argument\r\n"
BAD_EXPTIME = b"CLIENT_ERROR invalid exptime argument\r\n"
NOT_NUMBER = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
TOO_LARGE = b"SERVER_ERROR object too large for cache\r\n"
LARGE = b"v" * 2_000_000
SET_A = b"set a 0 0 1\r\nA\r\n"
GET_A = b"get a\r\n"
STORED = b"STORED\r\n"
END = b"END\r\n"
ERROR = b"ERROR\r\n"
A_IS_A = b"VALUE a 0 1\r\nA\r\nEND\r\n"

MEMCACHE = [
    # retrieval
    Case("get of a missing key", GET_A, END),
    Case("set and get", b"set a 5 0 3\r\nabc\r\n" + GET_A, STORED + b"VALUE a 5 3\r\nabc\r\nEND\r\n"),
    Case("empty value", b"set a 0 0 0\r\n\r\n" + GET_A, STORED + b"VALUE a 0 0\r\n\r\nEND\r\n"),
    Case("largest flags", b"set a 4294967295 0 1\r\nx\r\n" + GET_A, STORED + b"VALUE a 4294967295 1\r\nx\r\nEND\r\n"),
    Case("several keys, one twice, one missing", b"set a 1 0 1\r\nA\r\nset b 2 0 2\r\nBB\r\nget a b c a\r\n",
         STORED * 2 + b"VALUE a 1 1\r\nA\r\nVALUE b 2 2\r\nBB\r\nVALUE a 1 1\r\nA\r\nEND\r\n"),
    Case("blanks between keys", SET_A + b"get  a   a \r\n", STORED + b"VALUE a 0 1\r\nA\r\nVALUE a 0 1\r\nA\r\nEND\r\n"),
    Case("get without a key", b"get\r\nget \r\ngets\r\ngat\r\n", ERROR * 4),
    Case("gat", b"set a 7 0 1\r\nA\r\ngat 100 a b\r\n", STORED + b"VALUE a 7 1\r\nA\r\nEND\r\n"),
    Case("gat to the past", SET_A + b"gat -1 a\r\n" + GET_A, STORED + A_IS_A + END),
    Case("gat with a bad time", b"gat x a\r\n", BAD_EXPTIME),
    Case("60 keys", b"set z 0 0 1\r\nZ\r\nget " + b" ".join(b"k%d" % i for i in range(60)) + b" z\r\n",
         STORED + b"VALUE z 0 1\r\nZ\r\nEND\r\n"),
    Case("a get line of 20 kB", SET_A + b"get a " + b" ".join([b"k" * 200] * 100) + b" a\r\n",
         STORED + b"VALUE a 0 1\r\nA\r\nVALUE a 0 1\r\nA\r\nEND\r\n"),
    Case("a line may end without CR", b"set a 0 0 1\nA\r\nget a\n", STORED + A_IS_A),
    Case("a value like a command", b"set a 0 0 6\r\n\r\nget \r\n" + GET_A, STORED + b"VALUE a 0 6\r\n\r\nget \r\nEND\r\n"),
    # keys
    Case("longest key", b"set " + LONGEST + b" 0 0 1\r\nA\r\nget " + LONGEST + b"\r\ndelete " + LONGEST + b"\r\n",
         STORED + b"VALUE " + LONGEST + b" 0 1\r\nA\r\nEND\r\nDELETED\r\n"),
    Case("key of any bytes", b"set \x01\x7f\xff\xfe 0 0 1\r\nA\r\nget \x01\x7f\xff\xfe\r\n",
         STORED + b"VALUE \x01\x7f\xff\xfe 0 1\r\nA\r\nEND\r\n"),
    Case("get of a key too long", b"get " + TOO_LONG + b"\r\n" + GET_A, BAD_LINE + END),
    Case("other commands with a key too long",
         b"incr %b 1\r\ndecr %b 1\r\ndelete %b\r\ntouch %b 1\r\n" % ((TOO_LONG,) * 4), BAD_LINE * 4),
    Case("gat of a key too long", b"gat 0 " + TOO_LONG + b"\r\n" + GET_A, BAD_LINE + END),
    # storage
    Case("too few words", b"set a 0 0\r\nset a\r\nset\r\n", ERROR * 3),
    Case("too many words", b"set a 0 0 1 noreply x\r\nA\r\n", ERROR * 2),
    Case("another word where noreply stands", b"set a 0 0 1 foo\r\nA\r\n" + GET_A, STORED + A_IS_A),
    Case("length no number", b"set a 0 0 x\r\nabc\r\n" + GET_A, BAD_LINE + ERROR + END),
    Case("length below 0", b"set a 0 0 -1\r\n" + GET_A, BAD_LINE + END),
    Case("length of 2^31", b"set a 0 0 2147483648\r\n" + GET_A, BAD_LINE + END),
    Case("length of 2^63", b"set a 0 0 9223372036854775808\r\n" + GET_A, BAD_LINE + END),
    Case("data block two too long", b"set a 0 0 3\r\nabcde\r\n" + GET_A, b"CLIENT_ERROR bad data chunk\r\n" + ERROR + END),
    Case("data block seven too long", b"set a 0 0 3\r\nabcdefghij\r\n" + GET_A,
         b"CLIENT_ERROR bad data chunk\r\n" + ERROR + END),
    Case("data block one too long", b"set a 0 0 3\r\nabcd\r\n" + GET_A, b"CLIENT_ERROR bad data chunk\r\n" + ERROR + END),
    Case("data block too short", b"set a 0 0 5\r\nabc\r\n" + GET_A, b"CLIENT_ERROR bad data chunk\r\n" + ERROR),
    Case("a bad data block leaves the old value", b"set a 0 0 3\r\nold\r\nset a 0 0 3\r\nabcde\r\n" + GET_A,
         STORED + b"CLIENT_ERROR bad data chunk\r\n" + ERROR + b"VALUE a 0 3\r\nold\r\nEND\r\n"),
    Case("a bad data block with noreply", b"set a 0 0 3 noreply\r\nabcde\r\n" + GET_A, ERROR + END),
    Case("data block ended by LF", b"set a 0 0 3\r\nabc\n" + GET_A, b"CLIENT_ERROR bad data chunk\r\n" + ERROR),
    Case("set noreply", b"set a 0 0 1 noreply\r\nA\r\n" + GET_A, A_IS_A),
    Case("add", b"add a 0 0 1\r\nA\r\nadd a 2 0 1\r\nB\r\n" + GET_A, STORED + b"NOT_STORED\r\n" + A_IS_A),
    Case("add noreply", SET_A + b"add a 0 0 1 noreply\r\nB\r\n" + GET_A, STORED + A_IS_A),
    Case("replace", b"replace a 1 0 1\r\nA\r\n" + SET_A + b"replace a 2 0 2\r\nBB\r\n" + GET_A,
         b"NOT_STORED\r\n" + STORED * 2 + b"VALUE a 2 2\r\nBB\r\nEND\r\n"),
    Case("append keeps the flags", b"append a 1 0 1\r\nA\r\nset a 3 0 1\r\nA\r\nappend a 9 0 2\r\nBB\r\n" + GET_A,
         b"NOT_STORED\r\n" + STORED * 2 + b"VALUE a 3 3\r\nABB\r\nEND\r\n"),
    Case("prepend keeps the flags", b"prepend a 1 0 1\r\nA\r\nset a 3 0 1\r\nA\r\nprepend a 9 0 2\r\nBB\r\n" + GET_A,
         b"NOT_STORED\r\n" + STORED * 2 + b"VALUE a 3 3\r\nBBA\r\nEND\r\n"),
    Case("append and prepend noreply",
         SET_A + b"append a 0 0 1 noreply\r\nB\r\nprepend a 0 0 1 noreply\r\nC\r\n" + GET_A,
         STORED + b"VALUE a 0 3\r\nCAB\r\nEND\r\n"),
    Case("cas of a missing key", b"cas a 0 0 1 1\r\nA\r\n", b"NOT_FOUND\r\n"),
    Case("cas with another unique", SET_A + b"cas a 0 0 1 18446744073709551615\r\nB\r\n" + GET_A,
         STORED + b"EXISTS\r\n" + A_IS_A),
    Case("cas noreply", SET_A + b"cas a 0 0 1 18446744073709551615 noreply\r\nB\r\n" + GET_A, STORED + A_IS_A),
    Case("cas without a unique", b"cas a 0 0 1\r\nA\r\n", ERROR * 2),
    Case("value too large: error, and the old one is gone",
         b"set a 0 0 3\r\nold\r\nset a 0 0 2000000\r\n" + LARGE + b"\r\n" + GET_A, STORED + TOO_LARGE + END),
    Case("value too large, noreply", b"set a 0 0 3\r\nold\r\nset a 0 0 2000000 noreply\r\n" + LARGE + b"\r\n" + GET_A,
         STORED + END),
    Case("add of a value too large leaves the old one", SET_A + b"add a 0 0 2000000\r\n" + LARGE + b"\r\n" + GET_A,
         STORED + TOO_LARGE + A_IS_A),
    # removal
    Case("delete", b"delete a\r\n" + SET_A + b"delete a\r\n" + GET_A, b"NOT_FOUND\r\n" + STORED + b"DELETED\r\n" + END),
    Case("delete 0", SET_A + b"delete a 0\r\n" + GET_A, STORED + b"DELETED\r\n" + END),
    Case("delete with a time", SET_A + b"delete a 1\r\n" + GET_A,
         STORED + b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n" + A_IS_A),
    Case("delete noreply", SET_A + b"delete a noreply\r\ndelete a noreply\r\n" + GET_A, STORED + END),
    Case("delete 0 noreply", SET_A + b"delete a 0 noreply\r\n" + GET_A, STORED + END),
    Case("delete without a key, with too many words", b"delete\r\ndelete a b c d\r\n", ERROR * 2),
    Case("flush_all", SET_A + b"flush_all\r\n" + GET_A + SET_A + GET_A, STORED + b"OK\r\n" + END + STORED + A_IS_A),
    Case("flush_all 0", SET_A + b"flush_all 0\r\n" + GET_A, STORED + b"OK\r\n" + END),
    Case("flush_all noreply", SET_A + b"flush_all noreply\r\n" + GET_A, STORED + END),
    Case("flush_all 0 noreply", SET_A + b"flush_all 0 noreply\r\n" + GET_A, STORED + END),
    Case("flush_all with a bad time", b"flush_all x\r\n", BAD_EXPTIME),
    # numbers
    Case("incr", b"incr a 1\r\nset a 77 0 1\r\n9\r\nincr a 0\r\nincr a 1\r\n" + GET_A,
         b"NOT_FOUND\r\n" + STORED + b"9\r\n10\r\nVALUE a 77 2\r\n10\r\nEND\r\n"),
    Case("incr grows the value", b"set a 0 0 1\r\n9\r\nincr a 991\r\n" + GET_A,
         STORED + b"1000\r\nVALUE a 0 4\r\n1000\r\nEND\r\n"),
    Case("incr wraps at 2^64", b"set a 0 0 20\r\n18446744073709551615\r\nincr a 2\r\n" + GET_A,
         STORED + b"1\r\nVALUE a 0 20\r\n1                   \r\nEND\r\n"),
    Case("decr pads with blanks", b"set a 0 0 2\r\n10\r\ndecr a 1\r\n" + GET_A,
         STORED + b"9\r\nVALUE a 0 2\r\n9 \r\nEND\r\n"),
    Case("decr stops at 0", b"set a 0 0 2\r\n10\r\ndecr a 11\r\n" + GET_A, STORED + b"0\r\nVALUE a 0 2\r\n0 \r\nEND\r\n"),
    Case("a padded value counts on",
         b"set a 0 0 3\r\n100\r\ndecr a 99\r\n" + GET_A + b"incr a 1\r\n" + GET_A + b"incr a 99\r\n" + GET_A,
         STORED + b"1\r\nVALUE a 0 3\r\n1  \r\nEND\r\n2\r\nVALUE a 0 3\r\n2  \r\nEND\r\n"
         b"101\r\nVALUE a 0 3\r\n101\r\nEND\r\n"),
    Case("incr of what is no number", b"set a 0 0 3\r\nabc\r\nincr a 1\r\ndecr a 1\r\n" + GET_A,
         STORED + NOT_NUMBER * 2 + b"VALUE a 0 3\r\nabc\r\nEND\r\n"),
    Case("incr of an empty value", b"set a 0 0 0\r\n\r\nincr a 1\r\n", STORED + NOT_NUMBER),
    Case("incr of a number with a tail", b"set a 0 0 2\r\n1x\r\nincr a 1\r\n", STORED + NOT_NUMBER),
    Case("incr of -1", b"set a 0 0 2\r\n-1\r\nincr a 1\r\n", STORED + NOT_NUMBER),
    Case("incr of 2^64", b"set a 0 0 20\r\n18446744073709551616\r\nincr a 1\r\n", STORED + NOT_NUMBER),
    Case("incr of 21 digits", b"set a 0 0 21\r\n100000000000000000000\r\nincr a 1\r\n", STORED + NOT_NUMBER),
    Case("bad deltas", b"set a 0 0 1\r\n1\r\nincr a x\r\nincr a -1\r\ndecr a 18446744073709551616\r\nincr a 1x\r\n",
         STORED + BAD_DELTA * 4),
    Case("incr without a delta, with too many words", b"incr a\r\nincr\r\nincr a 1 x y\r\n", ERROR * 3),
    Case("incr and decr noreply", b"set a 0 0 1\r\n1\r\nincr a 5 noreply\r\ndecr a 1 noreply\r\n" + GET_A,
         STORED + b"VALUE a 0 1\r\n5\r\nEND\r\n"),
    # expiry
    Case("touch", b"touch a 0\r\n" + SET_A + b"touch a 100\r\n" + GET_A, b"NOT_FOUND\r\n" + STORED + b"TOUCHED\r\n" + A_IS_A),
    Case("touch to the past", SET_A + b"touch a -1\r\n" + GET_A, STORED + b"TOUCHED\r\n" + END),
    Case("touch noreply", SET_A + b"touch a 0 noreply\r\n" + GET_A, STORED + A_IS_A),
    Case("touch with a bad time, too few words", SET_A + b"touch a x\r\ntouch a\r\ntouch\r\n",
         STORED + BAD_EXPTIME + ERROR * 2),
    Case("set to the past", SET_A + b"set a 0 -1 1\r\nB\r\n" + GET_A, STORED * 2 + END),
    Case("add after expiry", b"set a 0 -1 1\r\nB\r\nadd a 0 0 1\r\nA\r\n" + GET_A, STORED * 2 + A_IS_A),
    # the rest
    Case("verbosity", b"verbosity 1\r\nverbosity 0\r\nverbosity 0 noreply\r\n", b"OK\r\nOK\r\n"),
    Case("verbosity without a level", b"verbosity\r\n", ERROR),
    Case("unknown commands", b"foo\r\n\r\n\nSET a 0 0 1\r\nA\r\n", ERROR * 5),
    Case("HTTP's GET", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", True),
    Case("HTTP's POST", b"POST / HTTP/1.1\r\n\r\n", b"", True),
    Case("quit", GET_A + b"quit\r\n" + GET_A, END, True),
    Case("a line of 9,000 bytes without an end", b"x" * 9000, None, True),
]

# memcached 1.6.18 runs the data block behind a refused line as commands. polarkv drops it with the line whenever its
# length can be read, and so stays in step.
MEMCACHE_STAYS_IN_STEP = [
    Case("set with a key too long", b"set " + TOO_LONG + b" 0 0 7\r\nget aaa\r\n" + GET_A, BAD_LINE + END),
    Case("set with a key too long, noreply", b"set " + TOO_LONG + b" 0 0 7 noreply\r\nget aaa\r\n" + GET_A, END),
    Case("flags no number", b"set a x 0 5\r\nget a\r\n" + GET_A, BAD_LINE + END),
    Case("flags below 0", b"set a -1 0 5\r\nget a\r\n" + GET_A, BAD_LINE + END),
    Case("flags over 32 bits", b"set a 4294967296 0 5\r\nget a\r\n" + GET_A, BAD_LINE + END),
    Case("time no number", b"set a 0 x 5\r\nget a\r\n" + GET_A, BAD_LINE + END),
    Case("time with a tail", b"set a 0 1x 5\r\nget a\r\n" + GET_A, BAD_LINE + END),
    Case("an error with noreply is silent", b"set a x 0 5 noreply\r\nget a\r\n" + GET_A, END),
    Case("cas with a bad unique", b"cas a 0 0 5 x\r\nget a\r\n" + GET_A, BAD_LINE + END),
]

INT_ERROR = b"-ERR value is not an integer or out of range\r\n"
SYNTAX = b"-ERR syntax error\r\n"


def arity(name):
    return b"-ERR wrong number of arguments for '%b' command\r\n" % name.encode()


def bad_expire(name):
    return b"-ERR invalid expire time in '%b' command\r\n" % name.encode()


def commands(text):
    """Requests from words: one a line, "" for an empty one."""
    return b"".join(resp(*("" if w == '""' else w for w in line.split())) for line in text.strip().splitlines())


def protocol_error(text):
    return b"-ERR Protocol error: " + text + b"\r\n"


NIL = b"$-1\r\n"
OK = b"+OK\r\n"

RESP = [
    Case("PING", commands("PING\nping hi\nPiNg a b"), b"+PONG\r\n$2\r\nhi\r\n" + arity("ping")),
    Case("ECHO", commands('ECHO ""\nECHO x\nECHO\nECHO a b'), b"$0\r\n\r\n$1\r\nx\r\n" + arity("echo") * 2),
    Case("unknown commands", commands('NOSUCH\nnosuch a b\n""'),
         b"-ERR unknown command 'NOSUCH', with args beginning with: \r\n"
         b"-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' \r\n"
         b"-ERR unknown command '', with args beginning with: \r\n"),
    Case("a long unknown command is cut", resp("N" * 200, "b" * 200),
         b"-ERR unknown command '" + b"N" * 128 + b"', with args beginning with: '" + b"b" * 128 + b"' \r\n"),
    Case("an unknown command with a line end in it", resp("FOO\r\nBAR"),
         b"-ERR unknown command 'FOO  BAR', with args beginning with: \r\n"),
    Case("wrong number of arguments", commands("GET\nget a b\nSET a\nMSET a\nMSET a 1 b\nMGET\nDEL\nINCRBY a\nTYPE\nGETSET a"),
         b"".join(map(arity, "get get set mset mset mget del incrby type getset".split()))),
    Case("SET and GET", commands("GET a\nset a v\nGet a\nSTRLEN a\nTYPE a\nTYPE b"),
         NIL + OK + b"$1\r\nv\r\n:1\r\n+string\r\n+none\r\n"),
    Case("any bytes", resp("SET", b"\x00\r\n", b"\r\n\x00") + resp("GET", b"\x00\r\n"), OK + b"$3\r\n\r\n\x00\r\n"),
    Case("empty key", commands('SET "" v\nGET ""'), OK + b"$1\r\nv\r\n"),
    Case("empty value", commands('SET a ""\nGET a\nEXISTS a\nSTRLEN a'), OK + b"$0\r\n\r\n:1\r\n:0\r\n"),
    Case("SET NX and XX", commands("SET a 1 XX\nSET a 1 NX\nSET a 2 nx\nSET a 3 XX\nGET a"),
         NIL + OK + NIL + OK + b"$1\r\n3\r\n"),
    Case("SET GET", commands("SET a 1 GET\nSET a 2 GET\nSET a 3 NX GET\nGET a\nSET b 3 XX GET"),
         NIL + b"$1\r\n1\r\n" + b"$1\r\n2\r\n" * 2 + NIL),
    Case("options of SET that clash", commands(
        "SET a 1 NX XX\nSET a 1 EX 1 PX 1\nSET a 1 EX 1 KEEPTTL\nSET a 1 FOO\nSET a 1 EX"), SYNTAX * 5),
    Case("SET with a bad time", commands(
        "SET a 1 EX 0\nSET a 1 EX -1\nSET a 1 EX x\nSET a 1 PX 0\nSET a 1 EX 9223372036854775807\nEXISTS a"),
         bad_expire("set") * 2 + INT_ERROR + bad_expire("set") * 2 + b":0\r\n"),
    Case("SET EX and KEEPTTL", commands("SET a 1 EX 100\nTTL a\nSET a 2 KEEPTTL\nTTL a\nSET a 3\nTTL a"),
         OK + b":100\r\n" + OK + b":100\r\n" + OK + b":-1\r\n"),
    Case("SET EXAT and PXAT", commands("SET a 1 EXAT 1\nGET a\nSET a 1 PXAT 99999999999999\nEXISTS a"),
         OK + NIL + OK + b":1\r\n"),
    Case("what keeps and what loses the expiry", commands(
        "SET a 1 EX 100\nAPPEND a 2\nTTL a\nINCR a\nTTL a\nGETSET a 5\nTTL a\nSET a 1 EX 100\nSET a 2 GET\nTTL a\n"
        "SET a 1 EX 100\nMSET a 2\nTTL a"),
         OK + b":2\r\n:100\r\n:13\r\n:100\r\n$2\r\n13\r\n:-1\r\n" + OK + b"$1\r\n1\r\n:-1\r\n" + OK * 2 + b":-1\r\n"),
    Case("TTL and PERSIST", commands(
        "TTL a\nPTTL a\nSET a 1\nTTL a\nPTTL a\nPERSIST a\nEXPIRE a 100\nPERSIST a\nTTL a\nPERSIST b"),
         b":-2\r\n:-2\r\n" + OK + b":-1\r\n:-1\r\n:0\r\n:1\r\n:1\r\n:-1\r\n:0\r\n"),
    Case("EXPIRE", commands("EXPIRE a 1\nSET a 1\nEXPIRE a 100\nTTL a\nEXPIRE a -1\nGET a"),
         b":0\r\n" + OK + b":1\r\n:100\r\n:1\r\n" + NIL),
    Case("conditions of EXPIRE", commands(
        "SET a 1\nEXPIRE a 100 XX\nEXPIRE a 100 NX\nEXPIRE a 50 GT\nEXPIRE a 50 LT\nTTL a\nEXPIRE a 1 NX XX\n"
        "EXPIRE a 1 GT LT\nEXPIRE a 1 FOO"),
         OK + b":0\r\n:1\r\n:0\r\n:1\r\n:50\r\n"
         b"-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"
         b"-ERR GT and LT options at the same time are not compatible\r\n-ERR Unsupported option FOO\r\n"),
    Case("EXPIRE with a bad time", commands("SET a 1\nEXPIRE a x\nEXPIRE a 9223372036854775807\nPEXPIRE a x\nEXPIRE a"),
         OK + INT_ERROR + bad_expire("expire") + INT_ERROR + arity("expire")),
    Case("EXPIREAT", commands("SET a 1\nEXPIREAT a 1\nEXISTS a\nSET a 1\nPEXPIREAT a 99999999999999\nEXISTS a"),
         OK + b":1\r\n:0\r\n" + OK + b":1\r\n:1\r\n"),
    Case("SETEX", commands(
        "SETEX a 100 v\nTTL a\nGET a\nSETEX a 0 v\nSETEX a x v\nPSETEX a -1 v\nPSETEX a 100000 w\nGET a"),
         OK + b":100\r\n$1\r\nv\r\n" + bad_expire("setex") + INT_ERROR + bad_expire("psetex") + OK + b"$1\r\nw\r\n"),
    Case("SETNX and GETSET", commands("SETNX a 1\nSETNX a 2\nGETSET a 3\nGETSET b x\nGET a"),
         b":1\r\n:0\r\n$1\r\n1\r\n" + NIL + b"$1\r\n3\r\n"),
    Case("INCR and DECR", commands("INCR a\nINCR a\nINCRBY a 10\nDECR a\nDECRBY a 20\nGET a"),
         b":1\r\n:2\r\n:12\r\n:11\r\n:-9\r\n$2\r\n-9\r\n"),
    Case("INCR of what is no number", commands('SET a x\nINCR a\nSET a 01\nINCR a\nSET a ""\nINCR a\n'
                                               "SET a 9223372036854775808\nINCR a") + resp("SET", "a", " 1") + resp("INCR", "a"),
         (OK + INT_ERROR) * 5),
    Case("INCR beyond the range", commands(
        "SET a 9223372036854775807\nINCR a\nGET a\nSET a -9223372036854775808\nDECR a\nDECRBY a -9223372036854775808"),
         OK + b"-ERR increment or decrement would overflow\r\n$19\r\n9223372036854775807\r\n" + OK +
         b"-ERR increment or decrement would overflow\r\n-ERR decrement would overflow\r\n"),
    Case("INCRBY with a bad number", commands("INCRBY a x\nINCRBY a 1.5\nDECRBY a x\nINCRBY a 9223372036854775808\nEXISTS a"),
         INT_ERROR * 4 + b":0\r\n"),
    Case("INCRBYFLOAT", commands("INCRBYFLOAT a 0.1\nINCRBYFLOAT a 0.2\nGET a\nSET a 10.50\nINCRBYFLOAT a 0.1\n"
                                 "INCRBYFLOAT a -0.6\nSET b 3.0e3\nINCRBYFLOAT b 200\nSET c 1e17\nINCRBYFLOAT c 1"),
         b"$3\r\n0.1\r\n$3\r\n0.3\r\n$3\r\n0.3\r\n" + OK + b"$4\r\n10.6\r\n$2\r\n10\r\n" + OK + b"$4\r\n3200\r\n" + OK +
         b"$18\r\n100000000000000001\r\n"),
    Case("INCRBYFLOAT of what is no number", commands(
        "SET a x\nINCRBYFLOAT a 1\nSET a 1\nINCRBYFLOAT a x\nINCRBYFLOAT a inf\nINCRBYFLOAT a nan"),
         OK + b"-ERR value is not a valid float\r\n" + OK + b"-ERR value is not a valid float\r\n"
         b"-ERR increment would produce NaN or Infinity\r\n-ERR value is not a valid float\r\n"),
    Case("APPEND and STRLEN", commands('APPEND a abc\nAPPEND a de\nGET a\nAPPEND a ""\nSTRLEN b'),
         b":3\r\n:5\r\n$5\r\nabcde\r\n:5\r\n:0\r\n"),
    Case("MGET and MSET", commands("MSET a 1 b 2 a 3\nMGET a x b a"),
         OK + b"*4\r\n$1\r\n3\r\n" + NIL + b"$1\r\n2\r\n$1\r\n3\r\n"),
    Case("DEL, UNLINK, EXISTS, TOUCH", commands(
        "MSET a 1 b 2\nEXISTS a b a x\nTOUCH a b x\nDEL a x a\nUNLINK b b\nEXISTS a b"),
         OK + b":3\r\n:2\r\n:1\r\n:1\r\n:0\r\n"),
    Case("DBSIZE and FLUSHALL", commands(
        "DBSIZE\nMSET a 1 b 2\nDBSIZE\nFLUSHALL\nDBSIZE\nFLUSHDB ASYNC\nFLUSHALL SYNC\nFLUSHALL x"),
         b":0\r\n" + OK + b":2\r\n" + OK + b":0\r\n" + OK * 2 + SYNTAX),
    Case("KEYS", commands('KEYS *\nMSET a 1 ab 2 b 3\nKEYS b\nKEYS ?b\nKEYS [^a]\nKEYS a[a-c]\nKEYS ""\nKEYS x*\nKEYS\nKEYS a b\nDEL ab b\nKEYS *'),
         b"*0\r\n" + OK + b"*1\r\n$1\r\nb\r\n*1\r\n$2\r\nab\r\n*1\r\n$1\r\nb\r\n*1\r\n$2\r\nab\r\n*0\r\n*0\r\n" +
         arity("keys") * 2 + b":2\r\n*1\r\n$1\r\na\r\n"),
    Case("KEYS between others", commands('SET "" v\nKEYS ""\nGET ""\nKEYS *\nPING'),
         OK + b"*1\r\n$0\r\n\r\n$1\r\nv\r\n*1\r\n$0\r\n\r\n+PONG\r\n"),
    Case("RANDOMKEY", commands("RANDOMKEY\nSET a 1\nRANDOMKEY\nGET a\nDEL a\nRANDOMKEY\nRANDOMKEY x"),
         NIL + OK + b"$1\r\na\r\n$1\r\n1\r\n:1\r\n" + NIL + arity("randomkey")),
    Case("SELECT", commands("SELECT 0\nSELECT x\nSELECT -1\nSELECT 99"),
         OK + INT_ERROR + b"-ERR DB index is out of range\r\n" * 2),
    Case("AUTH without a password set", commands("AUTH x\nAUTH u x\nAUTH\nAUTH a b c"),
         b"-ERR AUTH <password> called without any password configured for the default user. "
         b"Are you sure your configuration is correct?\r\n"
         b"-WRONGPASS invalid username-password pair or user is disabled.\r\n" + arity("auth") + SYNTAX),
    Case("HELLO's errors", commands("HELLO 4\nHELLO x\nHELLO 3 AUTH\nHELLO 3 FOO"),
         b"-NOPROTO unsupported protocol version\r\n-ERR Protocol version is not an integer or out of range\r\n"
         b"-ERR Syntax error in HELLO option 'AUTH'\r\n-ERR Syntax error in HELLO option 'FOO'\r\n"),
    Case("CLIENT", commands("CLIENT GETNAME\nCLIENT SETNAME me\nCLIENT GETNAME") + resp("CLIENT", "SETNAME", "a b") +
         commands('CLIENT SETNAME ""\nCLIENT GETNAME\nCLIENT NOSUCH\nCLIENT\nCLIENT SETNAME'),
         NIL + OK + b"$2\r\nme\r\n-ERR Client names cannot contain spaces, newlines or special characters.\r\n" + OK + NIL +
         b"-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n" + arity("client") + arity("client|setname")),
    Case("CONFIG", commands("CONFIG GET nosuchoption\nCONFIG GET\nCONFIG\nCONFIG NOSUCH\nCONFIG GET appendonly\nCONFIG GET save"),
         b"*0\r\n" + arity("config|get") + arity("config") + b"-ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.\r\n"
         b"*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
    Case("COMMAND", commands("COMMAND NOSUCH\nCOMMAND INFO nosuch\nCOMMAND COUNT x"),
         b"-ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.\r\n*1\r\n$-1\r\n" + arity("command|count")),
    Case("RESET", commands("RESET\nPING"), b"+RESET\r\n+PONG\r\n"),
    Case("QUIT", commands("QUIT\nPING"), OK, True),
    Case("empty arrays", b"*0\r\n*-1\r\n" + resp("PING"), b"+PONG\r\n"),
    # inline
    Case("inline", b"PING\r\nping hi\r\nECHO \"a b\"\r\nECHO 'a b'\r\nECHO \"\\x41\\n\"\r\n  PING \r\nPING\n",
         b"+PONG\r\n$2\r\nhi\r\n$3\r\na b\r\n$3\r\na b\r\n$2\r\nA\n\r\n+PONG\r\n+PONG\r\n"),
    Case("inline: empty lines", b"\r\n   \r\nPING\r\n", b"+PONG\r\n"),
    Case("inline: SET and GET", b"SET a \"x y\"\r\nGET a\r\nDEL a b\r\n", OK + b"$3\r\nx y\r\n:1\r\n"),
    Case("inline: a quote left open", b"ECHO \"a\r\nPING\r\n", protocol_error(b"unbalanced quotes in request"), True),
    Case("inline: a single quote left open", b"ECHO 'a\r\nPING\r\n", protocol_error(b"unbalanced quotes in request"), True),
    Case("inline: text behind a quote", b"ECHO \"a\"b\r\nPING\r\n", protocol_error(b"unbalanced quotes in request"), True),
    Case("inline: too long", b"x" * 70000, protocol_error(b"too big inline request"), True),
    Case("HTTP's POST", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"", True),
    # malformed
    Case("bulk length no number", b"*1\r\n$x\r\nPING\r\n", protocol_error(b"invalid bulk length"), True),
    Case("bulk length below 0", b"*1\r\n$-1\r\nPING\r\n", protocol_error(b"invalid bulk length"), True),
    Case("bulk length over 512 MB", b"*1\r\n$536870913\r\n", protocol_error(b"invalid bulk length"), True),
    Case("bulk length over 2^64", b"*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n", protocol_error(b"invalid bulk length"), True),
    Case("no dollar", b"*1\r\nPING\r\n", protocol_error(b"expected '$', got 'P'"), True),
    Case("no dollar at the second", b"*2\r\n$3\r\nGET\r\n:1\r\n", protocol_error(b"expected '$', got ':'"), True),
    Case("array length no number", b"*x\r\nPING\r\n", protocol_error(b"invalid multibulk length"), True),
    Case("array length missing", b"*\r\n", protocol_error(b"invalid multibulk length"), True),
    Case("array length of 2^31", b"*2147483648\r\n", protocol_error(b"invalid multibulk length"), True),
    Case("array header too long", b"*" + b"1" * 70000, protocol_error(b"too big mbulk count string"), True),
    Case("bulk header too long", b"*1\r\n$" + b"1" * 70000, protocol_error(b"too big bulk count string"), True),
    Case("an error behind good requests", resp("PING") + resp("GET", "a") + b"*1\r\n!x\r\n" + resp("PING"),
         b"+PONG\r\n" + NIL + protocol_error(b"expected '$', got '!'"), True),
]
