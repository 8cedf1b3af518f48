#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual pages as they are built: what man(1) says of them, and whether they tell of all that is installed."""

import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["BUILD_DIR"])

sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "tests" / "system"))
from gmemtest import tap  # noqa: E402
from gmemtest.tap import check, equal, test  # noqa: E402

PAGE = re.compile(r"(.+)\.([1-9])")
OPTION = re.compile(r"--[a-z][a-z-]*")
REFERENCE = re.compile(r"\b(gmem[\w@.-]*|libgmem)\(([1-9])\)")


def set_up():
    if not shutil.which("man"):
        raise tap.Skip("no man, of man-db")


def tear_down():
    pass


def installed():
    answer = subprocess.run(["meson", "introspect", "--installed", str(BUILD)], check=True, capture_output=True)
    return [pathlib.Path(path) for path in json.loads(answer.stdout).values()]


def pages():
    return sorted(path for path in (BUILD / "units" / "manual").iterdir() if PAGE.fullmatch(path.name))


@functools.cache
def formatted(page):
    environment = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
    environment.pop("MAN_KEEP_FORMATTING", None)
    return subprocess.run(
        ["man", "--warnings=w", "--no-hyphenation", "--no-justification", "-l", str(page)],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def text_of(page):
    return formatted(page).stdout


def names_of(page):
    """What stands before the dash in its first section."""
    match = re.search(r"^NAME\n\s+(.+?) - ", text_of(page), re.MULTILINE | re.DOTALL)
    return re.split(r",\s+", match.group(1)) if match else []


@test("man has no warning for any page")
def warnings():
    check(pages(), "there are pages")
    for page in pages():
        answer = formatted(page)
        equal((answer.returncode, answer.stderr), (0, ""), page.name)


@test("each begins with its own name")
def names():
    for page in pages():
        equal(names_of(page)[:1], [PAGE.fullmatch(page.name).group(1)], f"{page.name}'s name")


@test("each program that is installed to be run has one")
def programs():
    here = {page.name for page in pages()}
    for path in installed():
        if path.parent.name in ("bin", "sbin"):
            section = "1" if path.parent.name == "bin" else "8"
            check(f"{path.name}.{section}" in here, f"there is a page {path.name}({section})")


@test("each function of libgmem has one, and by its name")
def functions():
    symbols = set(re.findall(r"\bgmem_\w+(?=;)", (SOURCE / "client" / "lib" / "libgmem.sym").read_text(encoding="utf-8")))
    told = {name for page in pages() if page.name.startswith("gmem_") for name in names_of(page)}
    equal(sorted(symbols ^ told), [], "functions of one of both alone")
    files = {path.name for path in installed()}
    equal(sorted(name for name in symbols if f"{name}.3" not in files), [], "functions without a file")


@test("the options that programs have are those that pages tell of")
def options():
    programs = {"gmemd.8": "daemon/gmemd", "gmemd-keeper.8": "daemon/gmemd-keeper", "gmemctl.1": "client/gmemctl",
                "gmem-run.1": "client/gmem-run", "gmem-example-vmm.1": "client/gmem-example-vmm",
                "gmemd-libvirt.8": "client/gmemd-libvirt", "gmemd-exporter.8": "client/gmemd-exporter"}
    for page, program in programs.items():
        if not (BUILD / "units" / "manual" / page).exists() or not (BUILD / program).exists():
            continue
        answer = subprocess.run([BUILD / program, "--help"], capture_output=True, text=True, timeout=60, check=False)
        has = set(OPTION.findall(answer.stdout)) - {"--help", "--version"}
        text = text_of(BUILD / "units" / "manual" / page).split("\nEXAMPLES\n")[0]
        tells = set(OPTION.findall(re.sub(r"-\n\s+", "-", text))) - {"--help", "--version"}
        equal(sorted(has - tells), [], f"options of {program} that {page} lacks")
        equal(sorted(tells - has), [], f"options in {page} that {program} lacks")


@test("what each refers to is there")
def references():
    here = {path.name for path in installed()}
    for page in pages():
        for name, section in REFERENCE.findall(text_of(page)):
            check(f"{name}.{section}" in here, f"{page.name} refers to {name}({section})")


tap.main(set_up, tear_down)
