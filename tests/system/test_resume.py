#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vm.resume on the wire: of VMs that gmemd knows, and of those that it has lost with its keeper."""

import contextlib
import ctypes
import mmap
import os
import signal
import time

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.host import Host, wait_until
from gmemtest.keeper import DROP, KeeperPeer
from gmemtest.tap import Skip, check, equal, main, need, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer, RpcError, close_all, request

SIZE = 1024 * PAGE  # more than is emptied or closed at once

host = None


def set_up():
    global host
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    host = Host()


def tear_down():
    host.stop()


class Remote(Child):
    """A VMM in a process of its own, with one guest_memfd that is bound, and a memfd."""

    def __init__(self, name="vm", uid=None, **options):
        path = host.socket_path("gmemd.sock")
        super().__init__(lambda channel: _serve(channel, path, name, options), uid)
        self.id, self.memory, self.shared = self.ask("open")[1]

    def do(self, *question):
        kind, value = self.ask(*question)
        if kind == "error":
            raise RpcError(value)
        if kind == "failed":
            raise AssertionError(value)
        return value

    def error(self, *question):
        try:
            self.do(*question)
        except RpcError as e:
            return e.error
        return None


class _Owner:
    def __init__(self, path, name, options):
        self.path = path
        self.vmm = Vmm(Peer(path), name, **options)
        self.memory, self.fd = self.vmm.create(SIZE, name="ram")
        self.vmm.bind(0, 0, SIZE, self.memory, self.fd)
        answer, fds = self.vmm.peer.call_with_fds(
            "memory.create", {"vm": self.vmm.id, "size": SIZE, "backing": "memfd"}
        )
        self.shared, self.shared_fd = answer["memory"], fds[answer["fd"]]
        self.mapped = mmap.mmap(self.fd, SIZE)
        self.shared_mapped = mmap.mmap(self.shared_fd, SIZE)
        self.mapped[:5] = self.shared_mapped[:5] = b"guest"

    def open(self):
        return self.vmm.id, self.memory, self.shared

    def reconnect(self):
        self.vmm.peer.close()
        self.vmm.peer = Peer(self.path)

    def is_disconnected(self):
        return self.vmm.peer.socket.recv(1) == b""

    def params(self, **changes):
        params = {
            "vm": self.vmm.id,
            "mailbox": 0,
            "memories": [
                {"memory": self.memory, "fd": 1, "name": "ram"},
                {"memory": self.shared, "fd": 2},
            ],
            "slots": [
                {
                    "slot": 0,
                    "guest_phys_addr": 0,
                    "memory_size": SIZE,
                    "userspace_addr": 0x7F0000000000,
                    "memory": self.memory,
                }
            ],
        }
        params.update(changes)
        return {key: value for key, value in params.items() if value is not None}

    def fds(self):
        return [self.vmm.fds[self.vmm.opened["mailbox"]["fd"]], self.fd, self.shared_fd]

    def resume(self, changes=None, replaced=None):
        fds = self.fds()
        for index, fd in (replaced or {}).items():
            fds[int(index)] = fd
        params = self.params(**(changes or {}))
        if "mailbox" in params:
            params["mailbox"] = fds[params["mailbox"]]
        for memory in params.get("memories", []):
            memory["fd"] = fds[memory["fd"]]
        return self.vmm.peer.call("vm.resume", params)

    def resume_with_memfd(self, index):
        fd = os.memfd_create("gmemd-memory-%d" % self.shared, os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, SIZE)
        return self.resume(None, {index: fd})

    def resume_with_copy_of_mailbox(self):
        """A file that says it is this VM's, made by whoever this is."""
        mailbox = self.fds()[0]
        name = os.readlink("/proc/self/fd/%d" % mailbox)[len("/memfd:") : -len(" (deleted)")]
        fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, os.fstat(mailbox).st_size)
        os.fchmod(fd, 0o444)
        linux.seal(fd)
        return self.resume(None, {0: fd})

    def get(self):
        return self.vmm.get()

    def content(self):
        """Of both memories, where it is the same."""
        content, shared = self.mapped[:5].decode(), self.shared_mapped[:5].decode()
        return content if content == shared else [content, shared]

    def work(self):
        """Create, bind, unbind, close."""
        memory, fd = self.vmm.create(SIZE, name="more")
        self.vmm.bind(1, 1 << 32, SIZE, memory, fd)
        self.vmm.unbind(1)
        self.vmm.unbind(0)
        self.vmm.bind(0, 0, SIZE, self.memory, self.fd)
        self.vmm.peer.call("memory.close", {"memory": memory})
        os.close(fd)
        return True

    def rebind(self):
        """The id of the last of the calls for that."""
        self.vmm.unbind(0)
        return self.vmm.bind(0, 0, SIZE, self.memory, self.fd)["call"]["id"]

    def begin_change(self, changes):
        """What is not carried out. Returns that call's id."""
        return self.vmm.peer.call("slot.change", {"vm": self.vmm.id, "changes": changes})["calls"][0]["id"]

    def own_slot(self):
        """Slot 1, of this process's own memory, as it is told."""
        self.own = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        slot = {"slot": 1, "guest_phys_addr": 4 * SIZE, "memory_size": SIZE, "memory": None}
        slot["userspace_addr"] = ctypes.addressof(ctypes.c_char.from_buffer(self.own))
        return slot

    def bind_own(self):
        slot = self.own_slot()
        self.vmm.bind_own(1, slot["guest_phys_addr"], SIZE, slot["userspace_addr"])
        return slot

    def end_change(self, call):
        self.vmm.peer.call("call.done", {"vm": self.vmm.id, "call": call, "done": 0, "errno": "ECANCELED"})

    def create(self):
        """What is not reported."""
        self.made = self.vmm.peer.call("memory.create", {"vm": self.vmm.id, "size": SIZE})
        self.made_fd = self.vmm.trigger(self.made["call"])[1]
        return self.made["call"]["id"]

    def leave_behind(self, closes):
        """That report, and the binding of slot 1, on a connection that another follows. Returns the calls that there are."""
        bind = dict(self.own_slot(), vm=self.vmm.id, guest_memfd_offset=0, guest_memfd=None)
        self.left = self.vmm.peer
        self.vmm.notify_done(self.made["call"], self.made_fd)
        self.left.send(request("slot.bind", bind, 2))
        if closes:
            self.left.close()
        self.vmm.peer = Peer(self.path)
        self.vmm.peer.call("vm.resume", {"vm": self.vmm.id})
        return [call["id"] for call in self.vmm.get()["calls"]]

    def call(self, method, params):
        return self.vmm.peer.call(method, params)

    def ask_without_reading(self, memory):
        """Ends a connection with answers that wait behind one with a file."""
        peer = Peer(self.path)
        for number in range(8):
            peer.send(request("memory.open", {"memory": memory}, number))
        self.vmm.peer.call("ping")
        peer.close()
        return True

    def spoiled_mailbox(self):
        """Whether the VMM can write what it has been given."""
        try:
            os.close(os.open("/proc/self/fd/%d" % self.fds()[0], os.O_RDWR))
            return True
        except OSError:
            return False


