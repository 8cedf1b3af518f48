# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text that means something to somebody: to a printer of messages, a terminal, a parser of logs, a looker-up of names."""

from gmemtest.tap import check, equal
from gmemtest.wire import encode, request
from hostile.attacker import INVALID_PARAMS, NOT_FOUND, PAGE, answers, code_of, memfd, misbehaviour, patiently, refused

FORMATS = ["%n%n%n%n", "%s" * 60, "%1$*2147483647$d", "{}{0}", "$(reboot)", "`x`", "../../..", "\\x00\\u0000"]


@misbehaviour("formats-as-names")
def formats(attacker):
    peer = attacker.peer()
    while attacker.goes_on():
        for text in FORMATS:
            vm = peer.call("vm.open", {"name": text, "gate": "none"})["vm"]
            memory = patiently(peer.call, "memory.create", {"vm": vm, "size": PAGE, "backing": "memfd", "name": text})
            view = peer.call("vm.get", {"vm": vm})
            equal((view["name"], view["memories"][0]["name"]), (text, text), "the name")
            again = {"vm": vm, "size": PAGE, "backing": "memfd", "name": text}
            error = peer.error("memory.create", again)
            check(text.startswith(error["data"].get("name", "-")), "the name in the error: %r" % error)
            refused(peer, "vm.get", {"vm": text}, NOT_FOUND)
            refused(peer, "vm.get", {"vm": vm, "cursor": text[:64]}, INVALID_PARAMS)
            refused(peer, "memory.cancel", {"token": text[:64]}, NOT_FOUND)
            peer.call("memory.close", {"memory": memory["memory"]})
            peer.call("vm.close", {"vm": vm})


@misbehaviour("names-of-others")
def names_of_others(attacker):
    """Its VM is called as the quiet peer's id, with the quiet peer's UUID."""
    peer, victim = attacker.peer(), attacker.victim
    options = {"uuid": victim["uuid"], "gate": "none"}
    vm = peer.call("vm.open", dict(options, name=victim["vm"]))["vm"]
    memory = patiently(peer.call, "memory.create", {"vm": vm, "size": PAGE, "backing": "memfd", "name": "ram"})
    attacker.stays()
    refused(peer, "vm.get", {"vm": victim["vm"]}, NOT_FOUND)
    refused(peer, "memory.open", {"memory": victim["memory"]}, NOT_FOUND)
    equal(peer.call("vm.get", {"vm": vm})["uuid"], victim["uuid"], "its UUID")
    equal(peer.call("memory.close", memory_only(memory)), {"released": 0}, "its memory")


def memory_only(created):
    return {"memory": created["memory"]}


@misbehaviour("ids-spelt-otherwise")
def ids_otherwise(attacker):
    """One VM has one spelling."""
    vmm = attacker.vmm()
    number = vmm.id.rpartition("-")[2]
    spelt = ["VM-" + number, "vm-0" + number, "vm- " + number, " " + vmm.id, vmm.id + " ", "vm-+" + number, number]
    spelt += ["vm--" + number, "vm-%x" % int(number), vmm.id + ".0", "vm_" + number, "vm-" + "9" * 30, "vm-"]
    spelt += ["vm-%d" % (int(number) + (1 << 64)), vmm.id + "\u200b", "vm-" + "".join(chr(0x660 + int(d)) for d in number)]
    while attacker.goes_on():
        for text in spelt:
            refused(vmm.peer, "vm.get", {"vm": text}, NOT_FOUND)
            refused(vmm.peer, "vm.close", {"vm": text}, NOT_FOUND)
    equal(code_of(vmm.peer, "vm.get", {"vm": vmm.id}), 0, "as it is spelt")


@misbehaviour("names-at-the-edge-of-bytes")
def edge_of_bytes(attacker):
    """Of one byte to four each, up to the limit of bytes and a character more."""
    vmm, limit = attacker.vmm(), 128
    for character in ("x", "\u00e9", "\u20ac", "\U0001f5a5", "/", "\u202e", "\ufeff", "e\u0301"):
        most = limit // len(character.encode())
        for length in (1, most - 1, most):
            name = character * length
            memory = memfd(vmm, name=name)
            equal([one["name"] for one in vmm.get()["memories"]], [name], "the name")
            vmm.peer.call("memory.close", {"memory": memory})
        params = {"vm": vmm.id, "size": PAGE, "backing": "memfd", "name": character * (most + 1)}
        refused(vmm.peer, "memory.create", params, INVALID_PARAMS)
    attacker.stays()


@misbehaviour("escapes-that-grow")
def escapes_that_grow(attacker):
    """What is longer when it is said back than when it was said."""
    peer = attacker.peers(1)[0]
    while attacker.goes_on():
        for text in ("/", "\x7f", "\u2028", "\\", '"', "\x01", "<", "\u00e9"):
            for packet in growing(text):
                peer.send(packet)
                [answer] = answers(peer, 1)
                check(isinstance(answer, dict) and "jsonrpc" in answer, "%r: %r" % (text, str(answer)[:200]))
                equal(peer.call("ping"), {}, "then a ping")


def growing(text):
    """In each place where gmemd says back what it was told."""
    length = 60000 // len(encode(text)[1:-1])
    yield encode(request(text * length))
    yield encode(request("vm.get", {"vm": text * min(length, 255)}))
    yield encode(request("ping", {text * length: 1}))
    yield encode(request("vm.open", {"name": "x", "type": text * min(length, 32)}))
    yield encode(request("memory.cancel", {"token": text * 8}, text * 20))
    yield encode(request("vm.get", {"vm": "x", "cursor": text * length}, text * 20))
    batch = [request(text * (length // 70), number=number) for number in range(64)]
    yield encode(batch[0])


@misbehaviour("batch-of-growing-errors")
def batch_of_errors(attacker):
    """Each says back what was told, and all of them are longer than a packet."""
    peer = attacker.peers(1)[0]
    while attacker.goes_on():
        for text in ("/", "\x01", "\x7f"):
            length = 60000 // 64 // len(encode(text)) - 60
            batch = [request("ping", {text * length: 1}, number) for number in range(64)]
            peer.send(encode(batch))
            found = []
            while len(found) < 64:
                found += answers(peer, 1)[0]
            equal([one["id"] for one in found], list(range(64)), "one answer to each")
            check(all("error" in one for one in found), "an error to each")


@misbehaviour("uuids-that-are-none")
def uuids(attacker):
    peer = attacker.peers(1)[0]
    uuid = attacker.victim["uuid"]
    wrong = ["", "x", uuid[:-1], uuid + "0", "{%s}" % uuid, uuid.replace("-", ""), uuid.replace("-", "_")]
    wrong += ["urn:uuid:" + uuid, " " + uuid, uuid[:-1] + "g", uuid[:-1] + "\u0661", uuid.replace("-", "--", 1)]
    while attacker.goes_on():
        for text in wrong:
            refused(peer, "vm.open", {"name": "x", "uuid": text, "gate": "none"}, INVALID_PARAMS)
    equal(peer.call("vm.list"), {"vms": []}, "VMs")
