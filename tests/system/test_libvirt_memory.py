#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The memory of domains as people write them, on KVM, with the hook that reserves it: what gmemd has on its books after each
step, and what the guest finds in its memory."""

import contextlib
import os

from gmemtest import domains, huge, libvirt, tap
from gmemtest.domains import MIB, NAME, Domains
from gmemtest.huge import PAGE_2M, HugePages
from gmemtest.libvirt import do, virsh
from gmemtest.qemu import slurp, wait_until
from gmemtest.tap import Skip, check, equal, need, test

LIMIT = 1024  # MiB on the host
SIZE = 128
STARTS = 20
MEMFD = "<memoryBacking><source type='memfd'/><access mode='%s'/></memoryBacking>"
CELL = "<cell id='%d' memory='%d' unit='MiB'%s/>"
ROOM = {"most": "<maxMemory slots='4' unit='MiB'>512</maxMemory>", "numa": "<numa>" + CELL % (0, SIZE, " cpus='0'") + "</numa>"}
DIMM = "<memory model='dimm'><target><size unit='MiB'>%d</size><node>0</node></target></memory>"
OWN = "<metadata><gmem:memory xmlns:gmem='urn:gmemd:domain' limit='160M'/></metadata>"
LOG = "/var/log/libvirt/qemu/%s.log" % NAME

# What memory a domain may have: its XML, what is gmemd's of it in MiB, and in how many memories.
VARIANTS = (
    ("anonymous, pc", {"machine": "pc"}, SIZE, 1),
    ("anonymous, q35", {}, SIZE, 1),
    ("a shared memfd", {"backing": MEMFD % "shared"}, SIZE, 1),
    ("a shared memfd, pc", {"backing": MEMFD % "shared", "machine": "pc"}, SIZE, 1),
    ("not merged with others' pages", {"backing": "<memoryBacking><nosharepages/></memoryBacking>"}, SIZE, 1),
    ("two NUMA cells", {"numa": "<numa>%s%s</numa>" % (CELL % (0, 64, " cpus='0'"), CELL % (1, 64, ""))}, SIZE, 2),
    (
        "two NUMA cells, one of them a shared memfd",
        {
            "backing": MEMFD % "private",
            "numa": "<numa>%s%s</numa>" % (CELL % (0, 64, " cpus='0' memAccess='shared'"), CELL % (1, 64, "")),
        },
        64,
        1,
    ),
    ("a private memfd: QEMU's own", {"backing": MEMFD % "private"}, 0, 0),
    ("a file: QEMU's own", {"backing": "<memoryBacking><source type='file'/></memoryBacking>"}, 0, 0),
    ("shared, of no source that is named: QEMU's own", {"backing": "<memoryBacking><access mode='shared'/></memoryBacking>"}, 0, 0),
)
ALLOCATED = "<memoryBacking>%s<allocation mode='immediate'/></memoryBacking>"
LOCKED = {"backing": "<memoryBacking><locked/></memoryBacking>", "tuning": "<memtune><hard_limit unit='MiB'>1024</hard_limit></memtune>"}

here = None


def set_up():
    global here
    domains.require()
    libvirt.make_directories()
    domains.give_device()
    here = Domains("[limits]\ncommit-limit = %d\n" % (LIMIT * MIB))


def tear_down():
    here.end()


def memories():
    return here.view()["memories"]


@test("domains' memory: what of it is gmemd's is charged once, and what its hook has reserved is its promise")
def variants():
    for name, values, brokered, count in VARIANTS:
        here.define(**values)
        here.start()
        here.has(brokered, SIZE, name)
        equal((len(memories()), sum(one["size"] for one in memories()) // MIB), (count, brokered), name + ": memories")
        through = {slot["through"] for slot in here.view()["slots"] if slot["memory"] is not None}
        check(through <= {"guest_memfd", "mapping"} and ("guest_memfd" in through) == (count > 0), "%s: slots through %s" % (name, through))
        check(here.charged() >= here.view()["resident"], "%s: its machine's cgroup is charged" % name)
        here.destroy()


def has_all_of_it(name):
    here.goes_on()
    here.has(SIZE, SIZE, name)
    equal(here.view()["resident"] // MIB, SIZE, name + ": what is there")
    check(here.charged() >= SIZE * MIB, "%s: its machine is charged %d" % (name, here.charged()))
    here.destroy()


@test("allocated at once: all of it is there, and charged to its machine")
def allocated():
    for source in ("", "<source type='memfd'/><access mode='shared'/>"):
        here.define(backing=ALLOCATED % source)
        here.start()
        has_all_of_it("with " + (source or "no source"))


@test("locked: the same")
def locked():
    here.define(**LOCKED)
    here.forget_console()
    status, said = virsh("start", NAME)
    if status != 0 and "cannot limit locked memory" in said:
        raise Skip("root may not raise the limit of locked memory here")
    need(status == 0, said)
    has_all_of_it("locked")


@contextlib.contextmanager
def huge_pages():
    """As many as a domain has, and a libvirtd that has seen where they are."""
    pages = HugePages(SIZE * MIB // PAGE_2M)
    try:
        os.mkdir("/run/huge")
        libvirt.mount("-t", "hugetlbfs", "-o", "pagesize=2M", "hugetlbfs", "/run/huge")
        here.libvirtd.stop()
        here.libvirtd.start()
        yield
    finally:
        pages.give_back()


@test("huge pages: gmemd's, all of them reserved, also when the domain is restored")
def huge_domain():
    with huge_pages():
        before = huge.counts()
        here.define(backing="<memoryBacking><hugepages/><source type='memfd'/><access mode='shared'/></memoryBacking>")
        here.start()
        here.has(SIZE, SIZE, "with huge pages")
        equal([memory["page_size"] for memory in memories()], [PAGE_2M], "pages")
        total, free, reserved = huge.counts()
        equal(free - reserved, before[1] - before[2] - SIZE * MIB // PAGE_2M, "what is left to others")
        do("managedsave", NAME)
        here.gone()
        do("start", NAME)
        here.has(SIZE, SIZE, "restored")
        went_on("restored")
        here.destroy()
        wait_until(lambda: huge.counts() == before, "the host has them again")


def attach(size):
    return virsh("attach-device", NAME, here.write("dimm", DIMM % size), "--live")


def detach(size):
    do("detach-device", NAME, here.write("dimm", DIMM % size), "--live")


@test("a DIMM is attached to a domain that runs, and detached, which is when its guest lets go of it")
def dimm():
    for name, backing in (("anonymous", ""), ("memfd", MEMFD % "shared")):
        here.define(backing=backing, **ROOM)
        here.start()
        here.has(SIZE, 512, name)
        for _ in range(2):
            equal(attach(64)[0], 0, name + ": attaching")
            here.has(SIZE + 64, 512, name + ", attached")
            here.goes_on()
            detach(64)
            here.has(SIZE, 512, name + ", detached")
            here.goes_on()
        equal(attach(64)[0], 0, name + ": attaching")
        do("suspend", NAME)
        detach(64)  # libvirt has asked, and waits no longer
        here.has(SIZE + 64, 512, name + ", while its guest doesn't run")
        do("resume", NAME)
        here.has(SIZE, 512, name + ", once it does")
        here.destroy()


@test("a DIMM past what its metadata allows is refused with the reason in QEMU's log, and the guest goes on")
def too_large():
    here.define(backing=MEMFD % "shared", metadata=OWN, **ROOM)
    here.start()
    here.has(SIZE, 160, "a limit of its own")
    status, said = attach(64)
    check(status != 0, "attaching 64 MiB where 32 are left")
    reason = slurp(LOG).splitlines()[-1]
    check("limit of the vm" in reason, "the log ends with: " + reason)
    here.has(SIZE, 160, "after the refusal")
    here.goes_on()
    equal(attach(32)[0], 0, "attaching what is left")
    here.has(160, 160, "with the rest")
    status, said = attach(512)
    check(status != 0 and "exceed" in said, "past maxMemory libvirt refuses itself: " + said)
    here.destroy()


@test("an anonymous one that is refused is QEMU's end, with the reason in its log, and leaves nothing")
def anonymous_too_large():
    here.define(metadata=OWN, **ROOM)
    here.start()
    status, _ = attach(64)
    check(status != 0, "attaching 64 MiB where 32 are left")
    here.gone()
    wait_until(lambda: do("domstate", NAME) == "shut off", "libvirt has heard of its end")
    reasons = [line for line in slurp(LOG).splitlines() if "gmemd refused" in line]
    check(reasons and "limit of the vm" in reasons[-1] and "ram-" in reasons[-1], "its log: " + slurp(LOG)[-1000:])


def went_on(what):
    """It is where it was, and didn't begin anew."""
    here.goes_on()
    check("S" not in slurp(here.console()), what + ": the guest has begun anew")


