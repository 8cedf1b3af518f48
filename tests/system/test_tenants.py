#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tenants: who is of which, what they have, and that it stays so past gmemd's end."""

import contextlib
import os
import signal
import subprocess
import time

from gmemtest import linux, tap
from gmemtest.child import RemotePeer
from gmemtest.host import Host, wait_until
from gmemtest.tap import Skip, check, equal, need, test

MIB = 1 << 20
HOST = 256 * MIB
BACKEND = os.environ.get("BACKEND", "auto")
HAS_NODES = os.path.exists("/sys/devices/system/node/node0")
# Nobody's, as far as this machine knows; nothing is written as them.
ALICE, BOB, CAROL, DAVE = 54321, 54322, 54323, 54324

COMMON = "[limits]\nhost-reserve = 0\ncommit-limit = %d\n[pressure]\nfloor = 0\n" % HOST
RULES = COMMON + """
[tenant gold]
users = %d, %d
[tenant silver]
groups = %d
[tenant operators-alone]
""" % (ALICE, BOB, CAROL)

host = None


def set_up():
    global host
    linux.require_root()
    if BACKEND != "model":
        linux.require_guest_memfd()
    host = Host(config=RULES, backend=BACKEND)


def tear_down():
    host.stop()


def restarts():
    """The model's VMs end with their gmemd."""
    if BACKEND != "model":
        host.restart()
    return BACKEND != "model"


def as_operator(method, params=None):
    with contextlib.closing(host.operator()) as peer:
        return peer.call(method, params)


def refused_operator(method, params=None):
    with contextlib.closing(host.operator()) as peer:
        return peer.error(method, params)


def reload_with(config):
    host.change_config(config)
    as_operator("config.reload")


def wrong(config):
    host.change_config(config)
    error = refused_operator("config.reload")
    equal(error["data"]["reason"], "configuration", "reason")
    return error["data"]["faults"]


def peer(uid):
    return RemotePeer(host.socket_path("gmemd.sock"), uid)


@contextlib.contextmanager
def peers(*uids):
    with contextlib.ExitStack() as stack:
        entered = [stack.enter_context(peer(uid)) for uid in uids]
        for one in entered:
            one.call("ping")  # it is of its tenant from then on
        yield entered
    need(wait_until(lambda: as_operator("vm.list")["vms"] == []), "VMs stay")


def opened(one, name="vm", **more):
    return one.call("vm.open", dict({"name": name, "gate": "none"}, **more))["vm"]


def created(one, vm, size):
    return one.call("memory.create", {"vm": vm, "size": size, "backing": "memfd"})["memory"]


def tenants_of_vms():
    return {vm["vm"]: vm["tenant"] for vm in as_operator("vm.list")["vms"]}


def tenant_of(vm):
    return tenants_of_vms()[vm]


def tenant(name):
    return as_operator("tenant.get", {"tenant": name})


def names():
    return [one["tenant"] for one in as_operator("tenant.list")["tenants"]]


@test("a peer is of the first tenant whose rules it has, and of default where there is none")
def _():
    with peers(ALICE, BOB, CAROL, DAVE) as all_of_them:
        vms = [opened(one) for one in all_of_them]
        found = tenants_of_vms()
        equal([found[vm] for vm in vms], ["gold", "gold", "silver", "default"], "tenants")
        equal(names(), ["default", "gold", "operators-alone", "silver"], "tenant.list")
        equal(all_of_them[0].call("vm.get", {"vm": vms[0]})["tenant"], "gold", "what the peer itself is told")


@test("what a tenant has is told: its VMs, what is committed, promised, resident")
def _():
    with peers(ALICE, BOB) as (alice, bob):
        first, second = opened(alice), opened(bob, commit_limit=8 * MIB)
        memory = created(alice, first, 4 * MIB)
        created(bob, second, 2 * MIB)
        alice.call("memory.preallocate", {"memory": memory})
        told = tenant("gold")
        expected = {"tenant": "gold", "configured": True, "limit": None, "reserve": 0, "promised": 8 * MIB, "vms": 2}
        equal({name: told[name] for name in expected}, expected, "gold")
        equal((told["committed"], told["resident"]), (6 * MIB, 4 * MIB), "bytes")
        equal(next(one for one in as_operator("tenant.list")["tenants"] if one["tenant"] == "gold")["vms"], 2, "list")
        alice.call("vm.close", {"vm": first})
        equal((tenant("gold")["committed"], tenant("gold")["vms"]), (2 * MIB, 2), "after vm.close")


@test("within one tenant nobody sees another's VM, and a name is each user's own")
def _():
    with peers(ALICE, BOB) as (alice, bob):
        first, second = opened(alice, "same"), opened(bob, "same")
        equal([vm["vm"] for vm in alice.call("vm.list")["vms"]], [first], "what Alice sees")
        error = alice.error("vm.get", {"vm": second})
        equal(error["data"]["reason"], "not_found", "Bob's")
        memory = created(bob, second, MIB)
        equal(alice.error("memory.open", {"memory": memory})["data"]["reason"], "not_found", "Bob's memory")
        equal(alice.error("tenant.list")["data"]["reason"], "not_permitted", "tenant.list")


@test("tenants are listed in pages, and one that is not there is not found")
def _():
    first = as_operator("tenant.list", {"limit": 3})
    equal([one["tenant"] for one in first["tenants"]], ["default", "gold", "operators-alone"], "the first page")
    rest = as_operator("tenant.list", {"limit": 3, "cursor": first["cursor"]})
    equal(([one["tenant"] for one in rest["tenants"]], "cursor" in rest), (["silver"], False), "the second")
    equal(refused_operator("tenant.get", {"tenant": "lead"})["data"], {"reason": "not_found", "what": "tenant", "id": "lead"}, "lead")
    equal(refused_operator("tenant.list", {"cursor": "vm:1"})["data"]["param"], "cursor", "another cursor")
    equal(refused_operator("tenant.list", {"cursor": "tenant:" + 50 * "x"})["data"]["param"], "cursor", "a long one")


