#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""memory.preallocate and memory.cancel: exact counts, whatever happens meanwhile."""

import contextlib
import os
import select
import signal
import tempfile
import time

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.unchanged import limit
from gmemtest.vmm import Vmm
from gmemtest.wire import request

MIB = 1 << 20
LARGE = 3 << 30  # under way for a while
SECONDS_MAX = 60

daemon = vmm = operator = None


def set_up():
    global daemon, vmm, operator
    linux.require_guest_memfd()
    daemon = Daemon()
    vmm = Vmm(daemon.peer(), "preallocation")
    operator = daemon.operator()


def tear_down():
    vmm.close_files()
    daemon.stop()


def eventually(condition):
    until = time.monotonic() + SECONDS_MAX
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def helpers():
    return daemon.helpers("gmemd-allocator")


def resident(memory):
    [found] = [m for m in vmm.get()["memories"] if m["memory"] == memory]
    return found["resident"]


@contextlib.contextmanager
def memory_of(size, **options):
    memory, fd = vmm.create(size, **options)
    os.close(fd)
    yield memory
    vmm.peer.error("memory.close", {"memory": memory})
    check(eventually(lambda: not helpers()), "helpers are left")


def start(peer, params, number="preallocation"):
    """Sends the request and returns when a helper is at work."""
    peer.send(request("memory.preallocate", params, number))
    need(eventually(helpers), "a helper")


def answer(peer, number="preallocation"):
    """(the answer, the notifications before it)."""
    before = []
    while True:
        message, _ = peer.receive()
        if message.get("id") == number:
            return message, before
        before.append(message)


@test("counts are exact, of a guest_memfd and of a memfd")
def counts():
    for options in ({}, {"backing": "memfd"}):
        if options:
            created, fds = vmm.peer.call_with_fds(
                "memory.create", dict(options, vm=vmm.id, size=64 * MIB)
            )
            memory = created["memory"]
            os.close(fds[0])
        else:
            memory, fd = vmm.create(64 * MIB)
            os.close(fd)
        ask = lambda **params: vmm.peer.call("memory.preallocate", dict(params, memory=memory))
        part = ask(offset=PAGE, size=16 * PAGE)
        equal(part, {"allocated": 16 * PAGE, "resident": 16 * PAGE}, "a part")
        more = ask(offset=0, size=32 * PAGE, threads=3)
        equal(more, {"allocated": 16 * PAGE, "resident": 32 * PAGE}, "more of it")
        rest = ask()
        equal(rest, {"allocated": 64 * MIB - 32 * PAGE, "resident": 64 * MIB}, "the rest")
        equal(ask(threads=64), {"allocated": 0, "resident": 64 * MIB}, "nothing")
        equal(resident(memory), 64 * MIB, "resident")
        gone = vmm.peer.call("memory.close", {"memory": memory})
        equal(gone, {"released": 64 * MIB}, "released")


@test("ranges that are none, and what is not there")
def refusals():
    with memory_of(4 * PAGE) as memory:
        for params, param in (
            ({"offset": 4 * PAGE}, "offset"),
            ({"offset": PAGE, "size": 4 * PAGE}, "size"),
            ({"size": 5 * PAGE}, "size"),
            ({"size": 0}, "size"),
            ({"size": PAGE + 1}, "size"),
            ({"offset": 1}, "offset"),
            ({"threads": 0}, "threads"),
            ({"threads": 1025}, "threads"),
            ({"token": ""}, "token"),
            ({"token": "x" * 65}, "token"),
        ):
            error = vmm.peer.error("memory.preallocate", dict(params, memory=memory))
            equal((error["code"], error["data"]["param"]), (-32602, param), repr(params))
        equal(resident(memory), 0, "resident")
    equal(vmm.peer.error("memory.preallocate", {"memory": memory})["code"], -32001, "a closed one")
    equal(vmm.peer.error("memory.cancel", {"token": "none"})["code"], -32001, "no such token")
    call = vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE})
    pending = vmm.peer.error("memory.preallocate", {"memory": call["memory"]})
    equal(pending["code"], -32007, "a pending one")
    vmm.report(call["call"], 0, "EINVAL")


