#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets that linger, in a connection's queue: neither gmemd nor its keeper waits for their data."""

import os
import signal
import socket
import struct

from gmemtest import tap
from gmemtest.host import Host
from gmemtest.linux import require_guest_memfd
from gmemtest.tap import equal, test
from gmemtest.wire import Peer, request

LINGER_SECONDS = 600
PACKET_FDS = 16

hosts = []
far_ends = []


def set_up():
    require_guest_memfd()
    hosts.extend([Host(), Host(config="[keeper]\nuse = no\n")])


def tear_down():
    for end in far_ends:
        end.close()
    for host in hosts:
        host.stop()


def lingering():
    """A socket whose last close waits until the far end has read what it never reads."""
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far_ends.append(listener.accept()[0])
    listener.close()
    linger = struct.pack("ii", 1, LINGER_SECONDS)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    near.setblocking(False)
    try:
        while True:
            near.send(bytes(65536))
    except BlockingIOError:
        return near


class Stopped:
    """gmemd does nothing meanwhile, so that what is sent is its alone when it goes on."""

    def __init__(self, host):
        self.pid = host.pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def send_and_forget(peer, before=0):
    """A request with a lingering socket, behind so many other files."""
    null = os.open("/dev/null", os.O_RDONLY)
    with lingering() as last:
        peer.send(request("ping"), [null] * before + [last.fileno()])
    os.close(null)


def others_are_served(host, other):
    equal(other.call("ping"), {}, "who was there")
    peer = Peer(host.socket_path("gmemd.sock"))
    equal(peer.call("ping"), {}, "who comes")
    equal(other.call("ping"), {}, "who was there, again")
    peer.close()


def on_each(body):
    for host in hosts:
        other = host.operator()
        equal(other.call("ping"), {}, "before")
        body(host)
        others_are_served(host, other)
        other.close()


@test("one among the files of a packet")
def among():
    def body(host):
        peer = Peer(host.socket_path("gmemd.sock"))
        with Stopped(host):
            send_and_forget(peer)
        equal(peer.receive()[0]["result"], {}, "the request")
        peer.close()

    on_each(body)


@test("one behind as many files as a packet may have")
def behind():
    def body(host):
        peer = Peer(host.socket_path("gmemd.sock"))
        with Stopped(host):
            send_and_forget(peer, PACKET_FDS)
        equal(peer.receive()[0]["error"]["code"], -32600, "the request")
        peer.close()

    on_each(body)


@test("those of a peer that has gone without reading its answers")
def gone():
    def body(host):
        peer = Peer(host.socket_path("gmemd.sock"))
        equal(peer.call("ping"), {}, "before")
        with Stopped(host):
            peer.send(request("ping"))
            for _ in range(3):
                send_and_forget(peer)
            peer.close()

    on_each(body)


@test("that of a peer that has come, sent and gone while gmemd was away")
def while_away():
    host = hosts[0]
    other = host.operator()
    equal(other.call("ping"), {}, "before")
    host.kill()
    peer = Peer(host.socket_path("gmemd.sock"))
    peer.send(request("ping"))
    send_and_forget(peer)
    peer.close()
    host.start()
    others_are_served(host, other)
    equal(host.log().count("gmemd-keeper is gone"), 0, "keepers that were lost")
    other.close()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
