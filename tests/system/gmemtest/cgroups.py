# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cgroup of a test's own, in the hierarchy of cgroup v2."""

import contextlib
import os
import tempfile
import time

from gmemtest.tap import Skip

SECONDS = 60


def mounted():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if rest.split()[0] == "cgroup2":
                return fields.split()[4]
    raise Skip("cgroup v2 is not mounted")


class Cgroup:
    """With a controller that the hierarchy's root has for its children; gone at the end, once nobody is in it."""

    def __init__(self, controller):
        self.root = mounted()
        with open(os.path.join(self.root, "cgroup.subtree_control"), encoding="ascii") as file:
            if controller not in file.read().split():
                raise Skip("cgroup v2 has no controller %s for children of the root" % controller)

    def write(self, name, value):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def read(self, name):
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return file.read().strip()

    def enter(self, pid):
        self.write("cgroup.procs", pid)

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="gmemd-test-", dir=self.root)
        return self

    def __exit__(self, *_):
        until = time.monotonic() + SECONDS
        while os.path.exists(self.path) and time.monotonic() < until:
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
            time.sleep(0.01)
