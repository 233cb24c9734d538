"""
Each header compiles alone and may be included twice. `headers.py ROOT BUILD`: the flags are those that BUILD's
compile_commands.json has for a C file of the header's folder, or of the nearest folder above it, or of base.
"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys

import tree


def command_flags(entry):
    """The compiler and its flags, without the files."""
    words, flags, skip = shlex.split(entry["command"]), [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-c", "-MF", "-MT"):
            skip = True
        elif word != "-MD" and not word.startswith("-fsanitize"):
            flags.append(word)
    return flags


def flags_by_folder(root, build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    root = os.path.realpath(root)
    return {os.path.dirname(os.path.relpath(os.path.realpath(e["file"]), root)): command_flags(e) for e in entries}


def flags_of(by_folder, header):
    folder = os.path.dirname(header)
    while folder:
        if folder in by_folder:
            return by_folder[folder]
        folder = os.path.dirname(folder)
    return by_folder["base"]


def compile_twice(root, flags, header):
    """The first line of the compiler's complaint, or None."""
    source = '#include "%s"\n#include "%s"\n' % (header, header)
    result = subprocess.run(flags + ["-I", root, "-fsyntax-only", "-x", "c", "-"], input=source, text=True,
                            capture_output=True, cwd=root, check=False)
    if result.returncode == 0:
        return None
    return next((line for line in result.stderr.splitlines() if "error" in line), "does not compile")


def check(root, by_folder):
    headers = tree.tracked(root, (".h",))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda header: compile_twice(root, flags_of(by_folder, header), header), headers)
        return ["%s: %s" % (header, answer) for header, answer in zip(headers, answers) if answer]


def self_test():
    def findings(contents):
        with tree.planted(contents) as root:
            return [finding.split(": ")[0] for finding in check(root, {"base": ["cc", "-Wall", "-Werror"]})]

    good = "#ifndef A_H\n#define A_H\n#include <stdint.h>\nstruct a {\n    uint8_t x;\n};\n#endif\n"
    assert findings({"base/a.h": good, "net/tcp/b.h": good.replace("A_H", "B_H")}) == []
    assert findings({"base/a.h": good.replace("#include <stdint.h>\n", ""), "base/b.h": good}) == ["base/a.h"]
    assert findings({"base/a.h": "struct a {\n    int x;\n};\n"}) == ["base/a.h"]


def main(argv):
    if argv[1:] == ["--self-test"]:
        self_test()
        return 0
    findings = check(argv[1], flags_by_folder(argv[1], argv[2]))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
