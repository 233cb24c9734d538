"""
Every C file is named by a CMake file, and so is every script under tests, or a named one beside it imports it: nothing
lies about that no build and no test sees.
"""
import os
import re
import sys

import tree

VARIABLES = {
    "${CMAKE_SOURCE_DIR}/": lambda folder: "",
    "${PROJECT_SOURCE_DIR}/": lambda folder: "",
    "${CMAKE_CURRENT_SOURCE_DIR}/": lambda folder: folder,
    "${CMAKE_CURRENT_LIST_DIR}/": lambda folder: folder,
}


def resolve(word, folder):
    """The path that a word of a CMake file in this folder may name, from the root of the tree."""
    for variable, base in VARIABLES.items():
        if word.startswith(variable):
            return os.path.normpath(os.path.join(base(folder), word[len(variable):]))
    return os.path.normpath(os.path.join(folder, word))


def named_paths(root):
    named = set()
    for path in tree.tracked(root, ("CMakeLists.txt", ".cmake")):
        folder = os.path.dirname(path)
        for _, text in tree.lines(root, path):
            for word in re.split(r'[\s()";]+', text.split("#")[0]):
                named.add(resolve(word, folder))
    return named


def add_imported(root, named):
    """Adds the modules that named Python files import from their own folder, and what those import."""
    todo = [path for path in named if path.endswith(".py")]
    while todo:
        path = todo.pop()
        for _, text in tree.lines(root, path) if os.path.isfile(os.path.join(root, path)) else []:
            for module in re.findall(r"\s*(?:import|from)\s+(\w+)", text)[:1]:
                imported = os.path.join(os.path.dirname(path), module + ".py")
                if imported not in named:
                    named.add(imported)
                    todo.append(imported)


def check(root):
    named = named_paths(root)
    add_imported(root, named)
    wanted = tree.tracked(root, (".c",))
    wanted += [path for path in tree.tracked(root, (".py", ".sh")) if path.startswith("tests/")]
    return ["%s: no CMakeLists.txt names it" % path for path in sorted(wanted) if path not in named]


def self_test():
    tree.expect(check, {
        "base/CMakeLists.txt": "polar_library(base SOURCES\n  a.c sub/b.c)\n",
        "base/a.c": "", "base/sub/b.c": "",
        "cmake/Targets.cmake": "target_sources(x PRIVATE ${CMAKE_SOURCE_DIR}/tests/replay.c)\n",
        "tests/replay.c": "",
        "tests/CMakeLists.txt": 'add_test(NAME x COMMAND sh "${CMAKE_CURRENT_SOURCE_DIR}/x.sh")\n',
        "tests/x.sh": "", "tests/e/CMakeLists.txt": "# e.py\nset(y e.py)\n", "tests/e/e.py": "import os\nimport f\n",
        "tests/e/f.py": "from g import h\n", "tests/e/g.py": "",
        "deploy/run.sh": "",
    }, [])
    tree.expect(check, {
        "base/CMakeLists.txt": "polar_library(base SOURCES a.c) # b.c\n",
        "base/a.c": "", "base/b.c": "", "base/sub/a.c": "",
        "tests/t.py": "import u\n", "tests/u.py": "", "tests/CMakeLists.txt": "add_test(s.py)\n",
    }, [
        "base/b.c: no CMakeLists.txt names it",
        "base/sub/a.c: no CMakeLists.txt names it",
        "tests/t.py: no CMakeLists.txt names it",
        "tests/u.py: no CMakeLists.txt names it",
    ])


if __name__ == "__main__":
    sys.exit(tree.run(check, self_test, sys.argv))
