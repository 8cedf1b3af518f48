#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many tenants on one host: a VM of 8 slots for each, without any [tenant] section and with one for each user.

How many VMs a second are opened and given their slots; what vm.list and tenant.list take, page by page; what gmemd's memory is for a VM; and
how much of a processor it uses when nothing happens. BACKEND: model (kvm); TENANTS: how many (1000).
"""

import contextlib
import os
import resource
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
LISTS = 50
IDLE_SECONDS = 5
COMMON = "[limits]\nhost-reserve = 0\n[pressure]\nfloor = 0\n"


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def memory_of(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss_Anon:")) * 1024


def processor_of(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def vmm(path):
    def run(channel):
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
    taken = []
    for _ in range(LISTS):
        params = {}
        while True:
            began = time.monotonic()
            page = operator.call(method, params)
            taken.append(time.monotonic() - began)
            if "cursor" not in page:
                break
            params = {"cursor": page["cursor"]}
    return "p50 %.0f us, p99 %.0f us a page" % (percentile(taken, 0.5) * 1e6, percentile(taken, 0.99) * 1e6)


def measure(what, config):
    daemon = Daemon(config=config, backend=BACKEND)
    with contextlib.ExitStack() as stack:
        stack.callback(daemon.stop)
        operator = daemon.operator()
        children = [stack.enter_context(Child(vmm(daemon.socket_path("gmemd.sock")), FIRST + i)) for i in range(TENANTS)]
        before, taken = memory_of(daemon.pid), []
        for child in children:
            child.channel.say(0)
            taken.append(child.channel.hear())
        after = memory_of(daemon.pid)
        print("%s: %.0f VMs of %d slots a second, p50 %.0f us, p99 %.0f us" % (what, len(taken) / sum(taken), SLOTS, percentile(taken, 0.5) * 1e6, percentile(taken, 0.99) * 1e6))
        print("%s: gmemd's memory: %.1f KiB for a VM" % (what, (after - before) / 1024 / TENANTS))
        for method in ("vm.list", "tenant.list"):
            try:
                print("%s: %s: %s" % (what, method, time_list(operator, method)))
            except RpcError as e:
                print("%s: %s: %s" % (what, method, e.error["message"]))
        used = processor_of(daemon.pid)
        time.sleep(IDLE_SECONDS)
        print("%s: idle: %.3f %% of a processor" % (what, (processor_of(daemon.pid) - used) / IDLE_SECONDS * 100))
        operator.close()


def main():
    linux.require_root()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    measure("no sections", COMMON)
    sections = ["[tenant t%d]\nusers = %d\nlimit = 1073741824\n" % (i, FIRST + i) for i in range(TENANTS)]
    measure("%d sections" % TENANTS, COMMON + "".join(sections))


if __name__ == "__main__":
    main()
