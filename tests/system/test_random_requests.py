#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A whole gmemd on the model, driven by random requests of several peers, valid and nearly valid, with kills of peers and of gmemd.

After each request what must be so whatever was asked: the invariants of the design, as far as a model without a guest has them.
REQUESTS in the environment is how many there are, SEED where they begin.
"""

import os
import random

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.failing import outcome
from gmemtest.host import Host, wait_until
from gmemtest.tap import check, main, need, note, test
from gmemtest.vmm import PAGE
from gmemtest.wire import Peer

REQUESTS = int(os.environ.get("REQUESTS", "3000"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
USERS = (4711, 4711, 4712)
LIMIT = 64 << 20
SECONDS = 60
MANY = 100  # requests between one kill and the next, about
NUMBERS = (0, 1, PAGE - 1, PAGE, PAGE + 1, 8 * PAGE, 1 << 20, 1 << 30, 1 << 52, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -1, 1.5, True, "1", None, [], {})
TEXTS = ("", "ram", "x" * 128, "x" * 129, "\u202e", "a\nb", "private", "shared", "none", "required", "memfd", "default", None, 7)

host = methods = None


def set_up():
    global host, methods
    linux.require_root()
    host = Host(backend="model", config="[limits]\ncommit-limit = %d\nhost-reserve = 0\n" % LIMIT)
    peer = host.operator()
    methods = {one["name"]: one["params"] for one in peer.call("rpc.discover")["methods"]}
    peer.close()


def tear_down():
    host.stop()


def serve(channel, path):
    """A VMM that asks what it is told to ask."""
    peer = None
    while True:
        method, params = channel.hear()
        if method is None:  # its gmemd is another
            peer = peer and peer.close()
            channel.say(["done", None])
            continue
        peer = peer or Peer(path, SECONDS)
        channel.say(outcome(peer, method, params))


class Player(Child):
    """What is known of one process's VM: what gmemd has acknowledged."""

    def __init__(self, number, uid):
        path = host.socket_path("gmemd.sock")
        super().__init__(lambda channel: serve(channel, path), uid)
        self.number, self.user = number, uid
        self.forget()

    def forget(self):
        self.vm, self.memories, self.slots, self.private = None, {}, {}, []
        self.backings, self.halves = {}, False

    def committed(self):
        """What a VM with private memory has of guest_memfds and memfds is two halves of the same frames."""
        sums = [sum(size for one, size in self.memories.items() if self.backings[one] == backing) for backing in ("guest_memfd", "memfd")]
        return max(sums) if self.halves else sum(sums)

    def view(self):
        return self.ask("vm.get", {"vm": self.vm})

    def learn(self, method, params, result):
        """What a request has changed."""
        if method == "vm.open":
            self.vm, self.halves = result["vm"], params.get("type", "default") != "default"
            used = [name for name, (one, _) in reserved.items() if params.get("reservation") in (one, name)]
            for name in used:
                del reserved[name]
        elif method == "vm.close":
            self.forget()
        elif method == "memory.create":
            self.memories[result["memory"]] = params["size"]
            self.backings[result["memory"]] = params.get("backing", "guest_memfd")
        elif method == "memory.close":
            self.memories.pop(params["memory"])
        elif method == "slot.bind":
            self.slots[params["slot"]] = (params["guest_phys_addr"], params["memory_size"], params["memory"])
        elif method == "slot.unbind":
            self.slots.pop(params["slot"])


players = []
reserved = {}  # ids and sizes by name, as gmemd has acknowledged them


def someone():
    return random.choice(players)


def likely(player, name, schema):
    """A value that may be right."""
    other = player if random.random() < 0.9 else someone()
    if name == "vm":
        return other.vm or "vm-1"
    if name in ("memory", "shared_memory"):
        return random.choice(list(other.memories) or [1])
    if name == "slot":
        return random.randrange(4)
    if name in ("size", "memory_size"):
        return PAGE * random.choice((1, 2, 4, 1024))
    if name in ("guest_phys_addr", "guest_memfd_offset", "offset", "userspace_addr", "shared_offset"):
        return PAGE * random.randrange(8)
    if name == "reservation":
        return random.choice([*reserved, *[one for one, _ in reserved.values()], "none"])
    if name == "ttl_ms":
        return 3600000
    if name == "tenant":
        return "uid:%d" % random.choice(USERS)
    if name == "gate":
        return "none"
    if "enum" in schema:
        return random.choice(schema["enum"])
    if schema.get("type") == "array":
        return [make(player, schema["items"].get("properties", {}), schema["items"].get("required", ()))]
    if schema.get("type") == "string":
        return random.choice(("ram", "rom", "token"))
    if schema.get("type") == "boolean":
        return random.random() < 0.5
    return random.choice((1, 3, PAGE))


def make(player, properties, required):
    made = {}
    for name, schema in properties.items():
        if name in required or random.random() < 0.3:
            made[name] = likely(player, name, schema)
    return made


def invent(player):
    """A method and its parameters; one in four is wrong somewhere."""
    method = random.choice(list(methods))
    if random.random() < 0.5:
        method = random.choice(("vm.open", "memory.create", "slot.bind", "slot.unbind", "memory.close", "memory.reclaim"))
    if method in ("vm.gate", "vm.resume"):
        method = "vm.open"
    return method, invent_params(player, method)


