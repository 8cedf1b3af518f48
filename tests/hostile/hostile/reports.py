# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reports of what never came to pass, and of what did, twice or wrong."""

import ctypes
import os
import random

from gmemtest.child import Child
from gmemtest.tap import check, equal
from gmemtest.vmm import FAILED
from gmemtest.wire import close_all, request
from hostile.attacker import GONE, INVALID_PARAMS, NOT_FOUND, PAGE, answers, answers_at_last, code_of, misbehaviour
from hostile.attacker import patiently, refused

CONFLICT = -32004


def created(vmm, size=PAGE):
    """A creation that was triggered and is not reported: (memory, what reports it, its file)"""
    result = patiently(vmm.peer.call, "memory.create", {"vm": vmm.id, "size": size})
    _, fd, _ = vmm.trigger(result["call"])
    return result["memory"], {"vm": vmm.id, "call": result["call"]["id"]}, fd


def closed(vmm, memory, fd):
    vmm.peer.call("memory.close", {"memory": memory})
    os.close(fd)


@misbehaviour("reports-what-nobody-asked-for")
def unasked(attacker):
    vmm = attacker.vmm()
    before = vmm.get()
    while attacker.goes_on():
        for call in (0, 1, 2, 100, 1 << 31, (1 << 63) - 1):
            for told in ({"done": 1}, {"done": 0, "errno": "EINVAL"}, {"done": (1 << 32) - 1}, {"done": 1, "fd": 0}):
                refused(vmm.peer, "call.done", dict(told, vm=vmm.id, call=call), NOT_FOUND)
    equal(vmm.get(), before, "the VM")


@misbehaviour("reports-more-than-there-was")
def more_than_all(attacker):
    attacker.need_calls()
    vmm = attacker.vmm_with_memory()
    while attacker.goes_on():
        memory, report, fd = created(vmm)
        wrong = [{"done": 2, "fd": fd}, {"done": 0}, {"done": 1}, {"done": 1, "errno": "EINVAL", "fd": fd}]
        wrong += [{"done": 0, "errno": "EFAKE"}, {"done": 0, "errno": "0x16"}, {"done": 0, "errno": "EINVAL", "fd": fd}]
        wrong += [{"done": 1, "fd": vmm.file}, {"done": (1 << 32) - 1, "fd": fd}, {"done": 0, "errno": "OK"}]
        for told in wrong:
            refused(vmm.peer, "call.done", dict(report, **told), INVALID_PARAMS, CONFLICT, why="%r" % told)
        vmm.peer.call("call.done", dict(report, done=1, fd=fd))
        closed(vmm, memory, fd)


@misbehaviour("reports-that-nothing-was-created")
def nothing_was_created(attacker):
    """The file is there, and charged to nobody but its maker's cgroup: no other memory's either."""
    attacker.need_calls()
    vmm = attacker.vmm()
    while attacker.goes_on():
        memory, report, fd = created(vmm, 2 * PAGE)
        vmm.peer.call("call.done", dict(report, done=0, errno="ENOMEM"))
        equal(vmm.get()["committed"], 0, "committed")
        refused(vmm.peer, "memory.open", {"memory": memory}, NOT_FOUND, GONE)
        refused(vmm.peer, "call.done", dict(report, done=1, fd=fd), NOT_FOUND, CONFLICT)
        other, again, right = created(vmm)
        refused(vmm.peer, "call.done", dict(again, done=1, fd=fd), INVALID_PARAMS, why="a file of another size")
        vmm.peer.call("call.done", dict(again, done=1, fd=right))
        closed(vmm, other, right)
        os.close(fd)


@misbehaviour("reports-an-unbinding-undone")
def unbinding_undone(attacker):
    """The kernel has the slot still: the next there fails, and gmemd takes that in as well."""
    attacker.need_calls()
    vmm = attacker.vmm_with_memory()
    while attacker.goes_on():
        vmm.bind(3, 0, PAGE, vmm.memory, vmm.file)
        unbind = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 3})["call"]
        vmm.report(unbind, 1)
        equal(vmm.get()["slots"], [], "as it was told")
        params = vmm.bind_params(4, 0, PAGE, vmm.memory, vmm.file)
        call = vmm.peer.call("slot.bind", params)["call"]
        done, _, name = vmm.trigger(call)
        equal((done, name), (0, "EEXIST"), "the kernel")
        vmm.report(call, 0, name)
        equal(vmm.get()["slots"], [], "afterwards")
        params = vmm.bind_params(3, 0, PAGE, vmm.memory, vmm.file)
        call = vmm.peer.call("slot.bind", params)["call"]
        vmm.report(call, 0, "EINVAL")
        remove_untold(vmm)


