#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reservations: memory that is promised before its VM exists, on the wire; on a host with guest_memfd through restarts too."""

import contextlib
import json
import os
import subprocess
import time

from gmemtest import linux
from gmemtest.child import RemotePeer
from gmemtest.host import Host, wait_until
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, main, need, test
from gmemtest.wire import request

MIB = 1 << 20
HOST = 64 * MIB
MOST = 4
UUID = "123e4567-e89b-12d3-a456-426614174000"
LONG = 60000  # milliseconds; longer than anything here takes
TTL_MAX = 30 * 24 * 3600 * 1000
BOB, EVE = 54321, 54322

hosts = {}
host = operator = None


def config(most=MOST, limit=HOST):
    return "[limits]\nhost-reserve = 0\ncommit-limit = %d\nreservations-on-host = %d\n" % (limit, most)


def set_up():
    global host, operator
    linux.require_root()
    host = hosts["model"] = Host(backend="model", config=config())
    operator = host.operator()


def tear_down():
    for one in hosts.values():
        one.stop()


def reserve(name, size, **more):
    return operator.call("reservation.create", dict({"name": name, "size": size, "ttl_ms": LONG}, **more))["reservation"]


def reserve_error(name, size, **more):
    return operator.error("reservation.create", dict({"name": name, "size": size, "ttl_ms": LONG}, **more)) or {}


def reservations():
    listed, cursor = [], {}
    while True:
        page = operator.call("reservation.list", cursor)
        listed += page["reservations"]
        if "cursor" not in page:
            return listed
        cursor = {"cursor": page["cursor"]}


def cancel(which):
    operator.call("reservation.cancel", {"reservation": which})


def cancel_all():
    for one in reservations():
        cancel(one["reservation"])


def opening(reservation, **more):
    return dict({"name": "vm", "gate": "none", "reservation": reservation}, **more)


def commitment():
    return operator.call("host.describe")["commitment"]


def adds_up(promised, reserved, what):
    """Nothing is committed here that isn't promised."""
    told = commitment()
    left = told["limit"] - promised
    equal((told["promised"], told["reserved"], told["available"]), (promised, reserved, left), what)
    metrics = operator.call("metrics.get")
    equal(metrics["gmemd_promised_bytes"], promised, what + ", metrics.get")
    equal(metrics["gmemd_reserved_bytes"], reserved, what + ", metrics.get")
    equal(metrics["gmemd_reservations"], len(reservations()), what + ", metrics.get")


@contextlib.contextmanager
def others(*uids, kept=0):
    """Each may open a VM; afterwards nothing is left, of them or reserved, but what tenants keep."""
    with contextlib.ExitStack() as stack:
        stack.callback(cancel_all)
        yield [stack.enter_context(RemotePeer(host.socket_path("gmemd.sock"), uid)) for uid in uids]
    check(wait_until(lambda: operator.call("vm.list")["vms"] == []), "VMs are left")
    adds_up(kept, 0, "afterwards")


def is_none(error, named, what):
    equal((error or {}).get("code"), -32001, what)
    equal((error or {}).get("data"), {"reason": "not_found", "what": "reservation", "id": named}, what)


def is_wrong(error, param, what):
    equal((error.get("code"), error.get("data", {}).get("param")), (-32602, param), what)


