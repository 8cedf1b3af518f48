#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd is away, or is killed amid what an unmodified QEMU under gmem-run --shim does.

Its guest runs on meanwhile. What QEMU survives the refusal of is refused after a while; else it waits, and is finished by the next gmemd.
"""

import collections
import contextlib
import os
import threading
import time

from gmemtest import qemu, tap
from gmemtest.host import Host
from gmemtest.qemu import Programs, Qemu, wait_until
from gmemtest.tap import Skip, check, equal, need, note, test

MIB = 1 << 20
RAM = 320 * MIB
PLUGGED = 64 * MIB
ROOM = ("-M", "pc", "-m", "320,slots=4,maxmem=2G")
OVER = ("completed", "failed", "cancelled")
# What is done again and again while an exchange's calls wait, whatever is exchanged.
OF_A_START = "recovery"

host = programs = None
fatal = log = ""


def set_up():
    global host, programs, fatal, log
    qemu.require()
    host = Host(gate="required")
    programs = Programs(host)
    Qemu.processor = qemu.find_processor()
    fatal, log = os.path.join(host.directory, "fatal"), os.path.join(host.directory, "steps")
    os.environ["GMEMD_KILL_STEP"], os.environ["GMEMD_LOG_STEPS"] = fatal, log
    host.restart()


def tear_down():
    host.stop()


def asked(method, params=None):
    """Of the gmemd that there is now."""
    operator = host.operator()
    try:
        return operator.call(method, params)
    finally:
        operator.close()


def vms():
    return asked("vm.list")["vms"]


def view():
    """The one VM."""
    return asked("vm.get", {"vm": vms()[0]["vm"]})


@contextlib.contextmanager
def running(*options):
    vmm = Qemu(programs, *options)
    try:
        vmm.connect().goes_on()
        yield vmm
        equal(vmm.end(), 0, "QEMU's status; " + vmm.said())
    finally:
        if not vmm.ended():
            vmm.kill()
    wait_until(lambda: not vms(), "the VM's end")


class Work:
    """Goes on in a thread, and may wait for gmemd there."""

    def __init__(self, work):
        self.failure = None
        self.thread = threading.Thread(target=self._run, args=(work,))
        self.thread.start()

    def _run(self, work):
        try:
            work()
        except BaseException as e:  # noqa: B902
            self.failure = e

    def over(self):
        return not self.thread.is_alive()

    def end(self):
        self.thread.join(60)
        need(self.over(), "it waits on")
        if self.failure:
            raise self.failure


def add(vmm, kind, name):
    return vmm.ask("object-add", **{"qom-type": kind, "id": name, "size": PLUGGED})


def events(peer):
    while True:
        message, _ = peer.receive()
        if message.get("method") == "event":
            yield message["params"]


@test("without gmemd: a new backend is refused after 5 s, by a sentence; a slot waits for the next one, and says so")
def away():
    with running(*ROOM) as vmm:
        add(vmm, "memory-backend-ram", "plugged")
        operator = host.operator()
        operator.call("event.subscribe")
        host.kill()
        began = time.monotonic()
        answer = add(vmm, "memory-backend-memfd", "refused")
        check("error" in answer and time.monotonic() - began >= 4, "object-add: %s" % answer)
        check("memory-backend-memfd-2 of %d bytes: gmemd has given no sign for 5 s" % PLUGGED in vmm.said(), vmm.said())
        vmm.goes_on()
        work = Work(lambda: vmm.qmp("device_add", driver="pc-dimm", id="dimm", memdev="plugged"))
        wait_until(lambda: "ram-3 of %d bytes: waiting for gmemd, for 2 s now" % PLUGGED in vmm.said(), "it is said")
        check(not work.over(), "it waits")
        host.start(alone=False)
        work.end()
        vmm.goes_on()
        waited = next(event["waited_ms"] for event in events(operator) if event["kind"] == "vm_waited")
        check(waited >= 2000, "the event that it has waited: %d ms" % waited)
        operator.close()
        equal(view()["committed"], RAM + PLUGGED, "what is charged then")
        equal(view()["calls"], [], "calls that wait")
        check("error" not in add(vmm, "memory-backend-memfd", "refused"), "with gmemd")


@test("gmemd and its keeper lost: slots go on")
def lost():
    with running(*ROOM) as vmm:
        host.lose_all()
        exchange(vmm)
        equal(view()["committed"], RAM, "what is charged then")


def exchange(vmm):
    """All slots of the guest's memory, there and back."""
    vmm.qmp("migrate", uri="exec:cat >/dev/null")
    wait_until(lambda: vmm.qmp("query-migrate")["status"] in OVER, "the migration's end")
    equal(vmm.qmp("query-migrate")["status"], "completed", "the migration")
    vmm.qmp("cont")
    wait_until(lambda: "mapping" not in throughs(), "the guest_memfd's own slots")
    vmm.goes_on()


def throughs():
    return {slot["through"] for slot in view()["slots"] if slot["memory"] is not None}


def take_log():
    with contextlib.suppress(FileNotFoundError):
        with open(log, encoding="utf-8") as file:
            lines = file.read().splitlines()
        os.unlink(log)
        return lines
    return []


def steps_of(work):
    """How often each is reached."""
    take_log()
    work()
    return collections.Counter(line for line in take_log() if not line.startswith(OF_A_START))


def arm(label, number):
    with open(fatal + ".new", "w", encoding="utf-8") as file:
        file.write("%s\n%d\n" % (label, number))
    os.rename(fatal + ".new", fatal)


def killed_at(vmm, label, number):
    """Whether it came so far."""
    arm(label, number)
    work = Work(lambda: exchange(vmm))
    wait_until(lambda: work.over() or not host.alive(), "gmemd's end at " + label)
    os.unlink(fatal)
    killed = not host.alive()
    if killed:
        host.start(alone=False)
    work.end()
    found = view()
    equal((found["committed"], found["calls"]), (RAM, []), "charge and calls after " + label)
    return killed


def has_steps():
    with open(os.path.join(os.environ["BUILD_DIR"], "daemon", "gmemd"), "rb") as program:
        return b"GMEMD_KILL_STEP" in program.read()


@test("gmemd is killed at each step of exchanging slots: the guest runs on, and the next gmemd finishes it")
def steps():
    if not has_steps():
        raise Skip("built without -Dkill-steps=true")
    with running(*ROOM) as vmm:
        vmm.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 30, "downtime-limit": 2000})
        reached = steps_of(lambda: exchange(vmm))
        need(len(reached) > 5, "steps of an exchange: %s" % reached)
        killed = [label for label, times in sorted(reached.items()) if killed_at(vmm, label, (times + 1) // 2)]
        note("killed at %s" % ", ".join(killed))
        check(len(killed) >= len(reached) - 2, "killed at %d of %d" % (len(killed), len(reached)))


if __name__ == "__main__":
    tap.main(set_up, tear_down)
