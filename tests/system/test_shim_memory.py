#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An unmodified QEMU's memory backends under gmem-run --shim: plugged and unplugged, of NUMA nodes, allocated, locked, shared.

What is gmemd's is charged exactly, before and after; what can't be is shown as the VMM's own, and refused by its name past its limit.
"""

import contextlib
import os
import subprocess

from gmemtest import huge, linux, qemu, tap
from gmemtest.host import Host
from gmemtest.huge import PAGE_2M, HugePages
from gmemtest.qemu import Programs, Qemu, as_nobody, slurp, wait_until
from gmemtest.tap import Skip, check, equal, test

MIB = 1 << 20
RAM = 320 * MIB
PLUGGED = 64 * MIB
PC = ("-M", "pc", "-m", "320")
ROOM = ("-M", "pc", "-m", "320,slots=4,maxmem=2G")
STORAGE = "qemu-storage-daemon"
# cli; writes what follows to the debug console; halts
BOOT_CODE = b"\xfa\xba\x02\x04\xbe\x14\x7c\x2e\xac\x84\xc0\x74\x03\xee\xeb\xf7\xf4\xeb\xfd\x90"

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
    return operator.call("vm.get", {"vm": vms()[0]["vm"]})


def memory(name):
    return next((memory for memory in view()["memories"] if memory["name"].rpartition("-")[0] == name), None)


@contextlib.contextmanager
def running(*options, **how):
    vmm = Qemu(programs, *options, **how)
    try:
        yield vmm.connect()
        equal(vmm.end(), 0, "QEMU's status; " + vmm.said())
    finally:
        if not vmm.ended():
            vmm.kill()
    wait_until(lambda: not vms(), "the VM's end")


def charged(expected, what):
    wait_until(lambda: view()["committed"] == expected, "%s: %d bytes are charged" % (what, expected))


def bound(size):
    return [slot["through"] for slot in view()["slots"] if slot["memory_size"] == size]


def plug(vmm, kind):
    vmm.qmp("object-add", **{"qom-type": kind, "id": "more", "size": PLUGGED})
    vmm.qmp("device_add", driver="pc-dimm", id="dimm", memdev="more")
    charged(RAM + PLUGGED, "plugged")
    equal(bound(PLUGGED), ["guest_memfd"], "the slot of what was plugged")
    vmm.goes_on()


def unplug(vmm):
    vmm.qmp("device_del", id="dimm")
    wait_until(lambda: not bound(PLUGGED), "the slot is gone")
    vmm.qmp("object-del", id="more")
    charged(RAM, "unplugged")
    vmm.goes_on()


@test("backends are added, plugged, unplugged and deleted")
def hot_plug():
    with running(*ROOM) as vmm:
        vmm.goes_on()
        charged(RAM, "at first")
        for kind in ("memory-backend-ram", "memory-backend-memfd"):
            plug(vmm, kind)
            unplug(vmm)
        vmm.qmp("object-add", **{"qom-type": "memory-backend-memfd", "id": "unused", "size": PLUGGED})
        charged(RAM + PLUGGED, "added, and not plugged")
        vmm.qmp("object-del", id="unused")
        charged(RAM, "deleted")


@test("two NUMA nodes, of either kind of backend, allocated beforehand")
def numa():
    half = "%d" % (RAM // 2)
    backends = ("-object", "memory-backend-memfd,id=a,prealloc=on,host-nodes=0,policy=bind,size=" + half)
    backends += ("-object", "memory-backend-ram,id=b,prealloc=on,host-nodes=0,policy=bind,size=" + half)
    with running(*PC, *backends, "-numa", "node,memdev=a", "-numa", "node,memdev=b") as vmm:
        vmm.goes_on()
        charged(RAM, "both")
        for name in ("memory-backend-memfd", "ram"):
            equal(memory(name)["resident"], RAM // 2, "allocated of " + name)
            equal(memory(name)["node"], 0, "the host's node that %s is bound to" % name)
        equal(len(view()["memories"]), 2, "memories")
        equal({slot["through"] for slot in view()["slots"] if slot["memory"] is not None}, {"guest_memfd"}, "their slots")


@test("all of it locked")
def locked():
    # As root: what others may lock is limited, and not everywhere by what root may set.
    with running(*PC, "-overcommit", "mem-lock=on", user=linux.die_with_parent) as vmm:
        vmm.goes_on()
        charged(RAM, "it")
        equal(view()["resident"], RAM, "allocated")


@test("virtio-mem: what is not plugged is not there")
def virtio_mem():
    for kind in ("ram", "memfd"):
        backend = "memory-backend-%s,id=more,size=%d" % (kind, 2 * PLUGGED)
        device = "virtio-mem-pci,memdev=more,requested-size=0"
        with running(*ROOM, "-object", backend, "-device", device) as vmm:
            vmm.goes_on()
            charged(RAM + 2 * PLUGGED, "with it")
            sizes = {memory["size"]: memory["resident"] for memory in view()["memories"]}
            equal(sizes[2 * PLUGGED], 0, "resident of what is not plugged")


HUGE = 128 * MIB
HUGE_RAM = ("-M", "pc,memory-backend=ram", "-m", "%d" % (HUGE // MIB), "-object")
HUGE_BACKEND = "memory-backend-memfd,hugetlb=on,id=ram,size=%d" % HUGE


@contextlib.contextmanager
def huge_pages(size):
    pages = HugePages(size // PAGE_2M)
    try:
        yield
    finally:
        pages.give_back()


def memory_of_huge_pages():
    [found] = view()["memories"]
    equal([found["size"], found["backing"], found["page_size"]], [HUGE, "memfd", PAGE_2M], "the memory")
    charged(HUGE, "it")
    bound = [slot for slot in view()["slots"] if slot["memory"] is not None]
    equal({slot["through"] for slot in bound}, {"mapping"}, "its slots")
    check(sum(slot["memory_size"] for slot in bound) > HUGE - 2 * MIB, "what is bound to it: %s" % bound)
    return found


@test("hugetlb=on: gmemd's huge pages, all of them reserved, to the end of Debian's firmware")
def huge_memory():
    with huge_pages(HUGE):
        before = huge.counts()
        with running(*HUGE_RAM, HUGE_BACKEND, bios=False) as vmm:
            vmm.shows("No bootable device.")
            touched = memory_of_huge_pages()["resident"]
            check(HUGE > touched > 0, "resident: %d" % touched)
            total, free, reserved = huge.counts()
            equal(free - reserved, before[1] - before[2] - HUGE // PAGE_2M, "what is left to others")
        wait_until(lambda: huge.counts() == before, "the host has them again")


@test("hugetlb=on,hugetlbsize=2M,prealloc=on; writes are logged and no longer, and the guest goes on")
def huge_logged():
    with huge_pages(HUGE):
        with running(*HUGE_RAM, HUGE_BACKEND + ",hugetlbsize=2M,prealloc=on") as vmm:
            vmm.goes_on()
            equal(memory_of_huge_pages()["resident"], HUGE, "allocated")
            vmm.qmp("migrate", uri="exec:cat >/dev/null")
            wait_until(lambda: vmm.qmp("query-migrate").get("status") == "completed", "the migration's end")
            vmm.qmp("cont")
            vmm.goes_on()
            memory_of_huge_pages()


@test("hugetlb=on,share=off: QEMU's own, though the host has no more than it needs")
def huge_private():
    with huge_pages(HUGE), running(*HUGE_RAM, HUGE_BACKEND + ",share=off") as vmm:
        vmm.goes_on()
        equal(view()["memories"], [], "memories")


@test("hugetlb=on, and the host has too few: refused with what there is")
def no_huge_pages():
    if not os.path.isdir(huge.folder()):
        raise Skip("the kernel has no huge pages of 2 MiB")
    size = (huge.available() + 1) * PAGE_2M + 1024 * MIB
    vmm = Qemu(programs, "-m", "%d" % (size // MIB), *HUGE_RAM[:2], "-object", "memory-backend-memfd,hugetlb=on,id=ram,size=%d" % size)
    vmm.process.wait(60)
    check(vmm.process.returncode != 0 and "huge pages of %d bytes are more than the host has" % PAGE_2M in vmm.said(), vmm.said())
    wait_until(lambda: not vms(), "the VM's end")


# What gmemd can't be the owner of, and what is said of it.
OTHERS = (
    ("memory-backend-memfd,share=off", "(share=off); for RAM of gmemd's write memory-backend-memfd,share=on"),
    ("memory-backend-ram,share=on", "(memory-backend-ram,share=on); for RAM of gmemd's"),
    ("memory-backend-file,share=on,mem-path=%s", "(memory-backend-file); for RAM of gmemd's"),
)


def with_backend(kind, mib):
    if "%s" in kind:
        kind %= os.path.join(programs.scratch, "backing-%d" % mib)
    return ("-M", "pc,memory-backend=ram", "-m", str(mib), "-object", "%s,id=ram,size=%dM" % (kind, mib))


@test("what can't be gmemd's is the VMM's own, and nothing is charged for it")
def own():
    for kind, _ in OTHERS:
        with running(*with_backend(kind, 64)) as vmm:
            vmm.goes_on()
            equal(view()["memories"], [], "memories with " + kind)
            check([slot for slot in view()["slots"] if slot["memory"] is None and slot["memory_size"] > 32 * MIB], "slots")
            equal(view()["committed"], 0, "what is charged")


@test("past its limit it is refused by its name, with what to write in its place")
def too_much():
    for kind, text in OTHERS:
        vmm = Qemu(programs, *with_backend(kind, 320))
        vmm.process.wait(60)
        check(vmm.process.returncode != 0 and text in vmm.said(), "%s: %s" % (kind, vmm.said()))
    wait_until(lambda: not vms(), "the VM's end")


@contextlib.contextmanager
def storage(path, disk):
    """A back end that has a disk, and no library of ours."""
    arguments = [STORAGE, "--blockdev", "driver=file,node-name=disk,filename=" + disk]
    arguments += ["--export", "type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=" + path]
    try:
        process = subprocess.Popen(arguments, preexec_fn=as_nobody)
    except FileNotFoundError:
        raise Skip("no " + STORAGE) from None
    try:
        wait_until(lambda: os.path.exists(path), "the back end's socket")
        yield process
    finally:
        process.kill()
        process.wait()


@test("a vhost-user back end has the guest's memory: a boot from its disk")
def vhost_user():
    disk, path = os.path.join(programs.scratch, "boot"), os.path.join(programs.scratch, "vhost")
    with open(disk, "wb") as file:
        file.write((BOOT_CODE + b"booted from it\n\0").ljust(510, b"\0") + b"\x55\xaa".ljust(MIB, b"\0"))
    os.chmod(disk, 0o666)
    backend = ("-M", "q35,memory-backend=ram", "-m", "320", "-object", "memory-backend-memfd,id=ram,size=320M")
    device = ("-chardev", "socket,id=disk,path=" + path, "-device", "vhost-user-blk-pci,chardev=disk,bootindex=0")
    with storage(path, disk) as process, running(*backend, *device, bios=False) as vmm:
        vmm.shows("booted from it")
        check("[kvm-gmem]" in slurp("/proc/%d/maps" % process.pid), "the back end has mapped the guest_memfd")
        charged(RAM, "it")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
