#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files whose close waits for a peer: gmemd is not the one that waits."""

import array
import fcntl
import os
import signal
import tempfile
import termios
import threading
import time

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.fuse import SlowFile, require_fuse
from gmemtest.tap import check, equal, note, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer, RpcError, encode, request

SECONDS_TO_ANSWER = 5
PACKETS = 64
PACKET_FDS = 16
ANOTHER = 4711
WAITING_MAX = 16  # of one user's packets
PEERS = WAITING_MAX + 4

# What waits to be closed, and what else a peer and its VM take.
FDS_BOUND = (WAITING_MAX + 1) * PACKET_FDS + 16

daemon = None


def set_up():
    global daemon
    linux.require_guest_memfd()
    linux.require_root()
    require_fuse()
    daemon = Daemon()


def tear_down():
    daemon.stop()


def others_are_served():
    start = time.monotonic()
    peer = Peer(daemon.socket_path("gmemd.sock"), SECONDS_TO_ANSWER)
    peer.call("ping")
    peer.close()
    operator = daemon.operator()
    operator.call("vm.list")
    operator.close()
    return time.monotonic() - start


def with_slow_file(body):
    """Runs body(path, file, channel) in another process and sees that others are served meanwhile."""
    fds = daemon.fds()
    with tempfile.TemporaryDirectory() as directory:

        def attack(channel):
            file = SlowFile(directory)
            try:
                body(daemon.socket_path("gmemd.sock"), file.fd)
                channel.say("sent")
                channel.hear()
            finally:
                file.end()
            channel.say("ended")
            channel.hear()

        with Child(attack) as child:
            equal(child.channel.hear(), "sent", "the attacker")
            slowest = max(others_are_served() for _ in range(20))
            check(slowest < SECONDS_TO_ANSWER, "another peer waited %.1f s" % slowest)
            held = daemon.fds() - fds
            check(held <= FDS_BOUND, "gmemd holds %d more fds" % held)
            child.channel.say("end")
            equal(child.channel.hear(), "ended", "the attacker")
    check(daemon.alive(), "gmemd has ended")
    daemon.fds_come_back(fds)
    note("held meanwhile: %d fds; slowest answer %.3f s" % (held, slowest))


def close_and_exit(fd):
    try:
        os.close(fd)
    except ConnectionAbortedError:
        pass  # which is how it ends
    os._exit(0)


@test("the file is what it is meant to be: its close waits")
def control():
    def attack(channel):
        file = SlowFile(channel.hear())
        child = os.fork()
        if child == 0:
            close_and_exit(file.fd)
        time.sleep(0.3)
        waits = os.waitpid(child, os.WNOHANG) == (0, 0)
        file.end()
        os.waitpid(child, 0)
        channel.say(waits)
        channel.hear()

    with tempfile.TemporaryDirectory() as directory, Child(attack) as child:
        child.channel.say(directory)
        check(child.channel.hear(), "the close did not wait")


@test("a file that nobody asked for")
def unasked():
    def body(path, fd):
        Peer(path).send(encode(request("ping")), [fd])

    with_slow_file(body)


@test("instead of a guest_memfd, a listener")
def instead():
    def body(path, fd):
        peer = Peer(path, SECONDS_TO_ANSWER)
        vmm = Vmm(peer, "slow", make=False, gate="none")
        result = peer.call("memory.create", {"vm": vmm.id, "size": linux.PAGE})
        report = {"vm": vmm.id, "call": result["call"]["id"], "done": 1, "fd": 0}
        for method, params in (
            ("call.done", report),
            ("vm.gate", {"vm": vmm.id, "listener": 0}),
        ):
            try:
                peer.call(method, params, [fd])
            except RpcError:
                pass

    with_slow_file(body)


@test("many of them")
def many():
    def body(path, fd):
        peer = Peer(path)
        peer.socket.setblocking(False)
        for _ in range(PACKETS):
            try:
                peer.send(encode(request("ping")), [fd] * PACKET_FDS)
            except OSError:
                time.sleep(0.01)

    with_slow_file(body)


def ping(number):
    return encode(request("ping", number="%08d" % number))


def answers_until_full(path):
    """How many answers to such pings wait for a peer that reads none, at most."""
    peer = Peer(path, SECONDS_TO_ANSWER)
    peer.socket.setblocking(False)
    sent, idle = 0, 0
    while idle < 20:
        try:
            peer.send(ping(sent))
            sent, idle = sent + 1, 0
        except BlockingIOError:
            time.sleep(0.01)
            idle += 1
    waiting = array.array("i", [0])
    fcntl.ioctl(peer.socket, termios.FIONREAD, waiting)
    number = waiting[0] // len(peer.socket.recv(1 << 16))
    peer.close()
    return number


def as_another(body):
    """In a process of another user, which has done it when this returns, and ends with this one."""
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            os.setresgid(ANOTHER, ANOTHER, ANOTHER)
            os.setresuid(ANOTHER, ANOTHER, ANOTHER)
            linux.die_with_parent()
            body()
            os.write(write, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(write)
    check(os.read(read, 1) == b"x", "the other user's process has failed")
    os.close(read)


@test("one in each of many packets whose answers find no room, until all do at once")
def all_at_once():
    def attack(path, fd):
        full = answers_until_full(path)
        peers = [Peer(path) for _ in range(PEERS)]
        for peer in peers:
            peer.socket.setblocking(False)
            try:
                for number in range(full):
                    peer.send(ping(number))
                    time.sleep(0.0001)
                peer.send(ping(full), [fd])
            except BlockingIOError:
                pass  # the user's earlier files are to be closed first
        time.sleep(0.5)
        for peer in peers:
            peer.socket.settimeout(0.1)
            try:
                while peer.receive():
                    pass
            except OSError:
                pass

    with_slow_file(lambda path, fd: as_another(lambda: attack(path, fd)))


def try_ioctl(fd):
    try:
        linux.ioctl(fd, linux.KVM_CREATE_VM, 0)
    except OSError:
        pass


@test("what a trapped call is made on, of a user whose files wait to be closed already")
def trapped():
    def attack(path, fd):
        owner = Peer(path, SECONDS_TO_ANSWER)
        vm = owner.call("vm.open", {"name": "trapped", "gate": "required"})["vm"]
        listener = linux.seccomp_listener(linux.KVM_CREATE_VM)
        owner.call("vm.gate", {"vm": vm, "listener": 0}, [listener])
        for _ in range(WAITING_MAX):
            peer = Peer(path, SECONDS_TO_ANSWER)
            peer.send(encode(request("ping")), [fd])
            peer.receive()
        threading.Thread(target=try_ioctl, args=[fd], daemon=True).start()
        time.sleep(0.3)

    with_slow_file(lambda path, fd: as_another(lambda: attack(path, fd)))
    check("refused KVM_CREATE_VM" in daemon.log(), "the call was not served")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