def measure_writes(mode):
    """The guest writes to all its memory meanwhile; afterwards its slots are as they were."""
    do("domdirtyrate-calc", NAME, "--seconds", "1", "--mode=" + mode)
    wait_until(lambda: "dirtyrate.calc_status=2" in do("domstats", "--dirtyrate", NAME), "the dirty rate")
    here.goes_on()
    check(same_slots(), mode)


def same_slots():
    return {slot["through"] for slot in here.view()["slots"] if slot["memory"]} == {"guest_memfd"}


@test("suspend, resume, reset, setmem, dirty rate, dump, save, restore, managed save: charged once all the while")
def life():
    for name, values in (("anonymous", {}), ("memfd", {"backing": MEMFD % "shared", "machine": "pc"})):
        here.define(**values)
        here.start()
        path = os.path.join(here.programs.scratch, "saved")
        for words in (
            ["suspend", NAME],
            ["resume", NAME],
            ["setmem", NAME, "64M", "--live"],
            ["dump", "--memory-only", "--live", NAME, path],
        ):
            do(*words)
            here.has(SIZE, SIZE, "%s: %s" % (name, words[0]))
        for mode in ("page-sampling", "dirty-bitmap"):
            measure_writes(mode)
            here.has(SIZE, SIZE, "%s: %s" % (name, mode))
        os.unlink(path)
        do("reset", NAME)
        here.has(SIZE, SIZE, name + ": reset")
        here.goes_on()
        do("save", NAME, path)
        here.gone()
        do("restore", path)
        here.has(SIZE, SIZE, name + ": restored")
        went_on(name + ": restored")
        do("managedsave", NAME)
        here.gone()
        do("start", NAME)
        here.has(SIZE, SIZE, name + ": managed save")
        went_on(name + ": managed save")
        here.destroy()


