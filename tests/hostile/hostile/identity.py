# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers that speak of what is another's."""

import os

from gmemtest import linux
from gmemtest.tap import check, equal, failures
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer
from hostile.attacker import GONE, INVALID_PARAMS, NOT_FOUND, PAGE, PatientPeer, Unsuitable
from hostile.attacker import code_of, guest_ranges, memfd, misbehaviour, process, refused


def requests_about(vm, memory, fd=0):
    """Every method that names a VM or a memory."""
    bind = {"vm": vm, "slot": 1, "guest_phys_addr": 1 << 30, "memory_size": PAGE, "userspace_addr": 1 << 40}
    yield "vm.get", {"vm": vm}
    yield "vm.set", {"vm": vm, "minimum": 0}
    yield "vm.resume", {"vm": vm}
    yield "vm.gate", {"vm": vm, "listener": fd}
    yield "memory.create", {"vm": vm, "size": PAGE, "backing": "memfd"}
    yield "memory.open", {"memory": memory}
    yield "memory.reclaim", {"memory": memory, "ranges": [{"offset": 0, "size": PAGE}]}
    yield "memory.preallocate", {"memory": memory}
    yield "slot.bind", dict(bind, memory=memory, guest_memfd=fd)
    yield "slot.unbind", {"vm": vm, "slot": 0}
    yield "memory.convert", {"vm": vm, "to": "private", "ranges": guest_ranges((0, 1))}
    yield "call.done", {"vm": vm, "call": 1, "done": 1}
    yield "memory.close", {"memory": memory}
    yield "vm.close", {"vm": vm}


@misbehaviour("guesses-every-id")
def guesses(attacker):
    """What is another's is as if it weren't there, in code, reason and words."""
    peer = attacker.peers(1)[0]
    while attacker.goes_on():
        for number in range(1, 40):
            for method, params in requests_about("vm-%d" % number, number):
                refused(peer, method, params, NOT_FOUND)
    vm, memory = attacker.victim["vm"], attacker.victim["memory"]
    for (method, params), (_, none) in zip(requests_about(vm, memory), requests_about("vm-99999", 99999)):
        theirs, nobodys = peer.error(method, params), peer.error(method, none)
        words = theirs["message"].replace(vm, "ID").replace(str(memory), "ID")
        equal(words, nobodys["message"].replace("vm-99999", "ID").replace("99999", "ID"), method)


@misbehaviour("speaks-as-a-child")
def child(attacker):
    """A process that its VM's process has made is another."""
    vmm = attacker.vmm_with_memory()

    def body(channel):
        peer = attacker.peer()
        codes = [code_of(peer, method, params) for method, params in requests_about(vmm.id, vmm.memory, vmm.file)]
        channel.say(codes)
        channel.hear()

    with process(body) as other:
        codes = other.channel.hear()
        equal(set(codes), {NOT_FOUND}, "a child on a connection of its own")
        attacker.stays()
    equal(vmm.get()["state"] in ("opening", "running"), True, "the VM")


@misbehaviour("resumes-what-is-another's")
def resumes(attacker):
    vmm, victim = attacker.vmm_with_memory(), attacker.victim
    mailbox = vmm.opened["mailbox"]
    fd = vmm.fds[mailbox["fd"]] if mailbox else vmm.file
    told = {"vm": victim["vm"], "memories": [{"memory": victim["memory"], "fd": vmm.file}]}
    slot = {"slot": 0, "guest_phys_addr": 0, "memory_size": PAGE, "userspace_addr": PAGE, "memory": victim["memory"]}
    while attacker.goes_on():
        refused(vmm.peer, "vm.resume", {"vm": victim["vm"], "mailbox": fd}, NOT_FOUND)
        refused(vmm.peer, "vm.resume", told, NOT_FOUND)
        refused(vmm.peer, "vm.resume", dict(told, mailbox=fd, slots=[slot]), NOT_FOUND)


@misbehaviour("takes-another's-memory-for-its-own")
def foreign_memory(attacker):
    """In its own VM, which is there, another's memory, which isn't there for it."""
    vmm, theirs = attacker.vmm_with_memory(), attacker.victim["memory"]
    while attacker.goes_on():
        refused(vmm.peer, "slot.bind", vmm.bind_params(0, 0, PAGE, theirs, vmm.file), NOT_FOUND)
        both = vmm.bind_params(0, 0, PAGE, vmm.memory, vmm.file, shared_memory=theirs)
        refused(vmm.peer, "slot.bind", both, NOT_FOUND)
        told = {"vm": vmm.id, "memories": [{"memory": theirs, "fd": vmm.file}]}
        refused(vmm.peer, "vm.resume", told, NOT_FOUND, INVALID_PARAMS)
    equal(vmm.get()["slots"], [], "slots")


@misbehaviour("ids-of-the-dead")
def ids_of_the_dead(attacker):
    """No number comes again, so none leads to another's."""
    seen = set()

    def body(channel):
        vmm = attacker.vmm()
        channel.say([vmm.id, memfd(vmm)])
        channel.hear()

    peer = attacker.peers(1)[0]
    while attacker.goes_on():
        with process(body) as other:
            vm, memory = other.channel.hear()
        check(vm not in seen and memory not in seen, "%s or %d comes again" % (vm, memory))
        seen |= {vm, memory}
        for method, params in requests_about(vm, memory):
            refused(peer, method, params, NOT_FOUND, GONE)


@misbehaviour("tries-the-operators'-socket")
def operators_socket(attacker):
    while attacker.goes_on():
        try:
            Peer(attacker.admin_path).close()
            check(False, "it is let in")
        except PermissionError:
            pass
    equal(os.getuid() != 0, True, "who tries")


def live_in_namespace(channel, attacker):
    """As its first process and its root: it has a VM like anybody, and sees nobody else's."""
    try:
        Peer(attacker.admin_path).close()
        check(False, "it is let in to the operators' socket")
    except PermissionError:
        pass
    peer = PatientPeer(attacker.path)
    for method, params in requests_about(attacker.victim["vm"], attacker.victim["memory"]):
        refused(peer, method, params, NOT_FOUND)
    vmm = Vmm(peer, "inner of %d" % os.getpid(), **({"type": "sw_protected"} if attacker.on_model else {}))
    vmm.create(PAGE)
    equal([vm["vm"] for vm in peer.call("vm.list")["vms"]], [vmm.id], "what it sees")
    channel.say(failures())
    channel.hear()


def enter_namespace(channel, attacker):
    user, group = os.getuid(), os.getgid()
    try:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWPID | linux.CLONE_NEWNS)
    except OSError as e:  # the kernel lets no user do so, or nobody whose root is not the host's
        channel.say(e.strerror)
        return
    for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % user), ("gid_map", "0 %d 1" % group)):
        with open("/proc/self/" + name, "w", encoding="ascii") as file:
            file.write(text)
    with process(live_in_namespace, attacker) as child:
        channel.say(child.channel.hear())
        channel.hear()


@misbehaviour("root-of-its-own-namespace")
def root_of_its_own_namespace(attacker):
    with process(enter_namespace, attacker) as child:
        found = child.channel.hear()
        if isinstance(found, str):
            raise Unsuitable("a user may have no namespaces here: " + found)
        for failure in found:
            check(False, failure)
        attacker.stays()
    check(attacker.is_released(1, "inner"), "its VM is not released")
