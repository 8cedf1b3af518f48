#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd-libvirt beside a real libvirtd, whose domains have QEMU without KVM and VMs of a gmemd whose back end is the model."""

import json
import os
import shutil
import subprocess

from gmemtest import libvirt, linux, tap
from gmemtest.host import Host
from gmemtest.libvirt import do, mount, virsh
from gmemtest.qemu import slurp, wait_until
from gmemtest.tap import Skip, check, equal, need, test

SECONDS = 60
QEMU = "qemu-system-x86_64"
NAMESPACE = "urn:gmemd:domain"
UUID = "123e4567-e89b-12d3-a456-42661417400"
MIB = 1 << 20
LIMIT = 512  # MiB on the host

DOMAIN = """
<domain type='qemu'>
  <name>%(name)s</name><uuid>%(uuid)s</uuid><title>%(title)s</title>
  %(most)s<memory unit='MiB'>%(size)d</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>%(metadata)s
  <devices><emulator>%(emulator)s</emulator></devices>
</domain>
"""

MOST = """<maxMemory slots='2' unit='MiB'>128</maxMemory>
  <cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa></cpu>"""

host = operator = libvirtd = bridge = None


class Bridge:
    def __init__(self):
        self.log = os.path.join(host.directory, "bridge.log")
        self.state = os.path.join(host.directory, "domains")
        self.start()

    def start(self):
        words = [os.path.join(os.environ["BUILD_DIR"], "client/gmemd-libvirt")]
        words += ["--socket=" + host.socket_path("admin.sock"), "--state=" + self.state]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=log, preexec_fn=linux.die_with_parent)

    def stop(self):
        self.process.terminate()
        equal(self.process.wait(SECONDS), 0, "gmemd-libvirt's status: " + slurp(self.log))
        check(not os.path.exists(self.state), "its file is gone")

    def said(self):
        return slurp(self.log)


def gmemctl(*words):
    program = os.path.join(os.environ["BUILD_DIR"], "client/gmemctl")
    words = [program, "--socket=" + host.socket_path("admin.sock"), *words]
    return subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)


def shown():
    """What gmemctl domains shows, by name."""
    ended = gmemctl("--json", "domains", bridge.state)
    if ended.returncode == 3:
        return {}  # it has not written yet
    need(ended.returncode == 0, ended.stderr)
    return {domain["name"]: domain for domain in json.loads(ended.stdout)["domains"]}


def shows(name, **members):
    def does():
        domain = shown().get(name)
        return domain is not None and all(domain[member] == value for member, value in members.items())

    wait_until(does, "%s with %s: %s; %s" % (name, members, shown().get(name), bridge.said()))


def remarks(name, part):
    wait_until(lambda: part in (shown()[name]["remark"] or ""), "%s: %s; %s" % (name, part, shown().get(name)))


def set_up():
    global host, operator, libvirtd, bridge
    libvirt.require()
    if not shutil.which(QEMU):
        raise Skip("no " + QEMU)
    libvirt.make_directories()
    host = Host(gate="preferred", backend="model", config="[limits]\ncommit-limit = %d\n" % (LIMIT * MIB))
    os.chmod(host.directory, 0o755)
    mount("--bind", host.path, "/run/gmemd")
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "domain_vmm.py"), host.directory)
    os.chmod(os.path.join(host.directory, "domain_vmm.py"), 0o755)
    operator = host.operator()
    libvirtd = libvirt.Libvirtd()
    bridge = Bridge()


def tear_down():
    for name in do("list", "--name").split():
        do("destroy", name)
    bridge.stop()
    libvirtd.end()
    operator.close()
    host.stop()
    subprocess.run(["umount", "/run/gmemd"], check=True)


def define(name, number=0, size=64, title="", metadata="", most="", emulator=None):
    path = os.path.join(host.directory, name + ".xml")
    values = {"name": name, "uuid": UUID + str(number), "size": size, "title": title, "metadata": metadata, "most": most}
    with open(path, "w", encoding="utf-8") as file:
        file.write(DOMAIN % dict(values, emulator=emulator or os.path.join(host.directory, "domain_vmm.py")))
    do("define", path)


def open_as_stranger():
    linux.die_with_parent()
    host.peer().call("vm.open", {"name": "claims it", "uuid": UUID + "1", "gate": "none"})


def own(attributes):
    return "<metadata><gmem:memory xmlns:gmem='%s' %s/></metadata>" % (NAMESPACE, attributes)


def vms():
    return [vm for vm in operator.call("vm.list")["vms"] if vm["state"] != "released"]


def the_vm():
    found = vms()
    equal(len(found), 1, "VMs")
    return found[0]


def gone():
    wait_until(lambda: not vms(), "the VM's end")


