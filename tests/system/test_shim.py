#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmem-run --shim: an unmodified QEMU, with the gate and gmemd's default policy, as an unprivileged user.

Its guest is a firmware that checks its memory all the while, or Debian's as far as it finds nothing to boot.
"""

import contextlib
import re
import time

from gmemtest import qemu, tap
from gmemtest.host import Host
from gmemtest.qemu import Programs, Qemu, wait_until
from gmemtest.tap import check, equal, note, test

MIB = 1 << 20
RAM = 320 * MIB
PC = ("-M", "pc", "-m", "320")
MEMFD = ("-M", "q35,memory-backend=ram", "-m", "320", "-object", "memory-backend-memfd,id=ram,size=320M")
SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
RELEASE_MS = 300
STARTS = 20

host = programs = operator = None


def set_up():
    global host, programs, operator
    qemu.require()
    host = Host(gate="required")
    programs = Programs(host)
    operator = host.operator()
    Qemu.processor = qemu.find_processor()


def tear_down():
    operator.close()
    host.stop()


def vms():
    return operator.call("vm.list")["vms"]


def view():
    """The one VM."""
    found = vms()
    equal(len(found), 1, "VMs")
    return operator.call("vm.get", {"vm": found[0]["vm"]})


@contextlib.contextmanager
def running(*options, **how):
    vmm = Qemu(programs, *options, **how)
    try:
        vmm.connect()
        yield vmm
        equal(vmm.end(), 0, "QEMU's status; " + vmm.said())
    finally:
        if not vmm.ended():
            vmm.kill()
    wait_until(lambda: not vms(), "the VM's end")


def maps(pid):
    with open("/proc/%d/maps" % pid, encoding="ascii") as file:
        return file.read()


def brokered(shown, name):
    """It has one memory of that name, which is all the RAM, and all of that is bound to it."""
    equal([memory["size"] for memory in shown["memories"]], [RAM], "sizes of the memories")
    check(re.fullmatch(name, shown["memories"][0]["name"]), "the memory's name: %s" % shown["memories"][0]["name"])
    equal(shown["committed"], RAM, "what is charged")
    bound = [slot for slot in shown["slots"] if slot["memory"] is not None]
    check(sum(slot["memory_size"] for slot in bound) > RAM - 2 * MIB, "what is bound to it: %s" % bound)


@test("anonymous RAM, which is the default")
def anonymous():
    with running(*PC) as vmm:
        vmm.goes_on()
        brokered(view(), "ram-1")
        equal(maps(vmm.pid).count("[kvm-gmem]"), 1, "mappings of it")
        check(RAM > view()["resident"] > 0, "resident: %d" % view()["resident"])
        equal(vmm.qmp("query-kvm")["enabled"], True, "KVM")
        vmm.qmp("stop")
        vmm.qmp("cont")
        vmm.goes_on()
        vmm.qmp("system_reset")
        vmm.goes_on()


@test("memory-backend-memfd with its default seals, below QEMU's own sandbox; an alias of RAM at q35's start")
def memfd():
    with running(*MEMFD, *SANDBOX) as vmm:
        vmm.goes_on()
        brokered(view(), "memory-backend-memfd-1")


def boots(*options):
    with running(*options, "-m", "320", bios=False) as vmm:
        began = time.monotonic()
        vmm.shows("No bootable device.")
        note("Debian's firmware is through after %.1f s" % (time.monotonic() - began))
        brokered(view(), "ram-1|memory-backend-memfd-1")


@test("Debian's firmware, pc")
def firmware_pc():
    boots("-M", "pc")


@test("Debian's firmware, q35 with a memfd and a graphics card, whose memory is QEMU's own")
def firmware_q35():
    boots(*MEMFD, "-vga", "std")


@test("%d starts with io_uring in QEMU's main loop: each has KVM" % STARTS)
def starts():
    for _ in range(STARTS):
        with running(*PC, "-S") as vmm:
            equal(vmm.qmp("query-kvm")["enabled"], True, "KVM")


@test("QEMU is killed: its VM is gone within %d ms" % RELEASE_MS)
def killed():
    fastest = min(kill_one() for _ in range(3))
    note("after %d ms" % fastest)
    check(fastest <= RELEASE_MS, "it took %d ms" % fastest)


def kill_one():
    vmm = Qemu(programs, *PC).connect()
    vmm.goes_on()
    began = time.monotonic()
    vmm.kill()
    wait_until(lambda: not vms(), "the VM's end")
    return (time.monotonic() - began) * 1000


if __name__ == "__main__":
    tap.main(set_up, tear_down)
