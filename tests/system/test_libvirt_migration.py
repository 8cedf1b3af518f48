#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain that runs moves to another libvirtd, which has a gmemd of its own, as on another host, and back."""

import os
import shutil
import subprocess
import uuid

from gmemtest import domains, libvirt, linux, tap
from gmemtest.domains import MIB, NAME, Books, Domains
from gmemtest.libvirt import do, virsh
from gmemtest.qemu import slurp, wait_until
from gmemtest.tap import check, equal, test

SIZE = 128
LIMIT = 192  # MiB on the other host
OTHERS_NUMBERS = 4  # machines of both are in one hierarchy of cgroups, by their numbers, of which the other has fewer
MEMFD = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
# In namespaces of its own, with its own directories where libvirt's are.
RUN = """
for directory in %s; do mount --bind "$0$directory" "$directory" || exit; done
mount --bind "$1" /run/gmemd && hostname elsewhere && exec libvirtd --pid-file /run/libvirt/pid
""" % " ".join(libvirt.DIRECTORIES)
NAMESPACES = ["unshare", "--mount", "--uts", "--propagation", "private"]

here = there = None


class Elsewhere(Books):
    """The other host."""

    def __init__(self):
        super().__init__("[limits]\ncommit-limit = %d\n" % (LIMIT * MIB))
        self.directory = os.path.join(self.host.directory, "root")
        for directory in libvirt.DIRECTORIES[2:]:
            os.makedirs(self.directory + directory)
        shutil.copytree("/etc/libvirt", self.directory + "/etc/libvirt", symlinks=True)
        with open(self.directory + "/etc/libvirt/libvirtd.conf", "a", encoding="utf-8") as file:
            file.write('host_uuid = "%s"\n' % uuid.uuid4())
        for directory in ("libvirt", "gmemd"):
            os.makedirs(os.path.join(self.directory, "run", directory))
        self.uri = "qemu+unix:///system?socket=%s/run/libvirt/libvirt-sock" % self.directory
        with open(os.path.join(self.host.directory, "libvirtd.log"), "ab") as log:
            self.process = subprocess.Popen(
                [*NAMESPACES, "sh", "-c", RUN, self.directory, self.host.path],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=linux.die_with_parent,
            )
        wait_until(lambda: virsh("-c", self.uri, "list")[0] == 0, "the other libvirtd")

    def end(self):
        self.process.terminate()
        self.process.wait(libvirt.SECONDS)
        super().end()


def set_up():
    global here, there
    domains.require()
    libvirt.make_directories()
    domains.give_device()
    here = Domains("")
    there = Elsewhere()


def tear_down():
    there.end()
    here.end()


def move(source, target):
    path = os.path.join(here.programs.scratch, "migration")
    return virsh("-c", source, "migrate", "--live", NAME, "--desturi", target, "--migrateuri", "unix://" + path)


def has_moved(source, target, what):
    source.gone()
    target.has(SIZE, SIZE, what)
    check(target.charged() >= target.view()["resident"] > 0, what + ": it is charged there")
    here.goes_on()
    check("S" not in slurp(here.console()), what + ": the guest has begun anew")


@test("what the other host has no room for is refused with its sentence, and the guest goes on where it is")
def no_room():
    here.define()
    for _ in range(OTHERS_NUMBERS):
        do("start", NAME)
        here.destroy()
    here.start()
    kept = there.operator.call("reservation.create", {"name": "others", "size": 100 * MIB, "ttl_ms": 600000})["reservation"]
    status, said = move("qemu:///system", there.uri)
    check(status != 0 and "limit of the host" in said, said)
    there.operator.call("reservation.cancel", {"reservation": kept})
    there.has(0, 0, "after the refusal")
    here.has(SIZE, SIZE, "after the refusal")
    here.goes_on()


@test("a domain moves while it runs, and back: each host has its memory on its books as long as it is there")
def there_and_back():
    for name, backing in (("anonymous", ""), ("memfd", MEMFD)):
        if backing:
            here.define(backing=backing)
            here.start()
        equal(move("qemu:///system", there.uri), (0, ""), name)
        has_moved(here, there, name + ": there")
        equal(move(there.uri, "qemu:///system"), (0, ""), name + ", back")
        has_moved(there, here, name + ": back")
        here.destroy()
    equal(do("list", "--name"), "", "domains that run")


if __name__ == "__main__":
    libvirt.enter(__file__)
    tap.main(set_up, tear_down)
