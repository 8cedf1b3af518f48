#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain's <emulator> where there is no KVM: opens the VM that gmem-run-qemu would open, on a gmemd whose back end is the
model, with as much memory as the domain has, and becomes QEMU without KVM."""

import json
import os
import socket
import sys

QEMU = "/usr/bin/qemu-system-x86_64"


def word_after(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv[:-1] else None


class Gmemd:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect("/run/gmemd/gmemd.sock")

    def call(self, method, **params):
        self.socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
        answer, _, _, _ = socket.recv_fds(self.socket, 65536, 16)
        answer = json.loads(answer)
        if "error" in answer:
            sys.exit("domain_vmm: gmemd refused: " + answer["error"]["message"])
        return answer["result"]


def memory_size():
    """Bytes: of "-m 64", or "-m size=65536k,slots=2,maxmem=131072k"."""
    size = word_after("-m").split(",")[0].removeprefix("size=")
    return int(size[:-1]) << 10 if size.endswith("k") else int(size) << 20


def main():
    uuid, name = word_after("-uuid"), word_after("-name")
    if uuid and name:
        gmemd = Gmemd()
        name = name.split(",")[0].removeprefix("guest=")
        vm = gmemd.call("vm.open", name=name, uuid=uuid, gate="none")["vm"]
        gmemd.call("memory.create", vm=vm, size=memory_size())
    os.execv(QEMU, [QEMU, *sys.argv[1:]])


if __name__ == "__main__":
    main()
