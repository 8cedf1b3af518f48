#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Conversion on the model: what a VMM written from the contract alone sees of private memory."""

import contextlib
import mmap
import os
import time

from gmemtest import linux, tap
from gmemtest.child import RemotePeer
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need, note, test
from gmemtest.unchanged import Watched, limit
from gmemtest.vmm import Vmm
from gmemtest.wire import PACKET_BYTES, close_all, encode, request

PAGES = 64
LARGE = 2 << 30
PIECES = 60000  # of private memory
MANY = 50000
RANGES_MAX = 2048

daemon = operator = None


def set_up():
    global daemon, operator
    config = "[limits]\nprivate-ranges-per-vm = %d\n" % PIECES
    daemon = Daemon(backend="model", gate="required", config=config, keep_closed=False)
    operator = daemon.operator()
    # A closed VM is listed until this process's next: from now on there always is one.
    peer = daemon.peer()
    peer.call("vm.close", {"vm": peer.call("vm.open", {"name": "first"})["vm"]})
    peer.close()


def tear_down():
    operator.close()
    daemon.stop()


@contextlib.contextmanager
def opened(**options):
    """This process's VM, with private memory; gone again behind it, with all its files."""
    fds = daemon.fds()
    options = dict({"gate": "required", "type": "sw_protected"}, **options)
    vmm = Vmm(daemon.peer(), "convert", **options)
    vmm.files = []
    try:
        yield vmm
    finally:
        vmm.peer.error("vm.close", {"vm": vmm.id})
        vmm.peer.close()
        close_all(vmm.files)
    daemon.fds_come_back(fds)


def make(vmm, pages, **options):
    memory, fd = vmm.create(pages * PAGE, **options)
    vmm.files.append(fd)
    return memory, fd


class Halves:
    """A slot with both halves, as their bytes."""

    def __init__(self, vmm, pages=PAGES, slot=0, first=0):
        self.vmm, self.first, self.pages = vmm, first, pages
        self.memory, self.private_fd = make(vmm, pages, flags=[])
        self.shared, self.shared_fd = make(vmm, pages, backing="memfd")
        where = (slot, first * PAGE, pages * PAGE)
        self.bound = vmm.bind(*where, self.memory, self.private_fd, shared_memory=self.shared)
        self.private_bytes = mmap.mmap(self.private_fd, pages * PAGE)
        self.shared_bytes = mmap.mmap(self.shared_fd, pages * PAGE)

    def fill(self):
        for page in range(self.pages):
            self.private_bytes[page * PAGE : page * PAGE + 2] = b"p%c" % page
            self.shared_bytes[page * PAGE : page * PAGE + 2] = b"s%c" % page

    def whole(self, of, page):
        """True: as filled; False: zeroes; or what is there else."""
        bytes_of = self.private_bytes if of == "private" else self.shared_bytes
        found = bytes_of[page * PAGE : page * PAGE + 2]
        return {of[:1].encode() + b"%c" % page: True, bytes(2): False}.get(found, found)

    def lacking(self, of):
        """Its pages that read zeroes. Reading allocates them."""
        lacking = [page for page in range(self.pages) if self.whole(of, page) is not True]
        odd = [page for page in lacking if self.whole(of, page) is not False]
        equal(odd, [], "pages of the %s half with other bytes" % of)
        return lacking

    def close(self):
        self.private_bytes.close()
        self.shared_bytes.close()


def ranges_of(*pages):
    return [{"guest_phys_addr": start * PAGE, "size": size * PAGE} for start, size in pages]


def convert_params(vmm, to, ranges, **options):
    return dict({"vm": vmm.id, "to": to, "ranges": ranges}, **options)


def convert(vmm, to, *pages, **options):
    """The bytes discarded."""
    result = vmm.peer.call("memory.convert", convert_params(vmm, to, ranges_of(*pages), **options))
    equal(sorted(result), ["calls", "discarded"], "the result's members")
    equal(result["calls"], None, "calls")
    return result["discarded"]


def unbind(vmm, slot):
    return {"vm": vmm.id, "slot": slot}