@test("what is reserved is promised to nobody else, is listed, and is back when it is cancelled")
def reserved():
    with others(None) as (vmm,):
        made = reserve("web", 40 * MIB)
        adds_up(40 * MIB, 40 * MIB, "reserved")
        (one,) = reservations()
        check(0 < one.pop("remaining_ms") <= LONG, "what remains of its time")
        expected = {"reservation": made, "name": "web", "size": 40 * MIB, "tenant": None, "machine": None, "node": None, "ttl_ms": LONG}
        equal(one, expected, "reservation.list")
        error = vmm.error("vm.open", {"name": "vm", "gate": "none", "commit_limit": 24 * MIB + 1})
        equal((error["code"], error["data"]["scope"], error["data"]["available"]), (-32003, "host", 24 * MIB), "a VM beside it")
        error = reserve_error("more", 24 * MIB + 1)
        expected = {"reason": "budget_exceeded", "scope": "host", "limit": HOST, "committed": 40 * MIB, "promised": 40 * MIB}
        expected.update(available=24 * MIB, requested=24 * MIB + 1)
        equal((error.get("code"), error.get("data")), (-32003, expected), "more than is left")
        for number in (24 * MIB + 1, 24 * MIB, HOST):
            check(str(number) in error["message"], "%r has no %d" % (error["message"], number))
        adds_up(40 * MIB, 40 * MIB, "after refusals")
        cancel("web")
        adds_up(0, 0, "cancelled")
        for named in ("web", made):
            is_none(operator.error("reservation.cancel", {"reservation": named}), named, "cancelled again")
        cancel(reserve("web", HOST))


@test("a name is one reservation's at a time: another is refused, and told which has it")
def names():
    with others():
        made = reserve("web", MIB)
        for size in (MIB, 2 * MIB):
            error = reserve_error("web", size)
            expected = {"reason": "conflict", "with": "name", "name": "web", "reservation": made, "size": MIB}
            equal((error.get("code"), error.get("data")), (-32004, expected), "the name again")
        adds_up(MIB, MIB, "once")
        cancel("web")
        check(reserve("web", 2 * MIB) != made, "an id that was there before")


@test("vm.open with a reservation has its promise, and no more is promised meanwhile or afterwards")
def used():
    with others(None, None) as (vmm, other):
        made = reserve("web", 40 * MIB)
        reserve("rest", 24 * MIB)
        vm = vmm.call("vm.open", opening(made))["vm"]
        adds_up(HOST, 24 * MIB, "used")
        (seen,) = operator.call("vm.list")["vms"]
        equal((seen["vm"], seen["promised"]), (vm, 40 * MIB), "the VM")
        is_none(other.error("vm.open", opening(made, name="other")), made, "used again")
        is_none(operator.error("reservation.cancel", {"reservation": made}), made, "cancelled when it was used")
        vmm.call("memory.create", {"vm": vm, "size": 40 * MIB, "backing": "memfd"})
        error = vmm.error("memory.create", {"vm": vm, "size": PAGE, "backing": "memfd"})
        equal((error["code"], error["data"]["scope"], error["data"]["limit"]), (-32003, "vm", 40 * MIB), "a page more")
        equal(commitment()["committed"], 40 * MIB, "committed")
        vmm.call("vm.close", {"vm": vm})
        adds_up(24 * MIB, 24 * MIB, "closed")
        equal([one["name"] for one in reservations()], ["rest"], "it is not back")


@test("a VM may want less than is reserved, and the rest is back; more is refused, and the reservation stays")
def sizes():
    with others(None) as (vmm,):
        made = reserve("web", 40 * MIB)
        for wanted in (40 * MIB + 1, (1 << 63) - 1):
            error = vmm.error("vm.open", opening(made, commit_limit=wanted))
            expected = {"reason": "budget_exceeded", "scope": "reservation", "limit": 40 * MIB, "committed": 0, "promised": 0}
            expected.update(available=40 * MIB, requested=wanted)
            equal((error["code"], error["data"]), (-32003, expected), "more than is reserved")
        adds_up(40 * MIB, 40 * MIB, "refused")
        vmm.call("vm.open", opening(made, commit_limit=40 * MIB - 1))
        adds_up(40 * MIB - 1, 0, "less")


@test("a refusal for another reason leaves the reservation as it was")
def refused_otherwise():
    with others(None, None) as (vmm, other):
        made = reserve("web", 40 * MIB)
        vmm.call("vm.open", {"name": "taken", "gate": "none"})
        equal(other.error("vm.open", opening(made, name="taken"))["code"], -32004, "a name that is taken")
        equal(other.error("vm.open", opening(made, type="7"))["code"] in (-32005, -32602), True, "a type that there is not")
        equal(vmm.error("vm.open", opening(made))["code"], -32004, "a process that has its VM")
        adds_up(40 * MIB, 40 * MIB, "then")
        other.call("vm.open", opening(made))


