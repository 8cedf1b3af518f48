# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where it happens: a gmemd with tenants, the quiet peer, an operator, and what must be after a misbehaviour as it was before.

The hostile one, the quiet one, and one that may have little are of a tenant each; others are of default.
"""

import os
import select
import time
import traceback

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.host import Host
from gmemtest.tap import Failed, check, need, note
from hostile.attacker import Attacker, Unsuitable
from hostile.bystander import Bystander

# Nobody's, as far as this machine knows; nothing is written as them.
HOSTILE, QUIET, BOUNDED = 54401, 54402, 54499

SECONDS = 60
PR_SET_DUMPABLE = 4
ROUNDS = 4
IDLE = 0.3
RESTARTS = os.environ.get("RESTARTS") == "yes"
MIB = 1 << 20
# What gmemd's own memory may have grown by over all of them: caches, and a sanitizer's quarantine.
GROWTH = 64 * MIB
GROWTH_SANITIZED = 320 * MIB
QUARANTINE_MIB = 64  # of 256

LIMITS = {
    "peers-per-user": 64,
    "vms-per-user": 48,
    "memories-per-user": 400,
    "memories-per-vm": 64,
    "slots-per-vm": 256,
    "private-ranges-per-vm": 24000,
    "own-memory-per-vm": MIB,
    "preallocations-per-vm": 4,
    "preallocations-per-user": 6,
    "preallocations-on-host": 24,
}
# So much is committed and not there: memories are large and empty.
COMMIT_LIMIT = 1 << 35


# The quiet one has this much whatever others take; its VM has less.
RESERVE = MIB
# Of tenant bounded; of what is counted one user of several may have half.
BOUNDS = {
    "limit": 16 * MIB,
    "vms": 5,
    "memories": 9,
    "connections": 11,
    "requests": 5,
    "memories-per-vm": 4,
    "slots-per-vm": 6,
    "private-ranges-per-vm": 7,
}


def configuration():
    lines = ["%s = %d" % (name, value) for name, value in LIMITS.items()]
    lines += ["host-reserve = 0", "overcommit = 1000", "commit-limit = %d" % COMMIT_LIMIT]
    lines += ["[pressure]", "floor = 0", "[tenant hostile]", "users = %d" % HOSTILE]
    lines += ["[tenant quiet]", "users = %d" % QUIET, "reserve = %d" % RESERVE, "[tenant bounded]", "users = %d" % BOUNDED]
    lines += ["%s = %d" % (name, value) for name, value in BOUNDS.items()]
    return "[limits]\n%s\n" % "\n".join(lines)


def environment():
    """What AddressSanitizer keeps of what was freed is nobody's growth: it keeps little."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return {"ASAN_OPTIONS": options + ":quarantine_size_mb=%d" % QUARANTINE_MIB}


