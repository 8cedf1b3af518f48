#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls that a VMM reports in its report page: who is told of them, when, and what is no report."""

import ctypes
import errno
import fcntl
import os
import random
import struct
import subprocess
import time

from gmemtest import linux
from gmemtest.host import Host, wait_until
from gmemtest.keeper import REPORTS, KeeperPeer
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, main, test
from gmemtest.vmm import FAILED, Vmm
from gmemtest.wire import Peer, RpcError, close_all

SIZE = 64 * PAGE
ENTRIES = 16  # of slots
TIMES = "gmemd_request_duration_seconds"
F_ADD_SEALS, F_GET_SEALS = 1033, 1034
SEALS = 0x0001 | 0x0002 | 0x0004  # SEAL, SHRINK, GROW

host = vmm = memory = fd = None


def set_up():
    global host, vmm, memory, fd
    linux.require_guest_memfd()
    host = Host(config="[limits]\nclosed-memories-per-vm = 0\n")
    vmm = Vmm(Peer(host.socket_path("gmemd.sock")), "reporting")
    vmm.by_page = True
    memory, fd = vmm.create(SIZE)
    vmm.map_page()


def tear_down():
    vmm.close_files()
    os.close(fd)
    host.stop()


def ask_bind(number):
    """The call, which nobody has triggered."""
    return vmm.peer.call("slot.bind", vmm.bind_params(number, number * PAGE, PAGE, memory, fd, number * PAGE))["call"]


def bind(number):
    vmm.bind(number, number * PAGE, PAGE, memory, fd, number * PAGE)


def slots(peer=None):
    view = (peer or vmm.peer).call("vm.get", {"vm": vmm.id})
    return {one["slot"]: one["state"] for one in view["slots"]}


def clear():
    for number in slots():
        vmm.unbind(number)
    equal(slots(), {}, "slots that are left")


def requests():
    """How many of each method there were."""
    operator = host.operator()
    told = operator.call("metrics.get")[TIMES]["methods"]
    operator.close()
    return {one["method"]: one["count"] for one in told}


class Watching:
    """An operator who hears of this VM's slots, and asks nothing."""

    def __init__(self):
        self.peer = host.operator()
        self.peer.call("event.subscribe")

    def hears(self):
        while True:
            message, _ = self.peer.receive()
            told = message.get("params", {})
            if told.get("kind", "").startswith("slot_") and told.get("vm") == vmm.id:
                return told["kind"], told["slot"]

    def close(self):
        self.peer.close()


@test("a page comes with the VM: its file can't become shorter, longer or sealed further")
def the_file():
    report = vmm.opened["report"]
    page = vmm.fds[report["fd"]]
    equal(os.fstat(page).st_size, report["length"], "its size")
    equal(fcntl.fcntl(page, F_GET_SEALS) & SEALS, SEALS, "its seals")
    for change in (
        lambda: os.ftruncate(page, 0),
        lambda: os.ftruncate(page, 2 * report["length"]),
        lambda: fcntl.fcntl(page, F_ADD_SEALS, 0x0008),
        lambda: fcntl.fcntl(page, F_ADD_SEALS, 0x0010),
    ):
        try:
            change()
            check(False, "it can be changed")
        except OSError as e:
            check(e.errno in (errno.EPERM, errno.EBUSY), "errno %d" % e.errno)
    number = int(vmm.id[3:])
    with KeeperPeer(host.path) as keeper:
        held = keeper.take_all()
    equal([os.fstat(held[(REPORTS, number, 0)]).st_ino], [os.fstat(page).st_ino], "what the keeper holds")
    close_all(held.values())


@test("what is asked next finds it done, and no call.done is needed")
def one_round_trip():
    before = requests()
    bind(1)
    equal(slots(), {1: "bound"}, "at once")
    vmm.unbind(1)
    equal(slots(), {}, "at once")
    after = requests()
    equal(after["call.done"], before["call.done"], "reports by call.done")
    equal(after["slot.bind"] - before["slot.bind"], 1, "bindings")


