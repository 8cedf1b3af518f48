#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VMM written from the contract alone gets guest memory: the whole way, on the real kernel."""

import fcntl
import mmap
import os
import time

from gmemtest import linux, schema, tap
from gmemtest.child import RemotePeer
from gmemtest.daemon import Daemon
from gmemtest.host import wait_until
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need, note, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer, close_all, request

RAM = 256 * PAGE
LARGE = 16 << 20
SLOTS = 150
VMS = 120

CREATE_GUEST_MEMFD = 0xC040AED4
SET_USER_MEMORY_REGION2 = 0x40A0AE49

F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1, 2, 4

daemon = vmm = operator = None
files = []
results = {}


class CheckedPeer(Peer):
    """Compares each result with what rpc.discover says of it."""

    def call_with_fds(self, method, params=None):
        result, received = super().call_with_fds(method, params)
        if method in results:
            check_result(method, result, len(received))
        return result, received


def check_result(method, result, n_fds):
    faults = schema.faults_of(result, results[method])
    check(not faults, "%s: %s" % (method, faults))
    indexes = fd_indexes(result, results[method])
    equal(sorted(indexes), list(range(n_fds)), method + ": fds that the result names")


def fd_indexes(value, of):
    """All fds that a result refers to."""
    if of.get("x-fd"):
        return [] if value is None else [value]
    found = []
    if isinstance(value, dict):
        for name, member in value.items():
            found += fd_indexes(member, of.get("properties", {}).get(name, {}))
    if isinstance(value, list):
        for item in value:
            found += fd_indexes(item, of.get("items", {}))
    return found


def set_up():
    global daemon, vmm, operator
    linux.require_guest_memfd()
    daemon = Daemon()
    operator = CheckedPeer(daemon.socket_path("admin.sock"))
    document = operator.call("rpc.discover")
    for method in document["methods"]:
        results[method["name"]] = schema.resolved(method["result"]["schema"], document)
    peer = CheckedPeer(daemon.socket_path("gmemd.sock"))
    peer.call("event.subscribe")
    vmm = Vmm(peer, "contract", uuid="123E4567-e89b-12d3-a456-426614174000")


def tear_down():
    vmm.close_files()
    close_all(files)
    daemon.stop()


def memory_of(fd):
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def new_memory(size, **options):
    memory, fd = vmm.create(size, **options)
    files.append(fd)
    return memory, fd


@test("rpc.discover describes every method, and itself")
def discover():
    document, _ = operator.call_with_fds("rpc.discover")
    equal(document["openrpc"][:2], "1.", "OpenRPC's version")
    names = [method["name"] for method in document["methods"]]
    equal(len(set(names)), len(names), "names")
    for name in ("ping", "vm.open", "memory.create", "slot.bind", "call.done", "rpc.discover"):
        check(name in names, name)
    for method in document["methods"]:
        name = method["name"]
        check(set(method["x-sockets"]) <= {"gmemd.sock", "admin.sock"}, name)
        equal(method["paramStructure"], "by-name", name)
        for reference in method["errors"]:
            reason = reference["$ref"].rpartition("/")[2]
            check(reason in document["components"]["errors"], "%s: %s" % (name, reason))
        for parameter in method["params"]:
            check(parameter["schema"].get("description"), "%s.%s" % (name, parameter["name"]))


@test("rpc.discover describes one method in words too")
def discover_one():
    whole = {method["name"]: method for method in operator.call("rpc.discover")["methods"]}
    for name, brief in whole.items():
        document = operator.call("rpc.discover", {"method": name})
        [full] = document["methods"]
        equal((full["name"], full["params"]), (name, brief["params"]), "parameters")
        for member, of in full["result"]["schema"]["properties"].items():
            check(of.get("description"), "%s: the answer's %s has no description" % (name, member))
        check(document["x-events"]["params"]["properties"]["kind"]["description"], "events")
    error = operator.error("rpc.discover", {"method": "vm.opne"})
    equal((error["code"], error["data"]["id"]), (-32001, "vm.opne"), "a method that there is not")


@test("metrics.get counts, for operators")
def metrics():
    counted = operator.call("metrics.get")
    check(counted["gmemd_vm_opened_total"] >= 1, counted)
    equal(counted["gmemd_vms"], len(operator.call("vm.list")["vms"]), "VMs")
    equal(vmm.peer.error("metrics.get")["code"], -32002, "a VMM that asks")