@test("who may use it: its tenant alone, by name or id; without a tenant whoever knows the id; others can't tell it from none")
def tenants():
    with others(BOB, EVE) as (bob, eve):
        for_bob = reserve("bob's", 8 * MIB, tenant="uid:%d" % BOB)
        anybody = reserve("anybody's", 8 * MIB)
        for named in (for_bob, "bob's", "anybody's", "nobody's", for_bob[:-1]):
            is_none(eve.error("vm.open", opening(named)), named, "for another tenant")
        messages = {eve.error("vm.open", opening(named))["message"].replace(named, "…") for named in (for_bob, "bob's", "anybody's", "nobody's")}
        equal(len(messages), 1, "it can be told which there are: %r" % messages)
        is_none(bob.error("vm.open", opening("anybody's")), "anybody's", "by a name that can be guessed")
        adds_up(16 * MIB, 16 * MIB, "then")
        eve.call("vm.open", opening(anybody))
        bob.call("vm.open", opening("bob's"))
        adds_up(16 * MIB, 0, "used by both")


@test("it lapses when it says, is told of, and nobody can use it then")
def lapses():
    with others(None) as (vmm,), contextlib.closing(host.operator()) as listener:
        listener.call("event.subscribe")
        made = reserve("short", 40 * MIB, ttl_ms=300)
        reserve("long", 8 * MIB)
        check(wait_until(lambda: [one["name"] for one in reservations()] == ["long"]), "it has not lapsed")
        adds_up(8 * MIB, 8 * MIB, "lapsed")
        is_none(vmm.error("vm.open", opening(made)), made, "lapsed")
        is_none(operator.error("reservation.cancel", {"reservation": made}), made, "cancelled when it had lapsed")
        listener.call("ping")
        told = {(one["kind"], one.get("reserved_as")): one for one in listener.events}
        need(("reservation_lapsed", "short") in told, "the event is missing: %r" % told)
        event = told["reservation_lapsed", "short"]
        equal((event["reservation"], event["size"]), (made, 40 * MIB), "the event")
        for name in ("one", "two", "three"):  # all at once, and in another order than they were made
            reserve(name, MIB, ttl_ms={"one": 250, "two": 200, "three": 225}[name])
        check(wait_until(lambda: len(reservations()) == 1), "several that lapse")


def listed_and_reserved(peer):
    """Bytes: ({what is listed just before, and just after}, what is reserved)."""
    asked = ("reservation.list", "metrics.get", "reservation.list")
    for method in asked:
        peer.send(request(method))
    told = [peer.receive()[0]["result"] for _ in asked]
    return {sum(one["size"] for one in told[i]["reservations"]) for i in (0, 2)}, told[1]["gmemd_reserved_bytes"]


@test("one that is due is listed as long as its memory is promised")
def due():
    with contextlib.closing(host.operator()) as peer:
        for size in (MIB, 2 * MIB, 3 * MIB):  # each at another time within a millisecond
            reserve("due", size, ttl_ms=20)
            reserved = size
            while reserved:
                listed, reserved = listed_and_reserved(peer)
                check(reserved in listed, "%d bytes are reserved, and listed: %r" % (reserved, listed))


