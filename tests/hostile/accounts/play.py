# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random operations of several VMMs, each of which is done by gmemd and on paper, and compared."""

import os
import signal
import time

from gmemtest.host import wait_until
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need
from gmemtest.wire import RpcError
from accounts.machine import Machine
from accounts.model import BUDGET_EXCEEDED, CONFLICT, INVALID, LIMIT, NOT_FOUND, UNSUPPORTED
from accounts.model import Grant, Memory, Reservation, Slot, Vm, configuration, overlap, refusal

FRAMES = 96  # of a guest
PAGES = 24  # of a memory at most
SLOTS = 6
NAMES = ["red", "green", "blue", "white"]  # of reservations


def is_passing(error):
    """A memory counts for its user until its file is closed, a moment after all else."""
    return error is not None and error["data"].get("limit") == "memories-per-user"


class Play:
    def __init__(self, daemon, host, users, machines, random, on_model):
        self.daemon, self.host, self.random, self.on_model = daemon, host, random, on_model
        self.operator = daemon.operator()
        self.users = [users[i % len(users)] for i in range(machines)]
        self.machines = [self.machine(user) for user in self.users]
        self.limits_of = {user: (one.limit, one.reserve) for user, one in host.tenants.items()}
        self.done, self.refused, self.last = {}, {}, None
        self.first_limits = dict(host.limits)

    def machine(self, user):
        machine = Machine(self.daemon.socket_path("gmemd.sock"), user)
        machine.tenant = user
        return machine

    def end(self):
        for machine in self.machines:
            machine.end()
        self.operator.close()

    # Each operation

    def ask(self, machine, operation, params, refusals, what, data=None):
        """Its result; None where it was refused, as it must be if there is any reason to."""
        self.last = "%s(%r), reasons to refuse it: %r" % (what, params, refusals)
        result, error = machine.do(operation, params)
        until = time.monotonic() + 60
        while LIMIT not in refusals and is_passing(error) and time.monotonic() < until:
            result, error = machine.do(operation, params)
        name = what.partition(" ")[0]
        if not refusals:
            need(error is None, "%s was refused: %r" % (self.last, error))
            self.done[name] = self.done.get(name, 0) + 1
            return result
        need(error is not None, "%s was done" % self.last)
        need(error["code"] in refusals, "%s: %r" % (self.last, error))
        self.refused[name] = self.refused.get(name, 0) + 1
        if error["code"] == BUDGET_EXCEEDED and data:
            need(error["data"] == data, "%s: %r, expected %r" % (self.last, error["data"], data))
        return None

    def open(self, machine, user):
        """In the tenant that its connection is of: its user's, unless an operator has brought its VM to another."""
        tenant = machine.tenant
        limit = self.random.choice([None, self.random.randrange(1, 2 * PAGES), self.random.randrange(1, self.host.limit + 9)])
        private = self.on_model and self.random.random() < 0.7
        starts_private = private and self.random.random() < 0.3
        params = {"name": "vm of %d" % machine.pid}
        params.update({"type": "sw_protected"} if private else {})
        params.update({"initial_state": "private"} if starts_private else {})
        params.update({} if limit is None else {"commit_limit": limit * PAGE})
        before = self.vm_of(machine)
        refusals, data = [], None
        if before is not None and not before.closed:
            refusals.append(CONFLICT)
        name = self.some_reservation(params)
        reserved = self.host.reservations.get(name)
        if "reservation" in params:
            if reserved is None or not reserved.is_for(tenant, params["reservation"] == name):
                refusals.append(NOT_FOUND)
            elif limit is None:
                limit = reserved.pages
            else:
                data = refusal("reservation", reserved.pages, 0, 0, limit, limit)
            if reserved and not refusals and not data and reserved.user is None:
                data = self.host.tenants[tenant].refuses(limit)
        elif limit is not None:
            data = self.host.refuses_promise(limit, self.host.tenants[tenant])
        refusals += [BUDGET_EXCEEDED] if data else []
        if len([vm for vm in self.host.vms_of(user, tenant) if vm is not before]) >= self.host.limits["vms-per-user"]:
            refusals.append(LIMIT)
        opened = self.ask(machine, "open", params, refusals, "open", data)
        if opened:
            self.host.vms.pop(machine.vm, None)
            if self.host.reservations.pop(name, None):
                self.done["use"] = self.done.get("use", 0) + 1
            machine.vm = opened["vm"]
            self.host.vms[machine.vm] = Vm(machine.vm, user, tenant, limit, private, starts_private)

    def some_reservation(self, params):
        """Its name, and in params how a VM names it; some of the names are of none."""
        if self.random.random() < 0.5:
            return None
        name = self.random.choice(NAMES)
        known = self.host.reservations.get(name)
        by_name = known is None or self.random.random() < 0.5
        params["reservation"] = name if by_name else known.number
        return name

    def ask_operator(self, method, params, refusals):
        until = time.monotonic() + 60
        while True:
            try:
                return self.operator.call(method, params)
            except RpcError as e:
                if LIMIT in refusals or not is_passing(e.error) or time.monotonic() > until:
                    raise

    def operate(self, method, params, refusals, data=None):
        """Its result, or None, as ask()."""
        self.last = "%s(%r), reasons to refuse it: %r" % (method, params, refusals)
        try:
            result = self.ask_operator(method, params, refusals)
        except RpcError as e:
            need(e.code in refusals, "%s: %r" % (self.last, e.error))
            need(not data or e.code != BUDGET_EXCEEDED or e.data == data, "%s: %r, expected %r" % (self.last, e.data, data))
            self.refused[method] = self.refused.get(method, 0) + 1
            return None
        need(not refusals, "%s was done" % self.last)
        self.done[method] = self.done.get(method, 0) + 1
        return result

    def reserve(self):
        name, pages = self.random.choice(NAMES), self.random.randrange(1, PAGES)
        user = self.random.choice([None, *self.users])
        tenant = self.host.tenants.get(user)
        short = self.random.random() < 0.1
        params = {"name": name, "size": pages * PAGE, "ttl_ms": 1 if short else 3600000}
        params.update({"tenant": tenant.name} if tenant else {})
        data = self.host.refuses_promise(pages, tenant)
        refusals = ([CONFLICT] if name in self.host.reservations else []) + ([BUDGET_EXCEEDED] if data else [])
        if len(self.host.reservations) >= self.host.limits["reservations-on-host"]:
            refusals.append(LIMIT)
        made = self.operate("reservation.create", params, refusals, data)
        if made and short:
            need(wait_until(self.nothing_else_is_reserved, 60), "a reservation of a millisecond does not lapse")
        elif made:
            self.host.reservations[name] = Reservation(made["reservation"], pages, user)

    def grant(self, machine, vm):
        other = self.random.choice(self.machines)
        to = {"uid": self.random.choice(self.users)} if self.random.random() < 0.7 else {"pid": other.pid}
        memory, once = self.any_memory(vm), self.random.random() < 0.5
        params = {"memory": memory.number, "to": to, "once": once}
        result = self.ask(machine, "call", ["memory.grant", params], [], "grant")
        vm.grants.append(Grant(result["grant"], memory.number, to, once))

    def open_memory(self):
        """Of whoever's VM: it has its own and what it was granted, and of others it hears that there is none."""
        index = self.random.randrange(len(self.machines))
        machine = self.machines[index]
        vms = [vm for _, vm in sorted(self.host.vms.items()) if vm.memories]
        if not vms:
            return
        vm = self.random.choice(vms)
        memory = self.random.choice([vm.memories[number] for number in sorted(vm.memories)])
        grant = vm.grant_for(memory.number, machine.pid, self.users[index])
        own = machine.vm == vm.number
        refusals = [] if own or grant else [NOT_FOUND]
        size = self.ask(machine, "open_memory", {"memory": memory.number}, refusals, "open_memory")
        if not refusals:
            equal(size, memory.pages * PAGE, self.last)
        if grant and not own and grant.once:
            vm.grants.remove(grant)

    def move(self, machine, vm):
        """An operator brings the VM to another tenant."""
        to, limits = self.random.choice(self.users), self.host.limits
        refusals = []
        if to != vm.tenant:
            vms, memories = len(self.host.vms_of(vm.user, to)), self.host.memories_of(vm.user, to)
            if vms + 1 > limits["vms-per-user"] or memories + len(vm.memories) > limits["memories-per-user"]:
                refusals.append(LIMIT)
            if len(vm.memories) > limits["memories-per-vm"]:
                refusals.append(LIMIT)
            if not self.host.can_move(vm, to):
                refusals.append(BUDGET_EXCEEDED)
        params = {"vm": vm.number, "tenant": self.host.tenants[to].name}
        if self.operate("vm.set", params, refusals) is not None:
            vm.tenant = machine.tenant = to

    def configuration(self, limit, limits, limits_of):
        tenants = [(user, self.host.tenants[user].name, *numbers) for user, numbers in limits_of.items()]
        return configuration(limit, limits, tenants)

    def other_limits(self):
        """Mostly what can be; reserves fit the host alone in any case."""
        limit = self.random.randrange(140, 200)
        limits = {name: max(1, value + self.random.randrange(-1, 2)) for name, value in self.first_limits.items()}
        limits_of = {}
        for user in self.limits_of:
            reserve = self.random.choice([0, 0, self.random.randrange(45)])
            limits_of[user] = (self.random.randrange(max(60, reserve), 180), reserve)
        return limit, limits, limits_of

    def reload(self):
        """All of it holds from then on, or what has held does; what is there stays."""
        before, others = (self.host.limit, self.host.limits, self.limits_of), self.other_limits()
        refusals = [] if self.host.can_be(others[0], others[2]) else [LIMIT]
        self.daemon.change_config(self.configuration(*others))
        if self.random.random() < 0.5:
            done = self.operate("config.reload", {}, refusals) is not None
        else:
            done = self.reload_by_signal(refusals)
        if done:
            self.host.change(*others)
            self.limits_of = others[2]
        else:
            self.daemon.change_config(self.configuration(*before))

    def reload_by_signal(self, refusals):
        self.last = "SIGHUP, reasons to refuse it: %r" % refusals
        name, text = ("refused", "what holds is as it was") if refusals else ("done", "the configuration was read anew")
        before = self.daemon.log().count(text)
        os.kill(self.daemon.pid, signal.SIGHUP)
        need(wait_until(lambda: self.daemon.log().count(text) > before, 60), self.last)
        counts = getattr(self, name)
        counts["SIGHUP"] = counts.get("SIGHUP", 0) + 1
        return not refusals

    def nothing_else_is_reserved(self):
        """One that has lapsed is listed no more at once, and given back a moment later."""
        return self.operator.call("host.describe")["commitment"]["reserved"] == self.host.reserved() * PAGE

    def cancel(self):
        name = self.random.choice(NAMES)
        known = self.host.reservations.pop(name, None)
        named = known.number if known and self.random.random() < 0.5 else name
        self.operate("reservation.cancel", {"reservation": named}, [] if known else [NOT_FOUND])

    def reservations(self):
        return {one["reservation"]: one for one in self.operator.call("reservation.list")["reservations"]}

    def create(self, machine, vm):
        pages, backing = self.random.randrange(1, PAGES), self.random.choice(["guest_memfd", "memfd"])
        can_be_mapped = backing == "guest_memfd" and (not vm.has_private or self.random.random() < 0.7)
        params = {"size": pages * PAGE, "backing": backing}
        if backing == "guest_memfd" and not can_be_mapped:
            params["flags"] = []
        cost = vm.grown_by(pages, backing)
        data = self.host.refuses(vm, cost) if cost > 0 else None
        refusals = [BUDGET_EXCEEDED] if data else []
        of_user = self.host.memories_of(vm.user, vm.tenant)
        if len(vm.memories) >= self.host.limits["memories-per-vm"] or of_user >= self.host.limits["memories-per-user"]:
            refusals.append(LIMIT)
        number = self.ask(machine, "create", params, refusals, "create", data)
        if number is not None:
            vm.memories[number] = Memory(number, pages, backing, can_be_mapped)

    def close(self, machine, vm):
        memory = self.any_memory(vm)
        refusals = [CONFLICT] if vm.uses(memory) else []
        result = self.ask(machine, "close", {"memory": memory.number}, refusals, "close")
        if result:
            equal(result, {"released": len(memory.there) * PAGE}, self.last)
            vm.close_memory(memory.number)

    def bind(self, machine, vm):
        memory, number = self.any_memory(vm, "guest_memfd"), self.random.randrange(SLOTS)
        if memory is None:
            return
        may_share = vm.has_private and not memory.can_be_mapped
        shared = self.any_memory(vm, "memfd") if may_share and self.random.random() < 0.9 else None
        room = min(one.pages for one in (memory, shared) if one)
        pages = self.random.randrange(1, room + 1)
        offset = self.random.randrange(memory.pages - pages + 1)
        shared_offset = self.random.randrange(shared.pages - pages + 1) if shared else 0
        slot = Slot(self.random.randrange(FRAMES - pages), pages, memory, offset, shared, shared_offset)
        params = {"slot": number, "address": slot.first * PAGE, "size": pages * PAGE, "memory": memory.number, "offset": offset * PAGE}
        if shared:
            params.update({"shared_memory": shared.number, "shared_offset": shared_offset * PAGE})
        refusals = [CONFLICT] if number in vm.slots or self.collides(vm, slot) else []
        if self.ask(machine, "bind", params, refusals, "bind"):
            vm.bind(number, slot)

    @staticmethod
    def collides(vm, slot):
        for other in vm.slots.values():
            if overlap(other.frames(), slot.frames()):
                return True
            for name in ("memory", "shared"):
                memory = getattr(slot, name)
                if memory and memory is getattr(other, name) and overlap(slot.range_of(memory), other.range_of(memory)):
                    return True
        return False

    def unbind(self, machine, vm):
        if vm.slots:
            number = self.random.choice(sorted(vm.slots))
            self.ask(machine, "unbind", {"slot": number}, [], "unbind")
            vm.unbind(number)

    def convert(self, machine, vm):
        to_private, discard = self.random.random() < 0.5, self.random.random() < 0.5
        pieces = self.some_pieces(vm)
        ranges = [{"guest_phys_addr": one.start * PAGE, "size": len(one) * PAGE} for one in pieces]
        params = {"vm": vm.number, "to": "private" if to_private else "shared", "ranges": ranges, "discard": discard}
        frames = [frame for piece in pieces for frame in piece]
        refusals, data = [], None
        if not vm.has_private:
            refusals.append(UNSUPPORTED)
        elif len(set(frames)) < len(frames) or (to_private and any(vm.slot_at(frame) is None for frame in frames)):
            refusals.append(INVALID)
        else:
            cost = self.cost_of(vm, frames, to_private, discard)
            data = self.host.refuses(vm, cost) if cost > 0 else None
            refusals += [BUDGET_EXCEEDED] if data else []
        result = self.ask(machine, "call", ["memory.convert", params], refusals, "convert", data)
        if result:
            equal(result, {"calls": None, "discarded": vm.convert(frames, to_private, discard) * PAGE}, self.last)

    def some_pieces(self, vm):
        """Mostly of bound slots."""
        pieces = []
        for _ in range(self.random.choice([1, 1, 2, 3])):
            slot = self.random.choice([vm.slots[number] for number in sorted(vm.slots)] or [None])
            within = slot.frames() if slot and self.random.random() < 0.95 else range(FRAMES)
            first = self.random.choice(within)
            pieces.append(range(first, self.random.randrange(first, within.stop) + 1))
        return pieces

    @staticmethod
    def cost_of(vm, frames, to_private, discard):
        in_both = len(vm.in_both) + len(vm.kept_by(frames, to_private, discard))
        return vm.committed_with(vm.backed_by("guest_memfd"), vm.backed_by("memfd"), in_both) - vm.committed()

    def preallocate(self, machine, vm):
        memory = self.any_memory(vm)
        first = self.random.randrange(memory.pages)
        pages = range(first, self.random.randrange(first, memory.pages) + 1)
        params = {"memory": memory.number, "offset": first * PAGE, "size": len(pages) * PAGE}
        result = self.ask(machine, "call", ["memory.preallocate", params], [], "preallocate")
        allocated = len(set(pages) - memory.there)
        memory.there |= set(pages)
        equal(result, {"allocated": allocated * PAGE, "resident": len(memory.there) * PAGE}, self.last)

    def reclaim(self, machine, vm):
        memory = self.any_memory(vm)
        first = self.random.randrange(memory.pages)
        pages = range(first, self.random.randrange(first, memory.pages) + 1)
        ranges = [{"offset": first * PAGE, "size": len(pages) * PAGE}]
        params = ["memory.reclaim", {"memory": memory.number, "ranges": ranges}]
        result = self.ask(machine, "call", params, [], "reclaim")
        reclaimed = len(set(pages) & memory.there)
        memory.there -= set(pages)
        equal(result, {"reclaimed": reclaimed * PAGE, "resident": len(memory.there) * PAGE}, self.last)

    def close_vm(self, machine, vm):
        result = self.ask(machine, "close_vm", {"vm": vm.number}, [], "close_vm")
        equal(result, {"released": vm.close() * PAGE}, self.last)
        if not self.on_model:
            self.kill(machine)  # a process has one mailbox

    def kill(self, machine):
        self.last = "kill"
        index = self.machines.index(machine)
        self.host.vms.pop(machine.vm, None)
        machine.end()
        need(wait_until(lambda: machine.vm not in self.listed(), 60), "a VM outlives its process")
        self.machines[index] = self.machine(self.users[index])
        self.done["kill"] = self.done.get("kill", 0) + 1

    def restart(self):
        """gmemd is killed, and its successor has all of it."""
        self.last = "restart"
        self.operator.close()
        self.daemon.restart()
        self.operator = self.daemon.operator()
        self.done["restart"] = self.done.get("restart", 0) + 1

    # Which is next

    def any_memory(self, vm, backing=None):
        memories = [vm.memories[n] for n in sorted(vm.memories) if backing in (None, vm.memories[n].backing)]
        return self.random.choice(memories) if memories else None

    def vm_of(self, machine):
        return self.host.vms.get(machine.vm)

    def step(self):
        index = self.random.randrange(len(self.machines))
        machine = self.machines[index]
        vm = self.vm_of(machine)
        if not self.on_model and self.random.random() < 0.005:
            return self.restart()
        if self.random.random() < 0.02:
            return self.reload()
        if self.random.random() < 0.05:
            return self.open_memory()
        if self.random.random() < 0.1:
            return self.reserve() if self.random.random() < 0.7 else self.cancel()
        if vm is None or vm.closed or self.random.random() < 0.02:
            return self.open(machine, self.users[index])
        if self.random.random() < 0.03:
            return self.kill(machine) if self.random.random() < 0.5 else self.close_vm(machine, vm)
        if not vm.memories:
            return self.create(machine, vm)
        names = ["create"] * 3 + ["close", "bind", "bind", "bind", "unbind", "preallocate", "preallocate", "reclaim"]
        names += ["convert"] * (6 if vm.has_private else 1) + ["grant", "move"]
        return getattr(self, self.random.choice(names))(machine, vm)

    # What gmemd says

    def listed(self):
        found, page = {}, self.operator.call("vm.list", {"limit": 3})
        while True:
            found.update({vm["vm"]: vm for vm in page["vms"]})
            if "cursor" not in page:
                return found
            page = self.operator.call("vm.list", {"limit": 3, "cursor": page["cursor"]})

    def compare(self):
        what = "after " + str(self.last)
        right = equal(self.operator.call("host.describe")["commitment"], self.host.commitment(), what)
        sizes = {number: one["size"] for number, one in self.reservations().items()}
        right &= equal(sizes, {one.number: one.pages * PAGE for one in self.host.reservations.values()}, what)
        listed = self.listed()
        right &= equal(sorted(listed), sorted(self.host.vms), what)
        for tenant in self.host.tenants.values():
            seen = self.operator.call("tenant.get", {"tenant": tenant.name})
            right &= part(seen, tenant.view(), "%s: tenant %s" % (what, tenant.name))
        for number, vm in self.host.vms.items():
            right &= part(listed.get(number, {}), vm.view(), "%s: %s" % (what, number))
        number = self.random.choice(sorted(self.host.vms) or [None])
        if number:
            right &= self.compare_whole(self.host.vms[number], what)
        return right

    def compare_whole(self, vm, what):
        seen = self.operator.call("vm.get", {"vm": vm.number})
        what += ": vm.get of " + vm.number
        right = part(seen, dict(vm.view(), tenant=self.host.tenants[vm.tenant].name), what)
        right &= equal(seen["grants"], [grant.view() for grant in vm.grants], what)
        for name, key, held in (("memories", "memory", vm.memories), ("slots", "slot", vm.slots)):
            there = {one[key]: one for one in seen[name]}
            right &= equal(sorted(there), sorted(held), what)
            for number, one in held.items():
                right &= part(there.get(number, {}), one.view(), "%s: %s %d" % (what, key, number))
        return right & equal(seen["private_ranges"], vm.private_ranges(), what)


def part(seen, expected, what):
    """What is expected is there; there may be more."""
    return check({name: seen.get(name) for name in expected} == expected, "%s: %r, expected %r" % (what, seen, expected))
