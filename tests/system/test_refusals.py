#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every row of the contract's table of errors: each refusal says all it must and changes nothing."""

import contextlib
import os
import time

from gmemtest import linux, tap
from gmemtest.child import RemotePeer
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.unchanged import Watched, limit
from gmemtest.vmm import Vmm

COMMIT_LIMIT = 64 * PAGE  # of the VM
HOST_LIMIT = 1024 * PAGE
VMS_PER_USER = 12
PENDING_CREATES = 64  # as many entries as the mailbox has for them
SLOTS_PER_VM = 7  # fewer than there is own memory for
OWN_MEMORY = 8 * PAGE
RAM = 16 * PAGE

CONFIG = """
[limits]
commit-limit = %d
memories-per-vm = %d
slots-per-vm = %d
own-memory-per-vm = %d
vms-per-user = %d
""" % (HOST_LIMIT, PENDING_CREATES + 10, SLOTS_PER_VM, OWN_MEMORY, VMS_PER_USER)

daemon = vmm = watched = None
memory = memory_fd = None


def set_up():
    global daemon, vmm, watched, memory, memory_fd
    linux.require_guest_memfd()
    daemon = Daemon(config=CONFIG, keep_closed=False)
    vmm = Vmm(daemon.peer(), "refused", commit_limit=COMMIT_LIMIT)
    memory, memory_fd = vmm.create(RAM, name="ram")
    vmm.bind(0, 0, PAGE, memory, memory_fd)
    watched = Watched(daemon, vmm)


def tear_down():
    vmm.close_files()
    os.close(memory_fd)
    daemon.stop()


def refused(method, params, code, **data):
    return watched.refused(vmm.peer, method, params, code, **data)


def bind_params(slot=9, address=1 << 32, size=PAGE, offset=8 * PAGE):
    return vmm.bind_params(slot, address, size, memory, memory_fd, offset)


@contextlib.contextmanager
def other_process():
    """A peer in another process, which may have a VM of its own; gone again behind it."""
    fds = daemon.fds()
    with RemotePeer(daemon.socket_path("gmemd.sock")) as peer:
        peer.call("ping")
        yield peer
    daemon.fds_come_back(fds)


# not_found


@test("not_found: what there is not")
def not_found():
    for method in ("vm.get", "vm.close"):
        for vm in ("vm-1", "x", vmm.id + "x", vmm.id + " ", vmm.id.upper(), "vm-0" + vmm.id[3:]):
            refused(method, {"vm": vm}, -32001, what="vm", id=vm)
    for method in ("memory.open", "memory.close"):
        for one in (0, 1, memory + 1, (1 << 63) - 1):
            refused(method, {"memory": one}, -32001, what="memory", id=one)
    refused("slot.unbind", {"vm": vmm.id, "slot": 77}, -32001, what="slot", id=77)
    report = {"vm": vmm.id, "call": 1 << 40, "done": 1}
    refused("call.done", report, -32001, what="call", id=1 << 40)
    for method, params in (
        ("memory.create", {"vm": "vm-1", "size": PAGE}),
        ("slot.bind", dict(bind_params(), vm="vm-1")),
        ("slot.unbind", {"vm": "vm-1", "slot": 0}),
        ("call.done", {"vm": "vm-1", "call": 1, "done": 1}),
    ):
        refused(method, params, -32001, what="vm", id="vm-1")
    refused("vm.gate", {"vm": "vm-1", "listener": 0}, -32001, what="vm", id="vm-1")


def with_id(error, old, new):
    """The error as it would be of another id."""
    text = repr(error).replace(repr(old), repr(new))
    return text.replace(str(old), str(new))