@test("all its turns are counted and told to operators, and VMs hear of none of it")
def turns():
    before = operator.call("metrics.get")
    with others(None) as (vmm,), contextlib.closing(host.operator()) as listener:
        listener.call("event.subscribe")
        vmm.call("event.subscribe")
        made, _ = reserve("used", MIB), reserve("cancelled", MIB)
        vm = vmm.call("vm.open", opening(made))["vm"]
        cancel("cancelled")
        listener.call("ping")
        told = [(one["kind"], one.get("reserved_as")) for one in listener.events]
        expected = [("reservation_made", "used"), ("reservation_made", "cancelled"), ("vm_opened", None), ("vm_running", None)]
        expected += [("reservation_used", "used"), ("reservation_cancelled", "cancelled")]
        equal(told, expected, "events")
        equal([one["vm"] for one in listener.events if one["kind"] == "reservation_used"], [vm], "whose")
        kinds = {one["kind"] for one in vmm.events()}
        check(not any("reservation" in kind for kind in kinds), "a VM hears of reservations: %r" % kinds)
        counts = operator.call("metrics.get")
        for turn, count in (("made", 2), ("used", 1), ("cancelled", 1), ("lapsed", 0)):
            name = "gmemd_reservation_%s_total" % turn
            equal(counts[name] - before[name], count, name)


@test("limits: how many, how large, how long, and how their names are")
def limits():
    with others():
        for number in range(MOST):
            reserve("r%d" % number, PAGE)
        error = reserve_error("one more", PAGE)
        expected = {"reason": "limit", "limit": "reservations-on-host", "value": MOST, "scope": "host"}
        equal((error.get("code"), error.get("data")), (-32007, expected), "one more than there may be")
        cancel("r0")
        reserve("one more", PAGE)
        cancel_all()
        is_wrong(reserve_error("none", 0), "size", "nothing")
        for size in (1, HOST - 1, HOST):
            cancel(reserve("some", size))
        for size in (HOST + 1, (1 << 63) - 1):
            equal(reserve_error("more", size).get("data", {}).get("requested"), size, "more than the host has")
        is_wrong(reserve_error("more", 1 << 63), "size", "more than any host has")
        is_wrong(reserve_error("no time", 1, ttl_ms=0), "ttl_ms", "no time")
        cancel(reserve("all the time", 1, ttl_ms=TTL_MAX))
        is_wrong(reserve_error("more time", 1, ttl_ms=TTL_MAX + 1), "ttl_ms", "more time than may be")
        reserve("no time at all", 1, ttl_ms=1)
        check(wait_until(lambda: reservations() == []), "a millisecond")
        for name in ("", "x" * 129, "a\nb"):
            is_wrong(reserve_error(name, 1), "name", "the name %r" % name)
        for name in ("x", "x" * 128, "\u00e4" * 64, "%s%n", '"'):
            reserve(name, 1)
            equal([one["name"] for one in reservations()], [name], "the name")
            cancel(name)
        for tenant in ("bob", "uid:", "uid:-1", "uid:01", "uid:4294967296", "uid:1 ", "", "x" * 129):
            is_wrong(reserve_error("for somebody", 1, tenant=tenant), "tenant", "the tenant %r" % tenant)
        for node in (-1, 1023, 1024):
            is_wrong(reserve_error("of a node", 1, node=node), "node", "node %d" % node)
        adds_up(0, 0, "refused")


@test("reservations are the operators' alone")
def operators():
    with others(None) as (vmm,):
        asked = {"create": {"name": "mine", "size": 1, "ttl_ms": 1}, "list": {}, "cancel": {"reservation": "mine"}}
        for method, params in asked.items():
            equal(vmm.error("reservation." + method, params)["code"], -32002, method)


@test("one of a node: the VM's memory is of that node, unless it says otherwise")
def nodes():
    with others(None) as (vmm,):
        made = reserve("of a node", 8 * MIB, node=0)
        equal([one["node"] for one in reservations()], [0], "reservation.list")
        vm = vmm.call("vm.open", opening(made))["vm"]
        vmm.call("memory.create", {"vm": vm, "size": 8 * MIB, "backing": "memfd"})
        (memory,) = vmm.call("vm.get", {"vm": vm})["memories"]
        equal(memory["node"], 0, "the memory's node")
        adds_up(8 * MIB, 0, "then")


@contextlib.contextmanager
def another_host(**settings):
    global host, operator
    first = host, operator
    host = Host(backend="model", **settings)
    operator = host.operator()
    try:
        yield
    finally:
        operator.close()
        host.stop()
        host, operator = first


