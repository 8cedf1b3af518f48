#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd, its keeper, and both at once, killed at random under load: invariant durability.

Several VMMs create, bind, preallocate, reclaim, unbind and close; an operator looks on; a guest
sums its memory all the while. Every so often the load is paused, and what the VMMs know must be
exactly what gmemd and the keeper have.

KILLS_SEED, KILLS_NUMBER, KILLS_OPENING=no and KILLS_LIMIT (seconds, on a slow machine) in the environment change what is done.
"""

import collections
import os
import random
import select
import signal
import time

from gmemtest import linux
from gmemtest.daemon import SANITIZERS
from gmemtest.host import Host, wait_until
from gmemtest.keeper import FRAMES, GATE, LEDGER, MAILBOX, MEMORY, PROCESS, REPORTS, KeeperPeer, is_sanitized, of_closed_memories
from gmemtest.load import Counters, Process
from gmemtest.tap import Failed, Skip, check, equal, main, need, note, test
from gmemtest.wire import Closed, close_all

SANITIZED = is_sanitized()
SEED = int(os.environ.get("KILLS_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
KILLS = int(os.environ.get("KILLS_NUMBER", 0)) or (500 if SANITIZED else 1000)
# VMMs that open their VM amid the killing.
OPENING = os.environ.get("KILLS_OPENING", "yes") == "yes"
BETWEEN_CHECKS = 25
# The last of these: both die only there, for a gate does not outlive that.
LOSING = 5
# How long anything may take that is no more than a few milliseconds' work.
LIMIT = int(os.environ.get("KILLS_LIMIT", 0)) or (60 if SANITIZED else 20)

CLOSED_PER_VM = 64  # whose files are kept, at most

GATES = ("required", "required", "required", "none")

WRONG_IN_LOG = SANITIZERS + ("could not be taken over", "can hold no more")

host = None
field = None


class Target(Host):
    """Started without waiting until it serves, for it may be killed before."""

    def _wait_until_it_serves(self, alone):
        pass

    def serves(self):
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            if not self.alive():
                raise Failed("gmemd has ended: " + self.log()[-8000:])
            try:
                peer = self.operator()
                peer.call("ping")
                peer.close()
                return
            except (OSError, Closed):
                time.sleep(0.001)
        raise Failed("gmemd does not serve: " + self.log()[-8000:])

    def kill_keepers(self):
        """A gmemd that runs starts another at once."""
        for pid in self.keepers():
            keeper = os.pidfd_open(pid)
            signal.pidfd_send_signal(keeper, signal.SIGKILL)
            need(select.select([keeper], [], [], LIMIT)[0], "a keeper can't be killed")
            os.close(keeper)

    def new_keeper(self):
        """After the death of the last: gmemd has put everything again."""
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            try:
                KeeperPeer(self.path).close()
                return self.serves()
            except OSError:
                time.sleep(0.001)
        raise Failed("gmemd has started no other keeper: " + self.log()[-8000:])


class Field:
    """All that runs beside the daemons."""

    def __init__(self):
        self.counters = Counters(host.directory)
        self.vmms, self.guest, self.operator = [], None, None
        self.number = 0
        self.chance = random.Random(SEED)
        self.kinds = collections.Counter()
        self.log_read = 0
        self.own_fds = None
        self.failed = True  # until all kills are over

    def processes(self):
        return [one for one in [self.guest, self.operator, *self.vmms] if one]

    def new(self, role, gate):
        self.number += 1
        name = "%s-%d" % (role, self.number)
        path = host.socket_path("admin.sock" if role == "operator" else "gmemd.sock")
        seed = self.chance.randrange(1 << 32)
        return Process(path, self.counters, LIMIT, role, name, gate, seed)

    def fill_up(self):
        """As many of each as there are to be. None of them runs yet."""
        started = []
        if not self.guest:
            self.guest = self.new("guest", "required")
            started.append(self.guest)
        if not self.operator:
            self.operator = self.new("operator", "none")
            started.append(self.operator)
        missing = collections.Counter(GATES) - collections.Counter(v.gate for v in self.vmms)
        for gate in missing.elements():
            self.vmms.append(self.new("load", gate))
            started.append(self.vmms[-1])
        for process in started:
            process.hear()

    def run(self):
        for process in self.processes():
            process.ask("run")

    def pause(self):
        for process in self.processes():
            process.say("pause")
        for process in self.processes():
            process.state = process.hear()

    def requests(self):
        return sum(vmm.done() for vmm in [*self.vmms, self.operator])

    def kill_vmm(self):
        self.vmms.pop(self.chance.randrange(len(self.vmms))).kill()

    def stop(self):
        for process in self.processes():
            process.kill()


def set_up():
    global host, field
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    linux.require_guest_memfd()
    host = Target()
    host.serves()
    described = host.operator().call("host.describe")
    if not described["gate"]["available"]:
        host.stop()
        raise Skip("no gate: " + described["gate"]["reason"])
    field = Field()


def tear_down():
    field.stop()
    host.stop()


# Moments


def until_done(processes_done, number, what):
    until = time.monotonic() + LIMIT
    begun = processes_done()
    while processes_done() < begun + number:
        if time.monotonic() > until:
            for process in field.processes():
                note("%s\n%s" % (process.name, process.threads()))
            raise Failed("%s: %d of %d" % (what, processes_done() - begun, number))
        for process in field.processes():
            process.is_well()
        time.sleep(0.0005)


def some_moment():
    """Some time after it has begun to serve, or some requests."""
    chance = field.chance
    if chance.random() < 0.5:
        time.sleep(chance.random() * 0.02)
    else:
        until_done(field.requests, chance.randrange(1, 25), "requests go on")


def guest_goes_on():
    """Two passes, for the first has begun before."""
    until_done(field.guest.done, 2, "passes of the guest")


# Kills, of a gmemd that serves


def kill_gmemd():
    some_moment()
    host.kill()
    guest_goes_on()
    host.start()
    while field.chance.random() < 0.15:
        time.sleep(field.chance.random() * 0.02)  # perhaps before it serves
        host.kill()
        field.kinds["gmemd while it starts"] += 1
        host.start()
    host.serves()


def kill_keeper():
    some_moment()
    host.kill_keepers()
    guest_goes_on()
    host.new_keeper()


def kill_both_at_once():
    some_moment()
    host.lose_all()
    guest_goes_on()
    host.serves()


def kill_gmemd_then_keeper():
    some_moment()
    host.kill()
    host.kill_keepers()
    guest_goes_on()
    host.start()
    host.serves()


def kill_keeper_then_gmemd():
    """Which may have found out, and put some of what it has to another."""
    some_moment()
    host.kill_keepers()
    time.sleep(field.chance.random() * 0.01)
    host.kill()
    guest_goes_on()
    host.start()
    host.serves()


def kill_keeper_amid_recovery():
    some_moment()
    host.kill()
    guest_goes_on()
    host.start()
    time.sleep(field.chance.random() * 0.01)
    host.kill_keepers()
    host.new_keeper()


ONE = {"gmemd": kill_gmemd, "the keeper": kill_keeper}
BOTH = {
    "both at once": kill_both_at_once,
    "gmemd, then the keeper": kill_gmemd_then_keeper,
    "the keeper, then gmemd": kill_keeper_then_gmemd,
    "gmemd, then the keeper amid recovery": kill_keeper_amid_recovery,
}
KINDS = {**ONE, **BOTH}


def one_kill(may_lose):
    chance = field.chance
    if may_lose and chance.random() < 0.5:
        kind = chance.choice(list(BOTH))
        for process in field.processes():
            process.has_lost = True
    else:
        kind = "the keeper" if chance.random() < 0.22 else "gmemd"
    field.kinds[kind] += 1
    KINDS[kind]()


# Checks


def in_pages(operator, method, params, *members):
    """An answer with all of its lists' pages."""
    answer = operator.call(method, params)
    while "cursor" in answer:
        cursor = answer.pop("cursor")
        more = operator.call(method, dict(params, cursor=cursor))
        for member in members:
            answer[member] += more[member]
        if "cursor" in more:
            answer["cursor"] = more["cursor"]
    return answer


