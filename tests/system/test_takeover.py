#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a gmemd takes over from the one before it, which was killed, restart after restart."""

import os
import subprocess
from subprocess import DEVNULL

from gmemtest.host import Host, wait_until
from gmemtest.keeper import KeeperPeer
from gmemtest.tap import Failed, Skip, check, equal, main, need, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Closed, RpcError

SIZE = 16 * PAGE
OLDEST = 88  # bytes of a record: all but the number of a VM's last request
LONG_NAME = "a name of two records, " * 5

host = None
vmm = None
memories = []


def set_up():
    global host, vmm
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    host = Host()
    vmm = Vmm(host.peer(), LONG_NAME)


def tear_down():
    vmm.close_files()
    host.stop()


def restart():
    host.restart()
    vmm.peer = host.peer()


def files_of(process):
    """What each of a process's fds leads to, by its path; one may be closed meanwhile."""
    directory, found = "/proc/%d/fd" % process, {}
    for name in os.listdir(directory):
        try:
            found[os.path.join(directory, name)] = os.readlink(os.path.join(directory, name))
        except OSError:
            continue
    return found


def held():
    """Ledgers' inodes, as the keeper has them."""
    [keeper] = host.keepers()
    return sorted(os.stat(file).st_ino for file, target in files_of(keeper).items() if target.startswith("/memfd:gmemd-vm "))


def described():
    whole = vmm.get()
    for key in ("resident", "generation"):
        whole.pop(key, None)
    return whole


@test("names, memories and slots are the same after each restart, in the same ledger")
def _():
    for i, name in enumerate([LONG_NAME, None, "short", LONG_NAME[:-1]]):
        options = {} if name is None else {"name": name}
        memories.append(vmm.create(SIZE, **options))
        vmm.bind(i, i * SIZE, SIZE, *memories[i])
    vmm.peer.call("vm.set", {"vm": vmm.id, "minimum": PAGE})
    operator = host.operator()
    operator.call("vm.set", {"vm": vmm.id, "commit_limit": 64 * SIZE})
    operator.close()
    equal((described()["minimum"], described()["promised"]), (PAGE, 64 * SIZE), "minimum, limit")
    need(wait_until(held), "the keeper has read of no ledger yet")
    before, ledgers = described(), held()
    for _ in range(3):
        restart()
        equal(described(), before, "vm.get")
        equal(held(), ledgers, "ledgers")


def restart_with_ledgers_of(size, capacity):
    """As if another version's gmemd had been there before."""
    host.kill()
    other_ledger = os.path.join(os.environ["BUILD_DIR"], "tests", "system", "other_ledger")
    subprocess.run([other_ledger, host.path, str(size), str(capacity)], check=True, stdout=DEVNULL)
    host.start()
    vmm.peer = host.peer()


PRESSURE = "/proc/pressure/memory"


def triggers(process):
    return sorted(file for file, target in files_of(process).items() if target == PRESSURE)


@test("what tells of the host's stalls is the same file after each restart, which the keeper holds")
def _():
    [keeper] = host.keepers()
    if not triggers(host.process.pid):
        return  # the kernel gives none
    need(wait_until(lambda: triggers(keeper)), "the keeper does not hold it yet")
    before = triggers(keeper)
    for _ in range(2):
        restart()
        equal((triggers(keeper), len(triggers(host.process.pid))), (before, 1), "the keeper's, gmemd's")


@test("an older gmemd's ledger has shorter records, or fewer; a newer one's longer")
def _():
    before = described()
    for size, capacity in ((OLDEST, 512), (OLDEST, 1 << 15), (128, 1 << 15), (200, 1 << 16)):
        restart_with_ledgers_of(size, capacity)
        equal(described(), before, "vm.get, records of %d bytes" % size)
        vmm.unbind(0)
        vmm.bind(0, 0, SIZE, *memories[0])
        restart()
        equal(described(), before, "once more, records of %d bytes" % size)


VERSION_AT = 8  # in a ledger's header


