#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains of the real libvirtd whose emulator is gmem-run-qemu. libvirtd has namespaces of the test's own, with a /dev/kvm
that its user may use, and takes neither cgroups nor a network."""

import glob
import os
import re
import shutil
import signal
import subprocess
import time

from gmemtest import libvirt, qemu, tap
from gmemtest.domains import UUID, give_device, require
from gmemtest.host import Host
from gmemtest.libvirt import do, mount, virsh
from gmemtest.qemu import Programs, slurp, wait_until
from gmemtest.tap import Failed, check, equal, test

CONFIG = 'cgroup_controllers = [ ]\n' + libvirt.CONFIG
LIMIT = 512  # MiB on the host

DOMAIN = """
<domain type='kvm'>
  <name>%(name)s</name><uuid>%(uuid)s</uuid><memory unit='MiB'>%(size)d</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='%(machine)s'>hvm</type></os>
  %(backing)s
  <cpu mode='host-passthrough'>%(without)s</cpu>
  <devices><emulator>%(emulator)s</emulator></devices>
</domain>
"""

host = programs = operator = libvirtd = None
without = ""


def set_up():
    global host, programs, operator, libvirtd, without
    require()
    libvirt.make_directories(CONFIG)
    give_device()
    if qemu.find_processor() != "host":
        without = "<feature policy='disable' name='arch-capabilities'/>"
    host = Host(gate="required", config="[limits]\ncommit-limit = %d\n" % (LIMIT << 20))
    mount("--bind", host.path, "/run/gmemd")
    programs = Programs(host)
    shutil.copy(os.path.join(os.environ["BUILD_DIR"], "client/gmem-run-qemu"), programs.directory)
    operator = host.operator()
    libvirtd = libvirt.Libvirtd()


def tear_down():
    libvirtd.end()
    operator.close()
    host.stop()
    subprocess.run(["umount", "/run/gmemd"], check=True)


def define(name, uuid=UUID, size=128, machine="q35", backing=""):
    path = os.path.join(programs.scratch, name + ".xml")
    values = {"name": name, "uuid": uuid, "size": size, "machine": machine, "backing": backing}
    with open(path, "w", encoding="utf-8") as file:
        file.write(DOMAIN % dict(values, without=without, emulator=programs.path("gmem-run-qemu")))
    do("define", path)


def vms():
    return operator.call("vm.list")["vms"]


def view():
    found = vms()
    equal(len(found), 1, "VMs")
    return operator.call("vm.get", {"vm": found[0]["vm"]})


def gone():
    wait_until(lambda: not vms(), "the VM's end")


def reconnect():
    global operator
    operator.close()
    operator = host.operator()


@test("a domain's memory is gmemd's, under its name and UUID, and what it is told to have")
def domain():
    define("plain")
    do("start", "plain")
    seen = view()
    equal((seen["name"], seen["uuid"], seen["gate"]), ("plain", UUID, "active"), "the VM")
    equal(seen["committed"], 128 << 20, "committed")
    stats = dict(line.split() for line in do("dommemstat", "plain").splitlines())
    equal(int(stats["actual"]) << 10, seen["committed"], "libvirt's figure")
    do("destroy", "plain")
    gone()


@test("a pc, and memory that is a memfd")
def variants():
    memfd = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
    for machine, backing in (("pc", ""), ("q35", memfd)):
        define("plain", machine=machine, backing=backing)
        do("start", "plain")
        wait_until(lambda: view()["committed"] >= 128 << 20, "its memory")
        do("destroy", "plain")
        gone()
    define("plain")


@test("suspend, resume, reset, dirty rate, dump, save, restore, and a managed save")
def saved():
    do("start", "plain")
    for verb in ("suspend", "resume", "reset"):
        do(verb, "plain")
    do("domdirtyrate-calc", "plain", "--seconds", "1")
    path = os.path.join(programs.scratch, "saved")
    do("dump", "--memory-only", "plain", path)
    os.unlink(path)
    do("save", "plain", path)
    gone()
    do("restore", path)
    equal((view()["name"], view()["committed"]), ("plain", 128 << 20), "the restored VM")
    do("managedsave", "plain")
    gone()
    do("start", "plain")
    equal(view()["committed"], 128 << 20, "committed")
    do("destroy", "plain")
    gone()


@test("gmemd and libvirtd are started again under a running domain, which goes on")
def restarted():
    do("start", "plain")
    pid = view()["pid"]
    host.restart()
    reconnect()
    equal((view()["pid"], view()["committed"]), (pid, 128 << 20), "after gmemd's restart")
    libvirtd.stop()
    libvirtd.start()
    equal((do("domstate", "plain"), view()["pid"]), ("running", pid), "after libvirtd's restart")
    os.kill(pid, signal.SIGKILL)
    gone()
    wait_until(lambda: do("domstate", "plain") == "shut off", "libvirt has heard of its end")


def known_since():
    """Of which time libvirt has what the emulator offers."""
    do("domcapabilities", "--virttype", "kvm", "--emulatorbin", programs.path("gmem-run-qemu"))
    for path in glob.glob("/var/cache/libvirt/qemu/capabilities/*.xml"):
        text = slurp(path)
        if programs.path("gmem-run-qemu") in text:
            return int(re.search("<qemuctime>([0-9]+)</qemuctime>", text).group(1))
    raise Failed("libvirt has kept nothing about the emulator")


@test("libvirt keeps what QEMU offers until the emulator is touched, as one does when QEMU is another")
def touched():
    emulator = programs.path("gmem-run-qemu")
    first = known_since()
    equal(known_since(), first, "asked again")
    wait_until(lambda: time.time() >= first + 2, "another second")
    os.utime(emulator)
    equal(known_since(), int(os.stat(emulator).st_ctime), "asked after it was touched")
    check(known_since() > first, "it is a later time")


@test("what gmemd refuses, virsh says")
def refused():
    define("large", uuid=UUID[:-1] + "1", size=2 * LIMIT)
    status, said = virsh("start", "large")
    check(status != 0, "the start of a domain that is too large")
    check("gmemd refused" in said or "commit" in said, said)
    equal(vms(), [], "VMs")
    do("undefine", "large")


@test("where there is no gmemd, virsh says so")
def away():
    subprocess.run(["umount", "/run/gmemd"], check=True)
    status, said = virsh("start", "plain")
    mount("--bind", host.path, "/run/gmemd")
    check(status != 0 and "no gmemd serves at /run/gmemd/gmemd.sock" in said, said)


if __name__ == "__main__":
    libvirt.enter(__file__)
    tap.main(set_up, tear_down)
