# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile process: many connections, each of which asks again as soon as it is answered."""

import os
import select

from gmemtest.child import Child
from gmemtest.tap import need
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer, encode


def _flood(channel, path, count, make_packet, make_owner):
    owner = make_owner() if make_owner else None
    packet = make_packet(owner)
    packet = packet if isinstance(packet, bytes) else encode(packet)
    peers = {}
    poll = select.epoll()
    for _ in range(count):
        one = Peer(path)
        one.call("ping")  # it is accepted
        peer = one.socket
        peer.setblocking(False)
        peers[peer.fileno()] = peer
        poll.register(peer.fileno(), select.EPOLLIN)
    channel.say("ready")
    channel.hear()
    for peer in peers.values():
        peer.send(packet)
    channel.say("asked")
    answers, asks = 0, channel.socket.fileno()
    poll.register(asks, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll(60):
            if fd == asks:
                channel.hear()
                channel.say(answers)
                continue
            peers[fd].recv(1 << 17)
            answers += 1
            peers[fd].send(packet)


class Flood(Child):
    """Under way when this returns. The packet is made from what the owner is, if there is one."""

    def __init__(self, daemon, uid, count, make_packet, make_owner=None):
        path = daemon.socket_path("gmemd.sock")
        super().__init__(lambda c: _flood(c, path, count, make_packet, make_owner), uid)
        need(self.channel.hear() == "ready", "the flood")
        need(self.ask("go") == "asked", "the flood")

    def answers(self):
        """How many there were."""
        self.channel.say("how many?")
        return self.channel.hear()


def vmm_with(daemon, size):
    """Makes, where it is called, a VMM with so much memory, all of it there."""

    def make():
        vmm = Vmm(daemon.peer(), "process %d" % os.getpid())
        vmm.memory, _ = vmm.create(size)
        vmm.peer.call("memory.preallocate", {"memory": vmm.memory})
        return vmm

    return make