@test("progress is told at most ten times a second, and others are answered meanwhile")
def told():
    with memory_of(LARGE) as memory:
        began = time.monotonic()
        start(vmm.peer, {"memory": memory, "token": "told"})
        vmm.peer.send(request("ping", None, "ping"))
        done, before = answer(vmm.peer)
        seconds = time.monotonic() - began
        equal(done["result"], {"allocated": LARGE, "resident": LARGE}, "the result")
        check({"jsonrpc": "2.0", "id": "ping", "result": {}} in before, "ping came first")
        told = [m["params"] for m in before if m.get("method") == "progress"]
        check(len(told) <= 10 * seconds + 1, "%d in %.1f s" % (len(told), seconds))
        check(all(set(p) == {"token", "done", "total"} for p in told), "members")
        check(all(p["token"] == "told" and p["total"] == LARGE for p in told), "what is told")
        amounts = [p["done"] for p in told]
        check(amounts == sorted(set(amounts)) and all(a <= LARGE for a in amounts), "grows")


@test("cancelled: it answers with what stays allocated")
def cancelled():
    for peer in (daemon.peer(), operator):
        with memory_of(LARGE) as memory:
            start(vmm.peer, {"memory": memory, "token": "t"})
            equal(peer.call("memory.cancel", {"token": "t"}), {}, "the cancellation")
            done, _ = answer(vmm.peer)
            equal(done["result"].get("cancelled"), True, "cancelled")
            there = resident(memory)
            equal(done["result"]["resident"], there, "what it says")
            equal(done["result"]["allocated"], there, "what it has added")
            check(there < LARGE, "it was stopped amid it")


@test("a token is a user's own, once at a time")
def tokens():
    with memory_of(LARGE) as memory, memory_of(PAGE) as other:
        start(vmm.peer, {"memory": memory, "token": "once"})
        error = operator.error("memory.preallocate", {"memory": other, "token": "once"})
        equal((error["code"], error["data"]["with"]), (-32004, "token"), "taken")
        operator.call("memory.cancel", {"token": "once"})
        answer(vmm.peer)
        again = vmm.peer.call("memory.preallocate", {"memory": other, "token": "once"})
        equal(again["allocated"], PAGE, "free again")


@test("as many at once as there may be")
def many():
    with memory_of(LARGE) as memory:
        for number in range(12):
            params = {"memory": memory, "token": "many %d" % number}
            vmm.peer.send(request("memory.preallocate", params, number))
        first, _ = vmm.peer.receive_answer()
        equal(first["id"], 8, "one too many")
        equal(first["error"]["data"], limit("preallocations-per-vm", 8, "vm"), "and why")
        for number in range(12):
            operator.error("memory.cancel", {"token": "many %d" % number})
        answered = {first["id"]}
        while len(answered) < 12:
            answered.add(vmm.peer.receive_answer()[0]["id"])


@test("it ends with the peer that asked")
def peer_gone():
    with memory_of(LARGE) as memory:
        peer = daemon.peer()
        start(peer, {"memory": memory})
        peer.close()
        check(eventually(lambda: not helpers()), "the helper is gone")
        there = resident(memory)
        check(there < LARGE, "it was stopped amid it")
        equal(resident(memory), there, "nothing is added any more")


@test("it ends with its memory, which is then released whole")
def memory_closed():
    with memory_of(LARGE) as memory:
        start(vmm.peer, {"memory": memory})
        need(eventually(lambda: resident_slowly(memory) > 0), "it allocates")
        closed = operator.call("memory.close", {"memory": memory})
        check(closed["released"] > 0, "released")
        done, _ = answer(vmm.peer)
        equal(done["error"]["code"], -32008, "the preallocation")
        equal(helpers(), [], "helpers")


class Frozen:
    """A process that is killed and has not ended, for it is frozen (the freezer of cgroup v1)."""

    @staticmethod
    def require():
        if not os.path.exists("/sys/fs/cgroup/freezer/tasks"):
            raise Skip("no freezer of cgroup v1, which keeps a killed process from ending")

    def __init__(self, pid):
        self.path = tempfile.mkdtemp(prefix="gmemd-test-", dir="/sys/fs/cgroup/freezer")
        self.pidfd = os.pidfd_open(pid)
        self._write("cgroup.procs", str(pid))
        self._write("freezer.state", "FROZEN")
        need(eventually(lambda: self._state() == "FROZEN"), "it can't be frozen")

    def _write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(text)

    def _state(self):
        with open(os.path.join(self.path, "freezer.state"), encoding="ascii") as file:
            return file.read().strip()

    def has_ended(self):
        return bool(select.select([self.pidfd], [], [], 0)[0])

    def thaw(self):
        self._write("freezer.state", "THAWED")
        select.select([self.pidfd], [], [], SECONDS_MAX)
        os.close(self.pidfd)
        check(eventually(self._is_removed), "its cgroup can't be removed")

    def _is_removed(self):
        with contextlib.suppress(OSError):
            os.rmdir(self.path)
        return not os.path.exists(self.path)