@test("an operator is told what is written by then")
def operators():
    operator = host.operator()
    calls = [ask_bind(number) for number in (1, 2)]
    equal(slots(operator), {1: "pending", 2: "pending"}, "before")
    vmm.trigger(calls[0])
    vmm.write_report(calls[0], 1)
    equal(slots(operator), {1: "bound", 2: "pending"}, "after")
    vmm.trigger(calls[1])
    vmm.write_report(calls[1], 1)
    operator.call("vm.list")
    view = operator.call("vm.get", {"vm": vmm.id})
    equal((slots(operator), view["calls"]), ({1: "bound", 2: "bound"}, []), "all")
    operator.close()
    clear()


@test("where nobody asks, it is settled soon, and told of")
def nobody_asks():
    watching = Watching()
    for kind, act in (("slot_bound", bind), ("slot_unbound", vmm.unbind)) * 3:
        act(5)
        equal(watching.hears(), (kind, 5), "the event")
    watching.close()


@test("one that is reported late is settled soon all the same")
def late():
    watching = Watching()
    call = ask_bind(6)
    vmm.trigger(call)
    time.sleep(1)  # gmemd looks ever less often meanwhile
    vmm.write_report(call, 1)
    equal(watching.hears(), ("slot_bound", 6), "the event")
    watching.close()
    clear()


@test("a failure is a failure: nothing is bound, and the entry is free")
def failures():
    call = ask_bind(1)
    vmm.write_report(call, 0, failed=True)
    equal(slots(), {}, "slots")
    bind(1)
    call = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 1})["call"]
    vmm.write_report(call, 0, failed=True)
    equal(slots(), {1: "bound"}, "slots")
    clear()


def three_changes():
    changes = []
    for number in (1, 2, 3):
        params = vmm.bind_params(number, number * PAGE, PAGE, memory, fd, number * PAGE)
        del params["vm"]
        changes.append({"bind": params})
    return vmm.peer.call("slot.change", {"vm": vmm.id, "changes": changes})["calls"][0]


@test("of several ioctls each has its word, and they count in order")
def several():
    call = three_changes()
    vmm.trigger(call)
    vmm.write_word(call, 2, call["id"])
    vmm.write_word(call, 1, call["id"])
    equal(set(slots().values()), {"pending"}, "without the first")
    vmm.write_word(call, 0, call["id"])
    equal(slots(), {1: "bound", 2: "bound", 3: "bound"}, "with all")
    clear()
    call = three_changes()
    linux.ioctl(vmm.vm_fd, call["request"], call["address"])
    vmm.write_report(call, 1, failed=True)
    equal(slots(), {1: "bound"}, "where the second has failed")
    clear()


@test("no mailbox is full of what is reported")
def full():
    calls = [ask_bind(number) for number in range(ENTRIES)]
    error = vmm.peer.error("slot.bind", vmm.bind_params(40, 40 * PAGE, PAGE, memory, fd, 40 * PAGE))
    equal((error["data"]["reason"], error["data"]["limit"]), ("limit", "slot-changes-waiting-per-vm"), "not reported")
    for call in calls:
        vmm.trigger(call)
        vmm.write_report(call, 1)
    bind(40)
    equal(len(slots()), ENTRIES + 1, "bound")
    clear()


@test("other words are no report, and harm nobody")
def other_words():
    call = ask_bind(1)
    earlier = call["id"] - 1
    words = [0, 1, FAILED, 2**64 - 1, earlier, earlier | FAILED, call["id"] + 1, (call["id"] + 1) | FAILED]
    words += [call["id"] << 32 & (2**64 - 1), call["id"] >> 32, 2**62, ~call["id"] & (2**64 - 1)]
    for word in words:
        vmm.write_word(call, 0, word)
        equal(slots(), {1: "pending"}, "word %#x" % word)
    vmm.trigger(call)
    vmm.write_report(call, 1)
    equal(slots(), {1: "bound"}, "the right one")
    clear()


