#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Nth allocation or system call fails, for each N: of each method, of a start, of taking over, and of the keeper.

Each time what is asked for is answered once, by what was asked for or by one error, or the connection ends; then all is as
it was before, and the next request is served. Here are some of all N; FAILURES=all has each.
"""

import contextlib
import errno
import fcntl
import os
import signal
import struct
import sys
import termios

from gmemtest import linux, wire
from gmemtest.child import Child
from gmemtest.daemon import processes
from gmemtest.failing import ALL, ALLOCATIONS, CALLS, FailingHost, need_allocations, need_tools, outcome, points
from gmemtest.failing import NEVER, SAMPLE, STARTS, FailingKeeper, FailingPassing, paths
from gmemtest.host import wait_until
from gmemtest.keeper import DROP, HELLO, OWNED, PUT, TAKE, KeeperPeer, request
from gmemtest.owner import OwnerProcess
from gmemtest.tap import Failed, Skip, check, failures, main, need, note, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer, close_all

SIZE = 8 * PAGE
SECONDS = 6
HOUR = 3600000  # milliseconds
LIBRARY_LEAKS, MINUTES = 1, 5
SERVING, REFUSING, MISSED = "serves, kernel", "refuses all requests", "no gmemd-keeper"
CODES = (-32603, -32001, -32002, -32003, -32004, -32005, -32006, -32007, -32008, -32602)

backends = []


def set_up():
    linux.require_root()
    need_tools()
    try:
        linux.require_guest_memfd()
        backends.append("kvm")
    except Skip as reason:
        note("on the model alone: %s" % reason)
    backends.append("model")


def tear_down():
    for path in paths:
        argument = "--runtime-directory=" + path
        check(not processes("gmemd", argument), "a gmemd is left in " + path)
        check(not processes("gmemd-keeper", argument), "a keeper is left in " + path)


def queued(peer):
    """Bytes that nobody has received yet."""
    return struct.unpack("i", fcntl.ioctl(peer.socket, termios.TIOCOUTQ, b"\0" * 4))[0]


# Pieces of work: what is before it, the one request that is amid a failure, and what takes it back.


class Base:
    """This process's VM, with a memory, that a slot shows, and a memfd."""

    def __init__(self, host):
        self.host = host
        self.vmm = Vmm(Peer(host.socket_path("gmemd.sock"), SECONDS), "failures")
        self.memory, self.fd = self.vmm.create(SIZE, name="ram")
        self.vmm.bind(0, 0, SIZE, self.memory, self.fd)
        params = {"vm": self.vmm.id, "size": SIZE, "backing": "memfd"}
        self.shared = self.vmm.peer.call("memory.create", params)["memory"]

    def reconnect(self):
        self.vmm.peer.close()
        self.vmm.peer = Peer(self.host.socket_path("gmemd.sock"), SECONDS)

    def end(self):
        self.vmm.peer.call("vm.close", {"vm": self.vmm.id})
        self.vmm.peer.close()
        self.vmm.close_files()
        os.close(self.fd)


class Work:
    on = ("kvm", "model")

    def __init__(self, host, base):
        self.host, self.base, self.vmm = host, base, base.vmm
        self.memory, self.shared = base.memory, base.shared

    @property
    def peer(self):
        return self.vmm.peer

    def vm(self, **params):
        return dict({"vm": self.vmm.id}, **params)

    def sized(self):
        return self.vm(size=SIZE)

    def reconnect(self):
        self.base.reconnect()

    def prepare(self):
        pass

    def ask(self):
        """The outcome of the one request."""
        raise NotImplementedError

    def request(self, method, **params):
        return outcome(self.peer, method, params)

    extra_fd = -1

    def drop_extra(self):
        """Before its memory is closed: what others have of that counts on."""
        if self.extra_fd >= 0:
            os.close(self.extra_fd)
        self.extra_fd = -1

    def restore(self):
        """All that it can have made is as it was before."""
        for call in self.vmm.get()["calls"]:
            self.vmm.report(call, 0, "ECANCELED")
        for slot in self.vmm.get()["slots"]:
            if slot["slot"] != 0:
                self.vmm.unbind(slot["slot"])
        for memory in self.vmm.get()["memories"]:
            if memory["memory"] not in (self.memory, self.shared):
                self.peer.call("memory.close", {"memory": memory["memory"]})
        for one in self.vmm.get()["private_ranges"]:
            self.convert("shared", [one])

    def convert(self, to, ranges):
        self.peer.call("memory.convert", self.vm(to=to, ranges=ranges))

    def view(self):
        view = self.vmm.get()
        for memory in view["memories"]:
            memory.pop("resident")
        view.pop("resident")
        return view

    def end(self):
        pass


