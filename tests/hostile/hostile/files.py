# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that aren't what their numbers say, and processes that end, stop or become others."""

import array
import ctypes
import os
import resource
import select
import signal
import socket
import threading

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.tap import check, equal
from gmemtest.wire import Peer, close_all, request
from hostile.attacker import GONE, INVALID_PARAMS, NOT_FOUND, PAGE, code_of, eventually, hear, memfd, misbehaviour, patiently, process, refused, wait_for_death

CLONE_FILES = 0x400
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
libc = ctypes.CDLL(None, use_errno=True)


def told(vmm, fd):
    """vm.resume of its own VM, that names a memory's file: gmemd takes and compares it."""
    return {"vm": vmm.id, "memories": [{"memory": vmm.memory, "fd": fd}]}


def flips(number, files, enough):
    while not enough.is_set():
        for file in files:
            os.dup2(file, number)


@misbehaviour("number-changes-files")
def number_changes_files(attacker):
    vmm = attacker.vmm_with_memory()
    number, enough = os.dup(vmm.file), threading.Event()
    files = [vmm.file, os.pipe()[0], os.memfd_create("another")]
    thread = threading.Thread(target=flips, args=(number, files, enough))
    thread.start()
    codes = set()
    while attacker.goes_on():
        codes.add(code_of(vmm.peer, "vm.resume", told(vmm, number)))
    enough.set()
    thread.join()
    check(codes <= {0, INVALID_PARAMS}, "codes %r" % codes)
    attacker.note = "codes %r" % sorted(codes)


@misbehaviour("creation-changes-files")
def creation_changes_files(attacker):
    attacker.need_calls()
    vmm = attacker.vmm_with_memory()
    while attacker.goes_on():
        created = patiently(vmm.peer.call, "memory.create", {"vm": vmm.id, "size": PAGE})
        _, right, _ = vmm.trigger(created["call"])
        number, enough = os.dup(right), threading.Event()
        thread = threading.Thread(target=flips, args=(number, [right, vmm.file], enough))
        thread.start()
        report = {"vm": vmm.id, "call": created["call"]["id"], "done": 1, "fd": number}
        code = code_of(vmm.peer, "call.done", report)
        enough.set()
        thread.join()
        check(code in (0, INVALID_PARAMS), "code %d" % code)
        if code:
            vmm.peer.call("call.done", dict(report, fd=right))
        result, fds = vmm.peer.call_with_fds("memory.open", {"memory": created["memory"]})
        equal(os.fstat(fds[result["fd"]]).st_ino, os.fstat(right).st_ino, "the file that gmemd has")
        vmm.peer.call("memory.close", {"memory": created["memory"]})
        close_all([right, number] + fds)


def die_while_taken(channel, attacker):
    vmm = attacker.vmm_with_memory()
    channel.say(vmm.id)
    for number in range(20):
        vmm.peer.send(request("vm.resume", told(vmm, vmm.file), number))
    os.kill(os.getpid(), signal.SIGKILL)


@misbehaviour("dies-while-files-are-taken")
def dies_while_files_are_taken(attacker):
    while attacker.goes_on():
        with process(die_while_taken, attacker) as child:
            child.channel.hear()
            wait_for_death(child)


def stop_while_taken(channel, attacker):
    vmm = attacker.vmm_with_memory()
    for number in range(20):
        vmm.peer.send(request("vm.resume", told(vmm, vmm.file), number))
    channel.say("asked")
    os.kill(os.getpid(), signal.SIGSTOP)


@misbehaviour("stops-while-files-are-taken")
def stops_while_files_are_taken(attacker):
    with process(stop_while_taken, attacker) as child:
        hear(child, "asked", "the one that stops")
        os.waitpid(child.pid, os.WUNTRACED)
        attacker.stays()


@misbehaviour("traced-while-files-are-taken")
def traced_while_files_are_taken(attacker):
    def be_traced(channel):
        vmm = attacker.vmm_with_memory()
        channel.say("open")
        channel.hear()
        channel.say([code_of(vmm.peer, "vm.resume", told(vmm, vmm.file)) for _ in range(5)])
        channel.hear()

    with process(be_traced) as child:
        hear(child, "open", "the one to be traced")
        equal(libc.ptrace(PTRACE_SEIZE, child.pid, 0, 0), 0, "PTRACE_SEIZE")
        child.channel.say("go")
        equal(libc.ptrace(PTRACE_INTERRUPT, child.pid, 0, 0), 0, "PTRACE_INTERRUPT")
        attacker.stays()


