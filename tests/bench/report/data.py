# SPDX-License-Identifier: LGPL-2.1-or-later
"""What guest memory is made, bound and filled by, beside the same ioctls and allocations without gmemd."""

import contextlib
import ctypes
import os
import threading
import time

from gmemtest import linux
from gmemtest.daemon import Daemon
from gmemtest.tap import Skip
from gmemtest.vmm import Vmm

from report import benchmark
from report.figures import say
from report.table import unique

NAME = "data"
ALONE = "ioctls alone"
MIB = 1 << 20
KEEP_SIZE, PUNCH_HOLE = 1, 2

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]


def calls(report):
    for name in ("calls", "slots", "exits"):
        benchmark.run(report, NAME, name, [benchmark.own("bench_" + name), benchmark.gmemd()])
    for subject in ("libgmem, gated", "with a keeper"):
        benchmark.target(report, NAME, "slots: one", subject, ALONE, 2.2)
        benchmark.target(report, NAME, "slots: eight", subject, ALONE, 1.1)
    benchmark.target(report, NAME, "KVM_RUN exits: exit", "gmemd, gated", "own VM, no gmemd", 0.98, at_least=True)


def shim(report):
    benchmark.run(report, NAME, "exits with --shim", benchmark.beside("bench_shim.py"), report.all_processors, PARTS="exits")


def convert(report):
    figures = benchmark.run(report, NAME, "convert", [benchmark.own("bench_convert")])
    for figure in figures:
        if figure.work.startswith("memory.convert of 256 ") and figure.subject.endswith(" kvm"):
            report.target(figure, figure.median, 2, "microseconds of a range")
    benchmark.run(report, NAME, "conversions", [benchmark.own("bench_conversions"), benchmark.gmemd()])
    for subject in ("libgmem, gated", "with a keeper"):
        benchmark.target(report, NAME, "conversions: convert 1", subject, ALONE, 1.5)
        benchmark.target(report, NAME, "conversions: convert 256", subject, ALONE, 1.1)


def preallocation(report, size):
    allocator = os.path.join(os.environ["BUILD_DIR"], "daemon", "gmemd-allocator")
    everywhere = {"processors": report.all_processors, "SIZE_MIB": str(size // MIB)}
    benchmark.run(report, NAME, "preallocation", [benchmark.own("bench_preallocation"), allocator], **everywhere)
    benchmark.run(report, NAME, "QEMU's prealloc", benchmark.beside("bench_populate.py"), **everywhere)
    for work in unique(one.work for one in report.figures if one.section == NAME):
        if work.startswith("preallocation by "):
            benchmark.target(report, NAME, work, "gmemd-allocator", "fallocate", 0.95, at_least=True)
            benchmark.target(report, NAME, work, "gmemd, populate", "and populate", 0.95, at_least=True)
        if " made ready by " in work:
            benchmark.target(report, NAME, work, "gmemd, memfd, populate", "QEMU, memfd", 1 / 0.95)
            benchmark.target(report, NAME, work, "gmemd, memfd, allocated alone", "QEMU, memfd", 1 / 3)


def punch(fd, offset, size):
    if libc.fallocate(fd, KEEP_SIZE | PUNCH_HOLE, offset, size) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def punch_by(threads, fd, size):
    part = size // threads
    all_of_them = [threading.Thread(target=punch, args=(fd, i * part, part)) for i in range(threads)]
    for one in all_of_them:
        one.start()
    for one in all_of_them:
        one.join()


def reclaim_ways(vmm, memory, fd, size):
    params = {"memory": memory, "ranges": [{"offset": 0, "size": size}]}
    return {
        "fallocate by 1 thread": lambda: punch_by(1, fd, size),
        "fallocate by 2 threads": lambda: punch_by(2, fd, size),
        "gmemd, memory.reclaim": lambda: vmm.peer.call("memory.reclaim", params),
    }


def reclaim_in_turn(report, vmm, size):
    """The same memory, filled before each."""
    memory, fd = vmm.create(size)
    taken = {}
    for _ in range(report.options.rounds):
        for name, way in reclaim_ways(vmm, memory, fd, size).items():
            vmm.peer.call("memory.preallocate", {"memory": memory})
            began = time.monotonic()
            way()
            taken.setdefault(name, []).append((time.monotonic() - began) * 1e3)
    os.close(fd)
    for name, values in taken.items():
        report.add(NAME, "%d MiB given back" % (size // MIB), name, "time", "ms", values)


def reclaim(report, size):
    try:
        linux.require_guest_memfd()
    except Skip as reason:
        report.skip(NAME, "memory.reclaim", reason)
        return
    benchmark.unpin(report.all_processors)
    with contextlib.ExitStack() as stack:
        stack.callback(report.pin)
        daemon = Daemon()
        stack.callback(daemon.stop)
        vmm = Vmm(daemon.peer(), "reclaim")
        stack.callback(vmm.close_files)
        reclaim_in_turn(report, vmm, size)
        vmm.peer.close()


def run(report):
    size = 64 * MIB if report.options.quick else 1024 * MIB
    say("data: calls, slots, exits, conversions, preallocation, reclaim")
    calls(report)
    shim(report)
    convert(report)
    preallocation(report, size)
    reclaim(report, size)
