#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers for test_gmemctl.sh: VMMs without a gate, and a gmemd that loses events.

  gmemctl_peers.py vmm SOCKET NAME COUNT SLOTS PENDING [UUID]
      COUNT processes, each with a VM. The first one's has SLOTS memslots on its own memory and,
      where PENDING is 1, a memory whose creation is not reported. NAME is the first one's name,
      the others' have a number behind it.
  gmemctl_peers.py gmemd SOCKET SEQUENCE...
      Serves one peer: answers its first request, then sends events with these sequences.

Prints "ready" once all is there, and ends when its standard input does.
"""
import array
import ctypes
import fcntl
import json
import mmap
import os
import socket
import sys

KVM_CREATE_VM = 0xAE01
PAGE = 4096
MAP_FIXED_NOREPLACE = 0x100000

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]


class Vmm:
    def __init__(self, path, name, **options):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.fds = []
        opened = self.call("vm.open", name=name, gate="none", **options)
        self.vm = opened["vm"]
        mailbox = opened["mailbox"]
        libc.mmap(mailbox["address"], mailbox["length"], mmap.PROT_READ,
                  mmap.MAP_SHARED | MAP_FIXED_NOREPLACE, self.fds[mailbox["fd"]], 0)
        self.vm_fd = fcntl.ioctl(self.fds[opened["kvm"]], KVM_CREATE_VM, 0)

    def call(self, method, **params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.socket.send(json.dumps(request).encode())
        data, control, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(16 * 4))
        self.fds = array.array("i")
        for _, _, fds in control:
            self.fds.frombytes(fds)
        answer = json.loads(data)
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]

    def bind(self, slot, address):
        call = self.call("slot.bind", vm=self.vm, slot=slot, guest_phys_addr=slot * PAGE,
                         memory_size=PAGE, userspace_addr=address + slot * PAGE, memory=None)["call"]
        if libc.ioctl(self.vm_fd, call["request"], call["address"]) < 0:
            raise SystemExit(f"ioctl: {os.strerror(ctypes.get_errno())}")
        self.call("call.done", vm=self.vm, call=call["id"], done=1)


def wait_for_end():
    print("ready", flush=True)
    sys.stdin.read()


def vmm(path, name, count, slots, pending, **options):
    for number in range(1, count):
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            other = Vmm(path, f"{name}-{number}")
            os.write(write_end, other.vm.encode())
            sys.stdin.read()
            os._exit(0)
        os.close(write_end)
        if not os.read(read_end, 1):
            raise SystemExit("a VMM has failed")
        os.close(read_end)
    first = Vmm(path, name, **options)
    if slots:
        address = libc.mmap(None, slots * PAGE, mmap.PROT_READ | mmap.PROT_WRITE,
                            mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    for slot in range(slots):
        first.bind(slot, address)
    if pending:
        first.call("memory.create", vm=first.vm, size=2 * PAGE, name="never")
    wait_for_end()


def gmemd(path, sequences):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    print("ready", flush=True)
    peer, _ = listener.accept()
    request = json.loads(peer.recv(65536))
    peer.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {}}).encode())
    for sequence in sequences:
        params = {"seq": sequence, "time": 1700000000000016, "kind": "gate_refused", "vm": "vm-1",
                  "name": "a b", "memory_size": 1536 * 1024, "guest_phys_addr": 4096}
        event = {"jsonrpc": "2.0", "method": "event", "params": params}
        peer.send(json.dumps(event).encode())


if sys.argv[1] == "vmm":
    chosen = {"uuid": sys.argv[7]} if len(sys.argv) > 7 else {}
    vmm(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6] == "1", **chosen)
else:
    gmemd(sys.argv[2], [int(word) for word in sys.argv[3:]])
