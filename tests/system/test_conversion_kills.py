#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd, its keeper, and both at once, killed at random while VMMs convert: the record is the kernel's.

The kernel's private memory is pretended (private_kernel.c) where a VM of the default type has none. Threads convert
frames of their own, and know what must be; and frames that they have in common, where one of them comes last. Every so
often they pause, and what the kernel has, what vm.get tells and what was asked must be the same.

KILLS_SEED and KILLS_NUMBER in the environment change what is done.
"""

import os
import random
import signal
import time

from gmemtest import linux, private_kernel
from gmemtest.daemon import SANITIZERS
from gmemtest.host import Host, wait_until
from gmemtest.linux import PAGE
from gmemtest.load import Counters, Process
from gmemtest.tap import Skip, check, equal, main, note, test

SEED = int(os.environ.get("KILLS_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
KILLS = int(os.environ.get("KILLS_NUMBER", 0)) or 60
BETWEEN_CHECKS = 5
LIMIT = 60
FRAMES = 1024  # that the kernel has
GATES = ("required", "none")
WRONG_IN_LOG = SANITIZERS + ("could not be taken over", "can hold no more", "There is no call")

host = counters = chance = None
vmms = []


class Converting(Process):
    """A VMM, and what the kernel has of its frames."""

    def __init__(self, number, gate):
        self.path = os.path.join(host.directory, "frames-%d" % number)
        with open(self.path, "wb") as file:
            file.write(b"0" * FRAMES)
        environment = private_kernel.environment(self.path)
        path, name = host.socket_path("gmemd.sock"), "convert-%d" % number
        super().__init__(path, counters, LIMIT, "convert", name, gate, chance.randrange(1 << 32), environment)
        self.hear()

    def frames(self, count):
        with open(self.path, "rb") as file:
            return file.read(count).decode()


def set_up():
    global host, counters, chance
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    linux.require_guest_memfd()
    chance = random.Random(SEED)
    host = Host(environment=private_kernel.environment())
    counters = Counters(host.directory)
    vmms.extend(Converting(number, gate) for number, gate in enumerate(GATES))


def tear_down():
    for vmm in vmms:
        vmm.kill()
    host.stop()


def as_frames(view, member, count):
    frames = ["0"] * count
    for one in view[member]:
        first = one["guest_phys_addr"] // PAGE
        for frame in range(first, first + one["size"] // PAGE):
            frames[frame] = "1"
    return "".join(frames)


def agrees(operator, vmm):
    state, view = vmm.state, operator.call("vm.get", {"vm": vmm.state["vm"]})
    if view["calls"]:
        return False
    kernel = vmm.frames(state["frames"])
    equal(kernel[: len(state["asked"])], state["asked"], "%s: what the kernel has, and what was asked" % vmm.name)
    equal(as_frames(view, "private_ranges", state["frames"]), kernel, "%s: private_ranges" % vmm.name)
    equal(view.get("uncertain_ranges", []), [], "%s: what is uncertain" % vmm.name)
    return True


def compare():
    for vmm in vmms:
        vmm.say("pause")
    for vmm in vmms:
        vmm.state = vmm.hear()
    operator = host.operator()
    for vmm in vmms:
        agreed = wait_until(lambda vmm=vmm: agrees(operator, vmm))
        check(agreed, "%s has calls that are left: %s" % (vmm.name, operator.call("vm.get", {"vm": vmm.state["vm"]})["calls"]))
    operator.close()
    for vmm in vmms:
        vmm.ask("run")


def some_moment():
    time.sleep(chance.random() * 0.03)
    for vmm in vmms:
        vmm.is_well()


def kill(both):
    some_moment()
    if both:
        os.kill(host.pid, signal.SIGSTOP)
        host.kill_keepers()
    host.kill()
    host.start(alone=False)


def kills(both):
    done = sum(vmm.done() for vmm in vmms)
    for vmm in vmms:
        vmm.ask("run")
    for number in range(KILLS):
        kill(both and chance.random() < 0.7)
        if number % BETWEEN_CHECKS == BETWEEN_CHECKS - 1:
            compare()
    for vmm in vmms:
        vmm.ask("pause")
    wrong = [line for line in host.log().splitlines() if any(one in line for one in WRONG_IN_LOG)]
    check(not wrong, "the log says: %s" % wrong)
    note("%d kills, %d conversions" % (KILLS, sum(vmm.done() for vmm in vmms) - done))


@test("gmemd killed amid conversions (seed %d)" % SEED)
def alone():
    kills(both=False)


@test("gmemd and its keeper killed amid conversions")
def both():
    kills(both=True)


if __name__ == "__main__":
    main(set_up, tear_down)