TENANTS = "[tenant red]\nusers = %d\nlimit = %d\n[tenant blue]\nusers = %d\nreserve = %d\n" % (BOB, 16 * MIB, EVE, 24 * MIB)


def promised_to(tenant):
    told = operator.call("tenant.get", {"tenant": tenant})
    return told["promised"], told["committed"]


@test("within a tenant it is of its limit and its reserve; and one for nobody in particular is of theirs who opens a VM with it")
def of_tenants():
    with another_host(config=config() + TENANTS), others(BOB, EVE, kept=24 * MIB) as (red, blue):
        error = reserve_error("too much", 16 * MIB + 1, tenant="red")
        data = error.get("data", {})
        equal((error.get("code"), data.get("scope"), data.get("available")), (-32003, "tenant", 16 * MIB), "past red's limit")
        reserve("red's", 16 * MIB, tenant="red")
        equal(promised_to("red"), (16 * MIB, 0), "red")
        reserve("blue's", 20 * MIB, tenant="blue")
        equal(commitment()["available"], HOST - 40 * MIB, "blue's is in its reserve")
        for wrong in ("green", "uid:%d" % BOB):
            is_wrong(reserve_error("nobody's", 1, tenant=wrong), "tenant", "the tenant %r" % wrong)
        anybody = reserve("anybody's", 20 * MIB)
        error = red.error("vm.open", opening(anybody))
        equal((error["code"], error["data"]["scope"], error["data"]["available"]), (-32003, "tenant", 0), "past red's limit, by another")
        is_none(red.error("vm.open", opening("blue's")), "blue's", "another's")
        red.call("vm.open", opening("red's"))
        equal(promised_to("red"), (16 * MIB, 0), "red, used")
        blue.call("vm.open", opening(anybody))
        equal(promised_to("blue"), (40 * MIB, 0), "blue, with two")
        told = commitment()
        equal((told["reserved"], told["available"]), (20 * MIB, HOST - 56 * MIB), "the host")
        cancel("blue's")
        equal(promised_to("blue"), (20 * MIB, 0), "blue, with one")


@test("more than a packet holds are listed in pages, in the order that they were made")
def pages():
    with another_host(config=config(most=1000)):
        names_ = [("%03d" % number).ljust(128, '"') for number in range(300)]
        for name in names_:
            reserve(name, PAGE, tenant="uid:1")
        equal([one["name"] for one in reservations()], names_, "the names")
        check("cursor" in operator.call("reservation.list"), "one page")
        for cursor in ("x", "vm:1", "reservation:-1"):
            is_wrong(operator.error("reservation.list", {"cursor": cursor}), "cursor", cursor)
        cancel_all()
        adds_up(0, 0, "cancelled")


