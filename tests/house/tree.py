"""The files of the project, for the checks of this folder: every file but what a build or a tool made."""
import os
import subprocess
import tempfile

LEFT_OUT = ("build", "__pycache__")


def files(root, endings=("",)):
    """Paths relative to root, with slashes, sorted; only those that end in one of the endings."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in LEFT_OUT and not f.startswith("."))
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            if path.endswith(tuple(endings)) and os.path.isfile(os.path.join(root, path)):
                found.append(path)
    return sorted(found)


def tracked(root, endings=("",)):
    """As files(), without what git ignores or does not know, where root is a git checkout."""
    try:
        listing = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                 capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        return files(root, endings)
    known = set(listing)
    return [path for path in files(root, endings) if path in known]


def lines(root, path):
    """(number, text without its line end) of each line."""
    with open(os.path.join(root, path), encoding="utf-8", errors="replace", newline="") as file:
        return list(enumerate(file.read().split("\n"), 1))


def planted(contents):
    """A temporary folder with these files ({path: text}); use with `with`."""
    folder = tempfile.TemporaryDirectory(prefix="polar-house-")
    for path, text in contents.items():
        full = os.path.join(folder.name, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    return folder


def expect(check, contents, expected):
    """The self-test of a check: its findings in the planted tree are exactly these."""
    with planted(contents) as root:
        found = check(root)
    if found != expected:
        raise SystemExit("self-test: expected %s\n           found %s" % (expected, found))


def run(check, self_test, argv):
    """The program of a check: `check.py ROOT`, or `check.py --self-test`."""
    if argv[1:] == ["--self-test"]:
        self_test()
        return 0
    findings = check(argv[1])
    for finding in findings:
        print(finding)
    return 1 if findings else 0
