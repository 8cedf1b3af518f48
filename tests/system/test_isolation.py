#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Isolation: no peer can see, name, receive or affect what belongs to another user."""

import errno
import os
import stat
import time

from gmemtest import linux, tap
from gmemtest.child import RemotePeer
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, test

# Nobody's, as far as this machine knows; nothing is written as them.
ALICE, BOB = 54321, 54322

UUID = "123e4567-e89b-12d3-a456-426614174000"

daemon = operator = None
alice = bob = None
vms, memories = {}, {}


def set_up():
    global daemon, operator, alice, bob
    linux.require_guest_memfd()
    linux.require_root()
    daemon = Daemon()
    operator = daemon.operator()
    path = daemon.socket_path("gmemd.sock")
    alice, bob = RemotePeer(path, ALICE), RemotePeer(path, BOB)
    for peer in (alice, bob):
        peer.call("event.subscribe")


def tear_down():
    alice.end()
    bob.end()
    daemon.stop()


def without_ids(error, *ids):
    text = repr(error)
    for one in ids:
        text = text.replace(str(one), "ID")
    return text


@test("two users may have VMs of the same name and UUID")
def same_names():
    for who, peer in (("alice", alice), ("bob", bob)):
        params = {"name": "vm", "uuid": UUID, "gate": "none"}
        vms[who] = peer.call("vm.open", params)["vm"]
        params = {"vm": vms[who], "size": 4 * PAGE, "backing": "memfd", "name": "ram"}
        memories[who] = peer.call("memory.create", params)["memory"]
    check(vms["alice"] != vms["bob"], "ids")
    check(memories["alice"] != memories["bob"], "ids of memories")


@test("each sees its own VM, an operator both")
def lists():
    for who, peer, uid in (("alice", alice, ALICE), ("bob", bob, BOB)):
        seen = peer.call("vm.list")["vms"]
        equal([(vm["vm"], vm["pid"]) for vm in seen], [(vms[who], peer.pid)], who)
        check(str(uid) in seen[0]["tenant"], seen[0]["tenant"])
        for cursor in ("vm:0", "vm:1", vms[who].replace("-", ":")):
            seen = peer.call("vm.list", {"cursor": cursor})["vms"]
            check([vm["vm"] for vm in seen] in ([], [vms[who]]), "%s from %s" % (who, cursor))
    seen = {vm["vm"]: vm["pid"] for vm in operator.call("vm.list")["vms"]}
    equal(seen, {vms["alice"]: alice.pid, vms["bob"]: bob.pid}, "an operator")


@test("what is another's looks exactly like what does not exist")
def not_found():
    binding = {
        "slot": 0,
        "guest_phys_addr": 0,
        "memory_size": PAGE,
        "userspace_addr": 0,
        "guest_memfd_offset": 0,
        "guest_memfd": 3,
    }
    theirs, ours = vms["alice"], vms["bob"]
    before = operator.call("vm.get", {"vm": theirs})
    requests = [
        ("vm.get", {"vm": theirs}, {"vm": "vm-7"}),
        ("vm.get", {"vm": theirs, "cursor": "x"}, {"vm": "vm-7", "cursor": "x"}),
        ("vm.close", {"vm": theirs}, {"vm": "vm-7"}),
        ("memory.create", {"vm": theirs, "size": PAGE}, {"vm": "vm-7", "size": PAGE}),
        ("memory.create", {"vm": theirs, "size": 1 << 62}, {"vm": "vm-7", "size": 1 << 62}),
        ("memory.open", {"memory": memories["alice"]}, {"memory": 7}),
        ("memory.close", {"memory": memories["alice"]}, {"memory": 7}),
        ("slot.unbind", {"vm": theirs, "slot": 0}, {"vm": "vm-7", "slot": 0}),
        (
            "slot.bind",
            dict(binding, vm=theirs, memory=memories["alice"]),
            dict(binding, vm="vm-7", memory=7),
        ),
        (
            "slot.bind",
            dict(binding, vm=ours, memory=memories["alice"]),
            dict(binding, vm=ours, memory=7),
        ),
        (
            "call.done",
            {"vm": theirs, "call": 1, "done": 1},
            {"vm": "vm-7", "call": 1, "done": 1},
        ),
    ]
    for method, of_other, of_none in requests:
        seen, none = bob.error(method, of_other), bob.error(method, of_none)
        equal(seen and seen["code"], -32001, method)
        seen_text = without_ids(seen, theirs, memories["alice"])
        none_text = without_ids(none, "vm-7", 7)
        equal(seen_text.replace("'ID'", "ID"), none_text.replace("'ID'", "ID"), method)
    equal(operator.call("vm.get", {"vm": theirs}), before, "what became of it")


@test("another process of the same user has no part in its VM")
def same_user():
    with RemotePeer(daemon.socket_path("gmemd.sock"), ALICE) as other:
        equal(other.call("vm.list")["vms"], [], "what it sees")
        equal(other.error("vm.get", {"vm": vms["alice"]})["code"], -32001, "vm.get")
        equal(other.error("vm.close", {"vm": vms["alice"]})["code"], -32001, "vm.close")
        error = other.error("memory.open", {"memory": memories["alice"]})
        equal(error["code"], -32001, "memory.open")
        error = other.error("vm.open", {"name": "vm", "gate": "none"})
        equal(error["code"], -32004, "its name, which is the user's")


@test("events are of one's own VM alone")
def events():
    for who, peer in (("alice", alice), ("bob", bob)):
        params = {"vm": vms[who], "size": PAGE, "backing": "memfd"}
        extra = peer.call("memory.create", params)["memory"]
        peer.call("memory.close", {"memory": extra})
    for who, peer in (("alice", alice), ("bob", bob)):
        seen = peer.events()
        check(len(seen) >= 4, "%s has heard of %d events" % (who, len(seen)))
        equal({event["vm"] for event in seen}, {vms[who]}, who)
        equal([e["seq"] for e in seen], list(range(1, len(seen) + 1)), who + "'s sequence")


@test("admin.sock is the operators'")
def admin_socket():
    path = daemon.socket_path("admin.sock")
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode")
    for peer in (alice, bob):
        equal(peer.connects(path), errno.EACCES, "connecting")
        equal(peer.connects(daemon.socket_path("gmemd.sock")), None, "the other socket")
    for method in ("vm.list", "vm.get", "memory.open"):
        check(alice.error(method, {"bogus": 1}), method)


@test("what ends with one user's process is that user's alone")
def end():
    before = operator.call("vm.get", {"vm": vms["bob"]})
    alice.end()
    until = time.monotonic() + 5
    while len(operator.call("vm.list")["vms"]) > 1 and time.monotonic() < until:
        time.sleep(0.01)
    equal([vm["vm"] for vm in operator.call("vm.list")["vms"]], [vms["bob"]], "VMs")
    equal(operator.error("memory.open", {"memory": memories["alice"]})["code"], -32001, "memory")
    equal(operator.call("vm.get", {"vm": vms["bob"]}), before, "the other's")
    equal({event["vm"] for event in bob.events()}, {vms["bob"]}, "what the other heard")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