MEMBERS = ("memories", "slots", "private_ranges", "calls")
SLOT_FLAGS = {"readonly": 1, "log_dirty_pages": 2}
THROUGH_MAPPING = 1 << 31


def slot_flags(slot):
    through = THROUGH_MAPPING if slot.get("through") == "mapping" else 0
    return sum(SLOT_FLAGS[flag] for flag in slot["flags"]) + through


def as_told(view):
    """A vm.get as the VMM itself tells it."""
    memories = [
        [m["memory"], m["size"], m["backing"], m["name"], m["state"]] for m in view["memories"]
    ]
    slots = [
        [s["slot"], s["guest_phys_addr"], s["memory_size"], s["userspace_addr"], s["memory"]]
        + [s["guest_memfd_offset"] or 0, slot_flags(s), s["state"]]
        for s in view["slots"]
    ]
    return {
        "memories": sorted(memories),
        "slots": sorted(slots),
        "private_ranges": view["private_ranges"],
        "calls": view["calls"],
    }


def expected_of(state):
    return {
        "memories": sorted(memory[:4] + ["ready"] for memory in state["memories"]),
        "slots": sorted(slot + ["bound"] for slot in state["slots"]),
        "private_ranges": [],
        "calls": [],
    }


def check_vm(operator, process):
    vm = process.state["vm"]
    view = in_pages(operator, "vm.get", {"vm": vm}, *MEMBERS)
    got, expected = as_told(view), expected_of(process.state)
    for member in MEMBERS:
        equal(got[member], expected[member], "%s, %s: %s" % (process.name, vm, member))
    committed = sum(memory[1] for memory in process.state["memories"])
    equal(view["committed"], committed, "%s, %s: committed" % (process.name, vm))
    gates = {"none"} if process.gate == "none" else {"active"}
    if process.has_lost and process.gate != "none":
        gates.add("lost")
    check(view["gate"] in gates, "%s: its gate is %s" % (process.name, view["gate"]))
    check(
        not process.state["refused"] or view["gate"] == "lost",
        "%s: no memory any more, though its gate is %s" % (process.name, view["gate"]),
    )
    return view


