#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Closed memories: whoever fills one again is charged for it, until it is gone or given back again.

With BACKEND=model on the model's files, which others can hold as well.
"""

import json
import mmap
import os
import subprocess
import time

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.host import Host, wait_until
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer, RpcError

SIZE = 16 * PAGE
KEPT = 4  # of a VM
BUDGET_EXCEEDED, LIMIT, NOT_FOUND = -32003, -32007, -32001
FALLOC_PUNCH = 2 | 1  # and KEEP_SIZE
MODEL = os.environ.get("BACKEND") == "model"

host = operator = None


def set_up():
    global host, operator
    if not MODEL:
        linux.require_guest_memfd()
    limits = "[limits]\nhost-reserve = 0\ncommit-limit = %d\nclosed-memories-per-vm = %d\n" % (64 * SIZE, KEPT)
    host = Host(config=limits, backend="model" if MODEL else "auto")
    operator = host.operator()


def tear_down():
    operator.close()
    host.stop()


class Served:
    """In the VMM's process, and in the child that it leaves."""

    def __init__(self, path, options):
        self.peer = Peer(path)
        self.vmm = Vmm(self.peer, **options)
        self.files = {}

    def id(self):
        return self.vmm.id

    def create(self, size):
        memory, fd = self.vmm.create(size)
        self.files[memory] = (fd, size)
        return memory

    def bind_and_report_the_end(self, slot, memory):
        """Without triggering it."""
        fd, size = self.files[memory]
        self.vmm.bind(slot, 0x10000000 + slot * size, size, memory, fd)
        call = self.peer.call("slot.unbind", {"vm": self.vmm.id, "slot": slot})["call"]
        if call is not None:
            self.vmm.report(call, 1)

    def report_as_another(self, memory):
        """A creation that is not triggered."""
        fd, size = self.files[memory]
        call = self.peer.call("memory.create", {"vm": self.vmm.id, "size": size})["call"]
        self.vmm.report(call, 1, fd=fd)

    def close(self, memory):
        return self.peer.call("memory.close", {"memory": memory})["released"]

    def fill(self, memory):
        fd, size = self.files[memory]
        with mmap.mmap(fd, size) as mapped:
            for offset in range(0, size, PAGE):
                mapped[offset] = 1

    def punch(self, memory):
        fd, size = self.files[memory]
        linux.fallocate(fd, FALLOC_PUNCH, 0, size)

    def forget(self, memory):
        os.close(self.files.pop(memory)[0])

    def get(self):
        return self.vmm.get()

    def events(self):
        self.peer.call("ping")
        return self.peer.events

    def leave_child(self):
        """The VMM ends; its child has all its files, and goes on here."""
        if os.fork() > 0:
            os._exit(0)
        self.peer.close()


def serve(channel, path, options):
    served = Served(path, options)
    served.peer.call("event.subscribe")
    while True:
        name, *arguments = channel.hear()
        try:
            channel.say(["result", getattr(served, name)(*arguments)])
        except RpcError as e:
            channel.say(["error", e.error])


class Remote(Child):
    """A VMM in a process of its own."""

    def __init__(self, name, **options):
        path = host.socket_path("gmemd.sock")
        super().__init__(lambda channel: serve(channel, path, dict(options, name=name)))
        self.id = self.do("id")

    def do(self, *question):
        kind, value = self.ask(*question)
        need(kind == "result", value)
        return value

    def error(self, *question):
        kind, value = self.ask(*question)
        return value if kind == "error" else {}

    def closed(self, size=SIZE):
        memory = self.do("create", size)
        self.do("close", memory)
        return memory

    def leave_child(self):
        self.do("leave_child")
        os.waitpid(self.pid, 0)
        self.pid = 0


def listed(vm):
    """As operators see it; None where they don't."""
    return {one["vm"]: one for one in operator.call("vm.list")["vms"]}.get(vm)


def charged(vm):
    one = listed(vm)
    return None if one is None else (one["committed"], one["closed_resident"])


def becomes(vm, expected, what):
    wait_until(lambda: charged(vm) == expected, 60)
    equal(charged(vm), expected, what)


def kinds(events, memory):
    """What is told of it from its close on."""
    told = ("memory_closed", "memory_remains", "memory_gone")
    return [e["kind"] for e in events if e.get("memory") == memory and e["kind"] in told]


