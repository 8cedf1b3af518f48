#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memories of huge pages on the wire: reserved from their creation, counted, given back, outliving gmemd, and gone with their VM."""

import ctypes
import fcntl
import mmap
import os

from gmemtest import huge, linux, tap
from gmemtest.child import Child
from gmemtest.host import Host, wait_until
from gmemtest.huge import MIB, PAGE_2M, HugePages
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer, RpcError

PAGES = 16
GIB = 1 << 30

host = vmm = pages = None
idle = None  # counts without a memory


def set_up():
    global host, pages, idle
    linux.require_guest_memfd()
    pages = HugePages(PAGES)
    idle = huge.counts()
    try:
        host = Host()
    except BaseException:
        pages.give_back()
        raise


def tear_down():
    try:
        if vmm:
            vmm.close_files()
        host.stop()
    finally:
        pages.give_back()


def create_params(size, **options):
    return dict({"vm": vmm.id, "size": size, "backing": "memfd", "page_size": PAGE_2M}, **options)


def create(count, **options):
    """(its id, its fd) of so many pages."""
    result, fds = vmm.peer.call_with_fds("memory.create", create_params(count * PAGE_2M, **options))
    return result["memory"], fds[result["fd"]]


def close(memory, fd):
    """The host has its pages when gmemd and its keeper have closed the file."""
    os.close(fd)
    released = vmm.peer.call("memory.close", {"memory": memory})["released"]
    check(wait_until(lambda: huge.counts() == idle), "the host has %s of %s" % (huge.counts(), idle))
    return released


def refused(method, params):
    error = vmm.peer.error(method, params)
    check(error, "it is refused: %s" % params)
    return error or {"data": {}}


def names(method, params, param):
    equal(refused(method, params)["data"].get("param"), param, "what is wrong with %s" % params)


def view(memory):
    return next(one for one in vmm.get()["memories"] if one["memory"] == memory)


def taken(before):
    """(pages that are not free any more, pages that are reserved), since then."""
    now = huge.counts()
    return before[1] - now[1], now[2] - before[2]


def touches(fd, offset, size):
    """Whether a process can write to all of it; the kernel ends it where it has no page."""
    pid = os.fork()
    if pid == 0:
        mapped = mmap.mmap(fd, size, offset=offset)
        for at in range(0, size, PAGE_2M):
            mapped[at] = 1
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


class TakeAll:
    """All free huge pages of the host that are not reserved."""

    def __enter__(self):
        self.fd = os.memfd_create("all", os.MFD_HUGETLB | os.MFD_HUGE_2MB)
        size = huge.available() * PAGE_2M
        os.ftruncate(self.fd, size)
        linux.allocate(self.fd, 0, size)
        equal(huge.available(), 0, "none is left")

    def __exit__(self, *_):
        os.close(self.fd)


class _Owner:
    """A VMM in a process of its own."""

    def __init__(self, path):
        self.path = path
        self.vmm = Vmm(Peer(path), "another")
        params = {"vm": self.vmm.id, "size": 4 * PAGE_2M, "backing": "memfd", "page_size": PAGE_2M, "name": "ram"}
        result, fds = self.vmm.peer.call_with_fds("memory.create", params)
        self.memory, self.fd = result["memory"], fds[result["fd"]]
        self.mapped = mmap.mmap(self.fd, 4 * PAGE_2M)
        self.mapped[:5] = b"guest"

    def open(self):
        return self.vmm.id

    def get(self):
        return self.vmm.get()["memories"]

    def content(self):
        return self.mapped[:5].decode()

    def resume(self):
        self.vmm.peer.close()
        self.vmm.peer = Peer(self.path)
        memories = [{"memory": self.memory, "fd": self.fd, "name": "ram"}]
        mailbox = self.vmm.fds[self.vmm.opened["mailbox"]["fd"]]
        return self.vmm.peer.call("vm.resume", {"vm": self.vmm.id, "mailbox": mailbox, "memories": memories})["rebuilt"]

    def reclaim(self):
        ranges = [{"offset": PAGE_2M, "size": PAGE_2M}]
        return self.vmm.peer.call("memory.reclaim", {"memory": self.memory, "ranges": ranges})


def _serve(channel, path):
    owner = None

    def carry_out(operation):
        nonlocal owner
        owner = owner or _Owner(path)
        return getattr(owner, operation)()

    channel.serve(carry_out)


def done(child, operation):
    kind, value = child.ask(operation)
    if kind == "error":
        raise RpcError(value)
    return need(kind == "result", value) and value


def another():
    path = host.socket_path("gmemd.sock")
    return Child(lambda channel: _serve(channel, path))


