"""
Every call of the public header has a page in section 3 of the manual whose SYNOPSIS says what the header says, and every
page a call; pages that name others name those that are there; groff finds nothing wrong with any.
"""
import re
import shutil
import subprocess
import sys

import tree

HEADER = "net/polar/polar.h"
PAGES = "net/man/"
CALL = re.compile(r"^([A-Za-z_][\w ]*?[ *]+)(polar_\w+)\(([^;{]*)\);", re.M)


def plain(text):
    """Without what C ignores."""
    return re.sub(r"\s*([*,()])\s*", r"\1", re.sub(r"\s+", " ", text.strip()))


def read(root, path):
    return "\n".join(text for _, text in tree.lines(root, path))


def header_calls(root):
    text = re.sub(r"/\*.*?\*/", "", read(root, HEADER), flags=re.S)
    text = re.sub(r"typedef [^;]*;", "", text)
    return {name: plain(f"{kind}{name}({args})") for kind, name, args in CALL.findall(text)}


def page_calls(text):
    """What the SYNOPSIS declares: .Ft with the type, .Fn with name and quoted arguments."""
    calls = {}
    for kind, name, args in re.findall(r'^\.Ft "([^"]*)"\n\.Fn (\w+) (.*)$', text, re.M):
        calls[name] = plain(f"{kind} {name}({','.join(re.findall(chr(34) + '([^' + chr(34) + ']*)' + chr(34), args))})")
    return calls


def groff_complaints(path):
    if not shutil.which("groff"):
        return []
    done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", path], capture_output=True, text=True, check=False)
    return [line.split(": ", 1)[-1] for line in done.stderr.splitlines()]


def check(root):
    findings, declared = [], {}
    calls = header_calls(root)
    pages = {path: read(root, path) for path in tree.tracked(root, (".3", ".7")) if path.startswith(PAGES)}
    names = {path[len(PAGES):] for path in pages}
    for path, text in pages.items():
        target = re.fullmatch(r"\.so man3/(\S+)\n", text)
        declared[path] = page_calls(pages.get(PAGES + target.group(1), "") if target else text)
        name = path[len(PAGES):-2]
        if path.endswith(".3") and name not in declared[path]:
            findings.append(f"{path}: its SYNOPSIS has no {name}")
        for call, text_of_page in declared[path].items():
            if call in calls and text_of_page != calls[call]:
                findings.append(f"{path}: {text_of_page} is {calls[call]} in {HEADER}")
        for other, section in re.findall(r"\.Xr (\w+) ([37])", text):
            if other.startswith("polar") and f"{other}.{section}" not in names:
                findings.append(f"{path}: names {other}({section}), which is not there")
        if not target:
            findings += [f"{path}: {complaint}" for complaint in groff_complaints(f"{root}/{path}")]
        if path.endswith(".3") and name not in calls:
            findings.append(f"{path}: {HEADER} has no {name}")
    return findings + [f"{HEADER}: {call} has no page" for call in sorted(calls) if f"{call}.3" not in names]


def self_test():
    head = ".Dd November 1, 2026\n.Dt X 3\n.Os\n.Sh NAME\n.Nm x\n.Nd x\n.Sh SYNOPSIS\n"
    good = head + '.Ft "int"\n.Fn polar_a "int fd" "const char *text"\n.Ft "const char *"\n.Fn polar_b "void"\n'
    header = "/* int polar_not(void); */\ntypedef void polar_fn(int x);\nint polar_a(int fd,\n    const char *text);\n" \
             "const char *polar_b(void);\n"
    tree.expect(check, {HEADER: header, PAGES + "polar_a.3": good, PAGES + "polar_b.3": ".so man3/polar_a.3\n"}, [])
    tree.expect(check, {
        HEADER: header + "int polar_c(void);\n",
        PAGES + "polar_a.3": good.replace("int fd", "long fd") + ".Xr polar_d 3\n",
        PAGES + "polar_b.3": ".so man3/polar_c.3\n",
        PAGES + "polar_e.3": head + '.Ft "int"\n.Fn polar_e "void"\n',
    }, [
        f"{PAGES}polar_a.3: int polar_a(long fd,const char*text) is int polar_a(int fd,const char*text) in {HEADER}",
        f"{PAGES}polar_a.3: names polar_d(3), which is not there",
        f"{PAGES}polar_b.3: its SYNOPSIS has no polar_b",
        f"{PAGES}polar_e.3: {HEADER} has no polar_e",
        f"{HEADER}: polar_c has no page",
    ])
    if shutil.which("groff"):
        with tree.planted({"x.3": head + ".Unheard of\n"}) as folder:
            assert groff_complaints(folder + "/x.3")


if __name__ == "__main__":
    sys.exit(tree.run(check, self_test, sys.argv))