def wait_for(what, holds):
    until = time.monotonic() + 60
    while not holds():
        need(time.monotonic() < until, what)


def private(vmm):
    return [(r["guest_phys_addr"] // PAGE, r["size"] // PAGE) for r in vmm.get()["private_ranges"]]


@test("the model says that it is one")
def describe():
    described = operator.call("host.describe")
    equal(described["backend"], "model", "backend")
    equal(described["gate"]["available"], False, "gate")
    check(described["gate"]["reason"], "why there is no gate")
    types = {t["name"]: t for t in described["kernel"]["vm_types"]}
    equal(sorted(types), ["default", "sw_protected"], "vm_types")
    equal(types["default"]["memory_attributes"], 0, "of the default type")
    equal(types["sw_protected"]["memory_attributes"], 8, "of the other")
    peer = daemon.peer()
    error = peer.error("vm.open", {"name": "x", "gate": "none"})
    equal(error and error["code"], -32002, "gate none, where one is required")
    for kind in ("sev", "snp", "tdx"):
        error = peer.error("vm.open", {"name": "x", "type": kind})
        equal(error and error["code"], -32005, kind)
    error = peer.error("vm.open", {"name": "x", "initial_state": "private"})
    equal(error and error["code"], -32005, "initial_state private of the default type")
    peer.close()


@test("every method does at once what a VMM would have to trigger")
def at_once():
    with opened() as vmm:
        equal((vmm.opened["kvm"], vmm.opened["mailbox"]), (None, None), "kvm and mailbox")
        equal(vmm.get()["state"], "running", "state")
        listener = os.memfd_create("no listener")
        error = vmm.peer.error("vm.gate", {"vm": vmm.id, "listener": listener})
        os.close(listener)
        equal((error["code"], error["data"].get("with")), (-32004, "gate"), "vm.gate")
        params = {"vm": vmm.id, "size": 4 * PAGE, "name": "ram"}
        created, fds = vmm.peer.call_with_fds("memory.create", params)
        vmm.files += fds
        equal((created["call"], len(fds)), (None, 1), "memory.create")
        opened_again, again = vmm.peer.call_with_fds("memory.open", {"memory": created["memory"]})
        vmm.files += again
        same = [(os.fstat(fd).st_dev, os.fstat(fd).st_ino) for fd in fds + again]
        equal(same[0], same[1], "the file of memory.open")
        equal(opened_again["size"], 4 * PAGE, "size")
        os.pwrite(fds[0], b"hello", PAGE)
        equal(os.pread(again[0], 5, PAGE), b"hello", "the bytes")
        params = vmm.bind_params(0, 0, 4 * PAGE, created["memory"], fds[0])
        equal(vmm.peer.call("slot.bind", params), {"call": None}, "slot.bind")
        seen = vmm.get()
        equal([s["state"] for s in seen["slots"]], ["bound"], "the slot")
        equal([m["state"] for m in seen["memories"]], ["ready"], "the memory")
        equal((seen["calls"], seen["resident"]), ([], PAGE), "calls and resident")
        error = vmm.peer.error("call.done", {"vm": vmm.id, "call": 1, "done": 1})
        equal(error and error["code"], -32001, "call.done of no call")
        equal(vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 0}), {"call": None}, "unbind")
        closed = vmm.peer.call("memory.close", {"memory": created["memory"]})
        equal(closed, {"released": PAGE}, "memory.close")
        equal(vmm.get()["committed"], 0, "committed")