def _serve(channel, path, name, options):
    owner = None

    def carry_out(operation, *arguments):
        nonlocal owner
        owner = owner or _Owner(path, name, options)
        return getattr(owner, operation)(*arguments)

    channel.serve(carry_out)


def vms():
    operator = host.operator()
    listed = operator.call("vm.list")["vms"]
    operator.close()
    return {vm["vm"]: vm for vm in listed}


@test("a VM that gmemd knows: the same answer as before, on another connection")
def known():
    with Remote() as vmm:
        before = vmm.do("get")
        vmm.do("reconnect")
        answer = vmm.do("resume")
        equal((answer["vm"], answer["rebuilt"]), (vmm.id, False), "the VM")
        check({"kvm", "mailbox", "uuid"} <= set(answer), "as vm.open: %r" % answer)
        equal(vmm.do("get"), before, "the VM")
        vmm.do("work")
        error = vmm.error("resume_with_memfd", 1)
        equal((error["code"], error["data"]["param"]), (-32602, "memories[0].fd"), "another file")
        error = vmm.error("resume", {"memories": [{"memory": vmm.memory + 12345, "fd": 1}]})
        equal((error["code"], error["data"]["what"]), (-32001, "memory"), "no memory of its")
        error = vmm.error("resume", {"memories": [{"memory": vmm.memory, "fd": 2}]})
        equal(error["data"]["param"], "memories[0].fd", "another memory's file")