def ctl(*arguments, status=0):
    command = [os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl"), "--socket=" + host.socket_path("admin.sock")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, status, "gmemctl %r: %s" % (arguments, done.stderr))
    return done.stdout if status == 0 else done.stderr


@test("gmemctl reserve, reservations, unreserve and status")
def by_gmemctl():
    with others():
        made = ctl("reserve", "web", "40M", "--ttl=90m", "--tenant=uid:%d" % BOB, "--node=0").strip()
        (one,) = reservations()
        check(5390000 < one.pop("remaining_ms") <= 5400000, "what remains")
        expected = {"reservation": made, "name": "web", "size": 40 * MIB, "tenant": "uid:%d" % BOB, "machine": None, "node": 0}
        expected["ttl_ms"] = 5400000
        equal(one, expected, "as it was told")
        table = ctl("reservations")
        for word in ("NAME", "web", "40M", "uid:%d" % BOB, "1h 29m", made):
            check(word in table, "%r is not in %r" % (word, table))
        equal(json.loads(ctl("--json", "reservations"))["reservations"][0]["name"], "web", "--json")
        check("40M of it reserved" in ctl("status"), ctl("status"))
        equal(json.loads(ctl("--json", "status"))["reserved"], 40 * MIB, "status --json")
        check("web" in ctl("reserve", "web", "1M", status=1), "the same name")
        ctl("unreserve", "web")
        check("web" in ctl("unreserve", "web", status=4), "what is not there")
        second = json.loads(ctl("--json", "reserve", "web", "4096"))["reservation"]
        equal([(one["reservation"], one["ttl_ms"]) for one in reservations()], [(second, 600000)], "by default")
        for wrong in (["web"], ["web", "none"], ["web", "0"], ["x", "1M", "--ttl=0"], ["x", "1M", "--ttl=1y"], ["x", "1M", "--ttl=-1"]):
            ctl("reserve", *wrong, status=2)
        equal(len(reservations()), 1, "wrong ones")


# Through restarts


@contextlib.contextmanager
def durable():
    """With a keeper, which the model's gmemd has none of."""
    global host, operator
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    first = host, operator
    host = hosts.get("kvm") or Host(config=config())
    hosts["kvm"] = host
    operator = host.operator()
    try:
        yield
    finally:
        operator.close()
        host, operator = first


def restarted():
    """The operator's connection outlives it, too."""
    host.restart()
    operator.call("ping")


@test("it outlives gmemd, as it was: its promise, its id, its time, and who may use it")
def outlives():
    with durable(), others(BOB, EVE) as (bob, eve):
        made = {reserve("short", 8 * MIB, ttl_ms=LONG + 1), reserve("of a node", 8 * MIB, node=0)}
        made.add(reserve("bob's", 8 * MIB, tenant="uid:%d" % BOB))
        reserve("cancelled", 8 * MIB)
        cancel("cancelled")
        made.add(reserve(UUID, 8 * MIB, machine="qemu-999-"))
        before = reservations()
        for _ in range(2):
            restarted()
            after = reservations()
            for one, other in zip(before, after):
                check(other.pop("remaining_ms") <= one.get("remaining_ms", LONG + 1), "its time begins again")
                one.pop("remaining_ms", None)
            equal(after, before, "reservations")
            equal({one["reservation"] for one in after}, made, "ids")
            adds_up(32 * MIB, 32 * MIB, "after a restart")
        equal(after[-1]["machine"], "qemu-999-", "its machine")
        equal(eve.error("vm.open", {"name": "vm", "gate": "none", "uuid": UUID})["code"], -32002, "another's UUID")
        is_none(eve.error("vm.open", opening("bob's")), "bob's", "another tenant")
        bob.call("vm.open", opening("bob's"))
        restarted()
        equal([one["name"] for one in reservations()], ["short", "of a node", UUID], "one was used")
        adds_up(32 * MIB, 24 * MIB, "the VM has its promise")


@test("one that lapses while gmemd is away has lapsed when it is back, and so does one whose time ends then")
def lapses_away():
    with durable(), others():
        reserve("before", 8 * MIB, ttl_ms=200)
        reserve("after", 8 * MIB, ttl_ms=3000)
        reserve("never", 8 * MIB)
        host.kill()
        time.sleep(0.3)
        host.start()
        check(wait_until(lambda: "before" not in {one["name"] for one in reservations()}), "it has not lapsed")
        check(wait_until(lambda: {one["name"] for one in reservations()} == {"never"}), "nor has the other")
        adds_up(8 * MIB, 8 * MIB, "then")


@test("where gmemd ends in its own time it leaves them to the next, and with its keeper they are lost")
def ends():
    with durable(), others():
        reserve("left", 8 * MIB)
        operator.close()
        host.end()
        host.start()
        reopen()
        equal([one["name"] for one in reservations()], ["left"], "left to the next")
        operator.close()
        host.lose_all()
        reopen()
        adds_up(0, 0, "lost")
        reserve("left", 8 * MIB)


def reopen():
    global operator
    operator = host.operator()


if __name__ == "__main__":
    main(set_up, tear_down)
