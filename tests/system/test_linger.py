#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMs that linger: their process has ended, and what they had is there until its time is over, until an operator closes the
VM, or until somebody else would be refused for its sake; a gmemd that is killed meanwhile changes nothing of that.
"""

import contextlib
import json
import os
import struct
import subprocess
import tempfile

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.host import Host, busy_passes, wait_until
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.vmm import Vmm
from gmemtest.wire import RpcError

CTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
MIB = 1 << 20
SIZE = 8 * MIB
CONFIG = "[limits]\nlinger = %d\ncommit-limit = %d\n"

daemon = backend = operator = None


def set_up():
    global daemon, backend, operator
    try:
        linux.require_guest_memfd()
        backend = "kvm"
    except Skip:
        backend = "model"
    daemon = Host(backend=backend, config=CONFIG % (3600, 4 * SIZE))
    operator = daemon.operator()


def tear_down():
    operator.close()
    daemon.stop()


def crashed(size=SIZE, of=None):
    """The id of a VM whose process was killed."""

    def body(channel):
        vmm = Vmm((of or daemon).peer(), "crashed")
        memory, fd = vmm.create(size, backing="memfd")
        os.pwrite(fd, struct.pack("<Q", 0xDEAD), 0)
        vmm.bind_mapping(0, 0, size, memory, vmm.map(fd, size))
        channel.say(vmm.id)
        channel.hear()

    with Child(body) as vmm:
        return vmm.channel.hear()


def state_of(vm, ask=None):
    [found] = [each for each in (ask or operator).call("vm.list")["vms"] if each["vm"] == vm] or [None]
    return found and found["state"]


def lingers(vm, ask=None):
    need(wait_until(lambda: state_of(vm, ask) == "lingering"), "it doesn't linger: %s" % state_of(vm, ask))


def is_gone(vm, ask=None):
    check(wait_until(lambda: state_of(vm, ask) is None), "it is there still: %s" % state_of(vm, ask))


def close(vm):
    equal(operator.call("vm.close", {"vm": vm})["released"] > 0, True, "released")
    is_gone(vm)


@test("what its process had is there, to be dumped, and is gone when an operator closes the VM")
def dumped():
    vm = crashed()
    lingers(vm)
    described = operator.call("vm.get", {"vm": vm})
    equal((described["committed"], len(described["slots"])), (SIZE, 1), "what it has")
    check(0 < described["lingers_ms"] <= 3600 * 1000, "lingers_ms %d" % described["lingers_ms"])
    with tempfile.TemporaryDirectory() as directory:
        words = [CTL, "--socket=" + daemon.socket_path("admin.sock"), "--json", "dump", "crashed", directory + "/core"]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        need(ended.returncode == 0, ended.stderr)
        equal(json.loads(ended.stdout)["bytes"], SIZE, "dumped")
        with open(directory + "/core", "rb") as file:
            check(struct.pack("<Q", 0xDEAD) in file.read(), "what it wrote is not in the dump")
    close(vm)


@test("its name and uuid are free for the next")
def name_is_free():
    first = crashed()
    lingers(first)
    second = crashed()
    lingers(second)
    equal(state_of(first), "lingering", "the first")
    close(first)
    close(second)


@test("a VMM that would be refused for its sake finds room when it asks again")
def makes_room():
    first = crashed(3 * SIZE)
    lingers(first)
    with Child(asking_body) as other:
        equal(other.ask(5 * SIZE), -32003, "more than there can be")
        equal(state_of(first), "lingering", "after a request that nothing could have met")
        equal(other.ask(2 * SIZE), -32007, "what has no room beside it")
        is_gone(first)
        equal(other.ask(2 * SIZE), 0, "asked again")


def asking_body(channel):
    vmm = Vmm(daemon.peer(), "next")
    while True:
        [size] = channel.hear()
        try:
            vmm.peer.call_with_fds("memory.create", {"vm": vmm.id, "size": size, "backing": "memfd"})
            channel.say(0)
        except RpcError as error:
            channel.say(error.code)


@contextlib.contextmanager
def other_host(config):
    other = Host(backend=backend, config=config)
    ask = other.operator()
    try:
        yield other, ask
    finally:
        ask.close()
        other.stop()


@test("a request that would be refused all the same ends none")
def refused_all_the_same():
    with other_host(CONFIG % (3600, 4 * SIZE) + "memories-per-vm = 1\n") as (other, ask):
        first = crashed(of=other)
        lingers(first, ask)
        with contextlib.closing(other.peer()) as peer:
            small = ask.call("reservation.create", {"name": "small", "size": SIZE, "ttl_ms": 60000})["reservation"]
            error = peer.error("vm.open", {"name": "next", "gate": "none", "reservation": small, "commit_limit": SIZE + 4096})["data"]
            equal((error["reason"], error["scope"]), ("budget_exceeded", "reservation"), "of less than it asks for")
            vm = Vmm(peer, "next", make=False)  # a process can have one mailbox for good
            vm.create(4096, backing="memfd")
            equal(peer.error("memory.create", {"vm": vm.id, "size": 4096, "backing": "memfd"})["data"]["reason"], "limit", "the VM's limit")
        equal(state_of(first, ask), "lingering", "what lingers")


@test("what its tenant has reserved is nobody else's without it, and it lingers on")
def reserve_stays():
    tenants = "[tenant gold]\nusers = %d\nreserve = %d\n[tenant other]\nusers = 77\n" % (os.getuid(), 3 * SIZE)
    with other_host(CONFIG % (3600, 4 * SIZE) + tenants) as (other, ask):
        first = crashed(of=other)
        lingers(first, ask)
        wanted = {"name": "more", "size": 2 * SIZE, "tenant": "other", "ttl_ms": 60000}
        equal(ask.error("reservation.create", wanted)["data"]["reason"], "budget_exceeded", "more than is left")
        equal(state_of(first, ask), "lingering", "what lingers")


@test("a user that is a tenant by itself finds the room of its own")
def own_room():
    with other_host(CONFIG % (3600, 4 * SIZE)) as (other, ask), contextlib.closing(other.peer()) as peer:
        first = crashed(of=other)
        lingers(first, ask)
        ask.call("tenant.set", {"tenant": "uid:%d" % os.getuid(), "limit": SIZE})
        vm = Vmm(peer, "next", make=False)  # a process can have one mailbox for good
        wanted = {"vm": vm.id, "size": SIZE, "backing": "memfd"}
        equal(peer.error("memory.create", wanted)["data"]["reason"], "busy", "beside it")
        is_gone(first, ask)
        equal(busy_passes(peer, "memory.create", wanted)[0]["memory"] > 0, True, "asked again")


@test("an operator's promise finds its room, too")
def promise_finds_room():
    with other_host(CONFIG % (3600, 4 * SIZE)) as (other, ask):
        first = crashed(of=other)
        lingers(first, ask)
        with contextlib.closing(other.peer()) as peer:
            vm = Vmm(peer, "next", make=False)  # a process can have one mailbox for good
            error = ask.error("vm.set", {"vm": vm.id, "commit_limit": 4 * SIZE + 4096})
            equal(error["data"]["reason"], "budget_exceeded", "more than there can be")
            equal(ask.error("vm.set", {"vm": vm.id, "commit_limit": 4 * SIZE})["data"]["reason"], "busy", "what is promised")
            is_gone(first, ask)
            busy_passes(ask, "vm.set", {"vm": vm.id, "commit_limit": 4 * SIZE})


@test("a tenant's reserve finds its room, too")
def reserve_finds_room():
    tenants = "[tenant gold]\nusers = %d\n[tenant other]\nusers = 77\n" % os.getuid()
    with other_host(CONFIG % (3600, 4 * SIZE) + tenants) as (other, ask):
        first = crashed(of=other)
        lingers(first, ask)
        error = ask.error("tenant.set", {"tenant": "other", "reserve": 4 * SIZE + 4096})
        equal(error["data"]["reason"], "budget_exceeded", "more than there can be")
        equal(state_of(first, ask), "lingering", "what lingers")
        equal(ask.error("tenant.set", {"tenant": "other", "reserve": 4 * SIZE})["data"]["reason"], "busy", "what is reserved")
        is_gone(first, ask)
        busy_passes(ask, "tenant.set", {"tenant": "other", "reserve": 4 * SIZE})


def convertible(peer):
    """A VM with all in both halves, and what converts a page of it, whose shared half stays."""
    vm = Vmm(peer, "next", type="sw_protected")
    shared, _ = vm.create(2 * SIZE, backing="memfd")
    private, fd = vm.create(2 * SIZE, flags=[])
    vm.bind(0, 0, 2 * SIZE, private, fd, shared_memory=shared, shared_offset=0)
    return {"vm": vm.id, "to": "private", "discard": False, "ranges": [{"guest_phys_addr": 0, "size": 4096}]}


@test("a conversion finds its room")
def conversion_finds_room():
    if backend != "model":
        raise Skip("this host may have no private memory")
    with other_host(CONFIG % (3600, 4 * SIZE)) as (other, ask), contextlib.closing(other.peer()) as peer:
        first = crashed(2 * SIZE, of=other)
        lingers(first, ask)
        wanted = convertible(peer)
        equal(peer.error("memory.convert", wanted)["data"]["reason"], "busy", "beside it")
        is_gone(first, ask)
        busy_passes(peer, "memory.convert", wanted)


@test("it ends where its tenant is short of memory, which nobody can ask it for")
def tenant_short():
    with other_host(CONFIG % (3600, 4 * SIZE)) as (other, ask):
        first = crashed(of=other)
        lingers(first, ask)
        ask.call("tenant.set", {"tenant": "uid:%d" % os.getuid(), "limit": 1})
        is_gone(first, ask)


@test("it lingers on with the next gmemd")
def next_gmemd():
    if backend == "model":
        raise Skip("nothing of the model outlives gmemd")
    vm = crashed()
    lingers(vm)
    daemon.restart()
    again = daemon.operator()
    lingers(vm, again)
    equal(again.call("vm.get", {"vm": vm})["committed"], SIZE, "committed")
    again.call("vm.close", {"vm": vm})
    is_gone(vm, again)
    again.close()


@test("it ends when its time is over, and with the setting")
def ends():
    for seconds, config in ((1, None), (3600, CONFIG % (0, 4 * SIZE))):
        other = Host(backend=backend, config=CONFIG % (seconds, 4 * SIZE))
        ask = other.operator()
        vm = crashed(of=other)
        if config:
            lingers(vm, ask)
            other.change_config(config)
            ask.call("config.reload")
        is_gone(vm, ask)
        ask.close()
        other.stop()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
