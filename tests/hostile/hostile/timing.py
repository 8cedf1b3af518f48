# SPDX-License-Identifier: LGPL-2.1-or-later
"""The right things at the wrong time: slowly, twice, in another order, too early, too late."""

import os
import time

from gmemtest import linux
from gmemtest.tap import check, equal
from gmemtest.wire import request
from hostile.attacker import BUSY, GONE, INVALID_PARAMS, NOT_FOUND, PAGE, answers, answers_at_last, guest_ranges, memfd
from hostile.attacker import misbehaviour, patiently, process, refused
from hostile.identity import requests_about

CONFLICT = -32004


@misbehaviour("reads-slowly")
def reads_slowly(attacker):
    """An answer now and then, with all asked that can be."""
    peers = attacker.peers(10)
    waiting = dict.fromkeys(range(10), 0)
    while attacker.goes_on():
        for number, peer in enumerate(peers):
            while waiting[number] < 16:
                peer.send(request("rpc.discover"))
                waiting[number] += 1
            answers(peer, 1)
            waiting[number] -= 1
            time.sleep(0.005)


@misbehaviour("asks-one-by-one-on-many-connections")
def dribbles(attacker):
    peers, asked = attacker.peers(40), 0
    while attacker.goes_on():
        peer = peers[asked % len(peers)]
        peer.send(request("vm.list", number=asked))
        equal(answers(peer, 1)[0]["id"], asked, "the answer")
        asked += 1


@misbehaviour("everything-twice")
def twice(attacker):
    """Each request is sent twice in one go, with one id: what is done already is an error or nothing."""
    peer = attacker.peer()

    def both(method, params):
        found = answers_at_last([(peer, request(method, params))] * 2)
        codes = [one["error"]["code"] if "error" in one else 0 for one in found]
        equal(codes[0], 0, "%s, the first: %r" % (method, found[0]))
        return codes[1], found[0].get("result")

    while attacker.goes_on():
        code, opened = both("vm.open", {"name": "twice", "gate": "none"})
        equal(code, CONFLICT, "vm.open")
        vm = opened["vm"]
        code, made = both("memory.create", {"vm": vm, "size": PAGE, "backing": "memfd", "name": "ram"})
        equal(code, CONFLICT, "memory.create")
        one = {"memory": made["memory"]}
        equal(both("memory.preallocate", one)[0] in (0, BUSY, CONFLICT), True, "memory.preallocate")
        equal(both("memory.reclaim", dict(one, ranges=[{"offset": 0, "size": PAGE}]))[0], 0, "memory.reclaim")
        check(both("memory.close", one)[0] in (NOT_FOUND, GONE), "memory.close")
        check(both("vm.close", {"vm": vm})[0] in (GONE, 0), "vm.close")


@misbehaviour("before-it-has-opened")
def before_opening(attacker):
    """With the id that its VM will have."""
    peer = attacker.peers(1)[0]
    vm = peer.call("vm.open", {"name": "first", "gate": "none"})["vm"]
    peer.call("vm.close", {"vm": vm})
    number = int(vm.rpartition("-")[2])
    while attacker.goes_on():
        for ahead in (1, 2, 3):
            for method, params in requests_about("vm-%d" % (number + ahead), number + ahead):
                refused(peer, method, params, NOT_FOUND)


@misbehaviour("after-it-has-closed")
def after_closing(attacker):
    peer = attacker.peer()
    while attacker.goes_on():
        vm = peer.call("vm.open", {"name": "late", "gate": "none"})["vm"]
        memory = patiently(peer.call, "memory.create", {"vm": vm, "size": PAGE, "backing": "memfd"})["memory"]
        peer.call("vm.close", {"vm": vm})
        for method, params in requests_about(vm, memory):
            if method not in ("vm.get", "vm.close", "vm.resume", "vm.set"):
                refused(peer, method, params, GONE, NOT_FOUND, CONFLICT, -32005)
        equal(peer.call("vm.get", {"vm": vm})["committed"], 0, "committed")


