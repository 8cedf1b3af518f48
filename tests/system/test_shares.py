#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shares: however much one user asks for, others, operators and the release of the dead have their turns.

What is checked of time is generous: a second, where a turn is a tenth of a millisecond.
"""

import contextlib
import os
import resource
import select
import signal
import threading
import time

from gmemtest import linux, tap
from gmemtest.child import Child, RemotePeer
from gmemtest.daemon import Daemon
from gmemtest.flood import Flood, vmm_with
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need, note, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer, request

# Nobody's, as far as this machine knows; nothing is written as them.
HOSTILE, QUIET, VICTIM = 54333, 54334, 54335

SECONDS_TO_ANSWER = 1
SECONDS_OF_ATTACK = 3
MIB = 1 << 20
FILES = 12000

daemon = quiet = operator = None


def set_up():
    global daemon, quiet, operator
    linux.require_guest_memfd()
    linux.require_root()
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FILES:
        raise tap.Skip("RLIMIT_NOFILE is below %d" % FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    daemon = Daemon(files=FILES, keep_closed=False)
    quiet = RemotePeer(daemon.socket_path("gmemd.sock"), QUIET)
    operator = daemon.operator()
    for peer in (quiet, operator):
        peer.call("ping")


def tear_down():
    operator.close()
    quiet.end()
    daemon.stop()


def timed(what):
    began = time.monotonic()
    what()
    return time.monotonic() - began


def others_are_served(seconds=SECONDS_OF_ATTACK):
    """A quiet user, by a connection that it has and by a new one, and an operator likewise."""
    longest = {}

    def ask(name, what):
        longest[name] = max(longest.get(name, 0), timed(what))

    def connect(path):
        peer = Peer(path)
        peer.call("ping")
        peer.close()

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ask("a ping", lambda: quiet.call("ping"))
        ask("a new connection", lambda: connect(daemon.socket_path("gmemd.sock")))
        ask("an operator's list", lambda: operator.call("vm.list"))
        ask("a new operator", lambda: connect(daemon.socket_path("admin.sock")))
        time.sleep(0.01)
    for name, took in longest.items():
        check(took < SECONDS_TO_ANSWER, "%s took %.2f s" % (name, took))
    note("longest: " + ", ".join("%s %.1f ms" % (k, v * 1e3) for k, v in longest.items()))


def describes(_):
    return [request("host.describe", number=i) for i in range(64)]


@test("2,040 connections of one user with batches: others are answered, and so is it")
def many_batches():
    fds = daemon.fds()
    with Flood(daemon, HOSTILE, 2040, describes) as hostile:
        before = hostile.answers()
        others_are_served()
        check(hostile.answers() > before, "the flood is served, too")
    daemon.fds_come_back(fds, 60)


def long_packets(_):
    """What takes longest to read, and is then refused."""
    return b"[" + b"1," * 30000 + b"1]"


@test("packets that take long to read, without end")
def dear_packets():
    fds = daemon.fds()
    with Flood(daemon, HOSTILE, 64, long_packets):
        others_are_served()
    daemon.fds_come_back(fds, 60)


def many_ranges(vmm):
    ranges = [{"offset": 0, "size": PAGE}] * 1900
    return request("memory.reclaim", {"memory": vmm.memory, "ranges": ranges})


@test("requests of many ranges take no file each, and leave none to the loop")
def ranges():
    fds = daemon.fds()
    most = 0
    with Flood(daemon, HOSTILE, 40, many_ranges, vmm_with(daemon, 512 * MIB)):
        held = daemon.fds()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            most = max(most, daemon.fds())
        others_are_served()
        most = max(most, daemon.fds())
    check(most <= held + 16, "gmemd held %d files more" % (most - held))
    daemon.fds_come_back(fds, 60)


def small_reclaims(vmm):
    """Each is done at once, in the loop."""
    params = {"memory": vmm.memory, "ranges": [{"offset": 0, "size": MIB}]}
    return [request("memory.reclaim", params, i) for i in range(64)]


@test("small pieces of work that are done at once don't add up")
def small_pieces():
    fds = daemon.fds()
    with Flood(daemon, HOSTILE, 300, small_reclaims, vmm_with(daemon, MIB)):
        others_are_served()
    daemon.fds_come_back(fds, 60)


def released(pid):
    """Kills the VMM, and waits until its VM is told to be released."""
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    listener.events.clear()
    while not any(event["kind"] == "vm_released" for event in listener.events):
        message, _ = listener.receive()
        listener.events.append(message["params"])
    return time.monotonic() - began


def victim(channel):
    channel.hear()
    vmm = vmm_with(daemon, 512 * MIB)()
    channel.say(vmm.id)
    channel.hear()


def counted_pages(vmm):
    """Each has one page given back, and all others counted."""
    params = {"memory": vmm.memory, "ranges": [{"offset": 0, "size": PAGE}]}
    return [request("memory.reclaim", params, i) for i in range(64)]


listener = None


@test("the memory of a killed VM is released beside 300 connections that have pages counted")
def release_of_the_dead():
    global listener
    fds = daemon.fds()
    listener = daemon.operator()
    listener.call("event.subscribe")
    with Flood(daemon, HOSTILE, 300, counted_pages, vmm_with(daemon, 1024 * MIB)):
        with Child(victim, VICTIM) as child:
            child.ask("go")
            took = released(child.pid)
        others_are_served(1)
    check(took < 5, "the release took %.2f s" % took)
    note("the release took %.3f s" % took)
    listener.close()
    daemon.fds_come_back(fds, 60)


def reclaim_of(memory):
    return request("memory.reclaim", {"memory": memory, "ranges": [{"offset": 0, "size": PAGE}]})


def keeper_of_its_file(channel, uid=0):
    """Writes to its memory what never comes, and asks for pages of it to be given back."""
    channel.hear()
    faults, address = linux.missing_page()  # other users do it by FUSE
    os.setresuid(uid, uid, uid)
    linux.die_with_parent()
    vmm = Vmm(daemon.peer(), "keeps its file %d" % os.getpid())
    memory, fd = vmm.create(64 * MIB, backing="memfd")
    os.posix_fallocate(fd, 0, 64 * MIB)
    threading.Thread(target=linux.write_from, args=(fd, address), daemon=True).start()
    os.read(faults, 32)  # it holds the file now
    vmm.peer.send(reclaim_of(memory))
    channel.say(memory)
    while True:
        channel.hear()
        channel.say(bool(select.select([vmm.peer.socket], [], [], 0)[0]))


@test("who keeps its own memory's file waits for it alone: others are served and released")
def kept_file():
    global listener
    fds = daemon.fds()
    listener = daemon.operator()
    listener.call("event.subscribe")
    with Child(keeper_of_its_file) as hostile:
        hostile.ask("go")
        for _ in range(3):
            with Child(victim, VICTIM) as child:
                child.ask("go")
                released(child.pid)
        others_are_served(1)
        need(hostile.ask("answered?") is False, "it waits still")
    listener.close()
    daemon.fds_come_back(fds, 60)


@test("operators who ask for what such VMs keep wait for that alone")
def kept_from_operators():
    fds = daemon.fds()
    uids = range(VICTIM + 1, VICTIM + 7)
    with contextlib.ExitStack() as stack:
        hostile = [stack.enter_context(Child(lambda channel, uid=uid: keeper_of_its_file(channel, uid))) for uid in uids]
        operators = [stack.enter_context(contextlib.closing(daemon.operator())) for _ in uids]
        for child, one in zip(hostile, operators):
            one.send(reclaim_of(child.ask("go")))
        others_are_served(1)
        with Child(victim, VICTIM) as child:
            vm = child.ask("go")
            memory = operator.call("vm.get", {"vm": vm})["memories"][0]["memory"]
            operator.send(reclaim_of(memory))
            equal(operator.receive_answer()[0]["result"]["reclaimed"], PAGE, "an operator's reclaim")
        need(not select.select([one.socket for one in operators], [], [], 0)[0], "they wait still")
    daemon.fds_come_back(fds, 60)


@test("files in reserve: where peers have taken all others, operators connect and are served")
def files_in_reserve():
    small = Daemon(files=160, config="[limits]\npeers-per-user = 1000\n")
    path = small.socket_path("gmemd.sock")

    def body(channel):
        peers = []
        for _ in range(120):
            peer = Peer(path)
            peer.send(request("ping"))
            peers.append(peer)
        channel.say("ready")
        channel.hear()

    with Child(body, HOSTILE) as child:
        child.channel.hear()
        until = time.monotonic() + 60
        while small.fds() < 136 and time.monotonic() < until:
            time.sleep(0.01)
        need(small.fds() >= 136, "gmemd has room: %d files" % small.fds())
        for _ in range(3):
            one = small.operator()
            equal(one.call("vm.list")["vms"], [], "an operator's list")
            one.close()
        late = Peer(path, 1)
        late.send(request("ping"))
        try:
            late.receive_answer()
            check(False, "there is room for a peer")
        except OSError:
            pass
    equal(late.receive_answer()[0].get("result"), {}, "who has waited for room")
    late.close()
    small.stop()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