@test("a stranger's resume is refused as if there were no such VM")
def stranger():
    with Remote() as vmm, Remote("other", uid=4711) as other:
        for changes in ({"vm": vmm.id}, {"vm": vmm.id, "mailbox": None, "memories": None}):
            error = other.error("resume", changes)
            equal((error["code"], error["data"]["id"]), (-32001, vmm.id), "a stranger")
        error = other.error("resume", {"memories": [{"memory": vmm.memory, "fd": 1}]})
        equal(error["code"], -32001, "another VM's memory")
        for vm in ("vm-1", "vm-99999999999999", "x", "vm-"):
            equal(other.error("resume", {"vm": vm})["code"], -32001, vm)


@test("gmemd restarts: what its keeper has kept is resumed")
def restarted():
    with Remote() as vmm:
        before = vmm.do("get")
        kept = vmm.do("call", "host.describe", {})["keeper"]
        check(kept["held"] >= 5, "what the keeper has before: %r" % kept)
        host.restart()
        vmm.do("reconnect")
        equal(vmm.do("resume")["rebuilt"], False, "not rebuilt")
        equal(vmm.do("get"), before, "the VM")
        vmm.do("work")
        equal(vmm.do("content"), "guest", "no guest byte has changed")
        described = vmm.do("call", "host.describe", {})
        equal(
            described["recovered"],
            {"vms": 1, "memories": 2, "connections": 1, "released": 0, "dropped": 0},
            "what host.describe tells of the start",
        )
        check(described["keeper"]["held"] >= 5, "and of the keeper: %r" % described["keeper"])


@test("gmemd and keeper die: the VM is rebuilt from what its process has")
def rebuilt():
    with Remote() as vmm:
        before = vmm.do("get")
        host.lose_all()
        equal(vms(), {}, "nobody knows a VM")
        vmm.do("reconnect")
        equal(vmm.do("resume")["rebuilt"], True, "rebuilt")
        equal(vmm.do("get"), before, "the VM")
        check(vmm.id in vms(), "it is listed")
        vmm.do("work")
        equal(vmm.do("content"), "guest", "no guest byte has changed")
        check(os.geteuid() == 0 or not vmm.do("spoiled_mailbox"), "the mailbox is read-only")
        host.restart()
        vmm.do("reconnect")
        equal(vmm.do("get"), before, "after one more restart, by the keeper")
        vmm.do("work")
    check(wait_until(lambda: vms() == {}), "its process's death releases all")


@test("ids of calls do not come again, however fast gmemds follow one another, and whatever is lost")
def ids_grow():
    with Remote() as vmm:
        last = vmm.do("rebind")
        for lives in (0, 40):
            for _ in range(lives):
                host.restart()
                vmm.do("reconnect")
                before, last = last, vmm.do("rebind")
                check(last > before, "a call of a gmemd that took over: %d after %d" % (last, before))
            host.lose_all()
            vmm.do("reconnect")
            vmm.do("resume")
            before, last = last, vmm.do("rebind")
            check(last > before, "a call of a gmemd that had lost the VM: %d after %d" % (last, before))


