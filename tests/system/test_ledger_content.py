#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ledgers with right checksums and wrong content: refused where they are wrong, and never believed.

ROUNDS in the environment is how many random ones there are, SEED the first one's.
"""

import os
import random
import subprocess

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.host import Host, wait_until
from gmemtest.tap import check, equal, main, note, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer, RpcError

SIZE = 8 * PAGE
ROUNDS = int(os.environ.get("ROUNDS", "25"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
NAME = "a name that is in two records, for it is longer than one of them can be, which is short"

host = witness = None


class Owner:
    """A VM with a memory of each state, bound slots, and calls that wait."""

    def __init__(self, path, name):
        self.peer = Peer(path, 60)
        self.vmm = Vmm(self.peer, name)
        self.memory, self.fd = self.vmm.create(SIZE, name="ram")
        params = {"vm": self.vmm.id, "size": SIZE, "backing": "memfd"}
        self.shared = self.peer.call("memory.create", params)["memory"]
        for slot in range(3):
            self.vmm.bind(slot, slot * PAGE, PAGE, self.memory, self.fd, slot * PAGE)
        self.pending = self.peer.call("memory.create", {"vm": self.vmm.id, "size": PAGE})
        params = self.vmm.bind_params(3, 3 * PAGE, PAGE, self.memory, self.fd, 3 * PAGE)
        self.bind = self.peer.call("slot.bind", params)
        self.unbind = self.peer.call("slot.unbind", {"vm": self.vmm.id, "slot": 2})
        self.peer.call("event.subscribe")

    def serve(self, question):
        if question == "ids":
            return [self.vmm.id, self.memory, self.shared, self.pending["memory"]]
        if question == "go on":
            return self.go_on()
        try:
            return self.vmm.get()
        except RpcError as e:
            return e.error


    def go_on(self):
        """What waits is done, by call.done, and one more: its call, and the slots."""
        for call in (self.bind["call"], self.unbind["call"]):
            self.vmm.carry_out(call)
        call = self.vmm.bind(4, 4 * PAGE, PAGE, self.memory, self.fd, 4 * PAGE)["call"]
        return call, {slot["slot"]: slot["state"] for slot in self.vmm.get()["slots"]}


def serve(channel, path, name):
    owner = Owner(path, name)
    while True:
        channel.say(owner.serve(channel.hear()[0]))


class Remote(Child):
    def __init__(self, name, uid):
        path = host.socket_path("gmemd.sock")
        super().__init__(lambda channel: serve(channel, path, name), uid)
        self.id, self.memory, self.shared, self.pending = self.ask("ids")


def set_up():
    global host, witness
    linux.require_guest_memfd()
    host = Host()
    witness = Remote("witness", 4712)


def tear_down():
    witness.end()
    host.stop()


def vms():
    operator = host.operator()
    listed = operator.call("vm.list")["vms"]
    operator.close()
    return {vm["vm"]: vm for vm in listed}


def spoil(*arguments):
    program = os.path.join(os.environ["BUILD_DIR"], "tests", "system", "spoil_ledger")
    words = [program, host.path] + [str(word) for word in arguments]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True)


def nothing_is_charged():
    """What was there is given back: all that the host has can be promised."""
    with Child(lambda channel: promise_all(channel, host.socket_path("gmemd.sock"))) as child:
        equal(child.ask(), None, "a promise of all that the host has")


def promise_all(channel, path):
    peer = Peer(path, 60)
    channel.hear()
    limit = peer.call("host.describe")["limits"]["commit_bytes"] // PAGE * PAGE - (1 << 20)
    channel.say(peer.error("vm.open", {"name": "all", "gate": "none", "commit_limit": limit}))
    channel.hear()


def ids(whole, members, key):
    return {member[key] for member in whole[members]}


class Round:
    """A VM whose ledger is spoiled between two gmemds."""

    def __enter__(self):
        self.vmm = Remote(NAME, 4711)
        self.before = self.vmm.ask("get")
        self.untouched = witness.ask("get")
        self.logged = len(host.log())
        host.kill()
        return self

    def start(self):
        host.start()
        self.log = host.log()[self.logged :]
        equal(witness.ask("get"), self.untouched, "another VM")

    def __exit__(self, *_):
        self.vmm.end()
        check(wait_until(lambda: set(vms()) == {witness.id}, 60), "a VM is left: %r" % vms())


def lost_vm(row):
    equal(row.vmm.ask("get").get("code"), -32001, "a VM whose ledger was refused")
    check(row.vmm.id not in vms(), "it is not listed")


def lost(members, key):
    def look(row):
        after = row.vmm.ask("get")
        check(
            len(after[members]) == len(row.before[members]) - 1,
            "of %s one is refused: %r" % (members, after),
        )
        check(ids(after, members, key) < ids(row.before, members, key), "the others are there")

    return look


def lost_name(row):
    after = row.vmm.ask("get")
    names = [memory["name"] for memory in after["memories"]]
    check("ram" not in names, "a name that was refused: %r" % names)
    equal(ids(after, "memories", "memory"), ids(row.before, "memories", "memory"), "memories")


def as_before(row):
    equal(row.vmm.ask("get"), row.before, "a VM that is as it was")


MEMORY, SLOT, CALL = lost("memories", "memory"), lost("slots", "slot"), lost("calls", "id")

# Record, member, value; what the log says; what is lost.
ROWS = (
    ("vm", "type", 77, "type must be", lost_vm),
    ("vm", "type", 4, "type must be", lost_vm),
    ("vm", "state", 3, "state must be", lost_vm),
    ("vm", "gate", 4, "gate must be", lost_vm),
    ("vm", "number", 1, "number must be", lost_vm),
    ("vm", "number", 1 << 63, "number must be", lost_vm),
    ("vm", "generation", (1 << 32) - 1, "generation must be", lost_vm),
    ("vm", "commit_limit", 0, "commit_limit must be", lost_vm),
    ("vm", "commit_limit", 1 << 63, "commit_limit must be", lost_vm),
    ("name.0", "bytes", 0xFF, "name must be", lost_vm),
    ("name.0", "bytes", 0x0A, "name must be", lost_vm),
    ("name.0", "length", 1 << 20, "name must be", lost_vm),
    ("name.0", "gone", None, "name must be", lost_vm),
    ("name.2", "bytes", 0x80, "has lost its name", lost_name),
    ("name.2", "length", 0, "has lost its name", lost_name),
    ("memory.0", "backing", 2, "backing must be", MEMORY),
    ("memory.0", "backing", 1, "could not be taken over", MEMORY),
    ("memory.1", "state", 4, "state must be", MEMORY),
    ("memory.1", "node", 1000, "node must be", MEMORY),
    ("memory.1", "node", (1 << 32) - 7, "node must be", MEMORY),
    ("memory.1", "size", 0, "size must be", MEMORY),
    ("memory.1", "size", SIZE + 1, "size must be", MEMORY),
    ("memory.1", "size", SIZE + PAGE, "could not be taken over", MEMORY),
    ("memory.1", "size", (1 << 63) - PAGE, "size must be", MEMORY),
    ("memory.1", "flags", 1, "flags must be", MEMORY),
    ("memory.0", "flags", 0xFF, "flags must be", MEMORY),
    ("memory.2", "id", 0, "memory must be", MEMORY),
    ("memory.2", "id", 1 << 62, "memory must be", MEMORY),
    ("memory.2", "double", None, "memory must be", as_before),
    ("slot.0", "state", 3, "state must be", SLOT),
    ("slot.0", "flags", 1, "flags must be", SLOT),
    ("slot.0", "number", 1 << 31, "slot must be", SLOT),
    ("slot.0", "number", 0x7FFF, "slot must be", SLOT),
    ("slot.0", "guest_phys_addr", 1, "guest_phys_addr must be", SLOT),
    ("slot.0", "guest_phys_addr", (1 << 64) - PAGE, "guest_phys_addr must be", SLOT),
    ("slot.1", "guest_phys_addr", 0, "guest_phys_addr must be", SLOT),
    ("slot.0", "memory_size", 0, "memory_size must be", SLOT),
    ("slot.0", "memory_size", (1 << 64) - PAGE, "memory_size must be", SLOT),
    ("slot.0", "memory_size", 9 * PAGE, "memory_size must be", SLOT),
    ("slot.0", "userspace_addr", 1 << 63, "userspace_addr must be", SLOT),
    ("slot.0", "memory", 12345, "memory must be", SLOT),
    ("slot.1", "memory", 0, "guest_memfd_offset must be", SLOT),
    ("slot.0", "guest_memfd_offset", 9 * PAGE, "guest_memfd_offset must be", SLOT),
    ("slot.0", "guest_memfd_offset", 7, "guest_memfd_offset must be", SLOT),
    ("slot.1", "guest_memfd_offset", 0, "guest_memfd_offset must be", SLOT),
    ("slot.0", "shared_memory", 9, "shared_memory must be", SLOT),
    ("slot.0", "shared_offset", PAGE, "shared_offset must be", SLOT),
    ("slot.0", "double", None, "slot must be", as_before),
    ("call.0", "entry", 1 << 20, "no such call", CALL),
    ("call.0", "entry", (1 << 32) - 1, "no such call", CALL),
    ("call.0", "count", 0, "no such call", CALL),
    ("call.0", "count", 2, "no such call", CALL),
    ("call.0", "count", (1 << 32) - 1, "no such call", CALL),
    ("call.0", "done", 2, "no such call", CALL),
    ("call.0", "call", 4, "no such call", CALL),
    ("call.0", "call", 3, "no such call", CALL),
    ("call.0", "memory", 12345, "no such call", CALL),
    ("call.0", "id", 0, "no such call", CALL),
    ("call.0", "id", 1 << 63, "no such call", CALL),
    ("call.1", "slot", 0, "no such call", CALL),
    ("call.1", "slot", 7777, "no such call", CALL),
    ("call.1", "guest_memfd", 1 << 31, "no such call", CALL),
    ("call.1", "double", None, "no such call", as_before),
    ("call.2", "gone", None, "", CALL),
)


@test("each value that can't be is refused with its name, and nothing else")
def directed():
    for record, member, value, logged, look in ROWS:
        what = "%s %s %s" % (record, member, value)
        with Round() as row:
            words = [row.vmm.id[3:], record, member] + ([] if value is None else [value])
            check(spoil(*words).returncode == 0, "spoilt: " + what)
            row.start()
            try:
                check(logged in row.log, "%r in the log" % logged)
                look(row)
            except Exception:
                note("%s: %s" % (what, row.log))
                raise
    nothing_is_charged()


@test("a VM that a gmemd has opened which knew of no report page goes on without one")
def without_page():
    with Round() as row:
        check(any(call["report"] is not None for call in row.before["calls"]), "no call has a word")
        check(spoil(row.vmm.id[3:], "vm", "flags", 0).returncode == 0, "spoilt")
        row.start()
        expected = dict(row.before, calls=[dict(call, report=None) for call in row.before["calls"]])
        equal(row.vmm.ask("get"), expected, "all else is as it was")
        call, slots = row.vmm.ask("go on")
        equal((call["report"], slots), (None, {str(slot): "bound" for slot in (0, 1, 3, 4)}), "a call, and the slots")


@test("another VM's number or memory is nobody's: no file goes to who has not made it")
def others():
    for record, member, value in (
        ("vm", "number", witness.id[3:]),
        ("memory.0", "id", witness.memory),
        ("slot.0", "memory", witness.memory),
        ("call.0", "memory", witness.pending),
    ):
        with Round() as row:
            spoil(row.vmm.id[3:], record, member, value)
            row.start()
            after = row.vmm.ask("get")
            check(str(witness.memory) not in str(after.get("memories", "")), "%r" % after)
    nothing_is_charged()


@test("a peer's record that can't be is none")
def peers():
    for member, value in (("access", 0), ("access", 3), ("access", 255), ("subscribed", 9)):
        host.kill()
        check(spoil(0, "peer.0", member, value).returncode == 0, "spoilt")
        host.start()
        global witness
        witness.end()
        check(wait_until(lambda: vms() == {}, 60), "a VM is left")
        witness = Remote("witness", 4712)


@test("random changes: what comes of them, gmemd serves on, and gives all back")
def at_random():
    note("SEED=%d ROUNDS=%d" % (SEED, ROUNDS))
    for seed in range(SEED, SEED + ROUNDS):
        global witness
        vmm = Remote(NAME, 4711)
        host.kill()
        changes = spoil("any", "random", seed, random.Random(seed).choice((1, 1, 2, 5))).stdout
        host.start()
        try:
            for child in (vmm, witness):
                operator = host.operator()
                for vm in operator.call("vm.list")["vms"]:
                    operator.error("vm.get", {"vm": vm["vm"]})
                operator.close()
                child.end()
            check(wait_until(lambda: vms() == {}, 60), "a VM is left: %r" % vms())
            host.restart()
            nothing_is_charged()
        except Exception:
            note("seed %d: %s" % (seed, changes))
            raise
        witness = Remote("witness", 4712)


if __name__ == "__main__":
    main(set_up, tear_down)