@test("not_found: another's VM looks exactly like one that does not exist")
def others_look_like_none():
    with other_process() as other:
        theirs = other.call("vm.open", {"name": "theirs", "gate": "none"})["vm"]
        params = {"vm": theirs, "size": PAGE, "backing": "memfd"}
        their_memory = other.call("memory.create", params)["memory"]
        listed = [vm["vm"] for vm in vmm.peer.call("vm.list")["vms"]]
        equal(listed, [vmm.id], "what is seen of others")
        for method, rest in (
            ("vm.get", {}),
            ("vm.close", {}),
            ("memory.create", {"size": PAGE}),
            ("slot.unbind", {"slot": 0}),
            ("call.done", {"call": 1, "done": 1}),
        ):
            seen = refused(method, dict(rest, vm=theirs), -32001)
            none = refused(method, dict(rest, vm="vm-1"), -32001)
            equal(with_id(seen, theirs, "vm-1"), with_id(none, "vm-1", "vm-1"), method)
        for method in ("memory.open", "memory.close"):
            seen = refused(method, {"memory": their_memory}, -32001)
            none = refused(method, {"memory": 1}, -32001)
            equal(with_id(seen, their_memory, 1), with_id(none, 1, 1), method)
        binding = dict(bind_params(offset=0), memory=their_memory)
        refused("slot.bind", binding, -32001, what="memory", id=their_memory)


# not_permitted


@test("not_permitted: memory before the gate")
def before_the_gate():
    with other_process() as other:
        if not other.call("host.describe")["gate"]["available"]:
            raise Skip("this kernel can hold no gate")
        vm = other.call("vm.open", {"name": "gated", "gate": "required"})["vm"]
        for method, params in (
            ("memory.create", {"vm": vm, "size": PAGE}),
            ("memory.create", {"vm": vm, "size": PAGE, "backing": "memfd"}),
            ("slot.bind", dict(bind_params(), vm=vm)),
            ("slot.unbind", {"vm": vm, "slot": 0}),
        ):
            error = other.error(method, params)
            equal(error["code"], -32002, method)
            check("vm.gate" in error["data"].get("missing", ""), repr(error))
        page = other.call("vm.get", {"vm": vm})
        equal(page["committed"], 0, "what is committed")
        equal([page["memories"], page["slots"], page["calls"]], [[], [], []], "what is there")


@test("not_permitted: a VM without a gate, where the policy requires one")
def policy():
    strict = Daemon(gate="required")
    peer = strict.peer()
    peer.call("ping")
    before = strict.fds()
    error = peer.error("vm.open", {"name": "x", "gate": "none"})
    equal(error["code"], -32002, "code")
    check("gate" in error["data"].get("missing", ""), repr(error))
    equal(peer.call("vm.list")["vms"], [], "VMs")
    equal(strict.fds(), before, "fds")
    peer.close()
    strict.stop()


# budget_exceeded


@test("budget_exceeded: the VM's limit, to the byte")
def vm_limit():
    for backing in ("guest_memfd", "memfd"):
        params = {"vm": vmm.id, "size": COMMIT_LIMIT - RAM + PAGE, "backing": backing}
        refused(
            "memory.create",
            params,
            -32003,
            scope="vm",
            limit=COMMIT_LIMIT,
            committed=RAM,
            requested=COMMIT_LIMIT - RAM + PAGE,
        )
    params = {"vm": vmm.id, "size": COMMIT_LIMIT - RAM, "backing": "memfd"}
    exact = vmm.peer.call("memory.create", params)["memory"]
    equal(vmm.get()["committed"], COMMIT_LIMIT, "all of the limit")
    params["size"] = PAGE
    refused("memory.create", params, -32003, scope="vm", committed=COMMIT_LIMIT, requested=PAGE)
    vmm.peer.call("memory.close", {"memory": exact})
    equal(vmm.get()["committed"], RAM, "after it was closed")


def memfd(size):
    params = {"vm": vmm.id, "size": size, "backing": "memfd"}
    return vmm.peer.call("memory.create", params)["memory"]


