#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a manual page of a reference, which the build has made from gmemd's tables as Markdown.

A table becomes a list: a row's first cell, and below it the sentence on it, and then the others, each after its column's title.

    reference_page.py REFERENCE NAME SUMMARY [PAGE SECTION]...
"""

import pathlib
import re
import sys

import scdoc

CODE = re.compile(r"`([^`]*)`")
# Titles of columns that have the sentence.
SENTENCES = {"what has happened", "what it is", "what it says", "what that is", "when"}
CELL_END = re.compile(r"(?<!\\)\|")


def inline(text):
    """A paragraph's line, or a cell: code is bold."""
    parts = CODE.split(text)
    return "".join(scdoc.bold(part) if number % 2 else scdoc.plain(part) if part else "" for number, part in enumerate(parts))


def cells(line):
    return [cell.strip().replace("\\|", "|") for cell in CELL_END.split(line.strip()[1:-1])]


def definition(titles, row):
    """A row: what it is about, and below it what is said of it."""
    if len(titles) == 2:
        return f"{inline(row[0])}: {inline(row[1])}"
    sentence = next(inline(value) for title, value in zip(titles, row) if title in SENTENCES)
    labelled = [(title, value) for title, value in list(zip(titles, row))[1:] if value and title not in SENTENCES]
    beside = "; ".join(f"{scdoc.plain(title)}: {inline(value)}" for title, value in labelled)
    return f"{inline(row[0])}\n\t" + "++\n".join(filter(None, (sentence, beside)))


def table(lines):
    titles, _, *rows = [cells(line) for line in lines]
    separator = "++\n" if len(titles) == 2 else "\n\n"
    return separator.join(definition(titles, row) for row in rows) + "\n"


def listed(lines):
    return "\n".join(
        ". " + inline(re.sub(r"^\d+\. ", "", line)) if re.match(r"\d+\. ", line) else "  " + inline(line.strip()) for line in lines
    ) + "\n"


def block(lines):
    """What stands between two empty lines."""
    first = lines[0]
    if first.startswith("### "):
        return scdoc.heading(2, scdoc.plain(first[4:]))
    if first.startswith("## "):
        return scdoc.heading(1, scdoc.plain(first[3:].upper()))
    if first.startswith("|"):
        return table(lines)
    if re.match(r"\d+\. ", first):
        return listed(lines)
    return "\n".join(inline(line) for line in lines) + "\n"


def blocks(text):
    """Code in fences is one, whatever is in it."""
    for number, part in enumerate(re.split(r"^```.*\n", text, flags=re.MULTILINE)):
        if number % 2:
            yield scdoc.literal(part)
        else:
            yield from (block(lines.splitlines()) for lines in re.split(r"\n\s*\n", part.strip()) if lines)


def main():
    reference, name, summary, *others = sys.argv[1:]
    text = pathlib.Path(reference).read_text(encoding="utf-8")
    body = text.split("\n", 1)[1].strip()
    if not body.startswith("#"):
        body = "## Description\n\n" + body
    print(scdoc.page([name], 7, summary))
    print("\n".join(blocks(body)))
    print(scdoc.see_also(*zip(others[::2], others[1::2])), end="")


if __name__ == "__main__":
    main()
