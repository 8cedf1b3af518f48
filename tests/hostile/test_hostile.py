#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers that misbehave, each beside a quiet one of another user's; and what must be afterwards as it was before.

    BUILD_DIR=build tests/hostile/test_hostile.py [--list | NAME...]    BACKEND: auto, kvm, model

Names are of misbehaviours or of groups; without any, it runs all. One that there is not is an error.
"""

import importlib
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path += [HERE, os.path.join(TESTS, "system")]

from gmemtest import tap  # noqa: E402
from gmemtest.tap import check, equal, test  # noqa: E402
from hostile import table  # noqa: E402
from hostile.attacker import bodies  # noqa: E402
from hostile.stage import Stage  # noqa: E402

BACKEND = os.environ.get("BACKEND", "auto")
LEAST = 60

rows = table.rows()
own = [row for row in rows if row.place is None]
stage = None


def described(row):
    return "%s: %s (or %s) [%s]" % (row.group, row.name, row.breaks, row.invariant)


def titles(place):
    """What a program calls its tests."""
    if place == "adversary":
        with open(os.path.join(TESTS, "adversary", "main.c"), encoding="utf-8") as file:
            return re.findall(r'^\t\{"([^"]+)", STAGE_', file.read(), re.MULTILINE)
    with open(os.path.join(TESTS, "system", place), encoding="utf-8") as file:
        return re.findall(r'^@test\("([^"]+)"', file.read(), re.MULTILINE)


def chosen(names):
    """Those of the names; ends where one is none."""
    known = set(table.GROUPS) | {row.name for row in own}
    wrong = [name for name in names if name not in known]
    if wrong:
        elsewhere = {row.name: row.place for row in rows if row.place}
        for name in wrong:
            place = elsewhere.get(name)
            print("%s: %s" % (name, "is in " + place if place else "there is no misbehaviour of that name"), file=sys.stderr)
        sys.exit(2)
    return [row for row in own if not names or row.name in names or row.group in names]


def list_all():
    for row in rows:
        print("%s%s" % (described(row), " in " + row.place if row.place else ""))


def set_up():
    global stage
    stage = Stage(BACKEND)


def tear_down():
    stage.end()


def whole_table():
    """Each row is where it says that it is, once; nothing is done that is not in it."""
    names = [row.name for row in rows]
    equal([name for name in names if names.count(name) > 1], [], "names twice")
    check(len(rows) >= LEAST, "there are %d" % len(rows))
    equal({row.group for row in rows}, set(table.GROUPS), "groups")
    equal([row for row in rows if row.invariant not in table.INVARIANTS], [], "without an invariant")
    equal({row.name for row in own}, set(bodies), "this suite's own")
    for place in {row.place for row in rows if row.place}:
        there = titles(place)
        equal([row.name for row in rows if row.place == place and row.name not in there], [], "not in " + place)
    for row in rows:
        if row.place:
            tap.note("%s in %s" % (described(row), row.place))


def main():
    for module in table.GROUPS.values():
        importlib.import_module("hostile." + module)
    if sys.argv[1:] == ["--list"]:
        list_all()
        return
    for row in chosen(sys.argv[1:]):
        test(described(row))(lambda row=row: stage.run(bodies[row.name]))
    test("the table: %d misbehaviours, each in one place" % len(rows))(whole_table)
    tap.main(set_up, tear_down)


if __name__ == "__main__":
    main()