class Stage:
    def __init__(self, backend):
        linux.require_root()
        if backend != "model":
            linux.require_guest_memfd()
        self.daemon = Host(config=configuration(), backend=backend, keep_closed=False, environment=environment())
        self.path = self.daemon.socket_path("gmemd.sock")
        self.admin_path = self.daemon.socket_path("admin.sock")
        self.operator = self.daemon.operator()
        self.on_model = self.operator.call("host.describe")["backend"] == "model"
        self.limits, self.bounds = dict(LIMITS, **{"commit-limit": COMMIT_LIMIT}), BOUNDS
        self.bystander = Bystander(self.path, QUIET)
        self.victim = self.bystander.names
        self.longest = 0
        self.quiet_tenant = self.operator.call("tenant.get", {"tenant": "quiet"})
        if RESTARTS:
            self.restart()
        self.await_keeper()
        self.memory = self.own_memory()

    def await_keeper(self):
        """What has connected is put to the keeper a moment later: until nothing more has come there for a while."""
        kept, equal_looks, until = None, 0, time.monotonic() + SECONDS
        while equal_looks < 10 and time.monotonic() < until:
            now = self.state()["kept descriptors"]
            kept, equal_looks = now, equal_looks + 1 if now == kept else 0
            time.sleep(0.02)

    def own_memory(self):
        """Bytes of memory that gmemd itself has."""
        with open("/proc/%d/statm" % self.daemon.pid, encoding="ascii") as file:
            _, resident, shared = map(int, file.read().split()[:3])
        return (resident - shared) * linux.PAGE

    def state(self):
        described = self.operator.call("host.describe")
        return {
            "descriptors": self.daemon.fds(),
            "kept descriptors": described["keeper"] and described["keeper"]["held"],
            "charges": described["commitment"],
            "VMs": self.operator.call("vm.list"),
            "tenants": self.operator.call("tenant.list"),
            "reservations": self.operator.call("reservation.list"),
            "processes": self.daemon.helpers("gmemd-allocator") + self.daemon.helpers("gmemd-screener"),
        }

    def comes_back_to(self, before):
        """What a peer has had is gone a moment after it."""
        until = time.monotonic() + SECONDS
        state = self.state()
        while not _is_back(state, before) and time.monotonic() < until:
            time.sleep(0.01)
            state = self.state()
        for name, value in before.items():
            if not _is_back({name: state[name]}, {name: value}):
                check(False, "%s: %r before, %r after" % (name, value, state[name]))

    def round(self):
        result = self.bystander.round()
        for wrong in result["wrong"]:
            check(False, "the quiet peer: " + wrong)
        need(not result["wrong"], "the quiet peer has suffered")
        seen = self.operator.call("tenant.get", {"tenant": "quiet"})
        need(seen == self.quiet_tenant, "the quiet tenant was %r and is %r" % (self.quiet_tenant, seen))
        self.longest = max(self.longest, result["longest"])
        self.rounds += 1

    def rounds_until_it_says(self, child):
        """Whatever comes first of it."""
        until = time.monotonic() + SECONDS
        while not select.select([child.channel.socket], [], [], 0)[0]:
            need(time.monotonic() < until, "the hostile one hangs")
            self.round()
        return child.channel.hear()

    def restart(self):
        """gmemd is killed; its successor has what the quiet peer has, and does with the hostile one as it likes."""
        self.daemon.kill()
        self.daemon.start(alone=False)

    def does_not_spin(self):
        """Nobody asks for anything."""
        before = self.daemon.cpu_seconds()
        time.sleep(IDLE)
        spent = self.daemon.cpu_seconds() - before
        check(spent < IDLE / 3 * 2, "gmemd was busy for %.2f s of %.1f s" % (spent, IDLE))

    def run(self, body):
        """Beside the quiet peer, who is served while it lasts."""
        before = self.state()
        self.longest = self.rounds = 0
        uid = {"hostile": HOSTILE, "bounded": BOUNDED, "several": None}[body.by]
        with Child(lambda channel: _attack(self, channel, body), uid) as child:
            said = child.channel.hear() if body.by == "several" else self.rounds_until_it_says(child)
            if said[0] == "begun":
                if RESTARTS:
                    self.restart()
                for _ in range(ROUNDS):
                    self.round()
                if said[1]:
                    self.does_not_spin()
                child.channel.say("enough")
                said = self.rounds_until_it_says(child)
            self.round()
        need(self.daemon.alive(), "gmemd has ended")
        self.comes_back_to(before)
        _judge(said, "%d rounds, the longest answer %.1f ms" % (self.rounds, self.longest * 1e3))

    def end(self):
        grown = self.own_memory() - self.memory
        note("gmemd's own memory has grown by %.1f MiB" % (grown / MIB))
        limit = GROWTH_SANITIZED if "address" in os.environ.get("SANITIZERS", "") else GROWTH
        check(grown < limit, "gmemd's own memory has grown by %d bytes" % grown)
        self.bystander.end()
        self.operator.close()
        self.daemon.stop()


def _is_back(state, before):
    fewer = state.get("descriptors", 0) <= before.get("descriptors", 0)
    return fewer and all(state[name] == before[name] for name in before if name != "descriptors")


def _attack(stage, channel, body):
    linux.prctl(PR_SET_DUMPABLE, 1)  # as a program of that user's is
    attacker = Attacker(stage, channel)
    try:
        body(attacker)
        said = ["done", tap.failures(), attacker.note]
    except Unsuitable as reason:
        said = ["unsuitable", str(reason)]
    except Exception:
        said = ["done", tap.failures() + [traceback.format_exc()], attacker.note]
    channel.say(said)
    channel.socket.settimeout(None)
    attacker.kept = said  # and all that it has, until it is killed
    channel.hear()


def _judge(said, figures):
    if said[0] == "unsuitable":
        raise tap.Skip(said[1])
    for failure in said[1]:
        # What it is told amid a restart, that something is to be repeated say, is not what it expects.
        check(RESTARTS, "the hostile one: " + failure)
    note("%s%s" % (figures, "; " + said[2] if said[2] else ""))
    if said[0] != "done":
        raise Failed("the hostile one said %r" % said)