def remove_untold(vmm):
    """By the next binding and unbinding of that number, rightly triggered."""
    call = vmm.peer.call("slot.bind", vmm.bind_params(3, 0, PAGE, vmm.memory, vmm.file))["call"]
    vmm.report(call, 1)
    vmm.unbind(3)


@misbehaviour("reports-twice-at-once")
def twice_at_once(attacker):
    """By a notification and by requests on several connections: one counts."""
    attacker.need_calls()
    vmm, others = attacker.vmm(), attacker.peers(3)
    while attacker.goes_on():
        memory, report, fd = created(vmm)
        whole = dict(report, done=1, fd=fd)
        vmm.peer.send({"jsonrpc": "2.0", "method": "call.done", "params": whole})
        found = answers_at_last([(peer, request("call.done", whole)) for peer in others])
        codes = sorted(one["error"]["code"] if "error" in one else 0 for one in found)
        check(all(code in (0, NOT_FOUND, CONFLICT, INVALID_PARAMS) for code in codes), "codes %r" % codes)
        vmm.peer.call("ping")
        equal([one["state"] for one in vmm.get()["memories"]], ["ready"], "the memory")
        closed(vmm, memory, fd)


@misbehaviour("reports-in-another-order")
def another_order(attacker):
    attacker.need_calls()
    vmm = attacker.vmm()
    while attacker.goes_on():
        all_of_them = [created(vmm) for _ in range(8)]
        for _, report, fd in reversed(all_of_them):
            vmm.peer.call("call.done", dict(report, done=1, fd=fd))
        equal([one["memory"] for one in vmm.get()["memories"]], [one[0] for one in all_of_them], "by id")
        for memory, _, fd in all_of_them[::2] + all_of_them[1::2]:
            result, fds = vmm.peer.call_with_fds("memory.open", {"memory": memory})
            equal(os.fstat(fds[result["fd"]]).st_ino, os.fstat(fd).st_ino, "its own file")
            close_all(fds)
            closed(vmm, memory, fd)


@misbehaviour("reports-files-of-others'-creations")
def crossed_files(attacker):
    """Two creations of one size, each reported with the other's file: who made both has both."""
    attacker.need_calls()
    vmm = attacker.vmm()
    while attacker.goes_on():
        first, second = created(vmm), created(vmm)
        vmm.peer.call("call.done", dict(first[1], done=1, fd=second[2]))
        refused(vmm.peer, "call.done", dict(second[1], done=1, fd=second[2]), CONFLICT, why="a file twice")
        vmm.peer.call("call.done", dict(second[1], done=1, fd=first[2]))
        equal(vmm.get()["committed"], 2 * PAGE, "committed")
        for memory, _, fd in (first, second):
            closed(vmm, memory, fd)


def page_of(vmm):
    """Its report page, as words."""
    vmm.map_page()
    return (ctypes.c_uint64 * (vmm.opened["report"]["length"] // 8)).from_address(vmm.page)


def bind_call(vmm, slot):
    params = vmm.bind_params(slot, slot * PAGE, PAGE, vmm.memory, vmm.file, slot * PAGE)
    return vmm.peer.call("slot.bind", params)["call"]


@misbehaviour("writes-anything-into-its-report-page")
def any_words(attacker):
    """From another process, while gmemd reads: nothing but the right word settles a call."""
    attacker.need_calls()
    vmm = attacker.vmm_with_memory()
    words, chance = page_of(vmm), random.Random(os.getpid())
    call = bind_call(vmm, 1)
    safe = [word for word in (0, FAILED, 2**64 - 1, 1, call["id"] - 1, call["id"] + 1) if word & ~FAILED != call["id"]]
    with Child(lambda _: scribble(words, safe, chance)):
        while attacker.goes_on():
            equal([one["state"] for one in vmm.get()["slots"]], ["pending"], "the slot")
    vmm.report(call, 0, "EINVAL")
    equal(vmm.get()["slots"], [], "afterwards")


def scribble(words, values, chance):
    while True:
        words[chance.randrange(len(words))] = chance.choice(values)


@misbehaviour("reports-by-page-what-never-was")
def never_was(attacker):
    """Charges stay what they are, and the kernel refuses what gmemd doesn't know of."""
    attacker.need_calls()
    vmm = attacker.vmm_with_memory()
    while attacker.goes_on():
        call = bind_call(vmm, 1)
        vmm.write_report(call, 1)
        equal([one["state"] for one in vmm.get()["slots"]], ["bound"], "as it was told")
        equal(vmm.trigger(call)[2], "EINVAL", "its entry, afterwards")
        call = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 1})["call"]
        vmm.write_report(call, 0, failed=True)
        equal([one["state"] for one in vmm.get()["slots"]], ["bound"], "its end has failed")
        call = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 1})["call"]
        vmm.write_report(call, 1)
        view = vmm.get()
        equal((view["slots"], view["committed"]), ([], 16 * PAGE), "afterwards")


