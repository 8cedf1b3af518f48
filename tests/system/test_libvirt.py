#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains of the real libvirtd whose emulator is gmem-run-qemu. libvirtd has namespaces of the test's own, with a /dev/kvm
that its user may use, and takes neither cgroups nor a network."""

import os
import shutil
import signal
import subprocess
import sys

from gmemtest import linux, qemu, tap
from gmemtest.host import Host
from gmemtest.qemu import Programs, slurp, wait_until
from gmemtest.tap import Skip, check, equal, need, test

SECONDS = 120
INSIDE = "GMEMD_TEST_INSIDE"
OWN = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
OWN += ["sh", "-c", '"$@"; exit $?', "sh"]  # the first process there, which waits for orphans
DIRECTORIES = ("/run", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")
CONFIG = 'cgroup_controllers = [ ]\nnamespaces = [ ]\nsecurity_driver = "none"\nstdio_handler = "file"\n'
KVM_DEVICE = os.makedev(10, 232)
UUID = "123e4567-e89b-12d3-a456-426614174000"
STARTS = 20
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


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def make_namespaces():
    kept = "/etc/libvirt"
    before = os.path.join("/tmp", "gmemd-test-libvirt-%d" % os.getpid())
    shutil.copytree(kept, before)
    for directory in DIRECTORIES:
        mount("-t", "tmpfs", "-o", "mode=755,dev", "tmpfs", directory)
    shutil.copytree(before, kept, dirs_exist_ok=True)
    shutil.rmtree(before)
    with open("/etc/libvirt/qemu.conf", "a", encoding="utf-8") as file:
        file.write(CONFIG)
    for directory in ("/run/libvirt", "/run/gmemd"):
        os.mkdir(directory)
    os.mknod("/run/kvm", 0o666 | 0o020000, KVM_DEVICE)
    os.chmod("/run/kvm", 0o666)
    mount("--bind", "/run/kvm", "/dev/kvm")


def start_libvirtd():
    global libvirtd
    log = open("/run/libvirtd.log", "ab")
    words = ["libvirtd", "--pid-file", "/run/libvirt/pid"]
    libvirtd = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    wait_until(lambda: virsh("list")[0] == 0, "libvirtd: " + slurp("/run/libvirtd.log"))


def stop_libvirtd():
    libvirtd.terminate()
    libvirtd.wait(SECONDS)


def set_up():
    global host, programs, operator, without
    if not shutil.which("libvirtd") or not shutil.which("virsh"):
        raise Skip("libvirt is not installed")
    linux.require_root()
    qemu.require()
    make_namespaces()
    if qemu.find_processor() != "host":
        without = "<feature policy='disable' name='arch-capabilities'/>"
    host = Host(gate="required", config="[limits]\ncommit-limit = %d\n" % (LIMIT << 20))
    mount("--bind", host.path, "/run/gmemd")
    programs = Programs(host)
    shutil.copy(os.path.join(os.environ["BUILD_DIR"], "client/gmem-run-qemu"), programs.directory)
    operator = host.operator()
    start_libvirtd()


def tear_down():
    stop_libvirtd()
    operator.close()
    host.stop()
    subprocess.run(["umount", "/run/gmemd"], check=True)


def virsh(*words):
    """(its status, what it has said)."""
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": SECONDS}
    ended = subprocess.run(["virsh", *words], check=False, **how)
    return ended.returncode, (ended.stdout + ended.stderr).strip()


def do(*words):
    status, said = virsh(*words)
    need(status == 0, "virsh %s: %s" % (" ".join(words), said))
    return said


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
    stop_libvirtd()
    start_libvirtd()
    equal((do("domstate", "plain"), view()["pid"]), ("running", pid), "after libvirtd's restart")
    os.kill(pid, signal.SIGKILL)
    gone()
    wait_until(lambda: do("domstate", "plain") == "shut off", "libvirt has heard of its end")


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


@test("%d starts leave nothing" % STARTS)
def starts():
    do("start", "plain")
    do("destroy", "plain")
    gone()
    before = host.fds()
    for _ in range(STARTS):
        do("start", "plain")
        equal(view()["committed"], 128 << 20, "committed")
        do("destroy", "plain")
        gone()
    wait_until(lambda: host.fds() <= before, "gmemd's files are as before")
    do("undefine", "plain")


if __name__ == "__main__":
    if os.geteuid() == 0 and INSIDE not in os.environ:
        os.environ[INSIDE] = "yes"
        os.execvp(OWN[0], [*OWN, sys.executable, os.path.abspath(__file__)])
    tap.main(set_up, tear_down)
