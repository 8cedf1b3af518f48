#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a manual page of some of libgmem's functions, from its header.

A block of the header is a comment and the declarations below it, up to the next empty line at its outer level. A page has the
blocks that declare its functions, and before them those of the types and macros that are named. Its summary is given.

    library_page.py HEADER SUMMARY FUNCTION... [-- TYPE...]
    library_page.py HEADER --overview EXAMPLE PAGE=SUMMARY...   the library as a whole: the header's first comment
"""

import pathlib
import re
import sys

import scdoc

COMMENT = re.compile(r"\A/\*(.*?)\*/\s*", re.DOTALL)
CPLUSPLUS = re.compile(r"^#ifdef __cplusplus\n.*?^#endif\n?", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^[a-z][\w *]*?\b(gmem_\w+)\([^;{]*\);", re.MULTILINE)
DECLARED = re.compile(r"^(?:#define\s+(GMEM_\w+)|(?:struct|enum)\s+(gmem_\w+)\s*[{;]|typedef\b.*\(\*(gmem_\w+)\))", re.MULTILINE)


def outer_blocks(text):
    """Parts between empty lines that are within neither a comment nor braces."""
    lines = []
    for line in CPLUSPLUS.sub("", text).splitlines():
        lines.append(line)
        whole = "\n".join(lines)
        if line or whole.count("/*") != whole.count("*/") or whole.count("{") != whole.count("}"):
            continue
        yield whole.strip()
        lines = []
    yield "\n".join(lines).strip()


def paragraphs(comment):
    """A comment's text, without its stars."""
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in comment.splitlines()]
    return [part for part in re.split(r"\n\s*\n", "\n".join(lines).strip()) if part]


def described(comment):
    text = []
    for part in paragraphs(comment):
        drawn = part.startswith("    ") or "→" in part
        text.append(scdoc.literal(part) if drawn else "\n".join(scdoc.plain(line) for line in part.splitlines()) + "\n")
    return "\n".join(text)


def pieces(block):
    """Each comment at the start of a line of the outer level, and the code up to the next."""
    starts = [match.start() for match in re.finditer(r"^/\*", block, re.MULTILINE)]
    bounds = sorted({0, *starts, len(block)})
    for begin, end in zip(bounds, bounds[1:]):
        piece = block[begin:end]
        match = COMMENT.match(piece)
        yield (match.group(1), piece[match.end() :].strip()) if match else ("", piece.strip())


def declarations(text):
    for block in outer_blocks(text):
        yield from pieces(block)


def prototypes(code):
    """Functions of a piece: {name: prototype}."""
    return {match.group(1): match.group() for match in FUNCTION.finditer(code)}


def types(code):
    return {name for match in DECLARED.finditer(code) for name in match.groups() if name}


def function_part(comment, found):
    names = ", ".join(scdoc.bold(name + "()") for name in found)
    return f"{scdoc.heading(2, names.replace('*', ''))}\n{scdoc.literal(chr(10).join(found.values()))}\n{described(comment)}"


def type_part(comment, code):
    return f"{described(comment)}\n{scdoc.literal(code)}" if comment else scdoc.literal(code)


def parts_of(text, names, wanted):
    """What of the header is about these functions, and about these types."""
    functions, named, missing = [], [], {*names, *wanted}
    for comment, code in declarations(text):
        found = prototypes(code)
        if found.keys() & {*names}:
            functions.append(function_part(comment, found))
        elif types(code) & {*wanted}:
            named.append(type_part(comment, code))
        else:
            continue
        missing -= found.keys() | types(code)
    if missing:
        sys.exit(f"library_page: the header doesn't declare {', '.join(sorted(missing))}")
    return functions, named


def synopsis():
    return [scdoc.heading(1, "SYNOPSIS"), "*#include <gmem.h>*\n", "cc ... $(pkg-config --cflags --libs gmem)\n"]


def function_page(text, summary, names, wanted):
    functions, named = parts_of(text, names, wanted)
    parts = [scdoc.page(names, 3, summary), *synopsis(), scdoc.heading(1, "DESCRIPTION"), *functions]
    if named:
        parts += [scdoc.heading(1, "TYPES"), *named]
    return parts + [
        scdoc.heading(1, "RETURN VALUE"),
        "What is returned, and what else holds for all of these functions, is in *libgmem*(3).\n",
        scdoc.see_also(("libgmem", 3), ("gmemd-protocol", 7)),
    ]


def overview_page(text, example, pages):
    comment = next(comment for comment, _ in declarations(text) if comment.strip().startswith("* libgmem: "))
    first, others = described(comment).split("\n\n", 1)
    listed = [f"*{scdoc.plain(name)}*(3): {scdoc.plain(summary)}" for name, summary in (page.split("=") for page in pages)]
    program = COMMENT.sub("", pathlib.Path(example).read_text(encoding="utf-8"))
    return [
        scdoc.page(["libgmem"], 3, first.removeprefix("libgmem: ").removesuffix(".")),
        *synopsis(),
        scdoc.heading(1, "DESCRIPTION"),
        others,
        scdoc.heading(1, "FUNCTIONS"),
        "++\n".join(listed) + "\n",
        scdoc.heading(1, "EXAMPLES"),
        "A program that opens a VM and gives its guest memory:\n",
        scdoc.literal(program),
        scdoc.see_also(("gmem-run", 1), ("gmem-example-vmm", 1), ("gmemd-protocol", 7), ("gmemd-gate", 7), ("gmemd", 8)),
    ]


def main():
    header, *arguments = sys.argv[1:]
    text = pathlib.Path(header).read_text(encoding="utf-8")
    if arguments[0] == "--overview":
        parts = overview_page(text, arguments[1], arguments[2:])
    else:
        end = arguments.index("--") if "--" in arguments else len(arguments)
        parts = function_page(text, arguments[0], arguments[1:end], arguments[end + 1 :])
    print("\n".join(parts), end="")


if __name__ == "__main__":
    main()
