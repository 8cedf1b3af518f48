# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that die at each step of what a VMM does: once they have asked, and once they are answered."""

import os
import signal

from gmemtest.wire import request
from hostile.attacker import PAGE, guest_ranges, misbehaviour, process, wait_for_death

PAGES = 64


class Steps:
    """A VMM that has come so far; each step is what is asked next."""

    def __init__(self, attacker, step):
        self.attacker, self.step = attacker, step
        if step == "vm.open":
            self.peer, self.params = attacker.peer(), {"name": "dies", "gate": "none"}
            return
        self.vmm = vmm = attacker.vmm_with_memory(PAGES)
        self.peer = vmm.peer
        if step not in ("slot.bind", "memory.close", "vm.resume"):
            vmm.bind(0, 0, PAGES * PAGE, vmm.memory, vmm.file)
        self.params = getattr(self, step.replace(".", "_"))()

    def memory_create(self):
        return {"vm": self.vmm.id, "size": PAGES * PAGE}

    def call_done(self):
        created = self.vmm.peer.call("memory.create", self.memory_create())
        if created["call"] is None:
            return {"vm": self.vmm.id, "call": 1, "done": 1}
        _, fd, _ = self.vmm.trigger(created["call"])
        return {"vm": self.vmm.id, "call": created["call"]["id"], "done": 1, "fd": fd}

    def slot_bind(self):
        return self.vmm.bind_params(0, 0, PAGES * PAGE, self.vmm.memory, self.vmm.file)

    def slot_unbind(self):
        return {"vm": self.vmm.id, "slot": 0}

    def memory_open(self):
        return {"memory": self.vmm.memory}

    memory_close = memory_open

    def memory_preallocate(self):
        return {"memory": self.vmm.memory, "token": "dies"}

    def memory_reclaim(self):
        self.vmm.peer.call("memory.preallocate", {"memory": self.vmm.memory})
        return {"memory": self.vmm.memory, "ranges": [{"offset": 0, "size": PAGES * PAGE}]}

    def memory_convert(self):
        return {"vm": self.vmm.id, "to": "private", "ranges": guest_ranges((0, PAGES)), "discard": False}

    def vm_close(self):
        return {"vm": self.vmm.id}

    def vm_resume(self):
        memories = [{"memory": self.vmm.memory, "fd": self.vmm.file}]
        return {"vm": self.vmm.id, "memories": memories}

    def event_subscribe(self):
        return {}


def die(channel, attacker, step, answered):
    steps = Steps(attacker, step)
    steps.peer.send(request(step, steps.params))
    if answered:
        steps.peer.receive_answer()
    channel.say("now")
    os.kill(os.getpid(), signal.SIGKILL)


def dies_at(step):
    def body(attacker):
        while attacker.goes_on():
            for answered in (False, True):
                with process(die, attacker, step, answered) as child:
                    child.channel.hear()
                    wait_for_death(child)

    misbehaviour("dies-at-" + step)(body)


for method in (
    "vm.open",
    "memory.create",
    "call.done",
    "slot.bind",
    "slot.unbind",
    "memory.open",
    "memory.preallocate",
    "memory.reclaim",
    "memory.convert",
    "memory.close",
    "vm.resume",
    "event.subscribe",
    "vm.close",
):
    dies_at(method)
