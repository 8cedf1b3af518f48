#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd is killed at every labelled step of what changes anything, and started again.

Each piece of work is done once to learn which steps it reaches, and then once for each of them,
the first and the last time that it is reached, with a gmemd that ends there. The work knows
nothing of that: what it is answered must be as if nothing had happened.
"""

import collections
import itertools
import os
import pathlib
import re
import select
import subprocess
import sys
import time

from gmemtest import private_kernel
from gmemtest.child import Child
from gmemtest.host import Host, wait_until
from gmemtest.keeper import FRAMES, GATE, LEDGER, MAILBOX, MEMORY, OWNED, PROCESS, REPORTS, KeeperPeer, of_closed_memories
from gmemtest.linux import PAGE
from gmemtest.owner import OwnerProcess
from gmemtest.tap import Failed, Skip, check, equal, main, need, note, test
from gmemtest.wire import Peer, close_all, request

SECONDS = 60
RESERVED = 1 << 20
TENANT, LIMIT = "uid:0", 1 << 30
DYING = 0.3  # seconds in which gmemd has seen the end of a process, mostly
SOURCE = pathlib.Path(__file__).resolve().parents[2] / "daemon"
BUILD = os.environ["BUILD_DIR"]
LAST = "recovery: nothing is left"
PROMISED = "delivery: answer promised for later"

# KVM_CREATE_VM, until it is not interrupted.
UNEXPECTED = """
import errno, fcntl, os
while True:
    try:
        fcntl.ioctl(os.open("/dev/null", os.O_RDWR), 0xAE01, 0)
    except OSError as e:
        if e.errno != errno.EINTR:
            print(errno.errorcode[e.errno])
            break
"""

host = None
fatal = log = ""
reached = set()


def client(name):
    return os.path.join(BUILD, "client", name)


def labels():
    """All that there are."""
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.c"))
    return need(re.findall(r'\bSTEP\("([^"]+)"\)', text), "no step has a label in %s" % SOURCE)


def has_steps():
    with open(os.path.join(BUILD, "daemon", "gmemd"), "rb") as program:
        return b"GMEMD_KILL_STEP" in program.read()


def set_up():
    global host, fatal, log
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    if not has_steps():
        raise Skip("built without -Dkill-steps=true")
    host = Host(environment=private_kernel.environment())
    fatal, log = os.path.join(host.directory, "fatal"), os.path.join(host.directory, "steps")
    os.environ["GMEMD_KILL_STEP"], os.environ["GMEMD_LOG_STEPS"] = fatal, log
    host.restart()


def tear_down():
    host.stop()


# Which gmemd is to end where


def arm(label, number):
    with open(fatal + ".new", "w", encoding="utf-8") as file:
        file.write("%s\n%d\n" % (label, number))
    os.rename(fatal + ".new", fatal)


def disarm():
    if os.path.exists(fatal):
        os.unlink(fatal)


def read_log():
    if not os.path.exists(log):
        return []
    with open(log, encoding="utf-8") as file:
        return file.read().splitlines()


def take_log():
    lines = read_log()
    if lines:
        os.unlink(log)
    return lines


# Work


class Work:
    """One piece: what is before it, its start amid a kill, what must be so after it, its end."""

    def before(self):
        self.child = OwnerProcess(host.socket_path("gmemd.sock"))

    def start(self):
        self.child.start("all")

    def is_done(self):
        return self.child.has_answered()

    def after(self):
        self.child.finish()
        consistent()

    def end(self):
        self.child.end()


class Reporting(Work):
    """The same, reported in the report page."""

    def start(self):
        self.child.start("all_by_page")


class Converting(Work):
    """Both halves of private memory, on a kernel that is pretended to have it."""

    def start(self):
        self.child.start("convert")


class ConvertingByLibrary(Work):
    """The same by libgmem, which triggers them, and gives back itself what small ones leave."""

    def before(self):
        command = [os.path.join(BUILD, "tests", "system", "convert_once"), host.socket_path("gmemd.sock")]
        environment = {**os.environ, **private_kernel.environment(self.frames())}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        self.vm = self.process.stdout.readline().rstrip()
        need(self.vm.startswith("vm-"), "it says: " + self.vm)

    def frames(self):
        """Where the kernel that is pretended notes them."""
        path = os.path.join(host.directory, "frames")
        with open(path, "wb") as file:
            file.write(b"0" * 1024)
        return path

    def start(self):
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def is_done(self):
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def after(self):
        equal(self.process.stdout.readline(), "done\n", "it says")
        view = self.settled()
        equal(view["private_ranges"], [{"guest_phys_addr": 0, "size": PAGE}], "private")
        equal((view["calls"], view["uncertain_ranges"]), ([], []), "calls, what is uncertain")
        equal(sum(one["resident"] for one in view["memories"]), 0, "what is stale")
        consistent()

    def settled(self):
        """What gmemd gives back after the last report may take a moment."""
        peer = host.operator()
        look = lambda: peer.call("vm.get", {"vm": self.vm})
        wait_until(lambda: not look()["calls"] and not any(one["resident"] for one in look()["memories"]))
        view = look()
        peer.close()
        return view

    def end(self):
        self.process.kill()
        self.process.wait()


class Closing(Work):
    def before(self):
        super().before()
        self.child.do("all")

    def start(self):
        self.child.start("close")


class Dying(Closing):
    """Its process ends. Nobody is answered; all of it must go."""

    def start(self):
        self.child.end()
        self.until = time.monotonic() + DYING

    def is_done(self):
        """gmemd may be at its own end: it isn't asked."""
        return time.monotonic() > self.until

    def after(self):
        check(wait_until(lambda: not vms()), "the VM is there still")
        consistent()


