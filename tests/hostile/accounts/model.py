# SPDX-License-Identifier: LGPL-2.1-or-later
"""What there is and what it is charged, by the contract: sets of pages, and nothing of gmemd's own ways.

Pages are numbers. Where an operation can't be, refusals() says for which reasons, and the operation is not to be done.
"""

from gmemtest.linux import PAGE

BUDGET_EXCEEDED, LIMIT, CONFLICT, NOT_FOUND, GONE, INVALID, UNSUPPORTED = -32003, -32007, -32004, -32001, -32008, -32602, -32005


class Memory:
    def __init__(self, number, pages, backing, can_be_mapped):
        self.number, self.pages, self.backing = number, pages, backing
        self.can_be_mapped = can_be_mapped
        self.there = set()  # its pages that are allocated

    def view(self):
        return {"size": self.pages * PAGE, "backing": self.backing, "resident": len(self.there) * PAGE, "state": "ready"}


class Slot:
    def __init__(self, first, pages, memory, offset, shared, shared_offset):
        self.first, self.pages, self.memory, self.offset = first, pages, memory, offset
        self.shared, self.shared_offset = shared, shared_offset

    def frames(self):
        return range(self.first, self.first + self.pages)

    def range_of(self, memory):
        offset = self.offset if memory is self.memory else self.shared_offset
        return range(offset, offset + self.pages)

    def view(self):
        whole = {"guest_phys_addr": self.first * PAGE, "memory_size": self.pages * PAGE, "memory": self.memory.number}
        whole.update({"guest_memfd_offset": self.offset * PAGE, "state": "bound"})
        if self.shared:
            whole.update({"shared_memory": self.shared.number, "shared_offset": self.shared_offset * PAGE})
        return whole


def overlap(a, b):
    return a.start < b.stop and b.start < a.stop


class Grant:
    def __init__(self, number, memory, to, once):
        """to: {"uid"} or {"pid"}."""
        self.number, self.memory, self.to, self.once = number, memory, to, once

    def view(self):
        return dict({"grant": self.number, "memory": self.memory, "once": self.once}, **self.to)