def simple(name, method, make_params=lambda work: {}, on=("kvm", "model")):
    """Work that is one request that changes nothing, or what restore() knows."""

    def ask(self):
        return self.request(method, **make_params(self))

    return type(name, (Work,), {"ask": ask, "on": on, "name": name})


def one_range(work):
    return {"memory": work.memory, "ranges": [{"offset": 0, "size": PAGE}]}


def convert_params(_):
    return {"to": "private", "ranges": [{"guest_phys_addr": 0, "size": PAGE}]}


class Reported(Work):
    """What its VMM has triggered, reported."""

    on = ("kvm",)

    def prepare(self):
        self.made = -1
        self.call = self.submit()
        self.done, self.made, _ = self.vmm.trigger(self.call)

    def ask(self):
        params = self.vm(call=self.call["id"], done=self.done)
        if self.creates:
            params["fd"] = self.made
        return outcome(self.peer, "call.done", params)

    def restore(self):
        if any(call["id"] == self.call["id"] for call in self.vmm.get()["calls"]):
            self.vmm.report(self.call, self.done, fd=self.made if self.creates else None)
        if self.creates:
            os.close(self.made)
        super().restore()


class Created(Reported):
    name, creates = "call.done of memory.create", True

    def submit(self):
        return self.peer.call("memory.create", self.sized())["call"]


class Bound(Reported):
    name, creates = "call.done of slot.bind", False

    def prepare(self):
        self.extra, self.extra_fd = self.vmm.create(SIZE)
        super().prepare()

    def submit(self):
        params = self.vmm.bind_params(1, SIZE, SIZE, self.extra, self.extra_fd)
        return self.peer.call("slot.bind", params)["call"]

    def restore(self):
        self.drop_extra()
        super().restore()


class Binding(Work):
    name = "slot.bind"

    def prepare(self):
        self.extra, self.extra_fd = self.vmm.create(SIZE)

    def ask(self):
        params = self.vmm.bind_params(1, SIZE, SIZE, self.extra, self.extra_fd)
        return outcome(self.peer, "slot.bind", params)

    def restore(self):
        self.drop_extra()
        super().restore()


class Unbinding(Binding):
    name = "slot.unbind"

    def prepare(self):
        super().prepare()
        self.vmm.bind(1, SIZE, SIZE, self.extra, self.extra_fd)

    def ask(self):
        return self.request("slot.unbind", **self.vm(slot=1))


class Closing(Binding):
    name = "memory.close"

    def ask(self):
        return self.request("memory.close", memory=self.extra)


class Connecting(Work):
    name = "a connection"
    on = ("kvm", "model")

    def ask(self):
        with contextlib.closing(Peer(self.host.socket_path("gmemd.sock"), SECONDS)) as peer:
            return outcome(peer, "ping")

    def reconnect(self):
        pass


class Setting(Work):
    name = "vm.set"

    def ask(self):
        return self.request("vm.set", **self.vm(minimum=PAGE))

    def restore(self):
        self.peer.call("vm.set", self.vm(minimum=0))


class Preallocating(Work):
    name = "memory.preallocate"
    on = ("kvm",)

    def ask(self):
        return self.request("memory.preallocate", memory=self.memory)

    def restore(self):
        self.peer.call("memory.reclaim", {"memory": self.memory, "ranges": [{"offset": 0, "size": SIZE}]})


class Opening(Work):
    """In processes of their own: a VM that is opened may keep its process for ever."""

    name = "vm.open"
    operations = ()
    on = ("kvm", "model")

    def __init__(self, host, base):
        super().__init__(host, base)
        self.operator = host.operator()
        self.others = len(self.operator.call("vm.list")["vms"])

    def prepare(self):
        path = self.host.socket_path("gmemd.sock")
        self.child = Child(lambda channel: serve_opener(channel, path, self.host.backend))
        for operation in self.operations:
            kind, value = self.child.ask(operation)
            need(kind == "done", "%s: %r" % (operation, value))

    def ask(self):
        return tuple(self.child.ask("open"))

    def restore(self):
        self.child.end()
        need(wait_until(lambda: len(self.view()) == self.others, SECONDS), "a VM is left")

    def view(self):
        return self.operator.call("vm.list")["vms"]

    def reconnect(self):
        pass

    def end(self):
        self.operator.close()


