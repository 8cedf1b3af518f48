# SPDX-License-Identifier: LGPL-2.1-or-later
"""TAP 13: tests that run one by one, each with as many checks as it likes.

TESTS in the environment: those alone whose names this regular expression finds.
"""

import os
import re
import signal
import sys
import traceback


class Skip(Exception):
    """The test, or before any test the whole program, can't run here; says why."""


class Failed(Exception):
    """What a test can't go on after."""


_tests = []
_failures = []


def test(name):
    """Registers a function as a test of that name."""

    def register(function):
        _tests.append((name, function))
        return function

    return register


def check(value, what):
    """A failure is noted and the test goes on. Returns whether it is true."""
    if not value:
        caller = sys._getframe(1)
        while caller.f_back and caller.f_code.co_filename.endswith("gmemtest/tap.py"):
            caller = caller.f_back
        _failures.append("line %d: %s" % (caller.f_lineno, what))
    return bool(value)


def equal(got, expected, what):
    return check(got == expected, "%s: got %r, expected %r" % (what, got, expected))


def need(value, what):
    """A check without which the test can't go on."""
    if not value:
        raise Failed(what)
    return value


def failures():
    """Of this test so far: for a child to tell its parent."""
    return list(_failures)


def note(text):
    for line in str(text).splitlines():
        print("# " + line)


def _run_one(number, name, function):
    skipped = None
    _failures.clear()
    try:
        function()
    except Skip as reason:
        skipped = str(reason)
    except Exception:
        _failures.append(traceback.format_exc())
    if _failures:
        print("not ok %d - %s" % (number, name))
        for failure in _failures[:20]:
            note(failure)
        if len(_failures) > 20:
            note("and %d more" % (len(_failures) - 20))
    else:
        print("ok %d - %s%s" % (number, name, " # SKIP " + skipped if skipped else ""))
    sys.stdout.flush()
    return not _failures


def main(set_up, tear_down):
    """Runs the tests between the two and exits. set_up may raise Skip; tear_down may fail."""
    print("TAP version 13")
    # One that takes too long is to clean up all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        set_up()
    except Skip as reason:
        print("1..0 # SKIP %s" % reason)
        sys.exit(0)
    chosen = [one for one in _tests if re.search(os.environ.get("TESTS", ""), one[0])]
    chosen.append(("what was started ends cleanly", tear_down))
    print("1..%d" % len(chosen))
    results = [_run_one(number, *one) for number, one in enumerate(chosen, 1)]
    sys.exit(0 if all(results) else 1)
