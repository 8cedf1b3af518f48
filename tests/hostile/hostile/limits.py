# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each limit: one less than it, as much, one more; and as much again once one is given back."""

import os

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.tap import check, equal
from gmemtest.wire import PACKET_BYTES, Closed, Peer, encode, request
from hostile.attacker import BUSY, INVALID_PARAMS, PAGE, answers, code_of, eventually, guest_ranges, hear, memfd, misbehaviour, process, ranges

BUDGET_EXCEEDED, INVALID_REQUEST = -32003, -32600
RESERVE = 1 << 20  # of the quiet tenant: see the stage


def is_limit(error, name, value):
    """The refusal says which one, and how much it is."""
    data = (error or {}).get("data", {})
    equal((error or {}).get("code"), BUSY, name)
    equal((data.get("limit"), data.get("value")), (name, value), name)


def reaches(attacker, name, count, make, give_back, refusal):
    """make() so often; then it is refused; and when one is given back, one more can be made."""
    for _ in range(count):
        make()
    is_limit(refusal(), name, count)
    attacker.stays()
    give_back()
    make()
    is_limit(refusal(), name, count)


def one_more_is_closed(attacker):
    one_more = attacker.peer()
    try:
        one_more.call("ping")
        check(False, "one more is served")
    except (Closed, OSError):
        pass


@misbehaviour("limit-of-connections")
def connections(attacker):
    count = attacker.limits["peers-per-user"]
    peers = attacker.peers(count - 1)
    peers += attacker.peers(1)
    one_more_is_closed(attacker)
    attacker.stays()
    peers.pop().close()
    attacker.peers(1)


@misbehaviour("limit-of-VMs")
def vms(attacker):
    count = attacker.limits["vms-per-user"]
    children = [Child(lambda channel: be_vm(channel, attacker)) for _ in range(count)]
    for child in children:
        hear(child, None, "a VM")
    peer, params = attacker.peer(), {"name": "one more", "gate": "none"}
    is_limit(peer.error("vm.open", params), "vms-per-user", count)
    attacker.stays()
    children.pop().end()
    check(eventually(lambda: code_of(peer, "vm.open", params) == 0), "there is no room again")
    for child in children:
        child.end()


def be_vm(channel, attacker):
    channel.say(attacker.peer().error("vm.open", {"name": "of %d" % os.getpid(), "gate": "none"}))
    channel.hear()


@misbehaviour("limit-of-a-VM's-memories")
def memories(attacker):
    vmm, made = attacker.vmm(), []
    params = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}
    reaches(
        attacker,
        "memories-per-vm",
        attacker.limits["memories-per-vm"],
        lambda: made.append(memfd(vmm)),
        lambda: vmm.peer.call("memory.close", {"memory": made.pop(3)}),
        lambda: vmm.peer.error("memory.create", params),
    )