@contextlib.contextmanager
def others_have(size):
    """So many MiB are reserved for others."""
    params = {"name": "others", "size": size * MIB, "ttl_ms": 600000}
    kept = here.operator.call("reservation.create", params)["reservation"]
    yield
    here.operator.call("reservation.cancel", {"reservation": kept})


def refused_for_room(*words):
    status, said = virsh(*words)
    check(status != 0 and "limit of the host" in said, "%s: %s" % (" ".join(words), said))
    equal((here.books()[0], here.vms()), (0, []), "after " + words[0])


@test("a saved domain that there is no room for is refused, restored and started, and is saved still")
def no_room_for_saved():
    here.define()
    here.start()
    path = os.path.join(here.programs.scratch, "saved")
    do("save", NAME, path)
    here.gone()
    with others_have(LIMIT - SIZE + 1):
        refused_for_room("restore", path)
    do("restore", path)
    went_on("restored")
    do("managedsave", NAME)
    here.gone()
    with others_have(LIMIT - SIZE + 1):
        refused_for_room("start", NAME)
    do("start", NAME)
    went_on("from its managed save")
    here.destroy()


@test("%d starts and stops leave no memory, charge, reservation, cgroup or file" % STARTS)
def starts():
    here.define()
    here.start()
    here.destroy()
    before, cgroups = here.host.fds(), machines()
    for _ in range(STARTS):
        do("start", NAME)
        here.has(SIZE, SIZE, "started")
        here.destroy()
    equal(here.operator.call("reservation.list")["reservations"], [], "reservations")
    equal(machines() - cgroups, set(), "cgroups of machines")
    wait_until(lambda: here.host.fds() <= before, "gmemd's files are as before")


def machines():
    return {os.path.join(path, name) for path in libvirt.machine_cgroups() for name in os.listdir(path) if NAME in name}


@test("what virsh dommemstat shows is what gmemctl show has, where they show the same")
def statistics():
    here.define()
    here.start()
    stats = {name: int(value) << 10 for name, value in (line.split() for line in do("dommemstat", NAME).splitlines())}
    equal(stats["actual"], here.view()["committed"], "what the guest has been given")
    check(stats["rss"] >= here.view()["resident"] > 0, "of QEMU's %d bytes are %d the guest's" % (stats["rss"], here.view()["resident"]))
    do("setmem", NAME, "64M", "--live")
    stats = dict(line.split() for line in do("dommemstat", NAME).splitlines())
    need(int(stats["actual"]) == SIZE << 10, "a guest without a balloon driver gives nothing back")
    here.destroy()


if __name__ == "__main__":
    libvirt.enter(__file__)
    tap.main(set_up, tear_down)