@test("a VM and a connection stay in their tenant when gmemd is killed, and when both are")
def _():
    with peers(ALICE, CAROL) as (alice, carol):
        vm = opened(alice)
        created(alice, vm, 4 * MIB)
        if not restarts():
            raise Skip("the model's VMs end with their gmemd")
        equal((tenant("gold")["committed"], tenants_of_vms()), (4 * MIB, {vm: "gold"}), "gold")
        later = opened(carol)
        equal(tenant_of(later), "silver", "who had connected before")


@test("a reload that takes a tenant away leaves it its VMs, and opens no more; one that brings it back does")
def _():
    with peers(ALICE, BOB, CAROL) as (alice, bob, carol):
        vm = opened(alice)
        created(alice, vm, 4 * MIB)
        reload_with(COMMON + "[tenant silver]\ngroups = %d\n" % CAROL)
        told = tenant("gold")
        equal((told["configured"], told["committed"], told["vms"]), (False, 4 * MIB, 1), "gold")
        error = bob.error("vm.open", {"name": "vm", "gate": "none"})
        equal(error["data"]["reason"], "not_permitted", "another VM")
        check("tenant gold" in error["message"], error["message"])
        restarts()
        equal(tenants_of_vms(), {vm: "gold"}, "past gmemd's end")
        created(alice, vm, MIB)
        with peer(BOB) as again:
            equal(tenant_of(opened(again)), "default", "who connects then")
        reload_with(RULES)
        equal((tenant("gold")["configured"], tenant_of(opened(bob))), (True, "gold"), "again")
        equal(tenant_of(opened(carol)), "silver", "the other")


@test("without a section each user is a tenant")
def _():
    reload_with(COMMON)
    with peers(ALICE, BOB) as (alice, bob):
        first, second = opened(alice), opened(bob)
        equal(tenants_of_vms(), {first: "uid:%d" % ALICE, second: "uid:%d" % BOB}, "tenants")
        equal(names(), ["uid:%d" % ALICE, "uid:%d" % BOB], "tenant.list")
        restarts()
        equal(tenants_of_vms(), {first: "uid:%d" % ALICE, second: "uid:%d" % BOB}, "past gmemd's end")
    equal(names(), [], "afterwards")
    reload_with(RULES)


@test("a reserve can be by NUMA nodes: it is told, kept within the reserve, and goes with its setting")
def _():
    if not HAS_NODES:
        raise Skip("this kernel knows no NUMA nodes")
    gold_with("reserve = 64M\nnode-reserve = 0:32M\n")
    with peers(ALICE, CAROL) as (alice, carol):
        vm = opened(alice)
        alice.call("memory.create", {"vm": vm, "size": 8 * MIB, "backing": "memfd", "node": 0})
        told = [{"node": 0, "reserve": 32 * MIB, "committed": 8 * MIB}]
        equal((tenant("gold")["node_reserves"], tenant("default")["node_reserves"]), (told, []), "told")
        error = refused_operator("tenant.set", {"tenant": "gold", "reserve": 32 * MIB - 1})
        equal((error["data"]["param"], "by nodes, %d bytes" % (32 * MIB) in error["message"]), ("reserve", True), error["message"])
        as_operator("vm.set", {"vm": vm, "tenant": "default"})
        told[0]["committed"] = 0
        equal((tenant("gold")["node_reserves"], tenant("default")["committed"]), (told, 8 * MIB), "of a VM that was moved")
        as_operator("vm.set", {"vm": vm, "tenant": "gold"})
        reservation = as_operator("reservation.create", {"name": "r", "size": 4 * MIB, "tenant": "gold", "node": 0, "ttl_ms": 60000})
        as_operator("reservation.cancel", reservation)
        gold_with("reserve = 64M\n")
        equal(tenant("gold")["node_reserves"], [], "without it")
        carol.call("memory.create", {"vm": opened(carol), "size": HOST - 64 * MIB, "backing": "memfd", "node": 0})
    reload_with(RULES)


def is_closed(uid):
    with peer(uid) as one:
        try:
            one.call("ping")
        except (AssertionError, EOFError, OSError):
            return True
    return False


@test("who is of none is refused where the configuration says so, and the log says why")
def _():
    reload_with(RULES + "[tenants]\nothers = refused\n")
    check(is_closed(DAVE), "Dave is let in")
    check("user %d: it is of no tenant" % DAVE in host.log(), host.log())
    check(not is_closed(ALICE), "Alice is refused")
    equal(names(), ["gold", "operators-alone", "silver"], "tenant.list")
    reload_with(RULES)


@test("where a rule needs what can't be had nobody is let in by guess; who doesn't need it is")
def _():
    if linux.has_labels():
        raise Skip("this host's peers have security labels")
    reload_with(COMMON + "[tenant gold]\nusers = %d\nlabels = *\n[tenant silver]\nusers = %d\n" % (ALICE, BOB))
    check(is_closed(ALICE), "Alice is let in")
    check("its security label can't be had, which the rules of tenant gold need" in host.log(), host.log())
    check(not is_closed(BOB), "Bob is refused")
    reload_with(RULES)


@test("a security label says who is whose")
def _():
    if not linux.has_labels():
        raise Skip("no security module labels peers here")
    rules = "[tenant nobody]\nlabels = no-such-label\n[tenant gold]\nusers = %d\nlabels = *\n" % ALICE
    reload_with(COMMON + rules)
    with peers(ALICE, BOB) as both:
        equal([tenant_of(vm) for vm in [opened(one) for one in both]], ["gold", "default"], "tenants")
    reload_with(RULES)