class OpeningReserved(Opening):
    """What was reserved is the VM's, or still reserved."""

    name = "vm.open with a reservation"

    def prepare(self):
        params = {"name": "failing", "size": SIZE, "ttl_ms": HOUR}
        self.reserved = self.operator.call("reservation.create", params)["reservation"]
        super().prepare()

    def ask(self):
        return tuple(self.child.ask("open", self.reserved))

    def restore(self):
        opened = len(self.operator.call("vm.list")["vms"]) > self.others
        left = [one["reservation"] for one in self.operator.call("reservation.list")["reservations"]]
        check(left == ([] if opened else [self.reserved]), "reserved: %r; opened: %r" % (left, opened))
        cancel_all(self.operator)
        super().restore()


class Reserving(Work):
    """Of an operator."""

    name = "reservation.create"

    def __init__(self, host, base):
        super().__init__(host, base)
        self.operator = host.operator()

    def ask(self):
        return outcome(self.operator, "reservation.create", {"name": "failing", "size": SIZE, "ttl_ms": HOUR})

    def restore(self):
        cancel_all(self.operator)

    def reconnect(self):
        self.operator.close()
        self.operator = self.host.operator()

    def view(self):
        """One that failed is promised nothing."""
        told = self.operator.call("host.describe")["commitment"]
        return told, self.operator.call("reservation.list")

    def end(self):
        self.operator.close()


class Cancelling(Reserving):
    name = "reservation.cancel"

    def prepare(self):
        self.operator.call("reservation.create", {"name": "failing", "size": SIZE, "ttl_ms": HOUR})

    def ask(self):
        return outcome(self.operator, "reservation.cancel", {"reservation": "failing"})


class Listing(Cancelling):
    name = "reservation.list"

    def ask(self):
        return outcome(self.operator, "reservation.list")


def cancel_all(operator):
    for one in operator.call("reservation.list")["reservations"]:
        operator.call("reservation.cancel", {"reservation": one["reservation"]})


class Gating(Opening):
    name = "vm.gate"
    operations = ("open_gated", "filter")
    on = ("kvm",)

    def ask(self):
        return tuple(self.child.ask("gate"))


class Ending(Opening):
    name = "vm.close"
    operations = ("open",)

    def ask(self):
        return tuple(self.child.ask("close"))


class Resuming(Opening):
    name = "vm.resume"
    operations = ("open",)

    def ask(self):
        return tuple(self.child.ask("resume"))


def serve_opener(channel, path, backend):
    peer, vm, listener = Peer(path, SECONDS), None, -1
    gates = {"open": "none", "open_gated": "required"}
    while True:
        operation, *reservation = channel.hear()
        if operation in gates:
            params = {"name": "opened", "gate": gates[operation]}
            params.update({"reservation": one for one in reservation})
            result = outcome(peer, "vm.open", params)
            vm = result[1].get("vm") if result[0] == "done" else None
        elif operation == "filter":
            listener, result = linux.seccomp_listener(), ("done", {})
        elif operation == "gate":
            result = outcome(peer, "vm.gate", {"vm": vm, "listener": listener})
        else:
            result = outcome(peer, "vm." + operation, {"vm": vm})
        channel.say(result)


Reclaiming = simple("memory.reclaim", "memory.reclaim", one_range)

