#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VMM's connection and an operator's that go on while gmemd is restarted, on orders from stdin.

The operator's is subscribed to events. Each line is an order, and gets one line: "ok", or what is
wrong.
"""

import sys

from gmemtest.wire import Closed, Peer, request


class Connections:
    def __init__(self):
        self.number = 0
        self.sequence = 0
        self.heard = []
        self.peers = []

    def begin(self):
        """Anew, whatever became of the ones before."""
        self.peers = [Peer("/run/gmemd/" + name, 20) for name in ("gmemd.sock", "admin.sock")]
        self.sequence, self.heard = 0, []
        self.peers[1].call("event.subscribe")

    def send(self):
        """Asks on both, and waits for nothing."""
        self.number += 1
        for peer in self.peers:
            peer.send(request("vm.list", number=self.number))

    def answered(self):
        """What send() has asked, once: the answer to another request comes next."""
        for peer in self.peers:
            answer, _ = peer.receive_answer()
            if answer["id"] != self.number or "vms" not in answer.get("result", {}):
                raise AssertionError("not the answer to %d: %r" % (self.number, answer))
            peer.call("ping")

    def event(self, kind, name):
        """It comes, if it has not yet; none that was due before is missing or comes twice."""
        operator = self.peers[1]
        while (kind, name) not in self.heard:
            if not operator.events:
                message, _ = operator.receive()
                operator.events.append(message["params"])
            event = operator.events.pop(0)
            self.sequence += 1
            if event["seq"] != self.sequence:
                raise AssertionError("%d is due: %r" % (self.sequence, event))
            self.heard.append((event["kind"], event.get("name")))
        self.heard.remove((kind, name))

    def ended(self):
        """By the other side. Events may be left in them."""
        for peer in self.peers:
            try:
                while True:
                    peer.receive()
            except (Closed, ConnectionResetError):
                peer.close()


def main():
    connections = Connections()
    for line in sys.stdin:
        order, *arguments = line.split()
        try:
            getattr(connections, order)(*arguments)
            print("ok")
        except Exception as e:
            print("%s: %s" % (type(e).__name__, e))


main()
