#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How easily a stranger finds the way in the sources, in figures.

    tests/architecture/house_figures.py [COMMIT...]     each commit beside the work tree

A room is a folder with .c files. A file is a .c with its .h; it leans on another whose header it includes or whose function
it calls. A floor is one step up from all that a file leans on. A knot is a set of files each of which leans, over others, on
all the rest; an arrow up is a leaning within a knot. A function's name is one word if it has no underscore; it is shared if
another file has a function of that name.
"""

import collections
import io
import pathlib
import re
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("protocol", "kernel", "daemon", "client")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
DEFINITION = re.compile(r"^(?!else|typedef|struct [\w]+ *\{|enum)([\w][\w \t*]*?)\b(\w+) ?\(((?:[^;{}]|\n)*?)\)\n\{", re.MULTILINE)
COMMENT = re.compile(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', re.DOTALL)


def work_tree():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def tree_of(commit):
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit, *FOLDERS], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar.getmembers():
            if member.isfile() and member.name.endswith((".c", ".h")):
                yield member.name, tar.extractfile(member).read().decode()


def functions_of(code):
    """(name, whether another file may call it by that: libc's function, not one that stands in its place)"""
    for match in DEFINITION.finditer(code):
        yield match[2], not {"static", "INTERPOSED"} & set(match[1].split())


class House:
    def __init__(self, sources):
        self.texts = dict(sources)
        self.code = {name: re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL) for name, text in self.texts.items()}
        self.functions = {name: list(functions_of(code)) for name, code in self.code.items() if name.endswith(".c")}
        self.arrows = self.find_arrows()

    def defined(self):
        """Where each function is that others may call: one that two files have is neither's."""
        where = collections.defaultdict(set)
        for name, functions in self.functions.items():
            for function, shared in functions:
                if shared and function != "main":
                    where[function].add(name[:-2])
        return {function: next(iter(files)) for function, files in where.items() if len(files) == 1}

    def find_arrows(self):
        arrows = collections.defaultdict(set)
        defined = self.defined()
        for name, code in self.code.items():
            unit = name[:-2]
            arrows[unit] |= {included[:-2] for included in INCLUDE.findall(code) if included in self.texts}
            if name.endswith(".c"):
                plain = re.sub(r"\b(struct|union|enum) \w+", " ", COMMENT.sub(" ", code))
                own = {function for function, _ in self.functions[name]}
                arrows[unit] |= {
                    defined[word] for word in set(re.findall(r"\b[a-z]\w+(?=\()|\b[a-z]\w+_\w+\b", plain)) if word in defined and word not in own
                }
            arrows[unit].discard(unit)
        return arrows

    def of(self, folder):
        inside = [unit for unit in self.arrows if unit.startswith(folder + "/")]
        return {unit: {to for to in self.arrows[unit] if to.startswith(folder + "/")} for unit in inside}


def knots(arrows):
    """Sets of nodes that reach each other (Tarjan), the lowest first."""
    index, low, stack, result = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for to in sorted(arrows.get(node, ())):
            if to not in index:
                visit(to)
                low[node] = min(low[node], low[to])
            elif to in stack:
                low[node] = min(low[node], index[to])
        if low[node] == index[node]:
            knot = set()
            while node not in knot:
                knot.add(stack.pop())
            result.append(knot)

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return result


def floors(arrows, all_knots):
    floor = {}
    for knot in all_knots:
        below = [floor[to] for node in knot for to in arrows.get(node, ()) if to not in knot]
        for node in knot:
            floor[node] = 1 + max(below, default=0)
    return max(floor.values(), default=0)


def room_of(unit):
    """Its folder; what is beside folders, as a main, is by itself."""
    folder = unit.rpartition("/")[0]
    return folder if "/" in folder else unit


def rooms_of(arrows):
    rooms = collections.defaultdict(set)
    for unit, others in arrows.items():
        rooms[room_of(unit)] |= {room_of(other) for other in others} - {room_of(unit)}
    return rooms


def figures(house, folder):
    sys.setrecursionlimit(10000)
    arrows = house.of(folder)
    found = knots(arrows)
    tangled = [knot for knot in found if len(knot) > 1]
    rooms = rooms_of(arrows)
    files = [name for name in house.functions if name.startswith(folder + "/")]
    names = [(function, name) for name in files for function, _ in house.functions[name]]
    by_name = collections.defaultdict(set)
    for name, functions in house.functions.items():
        for function, _ in functions:
            by_name[function].add(name)
    one_word = [name for name, _ in names if "_" not in name and name != "main"]
    shared = [name for name, _ in names if len(by_name[name]) > 1 and name != "main"]
    full = collections.Counter(name.rpartition("/")[0] for name in files)
    return {
        ".c files": len(files),
        "rooms": len(full),
        ".c files in the fullest room": max(full.values(), default=0),
        "floors": floors(arrows, found),
        "arrows up": sum(to in knot for knot in tangled for unit in knot for to in arrows[unit]),
        "circles of files": len(tangled),
        "longest knot": max(map(len, tangled), default=0),
        "circles of rooms": sum(len(knot) > 1 for knot in knots(rooms)),
        "functions": len(names),
        "one-word names": len(one_word),
        "one-word names that two files have": sum(name in shared for name in one_word),
        "names that two files have": len(shared),
    }


def main():
    houses = [(commit, House(tree_of(commit))) for commit in sys.argv[1:]] + [("work tree", House(work_tree()))]
    for folder in FOLDERS:
        columns = [figures(house, folder) for _, house in houses]
        print(f"{folder + '/':36}" + "".join(f"{name[:12]:>14}" for name, _ in houses))
        for what in columns[0]:
            print(f"  {what:34}" + "".join(f"{column[what]:14}" for column in columns))
    for folder in FOLDERS:
        for knot in knots(houses[-1][1].of(folder)):
            if len(knot) > 1:
                print("knot:", " ".join(sorted(knot)))


if __name__ == "__main__":
    main()