class Reserving(Work):
    """An operator reserves, cancels, and lets lapse; a VM is opened with what is left."""

    def before(self):
        self.child = Child(reserve_and_open)

    def start(self):
        self.child.channel.say("go")

    def is_done(self):
        return bool(select.select([self.child.channel.socket], [], [], 0)[0])

    def after(self):
        vm = self.child.channel.hear()
        (listed,) = vms()
        equal((listed["vm"], listed["promised"]), (vm, RESERVED), "the VM and its promise")
        peer = host.operator()
        told = peer.call("host.describe")["commitment"]
        equal((told["reserved"], told["promised"]), (0, RESERVED), "what is promised")
        equal(peer.call("reservation.list")["reservations"], [], "reservations")
        peer.close()
        consistent()


def reserve_and_open(channel):
    """Each call is answered once, whatever becomes of gmemd: a second would be refused."""
    channel.hear()
    operator, peer = Peer(host.socket_path("admin.sock"), SECONDS), Peer(host.socket_path("gmemd.sock"), SECONDS)

    def reserve(name, ttl):
        return operator.call("reservation.create", {"name": name, "size": RESERVED, "ttl_ms": ttl})["reservation"]

    def names():
        return [one["name"] for one in operator.call("reservation.list")["reservations"]]

    made, _ = reserve("used", 3600000), reserve("cancelled", 3600000)
    operator.call("reservation.cancel", {"reservation": "cancelled"})
    reserve("lapsed", 50)
    while names() != ["used"]:
        time.sleep(0.01)
    opened = peer.call_with_fds("vm.open", {"name": "reserved", "gate": "none", "reservation": made})[0]
    channel.say(opened["vm"])
    channel.hear()


class Limiting(Work):
    """An operator sets a tenant's limit, each time another."""

    limits = itertools.count(LIMIT, RESERVED)

    def before(self):
        self.limit = next(self.limits)
        self.child = Child(set_limit)

    def start(self):
        self.child.channel.say(self.limit)

    def is_done(self):
        return bool(select.select([self.child.channel.socket], [], [], 0)[0])

    def after(self):
        equal(self.child.channel.hear()["limit"], self.limit, "the answer")
        peer = host.operator()
        equal(peer.call("tenant.get", {"tenant": TENANT})["limit"], self.limit, "the limit")
        peer.close()


