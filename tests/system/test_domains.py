#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd-libvirt and gmemd's hook beside a real libvirtd, whose domains have QEMU without KVM and VMs of a gmemd whose back end is the model."""

import json
import os
import shutil
import subprocess

from gmemtest import libvirt, linux, tap
from gmemtest.host import Host
from gmemtest.libvirt import do, mount, virsh
from gmemtest.qemu import slurp, wait_until
from gmemtest.tap import Failed, Skip, check, equal, need, note, test
from gmemtest.wire import RpcError

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



def starts():
    """As many as libvirt_memory has on KVM; where it runs, these, which are slow, need not be so many."""
    try:
        linux.require_guest_memfd()
        return 5
    except Skip:
        return 20


STARTS = starts()

# As libvirt runs it, and then what is reserved, and how long it took.
HOOK = """#!/usr/bin/python3
import json, subprocess, sys, time
xml = sys.stdin.buffer.read()
begin = time.monotonic()
ended = subprocess.run(["%(hook)s", *sys.argv[1:]], input=xml, check=False)
run = {"operation": sys.argv[2], "ms": (time.monotonic() - begin) * 1000, "reservations": []}
said = subprocess.run(["%(gmemctl)s", "--json", "reservations"], check=False, capture_output=True)
if said.returncode == 0:
    run["reservations"] = json.loads(said.stdout)["reservations"]
with open("%(log)s", "a") as file:
    file.write(json.dumps(run) + "\\n")
sys.exit(ended.returncode)
"""

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
    def does():
        domain = shown().get(name)
        return domain is not None and part in (domain["remark"] or "")

    wait_until(does, "%s: %s; %s" % (name, part, shown().get(name)))


def emulator():
    """Called as the one that the hook takes care of."""
    return os.path.join(host.directory, "gmem-run-qemu")


def set_up():
    global host, operator, libvirtd, bridge
    libvirt.require()
    if not shutil.which(QEMU):
        raise Skip("no " + QEMU)
    libvirt.make_directories()
    host = Host(gate="preferred", backend="model", config="[limits]\ncommit-limit = %d\n" % (LIMIT * MIB))
    os.chmod(host.directory, 0o755)
    mount("--bind", host.path, "/run/gmemd")
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "domain_vmm.py"), emulator())
    os.chmod(emulator(), 0o755)
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


def define(name, number=0, size=64, title="", metadata="", most="", program=None):
    path = os.path.join(host.directory, name + ".xml")
    values = {"name": name, "uuid": UUID + str(number), "size": size, "title": title, "metadata": metadata, "most": most}
    with open(path, "w", encoding="utf-8") as file:
        file.write(DOMAIN % dict(values, emulator=program or emulator()))
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

    def set_and_shown():
        """Again, where libvirt had told of its start once more, and it was put right."""
        operator.call("vm.set", {"vm": the_vm()["vm"], "commit_limit": 80 * MIB})
        return shown()["plain"]["remark"] == "gmemd has promised it 80M"

    wait_until(set_and_shown, "the remark")
    do("suspend", "plain")
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "its limit, again")
    shows("plain", active=True, remark=None)


@test("libvirtd, gmemd and gmemd-libvirt are started again beside a running domain")
def restarted():
    global operator
    pid = the_vm()["pid"]
    libvirtd.stop()
    wait_until(lambda: "the connection has ended" in bridge.said(), "it has lost libvirt: " + bridge.said())
    wait_until(lambda: "no connection to qemu:///system" in gmemctl("domains", bridge.state).stderr, "gmemctl says so")
    define_after = os.path.join(host.directory, "plain.xml")
    libvirtd.start()
    do("define", define_after)
    shows("plain", active=True, remark=None)
    equal(the_vm()["pid"], pid, "its process")
    operator.call("vm.set", {"vm": the_vm()["vm"], "commit_limit": 80 * MIB})
    bridge.stop()
    bridge.start()
    wait_until(lambda: the_vm()["promised"] == 64 * MIB, "its limit, by the next")
    host.restart(alone=False)  # the model's VMs end with it; gmemd-libvirt connects at once
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
    define("other", number=1, metadata=own("limit='96M'"), program="/usr/bin/" + QEMU)
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


def refused(peer, method, params):
    """The error."""
    try:
        peer.call(method, params)
    except RpcError as e:
        return e.error
    finally:
        peer.close()
    raise Failed("%s is not refused: %s" % (method, params))


def reservations():
    return operator.call("reservation.list")["reservations"]


def watch_hook():
    """What libvirt runs: the hook, and what was reserved when it had run, and how long it took."""
    os.makedirs(libvirt.HOOKS, exist_ok=True)
    path = os.path.join(libvirt.HOOKS, "gmemd")
    with open(path, "w", encoding="utf-8") as file:
        file.write(HOOK % {
            "hook": os.path.join(os.environ["BUILD_DIR"], "client/gmemd-libvirt-hook"),
            "gmemctl": os.path.join(os.environ["BUILD_DIR"], "client/gmemctl"),
            "log": os.path.join(host.directory, "hook.log"),
        })
    os.chmod(path, 0o755)
    libvirtd.stop()
    libvirtd.start()  # it looks for hooks when it starts


def hook_runs():
    return [json.loads(line) for line in slurp(os.path.join(host.directory, "hook.log")).splitlines()]


def forget_runs():
    open(os.path.join(host.directory, "hook.log"), "w", encoding="utf-8").close()


