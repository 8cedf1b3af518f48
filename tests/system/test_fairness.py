#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fairness: whatever one peer does, another's request is answered, and gmemd stays within bounds."""

import os
import socket
import time

from gmemtest import linux, tap
from gmemtest.child import Child, RemotePeer
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need, note, test
from gmemtest.wire import Closed, Peer, encode, request

# Nobody's, as far as this machine knows; nothing is written as them.
ATTACKER, QUIET = 54323, 54324

SECONDS_TO_ANSWER = 5
SECONDS_OF_ATTACK = 1.5
ATTACKERS = 3
PEERS_PER_USER = 40

# What gmemd may have open for one peer and its VM at any moment: the connection, its pidfd, a few
# for the VM, one packet's fds, and as many as may be undelivered.
FDS_OF_A_PEER = 2 + 8 + 16 + 40

CONFIG = "[limits]\npeers-per-user = %d\n" % PEERS_PER_USER

daemon = quiet = None


def set_up():
    global daemon, quiet
    linux.require_guest_memfd()
    linux.require_root()
    daemon = Daemon(config=CONFIG, keep_closed=False)
    quiet = RemotePeer(daemon.socket_path("gmemd.sock"), QUIET)
    quiet.call("ping")


def tear_down():
    quiet.end()
    daemon.stop()


def slowest_answer(seconds):
    """Of the quiet peer's requests during that time."""
    until, slowest = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        start = time.monotonic()
        quiet.call("ping")
        quiet.call("vm.list")
        with_new = Peer(daemon.socket_path("gmemd.sock"), SECONDS_TO_ANSWER)
        with_new.call("ping")
        with_new.close()
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.02)
    return slowest


def under_attack(body, fds_bound=FDS_OF_A_PEER, attackers=ATTACKERS):
    """Runs body(path, channel) as other processes, which begin when they are told, and looks on."""
    fds = daemon.fds()
    path = daemon.socket_path("gmemd.sock")
    children = [Child(lambda c: run_attack(body, path, c), ATTACKER) for _ in range(attackers)]
    try:
        for child in children:
            equal(child.channel.hear(), "ready", "the attacker")
            child.channel.say("go")
        slowest = slowest_answer(SECONDS_OF_ATTACK)
        check(slowest < SECONDS_TO_ANSWER, "the quiet peer waited %.1f s" % slowest)
        held = daemon.fds() - fds
        check(held <= attackers * fds_bound, "gmemd holds %d more fds" % held)
        reports = []
        for child in children:
            os.kill(child.pid, 0)
            child.channel.say("stop")
            reports.append(child.channel.hear())
    finally:
        for child in children:
            child.end()
    check(daemon.alive(), "gmemd has ended")
    daemon.fds_come_back(fds)
    check(slowest_answer(0.1) < SECONDS_TO_ANSWER, "afterwards")
    note("attackers: %s; slowest answer %.3f s" % (reports, slowest))
    return reports


def run_attack(body, path, channel):
    channel.say("ready")
    channel.hear()
    report = body(path, lambda: told_to_stop(channel))
    channel.say(report)
    channel.hear()


def told_to_stop(channel):
    channel.socket.setblocking(False)
    try:
        channel.hear()
        return True
    except BlockingIOError:
        return False
    finally:
        channel.socket.settimeout(60)


def send_until(stop, peer, packets, read=False):
    """As fast as it goes; returns how many went."""
    peer.socket.setblocking(False)
    sent = 0
    while True:
        for packet in packets:
            try:
                peer.send(packet)
                sent += 1
            except BlockingIOError:
                time.sleep(0.001)
            try:
                if read:
                    for fd in peer.receive()[1]:
                        os.close(fd)
            except BlockingIOError:
                pass
        if sent % 64 == 0 or not read:
            if stop():
                return sent