@test("host.describe says what this host is")
def describe():
    for peer in (vmm.peer, operator):
        described = peer.call("host.describe")
        equal(described["page_size"], PAGE, "page_size")
        equal(described["kernel"]["release"], os.uname().release, "release")
        equal(described["kernel"]["guest_memfd"], True, "guest_memfd")
        equal(described["protocol"], 2, "protocol")
        equal(described["backend"], "kvm", "backend")
        equal(described["limits"]["packet_bytes"], 65536, "packet_bytes")
        equal(described["limits"]["packet_fds"], 16, "packet_fds")
        equal(described["limits"]["takers_per_owner"], 4, "takers_per_owner")
        check(described["gate"]["available"] or described["gate"].get("reason"), "gate")


@test("host.open_kvm gives the device, and gmemd keeps nothing of it")
def open_kvm():
    before = daemon.fds()
    for _ in range(3):
        result, received = vmm.peer.call_with_fds("host.open_kvm")
        equal(os.fstat(received[result["kvm"]]).st_rdev, os.stat("/dev/kvm").st_rdev, "the device")
        close_all(received)
    need(wait_until(lambda: daemon.fds() == before), "gmemd's files are as before")
    equal(operator.error("host.open_kvm")["code"], -32002, "to an operator")


@test("vm.open: the VM as it was asked for, a device, a mailbox that can only be read")
def opened():
    equal(vmm.opened["uuid"], "123e4567-e89b-12d3-a456-426614174000", "uuid")
    kvm = vmm.fds[vmm.opened["kvm"]]
    equal(os.fstat(kvm).st_rdev, os.stat("/dev/kvm").st_rdev, "the device")
    mailbox = vmm.fds[vmm.opened["mailbox"]["fd"]]
    equal(os.fstat(mailbox).st_size, vmm.opened["mailbox"]["length"], "length")
    try:
        linux.mmap(None, PAGE, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_SHARED, mailbox)
        check(False, "the mailbox was mapped writable")
    except OSError:
        pass
    for fd in (kvm, mailbox):
        check(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC, "FD_CLOEXEC")


@test("memory.create, call.done, memory.open: one file, the same in both hands")
def create():
    result = vmm.peer.call("memory.create", {"vm": vmm.id, "size": RAM, "name": "ram \u00e4"})
    call = result["call"]
    equal(call["request"], CREATE_GUEST_MEMFD, "the ioctl")
    equal(call["count"], 1, "count")
    page = vmm.get()
    equal(page["committed"], RAM, "charged before it is created")
    equal([m["state"] for m in page["memories"]], ["pending"], "state")
    equal(page["calls"], [call], "what waits")
    done, fd, _ = vmm.trigger(call)
    equal(done, 1, "the creation")
    files.append(fd)
    before = daemon.fds()
    vmm.report(call, 1, fd=fd)
    need(wait_until(lambda: daemon.fds() == before + 1), "gmemd keeps one fd of it")
    opened, fds = vmm.peer.call_with_fds("memory.open", {"memory": result["memory"]})
    equal(memory_of(fds[opened["fd"]]), memory_of(fd), "the file")
    equal(opened["size"], RAM, "size")
    close_all(fds)
    opened, fds = operator.call_with_fds("memory.open", {"memory": result["memory"]})
    equal(memory_of(fds[opened["fd"]]), memory_of(fd), "the file that an operator gets")
    close_all(fds)
    daemon.fds_come_back(before + 1)  # none that it has handed out
    page = vmm.get()
    equal(page["calls"], [], "nothing waits")
    one = page["memories"][0]
    expected = [result["memory"], "ram \u00e4", RAM, "guest_memfd", "ready", 0]
    names = ("memory", "name", "size", "backing", "state", "resident")
    equal([one[name] for name in names], expected, "the memory")


@test("a memory is as it was when its file has been handed out late, to who read slowly")
def handed_out_late():
    memory, fd = new_memory(LARGE, flags=["mmap", "init_shared"])
    linux.allocate(fd, 0, LARGE)
    before = daemon.fds()
    for number in range(4):
        vmm.peer.send(request("memory.open", {"memory": memory}, number))
    # An answer with files waits until those before it are read.
    until = time.monotonic() + 60
    while daemon.fds() <= before and time.monotonic() < until:
        time.sleep(0.01)
    for _ in range(4):
        close_all(vmm.peer.receive_answer()[1])
    daemon.fds_come_back(before)
    equal(vmm.get()["resident"], LARGE, "resident")
    equal(vmm.peer.call("memory.close", {"memory": memory})["released"], LARGE, "released")


