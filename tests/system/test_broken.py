#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A connection that breaks, a gmemd that is silent, or is lost with its keeper, while a VMM is amid something."""

import contextlib
import functools
import os
import signal
import subprocess
import threading

from gmemtest import linux, private_kernel
from gmemtest.host import SECONDS, Host
from gmemtest.tap import Skip, equal, main, test

FRAMES = 256  # broken.c's
FEW_RANGES = "[limits]\nprivate-ranges-per-vm = 4\n"  # broken.c's

# What broken.c calls it, and what must be so.
SCENARIOS = (
    ("second", "a second VM's slot is bound though the answer was lost"),
    ("close", "a closing that libgmem has given up keeps nothing else from going on"),
    ("opclose", "a memory that an operator has closed is not resumed"),
    ("full", "a VM with as many private ranges as there may be is resumed"),
    ("amid", "a connection breaks amid a conversion, of a VM that gmemd has had all the time"),
    ("amid_lost", "a connection breaks amid a conversion, of a VM that gmemd has lost before, and was told of"),
    ("keep", "frames are as asked for after each conversion, however often the connection breaks"),
    ("freed", "a VM is resumed with a slot whose memory the VMM has freed"),
    ("freed_lost", "a VM is rebuilt with a slot whose memory the VMM has freed"),
    ("late", "a VM is known that was made while gmemd was lost"),
    ("resurrected", "a VM that was closed stays so after gmemd is lost"),
    ("slow_bind", "a slot bound while gmemd is lost is private where the VM is so from the start"),
    ("create", "a memory that libgmem has given up leaves no call"),
    ("discarded", "a conversion that libgmem has given up leaves no call"),
    ("dropped", "a conversion reported amid a crowd leaves no call"),
)
CONFIGURATIONS = {"full": FEW_RANGES}

host = None


def set_up():
    global host
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    linux.require_guest_memfd()
    host = Host(environment=private_kernel.environment())


def tear_down():
    host.stop()


@contextlib.contextmanager
def host_of(scenario):
    """The one there is, or one of its own where it needs another configuration."""
    if scenario not in CONFIGURATIONS:
        yield host
        return
    own = Host(config=CONFIGURATIONS[scenario], environment=private_kernel.environment())
    try:
        yield own
    finally:
        own.stop()


class Vmm:
    def __init__(self, its_host, scenario):
        self.host = its_host
        frames = os.path.join(its_host.directory, "frames")
        with open(frames, "wb") as file:
            file.write(b"0" * FRAMES)
        program = os.path.join(os.environ["BUILD_DIR"], "tests", "system", "broken")
        self.process = subprocess.Popen(
            [program, its_host.socket_path("gmemd.sock"), scenario],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, **private_kernel.environment(frames)),
            preexec_fn=linux.die_with_parent,
        )
        self.requests = {
            "close": self._close,
            "continue": self._continue,
            "lose": its_host.lose_all,
            "stop": self._stop,
            "vms": self._vms,
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.host.pid, signal.SIGCONT)
        self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()

    def _ask_operator(self, method, params=None):
        operator = self.host.operator()
        try:
            return operator.call(method, params)
        finally:
            operator.close()

    def _close(self, memory):
        self._ask_operator("memory.close", {"memory": int(memory)})

    def _continue(self):
        os.kill(self.host.pid, signal.SIGCONT)
        self._ask_operator("ping")

    def _stop(self):
        os.kill(self.host.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.host.pid, os.WSTOPPED)

    def _vms(self):
        return sum(one["pid"] == self.process.pid for one in self._ask_operator("vm.list")["vms"])

    def _line(self):
        """Empty once it has ended, or has said nothing for a minute."""
        killer = threading.Timer(SECONDS, self.process.kill)
        killer.start()
        try:
            return self.process.stdout.readline().strip()
        finally:
            killer.cancel()

    def outcome(self):
        """What it says in the end; what it asks for before is done."""
        while True:
            line = self._line()
            words = line.split() or [""]
            if words[0] not in self.requests:
                return line
            answer = self.requests[words[0]](*words[1:])
            # A thread that another one's question does not hold up may have ended it.
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write("%d\n" % (answer or 0))
                self.process.stdin.flush()


def goes_well(scenario):
    with host_of(scenario) as its_host, Vmm(its_host, scenario) as vmm:
        equal(vmm.outcome(), "done", scenario)
        equal(vmm.process.wait(SECONDS), 0, "its exit status")


for name, title in SCENARIOS:
    test(title)(functools.partial(goes_well, name))


if __name__ == "__main__":
    main(set_up, tear_down)
