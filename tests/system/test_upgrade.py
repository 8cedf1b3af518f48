#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gmemd of this build takes over from one of an older build, whose keeper stays, while VMs run; and goes back to it.

GMEMD_OLDER_BUILD in the environment names a build folder of an older commit. VMMs are of this build's libgmem: one maps, writes and
unmaps memory, one converts, with private memory that is pretended (private_kernel.c) where a VM of the default type has none.
"""

import os
import random
import subprocess
import time

from gmemtest import linux, private_kernel
from gmemtest.child import RemotePeer
from gmemtest.host import Host, wait_until
from gmemtest.load import Counters, Process
from gmemtest.tap import Skip, check, equal, main, need, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import RpcError, close_all

NAME = "GMEMD_OLDER_BUILD"
SIZE = 16 * PAGE
LIMIT = 60
NOBODY = 65534
KNOWS_NEWER = b"is a newer gmemd's"
LIVES = ("resident", "generation", "cpu")  # what nobody has done changes, or who serves
PAGED = ("memories", "slots", "private_ranges", "calls", "grants", "holders")

host = counters = vmm = grantee = None
loads = []
granted = None


def program(build):
    return os.path.join(build, "daemon", "gmemd")


def become(build):
    """Killed, and the other build's in its place."""
    host.kill()
    host.arguments[0] = program(build)
    host.start(alone=False)
    vmm.peer.close()
    vmm.peer = host.peer()


def older():
    return os.environ[NAME]


def newer():
    return os.environ["BUILD_DIR"]


class OlderHost(Host):
    def spawn(self):
        if not hasattr(self, "process"):
            self.arguments[0] = program(older())
        super().spawn()


def load(role, name, gate, environment=None):
    seed = random.SystemRandom().randrange(1, 1 << 32)
    one = Process(host.socket_path("gmemd.sock"), counters, LIMIT, role, name, gate, seed, environment)
    one.hear()
    loads.append(one)


def set_up():
    global host, counters, vmm, grantee, granted
    if NAME not in os.environ:
        raise Skip("%s names no build folder of an older commit" % NAME)
    linux.require_guest_memfd()
    host = OlderHost(environment=private_kernel.environment())
    counters = Counters(host.directory)
    vmm = Vmm(host.peer(), "upgraded")
    grantee = RemotePeer(host.socket_path("gmemd.sock"), NOBODY)
    fill()
    for gate in ("required", "none"):
        load("load", "load-" + gate, gate)
        frames = os.path.join(host.directory, "frames-" + gate)
        with open(frames, "wb") as file:
            file.write(b"0" * 1024)
        load("convert", "convert-" + gate, gate, private_kernel.environment(frames))
    go_on()


def tear_down():
    grantee.end()
    for one in loads:
        one.kill()
    host.stop()