@test("what the host writes is resident, and given back when the memory is closed")
def resident():
    memory, fd = new_memory(4 * PAGE, flags=["mmap", "init_shared"])
    with mmap.mmap(fd, 4 * PAGE) as mapped:
        mapped[0:5] = b"hello"
        mapped[3 * PAGE] = 1
        page = [m for m in vmm.get()["memories"] if m["memory"] == memory][0]
        equal(page["resident"], 2 * PAGE, "resident")
        equal(sorted(page["flags"]), ["init_shared", "mmap"], "flags")
        released = vmm.peer.call("memory.close", {"memory": memory})["released"]
        equal(released, 2 * PAGE, "released")
        equal(mapped[0:5], bytes(5), "the pages are gone for everyone")
    check(memory not in [m["memory"] for m in vmm.get()["memories"]], "listed still")


@test("memory without flags is refused where nothing can be private: the guest would never see it")
def no_flags():
    for flags in ([], ["init_shared"]):
        error = vmm.peer.error("memory.create", {"vm": vmm.id, "size": PAGE, "flags": flags})
        equal((error["code"], error["data"]["param"]), (-32602, "flags"), "flags %r" % flags)


@test("a creation that fails in the kernel leaves nothing")
def failed_creation():
    committed = vmm.get()["committed"]
    call = vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE})["call"]
    vmm.report(call, 0, "ENOMEM")
    page = vmm.get()
    equal((page["committed"], page["calls"]), (committed, []), "what is left")


@test("call.done as a notification does the same")
def notified():
    result = vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE})
    _, fd, _ = vmm.trigger(result["call"])
    files.append(fd)
    report = {"vm": vmm.id, "call": result["call"]["id"], "done": 1, "fd": fd}
    vmm.peer.send({"jsonrpc": "2.0", "method": "call.done", "params": report})
    vmm.peer.call("ping")
    states = {m["memory"]: m["state"] for m in vmm.get()["memories"]}
    equal(states.get(result["memory"]), "ready", "state")
    vmm.peer.call("memory.close", {"memory": result["memory"]})


@test("slots: bound, seen page by page, and unbound")
def slots():
    memory, fd = new_memory(SLOTS * PAGE)
    for slot in range(SLOTS):
        vmm.bind(slot, (1 << 32) + slot * 2 * PAGE, PAGE, memory, fd, (SLOTS - 1 - slot) * PAGE)
    first = vmm.peer.call("vm.get", {"vm": vmm.id})
    check("cursor" in first, "more than a page")
    page = vmm.get()
    equal([s["slot"] for s in page["slots"]], list(range(SLOTS)), "each slot once, in order")
    equal({s["state"] for s in page["slots"]}, {"bound"}, "state")
    one = page["slots"][7]
    equal(one["guest_phys_addr"], (1 << 32) + 14 * PAGE, "guest_phys_addr")
    equal(one["memory_size"], PAGE, "memory_size")
    equal(one["memory"], memory, "memory")
    equal(one["guest_memfd_offset"], (SLOTS - 8) * PAGE, "guest_memfd_offset")
    equal(one["userspace_addr"], 0x7F0000000000 + (1 << 32) + 14 * PAGE, "userspace_addr")
    equal(one["flags"], [], "flags")
    # The kernel has them, too: the same guest address is taken.
    clash = vmm.peer.error("slot.bind", vmm.bind_params(SLOTS, 1 << 32, PAGE, memory, fd))
    equal(clash["code"], -32004, "overlap")
    for slot in range(SLOTS):
        vmm.unbind(slot)
    equal(vmm.get()["slots"], [], "after all were unbound")
    vmm.peer.call("memory.close", {"memory": memory})


@test("the kernel refuses what gmemd did not write, and the entry of what is done")
def entries():
    memory, fd = new_memory(PAGE)
    call = vmm.peer.call("slot.bind", vmm.bind_params(3, 0, PAGE, memory, fd))["call"]
    equal(call["request"], SET_USER_MEMORY_REGION2, "the ioctl")
    done, _, _ = vmm.trigger(call)
    vmm.report(call, done)
    done, _, name = vmm.trigger(call)
    equal((done, name), (0, "EINVAL"), "an entry that is done with")
    vmm.unbind(3)
    vmm.peer.call("memory.close", {"memory": memory})