@test("vm.close and the end of the process give all back")
def released():
    with opened() as vmm:
        halves = Halves(vmm)
        halves.fill()
        convert(vmm, "private", (0, 8))
        closed = vmm.peer.call("vm.close", {"vm": vmm.id})
        equal(closed, {"released": (2 * PAGES - 8) * PAGE}, "vm.close")
        seen = vmm.get()
        equal((seen["committed"], seen["private_ranges"]), (0, []), "what is left")
        error = vmm.peer.error("memory.convert", convert_params(vmm, "shared", ranges_of((0, 1))))
        equal(error and error["code"], -32008, "memory.convert of a closed VM")
        halves.close()
    fds = daemon.fds()
    with RemotePeer(daemon.socket_path("gmemd.sock")) as other:
        vm = other.call("vm.open", {"name": "ends", "type": "sw_protected"})["vm"]
        created = other.call("memory.create", {"vm": vm, "size": 8 * PAGE})
        params = {"vm": vm, "slot": 0, "guest_phys_addr": 0, "memory_size": 8 * PAGE}
        params.update({"userspace_addr": 1 << 30, "memory": created["memory"]})
        params.update({"guest_memfd_offset": 0, "guest_memfd": 99})
        other.call("slot.bind", params)
        other.call("memory.convert", {"vm": vm, "to": "private", "ranges": ranges_of((0, 8))})
    until = time.monotonic() + 5
    while vm in [v["vm"] for v in operator.call("vm.list")["vms"]] and time.monotonic() < until:
        time.sleep(0.02)
    check(vm not in [v["vm"] for v in operator.call("vm.list")["vms"]], "its VM is listed still")
    daemon.fds_come_back(fds)


@test("a conversion empties the half that went stale, and nothing else")
def stale_half():
    with opened() as vmm:
        halves = Halves(vmm)
        halves.fill()
        equal(vmm.get()["resident"], 2 * PAGES * PAGE, "resident")
        equal(convert(vmm, "private", (8, 4), (20, 1), (12, 2)), 7 * PAGE, "discarded")
        gone = list(range(8, 14)) + [20]
        equal(vmm.get()["resident"], (2 * PAGES - 7) * PAGE, "resident")
        equal(private(vmm), [(8, 6), (20, 1)], "private ranges")
        equal(halves.lacking("private"), [], "the private half")
        equal(halves.lacking("shared"), gone, "the shared half")
        halves.fill()
        equal(convert(vmm, "shared", (0, PAGES)), 64 * PAGE, "discarded")
        equal(private(vmm), [], "private ranges")
        equal(halves.lacking("private"), list(range(PAGES)), "the private half")
        equal(halves.lacking("shared"), [], "the shared half")
        halves.close()


@test("what is as wanted is no conversion, and its stale half goes all the same")
def again():
    with opened() as vmm:
        halves = Halves(vmm)
        equal(convert(vmm, "private", (0, 8)), 0, "discarded of nothing")
        halves.fill()
        equal(convert(vmm, "private", (4, 8)), 8 * PAGE, "discarded, half of it private already")
        equal(convert(vmm, "private", (4, 8)), 0, "discarded again")
        equal(private(vmm), [(0, 12)], "private ranges")
        equal(halves.lacking("shared"), list(range(4, 12)), "the shared half")
        halves.close()


@test("a VM with both halves is charged for one")
def committed():
    size = PAGES * PAGE
    with opened(commit_limit=size) as vmm:
        halves = Halves(vmm)
        equal(vmm.get()["committed"], size, "committed")
        for to in ("private", "shared"):
            convert(vmm, to, (0, PAGES))
            equal(vmm.get()["committed"], size, "committed when " + to)
        watched = Watched(daemon, vmm)
        params = convert_params(vmm, "private", ranges_of((3, 5), (10, 2)), discard=False)
        data = {"scope": "vm", "limit": size, "committed": size, "requested": 7 * PAGE}
        watched.refused(vmm.peer, "memory.convert", params, -32003, **data)
        params = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}
        watched.refused(vmm.peer, "memory.create", params, -32003, scope="vm")
        watched.operator.close()
        halves.close()


@test("what is not discarded is charged until it is")
def kept():
    size = PAGES * PAGE
    with opened() as vmm:
        halves = Halves(vmm)
        halves.fill()
        equal(convert(vmm, "private", (0, 10), discard=False), 0, "discarded")
        equal(vmm.get()["committed"], size + 10 * PAGE, "committed")
        equal(convert(vmm, "private", (5, 10), discard=False), 0, "discarded")
        equal(vmm.get()["committed"], size + 15 * PAGE, "committed, each page once")
        equal(halves.lacking("shared"), [], "the shared half")
        equal(convert(vmm, "private", (0, 5)), 5 * PAGE, "discarded")
        equal(vmm.get()["committed"], size + 10 * PAGE, "committed")
        equal(convert(vmm, "shared", (0, PAGES)), PAGES * PAGE, "discarded of the other half")
        equal(vmm.get()["committed"], size, "committed")
        equal(convert(vmm, "private", (0, 3), discard=False), 0, "discarded")
        vmm.unbind(0)
        equal(vmm.get()["committed"], size, "committed without the slot")
        halves.close()


