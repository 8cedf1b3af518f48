#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a quiet peer notices while others' memory is allocated and released in bulk.

Its pings, one every 200 us, while nothing happens, while a VM's memory is preallocated, and while it
is released; then how long the memory of a killed VM takes to be back on the host, beside one punch of
as much by this program. Sizes are what the host has room for, MOST_GIB (16) and half of it at most.
"""

import ctypes
import os
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.tap import Skip
from gmemtest.vmm import Vmm
from telling import rounds, tell

GIB = 1 << 30
INTERVAL = 200e-6
KEEP_SIZE, PUNCH_HOLE = 1, 2
KVM_CREATE_GUEST_MEMFD = 0xC040AED4
ROUNDS = rounds(5)
MOST = int(os.environ.get("MOST_GIB", "16")) * GIB
IDLE_SECONDS = float(os.environ.get("SECONDS", "2"))

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]

daemon = None


def available():
    with open("/proc/meminfo", encoding="ascii") as file:
        [line] = [line for line in file if line.startswith("MemAvailable:")]
    return int(line.split()[1]) * 1024


def sized(most):
    return min(most, available() * 3 // 4 // GIB * GIB)


def quiet_peer(channel):
    peer = daemon.operator()
    while True:
        question, seconds = channel.hear()
        taken = []
        end = time.monotonic() + seconds
        channel.socket.setblocking(False)
        while time.monotonic() < end:
            began = time.monotonic()
            peer.call("ping")
            taken.append(time.monotonic() - began)
            time.sleep(INTERVAL)
            try:
                channel.socket.recv(16)
                break
            except BlockingIOError:
                pass
        channel.socket.setblocking(True)
        taken.sort()
        figures = [taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1]]
        channel.say([question, len(taken)] + [round(s * 1e6) for s in figures])


def while_pinging(quiet, name, work):
    quiet.channel.say([name, 600])
    time.sleep(0.2)
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    time.sleep(0.2)
    quiet.channel.socket.send(b"stop")
    name, count, median, p99, longest = quiet.channel.hear()
    for part, value in (("p50", median), ("p99", p99), ("longest", longest)):
        tell("a quiet peer's pings, nobody hostile", name, part, "us", [value])
    print(
        "%-24s %5.2f s, %6d pings: median %4d us, p99 %5d us, longest %6d us"
        % (name, seconds, count, median, p99, longest)
    )


def vmm_body(channel):
    own = Vmm(daemon.peer(), "other")
    memory, _ = own.create(channel.hear()[0])
    channel.say(memory)
    while True:
        channel.hear()
        channel.say(own.peer.call("memory.preallocate", {"memory": memory}))


def bulk(quiet):
    size = sized(MOST)
    with Child(vmm_body) as vmm:
        memory = vmm.ask(size)
        while_pinging(quiet, "idle", lambda: time.sleep(IDLE_SECONDS))
        while_pinging(quiet, "preallocating %d GiB" % (size // GIB), lambda: vmm.ask("go"))
        operator = daemon.operator()
        close = lambda: operator.call("memory.close", {"memory": memory})
        while_pinging(quiet, "releasing them", close)


def punch_directly(size):
    """Of a guest_memfd of this process's own."""
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    vm = linux.ioctl(kvm, linux.KVM_CREATE_VM, 0)
    arguments = ctypes.create_string_buffer(struct.pack("=QQ48x", size, 0), 64)
    fd = linux.ioctl(vm, KVM_CREATE_GUEST_MEMFD, ctypes.addressof(arguments))
    if libc.fallocate(fd, KEEP_SIZE, 0, size) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")
    began = time.monotonic()
    libc.fallocate(fd, KEEP_SIZE | PUNCH_HOLE, 0, size)
    seconds = time.monotonic() - began
    for file in (fd, vm, kvm):
        os.close(file)
    return seconds


def release_killed(size):
    """Until gmemd has told of the VM's release, which is when its last page is back."""
    operator = daemon.operator()
    operator.call("event.subscribe")
    with Child(vmm_body) as vmm:
        vmm.ask(size)
        vmm.ask("go")
        operator.call("ping")
        operator.events.clear()
        began = time.monotonic()
        os.kill(vmm.pid, signal.SIGKILL)
        while not any(event["kind"] == "vm_released" for event in operator.events):
            message, _ = operator.receive()
            operator.events.append(message["params"])
        return time.monotonic() - began


def main():
    global daemon
    os.environ["BUILD_DIR"] = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[1])))
    try:
        linux.require_guest_memfd()
    except Skip as skip:
        print("skipped:", skip)
        return
    daemon = Daemon()
    try:
        with Child(quiet_peer) as quiet:
            bulk(quiet)
        size = sized(MOST // 2)
        pairs = sorted(
            (release_killed(size) - punch_directly(size)) * 1000 for _ in range(ROUNDS)
        )
        tell("a killed VM's %d GiB released, beyond one punch of as much" % (size // GIB), "gmemd", "time", "ms", pairs)
        print(
            "release of a killed VM with %d GiB, beyond one punch of as much: median %.0f ms, "
            "from %.0f to %.0f" % (size // GIB, pairs[ROUNDS // 2], pairs[0], pairs[-1])
        )
    finally:
        daemon.stop()


main()