@misbehaviour("reports-in-both-ways-at-once")
def both_ways(attacker):
    attacker.need_calls()
    vmm, others = attacker.vmm_with_memory(), attacker.peers(2)
    while attacker.goes_on():
        call = bind_call(vmm, 1)
        vmm.trigger(call)
        told = {"vm": vmm.id, "call": call["id"], "done": 1}
        others[0].send(request("call.done", told))
        vmm.write_report(call, 1)
        others[1].send(request("call.done", told))
        found = [answers(peer, 1)[0] for peer in others]
        codes = sorted(one["error"]["code"] if "error" in one else 0 for one in found)
        check(codes in ([NOT_FOUND, 0], [NOT_FOUND, NOT_FOUND]), "codes %r" % codes)
        equal([one["state"] for one in vmm.get()["slots"]], ["bound"], "the slot")
        vmm.unbind(1)


@misbehaviour("keeps-all-its-reports-for-later")
def all_later(attacker):
    """Until the mailbox is full; then all of them, whether they were triggered or not."""
    attacker.need_calls()
    vmm = attacker.vmm_with_memory(32)
    while attacker.goes_on():
        calls = []
        while "error" not in (answer := asked(vmm, len(calls))):
            calls.append(answer["result"]["call"])
        equal(answer["error"]["data"]["reason"], "limit", "when it is full")
        for call in reversed(calls):
            vmm.trigger(call)
            vmm.write_report(call, 1)
        equal({one["state"] for one in vmm.get()["slots"]}, {"bound"}, "all of them")
        for slot in range(len(calls)):
            vmm.unbind(slot)


def asked(vmm, slot):
    vmm.peer.send(request("slot.bind", vmm.bind_params(slot, slot * PAGE, PAGE, vmm.memory, vmm.file, slot * PAGE)))
    return answers(vmm.peer, 1)[0]


@misbehaviour("resumes-with-lies")
def lies_of_the_living(attacker):
    """gmemd knows better what the VM has."""
    vmm = attacker.vmm_with_memory()
    before = vmm.get()
    slot = {"slot": 7, "guest_phys_addr": 0, "memory_size": PAGE, "userspace_addr": PAGE, "memory": vmm.memory}
    lies = [{"slots": [slot]}, {"slots": [slot] * 50}, {"slots": [dict(slot, memory=None)]}]
    lies += [{"private_ranges": [{"guest_phys_addr": 0, "size": 1 << 62}]}]
    lies += [{"memories": [{"memory": vmm.memory + 1, "fd": vmm.file}]}]
    lies += [{"memories": [{"memory": vmm.memory, "fd": vmm.file, "name": "other", "flags": []}]}]
    lies += [{"memories": [{"memory": vmm.memory, "fd": vmm.file}] * 2}]
    while attacker.goes_on():
        codes = [code_of(vmm.peer, "vm.resume", dict(lie, vm=vmm.id)) for lie in lies]
        check(set(codes) <= {0, INVALID_PARAMS, NOT_FOUND, CONFLICT}, "codes %r" % codes)
        equal(vmm.get(), before, "the VM")
    attacker.note = "codes %r" % codes


@misbehaviour("needs-more-than-there-is")
def minimum(attacker):
    """What a VM says that it can't do without gives it nothing."""
    vmm = attacker.vmm_with_memory()
    while attacker.goes_on():
        for value in ((1 << 63) - 1, 0, 1, PAGE + 1):
            vmm.peer.call("vm.set", {"vm": vmm.id, "minimum": value})
        refused(vmm.peer, "vm.set", {"vm": vmm.id, "minimum": 1 << 63}, INVALID_PARAMS)
        refused(vmm.peer, "vm.set", {"vm": vmm.id, "minimum": -1}, INVALID_PARAMS)
    equal(vmm.get()["committed"], 16 * PAGE, "committed")