def close_with_frozen_helper(params, number, method):
    """The answer to what closes the memory, before which a helper that does not end is waited for by nobody else."""
    peer = daemon.peer()
    frozen = Frozen(helpers()[0])
    try:
        vmm.peer.send(request("memory.cancel", {"token": "frozen"}, "cancel"))
        vmm.peer.send(request(method, params, number))
        need(eventually(lambda: peer.call("ping") == {} and not in_state(params, "ready")), "closing")
        for _ in range(100):
            peer.call("ping")
        check(not frozen.has_ended(), "the helper has ended")
    finally:
        frozen.thaw()
        peer.close()
    message, _ = answer(vmm.peer, number)
    return message


def in_state(params, state):
    found = [m for m in operator.call("vm.get", {"vm": vmm.id})["memories"] if m["memory"] == params["memory"]]
    return any(m["state"] == state for m in found)


@test("a close right after a cancel: nobody waits for the helper but the close, which gives all back")
def frozen():
    Frozen.require()
    memory, fd = vmm.create(LARGE)
    start(vmm.peer, {"memory": memory, "token": "frozen"})
    need(eventually(lambda: linux.resident(fd, LARGE) > 0), "pages")
    message = close_with_frozen_helper({"memory": memory}, "close", "memory.close")
    check(message["result"]["released"] > 0, message)
    equal(linux.resident(fd, LARGE), 0, "what is left of its pages")
    os.close(fd)


@test("it ends with its memory, of which a batch waits that closes another")
def batch_closes_another():
    with memory_of(LARGE) as first, memory_of(LARGE) as second:
        batch = [
            request("memory.preallocate", {"memory": first}, 1),
            request("memory.close", {"memory": second}, 2),
        ]
        waiting, other = daemon.peer(), daemon.peer()
        waiting.send(batch)
        start(other, {"memory": second}, 3)
        need(eventually(lambda: len(helpers()) == 2), "both helpers")
        check("released" in operator.call("memory.close", {"memory": first}), "the first")
        answers, _ = waiting.receive()
        equal([a["id"] for a in answers], [1, 2], "the batch's answers")
        equal(answers[0]["error"]["code"], -32008, "its preallocation")
        check("released" in answers[1]["result"], "its close")
        equal(answer(other, 3)[0]["error"]["code"], -32008, "the second's preallocation")
        check(daemon.alive(), "gmemd lives")


@test("a helper that somebody kills: what is allocated is told")
def helper_killed():
    with memory_of(LARGE) as memory:
        start(vmm.peer, {"memory": memory})
        need(eventually(lambda: resident_slowly(memory) > 0), "it allocates")
        for pid in helpers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        done, _ = answer(vmm.peer)
        if "result" in done:
            raise Skip("the helper was too fast to be killed")
        equal(done["error"]["code"], -32006, "the error")
        equal(done["error"]["data"]["allocated"], resident(memory), "what it tells")


def resident_slowly(memory):
    listed = operator.call("vm.get", {"vm": vmm.id})["memories"]
    return sum(m["resident"] for m in listed if m["memory"] == memory)


# A VMM of its own, which can be killed or put into a cgroup.


def vmm_body(channel):
    own = None
    while True:
        question = channel.hear()
        if question[0] == "open":
            # The test's own mailbox is mapped here, so that there is no room for another.
            own = Vmm(daemon.peer(), "child %d" % os.getpid(), make=False, **question[1])
            params = {"vm": own.id, "size": question[2], "backing": "memfd"}
            channel.say([own.id, own.peer.call("memory.create", params)["memory"]])
        elif question[0] == "preallocate":
            own.peer.send(request("memory.preallocate", question[1], "p"))
            channel.say("sent")
        elif question[0] == "answer":
            channel.say(answer(own.peer, "p")[0])


@test("it ends with the VM")
def vm_gone():
    for way in ("closed", "killed"):
        with Child(vmm_body) as child:
            vm, memory = child.ask("open", {}, LARGE)
            child.ask("preallocate", {"memory": memory})
            need(eventually(helpers), "a helper")
            if way == "closed":
                operator.call("vm.close", {"vm": vm})
                equal(child.ask("answer")["error"]["code"], -32008, "the preallocation")
            else:
                os.kill(child.pid, signal.SIGKILL)
            check(eventually(lambda: not helpers()), way + ": helpers")
            gone = lambda: all(
                v["state"] == "released" and v["committed"] == 0
                for v in operator.call("vm.list")["vms"]
                if v["vm"] == vm
            )
            check(eventually(gone), way + ": its charges")


