#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What gmemd and its programs say is wrong is what is wrong, in words for people."""

import os
import signal
import subprocess
import time

from gmemtest import tap
from gmemtest.daemon import Daemon
from gmemtest.tap import Skip, check, equal, test

BUILD = os.environ["BUILD_DIR"]
RUN, CTL, VMM = (os.path.join(BUILD, "client", name) for name in ("gmem-run", "gmemctl", "gmem-example-vmm"))
# Above what a host can have: its floor is.
RESERVE_BELOW_FLOOR = "[limits]\nhost-reserve = 1%\n[pressure]\nfloor = 2%\n"

model = kvm = None


def set_up():
    global model, kvm
    model = Daemon(backend="model", config=RESERVE_BELOW_FLOOR)
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        try:
            kvm = Daemon(backend="kvm")
        except tap.Failed as reason:
            print("# no gmemd on KVM: %s" % str(reason).splitlines()[0])


def tear_down():
    model.stop()
    if kvm:
        kvm.stop()


def need_kvm():
    if not kvm:
        raise Skip("no gmemd on KVM here")
    return kvm


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stdout, result.stderr


def gmem_run(daemon, *options):
    return run(RUN, "--socket=" + daemon.socket_path("gmemd.sock"), *options, "--", "true")


def gmemctl(daemon, socket, *arguments):
    return run(CTL, "--socket=" + daemon.socket_path(socket), *arguments)


def says(result, status, *words):
    """One sentence of stderr has all the words, and none of it is JSON."""
    equal(result[0], status, "exit status of what said %r" % result[2])
    for word in words:
        check(word in result[2], "%r has no %r" % (result[2], word))
    check("{" not in result[2], "%r is JSON" % result[2])


def logged(daemon, words):
    until = time.monotonic() + 60
    while words not in daemon.log() and time.monotonic() < until:
        time.sleep(0.05)
    return check(words in daemon.log(), "%r is not in %r" % (words, daemon.log()[-1000:]))


@test("what a type of VM lacks and another has")
def type_lacks():
    private = gmem_run(model, "--gate=none", "--initial-state=private")
    says(private, 125, "VMs of type default have no private memory", "sw_protected", "model")
    check("lacks" not in private[2], private[2])
    error = model.peer().error("vm.open", {"name": "x", "gate": "none", "initial_state": "private"})
    equal(error["code"], -32005, "code")
    equal(error["data"]["type"], "default", "type")
    equal(error["data"]["types"], ["sw_protected"], "types that have it")
    equal(gmem_run(model, "--gate=none", "--initial-state=private", "--type=sw_protected")[0], 0, "status")


@test("types of VM that there are not")
def no_such_type():
    says(gmem_run(model, "--gate=none", "--type=sev"), 125, "no VMs of type sev", "default, sw_protected")
    says(gmem_run(model, "--gate=none", "--type=7"), 125, "no VMs of type 7", "default, sw_protected")
    says(gmem_run(model, "--gate=none", "--type=sev-snp"), 125, "type must be", "default, sw_protected")
    for number in ("7", "30", "31"):
        error = model.peer().error("vm.open", {"name": "x", "gate": "none", "type": number})
        equal((error["code"], error["data"]["types"]), (-32005, ["default", "sw_protected"]), number)


@test("the same on KVM, of what it offers")
def on_kvm():
    daemon = need_kvm()
    offered = {t["name"]: t for t in daemon.operator().call("host.describe")["kernel"]["vm_types"]}
    private = sorted(name for name, offer in offered.items() if offer["memory_attributes"])
    error = daemon.peer().error("vm.open", {"name": "x", "gate": "none", "initial_state": "private"})
    equal((error["data"]["type"], sorted(error["data"]["types"])), ("default", private), "types")
    check("this host" in error["message"], error["message"])


@test("a parameter that is unknown")
def unknown_parameter():
    says(gmemctl(model, "admin.sock", "call", "vm.get", '{"vmm": 1}'), 1, "vmm must be left out, being unknown; known: vm, cursor.")
    says(gmemctl(model, "admin.sock", "call", "ping", '{"a": 1}'), 1, "known: none.")


