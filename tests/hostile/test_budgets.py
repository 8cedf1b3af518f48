#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Budgets and charges, held against a second account of them through random operations of several users' VMMs.

    BUILD_DIR=build tests/hostile/test_budgets.py    SEED: of the operations; SECONDS: how long; BACKEND: model, kvm
"""

import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [HERE, os.path.join(os.path.dirname(HERE), "system")]

from accounts.model import Host as Paper, configuration  # noqa: E402
from accounts.play import Play  # noqa: E402
from gmemtest import linux, tap  # noqa: E402
from gmemtest.host import Host  # noqa: E402
from gmemtest.tap import check, equal, note, test  # noqa: E402

BACKEND = os.environ.get("BACKEND", "model")
SECONDS = float(os.environ.get("SECONDS", "8"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))

# Nobody's, as far as this machine knows; nothing is written as them.
USERS = (54411, 54412, 54413)
# Of each: its tenant, and that one's limit and reserve, in pages.
TENANTS = [(USERS[0], "bounded", 90, 0), (USERS[1], "reserved", 120, 40), (USERS[2], "default", 160, 0)]
MACHINES = 7
HOST_PAGES = 160
LIMITS = {"vms-per-user": 2, "memories-per-user": 9, "memories-per-vm": 6, "reservations-on-host": 3}

daemon = play = None


def set_up():
    global daemon, play
    linux.require_root()
    if BACKEND != "model":
        linux.require_guest_memfd()
    daemon = Host(config=configuration(HOST_PAGES, LIMITS, TENANTS), backend=BACKEND)
    paper = Paper(HOST_PAGES, dict(LIMITS), TENANTS)
    play = Play(daemon, paper, USERS, MACHINES, random.Random(SEED), BACKEND == "model")


def tear_down():
    play.end()
    daemon.stop()


def missing():
    wanted = ("open", "create", "bind", "reservation.create", "grant", "open_memory", "vm.set", "config.reload", "SIGHUP")
    return [name for name in wanted if name not in play.done]


@test("after each operation what gmemd says adds up, with seed %d" % SEED)
def adds_up():
    note("SEED=%d" % SEED)
    began, count = time.monotonic(), 0
    while time.monotonic() < began + (SECONDS if missing() == [] else SECONDS + 60):
        play.step()
        count += 1
        if not play.compare():
            note("operation %d of SEED=%d" % (count, SEED))
            break
    note("%d operations; done: %s; refused: %s" % (count, play.done, play.refused))
    equal(missing(), [], "what was never done")


@test("and once all processes have ended, nothing is charged")
def nothing_is_left():
    for machine in list(play.machines):
        play.kill(machine)
    for name in list(play.host.reservations):
        play.operate("reservation.cancel", {"reservation": name}, [])
        del play.host.reservations[name]
    equal(play.host.vms, {}, "on paper")
    check(play.compare(), "what is left")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