def files_of(process, view):
    """What the keeper is to hold of a VM: ids, with a memory's inode."""
    number = int(view["vm"][3:])
    files = {(kind, number, 0): None for kind in (LEDGER, MAILBOX, PROCESS, REPORTS)}
    if view["gate"] == "active":
        files[(GATE, number, 0)] = None
    for memory in process.state["memories"]:
        files[(MEMORY, number, memory[0])] = memory[4]
    return files


def files_held():
    with KeeperPeer(host.path) as keeper:
        taken = keeper.take_all()
    held = {}
    for (kind, owner, member), fd in taken.items():
        if kind >= LEDGER and kind != FRAMES:
            held[(kind, owner, member)] = os.fstat(fd).st_ino if kind == MEMORY else None
    frames = sum(1 for kind, _, _ in taken if kind == FRAMES)
    close_all(taken.values())
    return held, frames


def held_beside_closed(expected):
    held = files_held()[0]
    closed = of_closed_memories(held, expected)
    most = max(collections.Counter(owner for kind, owner, _ in closed if kind == MEMORY).values(), default=0)
    check(most <= CLOSED_PER_VM, "%d closed memories of one VM" % most)
    return {id_: file for id_, file in held.items() if id_ not in closed}


def check_keeper(expected):
    if not wait_until(lambda: held_beside_closed(expected) == expected, LIMIT):
        held = held_beside_closed(expected)
        check(
            False,
            "the keeper holds %r too much, lacks %r, has others of %r"
            % (
                sorted(held.keys() - expected.keys()),
                sorted(expected.keys() - held.keys()),
                sorted(k for k in held.keys() & expected.keys() if held[k] != expected[k]),
            ),
        )


