"""Small habits: no C file over 700 lines, no tabs, no trailing blanks, no path of one machine."""
import re
import sys

import tree

LINES_MAX = 700
C_FILES = (".c", ".h", ".def")
CODE_FILES = C_FILES + (".py", ".sh", ".cmake", "CMakeLists.txt")
DATA_FOLDERS = ("tests/corpus/",)
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:home|root|work)/\w")


def is_text(root, path):
    if path.startswith(DATA_FOLDERS):
        return False
    with open("%s/%s" % (root, path), "rb") as file:
        return b"\0" not in file.read(8192)


def line_problems(path, text):
    if text != text.rstrip():
        yield "blanks or a carriage return at the end of the line"
    if MACHINE_PATH.search(text):
        yield "a path of one machine"
    if path.endswith(CODE_FILES) and "\t" in text:
        yield "a tab"


def check(root):
    findings = []
    for path in tree.tracked(root):
        if not is_text(root, path):
            continue
        rows = tree.lines(root, path)
        if rows[-1][1]:
            findings.append("%s:%d: no line end at the end of the file" % (path, len(rows)))
        if path.endswith(C_FILES) and len(rows) - 1 > LINES_MAX:
            findings.append("%s: %d lines: split it by concern (at most %d)" % (path, len(rows) - 1, LINES_MAX))
        for number, text in rows:
            findings += ["%s:%d: %s" % (path, number, problem) for problem in line_problems(path, text)]
    return findings


def self_test():
    home = "/ho" + "me/someone/x"
    tree.expect(check, {
        "base/a.c": "x\n" * LINES_MAX,
        "a.md": "a\tb\n" + "see framework/x and a" + home + "\n",
        "Makefile": "all:\n\ttrue\n",
        "tests/corpus/x": "a \r\n",
        "image.png": "\0 \n",
        "empty": "",
    }, [])
    tree.expect(check, {
        "base/a.c": "x\n" * (LINES_MAX + 1),
        "base/b.h": "y\nz",
        "base/c.c": "\ta\nb \nc\r\n",
        "d.md": "in " + home + "\n",
    }, [
        "base/a.c: 701 lines: split it by concern (at most 700)",
        "base/b.h:2: no line end at the end of the file",
        "base/c.c:1: a tab",
        "base/c.c:2: blanks or a carriage return at the end of the line",
        "base/c.c:3: blanks or a carriage return at the end of the line",
        "d.md:1: a path of one machine",
    ])


if __name__ == "__main__":
    sys.exit(tree.run(check, self_test, sys.argv))
