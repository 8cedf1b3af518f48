# SPDX-License-Identifier: LGPL-2.1-or-later
"""The least that each can be asked, and what gmemd is asked most, by 1, 8 and 64 clients at once.

All clients and the server are on one processor. In each round each subject is measured once, in turn. Bare packets are answered by a
process for each client, so with many clients these are no floor: a server that takes many packets when it is awake switches less.
"""

import contextlib
import json
import os
import subprocess

from gmemtest import linux
from gmemtest.daemon import Daemon
from gmemtest.tap import Skip
from gmemtest.wire import encode, request

from report import benchmark, peers
from report.figures import FAILED, higher_is_better, say

NAME = "control"
SECONDS = 120  # at most, for one round of one subject
CLIENTS = (1, 8, 64)
LEAST_OF_CLIENT = 500  # requests
MEASURES = (("p50", "us"), ("p99", "us"), ("requests", "a second"))
GMEMD = "gmemd, ping"
FLOOR = ("bare packets", "bare packets with a file")
TO_OTHER_BUILD = (("ping, gmemd's processor time", 0.6), ("ping, round trip", 0.7), ("memory made, warm", 0.8), ("memory closed, warm", 0.8))
IN_PROCESS = "libvirt in the process"


class Subject:
    def __init__(self, name, kind, address="-", word="-", slower=1):
        self.name, self.kind, self.address, self.word = name, kind, address, word
        self.slower = slower  # so many times fewer requests are asked
        self.values = {}


def clients(subject, count, requests):
    program = os.path.join(os.environ["BUILD_DIR"], "tests", "bench", "report", "clients")
    requests = max(requests // subject.slower, count)
    words = [program, subject.kind, subject.address, subject.word, str(count), str(requests)]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise Skip(FAILED + ": it does not answer") from None
    if ended.returncode != 0:
        raise Skip("%s: %s" % (FAILED, benchmark.last_line(ended.stderr)))
    return json.loads(ended.stdout)


def own_subjects(daemon):
    socket = daemon.socket_path("gmemd.sock")
    return [
        Subject(FLOOR[0], "bare"),
        Subject(FLOOR[1], "bare-file"),
        Subject(GMEMD, "packet", socket, encode(request("ping")).decode()),
        Subject("gmemd, host.describe", "packet", socket, encode(request("host.describe")).decode()),
        Subject("gmemd, vm.get of 64 slots", "vm", socket, "vm.get", slower=4),
        Subject("gmemd, memory.open", "vm", socket, "memory.open"),
    ]


RIVALS = (
    ("libevent and json-c echo", lambda: peers.Echo(), "packet", 1),
    ("dbus-daemon, Peer.Ping", lambda: peers.DbusDaemon(), "dbus", 1),
    ("dbus-broker, Peer.Ping", lambda: peers.DbusBroker(), "dbus", 1),
    ("QEMU, query-status", lambda: peers.Qemu(max(CLIENTS)), "qmp", 8),
    ("libvirtd, virDomainGetInfo", lambda: peers.Libvirtd(), "libvirt", 2),
)


def rival_subjects(report, stack):
    ping = encode(request("ping")).decode()
    for name, start, kind, slower in RIVALS:
        try:
            server = start()
        except Skip as reason:
            report.skip(NAME, name, reason)
            continue
        stack.callback(server.stop)
        yield Subject(name, kind, server.address, ping, slower)
    yield Subject(IN_PROCESS, "libvirt", "test:///default")


def requests_of(report, count):
    """At least so many of each client that the slowest of a hundred are more than one round of all of them."""
    return report.options.requests if report.options.quick else max(report.options.requests, LEAST_OF_CLIENT * count)


def measure(report, subjects, count):
    left = list(subjects)
    for _ in range(report.options.rounds):
        for subject in list(left):
            try:
                told = clients(subject, count, requests_of(report, count))
            except Skip as reason:
                report.skip(NAME, "%s, %d clients" % (subject.name, count), reason)
                left.remove(subject)
                continue
            for measure_name, _ in MEASURES:
                subject.values.setdefault((count, measure_name), []).append(told[measure_name])


def work_of(count):
    return "%d client%s" % (count, "" if count == 1 else "s")


def tell(report, subjects):
    for count in CLIENTS:
        for subject in subjects:
            for name, unit in MEASURES:
                values = subject.values.get((count, name))
                if values:
                    report.add(NAME, work_of(count), subject.name, name, unit, values)


def set_targets(report):
    """Ahead of the echo and of each daemon; bare packets are the floor, and libvirt in the process is no daemon."""
    for count in CLIENTS:
        for rival, _, _, _ in RIVALS:
            for name, unit in MEASURES:
                ours = report.find(NAME, work_of(count), GMEMD, name)
                theirs = report.find(NAME, work_of(count), rival, name)
                if ours and theirs:
                    what = "gmemd's ping, %s" % unit
                    report.target(theirs, ours.median, theirs.median, what, at_least=higher_is_better(unit))


def backend(report, section):
    """KVM's, or aloud the model."""
    try:
        linux.require_guest_memfd()
        return "kvm"
    except Skip as reason:
        report.skip(section, "VMs of KVM's", "%s; those of the model are in their place" % reason)
        return "model"


def beside_other_build(report):
    """An older one's, say: it speaks another contract perhaps, so the benchmark of both knows it."""
    if "GMEMD_OTHER_BUILD" not in os.environ:
        report.skip(NAME, "beside another build", "GMEMD_OTHER_BUILD names no build folder of another commit")
        return
    benchmark.run(report, NAME, "beside another build", benchmark.beside("bench_builds.py") + [benchmark.gmemd()])
    for work, limit in TO_OTHER_BUILD:
        benchmark.target(report, NAME, work, "this build", "the other build", limit)


def run(report):
    say("control: gmemd beside its peers, %s" % ", ".join(work_of(count) for count in CLIENTS))
    with contextlib.ExitStack() as stack:
        daemon = Daemon(backend=backend(report, NAME))
        stack.callback(daemon.stop)
        subjects = own_subjects(daemon) + list(rival_subjects(report, stack))
        for count in CLIENTS:
            measure(report, subjects, count)
    tell(report, subjects)
    set_targets(report)
    beside_other_build(report)