def set_ledger_versions(change):
    """As another gmemd's; that is to be called while none runs."""
    with KeeperPeer(host.path) as keeper:
        for fd in keeper.take_all().values():
            if "gmemd-vm" in os.readlink("/proc/self/fd/%d" % fd):
                [version] = os.pread(fd, 1, VERSION_AT)
                os.pwrite(fd, bytes([version + change]), VERSION_AT)
            os.close(fd)


@test("a gmemd that is older than what has left a ledger ends, and leaves all as it is")
def _():
    before = described()
    host.kill()
    set_ledger_versions(+9)
    equal(host.run_another(), 1, "it ends with")
    check("is a newer gmemd's" in host.log(), host.log())
    set_ledger_versions(-9)
    host.start()
    vmm.peer = host.peer()
    equal(described(), before, "vm.get, by the newer one")


@test("what is made and freed after a restart is in the next one's ledger, and no more")
def _():
    for i in range(3):
        vmm.unbind(1)
        vmm.bind(5 + i, (9 + i) * SIZE, SIZE, *memories[1])
        before = described()
        restart()
        equal(described(), before, "vm.get")
        vmm.unbind(5 + i)
        vmm.bind(1, SIZE, SIZE, *memories[1])
    vmm.peer.call("memory.preallocate", {"memory": memories[0][0]})
    restart()
    equal(len(described()["slots"]), 4, "slots")


def start_bind(slot):
    return vmm.peer.call(
        "slot.bind", vmm.bind_params(slot, (20 + slot) * SIZE, PAGE, *memories[2], offset=slot * PAGE)
    )["call"]


PEERS_PER_USER = 60


def connect_until_refused(limited):
    peers = []
    while len(peers) < PEERS_PER_USER + 1:
        peer = limited.peer()
        try:
            peer.call("ping")
        except (Closed, OSError):
            peer.close()
            return peers
        peers.append(peer)
    raise Failed("nobody is refused")


def connect_and_close(limited):
    peers = connect_until_refused(limited)
    for peer in peers:
        peer.close()
    return peers


@test("connections that were taken over count, be it before gmemd has looked at them")
def _():
    limited = Host(config="[limits]\npeers-per-user = %d\n" % PEERS_PER_USER)
    peers = connect_until_refused(limited)
    for _ in range(3):
        limited.kill()
        limited.start(alone=False)
        equal(connect_until_refused(limited), [], "more than before")
        operator = limited.operator()
        equal(operator.call("host.describe")["recovered"]["connections"], len(peers), "connections")
        operator.close()
        for peer in peers:
            equal(peer.call("ping"), {}, "who was there before")
    # Ended while nobody was there to see it.
    limited.kill()
    peers.pop().close()
    limited.start(alone=False)
    need(wait_until(lambda: len(connect_and_close(limited)) == 1), "there is room for one again")
    for peer in peers:
        equal(peer.call("ping"), {}, "who was there before")
        peer.close()
    limited.stop()


@test("calls that were on their way can all be reported, in whatever order their records are")
def _():
    vmm.unbind(2)
    calls = {slot: start_bind(slot) for slot in (2, 4, 5)}
    vmm.carry_out(calls.pop(2))
    # Its record is where the first one's was.
    calls[2] = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": 2})["call"]
    ids = sorted(call["id"] for call in calls.values())
    restart()
    equal([call["id"] for call in described()["calls"]], ids, "calls")
    for call in calls.values():
        vmm.carry_out(call)
    restart()
    check(all(slot["state"] == "bound" for slot in described()["slots"]), "a slot is not bound")


@test("a report is known again after two restarts")
def _():
    call = start_bind(7)
    vmm.carry_out(call)
    for _ in range(2):
        restart()
        equal(vmm.report(call, call["count"]), {}, "the answer")
    try:
        vmm.report(call, 0, "EINVAL")
        check(False, "another report of it is taken for the same")
    except RpcError as e:
        equal(e.error["data"]["reason"], "not_found", "the reason")


if __name__ == "__main__":
    main(set_up, tear_down)
