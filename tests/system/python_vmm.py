# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VMM on the Python module: does what its argument names, and prints what came of it as JSON."""

import json
import os
import sys
import threading

import gmem

MIB = 1 << 20


def state(vm):
    told = vm.get()
    return {
        "gate": told["gate"],
        "committed": told["committed"],
        "memories": [[memory["name"], memory["size"], memory["state"]] for memory in told["memories"]],
        "slots": [[slot["slot"], slot["guest_phys_addr"], slot["memory_size"], slot["state"]] for slot in told["slots"]],
    }


def memory_and_slots(connection):
    """What a VMM does, from its VM's opening to its memory's end."""
    vm = connection.open_vm("python")
    memory = vm.create_memory(4 * MIB, name="ram")
    view = memory.map()
    view[MIB : MIB + 5] = b"hello"
    at = gmem.address_of(view)
    vm.bind(0, 0, memory, userspace_addr=at, size=MIB)
    vm.bind(1, 16 * MIB, memory, userspace_addr=at + MIB, offset=MIB)
    told = {"vm": vm.fd >= 0, "bound": state(vm), "fd": os.get_inheritable(memory.fd)}
    vm.unbind(0)
    told["reclaimed"] = memory.reclaim() > 0
    told["zero"] = view[MIB : MIB + 5] == bytes(5)
    told["allocated"] = memory.preallocate(0, MIB)
    vm.unbind(1)
    view.close()
    memory.close()
    return {**told, "end": state(vm)}


def refusals(connection):
    """Each names what is wrong, and leaves nothing behind."""
    vm = connection.open_vm("python")
    told = {}
    for name, attempt in (
        ("size", lambda: vm.create_memory(1)),
        ("unknown", lambda: connection.call("memory.create", vm=vm.id, size=MIB, nonsense=1)),
        ("slot", lambda: vm.unbind(7)),
        ("method", lambda: connection.call("nonsense")),
    ):
        try:
            attempt()
        except gmem.Refused as error:
            told[name] = [error.code, error.reason, error.data.get("param"), bool(str(error))]
    return {**told, "end": state(vm)}


def conversion(connection):
    vm = connection.open_vm("python")
    memory = vm.create_memory(2 * MIB, flags=[])
    vm.bind(0, 0, memory, userspace_addr=1 << 40)
    vm.convert("private", [gmem.GuestRange(0, MIB)])
    private = vm.get()["private_ranges"]
    vm.convert("shared", [gmem.GuestRange(0, MIB)])
    return {"private": private, "shared": vm.get()["private_ranges"]}


def granted(connection):
    """Another process opens a memory, over a connection of its own."""
    vm = connection.open_vm("python")
    memory = vm.create_memory(MIB)
    to_child, from_parent = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(to_child, 1)
        with gmem.connect(os.environ["GMEM_SOCKET"]) as other:
            fd, size = other.open_granted(memory.id)
            os._exit(0 if size == MIB and os.fstat(fd).st_ino == os.fstat(memory.fd).st_ino else 1)
    memory.grant(pid=child, once=True)
    os.write(from_parent, b"x")
    return {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}


def threads(connection):
    """Their calls take turns, and each has its own answer."""
    vm = connection.open_vm("python")
    got = {}

    def work(number):
        got[number] = [vm.create_memory(4096, name=f"{number}-{n}").size for n in range(8)]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    names = sorted(memory["name"] for memory in vm.get()["memories"])
    return {"made": sum(map(len, got.values())), "names": names == sorted(f"{n}-{m}" for n in range(4) for m in range(8))}


def child(connection):
    """What gmem-run has opened is for one process."""
    pid = os.fork()
    if pid == 0:
        try:
            connection.open_vm()
        except ChildProcessError:
            os._exit(3)
        os._exit(0)
    return {"status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


if __name__ == "__main__":
    with gmem.connect(os.environ.get("TEST_SOCKET")) as opened:
        print(json.dumps(globals()[sys.argv[1]](opened)))
