#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slots through the VMM's mapping of a memory, flags changed in place, and several slots changed at once."""

import ctypes
import os
import struct

from gmemtest import linux, tap
from gmemtest.host import Host
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer

RAM = 64 * PAGE
OWN = 8 * PAGE  # of the VMM's own memory, at most
SLOTS = 8
CHANGES = 16
SLOTS_MAX = 40

# What it loads, at the reset vector: mov byte [0x3000], 0x5a; hlt; jmp to the first.
CODE = b"\xc6\x06\x00\x30\x5a\xf4\xeb\xf8"
CODE_ADDRESS, CODE_OFFSET = 0xFFFFF000, 0xFF0
WRITTEN = 0x3000

host = vmm = None
memory = fd = mapped = None


def set_up():
    global host, vmm, memory, fd, mapped
    linux.require_guest_memfd()
    config = "[limits]\nown-memory-per-vm = %d\nslots-per-vm = %d\n" % (OWN, SLOTS_MAX)
    host = Host(config=config + "closed-memories-per-vm = 0\n")
    vmm = Vmm(host.peer(), "changing")
    memory, fd = vmm.create(RAM)
    mapped = vmm.map(fd, RAM)


def tear_down():
    vmm.close_files()
    os.close(fd)
    host.stop()


def slots():
    """What gmemd has, by number; each is there once."""
    listed = vmm.get()["slots"]
    by_number = {one["slot"]: one for one in listed}
    equal(len(by_number), len(listed), "each once")
    return by_number


def clear():
    for number in slots():
        vmm.unbind(number)


def own(pages):
    return linux.mmap(
        None, pages * PAGE, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS
    )


def change_error(changes):
    error = vmm.peer.error("slot.change", {"vm": vmm.id, "changes": changes})
    check(error, "it is refused")
    return error


def bind_error(params):
    error = vmm.peer.error("slot.bind", dict(params, vm=vmm.id))
    check(error, "it is refused")
    return error


def guest(slot, address, size, offset):
    """What a change binds to the guest_memfd."""
    params = vmm.bind_params(slot, address, size, memory, fd, offset, userspace_addr=mapped + offset)
    del params["vm"]
    return {"bind": params}


def shown(*arguments, **options):
    return {"bind": vmm.mapping_params(*arguments, **options)}


class Cpu:
    """One that writes a byte each time that it runs."""

    def __init__(self):
        self.code = own(1)
        ctypes.memmove(self.code + CODE_OFFSET, CODE, len(CODE))
        vmm.bind_own(100, CODE_ADDRESS, PAGE, self.code, ["readonly"])
        self.fd = linux.ioctl(vmm.vm_fd, linux.KVM_CREATE_VCPU, 0)
        self.size = linux.ioctl(vmm.kvm(), linux.KVM_GET_VCPU_MMAP_SIZE, 0)
        self.run_area = vmm.map(self.fd, self.size)

    def run(self):
        linux.ioctl(self.fd, linux.KVM_RUN, 0)
        reason = struct.unpack("I", ctypes.string_at(self.run_area + 8, 4))[0]
        equal(reason, linux.KVM_EXIT_HLT, "why it stopped")


