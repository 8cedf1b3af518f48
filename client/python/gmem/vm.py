# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VM and its memories: gmemd writes the arguments of ioctls into the mailbox, and this process triggers them.

On gmemd's model there is no VM: Vm.fd is -1, and all else is as with KVM but that no guest can run.
"""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING, Any, Iterable, Literal, NamedTuple

from gmem import system
from gmem.errors import Refused

if TYPE_CHECKING:
    from gmem.connection import Connection


class GuestRange(NamedTuple):
    """Guest frames."""

    guest_phys_addr: int
    size: int


def inherit(connection: Connection, kvm_fd: int | None, mailbox_fd: int | None) -> Vm:
    """What gmem-run has opened for this process, and no other."""
    opener = os.environ.get("GMEM_PROCESS")
    if opener is not None and int(opener) != system.own_process_number():
        raise ChildProcessError(errno.ECHILD, "gmem-run has opened this VM for another process, of which this one is a child")
    identity = os.environ["GMEM_VM"]
    if kvm_fd is None or mailbox_fd is None:
        return Vm(connection, identity)
    address = int(os.environ["GMEM_MAILBOX_ADDRESS"])
    try:
        vm_type = int(os.environ.get("GMEM_VM_TYPE", "0"))
        return Vm(connection, identity, make_vm(kvm_fd, vm_type, mailbox_fd, address, os.fstat(mailbox_fd).st_size), kvm_fd)
    finally:
        os.close(mailbox_fd)


def open_without_gate(connection: Connection, name: str, options: dict[str, Any]) -> Vm:
    """One of the default type."""
    opened, files = connection.call_with_files("vm.open", name=name, gate="none", **options)
    mailbox = opened["mailbox"]
    if mailbox is None:
        return Vm(connection, opened["vm"])
    kvm_fd, mailbox_fd = files[opened["kvm"]], files[mailbox["fd"]]
    if opened.get("report"):  # an older gmemd has none
        os.close(files[opened["report"]["fd"]])  # all is reported by call.done here
    try:
        return Vm(connection, opened["vm"], make_vm(kvm_fd, 0, mailbox_fd, mailbox["address"], mailbox["length"]), kvm_fd)
    finally:
        os.close(mailbox_fd)


def make_vm(kvm_fd: int, vm_type: int, mailbox_fd: int, address: int, length: int) -> int:
    """gmemd looks at the mapping before it lets the VM be made."""
    system.map_for_good(mailbox_fd, address, length)
    fd = system.ioctl(kvm_fd, system.KVM_CREATE_VM, vm_type)
    os.set_inheritable(fd, False)
    return fd


class Vm:
    """This process's VM. Connection.open_vm() makes it; gmemd releases it when the process ends, or by close()."""

    def __init__(self, connection: Connection, identity: str, fd: int = -1, kvm_fd: int = -1) -> None:
        self.connection = connection
        self.id = identity
        self.fd = fd
        self.kvm_fd = kvm_fd

    def get(self) -> dict[str, Any]:
        """What gmemd says of it: one page of vm.get."""
        return self.connection.call("vm.get", vm=self.id)

    def close(self) -> None:
        """Has gmemd release it now; all its memory is gone."""
        self.connection.call("vm.close", vm=self.id)
        for fd in (self.fd, self.kvm_fd):
            if fd >= 0:
                os.close(fd)
        self.fd = self.kvm_fd = -1

    def create_memory(self, size: int, name: str | None = None, **options: Any) -> Memory:
        """gmemd charges all of size now. Options as memory.create has them: backing, flags, node, page_size."""
        params = {**options, "vm": self.id, "size": size, **({} if name is None else {"name": name})}
        result, files = self.connection.call_with_files("memory.create", **params)
        if result["call"] is None:
            return Memory(self, result["memory"], files[result["fd"]], size)
        fd = self._trigger(result["call"])
        os.set_inheritable(fd, False)
        memory = Memory(self, result["memory"], fd, size)
        self._report_created(result["call"]["id"], fd)
        return memory

    def bind(
        self,
        slot: int,
        guest_phys_addr: int,
        memory: Memory | None,
        *,
        userspace_addr: int,
        size: int | None = None,
        offset: int = 0,
        flags: Iterable[Literal["readonly", "log_dirty_pages"]] = (),
        through: Literal["guest_memfd", "mapping"] = "guest_memfd",
    ) -> None:
        """Binds a memslot, of all that memory has from offset on if there is no size. userspace_addr is where this process
        has it mapped. With memory None: a slot on this process's own memory there."""
        if size is None and memory is None:
            raise ValueError("a slot on this process's own memory needs a size")
        params: dict[str, Any] = {
            "slot": slot,
            "guest_phys_addr": guest_phys_addr,
            "memory_size": memory.size - offset if size is None and memory is not None else size,
            "userspace_addr": userspace_addr,
            "memory": memory.id if memory else None,
            "guest_memfd_offset": offset,
            "flags": list(flags),
        }
        if memory and through == "guest_memfd":
            params["guest_memfd"] = memory.fd
        elif memory:
            params["through"] = through
        self._change("slot.bind", params)

    def unbind(self, slot: int) -> None:
        """Deletes a memslot."""
        self._change("slot.unbind", {"slot": slot})

    def convert(self, to: Literal["private", "shared"], ranges: Iterable[GuestRange], discard: bool = True) -> int:
        """Makes guest frames private or shared, and returns how many bytes of the half that went stale were given back."""
        told = [{"guest_phys_addr": each.guest_phys_addr, "size": each.size} for each in ranges]
        result = self.connection.call("memory.convert", vm=self.id, to=to, ranges=told, discard=discard)
        discarded: int = result.get("discarded") or 0
        for call in result["calls"] or []:
            discarded += self._carry_out(call).get("discarded") or 0
        return discarded

    def _report_created(self, call: int, fd: int) -> None:
        try:
            self.connection.call("call.done", vm=self.id, call=call, done=1, fd=fd)
        except Refused:
            self.connection.notify("call.done", vm=self.id, call=call, done=0, errno="ECANCELED")
            raise

    def _change(self, method: str, params: dict[str, Any]) -> None:
        """In a VM that is private from the start a slot's conversion follows its binding."""
        result = self.connection.call(method, vm=self.id, **params)
        for call in (result["call"], result.get("convert")):
            self._carry_out(call)

    def _carry_out(self, call: dict[str, Any] | None) -> dict[str, Any]:
        if call is None:
            return {}
        self._trigger(call)
        return self.connection.call("call.done", vm=self.id, call=call["id"], done=call["count"])

    def _trigger(self, call: dict[str, Any]) -> int:
        """The last result. What fails is told to gmemd."""
        result = -1
        for done in range(call["count"]):
            try:
                result = system.ioctl(self.fd, call["request"], call["address"] + done * call["stride"])
            except OSError as error:
                name = errno.errorcode.get(error.errno or 0, "EIO")
                self.connection.notify("call.done", vm=self.id, call=call["id"], done=done, errno=name)
                raise
        return result