WORKS = [
    Connecting,
    simple("ping", "ping"),
    simple("host.describe", "host.describe"),
    simple("vm.list", "vm.list"),
    simple("vm.get", "vm.get", lambda work: work.vm()),
    simple("memory.open", "memory.open", lambda work: {"memory": work.memory}),
    simple("memory.create", "memory.create", Work.sized),
    simple("memory.create of a memfd", "memory.create", lambda work: work.vm(size=SIZE, backing="memfd")),
    Reclaiming,
    simple("memory.cancel", "memory.cancel", lambda work: {"token": "none"}),
    simple("memory.convert", "memory.convert", lambda work: work.vm(**convert_params(work)), ("model",)),
    simple("event.subscribe", "event.subscribe"),
    simple("a wrong parameter", "vm.get", lambda work: {"what": "?"}),
    Created,
    Bound,
    Binding,
    Unbinding,
    Closing,
    Setting,
    Preallocating,
    Opening,
    OpeningReserved,
    Reserving,
    Cancelling,
    Listing,
    Gating,
    Ending,
    Resuming,
]


PUTTING = [Created, Bound, Closing, Opening, Gating, Ending]

# All of it


def check_outcome(what, result, failed):
    kind, value = result
    check(kind != "silent", "%s: no answer" % what)
    if kind == "error":
        good = value.get("code") in CODES and value.get("message") and value.get("data", {}).get("reason")
        expected = failed or value["code"] in (-32602, -32001, -32005)
        check(good and expected, "%s: the error: %r" % (what, value))


def fail_once(host, work, nth, before, what):
    """Whether there was an Nth."""
    work.prepare()
    host.arm(nth)
    result = work.ask()
    _, failed = host.failure.disarm()
    need(host.alive(), "gmemd has ended, %s: %s" % (what, host.log()[-2000:]))
    check_outcome(what, result, failed)
    if result[0] in ("closed", "silent"):
        work.reconnect()
    try:
        work.restore()
    except ConnectionError:  # what else was to be sent could not be
        work.reconnect()
        work.restore()
    view = work.view()
    check(view == before, "%s: %r, before %r" % (what, view, before))
    return failed


def count_points(host, work):
    """What there is without a failure, once all that is made once is made."""
    for _ in range(3):
        work.prepare()
        host.arm(NEVER)
        result = work.ask()
        count, _ = host.failure.disarm()
        work.restore()
    return count, result


class Held:
    """What it has open and allocated."""

    def __init__(self, host):
        self.host = host
        self.fds, self.live, self.takers = host.fds(), host.failure.live(), host.takers()

    def more(self):
        """How much more by now, but for what json-c 0.16 leaves where it has no memory. Takers come and go by themselves."""
        live = self.host.failure.live() - self.live - LIBRARY_LEAKS
        live = 0 if set(self.host.takers()) - set(self.takers) else live
        return max(self.host.fds() - self.fds, 0), max(live, 0)

    def is_back(self):
        return self.more() == (0, 0)


def try_work(host, base, kind):
    work = kind(host, base)
    total, _ = count_points(host, work)
    before, tried = work.view(), 0
    for nth in points(total):
        what = "%s, %s %d of %d" % (work.name, host.kind, nth, total)
        held = Held(host)
        tried += fail_once(host, work, nth, before, what)
        check(
            wait_until(held.is_back, SECONDS),
            "%s: %d files and %d allocations more than before" % (what, *held.more()),
        )
    note("%s: %d of %d" % (work.name, tried, total))
    work.end()


def make_tokener(host):
    """json-c's is made for the first text that is not plain, and stays."""
    peer = host.peer()
    peer.send(b'{"jsonrpc":"2.0","id":"\\u0041","method":"ping"}')
    check(peer.receive()[0]["id"] == "A", "the id")
    peer.close()


def try_works(channel, backend, kind, works, aim):
    host = FailingHost(kind, backend=backend, aim=aim)
    host.backend = backend
    make_tokener(host)
    base = Base(host)
    for work in works:
        if backend in work.on:
            try_work(host, base, work)
            sys.stdout.flush()
    base.end()
    host.stop()
    channel.say(failures())


def in_child(backend, kind, works=None, aim=None):
    """A process has one VM, where it is once."""
    if kind == ALLOCATIONS:
        need_allocations()
    if backend not in backends:
        raise Skip("this host has no guest_memfd")
    sys.stdout.flush()
    with Child(lambda channel: try_works(channel, backend, kind, works or WORKS, aim)) as child:
        child.channel.socket.settimeout(None if ALL else MINUTES * 60)
        for failure in child.channel.hear():
            check(False, failure)


# Starts