@test("one that floods pings and reads no answer")
def flood():
    def body(path, stop):
        return send_until(stop, Peer(path), [request("ping")])

    check(all(sent > 0 for sent in under_attack(body)), "nothing was sent")


@test("one that floods pings and reads its answers")
def busy():
    def body(path, stop):
        return send_until(stop, Peer(path), [request("ping")], read=True)

    under_attack(body)


@test("one that floods the longest batches of the dearest methods")
def dear_batches():
    def body(path, stop):
        batch = [request("rpc.discover", number=i) for i in range(64)]
        return send_until(stop, Peer(path), [batch], read=True)

    under_attack(body)


@test("one that sends half-written garbage")
def garbage():
    def body(path, stop):
        whole = encode(request("vm.open", {"name": "x" * 100}))
        packets = [whole[:n] for n in range(0, len(whole), 7)]
        packets += [os.urandom(n) for n in (1, 100, 60000)]
        packets += [b"[" * 65536, b'"' + b"\\" * 65000, b"1" * 65536]
        return send_until(stop, Peer(path), packets)

    under_attack(body)


@test("one that connects, asks and vanishes")
def vanishing():
    def body(path, stop):
        count = 0
        while not stop():
            try:
                peer = Peer(path, 1)
                peer.send(request("rpc.discover"))
                peer.close()
                count += 1
            except OSError:
                time.sleep(0.001)
        return count

    under_attack(body)


@test("one that opens more connections than it may")
def connections():
    def body(path, stop):
        peers, refused = [], 0
        for _ in range(PEERS_PER_USER + 20):
            peer = Peer(path)
            try:
                peer.call("ping")
                peers.append(peer)
            except (Closed, OSError):
                refused += 1
        while not stop():
            time.sleep(0.01)
        return [len(peers), refused]

    reports = under_attack(body, fds_bound=PEERS_PER_USER * 2 + 4, attackers=1)
    equal(reports, [[PEERS_PER_USER, 20]], "those that were served, and those that were not")


@test("one that asks for fds and never receives them")
def hoarder():
    def body(path, stop):
        owner = Peer(path)
        params = {"name": "hoarder %d" % os.getpid(), "gate": "none"}
        vm = owner.call("vm.open", params)["vm"]
        params = {"vm": vm, "size": PAGE, "backing": "memfd"}
        memory = owner.call("memory.create", params)["memory"]
        peer = Peer(path)
        sent = send_until(stop, peer, [request("memory.open", {"memory": memory})])
        return [sent, in_flight(peer)]

    def in_flight(peer):
        """How many files wait in the peer's queue (unix(7): scm_fds, Linux 5.8)."""
        with open("/proc/self/fdinfo/%d" % peer.socket.fileno()) as info:
            return int(next(line.split()[1] for line in info if line.startswith("scm_fds:")))

    for sent, waiting in under_attack(body):
        equal(waiting, 1, "files on their way, of %d that were asked for" % sent)
        check(sent > 10, "it asked %d times" % sent)