class Vm:
    def __init__(self, number, user, tenant, commit_limit, has_private, starts_private):
        self.number, self.user, self.commit_limit = number, user, commit_limit
        self.tenant = tenant  # the user whose tenant it is of
        self.grants = []  # by age
        self.has_private, self.starts_private = has_private, starts_private
        self.memories, self.slots = {}, {}
        self.private, self.in_both = set(), set()
        self.closed = False

    def backed_by(self, backing):
        return sum(memory.pages for memory in self.memories.values() if memory.backing == backing)

    def committed(self):
        """In pages: a guest frame is in one half at a time, but for those that a conversion has left in both."""
        return self.committed_with(self.backed_by("guest_memfd"), self.backed_by("memfd"), len(self.in_both))

    def committed_with(self, guest_memfds, memfds, in_both):
        if not self.has_private:
            return guest_memfds + memfds
        return guest_memfds + memfds - max(0, min(guest_memfds, memfds) - in_both)

    def grown_by(self, pages, backing):
        """What one memory more costs."""
        halves = {name: self.backed_by(name) for name in ("guest_memfd", "memfd")}
        halves[backing] += pages
        return self.committed_with(halves["guest_memfd"], halves["memfd"], len(self.in_both)) - self.committed()

    def promised(self):
        return 0 if self.closed or self.commit_limit is None else self.commit_limit

    def taken(self):
        """Of the host's."""
        return max(self.promised(), self.committed())

    def resident(self):
        return sum(len(memory.there) for memory in self.memories.values())

    def slot_at(self, frame):
        for slot in self.slots.values():
            if frame in slot.frames():
                return slot
        return None

    def uses(self, memory):
        return any(memory in (slot.memory, slot.shared) for slot in self.slots.values())

    def changed_by(self, frames, to_private):
        return {frame for frame in frames if (frame in self.private) != to_private}

    def kept_by(self, frames, to_private, discard):
        """What is in both halves then, and is not yet."""
        if discard:
            return set()
        slots = {frame: self.slot_at(frame) for frame in self.changed_by(frames, to_private)}
        return {frame for frame, slot in slots.items() if slot and slot.shared} - self.in_both

    def convert(self, frames, to_private, discard):
        """Returns how many pages of stale halves it gives back."""
        self.in_both |= self.kept_by(frames, to_private, discard)
        self.private = self.private | set(frames) if to_private else self.private - set(frames)
        if not discard:
            return 0
        self.in_both -= set(frames)
        return sum(self.discard(frame, to_private) for frame in frames)

    def discard(self, frame, to_private):
        slot = self.slot_at(frame)
        if slot is None:
            return 0
        if to_private:
            stale, page = slot.shared, slot.shared_offset + frame - slot.first
        else:
            two = slot.shared or not slot.memory.can_be_mapped
            stale, page = slot.memory if two else None, slot.offset + frame - slot.first
        if stale is None or page not in stale.there:
            return 0
        stale.there.discard(page)
        return 1

    def grant_for(self, memory, pid, uid):
        """By which that process may open the memory: one for it alone goes before one for its user."""
        for to in ({"pid": pid}, {"uid": uid}):
            for grant in self.grants:
                if grant.memory == memory and grant.to == to:
                    return grant
        return None

    def close_memory(self, number):
        del self.memories[number]
        self.grants = [grant for grant in self.grants if grant.memory != number]

    def bind(self, number, slot):
        self.slots[number] = slot
        if self.starts_private:
            self.convert(slot.frames(), True, True)

    def unbind(self, number):
        self.in_both -= set(self.slots.pop(number).frames())

    def close(self):
        """Returns how many pages it gives back."""
        released = self.resident()
        self.memories, self.slots, self.private, self.in_both, self.grants = {}, {}, set(), set(), []
        self.closed = True
        return released

    def private_ranges(self):
        found = []
        for page in sorted(self.private):
            if found and found[-1][0] + found[-1][1] == page:
                found[-1][1] += 1
            else:
                found.append([page, 1])
        return [{"guest_phys_addr": first * PAGE, "size": count * PAGE} for first, count in found]

    def view(self):
        """As vm.list has it; what it doesn't say isn't compared."""
        numbers = {"committed": self.committed(), "promised": self.promised(), "resident": self.resident()}
        numbers["private"] = len(self.private)
        return {name: pages * PAGE for name, pages in numbers.items()}


class Reservation:
    def __init__(self, number, pages, user):
        self.number, self.pages, self.user = number, pages, user  # user: None for whoever knows its number

    def is_for(self, tenant, by_name):
        return self.user == tenant if self.user is not None else not by_name


class Tenant:
    """Of one user, and of VMs that operators bring to it."""

    def __init__(self, host, user, name, limit, reserve):
        self.host, self.user, self.name, self.limit, self.reserve = host, user, name, limit, reserve

    def vms(self):
        return [vm for vm in self.host.vms.values() if vm.tenant == self.user]

    def reserved(self):
        return self.host.reserved_for(self.user)

    def taken(self):
        return sum(vm.taken() for vm in self.vms()) + self.reserved()

    def promised(self):
        return sum(vm.promised() for vm in self.vms()) + self.reserved()

    def committed(self):
        return sum(vm.committed() for vm in self.vms())

    def refuses(self, pages):
        return refusal("tenant", self.limit, self.taken(), self.promised(), pages, pages)

    def bounds(self, pages):
        """What a VM was promised it gets as far as the limit goes, where that was lowered since."""
        if self.committed() + pages <= self.limit:
            return None
        return numbers_of("tenant", self.limit, self.taken(), self.promised(), pages)

    def of_host(self, more=0):
        """What the host has given it, if it has so much more."""
        return max(self.taken() + more, self.reserve)

    def view(self):
        """As tenant.get has it; what it doesn't say isn't compared."""
        numbers = {"committed": self.committed(), "promised": self.promised(), "reserve": self.reserve}
        numbers["limit"] = self.limit
        return {name: pages * PAGE for name, pages in numbers.items()}


