# SPDX-License-Identifier: LGPL-2.1-or-later
"""Huge pages that a test has the host set aside, and that it gets back however the test ends."""

import fcntl
import os
import subprocess
import tempfile
import time

from gmemtest.tap import Skip

MIB = 1 << 20
PAGE_2M = 2 * MIB
LOCK = os.path.join(tempfile.gettempdir(), "gmemd-tests-hugepages")
SECONDS = 60
# It outlives the test, and is no child that anybody ends.
RESTORE = 'cat >/dev/null; echo "$1" >"$2"'


def folder(page_size=PAGE_2M, node=None):
    base = "/sys/kernel/mm" if node is None else "/sys/devices/system/node/node%d" % node
    return "%s/hugepages/hugepages-%dkB" % (base, page_size // 1024)


def number(name, page_size=PAGE_2M):
    with open("%s/%s_hugepages" % (folder(page_size), name), encoding="ascii") as file:
        return int(file.read())


def counts(page_size=PAGE_2M):
    """(total, free, reserved)"""
    return tuple(number(name, page_size) for name in ("nr", "free", "resv"))


def available():
    _, free, reserved = counts()
    return free - reserved


def _set(total):
    with open(folder() + "/nr_hugepages", "w", encoding="ascii") as file:
        file.write("%d\n" % total)


def _take_lock():
    file = open(LOCK, "w", encoding="ascii")
    until = time.monotonic() + SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > until:
                file.close()
                raise Skip("another test has the host's huge pages") from None
            time.sleep(0.1)


class HugePages:
    """So many more of 2 MiB than were there, until give_back(); Skip where they can't be had."""

    def __init__(self, count):
        path = folder() + "/nr_hugepages"
        if not os.access(path, os.W_OK):
            raise Skip("no huge pages can be set aside: " + path)
        self.lock = _take_lock()
        before = number("nr")
        self.guard = subprocess.Popen(
            ["sh", "-c", RESTORE, "sh", str(before), path],
            stdin=subprocess.PIPE,
            pass_fds=(self.lock.fileno(),),
            start_new_session=True,
        )
        try:
            self._get(before + count)
        except BaseException:
            self.give_back()
            raise

    @staticmethod
    def _get(total):
        try:
            _set(total)
        except OSError as e:
            raise Skip("no huge pages can be set aside: %s" % e.strerror) from None
        if number("nr") < total:
            raise Skip("memory is too fragmented: %d huge pages of %d" % (number("nr"), total))

    def give_back(self):
        self.guard.stdin.close()
        self.guard.wait(SECONDS)
        self.lock.close()
