#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each gmemd is killed at a step of its own: what the one after the next still has to know."""

import contextlib
import os
import time

from gmemtest.child import RemotePeer
from gmemtest.host import Host, wait_until
from gmemtest.tap import Skip, equal, main, need, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer, request

SIZE = 16 * PAGE
LONG = 4 << 30  # takes longer to preallocate than to kill a gmemd
PROGRAM = os.path.join(os.environ["BUILD_DIR"], "daemon", "gmemd")

host = vmm = None
fatal = ""


def set_up():
    global host, fatal, vmm
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    with open(PROGRAM, "rb") as program:
        if b"GMEMD_KILL_STEP" not in program.read():
            raise Skip("built without -Dkill-steps=true")
    host = Host()
    fatal = os.path.join(host.directory, "fatal")
    os.environ["GMEMD_KILL_STEP"] = fatal
    host.restart()
    vmm = Vmm(Peer(host.socket_path("gmemd.sock")))


def tear_down():
    host.stop()


def arm(label, number=1):
    with open(fatal + ".new", "w", encoding="utf-8") as file:
        file.write("%s\n%d\n" % (label, number))
    os.rename(fatal + ".new", fatal)


def killed(label):
    """It ends there; what comes then is not its business."""
    need(wait_until(lambda: not host.alive()), "gmemd is not killed at " + label)
    os.unlink(fatal)


def die_at(label, number, peer, packet):
    arm(label, number)
    peer.send(packet)
    killed(label)


def start_and_die_at(label):
    arm(label)
    host.spawn()
    killed(label)


def nothing_more(peer):
    peer.socket.setblocking(False)
    try:
        raise AssertionError("one too many: %r" % peer.socket.recv(65536))
    except BlockingIOError:
        pass
    finally:
        peer.socket.settimeout(10)


class Slots:
    """Two memories, and requests to bind them."""

    def __enter__(self):
        self.memories = [vmm.create(SIZE) for _ in range(2)]
        return self

    def bind(self, slot):
        memory, fd = self.memories[slot - 1]
        return request("slot.bind", vmm.bind_params(slot, slot << 20, SIZE, memory, fd), slot)

    def is_bound(self, slot, answer):
        equal(answer["id"], slot, "whose answer it is")
        vmm.carry_out(answer["result"]["call"])

    def __exit__(self, *_):
        for slot, (memory, fd) in enumerate(self.memories, 1):
            vmm.unbind(slot)
            os.close(fd)
            vmm.peer.call("memory.close", {"memory": memory})
        got = vmm.get()
        equal((got["slots"], got["memories"], got["calls"]), ([], [], []), "what is left")


class Long:
    """A preallocation that is under way while gmemd is killed."""

    def __enter__(self):
        self.memory, self.fd = vmm.create(LONG)
        params = {"memory": self.memory, "threads": 1}
        vmm.peer.send(request("memory.preallocate", params, "long"))
        equal(vmm.peer.call("ping"), {}, "it has begun")
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        vmm.peer.call("memory.close", {"memory": self.memory})


@test("a batch with two changes of one VM: each is done and answered once")
def batch():
    for label, number in (
        ("request: committed", 1),
        ("request: answer owed", 2),
        ("request: committed", 2),
        ("delivery: answered", 1),
        ("delivery: packet done with", 1),
    ):
        with Slots() as slots:
            die_at(label, number, vmm.peer, [slots.bind(1), slots.bind(2)])
            host.start()
            for slot, answer in enumerate(vmm.peer.receive()[0], 1):
                slots.is_bound(slot, answer)
            nothing_more(vmm.peer)


@test("what a predecessor's predecessor has done is answered once, and the next request is another")
def inherited_twice():
    for label in ("delivery: answered", "delivery: packet done with"):
        with Slots() as slots:
            die_at("request: committed", 1, vmm.peer, slots.bind(1))
            start_and_die_at(label)
            host.start()
            slots.is_bound(1, vmm.peer.receive()[0])
            vmm.peer.send(slots.bind(2))
            slots.is_bound(2, vmm.peer.receive()[0])
            nothing_more(vmm.peer)


@test("an answer that a predecessor has sent is not forgotten over another peer's")
def others_answer():
    peer = Peer(host.socket_path("gmemd.sock"))
    with Long():
        die_at("delivery: answered", 1, peer, request("ping", number="once"))
        start_and_die_at("recovery of a connection: later answer sent")
        host.start()
        equal(peer.receive()[0]["id"], "once", "its answer")
        nothing_more(peer)
        equal(peer.call("ping"), {}, "it goes on")
        equal(vmm.peer.receive()[0]["id"], "long", "the other's")
        nothing_more(vmm.peer)
    peer.close()


@test("an answer that comes out of turn waits for room")
def later_waits():
    with Long():
        peer = vmm.peer
        peer.socket.setblocking(False)
        sent = full = 0
        while full < 20:
            try:
                peer.send(request("ping", number=sent))
                sent += 1
                full = 0
            except BlockingIOError:
                time.sleep(0.01)
                full += 1
        peer.socket.settimeout(10)
        host.restart()
        ids = [peer.receive()[0]["id"] for _ in range(sent + 1)]
        equal(ids.count("long"), 1, "the one out of turn")
        equal([number for number in ids if number != "long"], list(range(sent)), "the others")
        nothing_more(peer)


@test("no request is dropped for one that a predecessor's predecessor has answered")
def dropped():
    peer, other = (Peer(host.socket_path("gmemd.sock")) for _ in range(2))
    for each in (peer, other):
        equal(each.call("ping"), {}, "before")
    die_at("delivery: packet done with", 1, peer, request("ping", number=1))
    other.send({"jsonrpc": "2.0", "method": "ping"})
    start_and_die_at("delivery: packet done with")
    peer.send(request("ping", number=2))
    host.start()
    equal([peer.receive()[0]["id"] for _ in range(2)], [1, 2], "both")
    nothing_more(peer)
    nothing_more(other)
    peer.close()
    other.close()


@test("what a VM was opened with is reserved no more, wherever the next gmemd ends, and is promised once")
def used_reservation():
    for label in ("recovery: reservations", "recovery: VMs", "recovery: used reservations ended"):
        made = as_operator("reservation.create", {"name": "once", "size": SIZE, "ttl_ms": 3600000})["reservation"]
        before = as_operator("host.describe")["commitment"]
        child = RemotePeer(host.socket_path("gmemd.sock"))
        arm("request: committed")
        child.channel.say(["call", "vm.open", {"name": "reserved", "gate": "none", "reservation": made}])
        killed("request: committed")
        start_and_die_at(label)
        host.start(alone=False)
        kind, value = child.channel.hear()
        equal(kind, "result", "%s: vm.open: %r" % (label, value))
        equal(as_operator("reservation.list")["reservations"], [], label)
        after = as_operator("host.describe")["commitment"]
        equal((after["promised"], after["reserved"]), (before["promised"], before["reserved"] - SIZE), label)
        child.end()
        need(wait_until(lambda: as_operator("host.describe")["commitment"]["promised"] == before["promised"] - SIZE), label)
        host.restart()
        equal(as_operator("reservation.list")["reservations"], [], label + ", and the VM is gone")


def as_operator(method, params=None):
    with contextlib.closing(host.operator()) as peer:
        return peer.call(method, params)


if __name__ == "__main__":
    main(set_up, tear_down)
