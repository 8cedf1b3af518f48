# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains of the real libvirtd on KVM, with gmem-run-qemu as their emulator, beside a gmemd of the test's own.

Their guest is qemu_guest.S: it begins with "S", and goes on for as long as it finds what it has left in its memory.
"""

import os
import shutil
import subprocess

from gmemtest import libvirt, qemu
from gmemtest.host import Host
from gmemtest.libvirt import do, mount
from gmemtest.qemu import Programs, slurp, wait_until
from gmemtest.tap import equal, need

MIB = 1 << 20
KVM_DEVICE = os.makedev(10, 232)
UUID = "123e4567-e89b-12d3-a456-426614174000"
NAME = "plain"

DOMAIN = """
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>%(name)s</name><uuid>%(uuid)s</uuid>%(metadata)s
  %(most)s<memory unit='MiB'>%(size)d</memory>%(backing)s<vcpu>1</vcpu>%(tuning)s
  <os><type arch='x86_64' machine='%(machine)s'>hvm</type><loader type='rom'>%(firmware)s</loader></os>
  <features><acpi/></features>
  <cpu mode='host-passthrough'>%(without)s%(numa)s</cpu>
  <devices><emulator>%(emulator)s</emulator></devices>
  <qemu:commandline>
    <qemu:arg value='-debugcon'/><qemu:arg value='file:%(console)s'/>
    <qemu:arg value='-global'/><qemu:arg value='isa-debugcon.iobase=0x402'/>
  </qemu:commandline>
</domain>
"""
NOTHING = {"metadata": "", "most": "", "backing": "", "tuning": "", "numa": "", "machine": "q35", "name": NAME, "uuid": UUID}


def give_device():
    """A /dev/kvm that libvirt's user may use."""
    os.mknod("/run/kvm", 0o666 | 0o020000, KVM_DEVICE)
    os.chmod("/run/kvm", 0o666)
    mount("--bind", "/run/kvm", "/dev/kvm")


def memory_charge(pid):
    """Of the memory cgroup that the process is in, which is v1's, or of v2."""
    with open("/proc/%d/cgroup" % pid, encoding="utf-8") as file:
        paths = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    name = "memory%s/memory.usage_in_bytes" % paths["memory"] if "memory" in paths else paths[""] + "/memory.current"
    with open(os.path.join(libvirt.CGROUPS, name.lstrip("/")), encoding="ascii") as file:
        return int(file.read())


def require():
    libvirt.require()
    qemu.require()


class Books:
    """What a gmemd of the test's has of domains."""

    def __init__(self, config):
        self.host = Host(gate="required", config=config, keep_closed=False)
        self.operator = self.host.operator()

    def end(self):
        self.operator.close()
        self.host.stop()

    def vms(self):
        return [vm for vm in self.operator.call("vm.list")["vms"] if vm["state"] != "released"]

    def view(self):
        found = self.vms()
        equal(len(found), 1, "VMs")
        return self.operator.call("vm.get", {"vm": found[0]["vm"]})

    def books(self):
        """(committed, promised, reserved) on the host, in MiB."""
        commitment = self.operator.call("host.describe")["commitment"]
        return tuple(commitment[name] // MIB for name in ("committed", "promised", "reserved"))

    def has(self, committed, promised, what):
        """And nothing is reserved besides."""
        wait_until(lambda: self.books() == (committed, promised, 0), "%s: %s" % (what, self.books()))

    def gone(self):
        wait_until(lambda: not self.vms(), "the VM's end")
        self.has(0, 0, "when it has ended")

    def charged(self):
        """What its machine's memory cgroup has, in bytes."""
        return memory_charge(self.view()["pid"])


class Domains(Books):
    """From where libvirt has directories of its own until end()."""

    def __init__(self, config):
        super().__init__(config)
        self.without = ""
        if qemu.find_processor() != "host":
            self.without = "<feature policy='disable' name='arch-capabilities'/>"
        mount("--bind", self.host.path, "/run/gmemd")
        self.programs = Programs(self.host)
        build = os.environ["BUILD_DIR"]
        shutil.copy(os.path.join(build, "client/gmem-run-qemu"), self.programs.directory)
        self.emulator = self.programs.path("gmem-run-qemu")
        os.makedirs(libvirt.HOOKS, exist_ok=True)
        os.symlink(os.path.join(build, "client/gmemd-libvirt-hook"), os.path.join(libvirt.HOOKS, "gmemd"))
        self.libvirtd = libvirt.Libvirtd()

    def end(self):
        for name in do("list", "--name").split():
            do("destroy", name)
        self.libvirtd.end()
        super().end()
        subprocess.run(["umount", "/run/gmemd"], check=True)

    def write(self, name, text):
        path = os.path.join(self.programs.scratch, name + ".xml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def console(self, name=NAME):
        return os.path.join(self.programs.scratch, name + ".console")

    def define(self, size=128, **values):
        """Its path."""
        values = dict(NOTHING, size=size, without=self.without, emulator=self.emulator) | values
        values["firmware"] = self.programs.path("qemu_guest.bin")
        values["console"] = self.console(values["name"])
        path = self.write(values["name"], DOMAIN % values)
        do("define", path)
        return path

    def destroy(self, name=NAME):
        do("destroy", name)
        self.gone()

    def forget_console(self, name=NAME):
        path = self.console(name)
        if os.path.exists(path):
            os.unlink(path)

    def start(self, name=NAME):
        self.forget_console(name)
        do("start", name)
        self.goes_on(name)

    def passes(self, name=NAME):
        return slurp(self.console(name)).count(".")

    def goes_on(self, name=NAME, passes=2):
        """The guest has checked so many times all its memory since, and found what it had left there."""
        before = self.passes(name)
        wait_until(lambda: self.passes(name) >= before + passes or "X" in slurp(self.console(name)), "the guest goes on")
        need("X" not in slurp(self.console(name)), "the guest has found something else in its memory")
