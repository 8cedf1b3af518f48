#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An unmodified QEMU whose guest's memory is gmemd's logs what is written, while the guest runs: it migrates, is saved and restored.

The guest has more memory than a VM may have of its process's own, and checks all of it in each pass.
"""

import contextlib
import os

from gmemtest import qemu, tap
from gmemtest.host import Host
from gmemtest.qemu import Programs, Qemu, wait_until
from gmemtest.tap import check, equal, note, test

MIB = 1 << 20
RAM = 320 * MIB
# The second processor is never started: it halts in KVM_RUN.
PC = ("-M", "pc", "-m", "320", "-smp", "2")
MEMFD = ("-M", "q35,memory-backend=ram", "-m", "320", "-object", "memory-backend-memfd,id=ram,size=320M")
OVER = ("completed", "failed", "cancelled")

host = programs = operator = None


def set_up():
    global host, programs, operator
    qemu.require()
    host = Host(gate="required")
    programs = Programs(host)
    operator = host.operator()
    Qemu.processor = qemu.find_processor()


def tear_down():
    operator.close()
    host.stop()


def vms():
    return operator.call("vm.list")["vms"]


@contextlib.contextmanager
def running(*options):
    vmm = Qemu(programs, *options)
    try:
        yield vmm.connect()
        equal(vmm.end(), 0, "QEMU's status; " + vmm.said())
    finally:
        if not vmm.ended():
            vmm.kill()
    wait_until(lambda: vmm.pid not in [vm["pid"] for vm in vms()], "the VM's end")


def charged_once():
    for vm in vms():
        equal(vm["committed"], RAM, "what is charged")


def through(vmm):
    """How its RAM is bound."""
    view = operator.call("vm.get", {"vm": next(vm["vm"] for vm in vms() if vm["pid"] == vmm.pid)})
    charged_once()
    return {slot["through"] for slot in view["slots"] if slot["memory"] is not None}


def direct_again(vmm):
    wait_until(lambda: through(vmm) == {"guest_memfd"}, "the guest_memfd's own slots")


def logged(vmm):
    """The largest is, at least, and the guest runs."""
    wait_until(lambda: "mapping" in through(vmm), "slots whose writes are logged")


def end_of_migration(vmm):
    wait_until(lambda: vmm.qmp("query-migrate")["status"] in OVER, "the migration's end")
    return vmm.qmp("query-migrate")["status"]


def slow(vmm, bandwidth):
    """What it may take each second: the guest writes so much that it doesn't end then."""
    vmm.qmp("migrate-set-parameters", **{"max-bandwidth": bandwidth, "downtime-limit": 1})


def fast(vmm):
    vmm.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 30, "downtime-limit": 2000})


def cancel(vmm, uri):
    """One migration that is given up while the guest runs."""
    slow(vmm, MIB)
    vmm.qmp("migrate", uri=uri)
    logged(vmm)
    vmm.goes_on()
    vmm.qmp("migrate_cancel")
    equal(end_of_migration(vmm), "cancelled", "the first")
    direct_again(vmm)
    vmm.goes_on()


def migrate(vmm, uri):
    fast(vmm)
    vmm.qmp("migrate", uri=uri)
    equal(end_of_migration(vmm), "completed", "the migration")
    charged_once()


@test("migration to a file: cancelled, done, done again, and restored; a child of QEMU's has nothing of gmemd's")
def to_file():
    path = os.path.join(programs.scratch, "saved")
    seen = os.path.join(programs.scratch, "seen")
    with running(*PC) as vmm:
        vmm.goes_on()
        cancel(vmm, "exec:(env; ls -l /proc/self/fd) > %s; cat >/dev/null" % seen)
        text = qemu.slurp(seen)
        check("PATH=" in text, "what the child had: " + text)
        for word in ("GMEM_", "kvm-gmem", "gmemd-mailbox", "socket:", "LD_PRELOAD", "/dev/kvm"):
            check(word not in text, "the child had no %s: %s" % (word, text))
        for _ in range(2):
            migrate(vmm, "exec:cat > " + path)
            vmm.qmp("cont")
            direct_again(vmm)
            vmm.goes_on()
    with running(*PC, "-incoming", "exec:cat " + path) as vmm:
        vmm.goes_on()
        check("S" not in vmm.shown(), "it has gone on and not begun")
        charged_once()
    os.unlink(path)


@test("migration to another QEMU, by a Unix socket")
def to_another():
    path = os.path.join(programs.scratch, "socket")
    with running(*MEMFD) as vmm:
        vmm.goes_on()
        with running(*MEMFD, "-incoming", "unix:" + path) as other:
            migrate(vmm, "unix:" + path)
            other.goes_on()
            check("S" not in other.shown(), "it has gone on and not begun")
            charged_once()


def job(vmm, command, **arguments):
    vmm.qmp(command, **{"job-id": "job"}, **arguments)
    wait_until(lambda: vmm.qmp("query-jobs")[0]["status"] == "concluded", command)
    check("error" not in vmm.qmp("query-jobs")[0], "%s: %s" % (command, vmm.qmp("query-jobs")))
    vmm.qmp("job-dismiss", id="job")


@test("snapshots, the dirty rate by a bitmap, and a dump")
def snapshots():
    disk, dump = os.path.join(programs.scratch, "disk"), os.path.join(programs.scratch, "dump")
    with open(disk, "wb"):
        os.chmod(disk, 0o666)
    with running(*PC) as vmm:
        vmm.qmp("blockdev-add", driver="file", filename=disk, **{"node-name": "file"})
        job(vmm, "blockdev-create", options={"driver": "qcow2", "file": "file", "size": MIB})
        vmm.qmp("blockdev-add", driver="qcow2", file="file", **{"node-name": "disk"})
        vmm.goes_on()
        job(vmm, "snapshot-save", tag="here", vmstate="disk", devices=["disk"])
        vmm.goes_on()
        job(vmm, "snapshot-load", tag="here", vmstate="disk", devices=["disk"])
        vmm.qmp("cont")
        vmm.goes_on()
        vmm.qmp("calc-dirty-rate", **{"calc-time": 1, "mode": "dirty-bitmap"})
        logged(vmm)
        vmm.goes_on()
        wait_until(lambda: vmm.qmp("query-dirty-rate")["status"] == "measured", "the dirty rate")
        direct_again(vmm)
        vmm.qmp("dump-guest-memory", paging=False, protocol="file:" + dump)
        check(os.path.getsize(dump) > RAM, "the dump: %d bytes" % os.path.getsize(dump))
        vmm.goes_on()
    os.unlink(disk)
    os.unlink(dump)


@test("what needs userfaultfd is refused by QEMU, by name")
def postcopy():
    with running(*PC) as vmm:
        vmm.goes_on()
        answer = vmm.ask("migrate-set-capabilities", capabilities=[{"capability": "background-snapshot", "state": True}])
        check("error" in answer, "background-snapshot: %s" % answer)
        note(answer.get("error", {}).get("desc"))
        vmm.goes_on()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
