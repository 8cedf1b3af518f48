#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A member of gmem's group that sends, to the socket that systemd has made, files that whoever drops them last waits for;
one that holds the file of its own memory, so that whoever gives back its pages waits; and one that has only asked. On orders from stdin; each gets one line: "ok", or what is wrong.
"""

import grp
import os
import socket
import sys
import threading
import time

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.fuse_writeback import StuckFile
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer, encode, request

PATH = "/run/gmemd/gmemd.sock"
USER = 54331
PINGS = 3


def attack(channel):
    file = StuckFile(USER, [grp.getgrnam("gmem").gr_gid])
    outer = file.nest()
    file.arm()
    peer = Peer(PATH, 60)
    socket.send_fds(peer.socket, [encode(request("ping"))], [outer.fileno()])
    outer.close()
    channel.say("sent")
    channel.hear()
    file.end()
    channel.say("ended")
    channel.hear()


def hold(channel):
    """Writes to its memory what never comes, and asks for pages of it to be given back."""
    vmm = Vmm(Peer(PATH, 60), "holds its file")
    memory, fd = vmm.create(16 * PAGE, backing="memfd")
    os.posix_fallocate(fd, 0, 16 * PAGE)
    faults, address = linux.missing_page()
    threading.Thread(target=linux.write_from, args=(fd, address), daemon=True).start()
    os.read(faults, 32)  # it holds the file now
    vmm.peer.send(request("memory.reclaim", {"memory": memory, "ranges": [{"offset": 0, "size": PAGE}]}))
    channel.say("asked")
    channel.hear()


class Orders:
    def __init__(self):
        self.child = None
        self.holder = None
        self.honest = None

    def attack(self):
        """At once, when it has connected, which makes systemd start gmemd."""
        self.child = Child(attack)
        assert self.child.channel.hear() == "sent"

    def wait(self):
        self.honest = Peer(PATH, 60)
        for number in range(PINGS):
            self.honest.send(request("ping", number=number))

    def answered(self):
        """What the one has asked that came before gmemd, in order."""
        for number in range(PINGS):
            assert self.honest.receive()[0]["id"] == number

    def goes_on(self):
        self.honest.call("ping")

    def another(self):
        """Another client."""
        peer = Peer(PATH, 60)
        peer.call("ping")
        peer.close()

    def next(self):
        """Another client, within a second."""
        start = time.monotonic()
        self.another()
        seconds = time.monotonic() - start
        assert seconds < 1, "after %.2f s" % seconds

    def refused(self):
        peer = Peer(PATH, 60)
        try:
            socket.send_fds(peer.socket, [encode(request("ping"))], [0])
        except PermissionError:
            return peer.close()
        raise AssertionError("a file can be sent")

    def hold(self):
        self.holder = Child(hold)
        assert self.holder.channel.hear() == "asked"

    def let_go(self):
        self.holder.end()

    def end(self):
        assert self.child.ask() == "ended"
        self.child.end()


orders = Orders()
for line in sys.stdin:
    try:
        getattr(orders, line.strip())()
        print("ok", flush=True)
    except (AssertionError, OSError, EOFError) as e:
        print("%r" % e, flush=True)
os._exit(0)