def dirty_pages(slot, pages):
    """Those that were written since the last time."""
    bitmap = (ctypes.c_uint64 * ((pages + 63) // 64))()
    log = struct.pack("IIQ", slot, 0, ctypes.addressof(bitmap))
    buffer = ctypes.create_string_buffer(log)
    linux.ioctl(vmm.vm_fd, linux.KVM_GET_DIRTY_LOG, ctypes.addressof(buffer))
    return [page for page in range(pages) if bitmap[page // 64] >> page % 64 & 1]


def byte_at(address):
    return ctypes.string_at(address, 1)


# Through a mapping


@test("a slot through the mapping is an alias beside the guest_memfd slot, and charged as the memory")
def alias():
    committed = vmm.get()["committed"]
    vmm.bind(0, 0, RAM, memory, fd, 0, userspace_addr=mapped)
    vmm.bind_mapping(1, 1 << 30, OWN + PAGE, memory, mapped + PAGE, PAGE)
    vmm.bind_mapping(2, 2 << 30, 2 * PAGE, memory, mapped + PAGE, PAGE, flags=["readonly"])
    view = vmm.get()
    seen = [(s["slot"], s["memory"], s["guest_memfd_offset"], s["through"], s["flags"]) for s in view["slots"]]
    expected = [
        (0, memory, 0, "guest_memfd", []),
        (1, memory, PAGE, "mapping", []),
        (2, memory, PAGE, "mapping", ["readonly"]),
    ]
    equal(seen, expected, "slots")
    check(not any(s.get("astray") for s in view["slots"]), "none is astray")
    equal(view["committed"], committed, "charged once")
    error = vmm.peer.error("memory.close", {"memory": memory})
    equal(error and error["data"]["reason"], "conflict", "its memory is in use")
    vmm.unbind(0)
    error = vmm.peer.error("memory.close", {"memory": memory})
    equal(error and error["data"]["reason"], "conflict", "by those through the mapping alone, too")
    equal(error["data"]["slot"] in (1, 2), True, "which are named")
    clear()


@test("what a guest writes through the mapping is in the dirty log, and in the memory")
def dirty_log():
    cpu = Cpu()
    ctypes.memset(mapped, 0, RAM)
    vmm.bind_mapping(3, 0, RAM, memory, mapped, flags=["log_dirty_pages"])
    equal(dirty_pages(3, RAM // PAGE), [], "before it runs")
    cpu.run()
    equal(dirty_pages(3, RAM // PAGE), [WRITTEN // PAGE], "after it")
    equal(byte_at(mapped + WRITTEN), b"\x5a", "what is there")
    vmm.bind_mapping(3, 0, RAM, memory, mapped)  # in place
    equal(slots()[3]["flags"], [], "the log has ended")
    ctypes.memset(mapped, 0, RAM)
    cpu.run()
    equal(byte_at(mapped + WRITTEN), b"\x5a", "the guest goes on")
    vmm.bind_mapping(3, 0, RAM, memory, mapped, flags=["log_dirty_pages"])
    equal(dirty_pages(3, RAM // PAGE), [], "a new log")
    cpu.run()
    equal(dirty_pages(3, RAM // PAGE), [WRITTEN // PAGE], "of what came after")
    vmm.change([{"unbind": 3}, guest(3, 0, RAM, 0)])
    ctypes.memset(mapped, 0, RAM)
    cpu.run()
    equal(slots()[3]["through"], "guest_memfd", "back")
    os.close(cpu.fd)
    clear()


@test("flags of a plain slot change in place, as the kernel has it")
def flags():
    address = own(2)
    vmm.bind_own(4, 0, PAGE, address)
    vmm.bind_own(4, 0, PAGE, address, ["log_dirty_pages"])
    equal(slots()[4]["flags"], ["log_dirty_pages"], "on")
    vmm.bind_own(4, 0, PAGE, address, ["log_dirty_pages"])
    vmm.bind_own(4, 0, PAGE, address)
    equal(slots()[4]["flags"], [], "off")
    params = {"slot": 4, "guest_phys_addr": 0, "memory_size": PAGE, "userspace_addr": address, "memory": None}
    error = bind_error(dict(params, flags=["readonly"]))
    equal((error["code"], error["data"]["param"]), (-32602, "flags"), "readonly")
    for member, value in (("userspace_addr", address + PAGE), ("guest_phys_addr", PAGE), ("memory_size", 2 * PAGE)):
        error = bind_error(dict(params, **{member: value}, flags=["log_dirty_pages"]))
        equal((error["code"], error["data"]["with"]), (-32004, "slot"), member + " as well")
    call = vmm.peer.call("slot.bind", dict(params, vm=vmm.id, flags=["log_dirty_pages"]))["call"]
    equal(slots()[4]["flags"], [], "it is as it was until it is reported")
    error = bind_error(params)
    equal(error["data"]["reason"], "busy", "another meanwhile")
    error = vmm.peer.error("slot.unbind", {"vm": vmm.id, "slot": 4})
    equal(error and error["data"]["reason"], "busy", "its end meanwhile")
    vmm.report(call, 0, "ENOMEM")
    equal(slots()[4]["flags"], [], "it has failed")
    equal(slots()[4]["state"], "bound", "and is bound still")
    vmm.bind(5, 1 << 30, PAGE, memory, fd)
    error = bind_error(vmm.bind_params(5, 1 << 30, PAGE, memory, fd))
    equal((error["code"], error["data"]["with"]), (-32004, "slot"), "a guest_memfd slot, told again")
    clear()


def liars():
    """What is mapped, which is not what is told: a name, its address."""
    other, other_fd = vmm.create(RAM)
    anonymous = own(RAM // PAGE)
    short = vmm.map(fd, 3 * PAGE)  # something else may follow
    linux.munmap(vmm.map(fd, RAM), RAM)
    holed = vmm.map(fd, RAM)
    linux.munmap(holed + 2 * PAGE, PAGE)
    patched = vmm.map(fd, RAM)
    linux.mmap(
        patched + PAGE, PAGE, linux.PROT_READ, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS | linux.MAP_FIXED
    )
    yield "another memory", vmm.map(other_fd, RAM)
    yield "its own memory", anonymous
    yield "too little", short - PAGE
    yield "nothing at all", 0x10000000000
    yield "a hole", holed
    yield "another page between", patched
    yield "another offset", vmm.map(fd, RAM - PAGE, PAGE)
    yield "the end of all addresses", 0x7FFFFFFFF000 - 3 * PAGE
    os.close(other_fd)
    vmm.peer.call("memory.close", {"memory": other})


@test("what does not show the memory is refused by its address, and nothing has changed")
def lies():
    before = vmm.get()
    for what, address in liars():
        params = vmm.mapping_params(6, 0, 4 * PAGE, memory, address)
        error = bind_error(params)
        equal((error["code"], error["data"]["param"]), (-32602, "userspace_addr"), what)
        error = change_error([shown(7, 1 << 30, PAGE, memory, mapped), {"bind": params}])
        equal((error["code"], error["data"]["param"]), (-32602, "changes[1].bind.userspace_addr"), what)
        equal(vmm.get()["slots"], before["slots"], what)
    equal(vmm.get()["calls"], [], "calls")


@test("mappings that follow one another, split and protected anew, show it")
def split():
    address = vmm.map(fd, RAM)
    linux.mmap(address + 3 * PAGE, PAGE, linux.PROT_READ, linux.MAP_SHARED | linux.MAP_FIXED, fd, 3 * PAGE)
    vmm.bind_mapping(8, 0, RAM, memory, address)
    vmm.bind_mapping(9, 1 << 30, 4 * PAGE, memory, address + 2 * PAGE, 2 * PAGE)
    check(not any(s.get("astray") for s in slots().values()), "none is astray")
    clear()
    linux.munmap(address, RAM)


@test("what makes no sense through a mapping is refused by its name")
def nonsense():
    good = vmm.mapping_params(10, 0, PAGE, memory, mapped)
    for param, changed in (
        ("through", {"memory": None}),
        ("through", {"through": "glass"}),
        ("userspace_addr", {"userspace_addr": 0}),
        ("guest_memfd_offset", {"guest_memfd_offset": RAM}),
        ("memory_size", {"memory_size": RAM + PAGE}),
        ("shared_memory", {"shared_memory": memory}),
    ):
        error = bind_error(dict(good, **changed))
        equal((error["code"], error["data"]["param"]), (-32602, param), repr(changed))
    error = bind_error(dict(good, memory=1))
    equal(error["data"]["reason"], "not_found", "another's memory")
    error = bind_error(dict(vmm.bind_params(10, 0, PAGE, memory, fd), flags=["readonly"]))
    equal(error["data"]["param"], "flags", "flags on the guest_memfd")


@test("a slot whose mapping shows something else later counts as the VMM's own, by its name, for good")
def astray():
    address = vmm.map(fd, RAM)
    vmm.bind_mapping(11, 0, OWN, memory, address)
    vmm.bind_mapping(12, 1 << 30, PAGE, memory, mapped)
    check("astray" not in slots()[11], "it shows it")
    linux.munmap(address + PAGE, PAGE)
    seen = slots()
    equal(seen[11].get("astray"), True, "it is astray")
    equal(seen[11]["memory"], memory, "what it was bound for")
    check("astray" not in seen[12], "the other is not")
    linux.mmap(
        address + PAGE, PAGE, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_SHARED | linux.MAP_FIXED, fd, PAGE
    )
    equal(slots()[11].get("astray"), True, "for good")
    page = own(1)
    params = {"slot": 13, "guest_phys_addr": 2 << 30, "memory_size": PAGE, "userspace_addr": page, "memory": None}
    error = bind_error(params)
    equal((error["data"]["reason"], error["data"]["committed"]), ("budget_exceeded", OWN), "its own memory")
    vmm.bind_mapping(11, 0, OWN, memory, address, flags=["log_dirty_pages"])
    equal(slots()[11].get("astray"), True, "with other flags, too")
    vmm.unbind(11)
    vmm.bind_own(13, 2 << 30, PAGE, page)
    vmm.bind_mapping(11, 0, OWN, memory, address)
    check("astray" not in slots()[11], "bound anew it shows it")
    clear()


# Several at once


def one_call(changes):
    calls = vmm.peer.call("slot.change", {"vm": vmm.id, "changes": changes})["calls"]
    equal(len(calls), 1, "one call")
    equal(calls[0]["count"], len(changes), "an entry for each")
    return calls[0]


def bind_eight():
    for i in range(SLOTS):
        vmm.bind(i, i * 8 * PAGE, 8 * PAGE, memory, fd, i * 8 * PAGE)


@test("eight slots are exchanged at once, and back")
def exchanged():
    bind_eight()
    changes = [{"unbind": i} for i in range(SLOTS)]
    changes += [
        shown(i, i * 8 * PAGE, 8 * PAGE, memory, mapped + i * 8 * PAGE, i * 8 * PAGE, flags=["log_dirty_pages"])
        for i in range(SLOTS)
    ]
    call = one_call(changes)
    seen = sorted((s["slot"], s["state"]) for s in vmm.get()["slots"])
    expected = sorted((i, state) for i in range(SLOTS) for state in ("closing", "pending"))
    equal(seen, expected, "what was and what is to be")
    equal(vmm.trigger(call), (CHANGES, 0, None), "all of it")
    vmm.report(call, CHANGES)
    equal(vmm.trigger(call)[2], "EINVAL", "its entries once it is done with")
    equal({s["through"] for s in slots().values()}, {"mapping"}, "all through the mapping")
    changes = []
    for i in range(SLOTS):
        changes += [{"unbind": i}, guest(i, i * 8 * PAGE, 8 * PAGE, i * 8 * PAGE)]
    vmm.change(changes)
    seen = slots()
    equal({s["through"] for s in seen.values()}, {"guest_memfd"}, "all on the guest_memfd")
    equal({s["state"] for s in seen.values()}, {"bound"}, "all bound")
    clear()


@test("of a change that fails in the kernel what came before is done, and the rest is as it was")
def failed_amid():
    bind_eight()
    before = slots()
    vmm.bind_own(50, 1 << 40, PAGE, own(1))
    changes = [
        {"unbind": 0},
        {"unbind": 1},
        guest(20, 0, 4 * PAGE, 0),
        guest(21, 4 * PAGE, 4 * PAGE, 4 * PAGE),
        {"bind": dict(guest(22, 8 * PAGE, 4 * PAGE, 8 * PAGE)["bind"], guest_memfd=99999)},
        {"unbind": 2},
        {"bind": vmm.mapping_params(23, 12 * PAGE, 4 * PAGE, memory, mapped)},
        {"unbind": 3},
    ]
    call = one_call(changes)
    done, _, name = vmm.trigger(call)
    equal((done, name), (4, "EBADF"), "the fifth has failed")
    vmm.report(call, done, name)
    expected = dict(before)
    del expected[0], expected[1]
    seen = slots()
    equal(sorted(seen), sorted(list(expected) + [20, 21, 50]), "slots")
    equal([seen[i] for i in expected], [expected[i] for i in expected], "those as they were")
    for i in seen:
        vmm.unbind(i)  # the kernel has them


@test("of one that was not triggered at all everything is as it was")
def untouched():
    bind_eight()
    before = vmm.get()
    call = one_call([{"unbind": 1}, guest(1, 8 * PAGE, 4 * PAGE, 8 * PAGE), {"unbind": 2}])
    vmm.report(call, 0, "ECANCELED")
    equal(vmm.get(), before, "the VM")
    error = vmm.peer.error("call.done", {"vm": vmm.id, "call": call["id"], "done": 0, "errno": "EPERM"})
    equal(error and error["data"]["reason"], "not_found", "its call")
    clear()


@test("each change is checked against what there is by then, and names itself where it can't be")
def checked():
    bind_eight()
    before = vmm.get()
    page = own(1)
    plain = {"slot": 30, "guest_phys_addr": 1 << 40, "memory_size": PAGE, "userspace_addr": page, "memory": None}
    rows = (
        ([{"unbind": 0}, {"unbind": 77}], "not_found", None, 1),
        ([{"unbind": 0}, {"unbind": 0}], "not_found", None, 1),
        ([guest(30, 8 * PAGE, PAGE, 0), {"unbind": 0}, {"unbind": 1}], "conflict", None, 0),
        ([{"unbind": 0}, guest(0, 0, 9 * PAGE, 0)], "conflict", None, 1),
        ([{"unbind": 0}, guest(30, 0, PAGE, 0), guest(30, PAGE, PAGE, PAGE)], "conflict", None, 2),
        ([{"unbind": 0}, guest(30, 0, PAGE, 0), guest(31, PAGE, PAGE, 0)], "conflict", None, 2),
        ([{"bind": plain}, {"unbind": 30}], "invalid_params", "changes[1].unbind", None),
        ([{"unbind": 0, "bind": plain}], "invalid_params", "changes[0]", None),
        ([{}], "invalid_params", "changes[0]", None),
        ([{"unbind": 0}, {"bind": {}}], "invalid_params", "changes[1].bind.slot", None),
        ([{"bind": dict(plain, memory_size=5)}], "invalid_params", "changes[0].bind.memory_size", None),
        ([{"bind": dict(plain, vm=vmm.id)}], "invalid_params", "changes[0].bind.vm", None),
        ([{"bind": 3}], "invalid_params", "changes[0].bind", None),
        ([{"bind": dict(plain, userspace_addr=0)}], "invalid_params", "changes[0].bind.userspace_addr", 0),
        ([{"unbind": 0}] * (CHANGES + 1), "invalid_params", "changes", None),
        ([], "invalid_params", "changes", None),
    )
    for changes, reason, param, change in rows:
        error = change_error(changes)
        what = repr(changes)[:200]
        equal((error["data"]["reason"], error["data"].get("param")), (reason, param), what)
        equal(error["data"].get("change"), change, what)
        equal(vmm.get(), before, what)
    clear()


@test("own memory counts as it is in the end")
def own_in_the_end():
    address = own(2 * OWN // PAGE)
    plain = {"slot": 40, "guest_phys_addr": 0, "memory_size": OWN, "userspace_addr": address, "memory": None}
    vmm.change([{"bind": plain}])
    other = dict(plain, slot=41, guest_phys_addr=1 << 30, userspace_addr=address + OWN)
    error = change_error([{"bind": other}])
    told = (error["data"]["reason"], error["data"]["committed"], error["data"]["requested"])
    equal(told, ("budget_exceeded", OWN, OWN), "both")
    vmm.change([{"bind": other}, {"unbind": 40}])
    vmm.change([{"unbind": 41}, {"bind": plain}])
    equal(sorted(slots()), [40], "slots")
    clear()


@test("there may be as many slots as there may be in the end")
def slots_in_the_end():
    binds = [shown(i, i << 30, PAGE, memory, mapped) for i in range(SLOTS_MAX + 1)]
    for i in range(0, SLOTS_MAX, 10):
        vmm.change(binds[i : i + 10])
    error = change_error([binds[SLOTS_MAX]])
    told = (error["data"]["reason"], error["data"]["limit"], error["data"]["value"])
    equal(told, ("limit", "slots-per-vm", SLOTS_MAX), "one more")
    vmm.change([binds[SLOTS_MAX], {"unbind": 0}])
    equal(sorted(slots()), list(range(1, SLOTS_MAX + 1)), "slots")
    clear()


@test("what leaves is in the way of others, and uses its memory, until that is reported")
def leaving():
    vmm.bind(0, 0, RAM, memory, fd)
    call = one_call([{"unbind": 0}])
    error = bind_error(vmm.bind_params(1, 0, PAGE, memory, fd))
    equal((error["data"]["reason"], error["data"]["slot"]), ("busy", 0), "its addresses")
    error = bind_error(vmm.bind_params(1, 1 << 30, PAGE, memory, fd))
    equal((error["data"]["reason"], error["data"]["slot"]), ("busy", 0), "its offsets")
    error = change_error([guest(0, 1 << 30, PAGE, 0)])
    equal((error["data"]["reason"], error["data"]["slot"]), ("busy", 0), "its number")
    error = vmm.peer.error("memory.close", {"memory": memory})
    equal((error["data"]["reason"], error["data"]["slot"]), ("conflict", 0), "its memory")
    error = vmm.peer.error("slot.unbind", {"vm": vmm.id, "slot": 0})
    equal(error["data"]["reason"], "not_found", "it can't leave twice")
    vmm.carry_out(call)
    vmm.bind(1, 0, RAM, memory, fd)
    clear()


@test("a mailbox that is full of what was not reported takes no change, and then it does")
def full():
    page = own(1)
    plain = {"guest_phys_addr": 0, "memory_size": PAGE, "userspace_addr": page, "memory": None}
    calls = [one_call([{"bind": dict(plain, slot=i, guest_phys_addr=i * PAGE)}]) for i in range(OWN // PAGE)]
    error = change_error([{"unbind": 0}])
    equal(error["data"]["reason"], "busy", "a slot that is pending")
    vmm.carry_out(calls.pop(0))
    changes = [shown(i, i << 30, PAGE, memory, mapped) for i in range(60, 70)]
    error = change_error(changes)
    equal(error["data"]["reason"] in ("limit", "busy"), True, "no room for ten more")
    while calls:
        vmm.carry_out(calls.pop())
    vmm.change(changes)
    clear()


# Outliving gmemd


@test("a successor goes on with a change that was answered, whatever becomes of it")
def outlived():
    changes = []
    for i in range(SLOTS):
        changes += [
            {"unbind": i},
            shown(i, i * 8 * PAGE, 8 * PAGE, memory, mapped + i * 8 * PAGE, i * 8 * PAGE, flags=["log_dirty_pages"]),
        ]
    for done in (0, 1, 2, 7, 8, CHANGES):
        bind_eight()
        call = one_call(changes)
        view = vmm.get()
        host.restart()
        equal(vmm.get(), view, "what the successor has")
        vmm.report(call, done, None if done == CHANGES else "ECANCELED")
        seen = slots()
        through = [seen[i]["through"] if i in seen else None for i in range(SLOTS)]
        expected = ["mapping"] * (done // 2) + [None] * (done % 2)
        equal(through, (expected + ["guest_memfd"] * SLOTS)[:SLOTS], "%d of them" % done)
        equal({s["state"] for s in seen.values()}, {"bound"}, "states")
        host.restart()
        equal(slots(), seen, "another successor")
        for number in range(SLOTS):  # as the kernel has them: it was told nothing
            if number in seen:
                unbound = vmm.peer.call("slot.unbind", {"vm": vmm.id, "slot": number})["call"]
                vmm.report(unbound, 1)
        for number in range(SLOTS):
            linux_delete(number)
    equal(slots(), {}, "none is left")


def linux_delete(number):
    """Without gmemd's knowledge: these VMs have no gate."""
    region = struct.pack("=IIQQQ", number, 0, 0, 0, 0)
    buffer = ctypes.create_string_buffer(region)
    try:
        linux.ioctl(vmm.vm_fd, linux.KVM_SET_USER_MEMORY_REGION, ctypes.addressof(buffer))
    except OSError:
        pass  # there is none


@test("flags that are being changed, and a slot that is astray, are so for a successor")
def flags_outlived():
    address = vmm.map(fd, RAM)
    vmm.bind_mapping(0, 0, RAM, memory, address)
    vmm.bind_mapping(1, 1 << 30, RAM, memory, mapped)
    linux.munmap(address, RAM)
    equal(slots()[0].get("astray"), True, "it is astray")
    params = dict(vmm.mapping_params(1, 1 << 30, RAM, memory, mapped, flags=["log_dirty_pages"]), vm=vmm.id)
    call = vmm.peer.call("slot.bind", params)["call"]
    host.restart()
    seen = slots()
    equal((seen[0].get("astray"), seen[1]["flags"]), (True, []), "as they were")
    vmm.carry_out(call)
    equal(slots()[1]["flags"], ["log_dirty_pages"], "changed")
    clear()


@test("a VM that gmemd has lost is told of its slots through mappings, and these are looked at")
def resumed():
    address = vmm.map(fd, RAM)
    vmm.bind_mapping(0, 0, RAM, memory, address)
    vmm.bind_mapping(1, 1 << 30, RAM, memory, mapped, flags=["log_dirty_pages"])
    linux.munmap(address, RAM)
    listed = [vmm.mapping_params(0, 0, RAM, memory, address)]
    listed.append(vmm.mapping_params(1, 1 << 30, RAM, memory, mapped, flags=["log_dirty_pages"]))
    host.lose_all()
    vmm.peer.close()
    vmm.peer = Peer(host.socket_path("gmemd.sock"))
    params = {"vm": vmm.id, "mailbox": vmm.fds[vmm.opened["mailbox"]["fd"]], "slots": listed}
    params["memories"] = [{"memory": memory, "fd": fd}]
    answer, files = vmm.peer.call_with_fds("vm.resume", params)
    for one in files:
        os.close(one)
    equal(answer["rebuilt"], True, "rebuilt")
    seen = slots()
    equal([seen[i].get("astray") for i in (0, 1)], [True, None], "astray")
    equal([seen[i]["through"] for i in (0, 1)], ["mapping"] * 2, "through")
    clear()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