@test("a binding that the kernel refuses leaves no slot")
def failed_binding():
    memory, fd = new_memory(PAGE)
    params = vmm.bind_params(3, 0, PAGE, memory, vmm.vm_fd)
    call = vmm.peer.call("slot.bind", params)["call"]
    done, _, name = vmm.trigger(call)
    equal((done, name), (0, "EINVAL"), "what is no guest_memfd")
    vmm.report(call, done, name)
    equal(vmm.get()["slots"], [], "slots")
    vmm.bind(3, 0, PAGE, memory, fd)
    vmm.unbind(3)
    vmm.peer.call("memory.close", {"memory": memory})


@test("slots on the VMM's own memory, read-only and dirty-logged")
def own_memory():
    address = linux.mmap(
        None, 4 * PAGE, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS
    )
    vmm.bind_own(10, 0xC0000, PAGE, address, ["readonly"])
    vmm.bind_own(11, 0xD0000, PAGE, address + PAGE, ["log_dirty_pages"])
    vmm.bind_own(12, 0xE0000, PAGE, address + 2 * PAGE)
    vmm.bind_own(13, 0xF0000, PAGE, address + 3 * PAGE, ["log_dirty_pages", "readonly"])
    seen = {s["slot"]: (s["memory"], sorted(s["flags"])) for s in vmm.get()["slots"]}
    expected = {10: (None, ["readonly"]), 11: (None, ["log_dirty_pages"]), 12: (None, [])}
    expected[13] = (None, ["log_dirty_pages", "readonly"])
    equal(seen, expected, "slots")
    limit = vmm.peer.call("host.describe")["limits"]["own_memory_bytes_per_vm"]
    params = {"vm": vmm.id, "slot": 14, "guest_phys_addr": 1 << 40, "memory_size": limit}
    params.update({"userspace_addr": address, "memory": None})
    error = vmm.peer.error("slot.bind", params)
    told = {"reason": "budget_exceeded", "scope": "vm", "limit": limit}
    told.update({"committed": 4 * PAGE, "promised": 0, "available": limit - 4 * PAGE, "requested": limit})
    equal(error and error["data"], told, "past the bound")
    for slot in seen:
        vmm.unbind(slot)
    linux.munmap(address, 4 * PAGE)


@test("a memfd comes at once, sealed, and no slot can have it")
def memfd():
    params = {"vm": vmm.id, "size": 8 * PAGE, "backing": "memfd", "name": "shared"}
    result, fds = vmm.peer.call_with_fds("memory.create", params)
    equal(result["call"], None, "call")
    fd = fds[result["fd"]]
    equal(os.fstat(fd).st_size, 8 * PAGE, "size")
    seals = fcntl.fcntl(fd, linux.F_GET_SEALS)
    wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW
    equal(seals & wanted, wanted, "seals")
    for size in (0, 16 * PAGE):
        try:
            os.ftruncate(fd, size)
            check(False, "its size was changed")
        except OSError:
            pass
    with mmap.mmap(fd, 8 * PAGE) as mapped:
        mapped[0] = 7
    page = [m for m in vmm.get()["memories"] if m["memory"] == result["memory"]][0]
    equal((page["backing"], page["state"], page["resident"]), ("memfd", "ready", PAGE), "seen")
    opened, again = vmm.peer.call_with_fds("memory.open", {"memory": result["memory"]})
    equal(memory_of(again[opened["fd"]]), memory_of(fd), "the file")
    close_all(again)
    close_all(fds)
    equal(vmm.peer.call("memory.close", {"memory": result["memory"]}), {"released": PAGE}, "closed")