@test("another entry's word, and words for calls to come, are none")
def other_entries():
    one, two = ask_bind(1), ask_bind(2)
    vmm.write_word(one, 0, two["id"])
    vmm.write_word(two, 0, one["id"])
    equal(slots(), {1: "pending", 2: "pending"}, "each other's")
    for call in (one, two):
        vmm.trigger(call)
        vmm.write_report(call, 1)
    equal(slots(), {1: "bound", 2: "bound"}, "each its own")
    clear()


@test("one that is reported before it is triggered is believed as by call.done, and charged the same")
def too_early():
    operator = host.operator()
    committed = operator.call("vm.get", {"vm": vmm.id})["committed"]
    call = ask_bind(1)
    vmm.write_report(call, 1)
    equal(slots(), {1: "bound"}, "what gmemd takes it for")
    equal(vmm.trigger(call)[2], "EINVAL", "its entry is cleared")
    error = vmm.peer.error("memory.close", {"memory": memory})
    equal(error["data"]["reason"], "conflict", "the memory is in use")
    call = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 1})["call"]
    vmm.write_report(call, 1)
    equal(operator.call("vm.get", {"vm": vmm.id})["committed"], committed, "what is charged")
    operator.close()


@test("a creation has no word: its file is to be taken")
def creations():
    result = vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE})
    equal(result["call"]["report"], None, "its word")
    page = (ctypes.c_uint64 * (vmm.opened["report"]["length"] // 8)).from_address(vmm.page)
    kept = list(page)
    for index in range(len(page)):
        page[index] = result["call"]["id"]
    states = {one["memory"]: one["state"] for one in vmm.get()["memories"]}
    equal(states[result["memory"]], "pending", "the memory")
    for index, word in enumerate(kept):
        page[index] = word
    vmm.report(result["call"], 0, "ECANCELED")


@test("a call is reported once: what has a word is unknown to call.done, and the other way round")
def twice():
    call = ask_bind(1)
    vmm.trigger(call)
    vmm.write_report(call, 1)
    try:
        vmm.report(call, 1)
        check(False, "it is taken twice")
    except RpcError as e:
        equal(e.data["reason"], "not_found", "a second report")
    call = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 1})["call"]
    vmm.trigger(call)
    vmm.report(call, 1)
    vmm.write_report(call, 0, failed=True)
    equal(slots(), {}, "slots")


@test("pages of it that are taken away are pages without reports")
def punched():
    call = ask_bind(1)
    page = vmm.fds[vmm.opened["report"]["fd"]]
    vmm.trigger(call)
    linux.fallocate(page, 3, 0, vmm.opened["report"]["length"])  # PUNCH_HOLE, KEEP_SIZE
    equal(slots(), {1: "pending"}, "slots")
    os.pwrite(page, struct.pack("=Q", call["id"]), call["report"])
    equal(slots(), {1: "bound"}, "slots")
    clear()


@test("words of all kinds while gmemd reads, by another process too: it counts right")
def written_amid():
    writer = os.fork()
    if writer == 0:
        linux.die_with_parent()
        page = (ctypes.c_uint64 * 512).from_address(vmm.page)
        chance = random.Random(1)
        while True:
            page[chance.randrange(512)] = chance.choice((0, FAILED, chance.getrandbits(64), chance.randrange(1, 200)))
    operator = host.operator()
    committed = operator.call("vm.get", {"vm": vmm.id})["committed"]
    try:
        for _ in range(300):
            call = ask_bind(1)
            vmm.trigger(call)
            while slots().get(1) != "bound":
                vmm.write_report(call, 1)
                if 1 not in slots():  # it was said to have failed, and is bound
                    break
            if 1 in slots():
                call = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 1})["call"]
                vmm.trigger(call)
                while 1 in slots():
                    vmm.write_report(call, 1)
    finally:
        os.kill(writer, 9)
        os.waitpid(writer, 0)
    equal(operator.call("vm.get", {"vm": vmm.id})["committed"], committed, "what is charged")
    operator.close()
    clear()


