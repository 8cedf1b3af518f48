#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory pressure: who is asked for how much, what counts as an answer, who is told.

With a floor of all the host's memory there is pressure from the start.
"""

import contextlib
import mmap
import os
import re
import signal
import subprocess
import time

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer

MIB = 1 << 20
SECONDS = 60
CONFIG = "[pressure]\nfloor = %s\ndeadline = %d\n"
FOR_EVER = 3600000
KINDS = ("pressure", "pressure_level", "pressure_overdue")
LEVELS = ("low", "medium", "critical")


def set_up():
    linux.require_guest_memfd()


def tear_down():
    pass


class Guest(Child):
    """A VMM of its own with one memory, which does what it is told."""

    def __init__(self, daemon, size, name="guest", **options):
        path = daemon.socket_path("gmemd.sock")
        super().__init__(lambda channel: _serve(channel, path, size, name, options))
        self.vm, self.memory = self.channel.hear()

    def pressure(self):
        """The events of pressure that it has heard of so far."""
        return [event for event in self.ask("events") if event["kind"] in KINDS]


def _serve(channel, path, size, name, options):
    peer = Peer(path, SECONDS)
    peer.call("event.subscribe")
    vmm = Vmm(peer, name, **options)
    memory, fd = vmm.create(size)
    channel.say([vmm.id, memory])
    while True:
        what, *arguments = channel.hear()
        if what == "touch":
            with mmap.mmap(fd, size) as mapped:
                for offset in range(0, size, PAGE):
                    mapped[offset] = 1
            channel.say(None)
        elif what == "events":
            peer.call("ping")
            channel.say(peer.events)
        elif what == "call":
            channel.say(peer.call(*arguments))


def eventually(what, found):
    """What found() gives once that is true."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        value = found()
        if value:
            return value
        time.sleep(0.02)
    return need(None, what)


class Operator:
    def __init__(self, daemon):
        self.peer = daemon.operator()
        self.peer.call("event.subscribe")

    def events(self, kind):
        self.peer.call("ping")
        return [event for event in self.peer.events if event["kind"] == kind]

    def pressure(self):
        return self.peer.call("host.describe")["pressure"]

    def ask_of(self, guest):
        """None where it has none."""
        return {ask["vm"]: ask for ask in self.pressure()["asks"]}.get(guest.vm)


@contextlib.contextmanager
def running(floor, deadline, sizes, **options):
    """(daemon, operator, guests), whose pages gmemd finds all at once."""
    daemon = Daemon(config=CONFIG % (floor, deadline))
    with contextlib.ExitStack() as stack:
        operator = Operator(daemon)
        guests = [
            stack.enter_context(Guest(daemon, size, "guest %d" % i, **options)) for i, size in enumerate(sizes)
        ]
        os.kill(daemon.pid, signal.SIGSTOP)
        for guest in guests:
            guest.ask("touch")
        os.kill(daemon.pid, signal.SIGCONT)
        yield daemon, operator, guests
    daemon.stop()


def asks_heard(guest):
    return [event for event in guest.pressure() if event["ask"] > 0]