@test("budget_exceeded: the host's limit, to the byte")
def host_limit():
    with other_process() as other:
        described = other.call("host.describe")["limits"]
        equal(described["commit_bytes"], HOST_LIMIT, "the limit that is described")
        vm = other.call("vm.open", {"name": "large", "gate": "none"})["vm"]
        left = HOST_LIMIT - COMMIT_LIMIT  # the rest is promised
        params = {"vm": vm, "size": left + PAGE, "backing": "memfd"}
        error = other.error("memory.create", params)
        expected = {
            "reason": "budget_exceeded",
            "scope": "host",
            "limit": HOST_LIMIT,
            "committed": COMMIT_LIMIT,
            "promised": COMMIT_LIMIT,
            "available": HOST_LIMIT - COMMIT_LIMIT,
            "requested": left + PAGE,
        }
        equal(error["data"], expected, "data")
        equal(other.call("vm.get", {"vm": vm})["committed"], 0, "after the refusal")
        other.call("memory.create", dict(params, size=left))
        error = other.error("memory.create", dict(params, size=PAGE))
        equal(error["data"], dict(expected, committed=HOST_LIMIT, available=0, requested=PAGE), "one page more")
        with other_process() as third:
            params = {"name": "third", "gate": "none", "commit_limit": PAGE}
            error = third.error("vm.open", params)
            equal(error["data"], dict(expected, committed=HOST_LIMIT, available=0, requested=PAGE), "a promise")
        # What was promised is this VM's all the same; its own limit is the only one.
        refused("memory.create", {"vm": vmm.id, "size": COMMIT_LIMIT}, -32003, scope="vm")
        vmm.peer.call("memory.close", {"memory": memfd(COMMIT_LIMIT - RAM)})
    equal(watched.host_committed(), RAM, "after that VM's end")


@test("budget_exceeded: slots on the VMM's own memory, to the byte")
def own_memory():
    address = linux.mmap(
        None, OWN_MEMORY * 2, linux.PROT_READ, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS
    )
    vmm.bind_own(40, 1 << 34, OWN_MEMORY - PAGE, address, ["readonly"])
    params = {
        "vm": vmm.id,
        "slot": 41,
        "guest_phys_addr": 1 << 35,
        "memory_size": 2 * PAGE,
        "userspace_addr": address,
        "memory": None,
    }
    refused(
        "slot.bind",
        params,
        -32003,
        scope="vm",
        limit=OWN_MEMORY,
        committed=OWN_MEMORY - PAGE,
        requested=2 * PAGE,
    )
    vmm.bind_own(41, 1 << 35, PAGE, address, ["log_dirty_pages"])
    refused("slot.bind", dict(params, slot=42, guest_phys_addr=1 << 36), -32003, scope="vm")
    vmm.unbind(40)
    vmm.unbind(41)
    vmm.bind_own(40, 1 << 34, OWN_MEMORY, address)
    vmm.unbind(40)
    linux.munmap(address, OWN_MEMORY * 2)


# conflict


@test("conflict: names, UUIDs and the process's second VM")
def names():
    error = refused("vm.open", {"name": "another", "gate": "none"}, -32004, with_="vm")
    equal(error["data"].get("vm"), vmm.id, "the VM that is in the way")
    params = {"vm": vmm.id, "size": PAGE, "name": "ram"}
    error = refused("memory.create", params, -32004, with_="name")
    equal(error["data"].get("name"), "ram", "the name")
    with other_process() as other:
        taken = {"name": "refused", "gate": "none"}
        error = other.error("vm.open", taken)
        equal((error["code"], error["data"].get("with")), (-32004, "name"), "the VM's name")
        uuid = vmm.opened["uuid"]
        for same in (uuid, uuid.upper()):
            error = other.error("vm.open", {"name": "other", "uuid": same, "gate": "none"})
            equal((error["code"], error["data"].get("with")), (-32004, "uuid"), "the UUID")
        # A refusal does not even take a closed VM off the list.
        closed = other.call("vm.open", {"name": "closed", "gate": "none"})["vm"]
        other.call("vm.close", {"vm": closed})
        equal(other.error("vm.open", taken)["code"], -32004, "the name again")
        listed = [(vm["vm"], vm["state"]) for vm in other.call("vm.list")["vms"]]
        equal(listed, [(closed, "released")], "the closed VM")
        again = other.call("vm.open", {"name": "closed", "gate": "none"})["vm"]
        check(again != closed, "the next VM has an id of its own")
        equal([vm["vm"] for vm in other.call("vm.list")["vms"]], [again], "the next VM")