def memory_controller():
    """Where the v1 memory controller, or a v2 hierarchy that has one, is mounted; and its files."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            kind, _, options = rest.split()[:3]
            mount = fields.split()[4]
            if kind == "cgroup" and "memory" in options.split(","):
                return mount, "memory.limit_in_bytes", "memory.usage_in_bytes"
            if kind == "cgroup2":
                with open(os.path.join(mount, "cgroup.controllers"), encoding="ascii") as controllers:
                    if "memory" in controllers.read().split():
                        return mount, "memory.max", "memory.current"
    raise Skip("no memory controller is mounted")


@contextlib.contextmanager
def cgroup(limit):
    """(write(limit), used()) of a new cgroup, and enter(pid)."""
    mount, limit_name, usage_name = memory_controller()
    try:
        path = tempfile.mkdtemp(prefix="gmemd-test-", dir=mount)
    except OSError as e:
        raise Skip("no cgroup can be made: %s" % e) from e

    def write(name, value):
        with open(os.path.join(path, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def used():
        with open(os.path.join(path, usage_name), encoding="ascii") as file:
            return int(file.read())

    try:
        write(limit_name, limit)
        yield (
            lambda pid: write("cgroup.procs", pid),
            lambda value: write(limit_name, value),
            used,
        )
    finally:
        eventually(lambda: removed(path))


def removed(path):
    with contextlib.suppress(OSError):
        os.rmdir(path)
    return not os.path.exists(path)


@test("the VM's memory cgroup is charged, and its limit refuses without a kill")
def charged():
    with cgroup(1 << 30) as (enter, _, used), Child(vmm_body) as child:
        enter(child.pid)
        _, memory = child.ask("open", {}, 2 << 30)
        before = used()
        child.ask("preallocate", {"memory": memory, "size": 256 * MIB})
        equal(child.ask("answer")["result"]["allocated"], 256 * MIB, "what fits")
        check(used() - before > 250 * MIB, "charged %d" % (used() - before))
        child.ask("preallocate", {"memory": memory})
        error = child.ask("answer")["error"]
        equal((error["code"], error["data"]["scope"]), (-32003, "cgroup"), "what doesn't")
        equal(error["data"]["limit"], 1 << 30, "the limit")
        there = operator.call("vm.list")["vms"]
        mine = [v for v in there if v["pid"] == child.pid]
        equal(mine[0]["resident"], 256 * MIB + error["data"]["allocated"], "resident")
        check(os.waitpid(child.pid, os.WNOHANG) == (0, 0), "the VMM lives")
        check(daemon.alive(), "gmemd lives")


@test("charged to the broker, the VM's cgroup is not")
def charged_to_broker():
    with cgroup(64 * MIB) as (enter, _, used), Child(vmm_body) as child:
        enter(child.pid)
        _, memory = child.ask("open", {"charge": "broker"}, 256 * MIB)
        child.ask("preallocate", {"memory": memory})
        equal(child.ask("answer")["result"]["allocated"], 256 * MIB, "all of it")
        check(used() < 64 * MIB, "the VM's cgroup")


@test("a limit that is lowered meanwhile")
def lowered():
    with cgroup(4 << 30) as (enter, limit, _), Child(vmm_body) as child:
        enter(child.pid)
        _, memory = child.ask("open", {}, LARGE)
        child.ask("preallocate", {"memory": memory})
        need(eventually(helpers), "a helper")
        with contextlib.suppress(OSError):
            limit(512 * MIB)
        result = child.ask("answer")
        if "result" in result:
            raise Skip("it was done before the limit was lowered")
        error = result["error"]
        equal((error["code"], error["data"]["scope"]), (-32003, "cgroup"), "the error")
        mine = [v for v in operator.call("vm.list")["vms"] if v["pid"] == child.pid]
        equal(mine[0]["resident"], error["data"]["allocated"], "what it tells")
        check(os.waitpid(child.pid, os.WNOHANG) == (0, 0), "the VMM lives")


def committed():
    return [vm["committed"] for vm in operator.call("vm.list")["vms"]]


@test("nothing is left")
def nothing_left():
    equal(helpers(), [], "helpers")
    check(eventually(lambda: committed() == [0]), "committed: %r" % committed())


if __name__ == "__main__":
    tap.main(set_up, tear_down)
