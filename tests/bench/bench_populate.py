#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that is ready before a guest starts: memory.preallocate with populate beside QEMU's prealloc=on.

Both by a request to a process that runs already, with as many threads, in turn: gmemd's of a memfd and, where there is KVM,
of a guest_memfd; QEMU's of memory-backend-memfd, and of anonymous memory with transparent huge pages. Without populate pages
are allocated alone; what its first touch costs then is shown as well: one populated after it was allocated.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))

from gmemtest import linux
from gmemtest.daemon import Daemon
from gmemtest.tap import Skip
from gmemtest.vmm import Vmm
from telling import rounds, tell

SIZE = int(os.environ.get("SIZE_MIB", "1024")) << 20
THREADS = [n for n in (1, 2, 4, 8) if n <= len(os.sched_getaffinity(0))]
ROUNDS = rounds(int(os.environ.get("ROUNDS", "7")))
TARGETS = "targets: populate at least 0.95 of QEMU's memfd, allocated alone at least 3"


class Qemu:
    """Without a machine: its memory backends alone, by QMP."""

    def __init__(self):
        program = shutil.which("qemu-system-x86_64")
        if not program:
            raise Skip("there is no qemu-system-x86_64")
        self.directory = tempfile.TemporaryDirectory(prefix="gmemd-bench-")
        path = self.directory.name + "/qmp"
        words = [program, "-machine", "none", "-display", "none", "-S", "-qmp", "unix:%s,server=on" % path]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.01)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.call("qmp_capabilities")

    def call(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise OSError(answer["error"]["desc"])
            if "return" in answer:
                return

    def seconds(self, kind, threads):
        options = {"qom-type": kind, "id": "ram", "size": SIZE, "prealloc": True, "prealloc-threads": threads}
        began = time.monotonic()
        self.call("object-add", **options)
        taken = time.monotonic() - began
        self.call("object-del", id="ram")
        return taken

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()


def preallocated(vmm, options, threads, *populates):
    """The seconds of each of some requests, of one memory."""
    memory, fd = vmm.create(SIZE, **options)
    taken = []
    for populate in populates:
        began = time.monotonic()
        vmm.peer.call("memory.preallocate", {"memory": memory, "threads": threads, "populate": populate})
        taken.append(time.monotonic() - began)
    os.close(fd)
    vmm.peer.call("memory.close", {"memory": memory})
    return taken


def one_round(vmm, qemu, backings, threads, figures):
    def note(name, seconds):
        figures.setdefault(name, []).append(seconds)

    note("QEMU, memfd", qemu.seconds("memory-backend-memfd", threads))
    note("QEMU, anonymous, huge pages", qemu.seconds("memory-backend-ram", threads))
    for name, options in backings.items():
        note(name + ", populate", preallocated(vmm, options, threads, True)[0])
        alone, rest = preallocated(vmm, options, threads, False, True)
        note(name + ", allocated alone", alone)
        note(name + ", and populated later", rest)


def compare(vmm, qemu, backings):
    print("%d MiB made ready, ms: medians of %d rounds, in turn; its speed in QEMU's of a memfd" % (SIZE >> 20, ROUNDS))
    for threads in THREADS:
        figures = {}
        for _ in range(ROUNDS):
            one_round(vmm, qemu, backings, threads, figures)
        floor = figures["QEMU, memfd"]
        for name, taken in figures.items():
            tell("%d MiB made ready by %d thread%s" % (SIZE >> 20, threads, "s"[: threads - 1]), name, "time", "ms", [one * 1e3 for one in taken])
            ratios = sorted(other / own for own, other in zip(taken, floor))
            row = (threads, name, sorted(taken)[ROUNDS // 2] * 1e3, min(taken) * 1e3, max(taken) * 1e3, ratios[ROUNDS // 2])
            print("%2d threads  %-34s %8.1f  (%.1f to %.1f)  %6.2f" % row, flush=True)
    print(TARGETS)


def backend():
    try:
        linux.require_guest_memfd()
        return "kvm"
    except Skip:
        return "model"


def main():
    try:
        qemu = Qemu()
    except Skip as missing:
        print("skipped: %s" % missing)
        return 77
    chosen = backend()
    daemon = Daemon(backend=chosen)
    vmm = Vmm(daemon.peer(), "populate")
    backings = {"gmemd, memfd": {"backing": "memfd"}}
    if chosen == "kvm":
        backings["gmemd, guest_memfd"] = {}
    try:
        compare(vmm, qemu, backings)
    finally:
        vmm.close_files()
        vmm.peer.close()
        daemon.stop()
        qemu.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