def set_limit(channel):
    limit = channel.hear()
    operator = Peer(host.socket_path("admin.sock"), SECONDS)
    channel.say(operator.call("tenant.set", {"tenant": TENANT, "limit": limit}))
    channel.hear()


class Resuming(Closing):
    """A gmemd and its keeper are gone."""

    def before(self):
        super().before()
        self.child.do("note")
        host.lose_all()

    def start(self):
        self.child.start("resume")


class Gated(Work):
    """The example VMM behind its gate: what it traps is waited for."""

    vmm = [client("gmem-example-vmm"), "--rounds=1"]
    says = "the same"  # of its guest's sum

    def before(self):
        self.process = None

    def start(self):
        run = [client("gmem-run"), "--name=gated", "--socket=" + host.socket_path("gmemd.sock")]
        self.process = subprocess.Popen(
            [*run, "--", *self.vmm],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def is_done(self):
        return self.process.poll() is not None

    def after(self):
        output = self.process.stdout.read()
        equal(self.process.returncode, 0, "its status: " + output)
        check(self.says in output, "it says: " + output)
        consistent()

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Refused(Gated):
    """It makes a VM that gmemd knows nothing of."""

    vmm = [sys.executable, "-c", UNEXPECTED]
    says = "EPERM"


# What must be so


def vms():
    peer = host.operator()
    listed = peer.call("vm.list")["vms"]
    peer.close()
    return [vm for vm in listed if vm["state"] != "released"]


def expected_files(peer):
    """What the keeper is to hold of VMs."""
    files = collections.Counter()
    for vm in peer.call("vm.list")["vms"]:
        number = int(vm["vm"][3:])
        view = peer.call("vm.get", {"vm": vm["vm"]})
        kinds = [LEDGER, MAILBOX, PROCESS, REPORTS] + [GATE] * (view["gate"] == "active")
        files.update((kind, number, 0) for kind in kinds)
        files.update((MEMORY, number, one["memory"]) for one in view["memories"]
                     if one["state"] == "ready")
        sizes = collections.Counter()
        for one in view["memories"]:
            sizes[one["backing"]] += one["size"]
        private = sizes["memfd"] and any(one["shared_memory"] for one in view["slots"])
        committed = max(sizes.values()) if private else sum(sizes.values())
        equal(view["committed"], committed, "charges")
        memories = {one["memory"] for one in view["memories"]}
        check({one["memory"] for one in view["slots"]} <= memories, "a slot without its memory")
    return files


def held_files():
    with KeeperPeer(host.path) as keeper:
        taken = keeper.take_all()
    close_all(taken.values())
    return collections.Counter(one for one in taken if one[0] >= OWNED and one[0] != FRAMES)


def consistent():
    """Each file has one owner, and each owner its files."""
    peer = host.operator()

    def held_beside_closed(expected):
        held = held_files()
        for one in of_closed_memories(held, expected):
            del held[one]
        return held

    same = wait_until(lambda: held_beside_closed(expected_files(peer)) == expected_files(peer))
    check(same, "held %r, expected %r" % (held_files(), expected_files(peer)))
    peer.close()


# All of it


def await_end(work, label):
    """Of gmemd at its step, or of the work: what is answered may be known before gmemd is there."""
    until = time.monotonic() + SECONDS
    while host.alive() and not work.is_done():
        if time.monotonic() > until:
            raise Failed("gmemd lives and the work is not done")
        time.sleep(0.0005)
    if label:
        wait_until(lambda: not host.alive(), 0.2)
    disarm()
    time.sleep(0.01)  # for one that has just seen that it is to end
    return not host.alive()


def run(kind, label=None, number=0):
    """Whether gmemd has ended at the step."""
    work = kind()
    work.before()
    take_log()
    if label:
        arm(label, number)
    work.start()
    died = await_end(work, label)
    if died:
        host.process.wait()
        host.start(alone=False)
    if not wait_until(work.is_done, SECONDS):
        raise Failed("the work is never done")
    work.after()
    work.end()
    check(wait_until(lambda: not vms()), "a VM is left")
    return died


def each_step(kind):
    run(kind)
    count = collections.Counter(take_log())
    killed = 0
    for label, times in sorted(count.items()):
        for number in sorted({1, times}):
            try:
                killed += run(kind, label, number)
            except BaseException:
                note("killed at: %s, time %d" % (label, number))
                raise
    reached.update(count)
    note("%d steps, %d kills" % (len(count), killed))


@test("a VM's memories and slots, made and changed")
def changed():
    each_step(Work)


@test("the same, with reports in the report page")
def reported():
    each_step(Reporting)


@test("a VM's frames converted")
def converted():
    each_step(Converting)


@test("a VM's frames converted by libgmem")
def converted_by_library():
    each_step(ConvertingByLibrary)


@test("a VM closed")
def closed():
    each_step(Closing)


@test("a VM closed, of which nothing is kept")
def closed_for_good():
    host.change_config("[limits]\nclosed-memories-per-vm = 0\n")
    host.restart()
    each_step(Work)
    each_step(Closing)
    host.change_config("")
    host.restart()


@test("the end of a VM's process")
def died():
    each_step(Dying)


@test("memory reserved, cancelled, lapsed, and a VM opened with it")
def reserved():
    each_step(Reserving)


@test("a tenant's limit set")
def limited():
    each_step(Limiting)
    peer = host.operator()
    peer.call("config.reload", {})  # which forgets it
    peer.close()


@test("a VM that was lost, resumed")
def resumed():
    each_step(Resuming)


@test("a VM behind its gate")
def gated():
    each_step(Gated)


@test("a VM behind its gate, whose VMM makes another")
def refused():
    each_step(Refused)


def end_amid_preallocation(child):
    """So that there is somebody to be told of it."""
    arm(PROMISED, 1)
    child.channel.say(["preallocate"])
    need(wait_until(lambda: not host.alive()), "gmemd goes on")
    disarm()


def start_and_end(label):
    """Of a gmemd that takes over. Whether it has ended at the step."""
    take_log()
    arm(label, 1)
    host.spawn()
    need(wait_until(lambda: not host.alive() or LAST in read_log(), SECONDS), "gmemd goes on")
    died = wait_until(lambda: not host.alive(), 0.1)
    disarm()
    return died


@test("taking over, by a gmemd that ends amid it, and then by another")
def taken_over():
    quiet = host.peer()
    equal(quiet.call("ping"), {}, "who says nothing for long")
    child = OwnerProcess(host.socket_path("gmemd.sock"))
    child.do("all")
    view = child.do("note")
    for label in (label for label in labels() if label.startswith("recovery")):
        end_amid_preallocation(child)
        if start_and_end(label):
            reached.add(label)
            host.start(alone=False)
        equal(child.channel.hear(), ["done", view], "the VM, killed at: " + label)
    equal(quiet.call("ping"), {}, "who has said nothing")
    quiet.close()
    consistent()
    child.do("close")
    child.end()


@test("an answer is given once, though another peer is told first that its own won't come")
def answered_once():
    other = OwnerProcess(host.socket_path("gmemd.sock"))
    other.do("note")  # it comes first
    peer = host.operator()
    peer.call("ping")
    take_log()
    other.start("preallocate_much")
    need(wait_until(lambda: PROMISED in read_log()), "it is not promised an answer")
    arm("delivery: answered", 1)
    peer.send(request("ping", number=1))
    equal(peer.receive_answer()[0]["id"], 1, "the answer")
    need(wait_until(lambda: not host.alive()), "gmemd goes on")
    disarm()
    host.start(alone=False)
    peer.send(request("ping", number=2))
    equal(peer.receive_answer()[0]["id"], 2, "the next answer")
    check(wait_until(other.has_answered, SECONDS), "the other is never done")
    other.finish()
    peer.close()
    other.end()


@test("each step has been reached")
def all_reached():
    missed = sorted(set(labels()) - reached)
    check(not missed, "never reached: %r" % missed)


if __name__ == "__main__":
    main(set_up, tear_down)