@test("a VM that was lost: strangers, forged and wrong files get nothing")
def refused():
    with Remote("a", uid=4711) as vmm, Remote("b", uid=4712) as other:
        theirs = (other.id, other.memory, other.shared)
        host.lose_all()
        vmm.do("reconnect")
        other.do("reconnect")
        error = vmm.error("resume", {"mailbox": None, "memories": None, "slots": None})
        equal(error["code"], -32001, "without a mailbox")
        equal(vmm.error("resume", {"vm": theirs[0]})["code"], -32001, "another's id")
        error = vmm.error("resume", {"mailbox": 1})
        equal(error["data"].get("param"), "mailbox", "no mailbox")
        error = vmm.error("resume_with_copy_of_mailbox")
        equal(error["data"].get("param"), "mailbox", "a forged mailbox")
        error = vmm.error("resume_with_memfd", 1)
        equal(error["data"].get("param"), "memories[0].fd", "no guest_memfd")
        error = vmm.error("resume_with_memfd", 2)
        equal(error["data"].get("param"), "memories[1].fd", "a forged memfd")
        twice = [{"memory": vmm.memory, "fd": 1}, {"memory": vmm.shared, "fd": 1}]
        error = vmm.error("resume", {"memories": twice})
        equal(error["code"], -32004, "a file twice")
        future = [{"memory": 1 << 60, "fd": 1}]
        equal(vmm.error("resume", {"memories": future})["code"], -32001, "an id to come")
        equal(vms(), {}, "nothing is left of what was refused")
        other.do("resume")
        error = vmm.error("resume", {"memories": [{"memory": theirs[1], "fd": 1}]})
        equal(error["code"], -32001, "another's memory")
        equal(set(vms()), {theirs[0]}, "nothing is left of what was refused")
        check(vmm.do("resume")["rebuilt"], "then it is resumed")
        pages_are_closed()
        equal(vmm.do("content"), "guest", "no refusal has cost a guest's byte")
        equal(vmm.error("resume_with_copy_of_mailbox"), None, "known, the mailbox doesn't matter")


@test("a VM that was lost: the process has opened another since")
def opened_another():
    with Remote() as vmm:
        host.lose_all()
        vmm.do("reconnect")
        vmm.do("call", "vm.open", {"name": "another", "gate": "none"})
        error = vmm.error("resume")
        equal((error["code"], error["data"].get("with")), (-32004, "vm"), "one VM a process")


@test("a VM that was lost: budgets hold, and a refusal leaves nothing")
def budget():
    with Remote() as vmm:
        host.change_config("[limits]\ncommit-limit = %d\n" % SIZE)
        host.lose_all()
        vmm.do("reconnect")
        error = vmm.error("resume")
        equal((error["code"], error["data"].get("scope")), (-32003, "host"), "the budget")
        equal(vms(), {}, "nothing is left")
        host.change_config("")
        host.lose_all()
        vmm.do("reconnect")
        check(vmm.do("resume")["rebuilt"], "with room again")
        pages_are_closed()
        equal(vmm.do("content"), "guest", "no guest byte has changed")


def tenants_are(*sections):
    host.change_config("".join("[tenant %s]\n%s" % section for section in sections))
    host.lose_all()


@test("a VM that was lost comes back into its tenant, whatever its connection is of by now")
def tenant():
    gold, silver = ("gold", "users = 4711\n"), ("silver", "")
    tenants_are(gold, silver)
    with Remote("of_tenant", uid=4711) as vmm:
        equal(vms()[vmm.id]["tenant"], "gold", "when it was opened")
        operator = host.operator()
        operator.call("vm.set", {"vm": vmm.id, "tenant": "silver"})
        operator.close()
        tenants_are(gold, silver)
        vmm.do("reconnect")
        check(vmm.do("resume")["rebuilt"], "rebuilt")
        equal(vms()[vmm.id]["tenant"], "silver", "where it was brought to")
        tenants_are(gold)
        vmm.do("reconnect")
        error = vmm.error("resume")
        equal(error["code"], -32002, "a tenant that is there no more")
        check("tenant silver, which the configuration does not have any more" in error["message"], error["message"])
        equal(vms(), {}, "nothing is left")
        tenants_are(("gold", ""), silver)
        vmm.do("reconnect")
        check(vmm.do("resume")["rebuilt"], "its peer is of default by now")
        equal(vms()[vmm.id]["tenant"], "silver", "again")
        tenants_are()
        vmm.do("reconnect")
        check(vmm.do("resume")["rebuilt"], "without tenants")
        equal(vms()[vmm.id]["tenant"], "uid:4711", "its user's own")
        tenants_are(gold)
        vmm.do("reconnect")
        check(vmm.do("resume")["rebuilt"], "it was of no tenant")
        equal(vms()[vmm.id]["tenant"], "gold", "its peer's")
    tenants_are()


def pages_are_closed():
    """The page worker has done all that it had: it takes turns, and what is asked now comes last."""
    with Remote("last") as last:
        last.do("call", "memory.close", {"memory": last.shared})


def limits():
    operator = host.operator()
    total = operator.call("host.describe")["limits"]["commit_bytes"]
    operator.close()
    return total // PAGE * PAGE


