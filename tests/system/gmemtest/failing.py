# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gmemd, or a keeper, whose Nth allocation or system call fails; see tests/failing."""

import mmap
import os
import struct
import tempfile

from gmemtest.host import Host
from gmemtest.keeper import Keeper, is_sanitized
from gmemtest.passing import Passing
from gmemtest.tap import Skip
from gmemtest.wire import Closed, close_all, request

ALLOCATIONS, CALLS = "allocation", "call"
FOLDER = os.path.join(os.environ["BUILD_DIR"], "tests", "failing")
FIELDS = struct.Struct("=IIIIqII")
ONLY = struct.Struct("=IIII16s")
NEVER = 1 << 31

# Points of each piece of work, at most, unless all are asked for.
ALL = os.environ.get("FAILURES") == "all"
SAMPLE = int(os.environ.get("FAILURES_SAMPLE", "16"))
STARTS = 2 * SAMPLE  # a gmemd each


def need_tools():
    if not os.path.exists(os.path.join(FOLDER, "failing_calls")):
        raise Skip("there is no failing_calls for this architecture")


def need_allocations():
    if is_sanitized():
        raise Skip("what is allocated is allocated by AddressSanitizer, which has no allocation fail, nor another's in its place")


# Where one has run.
paths = []


class Failure:
    """What is shared with the program; see failure.h."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(mmap.PAGESIZE)
        with open(path, "r+b") as file:
            self.mapped = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def set_kind(self, kind):
        """Of a program that is to be loaded."""
        struct.pack_into("=II", self.mapped, 24, 0, int(kind == CALLS))

    def _read(self):
        return FIELDS.unpack_from(self.mapped)

    def arm(self, nth, call=None, file=None, error=0, lasting=False, program=""):
        """From now on. Nothing fails where there are fewer. call: the number of a system call, if no others are meant; file: its
        first argument, if that is; error: what it fails with, if not with what is likeliest; lasting: all from the Nth on do;
        program: which of those that it starts, if not itself."""
        struct.pack_into("=IIII", self.mapped, 0, 0, 0, 0, 0)
        only = [0 if value is None else value + 1 for value in (call, file)]
        ONLY.pack_into(self.mapped, FIELDS.size, *only, error, lasting, program.encode())
        struct.pack_into("=I", self.mapped, 0, nth)

    def disarm(self):
        """How many there were; whether one has failed."""
        struct.pack_into("=I", self.mapped, 0, 0)
        _, count, failed = self._read()[:3]
        return count, bool(failed)

    def call(self):
        """The number of the system call that has failed."""
        return self._read()[3]

    def live(self):
        """Allocations that are not freed."""
        return self._read()[4]


def environment(kind, failure, program):
    failure.set_kind(kind)
    os.environ["FAILURE_FILE"] = failure.path
    os.environ["FAILURE_PROGRAM"] = program
    modules = ["failing_loaded.so"] if is_sanitized() else ["failing_loaded.so", "failing_allocations.so"]
    os.environ["LD_PRELOAD"] = " ".join(os.path.join(FOLDER, name) for name in modules)
    # What is wanted is what a sanitizer says of it, though this comes first.
    os.environ["ASAN_OPTIONS"] = "verify_asan_link_order=0"


# Files and memory are compared with before, so that nothing of closed memories is to be kept.
CONFIG = "[limits]\nclosed-memories-per-vm = 0\n"


class FailingHost(Host):
    """aim: what is to fail, of all of that kind; see Failure.arm()."""

    def __init__(self, kind, config=CONFIG, aim=None, **options):
        self.kind, self.aim = kind, aim or {}
        self.failure = None
        super().__init__(config=config, before=lambda _: environment(kind, self.failure, "gmemd"), **options)

    def make_failing(self):
        self.failure = Failure(os.path.join(self.directory, "failure"))
        paths.append(self.path)
        if self.kind == CALLS:
            self.arguments.insert(0, os.path.join(FOLDER, "failing_calls"))

    def spawn(self):
        if self.failure is None:
            self.make_failing()
        super().spawn()

    def arm(self, nth):
        self.failure.arm(nth, **self.aim)

    def stop_alone(self):
        """gmemd and its keeper, without the directory."""
        self.end()
        self.kill_keepers()


class FailingPassing(Passing, FailingHost):
    """waits: peers may wait for it before it is started, by spawn()."""

    def __init__(self, kind, waits=False, **options):
        self.waits = waits
        super().__init__(kind, **options)

    def start(self, alone=True):
        if self.waits:
            self.make_failing()
            self.listen()
        else:
            super().start(alone)


class FailingKeeper(Keeper):
    def __init__(self, kind):
        self.kind = kind
        directory = tempfile.mkdtemp(prefix="gmemd-test-")
        self.failure = Failure(os.path.join(directory, "failure"))
        first = [os.path.join(FOLDER, "failing_calls")] if kind == CALLS else []
        before = lambda: environment(kind, self.failure, "gmemd-keeper")  # noqa: E731
        super().__init__(directory=directory, first=first, before=before)


def outcome(peer, method, params=None):
    """(what, value): done with its result, whose fds are closed; error; closed; or silent."""
    peer.number += 1
    try:
        peer.send(request(method, params, peer.number))
        answer, fds = peer.receive_answer()
    except (Closed, ConnectionError):
        return "closed", None
    except TimeoutError:
        return "silent", None
    close_all(fds)
    # A packet that could not be read has no id.
    if answer.get("id") != peer.number and not (answer.get("id") is None and "error" in answer):
        raise AssertionError("not the answer to %d: %r" % (peer.number, answer))
    return ("error", answer["error"]) if "error" in answer else ("done", answer["result"])


def points(total, most=SAMPLE):
    """From 1 to total; without FAILURES=all some, always the same of them."""
    stride = 1 if ALL else max(1, -(-total // most))
    return range(1 + stride // 2, total + 1, stride)

