#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""This build beside another one: what a ping takes of gmemd's processor time and in all, and how long
it takes to make and close a memory, by a process that has done so before (warm) and by one that has not
(cold).

GMEMD_OTHER_BUILD is the other's build folder. Both serve in turn, pinned to one processor with their
peer; medians. It speaks both versions of the contract: version 1 sent files, version 2 names them.
"""

import array
import os
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.tap import Skip
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer, encode, request
from telling import rounds, tell

ROUNDS, PINGS, MEMORIES, COLD = rounds(9), 20000, 300, 5
PROCESSOR = {0}


class FilePeer(Peer):
    """Sends the files that a report names where the contract wants that."""

    sends_files = False

    def call(self, method, params=None):
        if method != "call.done" or not self.sends_files or "fd" not in params:
            return super().call(method, params)
        files = array.array("i", [params["fd"]])
        self.number += 1
        packet = encode(request(method, dict(params, fd=0), self.number))
        self.socket.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        answer, _ = self.receive_answer()
        return answer["result"]


def connect(daemon):
    peer = FilePeer(daemon.socket_path("gmemd.sock"))
    peer.sends_files = peer.call("host.describe").get("protocol", 1) < 2
    return peer


def run_time(pid):
    """Seconds on a processor, user and system, exact to the nanosecond (schedstat)."""
    with open("/proc/%d/schedstat" % pid, encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def pings(daemon):
    peer = connect(daemon)
    packet = encode(request("ping", number=1))
    for _ in range(1000):
        peer.socket.send(packet)
        peer.socket.recv(4096)
    began, spent = time.monotonic(), run_time(daemon.pid)
    for _ in range(PINGS):
        peer.socket.send(packet)
        peer.socket.recv(4096)
    spent, taken = run_time(daemon.pid) - spent, time.monotonic() - began
    peer.close()
    return {"ping, gmemd's processor time": spent / PINGS, "ping, round trip": taken / PINGS}


def make_and_close(vmm):
    began = time.monotonic()
    memory, fd = vmm.create(PAGE)
    made = time.monotonic()
    os.close(fd)
    vmm.peer.call("memory.close", {"memory": memory})
    return made - began, time.monotonic() - made


def memories(daemon):
    def body(channel):
        vmm = Vmm(connect(daemon), "bench")
        cold = make_and_close(vmm)
        warm = [make_and_close(vmm) for _ in range(MEMORIES)]
        channel.say([cold, [statistics.median(one) for one in zip(*warm)]])
        channel.hear()

    cold, warm = [], []
    for _ in range(COLD):
        with Child(body) as child:
            one, many = child.channel.hear()
            child.channel.say("end")
        cold.append(one)
        warm.append(many)
    made, closed = (statistics.median(one) for one in zip(*warm))
    first, closed_first = (statistics.median(one) for one in zip(*cold))
    return {
        "memory made, warm": made,
        "memory closed, warm": closed,
        "memory made, cold": first,
        "memory closed, cold": closed_first,
    }


def measure(build):
    os.environ["BUILD_DIR"] = build
    daemon = Daemon()
    os.sched_setaffinity(daemon.pid, PROCESSOR)
    try:
        return dict(pings(daemon), **memories(daemon))
    finally:
        daemon.stop()


def main():
    other = os.environ.get("GMEMD_OTHER_BUILD")
    if not other:
        raise Skip("GMEMD_OTHER_BUILD names no other build to compare with")
    linux.require_guest_memfd()
    builds = [os.path.dirname(os.path.dirname(sys.argv[1])), other]
    os.sched_setaffinity(0, PROCESSOR)
    taken = [[], []]
    for _ in range(ROUNDS):
        for results, build in zip(taken, builds):
            results.append(measure(build))
    for name in taken[0][0]:
        this, that = ([one[name] for one in results] for results in taken)
        for subject, values in (("this build", this), ("the other build", that)):
            tell(name, subject, "time", "us", [one * 1e6 for one in values])
        ratio = statistics.median(a / b for a, b in zip(this, that))
        print(
            "%-30s %8.2f us, the other %8.2f us, ratio %.2f"
            % (name, statistics.median(this) * 1e6, statistics.median(that) * 1e6, ratio)
        )


if __name__ == "__main__":
    try:
        main()
    except Skip as skipped:
        print("skipped: %s" % skipped)
