#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd is killed, stopped and started again: what a peer sees of that on its connection."""

import os
import random
import signal
import socket
import tempfile
import time

from gmemtest.host import Host, busy_passes
from gmemtest.tap import Failed, Skip, check, equal, main, note, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer, RpcError, close_all, request

SIZE = 16 * PAGE

host = None
the_vmm = None


def set_up():
    global host
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    host = Host()


def tear_down():
    print(host.log()) if os.environ.get("LOG") else None
    host.stop()


def vmm_peer():
    return Peer(host.socket_path("gmemd.sock"))


def vmm_of_all():
    """A process has one VM."""
    global the_vmm
    the_vmm = the_vmm or Vmm(vmm_peer())
    return the_vmm


def nothing_more(peer):
    """No packet beyond those that were due."""
    seconds = peer.socket.gettimeout()
    peer.socket.setblocking(False)
    try:
        packet = peer.socket.recv(65536)
        raise AssertionError("one too many: %r" % packet)
    except BlockingIOError:
        pass
    finally:
        peer.socket.settimeout(seconds)


@test("a connection goes on, and no answer comes twice")
def goes_on():
    peer, operator = vmm_peer(), host.operator()
    for _ in range(30):
        equal(peer.call("ping"), {}, "before")
        host.kill()
        host.start(alone=False)
        equal(peer.call("ping"), {}, "after")
        check("vms" in operator.call("vm.list"), "another's")
    nothing_more(peer)
    nothing_more(operator)
    peer.close()
    operator.close()


@test("what is asked while gmemd is away is answered, each once and in order")
def while_away():
    peer = vmm_peer()
    host.kill()
    for number in range(20):
        peer.send(request("ping", number=number))
    peer.send(b"no JSON")
    peer.send(request("no.method", number="x"))
    peer.send([request("ping", number=77), request("ping", number=78)])
    late = Peer(host.socket_path("gmemd.sock"))
    late.send(request("ping", number="late"))
    host.start(alone=False)
    equal([peer.receive()[0]["id"] for _ in range(20)], list(range(20)), "in order")
    equal(peer.receive()[0]["error"]["code"], -32700, "no JSON")
    equal(peer.receive()[0]["error"]["code"], -32601, "no method")
    equal([answer["id"] for answer in peer.receive()[0]], [77, 78], "a batch")
    equal(late.receive()[0]["id"], "late", "who connected meanwhile")
    nothing_more(peer)
    peer.close()
    late.close()


@test("a VM opened, closed and opened again across restarts, with its files")
def opened():
    peer = vmm_peer()
    host.kill()
    peer.send(request("vm.open", {"name": "away", "gate": "none"}, 1))
    host.start(alone=False)
    answer, fds = peer.receive()
    equal(len(fds), 3, "the device, the mailbox and the report page")
    close_all(fds)
    host.kill()
    peer.send(request("vm.close", {"vm": answer["result"]["vm"]}, 2))
    host.start(alone=False)
    equal(peer.receive()[0]["result"], {"released": 0}, "closed")
    try:
        peer.call("vm.close", {"vm": answer["result"]["vm"]})
        raise AssertionError("closed twice")
    except RpcError as e:
        equal(e.code, -32008, "a second close")
    peer.close()


@test("a configuration that allows less takes nothing away")
def allowed_less():
    vmm = vmm_of_all()
    (one, one_fd), (two, two_fd) = vmm.create(SIZE), vmm.create(SIZE)
    vmm.bind(0, 0, SIZE, one, one_fd)
    vmm.bind(1, SIZE, SIZE, two, two_fd)
    before = vmm.get()
    limits = ("memories-per-vm", "memories-per-user", "vms-per-user", "slots-per-vm")
    less = "".join("%s = 1\n" % name for name in limits)
    host.change_config("[limits]\ncommit-limit = %d\n" % PAGE + less)
    host.restart()
    equal(vmm.get(), before, "the VM")
    error = vmm.peer.error("memory.create", {"vm": vmm.id, "size": PAGE})
    check(error["code"] in (-32003, -32007), "but more is refused: %r" % error)
    for slot in (0, 1):
        vmm.unbind(slot)
    host.change_config("")
    host.restart()
    for memory in (one, two):
        vmm.peer.call("memory.close", {"memory": memory})
    close_all([one_fd, two_fd])


@test("files that were named while gmemd is away are taken")
def files_while_away():
    vmm = vmm_of_all()
    created = vmm.peer.call("memory.create", {"vm": vmm.id, "size": SIZE})
    done, fd, _ = vmm.trigger(created["call"])
    host.kill()
    params = {"vm": vmm.id, "call": created["call"]["id"], "done": done, "fd": fd}
    vmm.peer.send(request("call.done", params, 5))
    host.start(alone=False)
    equal(vmm.peer.receive()[0], {"jsonrpc": "2.0", "id": 5, "result": {}}, "adopted")
    os.close(fd)
    vmm.peer.call("memory.close", {"memory": created["memory"]})


