#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others notice of one user who asks for as much as it can.

A quiet peer's pings while nothing happens, and beside 2,040 connections of a hostile user that send
batches of 64 host.describe; gmemd and the quiet peer share a processor, the hostile user has the
others. How long the memory of a killed VM takes to be released, alone and in turn beside 300
connections that have a page reclaimed and all others counted without end; and an operator's vm.list
meanwhile. The second part is not pinned, for it is of two threads.
"""

import os
import resource
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.flood import Flood, vmm_with
from gmemtest.linux import PAGE
from gmemtest.tap import Skip
from gmemtest.wire import request
from telling import rounds, tell

HOSTILE, QUIET, VICTIM = 54343, 54344, 54345

GIB = 1 << 30
FILES = 12000
PROCESSOR = {0}
SECONDS = float(os.environ.get("SECONDS", "5"))
INTERVAL = 1e-3
ROUNDS = rounds(7)

daemon = None


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def quiet_peer(channel):
    os.sched_setaffinity(0, PROCESSOR)
    peer = daemon.peer()
    while True:
        seconds = channel.hear()
        taken = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            peer.call("ping")
            taken.append(time.monotonic() - began)
            time.sleep(INTERVAL)
        channel.say(taken)


def describes(_):
    return [request("host.describe", number=i) for i in range(64)]


def tell_pings(name, taken):
    figures = [percentile(taken, part) * 1e6 for part in (0.5, 0.99, 1)]
    for part, value in zip(("p50", "p99"), figures):
        tell("a quiet peer's pings", name, part, "us", [value])
    print("%-36s %5d pings: median %4.0f us, p99 %5.0f us, longest %6.0f us" % (name, len(taken), *figures))
    return figures[1]


def pings():
    with Child(quiet_peer, QUIET) as quiet:
        quiet.channel.say(SECONDS)
        idle = tell_pings("idle", quiet.channel.hear())
        with Flood(daemon, HOSTILE, 2040, describes) as flood:
            before, began = flood.answers(), time.monotonic()
            quiet.channel.say(SECONDS)
            beside = tell_pings("beside 2,040 connections", quiet.channel.hear())
            batches = (flood.answers() - before) / (time.monotonic() - began)
    print(
        "p99 beside them %.2f ms, %.1f times the idle one; %.0f batches of theirs a second"
        % (beside / 1e3, beside / idle, batches)
    )
    print("target: at most 1 ms, and at most 20 times the idle one")


def victim(channel):
    channel.hear()
    vmm_with(daemon, 2 * GIB)()
    channel.say("ready")
    channel.hear()


def release_killed():
    """Until gmemd has told of the VM's release, which is when its last page is back."""
    listener = daemon.operator()
    listener.call("event.subscribe")
    with Child(victim, VICTIM) as vmm:
        vmm.ask("go")
        listener.call("ping")
        listener.events.clear()
        began = time.monotonic()
        os.kill(vmm.pid, signal.SIGKILL)
        while not any(event["kind"] == "vm_released" for event in listener.events):
            message, _ = listener.receive()
            listener.events.append(message["params"])
        taken = time.monotonic() - began
    listener.close()
    return taken


def counted_pages(vmm):
    params = {"memory": vmm.memory, "ranges": [{"offset": 0, "size": PAGE}]}
    return [request("memory.reclaim", params, i) for i in range(64)]


def lists(seconds):
    operator = daemon.operator()
    taken = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        operator.call("vm.list")
        taken.append(time.monotonic() - began)
        time.sleep(INTERVAL)
    operator.close()
    return taken


def releases():
    alone, beside, listed = [], [], []
    release_killed()
    for _ in range(ROUNDS):
        alone.append(release_killed())
        with Flood(daemon, HOSTILE, 300, counted_pages, vmm_with(daemon, GIB)):
            beside.append(release_killed())
            listed += lists(0.5)
    for name, values in (("alone", alone), ("beside 300 connections that count", beside)):
        tell("release of a killed VM of 2 GiB", name, "time", "ms", [one * 1e3 for one in values])
    tell("an operator's vm.list", "beside 300 connections that count", "p99", "ms", [percentile(listed, 0.99) * 1e3])
    figures = [statistics.median(values) * 1e3 for values in (alone, beside)]
    print(
        "release of a killed VM of 2 GiB: alone %.0f ms, beside 300 connections that count %.0f ms; "
        "ratio %.2f" % (*figures, figures[1] / figures[0])
    )
    print("target: at most 1.20")
    print(
        "an operator's vm.list meanwhile: median %.1f ms, p99 %.1f ms"
        % (percentile(listed, 0.5) * 1e3, percentile(listed, 0.99) * 1e3)
    )
    print("target: at most 20 ms")


def main():
    global daemon
    os.environ["BUILD_DIR"] = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[1])))
    try:
        linux.require_guest_memfd()
        linux.require_root()
    except Skip as skip:
        print("skipped:", skip)
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    all_processors = os.sched_getaffinity(0)
    for part, processors in ((pings, PROCESSOR), (releases, all_processors)):
        os.sched_setaffinity(0, processors)
        daemon = Daemon(files=FILES)
        os.sched_setaffinity(0, all_processors - PROCESSOR or all_processors)
        try:
            part()
        finally:
            daemon.stop()


main()