def status(daemon):
    """As gmemctl prints it."""
    program = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
    command = [program, "--socket=" + daemon.socket_path("admin.sock"), "status"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@test("VMs are asked for what they have, the largest first, and each hears of itself")
def order():
    sizes = [8 * MIB, 48 * MIB, 24 * MIB]
    with running("100%", FOR_EVER, sizes) as (_, operator, guests):
        eventually("three asks", lambda: len(operator.events("pressure")) >= 3)
        heard = [(event["vm"], event["ask"]) for event in operator.events("pressure")]
        equal(heard, [(guests[i].vm, sizes[i]) for i in (1, 2, 0)], "asks, by order")
        for guest, size in zip(guests, sizes):
            events = asks_heard(guest)
            told = [(event["vm"], event["ask"], event["deadline_ms"]) for event in events]
            equal(told, [(guest.vm, size, FOR_EVER)], "what it hears")
            check(events and events[0]["level"] in LEVELS, "level: %r" % events)
            equal({event["kind"] for event in guest.pressure()}, {"pressure"}, "kinds")
        pressure = operator.pressure()
        equal((pressure["vms_asked"], pressure["vms_overdue"]), (3, 0), "how many")
        check(0 < pressure["available"] < pressure["floor"], "bytes: %r" % pressure)
        for guest in guests:
            seen = guest.ask("call", "host.describe")["pressure"]
            equal(sorted(seen), ["level"], "what a VM sees of it")
            check(seen["level"] in LEVELS, seen)


@test("what a VM gives back itself counts, what an operator takes does not")
def given():
    with running("100%", FOR_EVER, [32 * MIB, 16 * MIB]) as (_, operator, (large, small)):
        eventually("asks", lambda: operator.ask_of(large) and operator.ask_of(small))
        ranges = [{"offset": 0, "size": 4 * MIB}, {"offset": 8 * MIB, "size": 2 * MIB}]
        reclaim = {"memory": large.memory, "ranges": ranges}
        equal(large.ask("call", "memory.reclaim", reclaim)["reclaimed"], 6 * MIB, "reclaimed")
        expected = {"vm": large.vm, "asked": 32 * MIB, "given": 6 * MIB, "overdue": False}
        equal(operator.ask_of(large), expected, "after some")
        equal(large.ask("call", "memory.reclaim", reclaim)["reclaimed"], 0, "once more")
        equal(operator.ask_of(large), expected, "what was given already")
        large.ask("call", "memory.close", {"memory": large.memory})
        equal(operator.ask_of(large), dict(expected, given=32 * MIB), "after all")
        reclaim = {"memory": small.memory, "ranges": ranges[:1]}
        equal(operator.peer.call("memory.reclaim", reclaim)["reclaimed"], 4 * MIB, "an operator's")
        equal(operator.ask_of(small)["given"], 0, "is no answer")


@test("who does not answer is listed, and operators are told; who does is not any more")
def overdue():
    with running("100%", 200, [32 * MIB, 8 * MIB]) as (daemon, operator, (large, small)):
        told = eventually("overdue", lambda: operator.events("pressure_overdue"))
        check({event["vm"] for event in told} <= {large.vm, small.vm}, told)
        check(all(event["given"] < event["asked"] for event in told), told)
        eventually("both", lambda: operator.pressure()["vms_overdue"] == 2)
        check(operator.ask_of(large)["overdue"], "it is listed")
        line = r"^ +%s has given 0B of 32M, overdue$" % large.vm
        check(re.search(line, status(daemon), re.MULTILINE), "gmemctl: " + status(daemon))
        eventually("it is asked again", lambda: len(asks_heard(large)) > 2)
        whole = [{"offset": 0, "size": 32 * MIB}]
        large.ask("call", "memory.reclaim", {"memory": large.memory, "ranges": whole})
        eventually("one is left", lambda: operator.pressure()["vms_overdue"] == 1)
        ask = operator.ask_of(large)
        check(not ask or not ask["overdue"], "it has answered: %r" % ask)
        equal(operator.pressure()["asks"][0]["vm"], small.vm, "the overdue one is first")
        most = max(event["missed"] for event in operator.events("pressure_overdue"))
        check(most > 1, "deadlines missed: %d" % most)
        kinds = {event["kind"] for event in large.pressure()}
        equal(kinds, {"pressure"}, "VMs hear nothing of that")


def reclaimed(guest, offset, size):
    ranges = [{"offset": offset, "size": size}]
    return guest.ask("call", "memory.reclaim", {"memory": guest.memory, "ranges": ranges})["reclaimed"]


@test("a VM is asked for what it can give, and one that gave that is not overdue")
def minimum():
    with running("100%", 200, [32 * MIB], minimum=24 * MIB) as (_, operator, (guest,)):
        eventually("an ask", lambda: asks_heard(guest))
        equal({event["ask"] for event in asks_heard(guest)}, {8 * MIB}, "what it is asked for")
        eventually("it is overdue", lambda: operator.pressure()["vms_overdue"] == 1)
        reclaimed(guest, 0, 8 * MIB)
        eventually("it is not any more", lambda: operator.pressure()["vms_overdue"] == 0)
        missed, asked = len(operator.events("pressure_overdue")), len(asks_heard(guest))
        time.sleep(1)  # rounds in which it has nothing left to give
        equal(len(operator.events("pressure_overdue")), missed, "it is told of as overdue")
        equal(len(asks_heard(guest)), asked, "it is asked")
        guest.ask("call", "vm.set", {"vm": guest.vm, "minimum": 20 * MIB})
        eventually("it is asked again", lambda: len(asks_heard(guest)) > asked)
        equal(asks_heard(guest)[-1]["ask"], 4 * MIB, "after it has told less")
        guest.ask("call", "vm.set", {"vm": guest.vm})
        reclaimed(guest, 8 * MIB, 4 * MIB)
        eventually("it has given that, too", lambda: operator.pressure()["vms_overdue"] == 0)


@test("what it can't do without is known to the next gmemd")
def minimum_is_kept():
    with running("100%", 200, [32 * MIB], minimum=24 * MIB) as (daemon, _, (guest,)):
        if os.environ.get("KEEPER") == "no":
            raise Skip("without a keeper nothing outlives gmemd")
        eventually("an ask", lambda: asks_heard(guest))
        daemon.process.kill()
        daemon.process.wait()
        daemon.start(alone=False)
        before = len(asks_heard(guest))
        eventually("an ask of the next", lambda: len(asks_heard(guest)) > before)
        equal({event["ask"] for event in asks_heard(guest)}, {8 * MIB}, "what it is asked for")


@test("a VM that ends in the middle of an ask owes nothing")
def ended():
    with running("100%", FOR_EVER, [32 * MIB, 16 * MIB]) as (_, operator, (large, small)):
        eventually("asks", lambda: operator.ask_of(large) and operator.ask_of(small))
        large.ask("call", "vm.close", {"vm": large.vm})
        equal(operator.ask_of(large), None, "of a closed VM")
        small.end()
        eventually("of one whose process has ended", lambda: not operator.pressure()["asks"])


@test("a VM that ends while its pages are counted, or is asked when it has none")
def ended_early():
    with running("100%", 1, [64 * MIB] * 4) as (daemon, operator, guests):
        for guest in guests:
            eventually("an ask", lambda guest=guest: operator.ask_of(guest))
            guest.end()
        eventually("nobody is asked", lambda: not operator.pressure()["asks"])
        check(daemon.alive(), "gmemd has ended")


@test("with a floor of 0 there is no pressure")
def no_floor():
    with running("0", 100, [16 * MIB]) as (_, operator, (guest,)):
        time.sleep(2.5)
        for kind in KINDS:
            equal(operator.events(kind), [], kind)
        equal(guest.pressure(), [], "the VM's")
        pressure = operator.pressure()
        available = pressure.pop("available")
        check(available > 0, "available: %d" % available)
        expected = {"level": "none", "floor": 0, "asks": [], "vms_asked": 0, "vms_overdue": 0}
        equal(pressure, expected, "host.describe")


def available():
    with open("/proc/meminfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    raise Skip("the kernel has no MemAvailable")


def take_memory(until):
    """In steps, until that is true."""
    taken = []
    while not until() and len(taken) < 16:
        step = mmap.mmap(-1, 256 * MIB)
        for offset in range(0, 256 * MIB, PAGE):
            step[offset] = 1
        taken.append(step)
        time.sleep(2)
    return taken


@test("operators are told of the level, and VMs of it without an ask")
def level():
    if available() < 8192 * MIB:
        raise Skip("there is too little memory to take some")
    floor = available() - 512 * MIB
    with running(str(floor), FOR_EVER, [PAGE]) as (_, operator, (guest,)):
        if operator.pressure()["level"] != "none":
            raise Skip("others have taken the memory meanwhile")
        taken = take_memory(lambda: operator.events("pressure_level"))
        events = need(operator.events("pressure_level"), "an event")
        equal(sorted(set(events[0]) & {"vm", "name"}), [], "it is of no VM")
        # Where tasks have waited for memory there is pressure with a margin above the floor, too.
        check(events[0]["level"] in LEVELS and events[0]["available"] < floor * 5 // 4, events[0])
        equal(events[0]["floor"], floor, "floor")
        told = guest.pressure()
        equal((told[0]["level"], told[0]["ask"]), (events[0]["level"], 0), "a VM: the level")
        eventually("the ask", lambda: asks_heard(guest))
        mine = [event["ask"] for event in operator.events("pressure")]
        equal(mine, [PAGE], "operators hear of the asks alone")
        equal(operator.pressure()["level"] in LEVELS, True, "host.describe")
        for step in taken:
            step.close()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