@misbehaviour("limit-of-a-user's-memories")
def memories_of_a_user(attacker):
    """In several VMs, none of which is at its own limit."""
    limit = attacker.limits["memories-per-user"]
    each = attacker.limits["memories-per-vm"] - 1
    children = [Child(lambda channel: have_memories(channel, attacker, each)) for _ in range(limit // each)]
    for child in children:
        hear(child, each, "memories")
    vmm = attacker.vmm()
    for _ in range(limit % each):
        memfd(vmm)
    params = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}
    is_limit(vmm.peer.error("memory.create", params), "memories-per-user", limit)
    attacker.stays()
    children.pop().end()
    check(eventually(lambda: code_of(vmm.peer, "memory.create", params) == 0), "there is no room again")
    for child in children:
        child.end()


def have_memories(channel, attacker, count):
    vmm = attacker.vmm()
    channel.say(len([memfd(vmm) for _ in range(count)]))
    channel.hear()


@misbehaviour("limit-of-slots")
def slots(attacker):
    count = attacker.limits["slots-per-vm"]
    vmm, number = attacker.vmm_with_memory(count + 1), iter(range(4 * count))

    def params(slot):
        place = slot % (count + 1)
        return vmm.bind_params(slot, place * PAGE, PAGE, vmm.memory, vmm.file, place * PAGE)

    reaches(
        attacker,
        "slots-per-vm",
        count,
        lambda: vmm.carry_out(vmm.peer.call("slot.bind", params(next(number)))["call"]),
        lambda: vmm.unbind(1) or [next(number) for _ in range(2)],
        lambda: vmm.peer.error("slot.bind", params(3 * count + 2)),
    )


@misbehaviour("limit-of-own-memory")
def own_memory(attacker):
    """Bytes of slots on its own memory, to the page."""
    limit = attacker.limits["own-memory-per-vm"]
    address = linux.mmap(None, 2 * limit, 3, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS)
    vmm = attacker.vmm()
    vmm.bind_own(0, 0, limit - PAGE, address)
    vmm.bind_own(1, limit, PAGE, address + limit)
    more = {"vm": vmm.id, "slot": 2, "guest_phys_addr": 2 * limit, "memory_size": PAGE}
    more.update({"userspace_addr": address + limit, "memory": None})
    error = vmm.peer.error("slot.bind", more)
    equal((error or {}).get("code"), BUDGET_EXCEEDED, "a page more")
    equal((error["data"]["limit"], error["data"]["committed"]), (limit, limit), "what it says")
    attacker.stays()
    vmm.unbind(1)
    vmm.bind_own(2, 2 * limit, PAGE, address + limit)


@misbehaviour("limit-of-private-pieces")
def private_pieces(attacker):
    attacker.need_model()
    count = attacker.limits["private-ranges-per-vm"]
    vmm = attacker.vmm_with_memory(2 * count + 2)
    vmm.bind(0, 0, (2 * count + 2) * PAGE, vmm.memory, vmm.file)

    def convert(to, *pages):
        return vmm.peer.error("memory.convert", {"vm": vmm.id, "to": to, "ranges": guest_ranges(*pages)})

    for first in range(0, count, 1000):
        equal(convert("private", *((2 * i, 1) for i in range(first, min(first + 1000, count)))), None, "pieces")
    is_limit(convert("private", (2 * count, 1)), "private-ranges-per-vm", count)
    attacker.stays()
    equal(convert("shared", (0, 1)), None, "one less")
    equal(convert("private", (2 * count, 1)), None, "another instead")
    is_limit(convert("private", (0, 1)), "private-ranges-per-vm", count)


@misbehaviour("limit-of-a-batch")
def batch(attacker):
    peer = attacker.peers(1)[0]
    while attacker.goes_on():
        for count in (1, 63, 64):
            peer.send([request("ping", number=number) for number in range(count)])
            equal(len(answers(peer, 1)[0]), count, "a batch of %d" % count)
        peer.send([request("ping", number=number) for number in range(65)])
        equal(answers(peer, 1)[0]["error"]["code"], INVALID_REQUEST, "of 65")


@misbehaviour("limit-of-a-packet")
def packet(attacker):
    peer = attacker.peers(1)[0]
    text = encode(request("ping"))
    while attacker.goes_on():
        for length in (PACKET_BYTES - 1, PACKET_BYTES):
            peer.send(text + b" " * (length - len(text)))
            equal(answers(peer, 1)[0].get("result"), {}, "%d bytes" % length)
        for length in (PACKET_BYTES + 1, 2 * PACKET_BYTES):
            peer.send(text + b" " * (length - len(text)))
            equal(answers(peer, 1)[0]["error"]["code"], INVALID_REQUEST, "%d bytes" % length)


@misbehaviour("limit-of-preallocations")
def preallocations(attacker):
    """Those of a VM at once; all are answered, and as many are possible again."""
    limit, vmm = attacker.limits["preallocations-per-vm"], attacker.vmm()
    memory = memfd(vmm, 1 << 16)
    peers = attacker.peers(limit + 1)
    size = (1 << 16) * PAGE // (limit + 1)
    while attacker.goes_on():
        for number, peer in enumerate(peers):
            peer.send(request("memory.preallocate", {"memory": memory, "offset": number * size // PAGE * PAGE, "size": PAGE}))
        for peer in peers:
            [answer] = answers(peer, 1)
            if "error" in answer:
                is_limit(answer["error"], "preallocations-per-vm", limit)


@misbehaviour("limit-of-ranges-and-sizes")
def sizes(attacker):
    """The edges of integers where bytes are added up."""
    vmm = attacker.vmm_with_memory(16)
    memory, size, most = vmm.memory, 16 * PAGE, (1 << 63) - PAGE
    bad = [(0, size + PAGE), (size, PAGE), (size - PAGE, 2 * PAGE), (most, most), (PAGE, most), (most, PAGE), (0, most)]
    while attacker.goes_on():
        for offset, length in bad:
            one = [{"offset": offset, "size": length}]
            equal(code_of(vmm.peer, "memory.reclaim", {"memory": memory, "ranges": one}), INVALID_PARAMS, "reclaim %r" % one)
            params = {"memory": memory, "offset": offset, "size": length}
            equal(code_of(vmm.peer, "memory.preallocate", params), INVALID_PARAMS, "preallocate %r" % params)
            params = vmm.bind_params(0, 0, min(length, 0x7FFFFFFF * 4096), memory, vmm.file, offset)
            equal(code_of(vmm.peer, "slot.bind", params), INVALID_PARAMS, "bind %r" % params)
        whole = {"memory": memory, "ranges": ranges((0, 15), (15, 1))}
        equal(code_of(vmm.peer, "memory.reclaim", whole), 0, "to the end")


@misbehaviour("limit-of-guest-addresses")
def addresses(attacker):
    """A slot that ends where addresses do, and one that would go beyond."""
    vmm, most = attacker.vmm_with_memory(16), (1 << 63) - (1 << 16)
    last = vmm.bind_params(0, most, PAGE, vmm.memory, vmm.file)
    code = code_of(vmm.peer, "slot.bind", last)
    check(code in (0, INVALID_PARAMS), "the last address: %d" % code)
    for address in (most + (1 << 16), (1 << 64) - PAGE, -PAGE):
        params = vmm.bind_params(1, address, 16 * PAGE, vmm.memory, vmm.file)
        equal(code_of(vmm.peer, "slot.bind", params), INVALID_PARAMS, "address %d" % address)
    attacker.stays()


@misbehaviour("limit-of-a-promise")
def promise(attacker):
    """A VM's commit limit, and the host's, to the page."""
    limit = attacker.limits["commit-limit"]
    vmm = attacker.vmm(commit_limit=8 * PAGE)
    memories = [memfd(vmm, 7), memfd(vmm, 1)]
    params = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}
    error = vmm.peer.error("memory.create", params)
    equal((error["code"], error["data"]["scope"]), (BUDGET_EXCEEDED, "vm"), "a page more")

    def promised(channel, bytes_):
        channel.say(code_of(attacker.peer(), "vm.open", {"name": "large", "gate": "none", "commit_limit": bytes_}))
        channel.hear()

    left = limit - 8 * PAGE - RESERVE  # the quiet peer's, of which it has 16 pages
    for bytes_, code in ((left - PAGE, 0), (left, 0), (left + PAGE, BUDGET_EXCEEDED)):
        with process(promised, bytes_) as child:
            hear(child, code, "a promise of %d" % bytes_)
            if bytes_ == left:
                attacker.stays()
        wait_until_free(attacker, 8 * PAGE + RESERVE)
    vmm.peer.call("memory.close", {"memory": memories.pop()})
    equal(code_of(vmm.peer, "memory.create", params), 0, "once one was closed")


def wait_until_free(attacker, committed):
    """Until the host has given back what the dead had: it says so when it refuses too much, to a process without a VM."""

    def asks(channel):
        peer = attacker.peer()
        while channel.hear() is not None:
            channel.say(peer.error("vm.open", {"name": "x", "gate": "none", "commit_limit": 1 << 62}))

    with process(asks) as child:

        def is_free():
            error = child.ask("how much is committed?")
            equal((error["code"], error["data"]["scope"]), (BUDGET_EXCEEDED, "host"), "who refuses")
            return error["data"]["committed"] == committed

        check(eventually(is_free), "what the dead were promised")


@misbehaviour("limit-of-waiting-creations")
def waiting_creations(attacker):
    """As many as the mailbox holds; one that is reported makes room for one."""
    attacker.need_calls()
    peer = attacker.peer()
    vm = peer.call("vm.open", {"name": "waits", "gate": "none"})["vm"]
    params, calls = {"vm": vm, "size": PAGE}, []
    while True:
        error = peer.error("memory.create", params)
        if error:
            break
    calls = peer.call("vm.get", {"vm": vm})["calls"]
    equal(error["code"], BUSY, "one more than %d" % len(calls))
    attacker.stays()
    peer.call("call.done", {"vm": vm, "call": calls[0]["id"], "done": 0, "errno": "EINTR"})
    equal(code_of(peer, "memory.create", params), 0, "where one was reported")
    equal(code_of(peer, "memory.create", params), BUSY, "one more again")


# A tenant's own, beside which the quiet tenant has all that it had.


def of_one_user(limit):
    """Of what is counted one user of several may have half."""
    return (limit + 1) // 2


def is_tenants_limit(error, attacker, name):
    is_limit(error, name, attacker.bounds[name])
    equal(error["data"]["scope"], "tenant", name)


def reaches_bound(attacker, name, count, make, give_back, refusal):
    for _ in range(count - 1):
        make()
    attacker.stays()
    make()
    is_tenants_limit(refusal(), attacker, name)
    give_back()
    make()
    is_tenants_limit(refusal(), attacker, name)


@misbehaviour("tenant's-limit-of-memory", by="bounded")
def tenant_memory(attacker):
    """To the page, of what is promised as of what is committed."""
    limit = attacker.bounds["limit"]
    vmm = attacker.vmm(commit_limit=limit // 2)
    memfd(vmm, limit // 2 // PAGE)

    def promised(channel, bytes_):
        channel.say(attacker.peer().error("vm.open", {"name": "large", "gate": "none", "commit_limit": bytes_}))
        channel.hear()

    def outcome(bytes_):
        """What the dead were promised is given back a moment later."""
        with process(promised, bytes_) as child:
            error = child.channel.hear()
            if not error and bytes_ == limit // 2:
                attacker.stays()
            return error and (error["code"], error["data"]["scope"], error["data"]["limit"])

    for bytes_ in (limit // 2 - PAGE, limit // 2, limit // 2 + PAGE):
        expected = (BUDGET_EXCEEDED, "tenant", limit) if bytes_ > limit // 2 else None
        check(eventually(lambda: outcome(bytes_) == expected), "a promise of %d" % bytes_)


@misbehaviour("tenant's-limit-of-VMs", by="bounded")
def tenant_vms(attacker):
    count, peer, children = of_one_user(attacker.bounds["vms"]), attacker.peer(), []
    params = {"name": "one more", "gate": "none"}

    def make():
        check(eventually(is_made), "a VM")

    def is_made():
        """What was given back counts until its process has been released."""
        child = Child(lambda channel: be_vm(channel, attacker))
        if child.channel.hear():
            child.end()
            return False
        children.append(child)
        return True

    def give_back():
        children.pop().end()

    reaches_bound(attacker, "vms", count, make, give_back, lambda: peer.error("vm.open", params))
    for child in children:
        child.end()


@misbehaviour("tenant's-limit-of-connections", by="bounded")
def tenant_connections(attacker):
    count, peers = of_one_user(attacker.bounds["connections"]), []
    peers += attacker.peers(count - 1)
    attacker.stays()
    peers += attacker.peers(1)
    one_more_is_closed(attacker)
    peers.pop().close()
    attacker.peers(1)


@misbehaviour("tenant's-limit-of-memories", by="bounded")
def tenant_memories(attacker):
    """In two VMs, neither of which is at its own limit."""
    count, each = of_one_user(attacker.bounds["memories"]), attacker.bounds["memories-per-vm"] - 1
    with process(have_memories, attacker, each) as child:
        hear(child, each, "memories")
        vmm, made = attacker.vmm(), []
        params = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}
        reaches_bound(
            attacker,
            "memories",
            count - each,
            lambda: made.append(eventual_memory(vmm)),
            lambda: vmm.peer.call("memory.close", {"memory": made.pop()}),
            lambda: vmm.peer.error("memory.create", params),
        )


def eventual_memory(vmm):
    """A closed one counts until its file is closed, a moment later."""
    params, made = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}, []

    def is_made():
        if code_of(vmm.peer, "memory.create", params):
            return False
        made.append(max(one["memory"] for one in vmm.get()["memories"]))
        return True

    check(eventually(is_made), "a memory")
    return made[0]


@misbehaviour("tenant's-limit-of-slots", by="bounded")
def tenant_slots(attacker):
    count = attacker.bounds["slots-per-vm"]
    vmm, number = attacker.vmm_with_memory(4 * count), iter(range(4 * count))

    def params(slot):
        return vmm.bind_params(slot, slot * PAGE, PAGE, vmm.memory, vmm.file, slot * PAGE)

    reaches_bound(
        attacker,
        "slots-per-vm",
        count,
        lambda: vmm.carry_out(vmm.peer.call("slot.bind", params(next(number)))["call"]),
        lambda: vmm.unbind(1),
        lambda: vmm.peer.error("slot.bind", params(4 * count - 1)),
    )


@misbehaviour("tenant's-limit-of-private-pieces", by="bounded")
def tenant_private_pieces(attacker):
    attacker.need_model()
    count = attacker.bounds["private-ranges-per-vm"]
    pages = iter(range(0, 8 * count, 2))
    vmm = attacker.vmm_with_memory(8 * count + 2)
    vmm.bind(0, 0, (8 * count + 2) * PAGE, vmm.memory, vmm.file)

    def convert(to, page):
        return vmm.peer.error("memory.convert", {"vm": vmm.id, "to": to, "ranges": guest_ranges((page, 1))})

    reaches_bound(
        attacker,
        "private-ranges-per-vm",
        count,
        lambda: equal(convert("private", next(pages)), None, "a piece"),
        lambda: equal(convert("shared", 0), None, "one less"),
        lambda: convert("private", 8 * count),
    )


@misbehaviour("tenant's-limit-of-requests", by="bounded")
def tenant_requests(attacker):
    """As many as there may be on their way at once are served, and more of them one by one."""
    count = of_one_user(attacker.bounds["requests"])
    peers, served = attacker.peers(count + 1), 0
    while attacker.goes_on():
        for peer in peers:
            peer.send(request("vm.list"))
        for peer in peers:
            [answer] = answers(peer, 1)
            if "error" in answer:
                is_tenants_limit(answer["error"], attacker, "requests")
            else:
                served += 1
        equal(code_of(peers[0], "vm.list"), 0, "one by itself")
    check(served > 0, "none was served")


@misbehaviour("tenant's-limit-of-reservations", by="several")
def tenant_reservations(attacker):
    """Of what is reserved for the tenant, to the byte; what is left over for no more is nobody else's loss."""
    limit, operator = attacker.bounds["limit"], Peer(attacker.admin_path)

    def reserve(bytes_):
        return operator.error("reservation.create", {"name": "r", "size": bytes_, "tenant": "bounded", "ttl_ms": 3600000})

    for bytes_ in (limit - PAGE, limit, limit + PAGE):
        error = reserve(bytes_)
        expected = (BUDGET_EXCEEDED, "tenant", limit) if bytes_ > limit else None
        equal(error and (error["code"], error["data"]["scope"], error["data"]["limit"]), expected, "%d bytes" % bytes_)
        if bytes_ == limit:
            attacker.stays()
        if not error:
            operator.call("reservation.cancel", {"reservation": "r"})
    operator.close()
