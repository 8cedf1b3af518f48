#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What watching costs with many VMs: gmemctl's views, a scrape of gmemd-exporter, and others' pings meanwhile.

How long each takes and how much memory; how long gmemd's loop is at the exporter's requests, by gmemd's own histogram and by
the pings of another. VMS: how many (1000), each of two memories and four slots, on the model.
"""

import contextlib
import http.client
import os
import resource
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.wire import Peer

CLIENT = os.path.join(os.environ["BUILD_DIR"], "client")
VMS = int(os.environ.get("VMS", "1000"))
RUNS = 10
MIB = 1 << 20
CONFIG = "[limits]\nhost-reserve = 0\nvms-per-user = %d\npeers-per-user = %d\nmemories-per-user = %d\n[pressure]\nfloor = 0\n" % (VMS + 10, VMS + 10, 4 * VMS)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def told(what, seconds, more=""):
    figures = tuple(1000 * percentile(seconds, part) for part in (0.5, 0.99))
    print("%-32s p50 %.1f ms, p99 %.1f ms%s" % (what, *figures, more), flush=True)


def vmm(path, number):
    def run(channel):
        peer = Peer(path)
        vm = peer.call("vm.open", {"name": "machine-%04d" % number, "gate": "none"})["vm"]
        for part in range(2):
            memory = peer.call("memory.create", {"vm": vm, "size": MIB})["memory"]
            for slot in range(2 * part, 2 * part + 2):
                place = {"guest_phys_addr": slot * MIB // 2, "memory_size": MIB // 2, "guest_memfd_offset": slot % 2 * MIB // 2}
                peer.call("slot.bind", {"vm": vm, "slot": slot, "userspace_addr": 1 << 30, "memory": memory, "guest_memfd": 0, **place})
        channel.say(vm)
        channel.socket.settimeout(None)
        channel.hear()

    return run


# A process has what its parent had as its own peak: so this one starts it, which has little.
LAUNCHER = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
print(os.wait4(pid, 0)[2].ru_maxrss)
"""


def peak_of(command):
    """MiB, or what a Python without anything has, whichever is more."""
    done = subprocess.run([sys.executable, "-S", "-E", "-c", LAUNCHER, *command], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def time_command(daemon, *arguments):
    command = [os.path.join(CLIENT, "gmemctl"), "--socket=" + daemon.socket_path("admin.sock"), *arguments]
    seconds, processor = [], 0
    for _ in range(RUNS):
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        seconds.append(time.monotonic() - began)
        processor += (usage.ru_utime + usage.ru_stime) / RUNS
        if status != 0:
            sys.exit("gmemctl %s has failed" % (arguments,))
    told("gmemctl " + " ".join(arguments), seconds, ", %.1f ms of processor, at most %.1f MiB" % (1000 * processor, peak_of(command)))


def pings(operator, stop):
    taken = []
    while not stop.is_set():
        began = time.monotonic()
        operator.call("ping")
        taken.append(time.monotonic() - began)
        time.sleep(0.001)
    return taken


def scrape(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.monotonic()
    connection.request("GET", "/metrics")
    length = len(connection.getresponse().read())
    connection.close()
    return time.monotonic() - began, length


def times_of(operator):
    """Of each method, how many requests there were and what they took, in microseconds."""
    return {one["method"]: (one["count"], one["sum_us"]) for one in operator.call("metrics.get")["gmemd_request_duration_seconds"]["methods"]}


def time_scrapes(daemon, operator, *options):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    process = subprocess.Popen([os.path.join(CLIENT, "gmemd-exporter"), "--socket=" + daemon.socket_path("admin.sock"), "--listen=127.0.0.1:%d" % port, *options], preexec_fn=linux.die_with_parent)
    time.sleep(1)
    first, length = scrape(port)  # pages are counted for that
    before, seconds, meanwhile = times_of(operator), [], []
    for _ in range(RUNS):
        time.sleep(1.1)  # so that it is made anew
        stop, own = threading.Event(), daemon.operator()
        thread = threading.Thread(target=lambda own=own, stop=stop: meanwhile.extend(pings(own, stop)))
        thread.start()
        time.sleep(0.05)
        seconds.append(scrape(port)[0])
        stop.set()
        thread.join()
        own.close()
    after = times_of(operator)
    with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
        memory = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    what = " ".join(["scrape", *options])
    told(what, seconds, ", the first %.1f ms, %d KiB of text, exporter %.1f MiB" % (1000 * first, length // 1024, memory / 1024))
    told("  another's ping meanwhile", meanwhile, ", max %.1f ms" % (1000 * max(meanwhile)))
    for method in ("metrics.get", "node.list", "vm.list"):
        count, sum_us = (after[method][i] - before[method][i] for i in (0, 1))
        if count > 0:
            print("    %-28s %.0f us each, %d of them" % (method, sum_us / count, count))
    process.terminate()
    process.wait()


def time_pings(daemon):
    stop, own, taken = threading.Event(), daemon.operator(), []
    thread = threading.Thread(target=lambda: taken.extend(pings(own, stop)))
    thread.start()
    time.sleep(3)
    stop.set()
    thread.join()
    own.close()
    told("ping with nothing beside", taken, ", max %.1f ms" % (1000 * max(taken)))


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    daemon = Daemon(config=CONFIG, backend="model")
    with contextlib.ExitStack() as stack:
        stack.callback(daemon.stop)
        children = [stack.enter_context(Child(vmm(daemon.socket_path("gmemd.sock"), number))) for number in range(VMS)]
        vms = [child.channel.hear() for child in children]
        operator = daemon.operator()
        print("%d VMs" % len(vms))
        for arguments in (["vms"], ["status"], ["show", vms[VMS // 2]], ["show", "machine-%04d" % (VMS // 2)], ["top", "--count=1"], ["nodes"], ["metrics", "--vms"]):
            time_command(daemon, *arguments)
        time_pings(daemon)
        time_scrapes(daemon, operator)
        time_scrapes(daemon, operator, "--vms")
        operator.close()
        for child in children:
            child.channel.say(None)


main()
