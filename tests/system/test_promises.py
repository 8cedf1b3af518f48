#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Promises: what a VM may commit is the host's to give, or the VM is refused."""

import contextlib
import ctypes
import os
import subprocess
import tempfile
import time

from gmemtest import linux, tap
from gmemtest.child import RemotePeer
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, test

MIB = 1 << 20
HOST = 64 * MIB

daemon = operator = None


def set_up():
    global daemon, operator
    linux.require_guest_memfd()
    daemon = Daemon(config="[limits]\nhost-reserve = 0\ncommit-limit = %d\n" % HOST)
    operator = daemon.operator()


def tear_down():
    daemon.stop()


def other():
    return RemotePeer(daemon.socket_path("gmemd.sock"))


def opened(peer, limit=None, name="vm"):
    params = {"name": "%s of %d" % (name, peer.pid), "gate": "none"}
    if limit is not None:
        params["commit_limit"] = limit
    return peer.call("vm.open", params)["vm"]


def open_error(peer, limit):
    params = {"name": "refused of %d" % peer.pid, "gate": "none", "commit_limit": limit}
    return peer.error("vm.open", params)


def created(peer, vm, size):
    params = {"vm": vm, "size": size, "backing": "memfd"}
    return peer.call("memory.create", params)["memory"]


def create_error(peer, vm, size):
    return peer.error("memory.create", {"vm": vm, "size": size, "backing": "memfd"})


def is_refusal(error, scope, limit, committed, requested, what, promised=None):
    expected = {
        "reason": "budget_exceeded",
        "scope": scope,
        "limit": limit,
        "committed": committed,
        "promised": promised,
        "available": limit - committed,
        "requested": requested,
    }
    equal((error or {}).get("code"), -32003, what)
    data = dict((error or {}).get("data", {}))
    if promised is None:
        check(0 <= data.pop("promised", -1) <= committed, what)
        del expected["promised"]
    equal(data, expected, what)
    for word in (limit, committed, limit - committed, requested):
        check(str(word) in error["message"], "%r has no %d" % (error["message"], word))


def none_is_left():
    until = time.monotonic() + 30
    while operator.call("vm.list")["vms"] and time.monotonic() < until:
        time.sleep(0.01)
    equal(operator.call("vm.list")["vms"], [], "VMs")


@contextlib.contextmanager
def others(number):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(other()) for _ in range(number)]
    none_is_left()


@test("a VM is refused a limit that was promised to another, and nothing has changed")
def refused():
    with others(3) as (first, second, third):
        opened(first, 40 * MIB)
        before = operator.call("vm.list")
        is_refusal(open_error(second, 40 * MIB), "host", HOST, 40 * MIB, 40 * MIB, "the second", 40 * MIB)
        is_refusal(open_error(second, HOST), "host", HOST, 40 * MIB, HOST, "all of the host")
        error = open_error(second, (1 << 63) - 1)
        is_refusal(error, "host", HOST, 40 * MIB, (1 << 63) - 1, "more than any host has")
        equal(operator.call("vm.list"), before, "VMs")
        opened(second, 24 * MIB)
        is_refusal(open_error(third, PAGE), "host", HOST, HOST, PAGE, "the third")


@test("what was promised is there, though others have taken all the rest")
def kept():
    with others(2) as (first, second):
        promised, unlimited = opened(first, 40 * MIB), opened(second)
        error = create_error(second, unlimited, 24 * MIB + PAGE)
        is_refusal(error, "host", HOST, 40 * MIB, 24 * MIB + PAGE, "more than is left")
        created(second, unlimited, 24 * MIB)
        created(first, promised, 40 * MIB)
        error = create_error(first, promised, PAGE)
        is_refusal(error, "vm", 40 * MIB, 40 * MIB, PAGE, "more than was promised", 0)


@test("a VM without a limit is charged as it commits")
def unlimited():
    with others(3) as (first, second, third):
        vm = opened(first)
        equal(opened(second, HOST) is None, False, "a promise of all that is not committed")
        is_refusal(create_error(first, vm, PAGE), "host", HOST, HOST, PAGE, "then")
        second.end()
        until = time.monotonic() + 30
        while create_error(first, vm, 8 * MIB) and time.monotonic() < until:
            time.sleep(0.01)
        error = open_error(third, 60 * MIB)
        is_refusal(error, "host", HOST, 8 * MIB, 60 * MIB, "a promise beside what is committed", 0)
        opened(third, 56 * MIB)