@test("conflict: a slot's number, its guest addresses, its range of the memory")
def slots():
    vmm.bind(1, 0x100000, 4 * PAGE, memory, memory_fd, 4 * PAGE)
    error = refused("slot.bind", bind_params(slot=1), -32004, with_="slot", slot=1)
    check(error is not None, "the number")
    for start, pages in ((-1, 2), (0, 1), (3, 1), (3, 2), (0, 4), (-1, 6), (1, 2)):
        params = bind_params(address=0x100000 + start * PAGE, size=pages * PAGE)
        refused(
            "slot.bind", params, -32004, with_="range", slot=1, guest_phys_addr=0x100000
        )
        params = bind_params(size=pages * PAGE, offset=(4 + start) * PAGE)
        refused(
            "slot.bind", params, -32004, with_="range", slot=1, guest_memfd_offset=4 * PAGE
        )
    # Neighbours are none of that, on either side.
    vmm.bind(2, 0x100000 - PAGE, PAGE, memory, memory_fd, 3 * PAGE)
    vmm.bind(3, 0x100000 + 4 * PAGE, PAGE, memory, memory_fd, 8 * PAGE)
    for slot in (1, 2, 3):
        vmm.unbind(slot)


@test("conflict: a memory that a slot uses")
def memory_in_use():
    refused("memory.close", {"memory": memory}, -32004, with_="slot", slot=0)
    refused("memory.close", {"memory": memory}, -32004, with_="slot", slot=0)


@test("conflict: a gate where there is none, or a second one")
def second_gate():
    refused("vm.gate", {"vm": vmm.id, "listener": 0}, -32004, with_="gate")
    with other_process() as other:
        if not other.call("host.describe")["gate"]["available"]:
            raise Skip("this kernel can hold no gate")
        vm = other.call("vm.open", {"name": "gated"})["vm"]
        other.gate(vm)
        error = other.error("vm.gate", {"vm": vm, "listener": 0})
        equal((error["code"], error["data"]["with"]), (-32004, "listener"), "a second listener")
        call = other.call("memory.create", {"vm": vm, "size": PAGE})["call"]
        report = {"vm": vm, "call": call["id"], "done": 0, "errno": "EPERM"}
        other.call("call.done", report)
        equal(other.call("vm.get", {"vm": vm})["calls"], [], "calls")
        error = other.ask("gate", vm, None)
        check(error[0] in ("error", "failed"), repr(error))


# unsupported


@test("unsupported: what this host or version lacks")
def unsupported():
    with other_process() as other:
        offered = {t["name"] for t in other.call("host.describe")["kernel"]["vm_types"]}
        lacking = [t for t in ("sev", "sev_es", "snp", "tdx") if t not in offered]
        need(lacking, "a type that this host lacks")
        release = os.uname().release
        requests = [("vm.open", {"name": "x", "gate": "none", "type": t}) for t in lacking]
        requests.append(("vm.open", {"name": "x", "gate": "none", "initial_state": "private"}))
        for method, params in requests:
            error = other.error(method, params)
            equal(error["code"], -32005, repr(params))
            equal(error["data"].get("kernel"), release, "kernel")
            check(error["data"].get("capability", "").startswith("KVM_CAP_"), repr(error))
        equal(other.call("vm.list")["vms"], [], "VMs")
        error = other.error("vm.open", {"name": "x", "gate": "none", "type": "bogus"})
        equal((error["code"], error["data"].get("param")), (-32602, "type"), "no type at all")
    refused("memory.create", {"vm": vmm.id, "size": PAGE, "node": 1000}, -32602, param="node")
    ranges = [{"guest_phys_addr": 0, "size": PAGE}]
    for to in ("private", "shared"):
        refused("memory.convert", {"vm": vmm.id, "to": to, "ranges": ranges}, -32005)


# kernel