@test("a successor settles what was written to a gmemd that has ended, once")
def successor():
    for restart in (host.restart, lambda: (host.end(), host.start())):
        watching = Watching()
        bind(1)
        call = ask_bind(2)
        vmm.trigger(call)
        vmm.write_report(call, 1)
        restart()
        equal(slots(), {1: "bound", 2: "bound"}, "slots")
        clear()
        watching.close()


@test("what is written while no gmemd is there is found by the next")
def while_away():
    calls = [ask_bind(number) for number in (1, 2, 3)]
    host.kill()
    for call in calls[:2]:
        vmm.trigger(call)
    vmm.write_report(calls[0], 1)
    vmm.write_report(calls[2], 0, failed=True)
    host.start(alone=False)
    equal(slots(), {1: "bound", 2: "pending"}, "slots")
    vmm.write_report(calls[1], 1)
    equal(slots(), {1: "bound", 2: "bound"}, "slots")
    clear()


@test("a gmemd that has lost the VM makes another page; words of the old one mean nothing there")
def lost():
    bind(1)
    old = ask_bind(2)
    vmm.write_report(old, 1)
    listed = vmm.get()
    host.lose_all()
    vmm.peer.close()
    vmm.peer = Peer(host.socket_path("gmemd.sock"))
    resumed, fds = vmm.peer.call_with_fds(
        "vm.resume",
        {
            "vm": vmm.id,
            "mailbox": vmm.fds[vmm.opened["mailbox"]["fd"]],
            "memories": [{"memory": memory, "fd": fd}],
            "slots": [{key: one[key] for key in ("slot", "guest_phys_addr", "memory_size", "userspace_addr", "memory", "guest_memfd_offset")}
                      for one in listed["slots"] if one["slot"] == 1],
        },
    )
    equal(resumed["rebuilt"], True, "rebuilt")
    check(os.fstat(fds[resumed["report"]["fd"]]).st_ino != os.fstat(vmm.fds[vmm.opened["report"]["fd"]]).st_ino, "it is the old page")
    call = ask_bind(3)
    vmm.trigger(call)
    vmm.write_report(call, 1)  # in the old one
    equal(slots(), {1: "bound", 3: "pending"}, "slots")
    vmm.map_page(fds[resumed["report"]["fd"]])
    vmm.write_word(call, 0, old["id"])
    equal(slots(), {1: "bound", 3: "pending"}, "slots")
    vmm.write_report(call, 1)
    equal(slots(), {1: "bound", 3: "bound"}, "slots")
    close_all(fds)
    clear()


@test("libgmem reports so: beside creations there is no call.done")
def library():
    before = requests()
    client = os.path.join(os.environ["BUILD_DIR"], "client")
    run = [os.path.join(client, "gmem-run"), "--name=by-library", "--socket=" + host.socket_path("gmemd.sock")]
    done = subprocess.run(
        [*run, "--", os.path.join(client, "gmem-example-vmm"), "--rounds=2"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )
    equal(done.returncode, 0, done.stderr)
    after = requests()
    grown = {method: after[method] - before.get(method, 0) for method in after}
    check(grown["slot.bind"] > 0, "it binds nothing")
    equal(grown["call.done"], grown["memory.create"], "call.done")


@test("of a VM that has ended no page is left")
def ended():
    """Of this process's there is one: what is closed stays listed as long as its process."""

    def held():
        with KeeperPeer(host.path) as keeper:
            taken = keeper.take_all()
        close_all(taken.values())
        return [one for one in taken if one[0] == REPORTS]

    def own():
        directory = "/proc/%d/fd" % host.pid
        links = [os.readlink(os.path.join(directory, name)) for name in os.listdir(directory)]
        return [link for link in links if "gmemd-report" in link]

    check(wait_until(lambda: held() == [(REPORTS, int(vmm.id[3:]), 0)]), "held: %r" % held())
    check(wait_until(lambda: len(own()) == 1), "gmemd's: %r" % own())


if __name__ == "__main__":
    main(set_up, tear_down)