class Start:
    """A gmemd, with what is before it and what must be after it."""

    def __init__(self, kind):
        self.host = self.make_host(kind)

    def make_host(self, kind):
        return FailingHost(kind, backend=backends[0])

    def prepare(self):
        self.host.stop_alone()

    def check(self, what):
        """Of one that serves, or of the next one."""
        peer = self.host.operator()
        check(peer.call("vm.list")["vms"] == [], what + ": VMs")
        peer.close()

    def end(self):
        self.host.stop()


class Takeover(Start):
    """Of a VM, from a gmemd that was killed."""

    def __init__(self, kind):
        super().__init__(kind)
        self.owner = OwnerProcess(self.host.socket_path("gmemd.sock"))
        self.owner.do("all")
        self.before = self.owner.do("note")

    def prepare(self):
        self.host.kill()

    def check(self, what):
        view = self.owner.do("look")
        check(view == self.before, "%s: the VM: %r, before %r" % (what, view, self.before))

    def end(self):
        self.owner.do("look")
        self.owner.do("close")
        self.owner.end()
        super().end()


class OwedTakeover(Start):
    """Of a connection whose packet waits for a taker, from a gmemd that was killed. What it has of the packet it has whole."""

    def __init__(self, kind):
        super().__init__(kind)
        self.base = Base(self.host)

    def prepare(self):
        self.made = Created(self.host, self.base)
        self.made.prepare()
        stopped = self.stop_takers()
        report = self.made.vm(call=self.made.call["id"], done=1, fd=self.made.made)
        self.base.vmm.peer.send(wire.request("call.done", report))
        need(wait_until(lambda: queued(self.base.vmm.peer) == 0), "gmemd has received the report")
        need(self.host.operator().call("ping") == {}, "gmemd serves others")
        self.host.kill()
        for taker in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(taker, signal.SIGCONT)

    def stop_takers(self):
        """Its one is there yet, or again."""
        os.close(self.base.vmm.create(SIZE)[1])
        takers = self.host.takers()
        need(takers, "there is a taker")
        for taker in takers:
            os.kill(taker, signal.SIGSTOP)
        return takers

    def check(self, what):
        """Where gmemd can't keep the connection it ends, and the report is made again."""
        with contextlib.suppress(wire.Closed, ConnectionError):
            answer = self.base.vmm.peer.receive_answer()[0]
            refused = answer.get("error", {}).get("code", 0)
            check(answer["id"] == 1 and refused in (0, *CODES), "%s: the report: %r" % (what, answer))
        try:
            self.base.vmm.peer.call("ping")
        except (wire.Closed, ConnectionError):
            note(what + ": the connection has ended")
            self.base.reconnect()
        self.made.restore()

    def end(self):
        self.base.end()
        super().end()


class PassedTakeover(Takeover):
    """With sockets that are passed to it, so that it could serve without what the keeper holds. The connection stays."""

    def make_host(self, kind):
        return FailingPassing(kind, backend=backends[0])

    def check(self, what):
        view = self.owner.do("note")
        check(view == self.before, "%s: the VM: %r, before %r" % (what, view, self.before))
        with contextlib.closing(self.host.peer()) as peer:
            peer.call("ping")

    def end(self):
        super().end()
        self.host.close()


def start_once(start, nth):
    """Whether there was an Nth, and how many there are."""
    host = start.host
    start.prepare()
    host.arm(nth)
    logged = len(host.log())
    host.spawn()
    wait_until(lambda: any(word in host.log()[logged:] for word in (SERVING, REFUSING)) or not host.alive(), 60)
    count, failed = host.failure.disarm()
    what = "%s %d" % (host.kind, nth)
    if not host.alive():
        text = host.log()[logged:]
        check(host.process.wait() > 0 and text.strip(), "%s: ends with %d: %s" % (what, host.process.wait(), text))
        check(failed, "%s: gmemd has ended: %s" % (what, text))
        host.start(alone=False)
    elif REFUSING in host.log()[logged:]:  # it could not read its configuration
        host.kill()
        host.start(alone=False)
    start.check(what)
    return failed, count


def try_starts(kind, start):
    if kind == ALLOCATIONS:
        need_allocations()
    start = start(kind)
    _, total = start_once(start, NEVER)
    tried = sum(start_once(start, nth)[0] for nth in points(total, STARTS))
    note("%d of %d" % (tried, total))
    start.end()


