# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VMM without a gate: opens its VM, triggers the calls, reports what came of them.

On the model there is nothing to map and nothing to trigger: calls are null, files come at once.
"""

import ctypes
import errno
import os

from gmemtest import linux
from gmemtest.linux import PAGE
from gmemtest.wire import close_all


FAILED = 1 << 63  # in a word of the report page


class Vmm:
    """This process's one VM."""

    by_page = False  # what makes no file is reported in the report page
    page = None      # where that is mapped

    def __init__(self, peer, name="vm", make=True, **options):
        self.peer = peer
        params = dict({"name": name, "gate": "none"}, **options)
        self.opened, self.fds = peer.call_with_fds("vm.open", params)
        self.id = self.opened["vm"]
        self.vm_fd = -1
        if make and self.opened["kvm"] is not None:
            self.make()

    def make(self):
        self._map_mailbox()
        self.vm_fd = linux.ioctl(self.kvm(), linux.KVM_CREATE_VM, 0)

    def kvm(self):
        return self.fds[self.opened["kvm"]]

    def _map_mailbox(self):
        mailbox = self.opened["mailbox"]
        address = linux.mmap(
            mailbox["address"],
            mailbox["length"],
            linux.PROT_READ,
            linux.MAP_SHARED | linux.MAP_FIXED_NOREPLACE,
            self.fds[mailbox["fd"]],
        )
        if address != mailbox["address"]:
            raise AssertionError("the mailbox is not where gmemd wants it")
        linux.mseal(address, mailbox["length"])

    def map_page(self, fd=None):
        """The report page; vm.open's, or another."""
        protection = linux.PROT_READ | linux.PROT_WRITE
        fd = self.fds[self.opened["report"]["fd"]] if fd is None else fd
        self.page = linux.mmap(None, self.opened["report"]["length"], protection, linux.MAP_SHARED, fd)

    def write_word(self, call, index, word):
        """One store, for an entry of a call that can be reported so."""
        if self.page is None:
            self.map_page()
        offset = call["report"] + index * call["stride"] // 4
        ctypes.c_uint64.from_address(self.page + offset).value = word

    def write_report(self, call, done, failed=False):
        for index in range(done):
            self.write_word(call, index, call["id"])
        if failed:
            self.write_word(call, done, call["id"] | FAILED)

    def close_files(self):
        close_all(self.fds)
        self.fds = []
        if self.vm_fd >= 0:
            os.close(self.vm_fd)
        self.vm_fd = -1

    def trigger(self, call):
        """(how many succeeded, the last one's result, the errno's name where one failed)."""
        result = -1
        for i in range(call["count"]):
            try:
                result = linux.ioctl(
                    self.vm_fd, call["request"], call["address"] + i * call["stride"]
                )
            except OSError as e:
                return i, -1, errno.errorcode[e.errno]
        return call["count"], result, None

    def report(self, call, done, name=None, fd=None):
        """call.done as a request."""
        params = {"vm": self.id, "call": call["id"], "done": done}
        if name is not None:
            params["errno"] = name
        if fd is not None:
            params["fd"] = fd
        return self.peer.call("call.done", params)

    def notify_done(self, call, fd):
        """call.done of a creation, as a notification."""
        params = {"vm": self.id, "call": call["id"], "done": 1, "fd": fd}
        self.peer.send({"jsonrpc": "2.0", "method": "call.done", "params": params})

    def carry_out(self, call):
        """Triggers a call that makes no file, and reports it. Raises OSError where it fails."""
        if call is None:
            return
        done, _, name = self.trigger(call)
        if self.by_page:
            self.write_report(call, done, failed=name is not None)
        else:
            self.report(call, done, name)
        if name is not None:
            raise OSError(getattr(errno, name), name)

    def create(self, size, **options):
        """A new guest_memfd: (its id, its fd, which is the caller's)."""
        params = dict({"vm": self.id, "size": size}, **options)
        result, fds = self.peer.call_with_fds("memory.create", params)
        if result["call"] is None:
            return result["memory"], fds[result["fd"]]
        done, fd, name = self.trigger(result["call"])
        if name is not None:
            self.report(result["call"], done, name)
            raise OSError(getattr(errno, name), name)
        self.report(result["call"], done, fd=fd)
        return result["memory"], fd

    def bind_params(self, slot, address, size, memory, fd, offset=0, **options):
        params = {
            "vm": self.id,
            "slot": slot,
            "guest_phys_addr": address,
            "memory_size": size,
            "userspace_addr": 0x7F0000000000 + address,
            "memory": memory,
            "guest_memfd_offset": offset,
            "guest_memfd": fd,
        }
        params.update(options)
        return params

    def bind(self, *arguments, **options):
        result = self.peer.call("slot.bind", self.bind_params(*arguments, **options))
        self.carry_out(result["call"])
        return result

    def bind_own(self, slot, address, size, userspace_addr, flags=()):
        """A slot on the VMM's own memory."""
        params = {
            "vm": self.id,
            "slot": slot,
            "guest_phys_addr": address,
            "memory_size": size,
            "userspace_addr": userspace_addr,
            "memory": None,
            "guest_memfd_offset": 0,
            "guest_memfd": None,
            "flags": list(flags),
        }
        self.carry_out(self.peer.call("slot.bind", params)["call"])

    def map(self, fd, size, offset=0):
        """A mapping of a memory: its address."""
        protection = linux.PROT_READ | linux.PROT_WRITE
        return linux.mmap(None, size, protection, linux.MAP_SHARED, fd, offset)

    def mapping_params(self, slot, address, size, memory, mapped, offset=0, flags=()):
        return {
            "slot": slot,
            "guest_phys_addr": address,
            "memory_size": size,
            "userspace_addr": mapped,
            "memory": memory,
            "guest_memfd_offset": offset,
            "flags": list(flags),
            "through": "mapping",
        }

    def bind_mapping(self, *arguments, **options):
        """A slot on the VMM's own mapping of a memory."""
        params = dict(self.mapping_params(*arguments, **options), vm=self.id)
        self.carry_out(self.peer.call("slot.bind", params)["call"])

    def change(self, changes):
        """Several slots at once."""
        for call in self.peer.call("slot.change", {"vm": self.id, "changes": changes})["calls"] or []:
            self.carry_out(call)

    def unbind(self, slot):
        self.carry_out(self.peer.call("slot.unbind", {"vm": self.id, "slot": slot})["call"])

    def get(self):
        """All of vm.get, its pages put together."""
        page = self.peer.call("vm.get", {"vm": self.id})
        whole = dict(page)
        while "cursor" in page:
            page = self.peer.call("vm.get", {"vm": self.id, "cursor": page["cursor"]})
            for name in ("memories", "slots", "private_ranges", "calls", "grants", "holders"):
                whole[name] += page[name]
        whole.pop("cursor", None)
        return whole


__all__ = ["FAILED", "Vmm", "PAGE"]