def set_limit(vm, limit):
    operator.call("vm.set", {"vm": vm, "commit_limit": limit})
    equal(operator.call("vm.get", {"vm": vm})["promised"], limit, "what is promised")


@test("an operator changes what a VM is promised, up to what is left; lowered below what it has, it gets no more")
def changed():
    with others(2) as (first, second):
        vm, unlimited = opened(first, 16 * MIB), opened(second)
        set_limit(vm, 40 * MIB)
        created(first, vm, 40 * MIB)
        before = operator.call("vm.list")
        error = operator.error("vm.set", {"vm": vm, "commit_limit": HOST + PAGE})
        is_refusal(error, "host", HOST, 40 * MIB, 24 * MIB + PAGE, "more than the host has", 40 * MIB)
        equal(operator.call("vm.list"), before, "VMs")
        set_limit(vm, 8 * MIB)
        error = create_error(first, vm, PAGE)
        equal((error["code"], error["data"]["scope"], error["data"]["available"]), (-32003, "vm", 0), "more for it")
        created(second, unlimited, 24 * MIB)
        is_refusal(create_error(second, unlimited, PAGE), "host", HOST, HOST, PAGE, "the rest is the other's")
        set_limit(unlimited, 24 * MIB)
        error = first.error("vm.set", {"vm": vm, "commit_limit": HOST})
        equal(error["code"], -32002, "a VM that sets its own limit")
        equal(operator.error("vm.set", {"vm": vm, "minimum": 0})["code"], -32002, "an operator who tells a VM's minimum")
        equal(operator.error("vm.set", {"vm": vm, "commit_limit": 0})["data"]["param"], "commit_limit", "none at all")


@test("a promise ends with the VM's process, and by vm.close")
def released():
    with others(3) as (first, second, third):
        vm = opened(first, HOST)
        created(first, vm, 16 * MIB)
        is_refusal(open_error(second, PAGE), "host", HOST, HOST, PAGE, "while it is there")
        first.end()
        none_is_left()
        vm = opened(second, HOST)
        created(second, vm, 16 * MIB)
        second.call("vm.close", {"vm": vm})
        opened(third, HOST)


@test("a refusal leaves the closed VM that this process had as it is")
def room_is_not_made():
    with others(2) as (first, second):
        closed = opened(second, 24 * MIB)
        second.call("vm.close", {"vm": closed})
        opened(first, 40 * MIB)
        before = operator.call("vm.list")
        is_refusal(open_error(second, HOST), "host", HOST, 40 * MIB, HOST, "the next")
        equal(operator.call("vm.list"), before, "VMs")
        check(opened(second, 24 * MIB, name="next") != closed, "one that there is room for")


@test("promises are seen beside what is committed")
def seen():
    with others(3) as (first, second, third):
        promised, unlimited = opened(first, 40 * MIB), opened(second)
        created(first, promised, 16 * MIB)
        created(second, unlimited, 8 * MIB)
        views = {vm["vm"]: vm for vm in operator.call("vm.list")["vms"]}
        equal((views[promised]["committed"], views[promised]["promised"]), (16 * MIB, 40 * MIB), "with a limit")
        equal((views[unlimited]["committed"], views[unlimited]["promised"]), (8 * MIB, 0), "without one")
        equal(first.call("vm.get", {"vm": promised})["promised"], 40 * MIB, "vm.get")
        expected = {"limit": HOST, "committed": 24 * MIB, "promised": 40 * MIB, "reserved": 0, "available": HOST - 48 * MIB}
        equal(operator.call("host.describe")["commitment"], expected, "host.describe")
        check("commitment" not in first.call("host.describe"), "a VMM is told what others have")
        is_refusal(open_error(third, HOST), "host", HOST, 48 * MIB, HOST, "what would fit", 40 * MIB)
        status = ctl("status")
        check("committed  24M of 64M" in status and "promised   40M; 16M would still fit" in status, status)
        check("PROMISED" in ctl("vms") and "40M" in ctl("vms"), ctl("vms"))
        check("promised   40M" in ctl("show", promised), ctl("show", promised))