@test("a domain's memory is reserved before it starts, for its machine, and is its VM's then")
def hooked():
    watch_hook()
    do("start", "plain")
    made = [run["reservations"] for run in hook_runs() if run["operation"] == "prepare"]
    equal(len(made), 1, "prepare")
    equal([(one["name"], one["size"], one["machine"][:5]) for one in made[0]], [(UUID + "0", 64 * MIB, "qemu-")], "reserved")
    equal((the_vm()["promised"], reservations()), (64 * MIB, []), "once it runs")
    do("destroy", "plain")
    gone()
    equal(reservations(), [], "reserved when it has ended")


@test("a managed save, and the start from it, reserve once")
def saved():
    do("start", "plain")
    forget_runs()
    do("managedsave", "plain")
    gone()
    do("start", "plain")
    runs = [run["operation"] for run in hook_runs()]
    check(runs.index("restore") < runs.index("prepare"), "the order: %s" % runs)
    equal((the_vm()["promised"], reservations()), (64 * MIB, []), "once it runs again")
    do("destroy", "plain")
    gone()


@test("what is not to be had is refused before QEMU is started, and virsh says how much is asked and left, and of what")
def admission():
    define("large", number=2, size=2 * LIMIT)
    forget_runs()
    status, said = virsh("start", "large")
    check(status != 0, "its start")
    for part in ("domain large", str(2 * LIMIT * MIB), "limit of the host", "would fit"):
        check(part in said, "%s: %s" % (part, said))
    equal([run["operation"] for run in hook_runs()][:1], ["prepare"], "the first run")
    check("start" not in [run["operation"] for run in hook_runs()], "QEMU is not started")
    check("release" in [run["operation"] for run in hook_runs()], "what never began is released")
    equal((vms(), reservations()), ([], []), "VMs and reservations")
    do("undefine", "large")


@test("metadata that is wrong, or names a tenant that there is not, is refused with the domain's name")
def wrong_metadata():
    for attributes, part in (("tennant='x'", 'no "tennant"'), ("tenant='nobody'", "tenant")):
        define("wrong", number=3, metadata=own(attributes))
        status, said = virsh("start", "wrong")
        check(status != 0 and "domain wrong" in said and part in said, said)
    equal((vms(), reservations()), ([], []), "VMs and reservations")
    do("undefine", "wrong")


@test("without gmemd a domain of its is refused before it starts, and one that has another emulator is not")
def no_gmemd():
    define("other", number=1, program="/usr/bin/" + QEMU)
    subprocess.run(["umount", "/run/gmemd"], check=True)
    status, said = virsh("start", "plain")
    virsh("start", "other")
    state = do("domstate", "other")
    mount("--bind", host.path, "/run/gmemd")
    check(status != 0 and "no gmemd serves at /run/gmemd/admin.sock" in said, said)
    equal(state, "running", "the other")
    do("destroy", "other")
    do("undefine", "other")


@test("a reserved UUID is its machine's alone: others are refused, by its name too")
def identity():
    made = operator.call("reservation.create", {
        "name": UUID + "9", "size": MIB, "machine": "qemu-999-", "ttl_ms": 600000})["reservation"]
    for params in ({}, {"reservation": UUID + "9"}, {"reservation": made}):
        for uuid in (UUID + "9", (UUID + "9").upper()):
            error = refused(host.peer(), "vm.open", dict(params, name="claims it", uuid=uuid, gate="none"))
            equal((error["code"], "machine" in error["message"]), (-32002, True), str(error))
    for params in ({"reservation": UUID + "9"}, {"reservation": made}):
        equal(refused(host.peer(), "vm.open", dict(params, name="takes it", gate="none"))["code"], -32001, "without the UUID")
    equal([one["name"] for one in reservations()], [UUID + "9"], "it is there still")
    operator.call("reservation.cancel", {"reservation": UUID + "9"})
    wrong = {"name": "no UUID", "size": MIB, "machine": "qemu-999-", "ttl_ms": 600000}
    equal(refused(host.operator(), "reservation.create", wrong)["data"]["param"], "name", "one that nobody could use")


@test("what an earlier start has left in the way is replaced")
def left():
    operator.call("reservation.create", {"name": UUID + "0", "size": MIB, "machine": "qemu-999-", "ttl_ms": 600000})
    do("start", "plain")
    equal((the_vm()["promised"], reservations()), (64 * MIB, []), "once it runs")
    do("destroy", "plain")
    gone()


@test("%d starts leave nothing, and the hook's runs of one take little" % STARTS)
def starts():
    before = host.fds()
    forget_runs()
    for _ in range(STARTS):
        do("start", "plain")
        do("destroy", "plain")
        gone()
    equal((vms(), reservations()), ([], []), "VMs and reservations")
    commitment = operator.call("host.describe")["commitment"]
    equal((commitment["committed"], commitment["promised"], commitment["reserved"]), (0, 0, 0), "what is committed")
    wait_until(lambda: host.fds() <= before, "gmemd's files are as before")
    of_starts = [run["ms"] for run in hook_runs() if run["operation"] in ("prepare", "start", "started")]
    note("the hook's runs of a start take %.1f ms together in the mean of %d" % (sum(of_starts) / STARTS, STARTS))


@test("where gmemd-libvirt has written nothing, gmemctl says so")
def no_bridge():
    ended = gmemctl("domains", os.path.join(host.directory, "nothing"))
    equal((ended.returncode, "does it run?" in ended.stderr), (3, True), ended.stderr)


if __name__ == "__main__":
    libvirt.enter(__file__)
    tap.main(set_up, tear_down)