@test("VMs that only their own process is shown")
def own_view():
    for verb in ("vms", "status", "top"):
        status, _, told = gmemctl(model, "gmemd.sock", verb)
        equal(status, 0, verb)
        check("admin.sock" in told, "%s: %r" % (verb, told))
        status, _, told = gmemctl(model, "admin.sock", verb)
        equal((status, told), (0, ""), verb + " at admin.sock")
    equal(gmemctl(model, "gmemd.sock", "--json", "vms")[2], "", "with --json")


@test("one VM is one VM")
def one_vm():
    peer = model.peer()
    peer.call("vm.open", {"name": "only", "gate": "none"})
    top = gmemctl(model, "admin.sock", "top")[1]
    check(top.startswith("1 VM, "), top)
    peer.close()


@test("a reserve that is less than the floor of pressure")
def reserve_below_floor():
    logged(model, "host-reserve is ")


@test("an error that gmemd has a sentence for, by a VMM of the library's")
def by_the_example():
    if not os.access(VMM, os.X_OK):
        raise Skip("the example VMM is x86 code")
    says(run(VMM, "--socket=" + model.socket_path("gmemd.sock"), "--name=" + "x" * 200), 1, "gmemd refused: name must be")


@test("a keeper that is gone, and is back")
def keeper():
    daemon = need_kvm()
    for pid in daemon.keepers():
        os.kill(pid, signal.SIGKILL)
    logged(daemon, "gmemd-keeper is gone")
    logged(daemon, "gmemd-keeper is back")
    equal(daemon.log().count("is back"), 1, "how often it was said")


@test("help and the reference show what objects in arrays have, and the notification progress")
def fields_in_arrays():
    with open(os.path.join(BUILD, "protocol", "gmemd-protocol.md"), encoding="utf-8") as file:
        reference = file.read()
    for method, fields in {
        "memory.reclaim": ("ranges[].offset", "ranges[].size"),
        "memory.convert": ("ranges[].guest_phys_addr", "ranges[].size"),
        "vm.resume": ("memories[].memory", "memories[].fd", "slots[].guest_phys_addr"),
    }.items():
        told = run(CTL, "help", method)[1]
        section = reference.partition("### %s\n" % method)[2].partition("\nResult:")[0]
        for field in fields:
            check(field in told, "gmemctl help %s has no %s" % (method, field))
            check("| `%s` |" % field in section, "the reference of %s has no %s" % (method, field))
    events = reference.partition("## Events")[2]
    for word in ('"progress"', "`token`", "`done`", "`total`"):
        check(word in events, "the events have no " + word)
    lines = reference.splitlines()
    titles = [line for line, below in zip(lines, lines[1:]) if below.startswith("| ---")]
    check(not any("| |" in line for line in titles), "a column has no title")


@test("help explains the columns of what a verb prints")
def columns():
    for verb, titles in {
        "vms": "ID NAME TENANT PID STATE GATE COMMITTED PROMISED RESIDENT",
        "show": "BACKING FLAGS NODE GUEST_PHYS_ADDR USERSPACE_ADDR STRIDE",
        "slots": "SLOT GUEST_PHYS_ADDR SIZE USERSPACE_ADDR MEMORY OFFSET FLAGS STATE",
        "top": "NAME COMMITTED RESIDENT PRIVATE RATE/S",
        "reclaim": "MEMORY NAME RECLAIMED RESIDENT",
    }.items():
        lines = [line.split(None, 1) for line in run(CTL, "help", verb)[1].splitlines()]
        told = {words[0]: words[1] for words in lines if len(words) == 2}
        for title in titles.split():
            check(len(told.get(title, "")) > 5, "gmemctl help %s says of %s: %r" % (verb, title, told.get(title)))


@test("probe names no kernel that is older than this one")
def probe():
    status, told, _ = run(CTL, "--socket=" + model.socket_path("admin.sock"), "probe")
    check(status in (0, 1), told)
    running = tuple(int(part) for part in os.uname().release.split(".")[:2])
    for line in told.splitlines():
        if "Boot Linux " in line:
            wanted = line.partition("Boot Linux ")[2].split()[0]
            check(tuple(int(part) for part in wanted.split(".")) > running, line)


tap.main(set_up, tear_down)
