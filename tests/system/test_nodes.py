#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""NUMA nodes, on a host that has two with memory: what is charged to one, and where pages lie, whatever a VMM does.

Elsewhere it is skipped. NODES=2 tests/private/run boots such a host, NODES=3 one with another node that has no memory.
"""

import contextlib
import ctypes
import os

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.cgroups import Cgroup
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, test
from gmemtest.vmm import Vmm

MIB = 1 << 20
SIZE = 32 * MIB
BACKINGS = ({}, {"backing": "memfd"})
FOLDER = "/sys/devices/system/node"
POLICY_OF_FILE = (6, 19)  # the first Linux that keeps one with a guest_memfd

NR_MBIND, NR_SET_MEMPOLICY, NR_MOVE_PAGES = 237, 238, 279  # x86_64
MPOL_DEFAULT, MPOL_BIND = 0, 2
MADV_POPULATE_READ = 22

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
daemon = vmm = operator = None
nodes = []


def listed(name):
    with open(os.path.join(FOLDER, name), encoding="ascii") as file:
        parts = [part.split("-") for part in file.read().strip().split(",")]
    return [number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)]


def set_up():
    global daemon, vmm, operator
    linux.require_guest_memfd()
    if os.uname().machine != "x86_64" or not os.path.exists(FOLDER):
        raise Skip("the kernel has no NUMA, or calls of other numbers")
    nodes.extend(listed("has_memory"))
    if len(nodes) < 2:
        raise Skip("the host has one NUMA node with memory")
    daemon = Daemon(config="[limits]\nhost-reserve = 0\n[pressure]\nfloor = 0\n", keep_closed=False)
    vmm = Vmm(daemon.peer(), "nodes")
    operator = daemon.operator()


def tear_down():
    vmm.close_files()
    daemon.stop()


def call(number, *arguments):
    converted = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    if libc.syscall(ctypes.c_long(number), *converted) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mask(node):
    return ctypes.byref(ctypes.c_ulong(1 << node))


def total_of(node):
    with open("%s/node%d/meminfo" % (FOLDER, node), encoding="ascii") as file:
        (line,) = [line for line in file if "MemTotal" in line]
    return int(line.split()[3]) * 1024


def create(size=SIZE, **options):
    """(its id, its fd)."""
    if options.get("backing") != "memfd":
        return vmm.create(size, **options)
    made, fds = vmm.peer.call_with_fds("memory.create", dict(options, vm=vmm.id, size=size))
    return made["memory"], fds[0]


@contextlib.contextmanager
def mapped_memory(**options):
    """(its id, its fd, where it is mapped)."""
    memory, fd = create(**options)
    address = vmm.map(fd, SIZE)
    try:
        yield memory, fd, address
    finally:
        linux.munmap(address, SIZE)
        os.close(fd)
        vmm.peer.call("memory.close", {"memory": memory})


def lie_on(address, size=SIZE):
    """The nodes that its pages lie on, all of which are allocated."""
    count = size // PAGE
    if libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), MADV_POPULATE_READ):
        raise OSError(ctypes.get_errno(), "MADV_POPULATE_READ")
    pages = (ctypes.c_void_p * count)(*(address + at for at in range(0, size, PAGE)))
    found = (ctypes.c_int * count)()
    call(NR_MOVE_PAGES, 0, count, pages, None, found, 0)
    return set(found)


def preallocate(memory, **options):
    return vmm.peer.call("memory.preallocate", dict(options, memory=memory))


def other(node):
    return nodes[1] if node == nodes[0] else nodes[0]


def has_policy(options):
    """Whether the kernel keeps one with such a file, which then goes before that of who touches it."""
    release = os.uname().release.split("-")[0].split("+")[0]
    return bool(options) or tuple(int(part) for part in release.split(".")[:2]) >= POLICY_OF_FILE


def bind(address, node):
    call(NR_MBIND, address, SIZE, MPOL_BIND, mask(node), 64, 0)


@contextlib.contextmanager
def policy(node):
    """What this thread touches first comes from there."""
    call(NR_SET_MEMPOLICY, MPOL_BIND, mask(node), 64)
    try:
        yield
    finally:
        call(NR_SET_MEMPOLICY, MPOL_DEFAULT, None, 0)


@test("what is preallocated lies on its memory's node, of each kind and node")
def preallocated():
    for options in BACKINGS:
        for node in nodes:
            with mapped_memory(node=node, **options) as (memory, _, address):
                equal(preallocate(memory), {"allocated": SIZE, "resident": SIZE}, "on node %d" % node)
                equal(lie_on(address), {node}, "%r, where it lies" % options)
                (shown,) = vmm.get()["memories"]
                equal(shown["node"], node, "vm.get")


@test("each node has a limit of its own, which refuses and gives back")
def limits():
    for node in nodes:
        error = vmm.peer.error("memory.create", {"vm": vmm.id, "size": total_of(node) + PAGE, "node": node})
        equal((error["code"], error["data"]["scope"]), (-32003, "node"), "more than node %d has" % node)
        equal(error["data"]["limit"], total_of(node), "its limit")
    memory, fd = create(total_of(nodes[0]), node=nodes[0])
    error = vmm.peer.error("memory.create", {"vm": vmm.id, "size": PAGE, "node": nodes[0]})
    equal((error["data"]["scope"], error["data"]["committed"]), ("node", total_of(nodes[0])), "when it is full")
    with mapped_memory(node=nodes[1]) as (another, _, _):
        equal(preallocate(another)["resident"], SIZE, "of the other node there is some")
    os.close(fd)
    vmm.peer.call("memory.close", {"memory": memory})
    with mapped_memory(node=nodes[0]) as (memory, _, address):
        preallocate(memory)
        equal(lie_on(address), {nodes[0]}, "once it is given back")


@test("a node that there is not, or that has no memory")
def none():
    online = listed("online")
    for node in [max(online) + 1, *(set(online) - set(nodes))]:
        error = vmm.peer.error("memory.create", {"vm": vmm.id, "size": PAGE, "node": node})
        equal((error["code"], error["data"]["param"]), (-32602, "node"), "node %d" % node)


@test("a VMM that binds its mapping to another node: what gmemd allocates then lies where it is charged")
def bound_elsewhere():
    for options in BACKINGS:
        for node in nodes:
            with mapped_memory(node=node, **options) as (memory, fd, address):
                preallocate(memory)
                linux.fallocate(fd, 3, 0, SIZE)  # PUNCH_HOLE, KEEP_SIZE
                bind(address, other(node))
                equal(preallocate(memory), {"allocated": SIZE, "resident": SIZE}, "of node %d" % node)
                equal(lie_on(address), {node}, "%r, where it lies" % options)


@test("what a VMM or its guest touches first is of the memory's node, where the kernel keeps a policy with the file")
def touched_first():
    for options in BACKINGS:
        with mapped_memory(node=nodes[1], **options) as (_, _, address), policy(nodes[0]):
            equal(lie_on(address), {nodes[1] if has_policy(options) else nodes[0]}, repr(options))


@test("and whoever binds a mapping of it changes that")
def bound_by_vmm():
    for options in BACKINGS:
        with mapped_memory(node=nodes[0], **options) as (_, _, address), policy(nodes[0]):
            bind(address, nodes[1])
            equal(lie_on(address), {nodes[1] if has_policy(options) else nodes[0]}, repr(options))


@test("what a VMM has had lie elsewhere before is told")
def touched_before():
    for options in BACKINGS:
        with mapped_memory(node=nodes[1], **options) as (memory, _, address):
            bind(address, nodes[0])
            with policy(nodes[0]):
                equal(lie_on(address, SIZE // 2), {nodes[0]}, "what is touched")
            told = preallocate(memory)
            equal(told, {"allocated": SIZE // 2, "resident": SIZE, "elsewhere": SIZE // 2}, repr(options))
            equal(lie_on(address + SIZE // 2, SIZE // 2), {nodes[1]}, "the rest")


@test("a reservation of a node: its VM's memory is charged there and lies there")
def reserved():
    made = operator.call("reservation.create", {"name": "node", "size": SIZE, "node": nodes[1], "ttl_ms": 60000})
    with Child(lambda channel: open_reserved(channel, made["reservation"])) as child:
        equal(child.channel.hear(), [SIZE, [nodes[1]], nodes[1]], "resident, where it lies, its node")


def open_reserved(channel, reservation):
    """The test's own mailbox is mapped here, so that there is no room for another: a memfd needs none."""
    own = Vmm(daemon.peer(), "reserved", make=False, reservation=reservation)
    made, fds = own.peer.call_with_fds("memory.create", {"vm": own.id, "size": SIZE, "backing": "memfd"})
    told = own.peer.call("memory.preallocate", {"memory": made["memory"]})
    found = sorted(lie_on(own.map(fds[0], SIZE)))
    (shown,) = own.get()["memories"]
    channel.say([told["resident"], found, shown["node"]])
    channel.hear()


@test("a cgroup that may not use the node: it is said, and nothing allocated elsewhere")
def cpuset():
    with Cgroup("cpuset") as cgroup, Child(allocate_of_node) as child:
        cgroup.write("cpuset.mems", nodes[0])
        cgroup.enter(child.pid)
        error, resident = child.ask("go")
        equal((error["code"], error["data"]["errno"]), (-32006, "EINVAL"), "the error")
        equal(resident, 0, "resident")
    check(daemon.alive(), "gmemd lives")


def allocate_of_node(channel):
    channel.hear()
    own = Vmm(daemon.peer(), "confined", make=False)
    params = {"vm": own.id, "size": SIZE, "backing": "memfd", "node": nodes[1]}
    memory = own.peer.call_with_fds("memory.create", params)[0]["memory"]
    error = own.peer.error("memory.preallocate", {"memory": memory})
    (shown,) = own.get()["memories"]
    channel.say([error, shown["resident"]])
    channel.hear()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