def be_vmm(channel, attacker):
    vmm = attacker.vmm_with_memory()
    channel.say(vmm.id)
    channel.hear()


@misbehaviour("stays-a-zombie")
def stays_a_zombie(attacker):
    """Its parent doesn't wait for it: all but its pid is gone."""
    with process(be_vmm, attacker) as child:
        child.channel.hear()
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        check(attacker.is_released(child.pid), "its VM is not released")
        attacker.stays()


def execute(channel, attacker):
    vmm = attacker.vmm_with_memory()
    vmm.peer.send(request("memory.create", {"vm": vmm.id, "size": PAGE, "backing": "memfd"}))
    os.set_inheritable(vmm.peer.socket.fileno(), True)
    channel.say(vmm.id)
    os.execv("/bin/sleep", ["sleep", "120"])


@misbehaviour("becomes-another-program")
def becomes_another_program(attacker):
    with process(execute, attacker) as child:
        child.channel.hear()
        check(eventually(lambda: name_of(child.pid) == "sleep"), "it executes nothing")
        attacker.stays()


def name_of(pid):
    with open("/proc/%d/comm" % pid, encoding="ascii") as file:
        return file.read().strip()


def lend(channel, attacker, pair):
    """Its connection goes to its parent, with a VM behind it."""
    vmm = attacker.vmm_with_memory()
    socket.send_fds(pair, [b"x"], [vmm.peer.socket.fileno()])
    channel.say([vmm.id, vmm.memory])
    channel.hear()


def borrowed(ours):
    """A peer that speaks on a connection of another's."""
    _, [fd], _, _ = socket.recv_fds(ours, 1, 1)
    peer = Peer.__new__(Peer)
    peer.socket, peer.events, peer.number = socket.socket(fileno=fd), [], 1
    peer.socket.settimeout(60)
    return peer


@misbehaviour("connection-outlives-its-process")
def connection_outlives_its_process(attacker):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with process(lend, attacker, theirs) as child:
        vm, memory = child.channel.hear()
        peer = borrowed(ours)
        equal(code_of(peer, "vm.get", {"vm": vm}), 0, "while it lives")
        pid = child.pid
    check(attacker.is_released(pid), "its VM is not released")
    for method, params in (("vm.get", {"vm": vm}), ("memory.open", {"memory": memory})):
        refused(peer, method, params, NOT_FOUND, GONE, why="afterwards " + method)
    refused(peer, "vm.open", {"name": "of the dead", "gate": "none"}, GONE)
    attacker.stays()