@test("one that subscribes to events and never reads: what it misses shows as a gap")
def deaf_subscriber():
    def body(path, stop):
        deaf, worker = Peer(path), Peer(path)
        deaf.call("event.subscribe")
        params = {"name": "deaf %d" % os.getpid(), "gate": "none"}
        vm = worker.call("vm.open", params)["vm"]
        params = {"vm": vm, "size": PAGE, "backing": "memfd"}
        made = 0
        while made < 1500 or not stop():
            memory = worker.call("memory.create", params)["memory"]
            worker.call("memory.close", {"memory": memory})
            made += 1
        numbers = drain(deaf)
        worker.call("memory.create", params)
        deaf.call("ping")
        return [made * 2 + 1, numbers + [event["seq"] for event in deaf.events]]

    def drain(peer):
        numbers = []
        peer.socket.settimeout(0.5)
        try:
            while True:
                message, _ = peer.receive()
                numbers.append(message["params"]["seq"])
        except socket.timeout:
            peer.socket.settimeout(10)
            return numbers

    fds = daemon.fds()
    with Child(
        lambda c: run_attack(body, daemon.socket_path("gmemd.sock"), c), ATTACKER
    ) as child:
        need(child.channel.hear() == "ready", "the subscriber")
        child.channel.say("go")
        slowest = slowest_answer(SECONDS_OF_ATTACK)
        check(slowest < SECONDS_TO_ANSWER, "the quiet peer waited %.1f s" % slowest)
        child.channel.say("stop")
        due, numbers = child.channel.hear()
    equal(numbers, sorted(set(numbers)), "sequence")
    equal(numbers[:10], list(range(1, 11)), "the first")
    check(len(numbers) < due, "it got %d of %d" % (len(numbers), due))
    equal(numbers[-1], due + 1, "the last")
    gaps = sum(b - a > 1 for a, b in zip(numbers, numbers[1:]))
    equal(gaps, 1, "gaps")
    check(len(numbers) < 2000, "%d events waited" % len(numbers))
    daemon.fds_come_back(fds)


@test("too many fds on their way in all: the answer is late and not lost")
def fds_in_flight():
    fds = daemon.fds()
    path = daemon.socket_path("gmemd.sock")
    with RemotePeer(path, ATTACKER) as owner:
        vm = owner.call("vm.open", {"name": "in flight", "gate": "none"})["vm"]
        params = {"vm": vm, "size": PAGE, "backing": "memfd"}
        memory = owner.call("memory.create", params)["memory"]
        operators = [daemon.operator() for _ in range(6)]
        for operator in operators:
            operator.call("ping")
        old = daemon.limit_files(daemon.fds() + 40)
        try:
            for operator in operators:
                for i in range(30):
                    operator.send(request("memory.open", {"memory": memory}, i))
            slowest = slowest_answer(0.5)
            check(slowest < SECONDS_TO_ANSWER, "the quiet peer waited %.1f s" % slowest)
            daemon_time = daemon.cpu_seconds()
            time.sleep(1)
            spent = daemon.cpu_seconds() - daemon_time
            check(spent < 0.5, "gmemd was busy for %.2f s of 1 s" % spent)
        finally:
            daemon.limit_files(old)
        for operator in operators:
            for i in range(30):
                answer, received = operator.receive_answer()
                equal((answer["id"], len(received)), (i, 1), "the answer")
                for fd in received:
                    os.close(fd)
            operator.close()
    daemon.fds_come_back(fds)


@test("no room for another connection: gmemd rests, and serves when there is room")
def out_of_files():
    small = Daemon(files=40)
    path = small.socket_path("gmemd.sock")
    peer = small.peer()
    peer.call("ping")
    crowd = []
    for _ in range(60):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.connect(path)
        crowd.append(one)
    until = time.monotonic() + 60
    while small.fds() < 32 and time.monotonic() < until:  # an eighth is in reserve
        time.sleep(0.01)
    check(small.fds() >= 32, "there is room: %d fds" % small.fds())
    time.sleep(0.3)  # for what it had to say
    start = small.cpu_seconds()
    time.sleep(1)
    spent = small.cpu_seconds() - start
    check(spent < 0.5, "gmemd was busy for %.2f s of 1 s" % spent)
    check(small.alive(), "gmemd has ended")
    equal(peer.call("ping"), {}, "who is connected is served")
    waiting = Peer(path, SECONDS_TO_ANSWER)
    waiting.send(request("ping"))
    for one in crowd:
        one.close()
    equal(waiting.receive_answer()[0].get("result"), {}, "who waited at the door")
    late = Peer(path, SECONDS_TO_ANSWER)
    equal(late.call("ping"), {}, "who comes later")
    lines = small.log().splitlines()
    check(len(lines) < 50, "it logged %d lines" % len(lines))
    for one in (peer, waiting, late):
        one.close()
    small.stop()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
