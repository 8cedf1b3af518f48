#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one process can do to another, and what a VMM can do to another's VM.

stranger.py PID [hard]: a line for each attempt on a process, "NAME: done" or "NAME: ERRNO"; with
"hard" those too that it would not survive.
stranger.py PID hard VM MEMORY: as a VMM under gmem-run, and what gmemd says of another's VM; then
waits to be ended.
"""

import ctypes
import errno
import os
import resource
import signal
import socket
import sys
import time

from gmemtest.wire import Peer, RpcError

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
PIDFD_GETFD, KCMP = 438, 312


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def an_address(pid):
    """One that the process has mapped and may write; any, where that can't be seen."""
    try:
        with open("/proc/%d/maps" % pid, encoding="ascii") as maps:
            return next(int(line.split("-")[0], 16) for line in maps if " rw-p " in line)
    except OSError:
        return 0x1000


def read_proc(name):
    def attempt(pid):
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            file.read(1)

    return attempt


def read_mem(pid):
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as file:
        file.seek(an_address(pid))
        file.read(1)


def move(function, pid, byte):
    own = Vector(ctypes.addressof(byte), 1)
    other = Vector(an_address(pid), 1)
    checked(function(pid, ctypes.byref(own), 1, ctypes.byref(other), 1, 0))


def read_memory(pid):
    move(LIBC.process_vm_readv, pid, ctypes.c_char())


def write_memory(pid):
    """With what is there, where that can be read."""
    byte = ctypes.c_char()
    try:
        move(LIBC.process_vm_readv, pid, byte)
    except OSError:
        pass
    move(LIBC.process_vm_writev, pid, byte)


def trace(pid):
    """The kernel detaches when this thread ends: so nothing is left behind."""
    checked(LIBC.ptrace(PTRACE_SEIZE, pid, None, None))


def take_file(pid):
    pidfd = os.pidfd_open(pid)
    try:
        os.close(checked(LIBC.syscall(PIDFD_GETFD, pidfd, 0, 0)))
    finally:
        os.close(pidfd)


def signal_by_pidfd(pid):
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    finally:
        os.close(pidfd)


def compare_files(pid):
    checked(LIBC.syscall(KCMP, os.getpid(), pid, 0, 0, 0))


def limit(pid):
    own = resource.prlimit(pid, resource.RLIMIT_CORE)
    resource.prlimit(pid, resource.RLIMIT_CORE, own)


ATTEMPTS = (
    ("see it in /proc", lambda pid: os.stat("/proc/%d" % pid)),
    ("read its command line", read_proc("cmdline")),
    ("read its environment", read_proc("environ")),
    ("read its memory map", read_proc("maps")),
    ("list its files", lambda pid: os.listdir("/proc/%d/fd" % pid)),
    ("read its memory by /proc", read_mem),
    ("read its memory", read_memory),
    ("write its memory", write_memory),
    ("take its file", take_file),
    ("compare its files", compare_files),
    ("set its limits", limit),
    ("set its processors", lambda pid: os.sched_setaffinity(pid, os.sched_getaffinity(0))),
    ("set its priority", lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19)),
    ("signal it", lambda pid: os.kill(pid, signal.SIGCONT)),
    ("signal it by its pidfd", signal_by_pidfd),
    ("trace it", trace),
)
HARD = (
    ("stop it", lambda pid: os.kill(pid, signal.SIGSTOP)),
    ("kill it", lambda pid: os.kill(pid, signal.SIGKILL)),
)


def try_on(attempts, target):
    for name, attempt in attempts:
        try:
            attempt(target)
            print("%s: done" % name)
        except OSError as e:
            print("%s: %s" % (name, errno.errorcode[e.errno]))


def inherited_peer():
    peer = Peer.__new__(Peer)
    peer.socket = socket.socket(fileno=int(os.environ["GMEM_FD"]))
    peer.socket.settimeout(60)
    peer.events, peer.number = [], 5000
    return peer


def try_requests(vm, memory):
    peer = inherited_peer()
    own = os.environ["GMEM_VM"]
    seen = [entry["vm"] for entry in peer.call("vm.list")["vms"]]
    print("list VMs: %s" % ("its own" if seen == [own] else seen))
    for method, params in (
        ("vm.get", {"vm": vm}),
        ("memory.open", {"memory": memory}),
        ("memory.close", {"memory": memory}),
        ("memory.create", {"vm": vm, "size": 4096}),
        ("slot.unbind", {"vm": vm, "slot": 0}),
        ("vm.resume", {"vm": vm}),
        ("vm.close", {"vm": vm}),
    ):
        try:
            peer.call(method, params)
            print("%s: done" % method)
        except RpcError as e:
            print("%s: %s" % (method, e.data.get("reason")))


def main():
    target = int(sys.argv[1])
    try_on(ATTEMPTS, target)
    if "hard" in sys.argv:
        try_on(HARD, target)
    if len(sys.argv) > 3:
        try_requests(sys.argv[3], int(sys.argv[4]))
        print("finished", flush=True)
        while True:
            time.sleep(60)


main()