@misbehaviour("borrows-a-connection")
def borrows_a_connection(attacker):
    """A number on it is one of the process that has connected, whoever speaks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with process(lend, attacker, theirs) as child:
        vm, memory = child.channel.hear()
        peer = borrowed(ours)
        own = attacker.vmm_with_memory()
        own.file = move_far_away(own.file)
        params = {"vm": vm, "memories": [{"memory": memory, "fd": own.file}]}
        refused(peer, "vm.resume", params, INVALID_PARAMS, why="a number of the borrower's")
        refused(own.peer, "vm.get", {"vm": vm}, NOT_FOUND)
        attacker.stays()


def move_far_away(fd):
    """A number that the other process has not."""
    far = 900
    os.dup2(fd, far)
    return far


def be_one_of_many(channel, attacker):
    vmm = attacker.vmm("one of many")
    vmm.peer.send(request("memory.preallocate", {"memory": memfd(vmm, 64)}))
    channel.say("ready")
    channel.hear()


@misbehaviour("many-processes-die-at-once")
def many_processes_die_at_once(attacker):
    children = [Child(lambda channel: be_one_of_many(channel, attacker)) for _ in range(24)]
    for child in children:
        hear(child, "ready", "one of many")
    attacker.stays()
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
    for child in children:
        child.end()


@misbehaviour("files-of-one-thread")
def files_of_one_thread(attacker):
    """A thread that has left the others' table of files: its numbers are not the process's."""
    vmm, codes = attacker.vmm_with_memory(), []

    def run():
        equal(libc.unshare(CLONE_FILES), 0, "unshare")
        far = move_far_away(vmm.file)
        codes.append(code_of(vmm.peer, "vm.resume", told(vmm, far)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    equal(codes, [INVALID_PARAMS], "a number of the thread's own")
    equal(code_of(vmm.peer, "vm.resume", told(vmm, vmm.file)), 0, "one of the process's")


@misbehaviour("has-no-room-for-files")
def has_no_room_for_files(attacker):
    """What gmemd sends it is lost on the way, and is on its way no more."""
    vmm = attacker.vmm_with_memory()
    peer = attacker.peers(1)[0]
    used = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(3, used - 4), hard))
    count = 0
    while attacker.goes_on():
        peer.send(request("memory.open", {"memory": vmm.memory}))
        _, control, flags, _ = peer.socket.recvmsg(1 << 16, socket.CMSG_SPACE(16 * 4))
        count += bool(flags & socket.MSG_CTRUNC)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check(count > 0, "none was lost")
    equal(len(vmm.peer.call_with_fds("memory.open", {"memory": vmm.memory})[1]), 1, "with room")


def strange_files(attacker):
    """(what it is, its number)"""
    epoll, peer = select.epoll(), attacker.peer()
    epoll.register(peer.socket.fileno(), select.EPOLLIN)
    nested = select.epoll()
    nested.register(epoll.fileno(), select.EPOLLIN)
    huge = os.memfd_create("gmemd-memory-1", os.MFD_ALLOW_SEALING)
    os.ftruncate(huge, (1 << 63) - PAGE)
    linux.seal(huge)
    strange = [
        ("the connection", peer.socket.fileno()),
        ("an epoll of it", epoll.fileno()),
        ("an epoll of that", nested.fileno()),
        ("a huge memfd", huge),
        ("an eventfd", os.eventfd(0)),
        ("its own pidfd", os.pidfd_open(os.getpid())),
        ("its own memory", os.open("/proc/self/mem", os.O_RDWR)),
        ("its own files", os.open("/proc/self/fd", os.O_RDONLY)),
    ]
    ring = io_uring()
    if ring is not None:
        strange.append(("an io_uring", ring))
    attacker.kept_files = (epoll, nested, peer)
    return strange


def io_uring():
    parameters = ctypes.create_string_buffer(120)
    fd = libc.syscall(ctypes.c_long(425), ctypes.c_uint(4), parameters)
    return fd if fd >= 0 else None


@misbehaviour("names-strange-files")
def names_strange_files(attacker):
    vmm = attacker.vmm_with_memory()
    strange = strange_files(attacker)
    while attacker.goes_on():
        for what, number in strange:
            refused(vmm.peer, "vm.resume", told(vmm, number), INVALID_PARAMS, why=what)
    lost = {"vm": "vm-999999999", "mailbox": strange[0][1]}
    refused(vmm.peer, "vm.resume", lost, NOT_FOUND, INVALID_PARAMS, why="a VM that there isn't")


@misbehaviour("sends-forged-credentials")
def sends_forged_credentials(attacker):
    """Another's, which the kernel refuses, and its own, which gmemd doesn't ask for."""
    peer = attacker.peers(1)[0]
    uid = os.getuid()
    while attacker.goes_on():
        for pid, user in ((1, 0), (os.getpid(), 0), (os.getpid(), uid)):
            control = array.array("i", [pid, user, user]).tobytes()
            try:
                peer.socket.sendmsg([b'{"jsonrpc":"2.0","id":1,"method":"ping"}'], [(socket.SOL_SOCKET, 2, control)])
            except PermissionError:
                continue
            equal(peer.receive_answer()[0].get("result"), {}, "a ping with its own credentials")
    equal(peer.call("vm.list"), {"vms": []}, "what it is shown")


@misbehaviour("dies-in-its-child's-arms")
def forked_connection(attacker):
    """A connection that parent and child both speak on; then the parent ends, whose VM it is."""

    def parent(channel):
        vmm = attacker.vmm("parent")
        memfd(vmm)
        pid = os.fork()
        if pid == 0:
            linux.die_with_parent()
            try:
                while True:
                    vmm.peer.send(request("ping"))
                    vmm.peer.socket.recv(65536)
            except OSError:
                os._exit(0)
        for _ in range(50):
            vmm.peer.send(request("vm.get", {"vm": vmm.id}))
            vmm.peer.socket.recv(65536)
        channel.say(vmm.id)
        channel.hear()

    with process(parent) as child:
        child.channel.hear()
        attacker.lasts()
        pid = child.pid
    check(attacker.is_released(pid, "parent"), "its VM is not released")

