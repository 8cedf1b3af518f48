#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Takes the examples out of manual pages, as scdoc has them, into files.

A block of commands begins with "# " (root's) or "$ " (a user's): it becomes PAGE-N.root or PAGE-N.user, a script. A C program
begins with an include: PAGE-N.c.

    examples.py FOLDER PAGE.scd...
"""

import pathlib
import re
import sys

BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"# ": "root", "$ ": "user"}


def examples(text):
    _, _, section = text.partition("\n# EXAMPLES\n")
    for block in BLOCK.findall(section):
        code = block.replace("\\\\", "\\")
        if code.startswith("#include"):
            yield "c", code
        elif code[:2] not in KINDS:
            sys.exit(f"examples: this is neither a command nor a program:\n{code}")
        else:
            yield KINDS[code[:2]], re.sub(r"^" + re.escape(code[:2]), "", code, flags=re.MULTILINE)


def main():
    folder = pathlib.Path(sys.argv[1])
    for page in map(pathlib.Path, sys.argv[2:]):
        for number, (kind, code) in enumerate(examples(page.read_text(encoding="utf-8")), 1):
            (folder / f"{page.name.removesuffix('.scd')}-{number}.{kind}").write_text(code, encoding="utf-8")


if __name__ == "__main__":
    main()
