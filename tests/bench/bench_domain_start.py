#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What gmemd adds to the start of a domain, as virsh times it: QEMU alone, with gmem-run-qemu as its emulator, and with the hook
that reserves its memory as well; in turn, each time a new QEMU. Medians."""

import os
import re
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest import domains, libvirt
from gmemtest.domains import Domains
from gmemtest.libvirt import do
from gmemtest.tap import Skip

ROUNDS = 25
QEMU = "/usr/bin/qemu-system-x86_64"
HOOK = os.path.join(libvirt.HOOKS, "gmemd")


def milliseconds(words):
    return float(re.search(r"Time: ([0-9.]+) ms", do("-t", *words)).group(1))


def start(here, name, hook):
    """libvirt looks for what is there now, if something was when it started."""
    put_aside = HOOK + ".aside"
    if not hook:
        os.rename(HOOK, put_aside)
    taken = milliseconds(["start", name])
    do("destroy", name)
    if not hook:
        os.rename(put_aside, HOOK)
    here.gone()
    return taken


def measure(here):
    here.define(name="bare", emulator=QEMU)
    here.define(name="brokered", uuid=domains.UUID[:-1] + "1")
    ways = {"QEMU alone": ("bare", False), "gmem-run-qemu": ("brokered", False), "gmem-run-qemu and the hook": ("brokered", True)}
    taken = {way: [] for way in ways}
    for _ in range(ROUNDS + 1):
        for way, how in ways.items():
            taken[way].append(start(here, *how))
    bare = statistics.median(taken["QEMU alone"][1:])
    for way, all_taken in taken.items():
        each = sorted(all_taken[1:])  # the first asks QEMU what it offers
        median = statistics.median(each)
        print("%s: %.0f ms (%.0f to %.0f), %.2f times" % (way, median, each[0], each[-1], median / bare))


def main():
    try:
        domains.require()
    except Skip as reason:
        print("skipped: %s" % reason)
        return
    libvirt.make_directories()
    domains.give_device()
    here = Domains("")
    try:
        measure(here)
    finally:
        here.end()


if __name__ == "__main__":
    libvirt.enter(__file__)
    main()