def invent_params(player, method):
    properties = {one["name"]: one["schema"] for one in methods[method]}
    params = make(player, properties, [one["name"] for one in methods[method] if one.get("required")])
    if random.random() < 0.25:
        name = random.choice([*properties, "what"])
        params[name] = random.choice(NUMBERS + TEXTS)
    return params


def operate(operator):
    """What an operator reserves, and gives back."""
    method = random.choice(("reservation.create", "reservation.create", "reservation.cancel", "reservation.list"))
    params = invent_params(someone(), method)
    if type(params.get("ttl_ms")) is int and params["ttl_ms"] > 0:
        params["ttl_ms"] = max(params["ttl_ms"], 3600000)  # none lapses
    kind, value = outcome(operator, method, params)
    check_clarity("%s %r" % (method, params), kind, value)
    if kind == "done" and method == "reservation.create":
        reserved[params["name"]] = value["reservation"], params["size"]
    if kind == "done" and method == "reservation.cancel":
        for name in [name for name, (one, _) in reserved.items() if params["reservation"] in (one, name)]:
            del reserved[name]


# What must be so


def check_clarity(what, kind, value):
    """Each answer is what was asked for, or one error that says what is wrong."""
    check(kind in ("done", "error"), "%s: %s" % (what, kind))
    if kind == "error":
        data = value.get("data", {})
        check(isinstance(value["code"], int) and value["message"], "%s: %r" % (what, value))
        check(value["code"] != -32603, "%s: %r" % (what, value))
        check(value["code"] != -32602 or {"param", "expected"} <= set(data), "%s: %r" % (what, value))


def check_truth(player, what):
    """The VM is what was acknowledged, and its charges are its memories'."""
    if player.vm is None:
        return
    kind, view = player.view()
    if not check(kind == "done", "%s: the VM: %r" % (what, view)):
        return
    memories = {one["memory"]: one["size"] for one in view["memories"]}
    slots = {one["slot"]: (one["guest_phys_addr"], one["memory_size"], one["memory"]) for one in view["slots"]}
    check(memories == player.memories, "%s: memories %r, acknowledged %r" % (what, memories, player.memories))
    check(slots == player.slots, "%s: slots %r, acknowledged %r" % (what, slots, player.slots))
    check(view["committed"] == player.committed(), "%s: committed %d" % (what, view["committed"]))
    check(view["calls"] == [], "%s: calls %r" % (what, view["calls"]))


def check_budget(operator, what):
    """What all have is within the host's limit, and is what the operator is told."""
    listed = operator.call("vm.list", {"limit": 100})["vms"]
    vms = {one["vm"]: one["committed"] for one in listed if one["state"] != "released"}
    expected = {one.vm: one.committed() for one in players if one.vm}
    check(vms == expected, "%s: VMs %r, acknowledged %r" % (what, vms, expected))
    taken = sum(max(one["committed"], one["promised"]) for one in listed if one["state"] != "released")
    taken += sum(size for _, size in reserved.values())
    check(taken <= LIMIT, "%s: %d committed, promised and reserved" % (what, taken))
    told = {one["name"]: (one["reservation"], one["size"]) for one in operator.call("reservation.list")["reservations"]}
    check(told == reserved, "%s: reservations %r, acknowledged %r" % (what, told, reserved))
    told = operator.call("host.describe")["commitment"]
    check(told["available"] == LIMIT - taken, "%s: %r, and %d is taken" % (what, told, taken))


def check_isolation(player, method, value, what):
    """Nobody is told of another user's VM."""
    if method != "vm.list":
        return
    foreign = {one.vm for one in players if one.user != player.user and one.vm}
    seen = {one["vm"] for one in value["vms"]}
    check(not seen & foreign, "%s: sees %r" % (what, seen & foreign))


def kill_player(operator):
    """Its VM and charges go with it."""
    player = someone()
    vm = player.vm
    player.end()
    gone = lambda: vm not in {one["vm"] for one in operator.call("vm.list", {"limit": 100})["vms"]}  # noqa: E731
    check(wait_until(gone, SECONDS), "the VM of a killed process")
    players[players.index(player)] = Player(player.number, player.user)


def kill_gmemd():
    """The model's VMs and connections end with it; nothing of them is left."""
    host.restart()
    reserved.clear()
    for player in players:
        player.forget()
        player.ask(None, None)


@test("random requests of several peers")
def requests():
    random.seed(SEED)
    note("SEED=%d REQUESTS=%d" % (SEED, REQUESTS))
    players.extend(Player(number, uid) for number, uid in enumerate(USERS))
    operator = host.operator()
    done = 0
    for number in range(REQUESTS):
        player = someone()
        method, params = invent(player)
        what = "%d: player %d, %s %r" % (number, player.number, method, params)
        kind, value = player.ask(method, params)
        check_clarity(what, kind, value)
        if kind == "done":
            done += 1
            player.learn(method, params, value)
            check_isolation(player, method, value, what)
        check_truth(player, what)
        if random.random() < 0.1:
            operate(operator)
        check_budget(operator, what)
        need(host.alive(), "gmemd has ended: " + what)
        chance = random.randrange(2 * MANY)
        if chance == 0:
            kill_player(operator)
        elif chance == 1:
            operator.close()
            kill_gmemd()
            operator = host.operator()
    note("%d of them were carried out" % done)
    for player in players:
        player.end()
    check(wait_until(lambda: operator.call("vm.list")["vms"] == [], SECONDS), "VMs are left")
    operator.close()


if __name__ == "__main__":
    main(set_up, tear_down)