@test("a cgroup says who is whose, as it was when it connected")
def _():
    path = linux.cgroup_path(os.getpid())
    reload_with(COMMON + "[tenant here]\ncgroups = %s\n" % (path[:-1] + "?" if len(path) > 1 else path))
    with peers(ALICE) as (alice,):
        equal(tenant_of(opened(alice)), "here", "in it")
    reload_with(COMMON + "[tenant here]\ncgroups = /elsewhere/*\n")
    with peers(ALICE) as (alice,):
        equal(tenant_of(opened(alice)), "default", "elsewhere")
    reload_with(RULES)


def gold_with(lines, others=""):
    reload_with(COMMON + "[tenant gold]\nusers = %d %d\n%s%s" % (ALICE, BOB, lines, others))


def limit_of(error):
    need(error, "nothing is refused")
    equal(error["data"]["reason"], "limit", "reason")
    return error["data"]["limit"], error["data"]["value"], error["data"]["scope"]


def budget_of(error):
    need(error, "nothing is refused")
    equal(error["data"]["reason"], "budget_exceeded", "reason")
    return error["data"]["scope"], error["data"]["limit"]


def memory_error(one, vm, size=4096, **more):
    return one.error("memory.create", dict({"vm": vm, "size": size, "backing": "memfd"}, **more))


@test("a tenant's limit is of all its VMs together, and one VM's is of each")
def _():
    gold_with("limit = %d\nvm-limit = %d\n" % (24 * MIB, 16 * MIB))
    with peers(ALICE, BOB, CAROL) as (alice, bob, carol):
        first, second, other = (opened(one) for one in (alice, bob, carol))
        created(alice, first, 16 * MIB)
        equal(budget_of(memory_error(alice, first)), ("vm", 16 * MIB), "more for the first")
        created(bob, second, 8 * MIB)
        equal(budget_of(memory_error(bob, second)), ("tenant", 24 * MIB), "more for the second")
        created(carol, other, 64 * MIB)
        gold_with("limit = %d\n" % (20 * MIB))
        check("[tenant gold] limit is %d now; it was %d" % (20 * MIB, 24 * MIB) in host.log(), host.log())
        equal(budget_of(memory_error(bob, second)), ("tenant", 20 * MIB), "a lower limit")
        equal(tenant("gold")["committed"], 24 * MIB, "and what is there stays")
        gold_with("limit = %d\n" % (32 * MIB))
        created(alice, first, 8 * MIB)
    with peers(ALICE) as (alice,):
        gold_with("vm-limit = %d\n" % (16 * MIB))
        params = {"name": "vm", "gate": "none", "commit_limit": 16 * MIB + 4096}
        equal(limit_of(alice.error("vm.open", params)), ("vm-limit", 16 * MIB, "tenant"), "a promise of more")
        opened(alice, commit_limit=16 * MIB)


@test("a reserve is there for its tenant, whatever the others have taken, and only for it")
def _():
    gold_with("reserve = %d\n" % (64 * MIB))
    with peers(ALICE, CAROL, DAVE) as (alice, carol, dave):
        gold, one, other = (opened(each) for each in (alice, carol, dave))
        equal(budget_of(memory_error(carol, one, HOST - 64 * MIB + 4096)), ("host", HOST), "more than the rest")
        created(carol, one, HOST - 64 * MIB)
        equal(budget_of(memory_error(dave, other))[0], "host", "another's")
        created(alice, gold, 64 * MIB)
        equal(budget_of(memory_error(alice, gold))[0], "host", "beyond the reserve")
        equal((tenant("gold")["reserve"], tenant("gold")["committed"]), (64 * MIB, 64 * MIB), "gold")
    with peers(CAROL) as (carol,):
        gold_with("")
        created(carol, opened(carol), HOST - 4 * MIB)
        faults = wrong(COMMON + "[tenant gold]\nusers = %d\nreserve = %d\n" % (ALICE, 8 * MIB))
        check("reserve: of tenant gold must be what others have left" in faults[0], faults)
        equal(tenant("gold")["reserve"], 0, "the reserve")


@test("a tenant has as many VMs, memories and connections as its section says, one user of it half of what is left")
def _():
    gold_with("vms = 2\nmemories = 4\n")
    with peers(ALICE, BOB, BOB) as (alice, bob, more):
        vms = [opened(alice), opened(bob)]
        error = more.error("vm.open", {"name": "third", "gate": "none"})
        equal(limit_of(error), ("vms", 2, "tenant"), "a third VM")
        check("The tenant has as many VMs" in error["message"], error["message"])
        created(alice, vms[0], MIB)
        created(alice, vms[0], MIB)
        equal(limit_of(memory_error(alice, vms[0])), ("memories", 4, "tenant"), "a user's third memory")
        created(bob, vms[1], MIB)
        equal(limit_of(memory_error(bob, vms[1])), ("memories", 4, "tenant"), "another's second")
    gold_with("connections = 2\n")
    with peers(ALICE, BOB) as both:
        for one in both:
            one.call("ping")  # it has connected
        check(wait_until(lambda: is_closed(BOB)), "a third connection")
        check("its tenant has as many as it may have" in host.log(), host.log())
        check(not is_closed(CAROL), "another tenant's")


@test("what each VM of a tenant may have can be less than another's")
def _():
    gold_with("memories-per-vm = 1\nslots-per-vm = 1\n")
    with peers(ALICE, CAROL) as (alice, carol):
        vm, other = opened(alice), opened(carol)
        memory = created(alice, vm, 4 * MIB)
        equal(limit_of(memory_error(alice, vm)), ("memories-per-vm", 1, "tenant"), "a memory")
        created(carol, other, MIB)
        created(carol, other, MIB)
        bind = {"vm": vm, "slot": 0, "guest_phys_addr": 0, "memory_size": MIB, "userspace_addr": 1 << 30, "memory": None,
                "guest_memfd_offset": 0, "guest_memfd": 0}
        alice.call("slot.bind", bind)
        error = alice.error("slot.bind", dict(bind, slot=1, guest_phys_addr=MIB))
        equal(limit_of(error), ("slots-per-vm", 1, "tenant"), "a slot")
        alice.call("memory.close", {"memory": memory})