@misbehaviour("out-of-order")
def out_of_order(attacker):
    """All at once on one connection, what needs the other before it."""
    vmm = attacker.vmm()
    while attacker.goes_on():
        memory, file = patiently(vmm.create, 4 * PAGE)
        bind = vmm.bind_params(0, 0, 4 * PAGE, memory, file)
        wrong = [("slot.unbind", {"vm": vmm.id, "slot": 0}), ("memory.convert", converted(vmm))]
        for method, params in wrong:
            refused(vmm.peer, method, params, NOT_FOUND, INVALID_PARAMS, -32005)
        call = vmm.peer.call("slot.bind", bind)["call"]
        refused(vmm.peer, "memory.close", {"memory": memory}, CONFLICT)
        if call:
            refused(vmm.peer, "slot.unbind", {"vm": vmm.id, "slot": 0}, BUSY)
            refused(vmm.peer, "slot.bind", bind, CONFLICT)
            vmm.carry_out(call)
        vmm.unbind(0)
        vmm.peer.call("memory.close", {"memory": memory})
        os.close(file)


def converted(vmm):
    return {"vm": vmm.id, "to": "private", "ranges": guest_ranges((0, 1))}


@misbehaviour("creation-still-pending")
def pending(attacker):
    """Everything that can be done to a memory, before it is reported that there is one."""
    attacker.need_calls()
    vmm = attacker.vmm()
    while attacker.goes_on():
        result = patiently(vmm.peer.call, "memory.create", {"vm": vmm.id, "size": PAGE})
        memory, call = result["memory"], result["call"]
        for method in ("memory.open", "memory.preallocate", "memory.close"):
            refused(vmm.peer, method, {"memory": memory}, BUSY)
        refused(vmm.peer, "slot.bind", vmm.bind_params(0, 0, PAGE, memory, 0), BUSY)
        vmm.report(call, 0, "EINTR")
        refused(vmm.peer, "memory.open", {"memory": memory}, NOT_FOUND, GONE)


@misbehaviour("subscribes-again-and-again")
def subscribes(attacker):
    """An event comes once, however often it was asked for."""
    vmm = attacker.vmm()
    while attacker.goes_on():
        vmm.peer.send([request("event.subscribe", number=number) for number in range(64)])
        equal(len(answers(vmm.peer, 1)[0]), 64, "answers")
        vmm.peer.events.clear()
        memory = memfd(vmm)
        vmm.peer.call("memory.close", {"memory": memory})
        vmm.peer.call("ping")
        kinds = [event["kind"] for event in vmm.peer.events if event.get("memory") == memory]
        equal(len(kinds), len(set(kinds)), "events of one memory: %r" % kinds)


@misbehaviour("makes-VMs-of-KVM-without-end")
def makes_vms(attacker):
    """Two processes at once; KVM tells everybody of each, and of its end."""
    attacker.need_calls()
    kvm, count = attacker.vmm().kvm(), 0
    with process(lambda _: all(True for _ in vms_of(kvm, lambda: True))):
        for _ in vms_of(kvm, attacker.goes_on):
            count += 1
    attacker.note = "%d VMs by one of them" % count


def vms_of(kvm, goes_on):
    while goes_on():
        os.close(linux.ioctl(kvm, linux.KVM_CREATE_VM, 0))
        yield


@misbehaviour("resumes-without-end")
def resumes(attacker):
    """On one connection after the other, while the last is used still."""
    vmm = attacker.vmm_with_memory()
    first = vmm.peer
    while attacker.goes_on():
        peer = attacker.peer()
        for _ in range(4):
            peer.call("vm.resume", {"vm": vmm.id})
        equal(peer.call("vm.get", {"vm": vmm.id})["vm"], vmm.id, "on the last")
        equal(first.call("vm.get", {"vm": vmm.id})["vm"], vmm.id, "on the first")
        peer.close()
