# SPDX-License-Identifier: LGPL-2.1-or-later
"""The processes of the random-kill test, driven by lines; see kill_peer.h."""

import contextlib
import json
import mmap
import os
import select
import struct
import subprocess

from gmemtest import linux
from gmemtest.tap import Failed


class Counters:
    """What each process has done, seen without asking it."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "counters")
        with open(self.path, "wb") as file:
            file.truncate(mmap.PAGESIZE)
        with open(self.path, "r+b") as file:
            self.mapped = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.free = list(range(mmap.PAGESIZE // 8))

    def take(self):
        return self.free.pop(0)

    def give(self, index):
        self.free.append(index)

    def read(self, index):
        return struct.unpack_from("=Q", self.mapped, 8 * index)[0]


class Process:
    """One kill_load; see kill_peer.h."""

    def __init__(self, socket, counters, limit, role, name, gate, seed, environment=None):
        self.role, self.name, self.gate = role, name, gate
        self.limit, self.counters = limit, counters
        self.index = counters.take()
        self.has_lost = False  # both have died since it has opened its VM
        self.state = None
        self.opening = False  # amid the killing
        program = os.path.join(os.environ["BUILD_DIR"], "tests", "system", "kill_load")
        self.process = subprocess.Popen(
            [program, role, socket, name, gate, str(seed), str(limit)]
            + [counters.path, str(self.index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ, **(environment or {})),
            preexec_fn=linux.die_with_parent,
        )

    def say(self, line):
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail()

    def hear(self):
        # It says itself what hangs, before this.
        if not select.select([self.process.stdout], [], [], 2 * self.limit)[0]:
            raise Failed("%s does not answer\n%s" % (self.name, self.threads()))
        line = self.process.stdout.readline().decode()
        if not line.startswith("{"):
            raise Failed("%s has ended: %s" % (self.name, line.strip() or self.process.wait()))
        return json.loads(line)

    def ask(self, line):
        self.say(line)
        return self.hear()

    def has_said(self):
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def is_well(self):
        if not self.opening and self.has_said():
            self.fail()

    def join(self):
        """After it has opened its VM, which may take until now."""
        self.hear()
        self.opening = False
        self.ask("run")

    def fail(self):
        raise Failed("%s: %s" % (self.name, self.process.stdout.read().decode().strip()))

    def threads(self):
        """Where each thread is."""
        text = []
        directory = "/proc/%d/task" % self.process.pid
        for tid in os.listdir(directory):
            for name in ("comm", "wchan", "syscall", "stack"):
                try:
                    with open(os.path.join(directory, tid, name), encoding="utf-8") as file:
                        text.append("%s %s: %s" % (tid, name, file.read().strip()))
                except OSError:
                    pass
        return "\n".join(text)

    def done(self):
        return self.counters.read(self.index)

    def kill(self):
        self.process.kill()
        self._gone()

    def end(self):
        self.say("end")
        self.hear()
        self._gone()

    def _gone(self):
        self.process.wait(self.limit)
        for file in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                file.close()
        self.counters.give(self.index)