class Host:
    def __init__(self, limit, limits, tenants=()):
        """tenants: (user, name, limit, reserve) of each user, in pages."""
        self.limit, self.limits = limit, limits  # pages; the configuration's numbers
        self.vms, self.reservations = {}, {}  # by name
        self.tenants = {one[0]: Tenant(self, *one) for one in tenants}

    def reserved(self):
        return sum(one.pages for one in self.reservations.values())

    def reserved_for(self, user):
        """user: None for nobody in particular."""
        return sum(one.pages for one in self.reservations.values() if one.user == user)

    def taken(self):
        return sum(tenant.of_host() for tenant in self.tenants.values()) + self.reserved_for(None)

    def promised(self):
        of_tenants = sum(max(tenant.promised(), tenant.reserve) for tenant in self.tenants.values())
        return of_tenants + self.reserved_for(None)

    def commitment(self):
        vms = self.vms.values()
        numbers = {"limit": self.limit, "committed": sum(vm.committed() for vm in vms)}
        available = max(0, self.limit - self.taken())
        numbers.update({"promised": self.promised(), "reserved": self.reserved(), "available": available})
        return {name: pages * PAGE for name, pages in numbers.items()}

    def vms_of(self, user, tenant):
        """A user's count by themselves in each tenant."""
        return [vm for vm in self.vms.values() if (vm.user, vm.tenant) == (user, tenant)]

    def memories_of(self, user, tenant):
        return sum(len(vm.memories) for vm in self.vms_of(user, tenant))

    def refuses(self, vm, pages):
        """What a refusal to charge that many more has in its data; None where there is room."""
        tenant = self.tenants[vm.tenant]
        if vm.commit_limit is not None:
            return refusal("vm", vm.commit_limit, vm.committed(), 0, pages, pages) or tenant.bounds(pages)
        return self.refuses_promise(pages, tenant)

    def refuses_promise(self, pages, tenant):
        """tenant: None for nobody in particular."""
        of_tenant = tenant and tenant.refuses(pages)
        more = tenant.of_host(pages) - tenant.of_host() if tenant else pages
        return of_tenant or refusal("host", self.limit, self.taken(), self.promised(), pages, more)

    def can_be(self, limit, limits_of):
        """Whether tenants can have these limits and reserves, in place of theirs, on a host with that limit."""
        grows = any(reserve > self.tenants[user].reserve for user, (_, reserve) in limits_of.items())
        taken = sum(max(self.tenants[user].taken(), reserve) for user, (_, reserve) in limits_of.items())
        return not grows or taken + self.reserved_for(None) <= limit

    def change(self, limit, limits, limits_of):
        self.limit, self.limits = limit, limits
        for user, numbers in limits_of.items():
            self.tenants[user].limit, self.tenants[user].reserve = numbers

    def can_move(self, vm, to):
        """Whether the budgets have room for the VM in another tenant."""
        old, new = self.tenants[vm.tenant], self.tenants[to]
        before, taken, more_committed = self.taken(), new.taken() + vm.taken(), vm.committed() > 0
        if taken > new.limit and vm.taken() > 0 or more_committed and new.committed() + vm.committed() > new.limit:
            return False
        moved = max(taken, new.reserve) - new.of_host() + max(old.taken() - vm.taken(), old.reserve) - old.of_host()
        return moved <= 0 or before + moved <= self.limit


def configuration(limit, limits, tenants):
    """As gmemd.conf has it. tenants: (user, name, limit, reserve), the last being default."""
    lines = ["[limits]"] + ["%s = %d" % (name, value) for name, value in limits.items()]
    lines += ["host-reserve = 0", "commit-limit = %d" % (limit * PAGE), "[pressure]", "floor = 0"]
    for user, name, of_tenant, reserve in tenants:
        lines += ["[tenant %s]" % name, "limit = %d" % (of_tenant * PAGE), "reserve = %d" % (reserve * PAGE)]
        lines += ["users = %d" % user] if name != "default" else []
    return "\n".join(lines) + "\n"


def refusal(scope, limit, committed, promised, pages, more):
    """more: of what was asked for, what this level would have more of."""
    if more == 0 or more <= limit - committed:
        return None
    return numbers_of(scope, limit, committed, promised, pages)


def numbers_of(scope, limit, committed, promised, pages):
    numbers = {"limit": limit, "committed": committed, "promised": promised, "requested": pages}
    numbers["available"] = max(0, limit - committed)
    return dict({name: number * PAGE for name, number in numbers.items()}, scope=scope, reason="budget_exceeded")