@test("subscriptions go on, with what happened meanwhile")
def subscriptions():
    operator = host.operator()
    operator.call("event.subscribe")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        vmm_peer().call_with_fds("vm.open", {"name": "mortal", "gate": "none"})
        os.write(write, b"x")
        signal.pause()
        os._exit(0)
    os.read(read, 1)
    close_all((read, write))
    host.kill()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    host.start(alone=False)
    events = []
    while not events or events[-1]["kind"] != "vm_released":
        message, _ = operator.receive()
        events.append(message["params"])
    equal([event["seq"] for event in events], list(range(1, len(events) + 1)), "no gap")
    equal([event["kind"] for event in events], ["vm_opened", "vm_released"], "what has happened")
    operator.close()


@test("what takes long and is amid a kill fails with busy, once, and can be repeated")
def amid():
    vmm = vmm_of_all()
    size = 1 << 30
    memory, fd = vmm.create(size)
    params = {"memory": memory, "threads": 1}
    vmm.peer.send(request("memory.preallocate", params, 9))
    equal(vmm.peer.call("ping"), {}, "it has begun")
    host.kill()
    host.start(alone=False)
    message, _ = vmm.peer.receive_answer()
    equal((message["id"], message["error"]["code"]), (9, -32007), "amid a kill")
    check(message["error"]["data"]["retry_after_ms"] > 0, "when to repeat it")
    answer, _ = busy_passes(vmm.peer, "memory.preallocate", params)
    equal(answer["resident"] if "resident" in answer else size, size, "repeated")
    nothing_more(vmm.peer)
    os.close(fd)
    vmm.peer.call("memory.close", {"memory": memory})


class Load:
    """Makes memories, binds, unbinds and closes them, and knows what there must be."""

    def __init__(self, vmm, chance):
        self.vmm, self.chance = vmm, chance
        self.fds = {}
        self.slots = {}

    def create(self):
        params = {"vm": self.vmm.id, "size": SIZE}
        params["backing"] = self.chance.choice(["guest_memfd", "memfd"])
        answer, fds = self.vmm.peer.call_with_fds("memory.create", params)
        if answer["call"]:
            done, fd, _ = self.vmm.trigger(answer["call"])
            fds.append(fd)
            self.vmm.report(answer["call"], done, fd=fd)
            self.fds[answer["memory"]] = fd
        else:
            closed = self.vmm.peer.call("memory.close", {"memory": answer["memory"]})
            equal(closed, {"released": 0}, "closed")
            close_all(fds)

    def bind(self):
        free = sorted(set(self.fds) - set(self.slots.values()))
        if not free or len(self.slots) == 8:
            return self.create()
        memory, slot = self.chance.choice(free), min(set(range(8)) - set(self.slots))
        self.vmm.bind(slot, slot << 20, SIZE, memory, self.fds[memory])
        self.slots[slot] = memory

    def unbind(self):
        slot = self.chance.choice(sorted(self.slots))
        self.vmm.unbind(slot)
        os.close(self.fds.pop(self.slots[slot]))
        memory = self.slots.pop(slot)
        batch = [request("ping", number=1), request("memory.close", {"memory": memory}, 2)]
        self.vmm.peer.send(batch)
        answers, _ = self.vmm.peer.receive_answer()
        equal([answer.get("result") for answer in answers], [{}, {"released": 0}], "a batch")

    def work(self):
        for _ in range(6):
            last = self.unbind if self.slots else self.bind
            self.chance.choice([self.create, self.bind, last])()

    def compare(self):
        got = self.vmm.get()
        equal({memory["memory"] for memory in got["memories"]}, set(self.fds), "memories")
        equal({slot["slot"]: slot["memory"] for slot in got["slots"]}, self.slots, "slots")
        equal(got["calls"], [], "calls")


@test("every change is done once and answered once, whenever gmemd is killed")
def random_moments():
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    note("SEED=%d" % seed)
    chance = random.Random(seed)
    load = Load(vmm_of_all(), chance)
    for _ in range(100):
        host.restart_amid(chance.uniform(0, 0.003), load.work)
        load.compare()
        nothing_more(load.vmm.peer)