def check_fds():
    """Beside what the keeper has too, and a few of each VM and its peer, always the same."""
    of_a_vm = 2  # its connection, the peer's pidfd

    def own():
        held, frames = files_held()
        vms = sum(1 for kind, _, _ in held if kind == MAILBOX)
        return host.fds() - len(held) - frames - of_a_vm * vms

    def soon():
        time.sleep(0.01)  # a connection that has ended may not have been seen yet
        return own()

    if field.own_fds is None:
        field.own_fds = min(soon() for _ in range(20))
    if not wait_until(lambda: own() <= field.own_fds, LIMIT):
        links = []
        for name in os.listdir("/proc/%d/fd" % host.pid):
            try:
                links.append(os.readlink("/proc/%d/fd/%s" % (host.pid, name)))
            except OSError:
                pass
        text = "gmemd has %d fds of its own open, at first %d: %r"
        check(False, text % (own(), field.own_fds, sorted(links)))


def check_log():
    log = host.log()
    new, field.log_read = log[field.log_read :], len(log)
    wrong = [line for line in new.splitlines() if any(s in line for s in WRONG_IN_LOG)]
    if not check(not wrong, "the log says: %s" % wrong):
        note(new[-4000:])


def check_all():
    """While nothing is asked for and gmemd serves."""
    operator = host.operator()
    vmms = {p.state["vm"]: p for p in field.processes() if p.role != "operator"}
    wait_until(lambda: len(operator.call("vm.list")["vms"]) == len(vmms), LIMIT)
    listed = in_pages(operator, "vm.list", {}, "vms")["vms"]
    equal({vm["vm"] for vm in listed}, set(vmms), "VMs")
    expected = {}
    for process in vmms.values():
        view = check_vm(operator, process)
        expected.update(files_of(process, view))
        process.state["gate"] = view["gate"]
    operator.close()
    check_keeper(expected)
    check_fds()
    check_log()


def replace():
    """VMMs that can create nothing any more, and now and then another."""
    for vmm in list(field.vmms):
        spare = len(field.vmms) > len(GATES)
        if not spare and vmm.state.get("gate") != "lost" and field.chance.random() > 0.1:
            continue
        field.vmms.remove(vmm)
        if field.chance.random() < 0.5:
            vmm.end()
        else:
            vmm.kill()


def open_some(more):
    """Where there are to be no more, all have to be open: both die soon."""
    for vmm in field.vmms:
        if vmm.opening and (not more or vmm.has_said()):
            vmm.join()
    if more and len(field.vmms) < 2 * len(GATES) and field.chance.random() < 0.5:
        field.vmms.append(field.new("load", field.chance.choice(GATES)))
        field.vmms[-1].opening = True


def kill_some(number):
    """One span from check to check."""
    for i in range(number):
        for process in field.processes():
            process.is_well()
        if OPENING:
            open_some(more=i < BETWEEN_CHECKS - 2 * LOSING)
        one_kill(may_lose=i >= BETWEEN_CHECKS - LOSING)
        if i == BETWEEN_CHECKS // 2:
            field.kill_vmm()  # perhaps amid opening


def all_kills():
    field.fill_up()
    field.pause()
    check_all()
    left = KILLS
    while left > 0:
        field.run()
        kill_some(min(left, BETWEEN_CHECKS))
        left -= min(left, BETWEEN_CHECKS)
        field.pause()
        check_all()
        replace()
        field.fill_up()


@test("%d kills with seed %d" % (KILLS, SEED))
def kills():
    try:
        all_kills()
        field.failed = False
    except Failed as e:
        raise Failed("%s\nkills: %s\nthe end of gmemd's log:\n%s" % (e, field.kinds, host.log()[-4000:])) from e
    finally:
        note("seed %d, kills: %s" % (SEED, dict(field.kinds)))
    note("requests: %d, passes of the guest: %d" % (field.requests(), field.guest.done()))
    note("events: %d" % field.operator.state["events"])


@test("all VMMs end, and all is released")
def release():
    if field.failed:
        raise Skip("the kills have failed")
    operator = host.operator()
    for process in field.processes():
        if field.chance.random() < 0.5:
            process.end()
        else:
            process.kill()
    field.vmms, field.guest, field.operator = [], None, None
    check(wait_until(lambda: operator.call("vm.list")["vms"] == [], LIMIT), "VMs are left")
    operator.close()
    check_keeper({})
    check_log()


if __name__ == "__main__":
    main(set_up, tear_down)
