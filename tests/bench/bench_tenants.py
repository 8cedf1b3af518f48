#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many tenants on one host: a VM of 8 slots for each, and 10 reservations, without any [tenant] section and with one for each user.

How many VMs a second are opened and given their slots, and what gmemd's processor does for one; what vm.list and tenant.list take, page by page;
what gmemd's memory is for a VM; and how much of a processor it uses when nothing happens. BACKEND: model (kvm); TENANTS: how many (1000).
GMEMD_OTHER_BUILD is another build's folder, an older one's say, that is measured beside this one, in turn; ROUNDS: how often (2).
"""

import contextlib
import os
import resource
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.wire import Peer, RpcError

BACKEND = os.environ.get("BACKEND", "model")
TENANTS = int(os.environ.get("TENANTS", "1000"))
FIRST = 100000
SLOTS = 8
RESERVATIONS = 10
ROUNDS = int(os.environ.get("ROUNDS", "2"))
LISTS = 50
IDLE_SECONDS = 5
COMMON = "[limits]\nhost-reserve = 0\n[pressure]\nfloor = 0\n"


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def memory_of(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss_Anon:")) * 1024


def run_time(pid):
    """Seconds on a processor of all its threads, exact to the nanosecond."""
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, thread), encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def vmm(path):
    def run(channel):
        channel.socket.settimeout(None)  # its turn comes when all before it are done
        channel.hear()
        began = time.monotonic()
        peer = Peer(path)
        vm = peer.call("vm.open", {"name": "vm", "gate": "none"})["vm"]
        for slot in range(SLOTS):
            params = {"vm": vm, "slot": slot, "guest_phys_addr": slot * PAGE, "memory_size": PAGE, "userspace_addr": 1 << 30, "memory": None}
            peer.call("slot.bind", dict(params, guest_memfd_offset=0, guest_memfd=0))
        channel.say(time.monotonic() - began)
        channel.hear()

    return run


def time_list(operator, method):
    """Of each page, in microseconds; None where there is no such method."""
    taken = []
    for _ in range(LISTS):
        params = {}
        while True:
            began = time.monotonic()
            try:
                page = operator.call(method, params)
            except RpcError:
                return None
            taken.append((time.monotonic() - began) * 1e6)
            if "cursor" not in page:
                break
            params = {"cursor": page["cursor"]}
    return taken


def reserve(operator):
    for number in range(RESERVATIONS):
        with contextlib.suppress(RpcError):  # an older gmemd has none
            operator.call("reservation.create", {"name": "r%d" % number, "size": PAGE, "ttl_ms": 3600000})


def open_all(daemon, children):
    """How long each took."""
    taken = []
    for child in children:
        child.channel.say(0)
        taken.append(child.channel.hear())
    return taken


def measure(build, config):
    os.environ["BUILD_DIR"] = build
    daemon = Daemon(config=config, backend=BACKEND)
    with contextlib.ExitStack() as stack:
        stack.callback(daemon.stop)
        operator = daemon.operator()
        reserve(operator)
        children = [stack.enter_context(Child(vmm(daemon.socket_path("gmemd.sock")), FIRST + i)) for i in range(TENANTS)]
        before, ran = memory_of(daemon.pid), run_time(daemon.pid)
        taken = open_all(daemon, children)
        figures = {
            "VMs opened a second": len(taken) / sum(taken),
            "gmemd's processor time for one, us": (run_time(daemon.pid) - ran) / TENANTS * 1e6,
            "opening one, p99, us": percentile(taken, 0.99) * 1e6,
            "gmemd's memory for one, KiB": (memory_of(daemon.pid) - before) / 1024 / TENANTS,
        }
        for method in ("vm.list", "tenant.list"):
            pages = time_list(operator, method)
            figures[method + ", a page, p99, us"] = pages and percentile(pages, 0.99)
        time.sleep(1)
        ran = run_time(daemon.pid)
        time.sleep(IDLE_SECONDS)
        figures["idle, % of a processor"] = (run_time(daemon.pid) - ran) / IDLE_SECONDS * 100
        operator.close()
        return figures


def median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def show(subjects, taken):
    names = list(taken[0][0])
    print("%-36s" % "" + "".join("%14s" % what for what, _, _ in subjects))
    for name in names:
        values = [median([figures[name] for figures in of]) for of in taken]
        print("%-36s" % name + "".join("%14s" % ("-" if value is None else "%.3g" % value if value < 1 else "%.1f" % value) for value in values))
    if len(subjects) > 2:
        for which in (0, 1):
            ratio = median([this["VMs opened a second"] / that["VMs opened a second"] for this, that in zip(taken[which], taken[2])])
            print("open rate, %s beside the other build: %.2f" % (subjects[which][0], ratio))


def main():
    linux.require_root()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    this, other = os.environ["BUILD_DIR"], os.environ.get("GMEMD_OTHER_BUILD")
    sections = "".join("[tenant t%d]\nusers = %d\nlimit = 1073741824\n" % (i, FIRST + i) for i in range(TENANTS))
    subjects = [("no sections", this, COMMON), ("%d sections" % TENANTS, this, COMMON + sections)]
    subjects += [("other build", other, COMMON)] if other else []
    taken = [[] for _ in subjects]
    for _ in range(ROUNDS):
        for results, (_, build, config) in zip(taken, subjects):
            results.append(measure(build, config))
    show(subjects, taken)
    if not other:
        print("GMEMD_OTHER_BUILD names no other build to compare with")


if __name__ == "__main__":
    main()
