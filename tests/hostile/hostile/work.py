# SPDX-License-Identifier: LGPL-2.1-or-later
"""What costs gmemd most, asked for without end."""

import itertools

from gmemtest.tap import check, equal
from gmemtest.wire import encode, request
from hostile.attacker import BUSY, INVALID_PARAMS, PAGE, answers, code_of, guest_ranges, memfd, misbehaviour, pump, ranges

CONNECTIONS = 12
PARSE_ERROR = -32700
LARGE = 1 << 34  # bytes: nothing is there but what was asked for


@misbehaviour("dearest-answers")
def dearest_answers(attacker):
    turn = itertools.cycle(["rpc.discover", "host.describe", "vm.list"])
    pump(attacker, attacker.peers(CONNECTIONS), lambda: request(next(turn)))


@misbehaviour("large-empty-memories")
def empty_memories(attacker):
    """Punched and counted whole, with a page here and there."""
    vmm = attacker.vmm()
    memory = memfd(vmm, LARGE // PAGE)
    for offset in range(0, LARGE, LARGE // 4):
        params = {"memory": memory, "offset": offset, "size": PAGE}
        equal(vmm.peer.call("memory.preallocate", params)["allocated"], PAGE, "allocated")
    whole = {"memory": memory, "ranges": [{"offset": 0, "size": LARGE}]}
    pump(attacker, attacker.peers(CONNECTIONS), lambda: request("memory.reclaim", whole))


@misbehaviour("makes-and-closes-memories")
def makes_and_closes(attacker):
    vmm = attacker.vmm()
    while attacker.goes_on():
        made = [memfd(vmm) for _ in range(16)]
        packet = [request("memory.close", {"memory": memory}, memory) for memory in made]
        vmm.peer.send(packet)
        [closed] = answers(vmm.peer, 1)
        check(all("result" in one for one in closed), "closed: %r" % closed)


@misbehaviour("opens-and-closes-VMs")
def opens_and_closes(attacker):
    peer, count = attacker.peer(), 0
    while attacker.goes_on():
        vm = peer.call("vm.open", {"name": "again", "gate": "none"})["vm"]
        peer.call("vm.close", {"vm": vm})
        count += 1
    attacker.note = "%d VMs" % count


@misbehaviour("binds-and-unbinds")
def binds_and_unbinds(attacker):
    vmm = attacker.vmm_with_memory(64)
    while attacker.goes_on():
        for slot in range(64):
            vmm.bind(slot, (63 - slot) * PAGE, PAGE, vmm.memory, vmm.file, slot * PAGE)
        for slot in range(64):
            vmm.unbind(slot)


@misbehaviour("slots-as-many-as-there-may-be-listed")
def many_slots(attacker):
    count = attacker.limits["slots-per-vm"]
    vmm = attacker.vmm_with_memory(count)
    for slot in range(count):
        vmm.bind(slot, 2 * slot * PAGE, PAGE, vmm.memory, vmm.file, slot * PAGE)
    pump(attacker, attacker.peers(CONNECTIONS), lambda: request("vm.get", {"vm": vmm.id}))


@misbehaviour("memory-in-many-pieces")
def many_pieces(attacker):
    """Every second page private, and all of it converted, and listed, again and again."""
    attacker.need_model()
    pieces = attacker.limits["private-ranges-per-vm"]
    vmm = attacker.vmm_with_memory(2 * pieces)
    vmm.bind(0, 0, 2 * pieces * PAGE, vmm.memory, vmm.file)
    listers = attacker.peers(4)
    while attacker.goes_on():
        for peer in listers:
            peer.send(request("vm.get", {"vm": vmm.id}))
        for first in range(0, pieces, 1000):
            every_second = guest_ranges(*((2 * (first + i), 1) for i in range(1000)))
            vmm.peer.call("memory.convert", {"vm": vmm.id, "to": "private", "ranges": every_second})
        whole = {"vm": vmm.id, "ranges": guest_ranges((0, 2 * pieces))}
        vmm.peer.call("memory.convert", dict(whole, to="private"))
        vmm.peer.call("memory.convert", dict(whole, to="shared"))
        for peer in listers:
            check("result" in answers(peer, 1)[0], "what is listed")


@misbehaviour("ranges-backwards")
def ranges_backwards(attacker):
    """As many as a packet holds, the last one first, and two of them the same."""
    attacker.need_model()
    vmm = attacker.vmm_with_memory(4096)
    vmm.bind(0, 0, 4096 * PAGE, vmm.memory, vmm.file)
    backwards = guest_ranges(*((i, 1) for i in range(1300, 0, -1)), (700, 1))
    params = {"vm": vmm.id, "to": "private", "ranges": backwards}
    packet = encode(request("memory.convert", params))
    peers = attacker.peers(CONNECTIONS)
    pump(attacker, peers, lambda: packet)
    equal(vmm.get()["private_ranges"], [], "private ranges")


@misbehaviour("thousands-of-unknown-members")
def unknown_members(attacker):
    params = {"x%d" % i: i for i in range(5000)}
    packet = encode(request("vm.get", params))
    peers = attacker.peers(CONNECTIONS)
    pump(attacker, peers, lambda: packet)
    equal(code_of(attacker.peer(), "vm.get", params), INVALID_PARAMS, "the error")


@misbehaviour("members-that-collide")
def members_that_collide(attacker):
    """Names as much alike as names can be, whatever hash there is behind them."""
    names = ["%s%s" % ("a" * i, "b" * (40 - i)) for i in range(41)] + ["\u0101" * i for i in range(1, 60)]
    packets = itertools.cycle(encode(request("ping", dict.fromkeys(names[i:], i))) for i in range(20))
    pump(attacker, attacker.peers(CONNECTIONS), lambda: next(packets))


@misbehaviour("numbers-without-end")
def numbers_without_end(attacker):
    numbers = ["9" * 60000, "1e" + "9" * 60000, "0." + "0" * 60000 + "1", "-" + "1" * 60000, "1E-999999999"]
    text = '{"jsonrpc":"2.0","id":1,"method":"memory.open","params":{"memory":%s}}'
    packets = itertools.cycle((text % number).encode() for number in numbers)
    pump(attacker, attacker.peers(CONNECTIONS), lambda: next(packets))
    peer = attacker.peer()
    for number in numbers:
        peer.send((text % number).encode())
        check("error" in answers(peer, 1)[0], "the number %s…" % number[:9])


@misbehaviour("preallocates-page-by-page")
def page_by_page(attacker):
    vmm = attacker.vmm()
    memory = memfd(vmm, 4096)
    peers = attacker.peers(CONNECTIONS)
    offsets = itertools.cycle(range(0, 4096 * PAGE, PAGE))

    def packet():
        return request("memory.preallocate", {"memory": memory, "offset": next(offsets), "size": PAGE})

    pump(attacker, peers, packet)
    code = code_of(vmm.peer, "memory.preallocate", {"memory": memory, "size": PAGE})
    check(code in (0, BUSY), "code %d" % code)


@misbehaviour("reclaims-what-is-not-there")
def reclaims_nothing(attacker):
    vmm = attacker.vmm()
    memory = memfd(vmm, 1 << 20)
    scattered = {"memory": memory, "ranges": ranges(*((i * 512, 256) for i in range(1200)))}
    packet = encode(request("memory.reclaim", scattered))
    pump(attacker, attacker.peers(CONNECTIONS), lambda: packet)


@misbehaviour("reads-lists-one-by-one")
def one_by_one(attacker):
    vmm = attacker.vmm()
    cursors = ["vm:0", "vm:1", "vm:18446744073709551615", "vm:18446744073709551616", "slot:1", "vm:-1", "vm:"]
    packets = itertools.cycle(
        request("vm.list", {"limit": 1, "cursor": cursor}) for cursor in cursors + ["x" * 64]
    )
    pump(attacker, attacker.peers(CONNECTIONS) + [vmm.peer], lambda: next(packets))


@misbehaviour("empty-packets")
def empty_packets(attacker):
    """Each is an error, and the connection goes on."""
    peers = attacker.peers(8)
    while attacker.goes_on():
        for peer in peers:
            for _ in range(16):
                peer.send(b"")
        for peer in peers:
            equal([one["error"]["code"] for one in answers(peer, 16)], [PARSE_ERROR] * 16, "answers")
    for peer in peers:
        equal(peer.call("ping"), {}, "afterwards")