LEDGER, MEMORY = 16, 21  # kinds of what the keeper holds


def drop_at_keeper(*kinds):
    with KeeperPeer(host.path) as keeper:
        taken = keeper.take_all()
        close_all(taken.values())
        for one in taken:
            if one[0] in kinds:
                keeper.ask(DROP, [one])


@test("a VM whose ledger alone was lost: its memories, which belong to nothing, keep their bytes")
def ledger_lost():
    with Remote() as vmm:
        before = vmm.do("get")
        host.kill()
        drop_at_keeper(LEDGER)
        host.start()
        operator = host.operator()
        recovered = operator.call("host.describe")["recovered"]
        operator.close()
        check(recovered["dropped"] >= 2, "the memories belong to nothing: %r" % recovered)
        pages_are_closed()
        equal(vmm.do("content"), "guest", "no guest byte has changed")
        vmm.do("reconnect")
        check(vmm.do("resume")["rebuilt"], "it comes back")
        equal(vmm.do("get"), before, "the VM")


@test("an answer with a memory's file that nobody receives: the memory keeps its bytes")
def answer_lost():
    with Remote() as vmm:
        for memory in (vmm.memory, vmm.shared):
            vmm.do("ask_without_reading", memory)
        pages_are_closed()
        equal(vmm.do("content"), "guest", "no guest byte has changed")


@test("a VM that was lost: what it was promised is promised again, and ends with it")
def promise():
    most = limits() * 3 // 4 // PAGE * PAGE
    with Remote(commit_limit=most) as vmm:
        for time in ("once", "twice"):
            host.lose_all()
            vmm.do("reconnect")
            check(vmm.do("resume")["rebuilt"], "rebuilt")
            with Remote("other", uid=4711) as other:
                params = {"name": "greedy", "gate": "none", "commit_limit": most}
                other.do("call", "vm.close", {"vm": other.id})
                error = other.error("call", "vm.open", params)
                equal((error["code"], error["data"]["scope"]), (-32003, "host"), time)
        params = {"vm": vmm.id, "size": most - 2 * SIZE}
        vmm.do("call", "memory.create", params)
        error = vmm.error("call", "memory.create", {"vm": vmm.id, "size": PAGE})
        equal((error["code"], error["data"]["scope"]), (-32003, "vm"), "its limit")
    check(wait_until(lambda: vms() == {}), "its process's death releases all")
    with Remote("other", uid=4711, commit_limit=most) as other:
        check(other.id in vms(), "and its promise")
    check(wait_until(lambda: vms() == {}), "so does the other's")


@test("a VM that was lost, whose promise others have by now: it has what is left")
def promise_taken():
    most = limits() * 3 // 4 // PAGE * PAGE
    with Remote(commit_limit=most) as vmm:
        host.lose_all()
        with Remote("other", uid=4711, commit_limit=most) as other:
            vmm.do("reconnect")
            check(vmm.do("resume")["rebuilt"], "rebuilt")
            check("promised to others" in host.log(), "the log says so")
            error = vmm.error("call", "memory.create", {"vm": vmm.id, "size": most - 4 * SIZE})
            equal((error["code"], error["data"]["scope"]), (-32003, "host"), "what is left")
            vmm.do("work")
            other.do("work")
    check(wait_until(lambda: vms() == {}), "nothing is left")


@test("a VM that was lost: a slot told twice is one, another in its place is none")
def told_twice():
    with Remote() as vmm:
        before = vmm.do("get")
        slot = before["slots"][0]
        told = {key: value for key, value in slot.items() if key not in ("state", "flags")}
        host.lose_all()
        vmm.do("reconnect")
        for spoilt, param in (
            ({"slot": 1 << 31}, "slot"),
            ({"guest_memfd_offset": SIZE}, "guest_memfd_offset"),
            ({"guest_memfd_offset": PAGE}, "memory_size"),
            ({"memory": vmm.shared}, "memory"),
            ({"memory": None}, "userspace_addr"),
            ({"shared_offset": PAGE}, "shared_offset"),
            ({"flags": ["readonly"]}, "flags"),
        ):
            changed = dict(told, **spoilt)
            if spoilt.get("memory", 0) is None:
                changed["userspace_addr"] = 0
            error = vmm.error("resume", {"slots": [changed]})
            equal(error["data"].get("param"), "slots[0]." + param, "a slot that can't be")
            equal(vms(), {}, "nothing is left of it")
        error = vmm.error("resume", {"slots": [told, dict(told, guest_phys_addr=SIZE)]})
        equal(error["data"].get("param"), "slots[1].slot", "the same number, another place")
        check(vmm.do("resume", {"slots": [told, told]})["rebuilt"], "told twice")
        equal(vmm.do("get"), before, "the VM")


