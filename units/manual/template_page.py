#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fills in a page's template: a line @NAME@ is what NAME=TEXT says; within a line, too.

Of two names the text is made here: @SETTINGS@ from gmemd's sample configuration, whose comments say what each setting is and
whose lines what its default is; @VERBS@ and @OPTIONS@ from what `gmemctl --json help` answers.

    template_page.py TEMPLATE [--settings=CONFIGURATION] [--gmemctl=PROGRAM] [NAME=TEXT]...
"""

import argparse
import json
import pathlib
import re
import subprocess

import scdoc

SETTING = re.compile(r"#([\w-]+) = (.*)")


def paragraph(lines):
    return "\n".join(map(scdoc.plain, lines)) + "\n"


def settings_of(section):
    """A section's comments, each followed by the settings below it."""
    comment, parts = [], []
    for line in section:
        match = SETTING.fullmatch(line)
        if match:
            if comment:
                parts.append("\n" + paragraph(comment) + "\n")
            elif parts:
                parts[-1] = parts[-1].removesuffix("\n") + "++\n"
            parts.append(f"*{match.group(1)}* = {scdoc.plain(match.group(2))}\n")
            comment = []
        elif line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
    return "".join(parts)


def settings(text):
    """What stands before the first section, and each section."""
    introduction, *sections = re.split(r"^\[(.*)\]\n", text, flags=re.MULTILINE)
    lines = [line.removeprefix("#").strip() for line in introduction.splitlines()]
    about = [part.splitlines() for part in "\n".join(lines).split("\n\n")][1:]
    made = [paragraph(part) for part in about] + [scdoc.heading(1, "SETTINGS") + "\nEach is shown with its default.\n"]
    for name, body in zip(sections[::2], sections[1::2]):
        made.append(scdoc.heading(2, f"[{name}]") + settings_of(body.splitlines()))
    return "\n".join(made)


def definition(terms, text):
    return f"{terms}\n\t{scdoc.plain(text)}\n"


def option(usage):
    """--count=N: what is typed is bold, and what stands for something underlined."""
    name, equals, value = usage.partition("=")
    return f"*{name}{equals}*" + "|".join(f"_{scdoc.plain(part)}_" for part in value.split("|") if part)


def verb(described):
    arguments = " ".join(f"_{scdoc.plain(part)}_" for part in described["arguments"].split())
    options = " ".join(f"[{option(usage)}]" for usage in described["options"])
    return " ".join(filter(None, (f"*{described['verb']}*", options, arguments)))


def help_of(program):
    answer = subprocess.run([program, "--json", "help"], check=True, stdout=subprocess.PIPE).stdout
    told = json.loads(answer)
    return {
        "VERBS": "\n".join(definition(verb(each), each["summary"]) for each in told["verbs"]),
        "OPTIONS": "\n".join(definition(option(each["option"]), each["summary"]) for each in told["options"]),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("template", type=pathlib.Path)
    parser.add_argument("--settings", type=pathlib.Path)
    parser.add_argument("--gmemctl")
    parser.add_argument("texts", nargs="*", metavar="NAME=TEXT")
    arguments = parser.parse_intermixed_args()
    values = dict(text.split("=", 1) for text in arguments.texts)
    if arguments.settings:
        values["SETTINGS"] = settings(arguments.settings.read_text(encoding="utf-8"))
    if arguments.gmemctl:
        values |= help_of(arguments.gmemctl)
    page = arguments.template.read_text(encoding="utf-8")
    print(re.sub(r"@([A-Z]+)@", lambda match: values[match.group(1)].rstrip("\n"), page), end="")


if __name__ == "__main__":
    main()
