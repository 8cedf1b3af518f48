# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VMM that asks for everything, in a process of its own that is told what to do next."""

import os
import traceback

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.host import busy_passes
from gmemtest.tap import Failed, equal
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Closed, Peer, close_all, request

SECONDS = 60
SIZE = 16 * PAGE
LARGE = 1 << 30
SLOT = ("slot", "guest_phys_addr", "memory_size", "userspace_addr", "memory", "flags", "through")


class Owner:
    """A VMM that asks for everything, in a process of its own."""

    def __init__(self, path):
        self.path = path
        self.vmm = Vmm(Peer(path))

    def memories(self):
        peer, vm = self.vmm.peer, self.vmm.id
        memory, fd = self.vmm.create(SIZE, name="ram")
        answer, fds = peer.call_with_fds(
            "memory.create", {"vm": vm, "size": SIZE, "backing": "memfd"}
        )
        again, opened = peer.call_with_fds("memory.open", {"memory": answer["memory"]})
        equal(again["size"], SIZE, "opened")
        self.vmm.bind(0, 0, SIZE, memory, fd)
        busy_passes(peer, "memory.preallocate", {"memory": memory, "token": "t"})
        equal(self.resident(memory), SIZE, "preallocated")
        ranges = [{"offset": 0, "size": PAGE}]
        peer.call("memory.reclaim", {"memory": memory, "ranges": ranges})
        equal(self.resident(memory), SIZE - PAGE, "reclaimed")
        close_all(fds + opened)
        return memory, fd, answer["memory"]

    def resident(self, memory):
        listed = {one["memory"]: one for one in self.vmm.get()["memories"]}
        return listed[memory]["resident"]

    def refused(self):
        self.vmm.peer.send(request("slot.unbind", {"vm": self.vmm.id, "slot": 77}, 5))
        equal(self.vmm.peer.receive_answer()[0]["error"]["code"], -32001, "no such slot")

    def exchanged(self, memory, fd):
        """Its slot goes to a mapping whose writes are logged, and back; once the second step fails."""
        mapped = self.vmm.map(fd, SIZE)
        shown = {"bind": self.vmm.mapping_params(0, 0, SIZE, memory, mapped, flags=["log_dirty_pages"])}
        self.vmm.change([{"unbind": 0}, shown])
        self.vmm.bind_mapping(0, 0, SIZE, memory, mapped)  # its flags alone
        back = self.vmm.bind_params(0, 0, SIZE, memory, fd)
        del back["vm"]
        wrong = [{"unbind": 0}, {"bind": dict(back, guest_memfd=99999)}, {"bind": dict(back, slot=1)}]
        wrong[2]["bind"].update(guest_phys_addr=SIZE, memory=memory, guest_memfd_offset=0, memory_size=PAGE)
        wrong[1]["bind"].update(guest_memfd_offset=PAGE, memory_size=SIZE - PAGE)
        call = self.vmm.peer.call("slot.change", {"vm": self.vmm.id, "changes": wrong})["calls"][0]
        done, _, name = self.vmm.trigger(call)
        equal((done, name), (1, "EBADF"), "the second has failed")
        self.vmm.report(call, done, name)
        equal(self.vmm.get()["slots"], [], "slots")
        self.vmm.change([{"bind": back}])
        linux.munmap(mapped, SIZE)

    def closed_later(self):
        """What is so large that the answer waits, and what is asked after it too."""
        params = {"vm": self.vmm.id, "size": LARGE, "backing": "memfd"}
        answer, fds = self.vmm.peer.call_with_fds("memory.create", params)
        close_all(fds)
        self.vmm.peer.send(request("memory.close", {"memory": answer["memory"]}, 6))
        self.vmm.peer.send(request("ping", number=7))
        equal([self.vmm.peer.receive_answer()[0]["id"] for _ in range(2)], [6, 7], "the order")

    def granted(self, memory):
        """To another process, which opens it, and can do so once."""
        with Child(lambda channel: open_granted(channel, self.path, memory)) as other:
            self.vmm.peer.call("memory.grant", {"memory": memory, "to": {"pid": other.pid}, "once": True})
            equal(other.ask("open"), SIZE, "what another opens")
            equal(other.ask("open"), -32001, "the second time")
            view = self.vmm.get()
            equal((view["grants"], [one["pid"] for one in view["holders"]]), ([], [other.pid]), "grants, holders")

    def all(self):
        memory, fd, shared = self.memories()
        self.refused()
        self.granted(shared)
        self.closed_later()
        self.exchanged(memory, fd)
        self.vmm.unbind(0)
        batch = [
            request("memory.close", {"memory": shared}, 1),
            request("ping", number=2),
            request("memory.close", {"memory": memory}, 3),
        ]
        self.vmm.peer.send(batch)
        answers, _ = self.vmm.peer.receive_answer()
        results = [set(answer.get("result", ["failed"])) for answer in answers]
        equal(results, [{"released"}, set(), {"released"}], "a batch")
        os.close(fd)
        memory, fd = self.vmm.create(SIZE, name="ram")
        self.vmm.bind(0, 0, SIZE, memory, fd)
        mapped = self.vmm.map(fd, SIZE)
        self.vmm.bind_mapping(1, SIZE, SIZE, memory, mapped, flags=["log_dirty_pages"])
        view = self.vmm.get()
        equal([one["memory"] for one in view["memories"]], [memory], "memories")
        equal([one["slot"] for one in view["slots"]], [0, 1], "slots")
        equal((view["calls"], view["committed"]), ([], SIZE), "calls, charges")
        self.kept = fd
        return True

    def all_by_page(self):
        """The same, reported in the report page; of the last binding it is told before it asks anything."""
        self.vmm.by_page = True
        self.all()
        self.vmm.peer.call("event.subscribe")
        memory = self.vmm.get()["memories"][0]["memory"]
        self.vmm.unbind(0)
        self.vmm.bind(0, 0, SIZE, memory, self.kept)
        while not self.hears_of("slot_bound", 0):
            pass
        equal([one["slot"] for one in self.vmm.get()["slots"]], [0, 1], "slots")
        return True

    def hears_of(self, kind, slot):
        message, _ = self.vmm.peer.receive()
        told = message.get("params", {})
        return (told.get("kind"), told.get("slot")) == (kind, slot)

    def half(self, size):
        """A memfd: (its id, its file)."""
        params = {"vm": self.vmm.id, "size": size, "backing": "memfd"}
        answer, fds = self.vmm.peer.call_with_fds("memory.create", params)
        return answer["memory"], fds[0]

    def converted(self, to, pages, stale):
        """Their stale half has pages, which go: this process claims that the kernel has done its part."""
        linux.fallocate(stale, 1, 0, SIZE)
        ranges = [{"guest_phys_addr": page * PAGE, "size": PAGE} for page in pages]
        params = {"vm": self.vmm.id, "to": to, "ranges": ranges}
        for call in self.vmm.peer.call("memory.convert", params)["calls"]:
            self.vmm.report(call, call["count"])

    def convert(self):
        memory, fd = self.vmm.create(SIZE, flags=[])
        shared, shared_fd = self.half(SIZE)
        self.vmm.bind(1, SIZE, SIZE, memory, fd, shared_memory=shared)
        first = SIZE // PAGE
        self.converted("private", [first, first + 2], shared_fd)
        self.converted("private", [first + 1], shared_fd)
        self.converted("shared", [first + 2], fd)
        view = self.vmm.get()
        equal(view["private_ranges"], [{"guest_phys_addr": SIZE, "size": 2 * PAGE}], "private")
        equal((view["calls"], view["uncertain_ranges"]), ([], []), "calls, what is uncertain")
        resident = {one["memory"]: one["resident"] for one in view["memories"]}
        equal((resident[memory], resident[shared]), (SIZE - PAGE, SIZE - 2 * PAGE), "what is stale")
        close_all([fd, shared_fd])
        return True

    def preallocate(self):
        memory = self.kept_view["memories"][0]["memory"]
        params = {"memory": memory, "token": "t"}
        busy_passes(self.vmm.peer, "memory.preallocate", params)
        equal(self.resident(memory), SIZE, "preallocated")
        ranges = [{"offset": 0, "size": SIZE}]
        self.vmm.peer.call("memory.reclaim", {"memory": memory, "ranges": ranges})
        return self.vmm.get()

    def preallocate_much(self):
        """What takes a while."""
        params = {"vm": self.vmm.id, "size": LARGE, "backing": "memfd"}
        answer, fds = self.vmm.peer.call_with_fds("memory.create", params)
        busy_passes(self.vmm.peer, "memory.preallocate", {"memory": answer["memory"]})
        equal(self.resident(answer["memory"]), LARGE, "preallocated")
        close_all(fds)
        return True

    def close(self):
        equal(set(self.vmm.peer.call("vm.close", {"vm": self.vmm.id})), {"released"}, "closed")
        return True

    def resume(self):
        """With all that there is, for a gmemd that may know nothing of it."""
        view = self.kept_view
        self.vmm.peer.close()
        self.vmm.peer = Peer(self.path)
        memory = view["memories"][0]["memory"]
        slots = [{key: slot[key] for key in SLOT} for slot in view["slots"]]
        params = {
            "vm": self.vmm.id,
            "mailbox": self.vmm.fds[self.vmm.opened["mailbox"]["fd"]],
            "slots": slots,
            "memories": [{"memory": memory, "fd": self.kept, "name": "ram"}],
        }
        answer, fds = self.vmm.peer.call_with_fds("vm.resume", params)
        close_all(fds)
        equal(self.vmm.get(), view, "the VM")
        return answer["rebuilt"]

    def look(self):
        """By another connection where that one has ended."""
        try:
            return self.vmm.get()
        except (Closed, ConnectionError):
            self.vmm.peer.close()
            self.vmm.peer = Peer(self.path)
            return self.vmm.get()

    def note(self):
        self.kept_view = self.vmm.get()
        return self.kept_view


def open_granted(channel, path, memory):
    peer = Peer(path)
    while channel.hear():
        peer.send(request("memory.open", {"memory": memory}))
        answer, fds = peer.receive_answer()
        close_all(fds)
        channel.say(answer["result"]["size"] if "result" in answer else answer["error"]["code"])


def serve(channel, path):
    owner = None
    while True:
        operation = channel.hear()[0]
        try:
            owner = owner or Owner(path)
            channel.say(["done", getattr(owner, operation)()])
        except EOFError:
            raise
        except Exception:
            channel.say(["failed", traceback.format_exc()])


class OwnerProcess(Child):
    def __init__(self, path):
        super().__init__(lambda channel: serve(channel, path))

    def start(self, operation):
        self.answer = None
        self.channel.say([operation])
        self.channel.socket.setblocking(False)

    def has_answered(self):
        if self.answer:
            return True
        try:
            self.answer = self.channel.hear()
        except BlockingIOError:
            return False
        self.channel.socket.settimeout(SECONDS)
        return True

    def finish(self):
        """What came of it, once it has answered."""
        kind, value = self.answer
        if kind == "failed":
            raise Failed(value)
        return value

    def do(self, operation):
        self.answer = self.ask(operation)
        return self.finish()
