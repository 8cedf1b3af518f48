#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A start that fails says why, always, in one line: with each limit raised step by step until gmemd starts, without a
directory, and without what else it needs.
"""

import contextlib
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time

from gmemtest import linux, programs, tap
from gmemtest.daemon import processes
from gmemtest.keeper import is_sanitized, program
from gmemtest.tap import Skip, check, equal, note, test

SECONDS = 60
ANOTHER = 4712
LOADER_FAILED = 127  # before gmemd's main(), by the dynamic loader, which says so itself

with_kvm = False


def set_up():
    global with_kvm
    linux.require_root()
    programs.let_others_run_them()
    try:
        linux.require_guest_memfd()
        with_kvm = True
    except Skip as reason:
        note("the model alone is started: %s" % reason)


def tear_down():
    pass


class Start:
    """A gmemd in a directory of its own, until it serves or has ended."""

    def __init__(self, *arguments, backend="model", user=None, before=None, directory=None):
        self.directory = tempfile.mkdtemp(prefix="gmemd-test-")
        os.chmod(self.directory, 0o777)
        runtime = directory or os.path.join(self.directory, "run")

        def before_exec():
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
            linux.die_with_parent()
            if before is not None:
                before()

        # A pipe, for the size of a file may be limited.
        self.process = subprocess.Popen(
            [
                program("gmemd"),
                "--runtime-directory=" + runtime,
                "--config=/dev/null",
                "--backend=" + backend,
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=before_exec,
        )
        self.text = b""
        self._wait()
        self.serves = b" serves, kernel " in self.text
        if self.serves:
            self.process.terminate()
        self.status = self.process.wait(SECONDS)
        self._read()
        self.process.stderr.close()
        for pid in processes("gmemd-keeper", "--runtime-directory=" + runtime):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _read(self):
        with contextlib.suppress(BlockingIOError):
            self.text += os.read(self.process.stderr.fileno(), 1 << 16)

    def _wait(self):
        """Not for the end of its stderr, which its keeper has, too."""
        ended = os.pidfd_open(self.process.pid)
        stderr = self.process.stderr.fileno()
        os.set_blocking(stderr, False)
        until = time.monotonic() + SECONDS
        while b" serves, kernel " not in self.text:
            ready, _, _ = select.select([ended, stderr], [], [], until - time.monotonic())
            if stderr in ready:
                self._read()
            if ended in ready or not ready:
                break
        os.close(ended)

    @property
    def lines(self):
        return self.text.decode(errors="replace").splitlines()

    def errors(self):
        return [line for line in self.lines if "error: " in line]


def check_failure(start, what, *words):
    """One line, which names the cause, and status 1."""
    equal(start.status, 1, "%s: exit status" % what)
    if check(len(start.errors()) == 1, "%s: %r" % (what, start.lines)):
        for word in words:
            check(word in start.errors()[0], "%s: no %s in %r" % (what, word, start.errors()[0]))


def raise_until_it_starts(name, values, backend, user=None):
    """Returns how many starts have failed."""
    number = getattr(resource, "RLIMIT_" + name)
    failed = 0
    for value in values:
        start = Start(
            backend=backend,
            user=user,
            before=lambda: resource.setrlimit(number, (value, value)),
        )
        if start.serves and any("LeakSanitizer has encountered a fatal error" in line for line in start.lines):
            continue  # it looks for leaks from a process of its own
        if start.serves:
            equal(start.status, 0, "%s=%d: it serves, and ends with" % (name, value))
            return failed
        if start.status == LOADER_FAILED or start.status == -signal.SIGSEGV and not start.lines:
            continue  # before main()
        if start.lines and start.lines[0].startswith("Out of memory allocating bitmask"):
            continue  # libnuma, before main() too
        failed += 1
        check_failure(start, "%s=%d" % (name, value), "RLIMIT_" + name)
    raise tap.Failed("it does not start with any")


def backends():
    return ("model", "kvm") if with_kvm else ("model",)


@test("RLIMIT_NOFILE")
def _():
    for backend in backends():
        check(raise_until_it_starts("NOFILE", range(3, 64), backend) > 0, backend)


@test("RLIMIT_NPROC, of a user")
def _():
    check(raise_until_it_starts("NPROC", range(16), "model", ANOTHER) > 0, "it never fails")


@test("RLIMIT_AS and RLIMIT_DATA")
def _():
    if is_sanitized():
        raise Skip("a sanitized program has more address space than can be limited")
    mib = 1 << 20
    for backend in backends():
        # 7 MiB of address space are enough for the loader, and too few for gmemd's threads.
        for name, least in (("AS", mib), ("DATA", mib // 2)):
            values = range(least, 512 * mib, 2 * mib)
            check(raise_until_it_starts(name, values, backend) > 0, (backend, name))


@test("RLIMIT_FSIZE")
def _():
    for backend in backends():
        values = [0, *(1 << bit for bit in range(9, 31))]
        failed = raise_until_it_starts("FSIZE", values, backend)
        equal(failed > 0, backend == "kvm", "%s: %d have failed" % (backend, failed))


@test("RLIMIT_MEMLOCK, whether or not gmemd locks memory")
def _():
    for backend in backends():
        user = ANOTHER if backend == "model" else None  # root may lock as much as it likes
        raise_until_it_starts("MEMLOCK", [0, *(1 << bit for bit in range(12, 31))], backend, user)


@test("a plain user is told what to add")
def _():
    start = Start(user=ANOTHER, directory="/run/gmemd-test-that-is-not-there")
    check_failure(start, "no right to make it", "Permission denied", "--runtime-directory=DIR")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        start = Start(user=ANOTHER, directory=directory)
        check_failure(start, "no right to write there", directory, "Permission denied", "--runtime-directory=DIR")


@test("a runtime directory that can't be one")
def _():
    with tempfile.TemporaryDirectory() as directory:
        for path, words in (
            (directory + "/x/y", "No such file or directory"),
            ("/dev/null", "Not a directory"),
            ("/proc/none", "No such file or directory"),
        ):
            for backend in backends():
                check_failure(Start(directory=path, backend=backend), path, path, words)


@test("another gmemd that serves there, and a foreign file in a socket's place")
def _():
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "gmemd.sock"), "w", encoding="ascii"):
            pass
        for backend in backends():
            start = Start(directory=directory, backend=backend)
            check_failure(start, "a foreign file", "gmemd.sock", "Socket operation on non-socket")


@test("no /dev/kvm that may be opened")
def _():
    if os.path.exists("/dev/kvm") and os.stat("/dev/kvm").st_mode & 0o006:
        raise Skip("everybody may open /dev/kvm")
    check_failure(Start(backend="kvm", user=ANOTHER), "/dev/kvm", "/dev/kvm")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
