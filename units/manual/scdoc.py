# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text as scdoc(5) has it, for the pages that are made from other files."""

import re

MARKUP = re.compile(r"[\\_*]")
STARTS = tuple("#-.|[];`!<\t ")


def escaped(match):
    return "\\" + match.group()


def plain(text):
    """Text that means nothing but itself, also where a line begins with it."""
    text = MARKUP.sub(escaped, text)
    return "\\" + text if text[:1] in STARTS else text


def bold(text):
    return f"*{MARKUP.sub(escaped, text)}*"


def literal(text):
    text = text.rstrip().replace("\\", "\\\\")
    return f"```\n{text}\n```\n"


def heading(level, text):
    return f"{'#' * level} {text}\n"


def page(names, section, summary):
    """How each begins; the first of its names is the page's."""
    named = ", ".join(map(plain, names))
    return f'{names[0]}({section}) "" "gmemd"\n\n{heading(1, "NAME")}\n{named} - {plain(summary)}\n'


def see_also(*pages):
    return heading(1, "SEE ALSO") + "\n" + ", ".join(f"*{plain(name)}*({section})" for name, section in pages) + "\n"
