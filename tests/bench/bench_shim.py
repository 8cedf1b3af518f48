#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What gmem-run --shim costs, beside the same VMM without gmemd, in turn: a vCPU's exits, a change of a slot's flags that has to be
an exchange, for how long its guest doesn't run then, and QEMU's start up to what its guest does first.

PARTS: exits, exchanges and starts, or some of them. Medians. The VMM that has no gmemd has /dev/kvm and anonymous memory of its own.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest import linux, qemu
from gmemtest.daemon import Daemon
from gmemtest.qemu import PROGRAM, Programs, Qemu, slurp
from gmemtest.tap import Skip
from telling import rounds, tell

EXIT_ROUNDS, START_ROUNDS = rounds(15), rounds(15)
ONE_PROCESSOR = ("chrt", "-f", "10", "taskset", "-c", "0")


def values(text, name):
    return [int(line.split()[1]) for line in text.splitlines() if line.split()[0] == name]


def part(programs, name, shimmed, before=()):
    command = programs.run_options() if shimmed else []
    ended = subprocess.run(
        [*before, *command, programs.path("shim_vmm"), name], capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout


def compare_exits(programs):
    taken = {False: [], True: []}
    for _ in range(EXIT_ROUNDS):
        for shimmed in taken:
            taken[shimmed] += values(part(programs, "exits", shimmed, ONE_PROCESSOR), "nanoseconds")
    for shimmed, name in ((False, "shim_vmm alone"), (True, "shim_vmm, gmem-run --shim")):
        tell("KVM_RUN exits", name, "time", "us", [one / 1e3 for one in taken[shimmed]])
    bare, with_shim = (statistics.median(taken[shimmed]) for shimmed in (False, True))
    print("an exit of a vCPU's: %d ns bare, %d ns with --shim: %.3f times as many exits" % (bare, with_shim, bare / with_shim))


def compare_exchanges(programs):
    for shimmed in (False, True):
        text = part(programs, "exchanges", shimmed)
        changed, gaps = sorted(values(text, "changed")), sorted(values(text, "gap"))
        print(
            "%s: a change of flags %d us; the guest's longest pause then %d us, p99 %d us"
            % ("with --shim" if shimmed else "bare", statistics.median(changed) / 1000, statistics.median(gaps) / 1000, gaps[-2] / 1000)
        )


def start(programs, shimmed):
    """Seconds until the guest has written to a port."""
    console = os.path.join(programs.scratch, "console")
    if os.path.exists(console):
        os.unlink(console)
    command = programs.run_options() if shimmed else []
    command += [PROGRAM, "-accel", "kvm", "-cpu", Qemu.processor, "-nodefaults", "-display", "none", "-M", "pc", "-m", "1024"]
    command += ["-debugcon", "file:" + console, "-global", "isa-debugcon.iobase=0x402", "-bios", programs.path("qemu_guest.bin")]
    began = time.monotonic()
    process = subprocess.Popen(command, preexec_fn=linux.die_with_parent)
    while not slurp(console) and process.poll() is None:
        time.sleep(0.0005)
    taken = time.monotonic() - began
    process.kill()
    process.wait()
    return taken


def compare_starts(programs):
    taken = {False: [], True: []}
    for _ in range(START_ROUNDS):
        for shimmed in taken:
            taken[shimmed].append(start(programs, shimmed))
    bare, with_shim = (statistics.median(taken[shimmed]) for shimmed in (False, True))
    print("QEMU up to its guest's first port: %d ms bare, %d ms with --shim: %.2f times" % (bare * 1000, with_shim * 1000, with_shim / bare))


def main():
    try:
        qemu.require()
        Qemu.processor = qemu.find_processor()
    except Skip as reason:
        print("skipped: %s" % reason)
        return
    daemon = Daemon(gate="required")
    programs = Programs(daemon)
    shutil.copy(os.path.join(os.environ["BUILD_DIR"], "tests", "system", "shim_vmm"), programs.directory)
    parts = {"exits": compare_exits, "exchanges": compare_exchanges, "starts": compare_starts}
    for name in os.environ.get("PARTS", " ".join(parts)).split():
        parts[name](programs)
    daemon.stop()


if __name__ == "__main__":
    main()