@test("gate, VM types and NUMA nodes are a tenant's own policy")
def _():
    gold_with("gate = required\ntypes = sw_protected\n", "[tenant silver]\nusers = %d\nnodes = 7\n" % CAROL)
    with peers(ALICE, CAROL) as (alice, carol):
        error = alice.error("vm.open", {"name": "vm", "gate": "none"})
        equal((error["data"]["reason"], "a gate" in error["message"]), ("not_permitted", True), "no gate")
        gold_with("types = sw_protected\n", "[tenant silver]\nusers = %d\nnodes = 7\n" % CAROL)
        error = alice.error("vm.open", {"name": "vm", "gate": "none"})
        equal((error["data"]["reason"], "a VM type that tenant gold may have" in error["message"]), ("not_permitted", True), "a type")
        error = memory_error(carol, opened(carol))
        equal((error["data"]["reason"], "a NUMA node that tenant silver may have: 7" in error["message"]), ("not_permitted", True), "a node")
    reload_with(RULES)


@test("an operator sets a tenant's limit and reserve: what is beyond a lower limit is told, stays, and grows no more")
def _():
    gold_with("limit = %d\n" % (64 * MIB))
    with peers(ALICE, CAROL) as (alice, carol):
        vm, other = opened(alice), opened(carol)
        created(alice, vm, 16 * MIB)
        told = as_operator("tenant.set", {"tenant": "gold", "limit": 8 * MIB})
        equal(told, {"limit": 8 * MIB, "reserve": 0, "committed": 16 * MIB, "beyond": 8 * MIB}, "the answer")
        equal(budget_of(memory_error(alice, vm)), ("tenant", 8 * MIB), "more")
        check("tenant gold: its limit is %d now; it was %d" % (8 * MIB, 64 * MIB) in host.log(), host.log())
        if restarts():
            equal((tenant("gold")["limit"], tenant("gold")["committed"]), (8 * MIB, 16 * MIB), "past gmemd's end")
            equal(budget_of(memory_error(alice, vm)), ("tenant", 8 * MIB), "more, then")
        told = as_operator("tenant.set", {"tenant": "gold", "limit": 128 * MIB, "reserve": 96 * MIB})
        equal((told["beyond"], told["reserve"]), (0, 96 * MIB), "a higher one")
        equal(budget_of(memory_error(carol, other, HOST - 96 * MIB + 4096))[0], "host", "another's")
        error = refused_operator("tenant.set", {"tenant": "default", "reserve": HOST - 96 * MIB + 4096})
        equal(budget_of(error)[0], "host", "a reserve that the host has not")
        equal(tenant("default")["reserve"], 0, "its reserve")
        if restarts():
            equal(tenant("gold")["reserve"], 96 * MIB, "the reserve past gmemd's end")
        error = refused_operator("tenant.set", {"tenant": "gold", "limit": 64 * MIB})
        equal(error["data"]["param"], "limit", "less than the reserve")
        equal(refused_operator("tenant.set", {"tenant": "lead", "limit": 1})["data"]["reason"], "not_found", "none")
        equal(refused_operator("tenant.set", {"tenant": "uid:7", "limit": 1})["data"]["reason"], "not_found", "a user")
    gold_with("limit = %d\n" % (64 * MIB))
    equal((tenant("gold")["limit"], tenant("gold")["reserve"]), (64 * MIB, 0), "as the files say, after a reload")


@test("where users are tenants an operator sets the limit of one, before it has a VM, too")
def _():
    reload_with(COMMON)
    name = "uid:%d" % ALICE
    as_operator("tenant.set", {"tenant": name, "limit": 4 * MIB})
    equal(names(), [name], "tenant.list")
    with peers(ALICE) as (alice,):
        vm = opened(alice)
        equal(budget_of(memory_error(alice, vm, 4 * MIB + 4096)), ("tenant", 4 * MIB), "more")
        created(alice, vm, 4 * MIB)
    for other in ("uid:x", "uid:07", "uid:", "gold"):
        equal(refused_operator("tenant.set", {"tenant": other, "limit": 1})["data"]["reason"], "not_found", other)
    reload_with(COMMON)
    equal(names(), [], "after a reload")


@test("a promise within a tenant whose limit was lowered since is kept as far as that goes")
def _():
    gold_with("")
    with peers(ALICE) as (alice,):
        vm = opened(alice, commit_limit=32 * MIB)
        created(alice, vm, 8 * MIB)
        as_operator("tenant.set", {"tenant": "gold", "limit": 12 * MIB})
        equal(budget_of(memory_error(alice, vm, 4 * MIB + 4096)), ("tenant", 12 * MIB), "more")
        created(alice, vm, 4 * MIB)


def asked(one):
    """What the VM is asked for, once it is."""
    found = []

    def look():
        found[:] = [event["ask"] for event in one.events() if event["kind"] == "pressure" and event["ask"] > 0]
        return found

    return found[0] if wait_until(look) else None