def ctl(*arguments):
    command = [os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl"), "--socket=" + daemon.socket_path("admin.sock")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=True).stdout


def memory_total():
    with open("/proc/meminfo", encoding="utf-8") as file:
        return int(file.readline().split()[1]) * 1024


def commit_bytes(limits):
    one = Daemon(config="[limits]\n" + limits)
    try:
        peer = one.operator()
        bytes_ = peer.call("host.describe")["limits"]["commit_bytes"]
        peer.close()
        return bytes_
    finally:
        one.stop()


@test("what may be promised is what the reserve leaves, and as much more as is configured")
def capacity():
    total = memory_total()
    equal(commit_bytes("host-reserve = 0\n"), total, "no reserve")
    equal(commit_bytes("host-reserve = %d\n" % (64 * MIB)), total - 64 * MIB, "in bytes")
    half = total - total * 50 // 100
    equal(commit_bytes("host-reserve = 50%\n"), half, "in percent")
    equal(commit_bytes("host-reserve = 50%\novercommit = 20\n"), half * 120 // 100, "overcommit")
    equal(commit_bytes("host-reserve = 100%\n"), 0, "nothing is left")
    least = commit_bytes("host-reserve = 0\ncommit-limit = %d\n" % (1 << 62))
    equal(least, total, "a limit beyond what there is")


KERNELS = {"meminfo": b"/proc/meminfo", "nodes": b"/sys/devices/system/node"}
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000


def show_as(**paths):
    """To this process alone: what is at these paths as the kernel's."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [(None, b"/", MS_REC | MS_PRIVATE)]
    arguments += [(path.encode(), KERNELS[name], MS_BIND) for name, path in paths.items()]
    if libc.unshare(CLONE_NEWNS) or any(libc.mount(what, where, None, flags, None) for what, where, flags in arguments):
        raise OSError(ctypes.get_errno(), "its own %s" % ", ".join(paths))


def write(path, text):
    """In the file that is shown elsewhere."""
    with open(path, "a+", encoding="utf-8") as file:
        file.truncate(0)
        file.write(text)


def meminfo_of(bytes_):
    return "MemTotal: %d kB\nMemFree: %d kB\nMemAvailable: %d kB\n" % ((bytes_ // 1024,) * 3)


def add_node(nodes, number, bytes_, all_of_them):
    node = os.path.join(nodes, "node%d" % number)
    os.mkdir(node)
    text = meminfo_of(bytes_) + "Active(file): 0 kB\nInactive(file): 0 kB\nSReclaimable: 0 kB\n"
    write(os.path.join(node, "meminfo"), text)
    write(os.path.join(nodes, "has_memory"), all_of_them + "\n")


@test("the limit follows the host's memory")
def follows():
    total = memory_total()
    with tempfile.NamedTemporaryFile() as file:
        write(file.name, meminfo_of(total))
        one = Daemon(config="[limits]\nhost-reserve = 50%\n", before=lambda _: show_as(meminfo=file.name))
        peer = one.operator()
        limit = lambda: peer.call("host.describe")["limits"]["commit_bytes"]
        equal(limit(), total - total * 50 // 100, "as it was")
        for now in (2 * total, total // 4096 * 1024, total):
            write(file.name, meminfo_of(now))
            until = time.monotonic() + 60
            while limit() != now - now * 50 // 100 and time.monotonic() < until:
                time.sleep(0.05)
            equal(limit(), now - now * 50 // 100, "of %d bytes" % now)
        peer.close()
        one.stop()


@test("a NUMA node that comes later has a limit of its own")
def later_node():
    with tempfile.TemporaryDirectory() as directory:
        meminfo, nodes = (os.path.join(directory, name) for name in ("meminfo", "nodes"))
        os.mkdir(nodes)
        write(meminfo, meminfo_of(64 * MIB))
        add_node(nodes, 0, 64 * MIB, "0")
        show = lambda _: show_as(meminfo=meminfo, nodes=nodes)
        one = Daemon(config="[limits]\nhost-reserve = 0\n[pressure]\nfloor = 0\n", backend="model", before=show)
        peer = one.peer()
        vm = peer.call("vm.open", {"name": "vm", "gate": "none"})["vm"]
        create = lambda size, **node: peer.call("memory.create", dict(node, vm=vm, size=size))
        refusal = lambda size, **node: peer.error("memory.create", dict(node, vm=vm, size=size))["data"]
        equal(refusal(8 * MIB, node=1).get("param"), "node", "before")
        add_node(nodes, 1, 16 * MIB, "0-1")
        write(meminfo, meminfo_of(80 * MIB))
        until = time.monotonic() + 60
        while "param" in refusal(16 * MIB + PAGE, node=1) and time.monotonic() < until:
            time.sleep(0.05)
        refused = refusal(16 * MIB + PAGE, node=1)
        equal((refused.get("scope"), refused.get("limit")), ("node", 16 * MIB), "more than it has")
        create(16 * MIB, node=1)
        create(64 * MIB, node=0)
        equal(refusal(PAGE).get("scope"), "host", "when all is given")
        peer.close()
        one.stop()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