@test("a domain that starts has its maximum as its VM's commit limit, and is shown until it is undefined")
def lifecycle():
    define("plain", title="A title", most=MOST)
    shows("plain", active=False, state="shut off", title="A title", limit=128 * MIB, vm=None, remark=None)
    do("start", "plain")
    wait_until(lambda: the_vm()["promised"] == 128 * MIB, "its limit: " + bridge.said())
    shows("plain", active=True, state="running", vm=the_vm()["vm"], committed=64 * MIB, remark=None)
    check("plain" in gmemctl("domains", bridge.state).stdout, "the table")
    do("destroy", "plain")
    gone()
    shows("plain", active=False, vm=None, remark=None)
    do("undefine", "plain")
    wait_until(lambda: "plain" not in shown(), "it is gone")


@test("metadata that people set while the domain runs counts at once, and what is wrong with it is told")
def metadata():
    define("plain")
    do("start", "plain")
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "its limit")
    set_own = ["metadata", "plain", "--uri", NAMESPACE, "--key", "gmem", "--live", "--config", "--set"]
    do(*set_own, "<memory limit='100M'/>")
    wait_until(lambda: the_vm()["promised"] == 100 * MIB, "the new limit")
    shows("plain", limit=100 * MIB, remark=None)
    do(*set_own, "<memory limit='32M'/>")
    remarks("plain", "more than its limit")
    equal(the_vm()["promised"], 100 * MIB, "a limit that it has passed")
    do(*set_own, "<memory limit='1T'/>")
    remarks("plain", "would pass the limit of the host")
    equal(the_vm()["promised"], 100 * MIB, "a limit that the host has not")
    do(*set_own, "<memory limmit='1G'/>")
    remarks("plain", 'no "limmit"')
    check('plain: <gmem:memory> in its metadata: it has no "limmit"' in bridge.said(), "it is said with the domain's name")
    do("metadata", "plain", "--uri", NAMESPACE, "--live", "--config", "--remove")
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "the limit without any")
    do("destroy", "plain")
    gone()


@test("what an operator has set otherwise is shown, and put right when the domain changes")
def drift():
    do("start", "plain")
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "its limit")
    operator.call("vm.set", {"vm": the_vm()["vm"], "commit_limit": 80 * MIB})
    remarks("plain", "gmemd has promised it 80M")
    do("suspend", "plain")
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "its limit, again")
    shows("plain", active=True, remark=None)


@test("libvirtd, gmemd and gmemd-libvirt are started again beside a running domain")
def restarted():
    global operator
    pid = the_vm()["pid"]
    libvirtd.stop()
    wait_until(lambda: "the connection has ended" in bridge.said(), "it has lost libvirt: " + bridge.said())
    said = gmemctl("domains", bridge.state)
    check(said.returncode == 0 and "no connection to qemu:///system" in said.stderr, "gmemctl says so: " + said.stderr)
    define_after = os.path.join(host.directory, "plain.xml")
    libvirtd.start()
    do("define", define_after)
    shows("plain", active=True, remark=None)
    equal(the_vm()["pid"], pid, "its process")
    operator.call("vm.set", {"vm": the_vm()["vm"], "commit_limit": 80 * MIB})
    bridge.stop()
    bridge.start()
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "its limit, by the next")
    host.restart()  # the model's VMs end with it
    operator.close()
    operator = host.operator()
    remarks("plain", "its memory is not gmemd's")
    do("destroy", "plain")
    do("start", "plain")
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "its limit, of the next gmemd: " + bridge.said())
    do("destroy", "plain")
    gone()


@test("a stranger's VM of a domain's UUID is not the domain's")
def stranger():
    define("other", number=1, metadata=own("limit='96M'"), emulator="/usr/bin/" + QEMU)
    do("start", "plain")
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "its limit")
    stranger = subprocess.Popen(["sleep", "infinity"], preexec_fn=open_as_stranger)
    do("start", "other")
    remarks("other", "not in its machine's cgroup")
    equal([vm["promised"] for vm in vms() if vm["name"] == "claims it"], [0], "the stranger's")
    stranger.kill()
    stranger.wait()
    do("suspend", "other")
    remarks("other", "its memory is not gmemd's")
    do("destroy", "other")
    do("destroy", "plain")
    do("undefine", "other")
    gone()


@test("where gmemd-libvirt has written nothing, gmemctl says so")
def no_bridge():
    ended = gmemctl("domains", os.path.join(host.directory, "nothing"))
    equal((ended.returncode, "does it run?" in ended.stderr), (3, True), ended.stderr)


if __name__ == "__main__":
    libvirt.enter(__file__)
    tap.main(set_up, tear_down)