@test("who has more pages than a lowered limit allows is asked for them, and its tenant is under pressure until then")
def _():
    gold_with("")
    with peers(ALICE, CAROL) as (alice, carol):
        for one in (alice, carol):
            one.call("event.subscribe")
        vm = opened(alice)
        memory = created(alice, vm, 16 * MIB)
        alice.call("memory.preallocate", {"memory": memory})
        other = created(carol, opened(carol), 16 * MIB)
        carol.call("memory.preallocate", {"memory": other})
        as_operator("tenant.set", {"tenant": "gold", "limit": 12 * MIB})
        equal(asked(alice), 4 * MIB, "what Alice is asked for")
        check(wait_until(lambda: tenant("gold")["under_pressure"]), "under pressure")
        equal(tenant("default")["under_pressure"], False, "another")
        alice.call("memory.reclaim", {"memory": memory, "ranges": [{"offset": 0, "size": 4 * MIB}]})
        check(wait_until(lambda: not tenant("gold")["under_pressure"]), "still under pressure")
        equal([one for one in carol.events() if one["kind"] == "pressure"], [], "what Carol is asked for")


def pressure_of(config, *sizes):
    """What VMs of Alice and Carol, who have so many bytes, are asked for on a host where there is nothing but pressure."""
    reload_with(RULES)
    with peers(ALICE, CAROL) as both:
        for one, size in zip(both, sizes):
            one.call("event.subscribe")
            memory = created(one, opened(one), size)
            one.call("memory.preallocate", {"memory": memory})
        reload_with(config)
        first = wait_until(lambda: any(event.get("ask", 0) > 0 for one in both for event in one.events()))
        check(first, "nobody is asked")
        found = [sum(event.get("ask", 0) for event in one.events()) for one in both]
        reload_with(RULES)
        return found


def under_pressure(lines):
    return COMMON.replace("floor = 0", "floor = 100%\ndeadline = 600000") + lines


@test("under pressure of the host's a tenant's reserve is left to it")
def _():
    gold = "[tenant gold]\nusers = %d\nreserve = %d\n[tenant silver]\nusers = %d\n" % (ALICE, 12 * MIB, CAROL)
    equal(pressure_of(under_pressure(gold), 16 * MIB, 8 * MIB), [4 * MIB, 8 * MIB], "asks")


CGROUPS = "/sys/fs/cgroup"
STALL = 100000  # microseconds in two seconds, of which gmemd is told (daemon/pressure/tenant_pressure.c)


@contextlib.contextmanager
def small_cgroup():
    """One of 12 MiB whose memory pressure the kernel tells: its path below CGROUPS, and the files that one enters it by."""
    name = "gmemd-test-%d" % os.getpid()
    if os.path.exists(CGROUPS + "/cgroup.controllers"):
        made, limit, path = [os.path.join(CGROUPS, name)], "memory.max", "/" + name
    else:
        made = [os.path.join(CGROUPS, "unified", name), os.path.join(CGROUPS, "memory", name)]
        limit, path = "memory.limit_in_bytes", "/unified/" + name
    with contextlib.ExitStack() as stack:
        try:
            for one in made:
                os.mkdir(one)
                stack.callback(wait_until, lambda one=one: is_removed(one))
            with open(os.path.join(made[-1], limit), "w", encoding="ascii") as file:
                file.write(str(12 * MIB))
            os.stat(os.path.join(made[0], "memory.pressure"))
        except OSError as reason:
            raise Skip("no cgroup of this host's has both a limit and a file of its pressure: %s" % reason) from None
        yield path, [os.path.join(one, "cgroup.procs") for one in made]


def is_removed(cgroup):
    """Whoever was in it is gone a moment later."""
    with contextlib.suppress(OSError):
        os.rmdir(cgroup)
    return not os.path.exists(cgroup)


def hog(entrances):
    """A process that wants more than there is in its cgroup, until the kernel ends it."""
    pid = os.fork()
    if pid > 0:
        return pid
    try:
        for entrance in entrances:
            with open(entrance, "w", encoding="ascii") as file:
                file.write(str(os.getpid()))
        bytearray(b"x") * (64 * MIB)
    finally:
        os._exit(1)


def wait_for_memory(entrances):
    """Several at once, again and again for a second."""
    until = time.monotonic() + 1
    while time.monotonic() < until:
        for pid in [hog(entrances) for _ in range(4)]:
            os.waitpid(pid, 0)


def stalled(path):
    """Microseconds that tasks have waited, by the kernel."""
    return int(pressure_file(path).split("total=")[1].split()[0])


@test("a tenant whose own cgroup waits for memory is asked for some, and no other")
def _():
    with small_cgroup() as (path, entrances):
        gold_with("pressure-cgroup = %s\n" % path)
        check("memory pressure of cgroup %s can't be watched" % path not in host.log(), host.log())
        with peers(ALICE, CAROL) as both:
            for one in both:
                one.call("event.subscribe")
                memory = created(one, opened(one), 16 * MIB)
                one.call("memory.preallocate", {"memory": memory})
            heard = [[], []]

            longest = 0

            def is_asked():
                nonlocal longest
                before = stalled(path)
                wait_for_memory(entrances)
                longest = max(longest, stalled(path) - before)
                for events, one in zip(heard, both):
                    events += [event["ask"] for event in one.events() if event["kind"] == "pressure" and event["ask"] > 0]
                return heard[0]

            if not wait_until(is_asked) and longest < STALL:
                raise Skip("nobody waits long enough here for gmemd to be told: %d us of a second" % longest)
            need(heard[0], "what the kernel tells of its pressure: %s" % pressure_file(path))
            equal((0 < heard[0][0] <= MIB, heard[1]), (True, []), "what Alice and Carol are asked for: %r" % heard)
            check("tenant gold is under pressure" in host.log() or tenant("gold")["under_pressure"], host.log())
        reload_with(RULES)
        check(wait_until(lambda: not tenant("gold")["under_pressure"]), "it is under pressure without a VM")


def triggers(path):
    """gmemd's files of a cgroup's pressure, by their numbers."""
    return linux.fds_of(host.pid, CGROUPS + path + "/memory.pressure")


def held_triggers(path):
    return [fd for keeper in host.keepers() for fd in linux.fds_of(keeper, CGROUPS + path + "/memory.pressure")]


