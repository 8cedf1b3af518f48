#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sources are as clang-format 14 writes them, and comments as it does not look at them.

No line has more than 100 columns. What ends a comment stands on a line of its own only where what begins it does.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["SOURCE_DIR"])
FOLDERS = ("protocol", "kernel", "daemon", "client", "tests")
COLUMNS = 100
LONE_END = re.compile(r"^[ \t]*/\*[ \t]+\S(?:(?!\*/).)*\n[ \t]*\*/$", re.MULTILINE | re.DOTALL)


def sources():
    for folder in FOLDERS:
        yield from sorted((SOURCE / folder).rglob("*.[ch]"))


def formatter():
    """Its path, or why there is none that writes as these sources are written."""
    path = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not path:
        return None, "no clang-format"
    version = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
    return (path, None) if " 14." in version else (None, "no clang-format 14")


def unformatted(path):
    command = [path, "--dry-run", "-Werror", "--ferror-limit=1", *map(str, sources())]
    found = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    return re.findall(r"^.*: error: .*$", found.stderr, re.MULTILINE)


def overlong():
    for source in sources():
        for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
            if len(line.expandtabs(8)) > COLUMNS:
                yield f"{source.relative_to(SOURCE)}:{number} has {len(line.expandtabs(8))} columns"


def lone_ends():
    for source in sources():
        text = source.read_text(encoding="utf-8")
        for match in LONE_END.finditer(text):
            yield f"{source.relative_to(SOURCE)}:{text.count(chr(10), 0, match.end()) + 1}: */ stands alone"


def main():
    path, lack = formatter()
    checks = [("columns", overlong()), ("ends of comments", lone_ends())]
    print(f"1..{len(checks) + 1}")
    if lack:
        print(f"ok 1 - as clang-format 14 writes them # SKIP {lack}")
    else:
        checks.insert(0, ("as clang-format 14 writes them", unformatted(path)))
    failed = False
    for number, (name, faults) in enumerate(checks, 2 if lack else 1):
        faults = list(faults)
        failed |= bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print(f"# {fault}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