@test("a VM that is private from the start")
def initially_private():
    with opened(initial_state="private") as vmm:
        halves = Halves(vmm, 8, slot=0, first=0)
        equal(halves.bound, {"call": None, "convert": None}, "slot.bind")
        equal(private(vmm), [(0, 8)], "private ranges")
        other = Halves(vmm, 8, slot=1, first=8)
        equal(private(vmm), [(0, 16)], "one range")
        address = linux.mmap(
            None, PAGE, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS
        )
        vmm.bind_own(2, 16 * PAGE, PAGE, address)
        equal(private(vmm), [(0, 16)], "and none on the VMM's own memory")
        linux.munmap(address, PAGE)
        convert(vmm, "shared", (0, 16))
        vmm.unbind(1)
        params = vmm.bind_params(1, 8 * PAGE, 8 * PAGE, other.memory, other.private_fd)
        other.fill()
        result = vmm.peer.call("slot.bind", dict(params, shared_memory=other.shared))
        equal(result, {"call": None, "convert": None}, "bound again")
        equal(private(vmm), [(8, 8)], "private ranges")
        equal(other.lacking("shared"), list(range(8)), "the stale half")
        halves.close()
        other.close()


@test("several slots and memories: each range to its own file, at its own offset")
def several_slots():
    with opened() as vmm:
        memory, fd = make(vmm, 64, flags=[])
        shared, shared_fd = make(vmm, 64, backing="memfd")
        offsets = {0: (40, 8), 1: (0, 32), 2: (16, 56)}  # the memory's, the shared memory's
        for slot, (offset, other) in offsets.items():
            halves = {"shared_memory": shared, "shared_offset": other * PAGE}
            vmm.bind(slot, slot * 8 * PAGE, 8 * PAGE, memory, fd, offset * PAGE, **halves)
        apart = Halves(vmm, 8, slot=3, first=24)
        apart.fill()
        for page in range(64):
            os.pwrite(fd, b"p", page * PAGE)
            os.pwrite(shared_fd, b"s", page * PAGE)
        equal(convert(vmm, "private", (6, 20)), 20 * PAGE, "discarded")
        gone = [14, 15] + list(range(32, 40)) + list(range(56, 64))
        found = [p for p in range(64) if os.pread(shared_fd, 1, p * PAGE) != b"s"]
        equal(found, gone, "the shared half")
        equal(apart.lacking("shared"), [0, 1], "of the other memory")
        equal([p for p in range(64) if os.pread(fd, 1, p * PAGE) != b"p"], [], "the private half")
        convert(vmm, "shared", (7, 2))
        found = [p for p in range(64) if os.pread(fd, 1, p * PAGE) != b"p"]
        equal(found, [0, 47], "the private half, back again")
        seen = {s["slot"]: s for s in vmm.get()["slots"]}
        equal((seen[1]["shared_memory"], seen[1]["shared_offset"]), (shared, 32 * PAGE), "slot 1")
        error = vmm.peer.error("memory.close", {"memory": shared})
        equal((error["code"], error["data"].get("with")), (-32004, "slot"), "closing what is used")
        apart.close()


def resident(fd):
    return os.stat(fd).st_blocks * 512


