# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VMM in a process of its own, that does what it is told, and says what came of it."""

import os

from gmemtest.child import Child
from gmemtest.tap import Failed
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer


class _Machine:
    def __init__(self, path):
        self.path = path
        self.peer = Peer(path)
        self.vmm = None
        self.files = {}

    def open(self, params):
        """It gets no mailbox a second time in this process: so on KVM a process opens one VM."""
        self.vmm = Vmm(self.peer, **params)
        return self.vmm.opened

    def create(self, params):
        memory, self_fd = self.vmm.create(**params)
        self.files[memory] = self_fd
        return memory

    def bind(self, params):
        memory = params["memory"]
        return self.vmm.bind(fd=self.files[memory], **params)

    def unbind(self, params):
        return self.vmm.unbind(params["slot"])

    def close(self, params):
        result = self.peer.call("memory.close", params)
        os.close(self.files.pop(params["memory"]))
        return result

    def close_vm(self, params):
        result = self.peer.call("vm.close", params)
        for fd in self.files.values():
            os.close(fd)
        self.files.clear()
        self.vmm.close_files()
        return result

    def open_memory(self, params):
        """Holds nothing of it afterwards."""
        result, fds = self.peer.call_with_fds("memory.open", params)
        for fd in fds:
            os.close(fd)
        return result["size"]

    def call(self, params):
        return self.peer.call(*params)


def _serve(channel, path):
    machine = _Machine(path)
    channel.say("ready")
    channel.serve(lambda operation, params: getattr(machine, operation)(params))


class Machine(Child):
    """do() returns (result, None) or (None, error)."""

    def __init__(self, path, uid):
        super().__init__(lambda channel: _serve(channel, path), uid)
        self.channel.hear()
        self.vm = None  # its VM's number

    def do(self, operation, params):
        kind, value = self.ask(operation, params)
        if kind == "failed":
            raise Failed(value)
        return (None, value) if kind == "error" else (value, None)