@test("gmemd is killed, alone and with its keeper: the memory is what it was")
def outlives():
    before = huge.counts()
    with another() as child:
        done(child, "open")
        seen = done(child, "get")
        equal([seen[0]["page_size"], seen[0]["resident"]], [PAGE_2M, PAGE_2M], "at first")
        host.restart()
        equal(done(child, "resume"), False, "its keeper has it")
        equal(done(child, "get"), seen, "the memory")
        host.lose_all()
        equal(done(child, "resume"), True, "rebuilt")
        equal(done(child, "get"), seen, "the memory")
        equal(taken(before), (1, 3), "pages, and reserved ones")
        equal(done(child, "reclaim"), {"reclaimed": 0, "resident": PAGE_2M}, "nothing to give back")
        equal(done(child, "content"), "guest", "no byte has changed")
    check(wait_until(lambda: taken(before) == (0, 0)), "its process's end: the host has %s" % (taken(before),))


@test("its process ends: what it has touched is the host's again at once, and all as soon as nobody else has the file")
def ended():
    before, operator = huge.counts(), host.operator()
    with another() as child:
        done(child, "open")
        memory = done(child, "get")[0]["memory"]
        opened, fds = operator.call_with_fds("memory.open", {"memory": memory})
        operator.close()
    check(wait_until(lambda: taken(before) == (0, 3)), "the host has %s" % (taken(before),))
    os.close(fds[opened["fd"]])
    check(wait_until(lambda: taken(before) == (0, 0)), "in the end the host has %s" % (taken(before),))
    with another() as child:
        done(child, "open")
    check(wait_until(lambda: taken(before) == (0, 0)), "of one that nobody has, the host has %s" % (taken(before),))


@test("parameters that can't be: each is named, and nothing changes")
def parameters():
    global vmm
    vmm = Vmm(host.peer(), "huge")
    before, counted = vmm.get(), huge.counts()
    for page_size in (0, 1, PAGE, 4 * MIB, 512 * MIB, 2 * GIB, -1, "2M", None):
        names("memory.create", create_params(GIB, page_size=page_size), "page_size")
    names("memory.create", create_params(PAGE_2M + PAGE), "size")
    names("memory.create", create_params(PAGE_2M, page_size=GIB), "size")
    for backing in ("guest_memfd", None):
        params = create_params(PAGE_2M, backing=backing)
        if backing is None:
            del params["backing"]
        names("memory.create", params, "page_size")
    names("memory.create", create_params(PAGE_2M, flags=["mmap"]), "flags")
    names("memory.create", create_params(PAGE_2M, node=1023), "node")
    equal((vmm.get(), huge.counts()), (before, counted), "what there is")


@test("more than the host has: refused with what there is")
def too_many():
    before, (total, free, reserved) = vmm.get(), huge.counts()
    size = (free - reserved + 1) * PAGE_2M
    error = refused("memory.create", create_params(size))
    equal(error["data"]["reason"], "budget_exceeded", "the reason")
    told = [error["data"].get(name) for name in ("scope", "page_size", "total", "free", "reserved", "available", "requested")]
    equal(told, ["host", PAGE_2M, total, free, reserved, size - PAGE_2M, size], "what is told")
    if os.path.exists(huge.folder(GIB)):
        total, free, reserved = huge.counts(GIB)
        error = refused("memory.create", create_params((free - reserved + 1) * GIB, page_size=GIB))
        equal([error["data"].get(name) for name in ("page_size", "total")], [GIB, total], "of 1 GiB")
    equal(vmm.get(), before, "nothing is charged, and there is no memory")


@test("reserved from the start; allocated, given back and counted exactly; closed, the host has all of it again")
def counts():
    before, committed = huge.counts(), vmm.get()["committed"]
    memory, fd = create(8, name="ram")
    equal(taken(before), (0, 8), "reserved, and none is allocated")
    equal(os.fstatvfs(fd).f_bsize, PAGE_2M, "the file's pages")
    seals = fcntl.fcntl(fd, linux.F_GET_SEALS)
    equal(seals & 7, 7, "its seals")
    seen = view(memory)
    told = [seen[name] for name in ("name", "size", "backing", "page_size", "flags", "resident")]
    equal(told, ["ram", 8 * PAGE_2M, "memfd", PAGE_2M, [], 0], "what vm.get says")
    equal(vmm.get()["committed"], committed + 8 * PAGE_2M, "what is charged")
    ask = lambda **params: vmm.peer.call("memory.preallocate", dict(params, memory=memory))
    equal(ask(offset=PAGE_2M, size=2 * PAGE_2M), {"allocated": 2 * PAGE_2M, "resident": 2 * PAGE_2M}, "a part")
    equal(taken(before), (2, 6), "allocated of what was reserved")
    equal(ask(), {"allocated": 6 * PAGE_2M, "resident": 8 * PAGE_2M}, "the rest")
    equal(ask(), {"allocated": 0, "resident": 8 * PAGE_2M}, "nothing")
    ranges = [{"offset": 0, "size": PAGE_2M}, {"offset": 4 * PAGE_2M, "size": 2 * PAGE_2M}]
    reclaim = lambda: vmm.peer.call("memory.reclaim", {"memory": memory, "ranges": ranges})
    equal(reclaim(), {"reclaimed": 3 * PAGE_2M, "resident": 5 * PAGE_2M}, "given back")
    equal(taken(before), (5, 3), "free, and reserved still")
    equal(reclaim(), {"reclaimed": 0, "resident": 5 * PAGE_2M}, "given back again")
    equal(view(memory)["resident"], 5 * PAGE_2M, "resident")
    equal(close(memory, fd), 5 * PAGE_2M, "released")
    equal(vmm.get()["committed"], committed, "what is charged")