def fill():
    """Of each kind of thing that outlives gmemd."""
    global granted
    memory, fd = vmm.create(SIZE, name="bound, and granted")
    vmm.bind(1, 1 << 20, SIZE // 2, memory, fd)
    vmm.bind(2, 2 << 20, SIZE // 2, memory, fd, SIZE // 2)
    vmm.peer.call("memory.preallocate", {"memory": memory, "size": 4 * PAGE})
    vmm.peer.call("memory.grant", {"memory": memory, "to": {"uid": NOBODY}})
    vmm.peer.call("memory.grant", {"memory": memory, "to": {"pid": grantee.pid}, "once": True})
    shared, shared_fd = vmm.create(SIZE, backing="memfd")
    vmm.bind_mapping(3, 3 << 20, SIZE, shared, vmm.map(shared_fd, SIZE))
    vmm.peer.call("vm.set", {"vm": vmm.id, "minimum": PAGE})
    close_all([fd, shared_fd])
    granted = memory
    operator = host.operator()
    operator.call("vm.set", {"vm": vmm.id, "commit_limit": 1 << 30})
    operator.call("tenant.set", {"tenant": "uid:%d" % NOBODY, "limit": 1 << 30})
    operator.call("reservation.create", {"name": "kept", "size": SIZE, "ttl_ms": 3600000})
    operator.close()


def go_on():
    """For a moment; each VMM knows itself whether all is as it should be, and says so."""
    for one in loads:
        one.say("run")
    for one in loads:
        one.hear()
    done = [one.done() for one in loads]
    check(wait_until(lambda: all(one.done() > before + 5 for one, before in zip(loads, done))), "they don't go on")
    for one in loads:
        one.state = one.ask("pause")


def whole(operator, method, params, lists):
    page = operator.call(method, params)
    told = dict(page)
    while "cursor" in page:
        page = operator.call(method, dict(params, cursor=page["cursor"]))
        for name in lists:
            told[name] = told.get(name, []) + page.get(name, [])
    told.pop("cursor", None)
    return told


def is_settled(operator, vms):
    return all(not operator.call("vm.get", {"vm": vm})["calls"] for vm in vms)


def told():
    """All that an operator is told of VMs, tenants and what is reserved."""
    operator = host.operator()
    listed = whole(operator, "vm.list", {}, ["vms"])["vms"]
    need(wait_until(lambda: is_settled(operator, [one["vm"] for one in listed])), "calls are left")
    vms = {one["vm"]: whole(operator, "vm.get", {"vm": one["vm"]}, PAGED) for one in listed}
    answer = {
        "vms": vms,
        "tenants": whole(operator, "tenant.list", {}, ["tenants"]),
        "reservations": whole(operator, "reservation.list", {}, ["reservations"]),
    }
    operator.close()
    return answer


def same(now, before, what):
    """What one told the other tells as well; it may tell more."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name, value in before.items():
            if name not in LIVES and not name.endswith("_ms"):
                need(name in now, "%s has no %s" % (what, name))
                same(now[name], value, "%s.%s" % (what, name))
    elif isinstance(before, list) and isinstance(now, list):
        equal(len(now), len(before), what)
        for number, pair in enumerate(zip(now, before)):
            same(*pair, "%s[%d]" % (what, number))
    else:
        equal(now, before, what)


@test("all that the older one has told the newer one tells, and the older one's keeper stays")
def taken_over():
    before, keepers = told(), host.keepers()
    check(len(before["vms"]) == 1 + len(loads), "VMs")
    check(any(one["private_ranges"] for one in before["vms"].values()), "there is a private range")
    become(newer())
    same(told(), before, "told")
    equal(host.keepers(), keepers, "keepers")


@test("VMs go on under the newer one: memories, slots, conversions, grants, what was reserved")
def goes_on():
    go_on()
    memory, fd = vmm.create(SIZE)
    vmm.bind(4, 4 << 20, SIZE, memory, fd)
    vmm.unbind(2)
    os.close(fd)
    equal(grantee.call("memory.open", {"memory": granted})["size"], SIZE, "the grant")
    operator = host.operator()
    [kept] = operator.call("reservation.list")["reservations"]
    operator.call("reservation.cancel", {"reservation": kept["reservation"]})
    operator.close()
    before = told()
    become(newer())
    same(told(), before, "told")


def go_back(what):
    """As after an older package is installed again. It tells all as well, or says why not, in one line, and leaves it."""
    before = told()
    host.kill()
    lines = len(host.log().splitlines())
    host.arguments[0] = program(older())
    host.spawn()
    operator = wait_for_answer()
    if operator is None:
        errors = [line for line in host.log().splitlines()[lines:] if KNOWS_NEWER.decode() in line]
        equal(len(errors), 1, "%s: lines that say why it ends" % what)
    else:
        operator.close()
        same(told(), before, what)
        host.kill()
    host.arguments[0] = program(newer())
    host.start(alone=False)
    vmm.peer.close()
    vmm.peer = host.peer()
    same(told(), before, what + ", by the newer one again")


def wait_for_answer():
    """A connection to a gmemd that serves; None: it has ended."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until and host.process.poll() is None:
        try:
            operator = host.operator()
            operator.call("ping")
            return operator
        except (OSError, RpcError):
            time.sleep(0.01)
    return None


@test("the older one, started again, tells all that it had made as well")
def back():
    go_back("told by the older one")
    go_on()


@test("the older one, started again, takes a newer one's VM over, or ends and leaves all as it is")
def back_with_new_vm():
    with open(program(older()), "rb") as file:
        knows_none = KNOWS_NEWER not in file.read()
    if knows_none:
        raise Skip("the older gmemd drops what is of a newer one: it knows of none")
    load("load", "newer", "required")
    go_on()
    go_back("told by the older one, with a newer one's VM")
    go_on()


@test("this build's gmemctl understands the older gmemd")
def gmemctl():
    program_path = os.path.join(newer(), "client", "gmemctl")
    become(older())
    for words in (["status"], ["vms"], ["show", vmm.id], ["slots", vmm.id], ["tenants"], ["metrics"]):
        ended = subprocess.run(
            [program_path, "--socket=" + host.socket_path("admin.sock"), *words], capture_output=True, text=True, check=False
        )
        equal((ended.returncode, ended.stderr), (0, ""), "gmemctl " + " ".join(words))
    become(newer())


if __name__ == "__main__":
    main(set_up, tear_down)