@test("a quiet peer is served while gigabytes of a stale half are discarded")
def quiet_meanwhile():
    quiet = daemon.peer()
    quiet.call("ping")
    with opened() as vmm:
        memory, fd = make(vmm, LARGE // PAGE, flags=[])
        shared, shared_fd = make(vmm, LARGE // PAGE, backing="memfd")
        vmm.bind(0, 0, LARGE, memory, fd, shared_memory=shared)
        os.posix_fallocate(shared_fd, 0, LARGE)
        other = daemon.peer()
        params = convert_params(vmm, "private", ranges_of((0, LARGE // PAGE)))
        vmm.peer.send(request("memory.convert", params, 1))
        wait_for("the first of it is gone", lambda: resident(shared_fd) < LARGE)
        pings = 0
        while resident(shared_fd) > 0:
            quiet.call("ping")
            pings += 1
        check(pings > 2, "%d pings were answered meanwhile" % pings)
        equal(vmm.peer.receive_answer()[0]["result"], {"calls": None, "discarded": LARGE}, "answer")
        equal(private(vmm), [(0, LARGE // PAGE)], "private ranges")
        # Of frames whose half is not gone yet, nothing else is done.
        os.posix_fallocate(fd, 0, LARGE)
        vmm.peer.send(request("memory.convert", dict(params, to="shared"), 1))
        wait_for("the first of it is gone", lambda: resident(fd) < LARGE)
        codes = [other.error("memory.convert", params), other.error("slot.unbind", unbind(vmm, 0))]
        need(resident(fd) > 0, "these were asked in time")
        equal([code and code["code"] for code in codes], [-32007, -32007], "busy")
        equal(vmm.peer.receive_answer()[0]["result"]["discarded"], LARGE, "discarded")
        vmm.unbind(0)
        other.close()
    quiet.close()


@test("who closes the VM meanwhile does not wait for it, and all is given back")
def closed_meanwhile():
    with opened() as vmm:
        memory, fd = make(vmm, LARGE // PAGE, flags=[])
        shared, shared_fd = make(vmm, LARGE // PAGE, backing="memfd")
        vmm.bind(0, 0, LARGE, memory, fd, shared_memory=shared)
        os.posix_fallocate(shared_fd, 0, LARGE)
        params = convert_params(vmm, "private", ranges_of((0, LARGE // PAGE)))
        vmm.peer.send(request("memory.convert", params, 1))
        wait_for("the first of it is gone", lambda: resident(shared_fd) < LARGE)
        operator.call("vm.close", {"vm": vmm.id})
        answer = vmm.peer.receive_answer()[0]
        codes = (answer.get("error") or {"code": 0})["code"]
        check(codes in (-32008, 0), "the conversion's answer: %r" % answer)
        equal(resident(shared_fd), 0, "what is left")
        equal(operator.call("vm.get", {"vm": vmm.id})["committed"], 0, "committed")


def bad_ranges():
    """(ranges, the param that is named)"""
    good = ranges_of((0, 1))

    def one(address, size):
        return good + [{"guest_phys_addr": address, "size": size}]

    for size in (1, PAGE - 1, PAGE + 1, 0, -PAGE, 1 << 63, (1 << 64) - PAGE, 1.5, "4096", None):
        yield one(PAGE, size), "ranges[1].size"
    for address in (1, PAGE - 1, -PAGE, 1 << 63, (1 << 64) - PAGE, 1.5, "0", None):
        yield one(address, PAGE), "ranges[1].guest_phys_addr"
    for pages in ((0, 1), (0, 2), (0, 64)):
        yield good + ranges_of(pages), "ranges[1].guest_phys_addr"
    yield ranges_of((8, 2), (4, 1), (0, 9)), "ranges[2].guest_phys_addr"
    yield ranges_of((8, 2), (9, 2), (4, 1)), "ranges[1].guest_phys_addr"
    yield [], "ranges"
    for item in (None, 1, [], "x", True):
        yield good + [item], "ranges[1]"
    yield [0] * RANGES_MAX, "ranges[0]"
    yield [0] * (RANGES_MAX + 1), "ranges"
    yield good + [{"size": PAGE}], "ranges[1].guest_phys_addr"
    yield good + [{"guest_phys_addr": PAGE}], "ranges[1].size"
    yield good + [dict(ranges_of((1, 1))[0], offset=0)], "ranges[1].offset"


def unbound_ranges():
    """The same of what can't be private: nothing is bound there."""
    top = (1 << 63) - PAGE
    for address, size in ((63, 2), (0, 65), (40, 1 << 40)):
        yield ranges_of((1, 1), (address, size)), "ranges[1].size"
    for address in (64, 70, 1 << 40):
        yield ranges_of((address, 1)), "ranges[0].guest_phys_addr"
    for address, size in ((PAGE, top), (top, PAGE), (top, top)):
        ranges = ranges_of((0, 1)) + [{"guest_phys_addr": address, "size": size}]
        yield ranges, lambda param: param.startswith("ranges[1].")


@test("bad ranges: each is named and nothing has changed")
def refused():
    with opened() as vmm:
        halves = Halves(vmm)
        halves.fill()
        convert(vmm, "private", (10, 10), discard=False)
        watched = Watched(daemon, vmm)
        for ranges, param in [*bad_ranges(), *unbound_ranges()]:
            for to in ["private"] + ["shared"] * (ranges not in [bad for bad, _ in unbound_ranges()]):
                params = convert_params(vmm, to, ranges)
                watched.refused(vmm.peer, "memory.convert", params, -32602, param=param)
        for to in ("Private", "", 1, None, ["private"]):
            params = convert_params(vmm, to, ranges_of((0, 1)))
            watched.refused(vmm.peer, "memory.convert", params, -32602, param="to")
        for discard in (0, 1, "true", None, []):
            params = convert_params(vmm, "private", ranges_of((0, 1)), discard=discard)
            watched.refused(vmm.peer, "memory.convert", params, -32602, param="discard")
        params = convert_params(vmm, "private", ranges_of((0, 1)))
        watched.refused(vmm.peer, "memory.convert", dict(params, vm="vm-1"), -32001, id="vm-1")
        watched.refused(operator, "memory.convert", params, -32002)
        equal(private(vmm), [(10, 10)], "private ranges")
        equal(halves.lacking("private") + halves.lacking("shared"), [], "bytes")
        note("%d bad inputs" % watched.cases)
        watched.operator.close()
        halves.close()


@test("frames that were left private are shared again, whatever is bound there by now")
def left_private():
    with opened() as vmm:
        halves = Halves(vmm, 8)
        convert(vmm, "private", (0, 8))
        vmm.unbind(0)
        equal(private(vmm), [(0, 8)], "private ranges outlive the slot")
        equal(convert(vmm, "shared", (0, 2)), 0, "discarded where nothing is bound")
        address = linux.mmap(
            None, PAGE, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS
        )
        vmm.bind_own(1, 2 * PAGE, PAGE, address)
        convert(vmm, "shared", (1, 3))
        equal(private(vmm), [(4, 4)], "private ranges")
        linux.munmap(address, PAGE)
        halves.close()


@test("a memory that can be mapped is both halves")
def one_half():
    with opened() as vmm:
        memory, fd = make(vmm, 8)
        shared, _ = make(vmm, 8, backing="memfd")
        watched = Watched(daemon, vmm)
        params = vmm.bind_params(0, 0, 8 * PAGE, memory, fd, shared_memory=shared)
        watched.refused(vmm.peer, "slot.bind", params, -32602, param="shared_memory")
        watched.operator.close()
        vmm.bind(0, 0, 8 * PAGE, memory, fd)
        os.pwrite(fd, b"one", 0)
        convert(vmm, "private", (0, 8))
        convert(vmm, "shared", (0, 8))
        equal(os.pread(fd, 3, 0), b"one", "its bytes, after a round trip")


@test("the VMM's own memory, and VMs without private memory")
def own_memory():
    with opened() as vmm:
        address = linux.mmap(
            None, PAGE, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS
        )
        vmm.bind_own(0, 0, PAGE, address)
        watched = Watched(daemon, vmm)
        params = convert_params(vmm, "private", ranges_of((0, 1)))
        param = "ranges[0].guest_phys_addr"
        watched.refused(vmm.peer, "memory.convert", params, -32602, param=param)
        watched.operator.close()
        linux.munmap(address, PAGE)
    with opened(type="default") as vmm:
        memory, fd = make(vmm, 8)
        vmm.bind(0, 0, 8 * PAGE, memory, fd)
        watched = Watched(daemon, vmm)
        params = {"vm": vmm.id, "size": PAGE, "flags": []}
        watched.refused(vmm.peer, "memory.create", params, -32602, param="flags")
        for to in ("private", "shared"):
            params = convert_params(vmm, to, ranges_of((0, 1)))
            watched.refused(vmm.peer, "memory.convert", params, -32005)
        watched.operator.close()


def fitting(vmm, to, first, room):
    """Every second page from first on, as many as a packet of that length holds."""
    start = len(encode(request("memory.convert", convert_params(vmm, to, []), 1)))
    count, length = 0, start
    while True:
        length += len(encode(ranges_of((first + 2 * count, 1))[0])) + (count > 0)
        if length > room:
            return ranges_of(*((first + 2 * i, 1) for i in range(count)))
        count += 1


@test("as many ranges as a packet holds, and one more")
def full_packets():
    with opened() as vmm:
        Halves(vmm, 8192).close()
        ranges = fitting(vmm, "private", 0, PACKET_BYTES)
        need(1000 < len(ranges) < 4096, "a packet of ranges")
        packet = encode(request("memory.convert", convert_params(vmm, "private", ranges), 1))
        watched = Watched(daemon, vmm)
        longer = packet + b" " * (PACKET_BYTES + 1 - len(packet))
        watched.error(vmm.peer, longer, -32600, None, limit=PACKET_BYTES, described="too long")
        watched.operator.close()
        vmm.peer.send(longer[:PACKET_BYTES])
        answer, _ = vmm.peer.receive_answer()
        equal(answer.get("result"), {"calls": None, "discarded": 0}, "exactly the limit")
        equal(vmm.get()["private_ranges"], ranges, "private ranges")


@test("vm.get, page by page, of %d private ranges" % MANY)
def many():
    with opened() as vmm:
        halves = Halves(vmm, 2 * MANY)
        done, pages = [], 0
        while len(done) < MANY:
            ranges = fitting(vmm, "private", 2 * len(done), PACKET_BYTES - 100)
            ranges = ranges[: MANY - len(done)]
            vmm.peer.call("memory.convert", convert_params(vmm, "private", ranges))
            done += ranges
        equal(vmm.get()["private_ranges"] == done, True, "put together")
        page = vmm.peer.call("vm.get", {"vm": vmm.id})
        while "cursor" in page:
            pages += 1
            page = vmm.peer.call("vm.get", {"vm": vmm.id, "cursor": page["cursor"]})
        check(pages > 10, "pages")
        equal(convert(vmm, "shared", (0, 2 * MANY)), 0, "discarded")
        equal(private(vmm), [], "all shared by one range")
        halves.close()


@test("as many pieces of private memory as there may be, and the way back")
def pieces():
    with opened() as vmm:
        Halves(vmm, 2 * PIECES + 8).close()
        pieces = operator.call("host.describe")["limits"]["private_ranges_per_vm"]
        equal(pieces, PIECES, "the limit as it is told")
        for first in range(0, PIECES, 1000):
            ranges = ranges_of(*((2 * i, 1) for i in range(first, first + 1000)))
            vmm.peer.call("memory.convert", convert_params(vmm, "private", ranges))
        watched = Watched(daemon, vmm)
        params = convert_params(vmm, "private", ranges_of((2 * PIECES + 1, 1)))
        told = limit("private-ranges-per-vm", PIECES, "vm")
        watched.refused(vmm.peer, "memory.convert", params, -32007, **told)
        convert(vmm, "private", (1, 1))
        convert(vmm, "private", (2 * PIECES + 1, 1))
        params = convert_params(vmm, "shared", ranges_of((1, 1)))
        watched.refused(vmm.peer, "memory.convert", params, -32007, **told)
        convert(vmm, "shared", (0, 3))
        equal(len(private(vmm)), PIECES - 1, "pieces")
        convert(vmm, "private", (0, 2 * PIECES + 8))
        equal(private(vmm), [(0, 2 * PIECES + 8)], "one piece")
        watched.operator.close()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