def only_trigger(path):
    """Of a cgroup of that name that was there before, it may be closing one still."""
    need(wait_until(lambda: len(triggers(path)) == 1), "it is not watched once: %r" % triggers(path))
    return triggers(path)[0]


def is_watched_on(path, own):
    """By the next gmemd, with the file that the keeper has held."""
    need(wait_until(lambda: held_triggers(path)), "the keeper does not hold it")
    host.restart()
    inherited = only_trigger(path)
    check(linux.same_file(host.pid, inherited, own), "the next gmemd has opened it again")


@test("a cgroup is watched on through a reload that leaves it, and through a kill; one that is named no more is watched no more")
def _():
    with small_cgroup() as (path, _entrances):
        line = "pressure-cgroup = %s\n" % path
        gold_with(line)
        watched = only_trigger(path)
        pidfd = os.pidfd_open(host.pid)
        own = linux.pidfd_getfd(pidfd, watched)
        gold_with(line + "requests = 7\n")
        still = only_trigger(path)
        check(linux.same_file(host.pid, still, own), "it was opened again")
        if host.keepers():
            is_watched_on(path, own)
        os.close(own)
        os.close(pidfd)
        gold_with("")
        need(wait_until(lambda: not triggers(path) and not held_triggers(path)), "it is watched on")
        reload_with(RULES)


def pressure_file(path):
    with open(CGROUPS + path + "/memory.pressure", encoding="ascii") as file:
        return file.read()