@test("a VM that was lost, on another connection later: a slot that is being changed is told as it was")
def told_amid_change():
    with Remote() as vmm:
        host.lose_all()
        vmm.do("reconnect")
        vmm.do("resume")
        slot = vmm.do("bind_own")
        before = vmm.do("get")
        moved, flagged = dict(slot, guest_phys_addr=5 * SIZE), dict(slot, flags=["log_dirty_pages"])
        unbound = {"guest_memfd_offset": 0, "guest_memfd": None}
        for told, steps in ((moved, [{"unbind": 1}]), (flagged, [])):
            call = vmm.do("begin_change", steps + [{"bind": dict(told, **unbound)}])
            vmm.do("reconnect")
            for one in (slot, told):
                equal(vmm.do("resume", {"slots": [one]})["rebuilt"], True, "as it was, and as it is to be")
            other = dict(told, guest_phys_addr=6 * SIZE)
            equal(vmm.error("resume", {"slots": [other]})["data"]["param"], "slots[0].slot", "as it is not")
            equal([one["id"] for one in vmm.do("get")["calls"]], [call], "the change goes on")
            vmm.do("end_change", call)
            equal(vmm.do("get"), before, "the VM")


@test("without a keeper nothing outlives gmemd, and nothing of its VMs comes back")
def alone():
    host.end()
    host.kill_keepers()
    host.change_config("[keeper]\nuse = no\n")
    host.start()
    with Remote() as vmm:
        vmm.do("work")
        equal(vmm.do("call", "host.describe", {})["keeper"], None, "its keeper")
        host.restart()
        check(vmm.do("is_disconnected"), "the connection ends with gmemd")
        equal(vms(), {}, "nobody knows a VM")
        vmm.do("reconnect")
        error = vmm.error("resume")
        equal(error["data"].get("param"), "mailbox", "a mailbox that is sealed")
        equal(vms(), {}, "nothing is left of it")
        equal(vmm.do("content"), "guest", "the guest goes on")
    host.change_config("")
    host.restart()


def is_reported(vmm):
    return all(memory["state"] == "ready" for memory in vmm.do("get")["memories"])


def left_behind(closes, restarts=False):
    """Slots and calls, once what is behind the report is carried out; None where that was not waited for."""
    with Remote() as vmm:
        made = vmm.do("create")
        takers = host.takers()
        for taker in takers:
            os.kill(taker, signal.SIGSTOP)
        before = vmm.do("leave_behind", closes)
        if restarts:
            host.restart()
        for taker in takers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(taker, signal.SIGCONT)
        check(wait_until(lambda: is_reported(vmm)), "the creation is not reported")
        for _ in range(10):
            after = vmm.do("get")  # the other connection has had its turn
        return ([slot["slot"] for slot in after["slots"]], len(after["calls"])) if before == [made] else None


@test("what was asked on a connection that is closed is not carried out once the VM goes on on another")
def closed_behind():
    for closes, restarts, expected in ((True, False, ([0], 0)), (False, False, ([0, 1], 1)), (True, True, ([0], 0))):
        got = None
        until = time.monotonic() + 60
        while got is None and time.monotonic() < until:
            got = left_behind(closes, restarts)  # another taker may have come meanwhile
        equal(got, expected, "slots and calls, closed: %s, gmemd restarts: %s" % (closes, restarts))


@test("memories that did not fit one packet follow")
def follow():
    with Remote() as vmm:
        before = vmm.do("get")
        host.lose_all()
        vmm.do("reconnect")
        vmm.do("resume", {"memories": None, "slots": None})
        equal(vmm.do("get")["memories"], [], "none yet")
        vmm.do("resume")
        equal(vmm.do("get"), before, "all")


if __name__ == "__main__":
    main(set_up, tear_down)