@test("parts that are not whole pages of it are refused, and named")
def parts():
    memory, fd = create(2)
    for params, param in (({"offset": PAGE}, "offset"), ({"offset": PAGE_2M, "size": MIB}, "size"), ({"size": PAGE}, "size")):
        names("memory.preallocate", dict(params, memory=memory), param)
    for offset, size, param in ((PAGE, PAGE_2M, "offset"), (0, PAGE, "size"), (PAGE_2M, MIB, "size")):
        whole = {"offset": 0, "size": PAGE_2M}
        ranges = [whole, {"offset": offset, "size": size}]
        names("memory.reclaim", {"memory": memory, "ranges": ranges}, "ranges[1]." + param)
    equal(view(memory)["resident"], 0, "resident")
    close(memory, fd)


@test("others take all that is free: the guest has its pages all the same, also those that it has given back")
def reserved():
    memory, fd = create(4)
    with TakeAll():
        check(touches(fd, 0, 2 * PAGE_2M), "what was never touched")
        refused("memory.create", create_params(PAGE_2M))
        vmm.peer.call("memory.reclaim", {"memory": memory, "ranges": [{"offset": 0, "size": 2 * PAGE_2M}]})
        equal(huge.available(), 0, "what was given back is nobody else's")
        check(touches(fd, 0, 4 * PAGE_2M), "all of it")
    close(memory, fd)


def run_guest(mapped):
    """mov byte [0x3000], 0x5a; hlt, at the reset vector of the slot that ends there."""
    ctypes.memmove(mapped + PAGE_2M - 16, b"\xc6\x06\x00\x30\x5a\xf4", 6)
    vmm.bind_mapping(1, (4 << 30) - PAGE_2M, PAGE_2M, *run_guest.memory)
    cpu = linux.ioctl(vmm.vm_fd, linux.KVM_CREATE_VCPU, 0)
    linux.ioctl(cpu, linux.KVM_RUN, 0)
    os.close(cpu)


@test("bound through its mapping, any pages of it, and the guest writes to it; not otherwise")
def bound():
    memory, fd = create(2)
    mapped = vmm.map(fd, 2 * PAGE_2M)
    vmm.bind_mapping(0, 0, 16 * PAGE, memory, mapped, 0)
    if os.uname().machine == "x86_64":
        run_guest.memory = (memory, mapped + PAGE_2M, PAGE_2M)
        run_guest(mapped + PAGE_2M)
        equal(ctypes.string_at(mapped + 0x3000, 1), b"\x5a", "what the guest has written")
        vmm.unbind(1)
    equal([slot.get("astray") for slot in vmm.get()["slots"]], [None], "it shows the memory")
    names("slot.bind", vmm.bind_params(2, GIB, PAGE_2M, memory, fd), "memory")
    ordinary, ordinary_fd = vmm.create(PAGE_2M)
    half = vmm.bind_params(2, GIB, PAGE_2M, ordinary, ordinary_fd, shared_memory=memory)
    names("slot.bind", half, "shared_memory")
    equal(refused("memory.close", {"memory": memory})["data"]["reason"], "conflict", "a slot has it")
    vmm.unbind(0)
    linux.munmap(mapped, 2 * PAGE_2M)
    os.close(ordinary_fd)
    vmm.peer.call("memory.close", {"memory": ordinary})
    close(memory, fd)


@test("of a node: charged to it, and refused where it has too few")
def of_node():
    error = refused("memory.create", create_params((huge.available() + 1) * PAGE_2M, node=0))
    equal(error["data"]["reason"], "budget_exceeded", "the reason")
    memory, fd = create(1, node=0)
    equal(view(memory)["node"], 0, "its node")
    equal(vmm.peer.call("memory.preallocate", {"memory": memory})["resident"], PAGE_2M, "allocated there")
    close(memory, fd)


if __name__ == "__main__":
    tap.main(set_up, tear_down)