def ctl(*arguments):
    program = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
    command = [program, "--socket=" + host.socket_path("admin.sock"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@test("gmemctl tenants shows what each may have, and has")
def _():
    gold_with("limit = 64M\nreserve = 32M\n" + ("node-reserve = 0:16M\n" if HAS_NODES else ""))
    with peers(ALICE) as (alice,):
        created(alice, opened(alice, commit_limit=48 * MIB), 16 * MIB)
        lines = [line.split() for line in ctl("tenants").splitlines()]
    equal(lines[0], "TENANT LIMIT RESERVE BY NODE PROMISED COMMITTED RESIDENT VMS UNDER PRESSURE".split(), "the titles")
    check(["gold", "64M", "32M", "0:16M" if HAS_NODES else "-", "48M", "16M", "0B", "1", "no"] in lines, lines)
    reload_with(RULES)


@test("requests that are not answered yet are bounded for each tenant; what ends one, or reports, is served all the same")
def _():
    gold_with("")
    with peers(ALICE, CAROL) as (alice, carol):
        vm = opened(alice)
        gold_with("requests = 0\n")
        equal(limit_of(alice.error("vm.list")), ("requests", 0, "tenant"), "a request")
        alice.call("ping")
        carol.call("vm.list")
        alice.call("vm.close", {"vm": vm})
        gold_with("")
        alice.call("vm.list")


def new_helper(known):
    """Stopped, and not at its end; None: there is none, or it was faster."""
    for pid in set(host.helpers("gmemd-allocator")) - known:
        os.kill(pid, signal.SIGSTOP)
        if pid in host.helpers("gmemd-allocator"):
            return pid
    return None


def begins(one):
    """Has the peer begin a preallocation whose helper is stopped then: that one's pid."""
    vm = opened(one, "vm of %d" % one.pid)
    for _ in range(1000):
        memory, known = created(one, vm, 8 * MIB), set(host.helpers("gmemd-allocator"))
        one.begin("call", "memory.preallocate", {"memory": memory, "threads": 1})
        while not one.has_ended():
            pid = new_helper(known)
            if pid:
                return pid
        one.end_of()
        one.call("memory.close", {"memory": memory})
    raise AssertionError("each helper was faster")


@test("as many requests of a tenant's are on their way as its section says, one user's half of what is left, and more when one ends")
def _():
    gold_with("requests = 4\n")
    with peers(ALICE, ALICE, BOB, ALICE, BOB) as (first, second, third, alice, bob):
        busy = []
        try:
            for one in (first, second):
                equal(alice.error("vm.list"), None, "one more of the first user's")
                busy.append(begins(one))
            equal(limit_of(alice.error("vm.list")), ("requests", 4, "tenant"), "a third of the first user's")
            equal(bob.error("vm.list"), None, "another's first")
            busy.append(begins(third))
            equal(limit_of(bob.error("vm.list")), ("requests", 4, "tenant"), "another's second")
            alice.call("ping")
            os.kill(busy.pop(0), signal.SIGCONT)
            equal(first.end_of()["allocated"], 8 * MIB, "the first user's first, when its helper goes on")
            equal(alice.error("vm.list"), None, "one more of the first user's again")
        finally:
            for pid in busy:
                os.kill(pid, signal.SIGCONT)
        for one in (second, third):
            equal(one.end_of()["allocated"], 8 * MIB, "the others")
    reload_with(RULES)


@test("an operator brings a VM to another tenant, with all that it has, or it stays where it was")
def _():
    gold_with("", "[tenant silver]\nlimit = %d\n" % (16 * MIB))
    with peers(ALICE) as (alice,):
        vm = opened(alice, commit_limit=12 * MIB)
        memory = created(alice, vm, 8 * MIB)
        as_operator("vm.set", {"vm": vm, "tenant": "silver"})
        equal((tenant_of(vm), tenant("silver")["committed"], tenant("silver")["promised"]), ("silver", 8 * MIB, 12 * MIB), "silver")
        equal((tenant("gold")["committed"], tenant("gold")["promised"], tenant("gold")["vms"]), (0, 0, 0), "gold")
        error = refused_operator("vm.set", {"vm": vm, "tenant": "gold", "commit_limit": HOST + 4096})
        equal((budget_of(error)[0], tenant_of(vm)), ("host", "silver"), "with a limit that can't be")
        if restarts():
            equal((tenant_of(vm), tenant("silver")["committed"]), ("silver", 8 * MIB), "past gmemd's end")
        as_operator("vm.set", {"vm": vm, "tenant": "gold", "commit_limit": 24 * MIB})
        if restarts():
            equal((tenant_of(vm), tenant("gold")["committed"]), ("gold", 8 * MIB), "brought elsewhere by that one, past its end")
        created(alice, vm, 16 * MIB)
        error = refused_operator("vm.set", {"vm": vm, "tenant": "silver"})
        equal((budget_of(error), tenant_of(vm)), (("tenant", 16 * MIB), "gold"), "where there is no room")
        equal(alice.error("vm.set", {"vm": vm, "tenant": "gold"})["data"]["reason"], "not_permitted", "by itself")
        equal(refused_operator("vm.set", {"vm": vm, "tenant": "lead"})["data"]["what"], "tenant", "one that is not there")
        alice.call("memory.close", {"memory": memory})
    equal([tenant(name)["committed"] for name in ("gold", "silver")], [0, 0], "what is left")
    reload_with(RULES)


def refused_move(vm, name, **more):
    """Why the VM can't be brought there; it is where it was then, with all that it has."""
    before = [tenant_of(vm)] + [tenant(one) for one in ("gold", "silver")]
    error = refused_operator("vm.set", dict({"vm": vm, "tenant": name}, **more))
    need(error, "nothing is refused")
    equal([tenant_of(vm)] + [tenant(one) for one in ("gold", "silver")], before, "what has changed")
    return error


@test("a VM that is brought to another tenant takes its counts along at once, if there is room for them")
def _():
    gold_with("memories = 1\nvms = 2\nconnections = 4\n", "[tenant silver]\nmemories = 1\n")
    with peers(ALICE, BOB) as (alice, bob):
        vm, other = opened(alice), opened(bob)
        first = created(alice, vm, MIB)
        equal(limit_of(memory_error(bob, other)), ("memories", 1, "tenant"), "one more in gold")
        as_operator("vm.set", {"vm": vm, "tenant": "silver"})
        created(bob, other, MIB)
        equal(limit_of(refused_move(vm, "gold")), ("memories", 1, "tenant"), "back, with a memory")
        alice.call("memory.close", {"memory": first})
        with peer(ALICE) as another:
            opened(another, "third")
            equal(limit_of(refused_move(vm, "gold")), ("vms", 2, "tenant"), "back, as a third VM")
        need(wait_until(lambda: tenant("gold")["vms"] == 1), "the third VM stays")
        as_operator("vm.set", {"vm": vm, "tenant": "gold"})
        equal((tenant_of(vm), tenant("gold")["vms"]), ("gold", 2), "back")
        equal(limit_of(memory_error(alice, vm)), ("memories", 1, "tenant"), "one more in gold")
    reload_with(RULES)


@test("a VM that is brought to another tenant has that one's turns and limits at once")
def _():
    gold_with("", "[tenant silver]\nrequests = 0\n")
    with peers(ALICE) as (alice,):
        vm = opened(alice)
        alice.call("vm.list")
        as_operator("vm.set", {"vm": vm, "tenant": "silver"})
        equal(limit_of(alice.error("vm.list")), ("requests", 0, "tenant"), "a request in silver")
        as_operator("vm.set", {"vm": vm, "tenant": "gold"})
        alice.call("vm.list")
    reload_with(RULES)


POLICIES = {
    "memories-per-vm = 1\n": ("limit", "The VM has more memories than one of the tenant may have"),
    "slots-per-vm = 0\n": ("limit", "The VM has more slots than one of the tenant may have"),
    "vm-limit = %d\n" % MIB: ("limit", "A VM of the tenant may have less memory"),
    "gate = required\n": ("not_permitted", "a gate, which every VM of that tenant must have"),
    "types = sw_protected\n": ("not_permitted", "a VM type that tenant silver may have"),
    "limit = %d\n" % MIB: ("budget_exceeded", ""),
}


@test("a VM is brought to no tenant whose policy it does not keep, and each refusal says what")
def _():
    gold_with("")
    with peers(ALICE) as (alice,):
        vm = opened(alice)
        created(alice, vm, MIB)
        created(alice, vm, MIB)
        alice.call("slot.bind", {"vm": vm, "slot": 0, "guest_phys_addr": 0, "memory_size": MIB, "userspace_addr": 1 << 30,
                                 "memory": None, "guest_memfd_offset": 0, "guest_memfd": 0})
        for policy, (reason, text) in POLICIES.items():
            gold_with("", "[tenant silver]\n" + policy)
            error = refused_move(vm, "silver")
            equal((error["data"]["reason"], text in error["message"]), (reason, True), error["message"])
        gold_with("", "[tenant silver]\nvm-limit = %d\n" % (8 * MIB))
        error = refused_move(vm, "silver", commit_limit=8 * MIB + 4096)
        equal(limit_of(error), ("vm-limit", 8 * MIB, "tenant"), "a promise of more")
        as_operator("vm.set", {"vm": vm, "tenant": "silver", "commit_limit": 8 * MIB})
        equal((tenant("silver")["promised"], tenant("gold")["committed"]), (8 * MIB, 0), "both at once")
    reload_with(RULES)


@test("a VM stays where it was though its tenant has more than it may have by now")
def _():
    gold_with("", "[tenant silver]\nlimit = %d\n" % (8 * MIB))
    with peers(ALICE) as (alice,):
        vm = opened(alice, commit_limit=8 * MIB)
        created(alice, vm, 8 * MIB)
        as_operator("tenant.set", {"tenant": "gold", "limit": 4 * MIB})
        equal(budget_of(refused_move(vm, "silver", commit_limit=8 * MIB + 4096))[0], "tenant", "scope")
        equal(alice.call("vm.get", {"vm": vm})["tenant"], "gold", "its tenant")
        as_operator("vm.set", {"vm": vm, "tenant": "silver"})
        equal((tenant("gold")["committed"], tenant("silver")["promised"]), (0, 8 * MIB), "moved")
        equal(budget_of(refused_move(vm, "gold"))[0], "tenant", "back")
    reload_with(RULES)


HOSTILE_LIMITS = "limit = %d\nvms = 3\nmemories = 5\nconnections = 6\n" % (32 * MIB)


def takes_all(stack):
    """All that the hostile tenant can have, of both of its users."""
    taken = []
    for uid in (ALICE, BOB, ALICE, BOB, ALICE, BOB, ALICE, BOB):
        one = stack.enter_context(peer(uid))
        try:
            refused = one.error("vm.open", {"name": "vm %d" % len(taken), "gate": "none"})
        except (AssertionError, EOFError, OSError):
            continue  # it is one too many
        taken.append(one)
        if refused:
            continue
        vm = one.call("vm.list")["vms"][0]["vm"]
        while not memory_error(one, vm, 8 * MIB):
            pass
    return taken


@test("a hostile tenant at each of its limits takes nothing from another, and its own users share what it has")
def _():
    gold_with(HOSTILE_LIMITS, "[tenant quiet]\nusers = %d\nreserve = %d\n" % (CAROL, 32 * MIB))
    with contextlib.ExitStack() as stack:
        taken = takes_all(stack)
        check(1 < len(taken) <= 6, "%d connections" % len(taken))
        told = tenant("gold")
        check(told["vms"] <= 3 and told["committed"] <= 32 * MIB, told)
        quiet = [stack.enter_context(peer(CAROL)) for _ in range(8)]
        vms = [opened(one, "quiet %d" % number) for number, one in enumerate(quiet)]
        for one, vm in zip(quiet, vms):
            created(one, vm, HOST // 8 - 4 * MIB)
        equal(tenant("quiet")["committed"], HOST - 32 * MIB, "what the quiet one has")
    need(wait_until(lambda: as_operator("vm.list")["vms"] == []), "VMs stay")
    equal([tenant(name)["committed"] for name in ("gold", "quiet")], [0, 0], "what is left")
    reload_with(RULES)


WRONG = {
    "[tenant %s]\nlimit = 1\n" % (43 * "x"): "must be [SECTION] of at most 49 bytes; it has 50",
    "[tenant a b]\n": "must be [tenant NAME], a name of 1 to 42",
    "[tenant uid:7]\n": "must be [tenant NAME]",
    "[tenant ]\nlimit = 1\n": "must be [tenant NAME]",
    "[tenant a]\nusers = nobody-of-that-name\n": "users: must be names of users",
    "[tenant a]\ncolour = blue\n": "there is no such setting of a tenant, which has users, groups",
    "[tenant default]\nusers = 1\n": "[tenant default] must not say who it is",
    "[tenant a]\nlimit = 4096\nreserve = 8192\n": "reserve: must be at most the tenant's limit, 4096 bytes",
    "[tenant a]\nreserve = %d\n[tenant b]\nreserve = 4096\n" % HOST: "must be at most 0 bytes, which the reserves before it leave",
    "[tenants]\nothers = maybe\n": "others: must be default or refused",
    "[tenant a]\nreserve = 4M\nnode-reserve = 1000:1M\n": "node-reserve: must be of nodes of this host that have memory, and node 1000",
    "[tenant a]\nnode-reserve = 0\n": "node-reserve: must be numbers of NUMA nodes, each with a number of bytes",
    "[tenant a]\nnode-reserve = 0:lots\n": "node-reserve: must be numbers of NUMA nodes, each with a number of bytes",
}
WRONG_OF_NODES = {
    "[tenant a]\nreserve = 1M\nnode-reserve = 0:2M\n": "node-reserve: must be at most the tenant's reserve, %d bytes" % MIB,
    "[tenant a]\nreserve = 4M\nnode-reserve = 0:1M 0:1M\n": "node-reserve: must name node 0 once",
    "[tenant a]\nreserve = 4M\nnode-reserve = 0:8192T\n": "node-reserve: of node 0 must be at most",
}


@test("what can't be a tenant is refused by its line, and nothing has changed")
def _():
    for config, text in [*WRONG.items(), *(WRONG_OF_NODES.items() if HAS_NODES else ())]:
        faults = wrong(COMMON + config)
        check(text in faults[0], "%r, not %r" % (faults[0], text))
        equal(names(), ["default", "gold", "operators-alone", "silver"], "tenants")
    reload_with(RULES)


@test("a tenant goes on in another file, and what is set last counts")
def _():
    directory = os.path.join(host.directory, "gmemd.conf.d")
    os.mkdir(directory)
    with open(os.path.join(directory, "10.conf"), "w", encoding="utf-8") as file:
        file.write("[tenant silver]\ngroups =\nusers = %d\npriority = 7\n[tenant lead]\nusers = %d\n" % (DAVE, CAROL))
    reload_with(RULES)
    with peers(CAROL, DAVE) as (carol, dave):
        equal([tenant_of(opened(one)) for one in (carol, dave)], ["lead", "silver"], "tenants")
    equal(tenant("silver")["priority"], 7, "its priority")
    told = {(one["section"], one["name"]): one for one in as_operator("config.get")["settings"]}
    priority = told[("tenant silver", "priority")]
    equal((priority["value"], os.path.basename(priority["file"]), priority["line"]), ("7", "10.conf", 4), "config.get")
    equal(("tenant silver", "limit") in told, False, "what is not set")
    os.unlink(os.path.join(directory, "10.conf"))
    os.rmdir(directory)
    reload_with(RULES)


if __name__ == "__main__":
    tap.main(set_up, tear_down)