def ctl(*arguments):
    command = [os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl"), "--socket=" + host.socket_path("admin.sock")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=True).stdout


@test("a VMM that fills what it has closed is charged for it, whatever its limit, and named")
def filled_again():
    with Remote("again", commit_limit=SIZE) as vmm:
        memory = vmm.closed()
        equal(charged(vmm.id), (0, 0), "closed")
        vmm.do("fill", memory)
        equal(vmm.error("create", PAGE).get("code"), BUDGET_EXCEEDED, "another memory beside it")
        becomes(vmm.id, (SIZE, SIZE), "filled again")
        seen = vmm.do("get")
        equal((seen["memories"], seen["committed"]), ([], SIZE), "vm.get")
        (one,) = seen["closed_memories"]
        equal(one, {"memory": memory, "name": None, "size": SIZE, "resident": SIZE}, "what is named")
        check("CLOSED" in ctl("vms"), ctl("vms"))
        check("\nclosed     64K" in ctl("show", vmm.id) and str(memory) in ctl("show", vmm.id), ctl("show", vmm.id))
        check("\nclosed     64K in closed memories" in ctl("status"), ctl("status"))
        equal(json.loads(ctl("--json", "status"))["closed_resident"], SIZE, "status --json")
        told = lambda: kinds(vmm.do("events"), memory)
        check(wait_until(lambda: told() == ["memory_closed", "memory_remains"], 60), "events: %r" % told())
        vmm.do("punch", memory)
        vmm.do("create", SIZE)
        equal(charged(vmm.id), (SIZE, 0), "punched, and the next one created")
        check(wait_until(lambda: told()[2:] == ["memory_gone"], 60), "events: %r" % told())
        check("CLOSED" not in ctl("vms"), "none is closed and filled")
        check("%d bytes of pages, which are charged" % SIZE in host.log(), "the log")


@test("it is found without anybody asking")
def found():
    with Remote("found") as vmm:
        memory = vmm.closed()
        vmm.do("fill", memory)
        check(wait_until(lambda: "memory_remains" in kinds(vmm.do("events"), memory), 60), "the event of it")
        vmm.do("punch", memory)
        check(wait_until(lambda: "memory_gone" in kinds(vmm.do("events"), memory), 60), "the event of its end")


@test("slots whose end is reported and not triggered don't bind more than the VM's limit")
def lies_about_slots():
    with Remote("liar", commit_limit=2 * SIZE) as vmm:
        filled = 0
        for slot in range(KEPT + 2):
            kind, memory = vmm.ask("create", SIZE)
            if kind == "error":
                equal(memory["code"], BUDGET_EXCEEDED, "why")
                break
            vmm.do("bind_and_report_the_end", slot, memory)
            vmm.do("close", memory)
            vmm.do("fill", memory)
            filled += 1
        equal(filled, 2, "memories that were bound and filled")
        becomes(vmm.id, (2 * SIZE, 2 * SIZE), "what they are charged")


@test("without a limit of its own it is the host's")
def limit_of_the_host():
    available = lambda: operator.call("host.describe")["commitment"]["available"]  # noqa: E731
    need(wait_until(lambda: available() == 64 * SIZE), "the VMs before are gone, and what they had")
    with Remote("unlimited") as vmm, Remote("other") as other:
        other.do("create", 63 * SIZE)
        vmm.do("fill", vmm.closed())
        equal(vmm.error("create", SIZE).get("data", {}).get("scope"), "host", "what refuses")
        equal(available(), 0, "what is available")
    check(wait_until(lambda: operator.call("vm.list")["vms"] == [], 60), "both are gone, and what they had")


@test("memory.close gives it back again")
def closed_again():
    with Remote("twice", commit_limit=SIZE) as vmm:
        memory = vmm.closed()
        equal(vmm.error("close", memory).get("code"), NOT_FOUND, "an empty one")
        for close in (lambda: vmm.do("close", memory), lambda: operator.call("memory.close", {"memory": memory})["released"]):
            vmm.do("fill", memory)
            becomes(vmm.id, (SIZE, SIZE), "filled")
            equal(close(), SIZE, "released")
            equal(charged(vmm.id), (0, 0), "then")
        with Remote("stranger") as stranger:
            vmm.do("fill", memory)
            becomes(vmm.id, (SIZE, SIZE), "filled")
            equal(stranger.error("close", memory).get("code"), NOT_FOUND, "for another peer")


@test("a file that was closed can't be reported as another memory's")
def not_reported_again():
    if MODEL:
        raise Skip("the model's creations are not reported")
    with Remote("again") as vmm:
        memory = vmm.closed()
        equal(vmm.error("report_as_another", memory).get("data", {}).get("with"), "memory", "refused")
        vmm.do("fill", memory)
        becomes(vmm.id, (2 * SIZE, SIZE), "it is charged as what it is, beside the pending one")


@test("a VM's end and vm.close give back what is in its closed memories")
def ends():
    for close in (True, False):
        with Remote("ends") as vmm:
            memory = vmm.closed()
            vmm.do("fill", memory)
            becomes(vmm.id, (SIZE, SIZE), "filled")
            if close:
                equal(operator.call("vm.close", {"vm": vmm.id})["released"], SIZE, "vm.close")
                equal(charged(vmm.id), (0, 0), "a VM that is closed")
        check(wait_until(lambda: listed(vmm.id) is None, 60), "a VM whose process has ended is seen still")
    check("shows in no count" in host.log(), "what no count shows is in the log")


@test("a child that fills a memory of a VM that is gone: it is seen and charged until that is given back")
def forked():
    with Remote("forked") as vmm:
        memory, other = vmm.do("create", SIZE), vmm.closed()
        vmm.leave_child()
        check(wait_until(lambda: listed(vmm.id) is None, 60), "it is gone")
        vmm.do("fill", memory)
        becomes(vmm.id, (SIZE, SIZE), "what the child has filled")
        equal(listed(vmm.id)["state"], "released", "its state")
        seen = operator.call("vm.get", {"vm": vmm.id})
        equal([one["memory"] for one in seen["closed_memories"]], [memory], "what it is")
        check(vmm.id in ctl("vms") and str(memory) in ctl("show", vmm.id), ctl("vms"))
        with Remote("next", commit_limit=8 * SIZE) as more:
            error = more.error("create", 8 * SIZE + PAGE)
            equal(error.get("code"), BUDGET_EXCEEDED, "its limit is its own")
            more.do("create", 8 * SIZE)
        equal(operator.call("host.describe")["commitment"]["committed"], SIZE, "host.describe")
        vmm.do("fill", other)
        becomes(vmm.id, (2 * SIZE, 2 * SIZE), "what the VMM had closed itself")
        vmm.do("punch", memory)
        equal(operator.call("memory.close", {"memory": other})["released"], SIZE, "released")
        check(wait_until(lambda: listed(vmm.id) is None, 60), "given back, it is seen still")
        vmm.do("fill", other)
        becomes(vmm.id, (SIZE, SIZE), "filled once more")
        operator.call("memory.close", {"memory": other})


def restarted():
    global operator
    host.restart()
    operator = host.operator()


@test("it survives a restart, and what is filled meanwhile is found")
def survives():
    if MODEL or os.environ.get("KEEPER") == "no":
        raise Skip("the model's VMs end with their gmemd")
    with Remote("survives", commit_limit=2 * SIZE) as vmm, Remote("gone") as gone:
        first, second, third = vmm.closed(), vmm.closed(), gone.closed()
        vmm.do("fill", first)
        becomes(vmm.id, (SIZE, SIZE), "filled before")
        gone.leave_child()
        check(wait_until(lambda: listed(gone.id) is None, 60), "it is gone")
        gone.do("fill", third)
        becomes(gone.id, (SIZE, SIZE), "filled before, of a VM that is gone")
        host.kill()
        vmm.do("fill", second)
        restarted()
        equal(charged(gone.id), (SIZE, SIZE), "of the VM that is gone")
        becomes(vmm.id, (2 * SIZE, 2 * SIZE), "both of the other")
        equal(vmm.error("create", PAGE).get("code"), BUDGET_EXCEEDED, "another memory")
        gone.do("punch", third)
        check(wait_until(lambda: listed(gone.id) is None, 60), "it is seen still")
        restarted()
        gone.do("fill", third)
        becomes(gone.id, (SIZE, SIZE), "filled after the second restart")
        gone.do("punch", third)


@test("as many are kept as may be: the one that has been empty for longest is let go, and no filled one")
def bounded():
    with Remote("bound") as vmm:
        first = vmm.closed()
        vmm.do("fill", first)
        becomes(vmm.id, (SIZE, SIZE), "the first")
        fds = 0
        for i in range(5 * KEPT):
            memory = vmm.closed()
            vmm.do("forget", memory)
            if i == KEPT:
                fds = host.fds()
        host.fds_come_back(fds)
        equal(charged(vmm.id), (SIZE, SIZE), "the first is counted still")
        equal(host.log().count("%s: it has closed more memories than gmemd watches" % vmm.id), 1, "the log says so, once")
        others = [vmm.closed() for _ in range(KEPT - 1)]
        for memory in others:
            vmm.do("fill", memory)
        becomes(vmm.id, (KEPT * SIZE, KEPT * SIZE), "as many as there may be")
        data = vmm.error("create", PAGE).get("data", {})
        equal(data, {"reason": "limit", "limit": "closed-memories-per-vm", "value": KEPT, "scope": "vm"}, "the next")
        vmm.do("punch", first)
        becomes(vmm.id, ((KEPT - 1) * SIZE,) * 2, "one is empty")
        vmm.do("create", PAGE)


if __name__ == "__main__":
    tap.main(set_up, tear_down)
