#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What gmemd adds to the start of a domain, as virsh times it: QEMU alone, with gmem-run-qemu as its emulator, and with the hook
that reserves its memory as well; in turn, each time a new QEMU. Medians, and the least."""

import os
import re
import shutil
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest import domains, libvirt
from gmemtest.domains import Domains
from gmemtest.libvirt import do
from gmemtest.tap import Skip

ROUNDS = 25
# Without the processor's controller, so that all of it can run beside other work: chrt -r 5.
CONFIG = 'cgroup_controllers = [ "memory", "devices" ]\n' + libvirt.CONFIG
QEMU = "/usr/bin/qemu-system-x86_64"
HOOK, ASIDE = os.path.join(libvirt.HOOKS, "gmemd"), "/run/hook"


def milliseconds(words):
    return float(re.search(r"Time: ([0-9.]+) ms", do("-t", *words)).group(1))


def start(here, name, hook):
    """libvirt looks for what is there now, if something was when it started."""
    if not hook:
        shutil.move(HOOK, ASIDE)
    taken = milliseconds(["start", name])
    do("destroy", name)
    if not hook:
        shutil.move(ASIDE, HOOK)
    here.gone()
    return taken


def figures(taken):
    """(the median, the least) of all but the first, which asks QEMU what it offers."""
    return statistics.median(taken[1:]), min(taken[1:])


def measure(here):
    here.define(name="bare", emulator=QEMU)
    here.define(name="brokered", uuid=domains.UUID[:-1] + "1")
    ways = {"QEMU alone": ("bare", False), "gmem-run-qemu": ("brokered", False), "gmem-run-qemu and the hook": ("brokered", True)}
    taken = {way: [] for way in ways}
    for _ in range(ROUNDS + 1):
        for way, how in ways.items():
            taken[way].append(start(here, *how))
    bare = figures(taken["QEMU alone"])
    for way, each in taken.items():
        median, least = figures(each)
        print("%s: %.0f ms, at least %.0f; %.2f and %.2f times" % (way, median, least, median / bare[0], least / bare[1]))


def main():
    try:
        domains.require()
    except Skip as reason:
        print("skipped: %s" % reason)
        return
    libvirt.make_directories(CONFIG)
    domains.give_device()
    here = Domains("")
    try:
        measure(here)
    finally:
        here.end()


if __name__ == "__main__":
    libvirt.enter(__file__)
    main()