def try_owed(channel):
    """In a process of its own: that has one VM."""
    try_starts(ALLOCATIONS, OwedTakeover)
    sys.stdout.flush()
    channel.say(failures())


def need_kvm():
    if backends[0] != "kvm":
        raise Skip("this host has no guest_memfd")


@test("an allocation of a start")
def allocations_of_start():
    try_starts(ALLOCATIONS, Start)


@test("a system call of a start")
def calls_of_start():
    try_starts(CALLS, Start)


@test("an allocation while it takes over")
def allocations_of_takeover():
    need_kvm()
    try_starts(ALLOCATIONS, Takeover)


@test("an allocation while it takes over a connection whose packet waits")
def allocations_of_owed_takeover():
    need_kvm()
    need_allocations()
    sys.stdout.flush()
    with Child(try_owed) as child:
        for failure in child.channel.hear():
            check(False, failure)


@test("a system call while it takes over")
def calls_of_takeover():
    need_kvm()
    try_starts(CALLS, Takeover)


# Its helpers, which live on


RECVMSG, SENDMSG, SOCKET = 47, 46, 41
FIRST = min(SAMPLE, 5)  # calls
SOCKETS = [(RECVMSG, errno.ENOMEM), (RECVMSG, errno.ECONNRESET), (SENDMSG, errno.ENOBUFS), (SENDMSG, errno.ECONNRESET)]


@test("a call to a keeper that lives, or of its own, fails once while gmemd takes over: all of it, on the connections there are, or nothing")
def keeper_amid_takeover():
    need_kvm()
    start = PassedTakeover(CALLS)
    calls = [*SOCKETS, (SOCKET, errno.EMFILE)]
    for program, call, error in [("", *one) for one in calls] + [("gmemd-keeper", *one) for one in SOCKETS]:
        start.host.aim = {"program": program, "call": call, "error": error}
        tried = sum(start_once(start, nth)[0] for nth in range(1, FIRST + 1))
        note("%s call %d, %s: %d" % (program, call, errno.errorcode[error], tried))
    start.end()


def held(host):
    with KeeperPeer(host.path) as peer:
        files = peer.take_all()
    close_all(files.values())
    return sorted(files)


@test("a keeper that lives can't be heard for a while: who connects is served, then at the latest, and nothing of what ends stays there")
def keeper_unheard():
    need_kvm()
    host = FailingHost(CALLS, aim={"call": RECVMSG, "error": errno.ECONNRESET, "lasting": True})
    path, before = host.socket_path("gmemd.sock"), held(host)
    owner = OwnerProcess(path)
    owner.do("all")
    host.arm(1)
    first = Peer(path)  # accepted by the keeper, which can't say so
    first.send(wire.request("ping"))
    need(wait_until(lambda: MISSED in host.log()), "it has heard its keeper: " + host.log())
    with contextlib.closing(Peer(path)) as second:
        second.call("ping")
    owner.do("close")
    owner.end()
    host.failure.disarm()
    check(first.receive_answer()[0]["result"] == {}, "who connected first")
    first.close()
    check(wait_until(lambda: held(host) == before), "%r is held, before %r" % (held(host), before))
    host.stop()


def screen_once(nth, aim):
    """Whether there was an Nth while peers are screened that have connected before."""
    host = FailingPassing(CALLS, waits=True, backend=backends[0], aim=aim)
    peers = [Peer(host.socket_path(name)) for name in ("gmemd.sock", "gmemd.sock", "admin.sock")]
    for peer in peers:
        peer.send(wire.request("ping"))
    host.arm(nth)
    host.spawn()
    what = "%r, %d: " % (aim, nth)
    wait_until(lambda: SERVING in host.log() or not host.alive())
    if not host.alive():  # it could not ask for the keeper
        host.spawn()
    with contextlib.closing(host.peer()) as later:
        check(later.call("ping") == {}, what + "who connects then")
    for peer in peers:
        check(peer.receive_answer()[0]["result"] == {}, what + "who has connected before")
        peer.close()
    _, failed = host.failure.disarm()
    host.stop()
    host.close()
    return failed