@test("no file is left for a connection: who waits is served later, and the keeper goes on")
def no_file_left():
    path = host.socket_path("gmemd.sock")
    first = host.operator()
    equal(first.call("ping"), {}, "before")
    began, lines = time.monotonic(), host.log().count("\n")
    old = host.limit_files(host.number_of_free_fd(7))
    crowd = [Peer(path) for _ in range(20)]
    for peer in crowd:
        peer.send(request("ping"))
    equal(crowd[0].receive()[0]["result"], {}, "the first of them")
    equal(first.call("ping"), {}, "meanwhile")
    host.limit_files(old)
    for peer in crowd[1:]:
        equal(peer.receive()[0]["result"], {}, "who has waited")
    seconds = time.monotonic() - began
    check(host.log().count("\n") - lines < 20 + 2 * seconds, "the log is flooded")
    host.restart()
    equal(first.call("ping"), {}, "who is kept still")
    for peer in crowd:
        equal(peer.call("ping"), {}, "who is kept, too")
        peer.close()
    first.close()


@test("another gmemd in the same directory is refused, and disturbs nothing")
def another():
    vmm = vmm_of_all()
    lines = host.log().count("\n")
    check(host.run_another() != 0, "it serves")
    added = "\n".join(host.log().split("\n")[lines:])
    check("another gmemd serves there" in added, "says why: " + added)
    check(vmm.get()["vm"] == vmm.id, "the first one serves on")


@test("the same directory in another spelling is the same: connections, VMs and sockets go on")
def other_spelling():
    vmm = vmm_of_all()
    link = tempfile.mkdtemp()
    os.symlink(host.path, link + "/link")
    option = "--runtime-directory="
    for path in ("%s/", "%s//.", link + "/link", "%s/../run", "%s"):
        path = path % host.path if "%s" in path else path
        host.arguments[1] = option + path
        host.kill()
        host.start(alone=False)
        equal(vmm.peer.call("ping"), {}, "a connection, by " + path)
        peer = vmm_peer()
        equal(peer.call("ping"), {}, "another")
        peer.close()
    for line in host.log().split("\n"):
        check("serves there" not in line or "another gmemd" in line, line)
    os.unlink(link + "/link")
    os.rmdir(link)


@test("another gmemd is said to serve only where one does")
def held_by_keeper():
    alone = Host()
    alone.change_config("[keeper]\nuse = no\n")
    alone.kill()
    check(alone.run_another() != 0, "the keeper holds the sockets")
    check("another gmemd" not in alone.log(), alone.log())
    check("gmemd-keeper" in alone.log(), alone.log())
    alone.change_config("")
    alone.restart()
    check(alone.run_another() != 0, "a second one")
    check("another gmemd serves there" in alone.log(), alone.log())
    alone.stop()


def fill_queue(path):
    """With connections whose other ends are gone."""
    for _ in range(2):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.setblocking(False)
        try:
            one.connect(path)
        except BlockingIOError:
            return
    raise Failed("the queue can't be filled")


def leave_socket(path, full):
    """Of one that has ended; another has it until somebody connects, or, where nobody can, for a moment."""
    ready, write_ready = os.pipe()
    ended = os.fork()
    if ended == 0:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen(0)
        if os.fork() == 0:
            signal.alarm(60)
            if full:
                fill_queue(path)
            os.write(write_ready, b"1")
            if full:
                time.sleep(1)
            else:
                listener.accept()
        os._exit(0)
    os.waitpid(ended, 0)
    os.read(ready, 1)
    close_all([ready, write_ready])


@test("gmemd waits for what a killed one was starting, which has its socket until it is executed")
def held_for_a_moment():
    for full in (False, True):
        alone = Host()
        alone.kill()
        alone.kill_keepers()
        path = alone.socket_path("gmemd.sock")
        os.unlink(path)
        leave_socket(path, full)
        alone.start(alone=False)
        peer = Peer(path)
        equal(peer.call("ping"), {}, "it serves, where the queue was %s" % ("full" if full else "not full"))
        peer.close()
        alone.stop()


@test("a path that leads to another socket by now is made anew")
def other_path():
    path = host.socket_path("gmemd.sock")
    host.kill()
    os.unlink(path)
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stranger.bind(path)
    host.start(alone=False)
    peer = vmm_peer()
    equal(peer.call("ping"), {}, "whoever connects reaches gmemd")
    peer.close()
    stranger.close()


@test("stopped and started: a peer notices nothing")
def stopped():
    vmm = vmm_of_all()
    equal(host.end(), 0, "its exit status")
    vmm.peer.send(request("ping", number=3))
    host.start(alone=False)
    equal(vmm.peer.receive()[0]["id"], 3, "asked while it was stopped")


@test("stopped with nobody there: nothing is left")
def nothing_left():
    alone = Host()
    alone.end()
    equal(sorted(os.listdir(alone.path)), ["keeper.lock", "keeper.sock"], "what is left")
    alone.start()
    alone.stop()


if __name__ == "__main__":
    main(set_up, tear_down)
