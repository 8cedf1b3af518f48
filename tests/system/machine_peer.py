# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process that claims a UUID: machine_peer.py UUID [CGROUP]. It says "opened", or the error's message.

CGROUP: enters first a group of that name that it makes below its own, in each hierarchy that lets it.
"""

import os
import sys

from gmemtest.wire import Peer, RpcError

ROOT = "/sys/fs/cgroup"


def groups():
    """Its own, as directories."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            names = [controllers.removeprefix("name="), "unified", ""] if controllers else ["unified", ""]
            for name in names:
                directory = os.path.join(ROOT, name, path.lstrip("/"))
                if os.path.exists(os.path.join(directory, "cgroup.procs")):
                    yield directory
                    break


def enter(name):
    entered = 0
    for directory in list(groups()):
        try:
            os.mkdir(os.path.join(directory, name))
            with open(os.path.join(directory, name, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write("0")
            entered += 1
        except OSError:
            pass
    if not entered:
        sys.exit("no cgroup is to be entered")


def main():
    if sys.argv[2:]:
        enter(sys.argv[2])
    try:
        Peer("/run/gmemd/gmemd.sock", 60).call("vm.open", {"name": "claims it", "uuid": sys.argv[1]})
        print("opened")
    except RpcError as e:
        print(e.error["message"], e.error.get("data"))


main()