@test("a call of the screener's, or to it, fails once: who has connected before is served")
def screener():
    need_kvm()
    for call, error in ((RECVMSG, errno.ENOMEM), (SENDMSG, errno.ENOBUFS)):
        for aim in ({"program": "gmemd-screener"}, {}):
            aim.update(call=call, error=error)
            nth = 1
            while screen_once(nth, aim) and nth < FIRST:
                nth += 1
            note("%r: %d" % (aim, nth))


@test("a system call of a taker, of each method that has one")
def calls_of_taker():
    in_child("kvm", CALLS, [Created, Opening, Gating], {"program": "gmemd-taker"})


@test("a system call of an allocator")
def calls_of_allocator():
    in_child("kvm", CALLS, [Preallocating], {"program": "gmemd-allocator"})


@test("a system call of a puncher, of each method that gives pages back")
def calls_of_puncher():
    in_child("kvm", CALLS, [Reclaiming, Closing, Ending], {"program": "gmemd-puncher"})


@test("a system call of a keeper, of each method that puts something there")
def calls_of_serving_keeper():
    in_child("kvm", CALLS, [Connecting, *PUTTING], {"program": "gmemd-keeper"})


@test("the end of a connection to a helper that lives, of each method that asks one")
def ends_of_connections():
    in_child("kvm", CALLS, [Connecting, *PUTTING], {"call": RECVMSG, "error": errno.ECONNRESET})


# The keeper by itself


IDS = [(OWNED, 7, i) for i in range(3)]
OTHER = (OWNED, 8, 0)


def keeper_held(keeper):
    with KeeperPeer(keeper.path) as peer:
        taken = peer.take_all()
    close_all(taken.values())
    return sorted(taken)


def ask_keeper(keeper, operation, ids, files):
    """Its result; None where it has ended the connection."""
    try:
        with KeeperPeer(keeper.path) as peer:
            peer.send(request(operation, ids, serial=1), files)
            answer = peer.receive()
    except ConnectionError:
        return None
    close_all(answer.fds if answer else [])
    return answer.result if answer else None


def fail_keeper_once(keeper, operation, ids, file, nth):
    files = [file] * len(ids) if operation == PUT else []
    before = keeper_held(keeper)
    keeper.failure.arm(nth)
    result = ask_keeper(keeper, operation, ids, files)
    count, failed = keeper.failure.disarm()
    what = "operation %d, %s %d of %d: " % (operation, keeper.kind, nth, count)
    need(keeper.process.poll() is None, what + "it has ended: " + keeper.log())
    held = keeper_held(keeper)
    done = sorted(set(before) | set(ids)) if operation == PUT else sorted(set(before) - set(ids))
    if operation not in (PUT, DROP):
        done = before
    check(held in (before, done), "%sholds %r, before %r" % (what, held, before))
    check(result != 0 or held == done, what + "says that it is done")
    check(failed or result == 0, "%s%r" % (what, result))
    with KeeperPeer(keeper.path) as peer:
        peer.ask(DROP, IDS)
        peer.ask(PUT, [OTHER], [file])
    return failed


def try_keeper(kind):
    if kind == ALLOCATIONS:
        need_allocations()
    keeper, file = FailingKeeper(kind), os.memfd_create("test")
    for operation, ids in ((HELLO, ()), (PUT, IDS), (TAKE, ()), (DROP, [OTHER])):
        nth = 1
        while fail_keeper_once(keeper, operation, ids, file, nth):
            nth += 1
        note("operation %d: %d" % (operation, nth - 1))
    keeper_held(keeper)
    fds = keeper.fds()
    for _ in range(3):
        keeper_held(keeper)
    # It may not have seen yet that the last one has left.
    check(wait_until(lambda: keeper.fds() <= fds), "%d files, %d before" % (keeper.fds(), fds))
    keeper.stop()
    os.close(file)


@test("an allocation of the keeper")
def allocations_of_keeper():
    try_keeper(ALLOCATIONS)


@test("a system call of the keeper")
def calls_of_keeper():
    try_keeper(CALLS)


@test("an allocation of each method")
def allocations():
    in_child("kvm", ALLOCATIONS)


@test("a system call of each method")
def calls():
    in_child("kvm", CALLS)


@test("an allocation of each method, on the model")
def allocations_of_model():
    in_child("model", ALLOCATIONS)


@test("a system call of each method, on the model")
def calls_of_model():
    in_child("model", CALLS)


if __name__ == "__main__":
    main(set_up, tear_down)