@contextlib.contextmanager
def room_for_fds(number):
    """gmemd may open that many more."""
    lowest, free = daemon.lowest_free_fd(), 0
    used = {int(name) for name in os.listdir("/proc/%d/fd" % daemon.pid)}
    limit = lowest
    while free < number:
        free += limit not in used
        limit += 1
    old = daemon.limit_files(limit)
    try:
        yield
    finally:
        daemon.limit_files(old)


@test("kernel: gmemd has no room for another file")
def out_of_files():
    params = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}
    for room in (0, 1):
        with room_for_fds(room):
            if room == 0:
                refused("memory.open", {"memory": memory}, -32006, errno="EMFILE")
            refused("memory.create", params, -32006, errno="EMFILE")
    with other_process() as other:
        for room in range(4):  # a pidfd, a mailbox, a /dev/kvm and a second fd of the mailbox
            with room_for_fds(room):
                error = other.error("vm.open", {"name": "x", "gate": "none"})
            equal(error and error["code"], -32006, "%d more files" % room)
            equal(error and error["data"].get("errno"), "EMFILE", "%d more files" % room)
            equal(other.call("vm.list")["vms"], [], "VMs")
        other.call("vm.open", {"name": "x", "gate": "none"})


# busy


@test("busy: a memory whose creation is not reported")
def pending_memory():
    result = vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE})
    pending = result["memory"]
    equal(vmm.get()["committed"], RAM + PAGE, "charged already")
    refused("memory.open", {"memory": pending}, -32007)
    refused("memory.close", {"memory": pending}, -32007)
    refused("slot.bind", dict(bind_params(offset=0), memory=pending), -32007)
    vmm.report(result["call"], 0, "EINVAL")
    refused("memory.open", {"memory": pending}, -32001, what="memory", id=pending)
    equal(vmm.get()["committed"], RAM, "given back")


@test("busy: a slot whose change is not reported")
def pending_slot():
    call = vmm.peer.call("slot.bind", bind_params())["call"]
    refused("slot.unbind", {"vm": vmm.id, "slot": 9}, -32007)
    refused("slot.bind", bind_params(), -32004, with_="slot", slot=9)
    refused("memory.close", {"memory": memory}, -32004, with_="slot")
    done, _, _ = vmm.trigger(call)
    vmm.report(call, done)
    call = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 9})["call"]
    refused("slot.unbind", {"vm": vmm.id, "slot": 9}, -32007)
    refused("slot.bind", bind_params(), -32004, with_="slot", slot=9)
    vmm.report(call, 0, "EINVAL")
    vmm.unbind(9)


@test("limit: as many creations as there may wait")
def pending_creations():
    calls = []
    params = {"vm": vmm.id, "size": PAGE}
    pages = COMMIT_LIMIT // PAGE - RAM // PAGE
    need(pages < PENDING_CREATES, "the budget ends this before the mailbox does")
    for _ in range(pages):
        calls.append(vmm.peer.call("memory.create", params)["call"])
    refused("memory.create", params, -32003, scope="vm")
    for call in calls:
        vmm.report(call, 0, "EINVAL")
    with other_process() as other:
        vm = other.call("vm.open", {"name": "many", "gate": "none"})["vm"]
        params = {"vm": vm, "size": PAGE}
        calls = [other.call("memory.create", params)["call"] for _ in range(PENDING_CREATES)]
        before = other.call("vm.get", {"vm": vm})
        equal(len(before["calls"]), PENDING_CREATES, "calls")
        told = other.error("memory.create", params)["data"]
        equal(told, limit("creations-waiting-per-vm", PENDING_CREATES, "vm"), "one more")
        equal(other.call("vm.get", {"vm": vm}), before, "after the refusal")
        report = {"vm": vm, "call": calls[5]["id"], "done": 0, "errno": "ENOMEM"}
        other.call("call.done", report)
        again = other.call("memory.create", params)["call"]
        equal(again["address"], calls[5]["address"], "the one entry that is free again")