class Memory:
    """A memory of a VM. Its file is this process's as long as the object, or until close()."""

    def __init__(self, vm: Vm, identity: int, fd: int, size: int) -> None:
        self.vm = vm
        self.id = identity
        self.fd = fd
        self.size = size

    def __del__(self) -> None:
        self._close_file()

    def map(self, offset: int = 0, size: int | None = None) -> mmap.mmap:
        """A part of it, shared and writable."""
        return mmap.mmap(self.fd, self.size - offset if size is None else size, mmap.MAP_SHARED, offset=offset)

    def reclaim(self, offset: int = 0, size: int | None = None) -> int:
        """Gives pages back to the host, and returns how many bytes there were. Who touches them next reads zeroes."""
        part = {"offset": offset, "size": self.size - offset if size is None else size}
        reclaimed: int = self.vm.connection.call("memory.reclaim", memory=self.id, ranges=[part])["reclaimed"]
        return reclaimed

    def preallocate(self, offset: int = 0, size: int | None = None, *, populate: bool = False) -> int:
        """Allocates pages before the guest touches them, zeroed as well where populate says so, and returns how many bytes."""
        part = self.size - offset if size is None else size
        answer = self.vm.connection.call("memory.preallocate", memory=self.id, offset=offset, size=part, populate=populate)
        allocated: int = answer["allocated"]
        return allocated

    def grant(self, *, uid: int | None = None, pid: int | None = None, once: bool = False) -> int:
        """Lets a user, or a process, open it by Connection.open_granted(); returns the grant's id."""
        to = {name: value for name, value in (("uid", uid), ("pid", pid)) if value is not None}
        grant: int = self.vm.connection.call("memory.grant", memory=self.id, to=to, once=once)["grant"]
        return grant

    def close(self) -> None:
        """Has gmemd free its pages and give its charge back. No slot may use it any more."""
        self.vm.connection.call("memory.close", memory=self.id)
        self._close_file()

    def _close_file(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
