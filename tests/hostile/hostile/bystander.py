# SPDX-License-Identifier: LGPL-2.1-or-later
"""The quiet peer: a VMM of another user's, that asks now and then, and looks whether all is as it was."""

import json
import mmap
import os
import time
import traceback

from gmemtest.child import Child
from gmemtest.host import busy_passes
from gmemtest.linux import PAGE
from gmemtest.tap import Failed
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer, close_all

PAGES = 16
TOKEN = "quiet"


class Quiet:
    """What the process has, and what there must be of it."""

    def __init__(self, path):
        self.path = path
        self.vmm = Vmm(Peer(path), "quiet")
        self.memory, fd = self.vmm.create(PAGES * PAGE, name="ram")
        self.vmm.bind(0, 0, PAGES * PAGE, self.memory, fd)
        self.bytes = mmap.mmap(fd, PAGES * PAGE)
        for page in range(PAGES):
            self.bytes[page * PAGE : page * PAGE + 8] = b"quiet %02d" % page
        self.inode = os.fstat(fd).st_ino
        self.vmm.peer.call("event.subscribe")
        self.expected = self.vmm.get()
        self.longest = 0

    def names(self):
        """What others may try to reach."""
        return {"vm": self.vmm.id, "uuid": self.expected["uuid"], "memory": self.memory, "token": TOKEN}

    def timed(self, method, params=None):
        began = time.monotonic()
        result, fds = self.vmm.peer.call_with_fds(method, params)
        self.longest = max(self.longest, time.monotonic() - began)
        return result, fds

    def preallocates(self):
        """What is there already."""
        params = {"memory": self.memory, "token": TOKEN}
        result, _ = busy_passes(self.vmm.peer, "memory.preallocate", params)
        if result["allocated"] != 0:
            yield "its pages were not there any more: %r" % result

    def connects(self):
        began = time.monotonic()
        peer = Peer(self.path)
        peer.call("ping")
        peer.close()
        self.longest = max(self.longest, time.monotonic() - began)

    def sees(self):
        """What isn't as it was."""
        view = self.vmm.get()
        if view != self.expected:
            yield "its VM was %r and is %r" % (self.expected, view)
        listed = [vm["vm"] for vm in self.timed("vm.list")[0]["vms"]]
        if listed != [self.vmm.id]:
            yield "it is shown %r" % listed
        for page in range(PAGES):
            if self.bytes[page * PAGE : page * PAGE + 8] != b"quiet %02d" % page:
                yield "its memory has changed in page %d" % page
        events = [event for event in self.vmm.peer.events if event.get("vm")]
        self.vmm.peer.events.clear()
        if events:
            yield "it heard %r" % events

    def asks(self):
        self.timed("ping")
        result, fds = self.timed("memory.open", {"memory": self.memory})
        inode = os.fstat(fds[result["fd"]]).st_ino
        close_all(fds)
        if inode != self.inode:
            yield "its memory is another file"

    def round(self):
        self.longest = 0
        wrong = list(self.asks()) + list(self.preallocates()) + list(self.sees())
        self.connects()
        return {"longest": self.longest, "wrong": wrong}


def _serve(channel, path):
    try:
        quiet = Quiet(path)
        channel.say(quiet.names())
        while True:
            channel.hear()
            channel.say(quiet.round())
    except EOFError:
        raise
    except Exception:
        channel.say({"longest": 0, "wrong": [traceback.format_exc()]})


class Bystander(Child):
    def __init__(self, path, uid):
        super().__init__(lambda channel: _serve(channel, path), uid)
        self.channel.socket.settimeout(120)  # it says itself what it has waited for
        self.names = self.channel.hear()
        if "vm" not in self.names:
            raise Failed("the quiet peer: " + json.dumps(self.names))

    def round(self):
        self.channel.say("round")
        return self.channel.hear()