@test("limit: as many memories and VMs as there may be")
def counts():
    with other_process() as other:
        vm = other.call("vm.open", {"name": "many", "gate": "none"})["vm"]
        params = {"vm": vm, "size": PAGE, "backing": "memfd"}
        for _ in range(PENDING_CREATES + 10):
            other.call("memory.create", params)
        told = other.error("memory.create", params)["data"]
        equal(told, limit("memories-per-vm", PENDING_CREATES + 10, "vm"), "one memory more")
        size = vm_get_all(other, vm)
        equal(len(size), PENDING_CREATES + 10, "memories")
    fds = daemon.fds()
    children = []
    try:
        for i in range(VMS_PER_USER - 1):
            children.append(RemotePeer(daemon.socket_path("gmemd.sock")))
            children[-1].call("vm.open", {"name": "vm %d" % i, "gate": "none"})
        children.append(RemotePeer(daemon.socket_path("gmemd.sock")))
        error = children[-1].error("vm.open", {"name": "one more", "gate": "none"})
        equal(error and error["data"], limit("vms-per-user", VMS_PER_USER, "user"), "VMs")
        children.pop(0).end()
        daemon.operator().call("ping")
        wait_until(lambda: children[-1].error("vm.open", {"name": "one more", "gate": "none"}) is None)
    finally:
        for child in children:
            child.end()
    daemon.fds_come_back(fds)


def vm_get_all(peer, vm):
    memories, cursor = [], {}
    while True:
        page = peer.call("vm.get", dict({"vm": vm}, **cursor))
        memories += page["memories"]
        if "cursor" not in page:
            return memories
        cursor = {"cursor": page["cursor"]}


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.02)
    check(False, "not within %d s" % seconds)


@test("limit: as many slots as a VM may have, and the bytes of those on own memory")
def slot_count():
    with other_process() as other:
        vm = other.call("vm.open", {"name": "slots", "gate": "none"})["vm"]
        params = {
            "vm": vm,
            "slot": 0,
            "guest_phys_addr": 0,
            "memory_size": PAGE,
            "userspace_addr": 1 << 30,
            "memory": None,
        }
        for slot in range(SLOTS_PER_VM):
            given = dict(params, slot=slot, guest_phys_addr=slot * PAGE)
            call = other.call("slot.bind", given)["call"]
            other.call("call.done", {"vm": vm, "call": call["id"], "done": 1})
        params.update(slot=99, guest_phys_addr=1 << 30)
        told = other.error("slot.bind", params)["data"]
        equal(told, limit("slots-per-vm", SLOTS_PER_VM, "vm"), "one slot more")
        error = other.error("slot.bind", dict(params, memory_size=OWN_MEMORY))
        equal((error["code"], error["data"]["scope"]), (-32003, "vm"), "own memory")


# gone


@test("gone: a VM that was closed")
def gone():
    with other_process() as other:
        vm = other.call("vm.open", {"name": "closed", "gate": "none"})["vm"]
        params = {"vm": vm, "size": PAGE, "backing": "memfd"}
        one = other.call("memory.create", params)["memory"]
        pending = other.call("memory.create", {"vm": vm, "size": PAGE})
        equal(other.call("vm.close", {"vm": vm}), {"released": 0}, "vm.close")
        for method, params in (
            ("vm.close", {"vm": vm}),
            ("memory.create", params),
            ("slot.bind", dict(bind_params(), vm=vm, memory=one)),
            ("slot.unbind", {"vm": vm, "slot": 0}),
            ("call.done", {"vm": vm, "call": pending["call"]["id"], "done": 0, "errno": "EIO"}),
        ):
            error = other.error(method, params)
            equal(error and error["code"], -32008, method)
            equal(error and error["data"].get("id"), vm, method)
        for closed in (one, pending["memory"]):
            equal(other.error("memory.open", {"memory": closed})["code"], -32001, "its memory")
        page = other.call("vm.get", {"vm": vm})
        equal(page["state"], "released", "state")
        equal([page["committed"], page["memories"], page["calls"]], [0, [], []], "what it has")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