@test("vm.list, page by page, for an operator; its own VM for a peer")
def listing():
    children = []
    try:
        for i in range(VMS):
            children.append(RemotePeer(daemon.socket_path("gmemd.sock")))
            name = '"\\' * 60 + "%08d" % i  # as long as a name may be, longer still in JSON
            children[i].call("vm.open", {"name": name, "gate": "none"})
        opened = [child.call("vm.list")["vms"] for child in children]
        check(all(len(one) == 1 for one in opened), "each sees its own")
        ids = [vmm.id] + [one[0]["vm"] for one in opened]
        equal([one[0]["pid"] for one in opened], [c.pid for c in children], "pids")
        for limit in (None, 1, 7, 100):
            seen, pages = list_all(limit)
            equal([vm["vm"] for vm in seen], ids, "each once, in the order of opening")
            equal(pages, -(-len(ids) // (limit or 100)), "pages")
        equal([vm["vm"] for vm in vmm.peer.call("vm.list")["vms"]], [vmm.id], "a peer's own")
        named(opened[1][0], children[2])
    finally:
        for child in children:
            child.end()
    wait_for_vms(1)


def named(vm, stranger):
    """vm.list {named}: whose VM that is, and a peer that sees another's alone."""

    def found(text, asked=operator):
        return [one["vm"] for one in asked.call("vm.list", {"named": text})["vms"]]

    equal(found(vm["name"]), [vm["vm"]], "of that name")
    equal(found(vm["name"][:-1]), [], "of a part of it")
    equal(found(vm["name"], stranger), [], "another's")
    for text in (vm["uuid"], vm["uuid"].upper(), vm["uuid"][:20]):
        equal(found(text), [vm["vm"]], text)
    equal(vm["vm"] in found(vm["uuid"][:4]), True, "the shortest that tells")
    equal(found(vm["uuid"][:3]), [], "what is too short to tell")
    equal(operator.error("vm.list", {"named": ""})["data"]["param"], "named", "nothing")
    equal(operator.error("vm.list", {"named": "x" * 129})["data"]["param"], "named", "more than a name")


def list_all(limit):
    params, seen, pages = {} if limit is None else {"limit": limit}, [], 0
    while True:
        page = operator.call("vm.list", params)
        pages += 1
        seen += page["vms"]
        if "cursor" not in page:
            return seen, pages
        params["cursor"] = page["cursor"]


def wait_for_vms(number):
    until = time.monotonic() + 5
    while len(operator.call("vm.list")["vms"]) != number and time.monotonic() < until:
        time.sleep(0.01)
    equal(len(operator.call("vm.list")["vms"]), number, "VMs after their processes' end")


@test("vm.get of memories and slots, page by page")
def long_view():
    limit = vmm.peer.call("host.describe")["limits"]["memories_per_vm"]
    params = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}
    there = len(vmm.get()["memories"])
    made = []
    for i in range(limit - there):
        made.append(vmm.peer.call("memory.create", dict(params, name='"' * 120 + str(i)))["memory"])
    page = vmm.get()
    equal([m["memory"] for m in page["memories"]][there:], made, "memories")
    for memory in made:
        vmm.peer.call("memory.close", {"memory": memory})
    note("%d memories" % limit)


@test("events: what happened, in order, counted without a gap")
def events():
    seen = vmm.peer.events
    vmm.peer.call("ping")
    need(len(seen) > 100, "events")
    equal([e["seq"] for e in seen], list(range(1, len(seen) + 1)), "seq")
    equal({e["vm"] for e in seen}, {vmm.id}, "only of its own VM")
    kinds = [e["kind"] for e in seen]
    equal(kinds[0], "vm_opened", "the first")
    for kind in ("vm_running", "memory_created", "memory_ready", "memory_failed"):
        check(kind in kinds, kind)
    for kind in ("memory_closed", "slot_bound", "slot_unbound", "slot_failed"):
        check(kind in kinds, kind)
    times = [e["time"] for e in seen]
    equal(times, sorted(times), "time")


@test("vm.close: all is gone, for an operator as for the peer")
def closing():
    memory, fd = new_memory(2 * PAGE)
    before = vmm.get()["closed_resident"]  # of memories that were closed and looked at again
    with mmap.mmap(fd, 2 * PAGE) as mapped:
        mapped[0] = 1
        equal(vmm.peer.call("vm.close", {"vm": vmm.id}), {"released": before + PAGE}, "released")
        page = operator.call("vm.get", {"vm": vmm.id})
        equal((page["state"], page["committed"], page["resident"]), ("released", 0, 0), "what is left")
        equal(mapped[0], 0, "the page is gone")
    page = operator.call("vm.get", {"vm": vmm.id})
    equal((page["committed"], page["closed_resident"]), (PAGE, PAGE), "what looking at it has brought back")
    equal(operator.error("memory.open", {"memory": memory})["code"], -32001, "its memory")
    equal(vmm.peer.events[-1]["kind"], "vm_released", "the event of it")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
