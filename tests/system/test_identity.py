#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who a peer is: its process, by more than its pid; its user, as it was; and a main thread that has
ended is not all of a process.

test_identity.py vmm|successor PATH: what runs in gmemd's PID namespace.
"""

import array
import json
import os
import signal
import socket
import subprocess
import sys
import threading

from gmemtest import linux
from gmemtest.child import Child, RemotePeer
from gmemtest.host import Host, wait_until
from gmemtest.tap import Skip, check, equal, main, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer

ALICE, BOB = 54321, 54322
MIB = 1 << 20
LAST_PID = "/proc/sys/kernel/ns_last_pid"

host = None


def set_up():
    global host
    linux.require_guest_memfd()
    linux.require_root()
    host = Host()


def tear_down():
    host.stop()


def vms(daemon):
    operator = daemon.operator()
    listed = operator.call("vm.list")["vms"]
    operator.close()
    return {vm["vm"]: vm for vm in listed}


def comm_of(pid):
    with open("/proc/%d/comm" % pid, encoding="ascii") as file:
        return file.read().strip()


class Contained(Host):
    """gmemd as PID 1 of a PID namespace of its own; its sockets are there for all."""

    def spawn(self):
        own = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
        if self.arguments[0] != own[0]:
            self.arguments = own + self.arguments
        super().spawn()
        check(wait_until(self._find, 60), "no gmemd in a namespace")

    def _find(self):
        """gmemd's own pid, by whom it was started."""
        outer = self.process.pid
        with open("/proc/%d/task/%d/children" % (outer, outer), encoding="ascii") as children:
            pids = children.read().split()
        if not pids or comm_of(int(pids[0])) != "gmemd":
            return False
        self.pid = int(pids[0])
        return True

    def stop(self):
        """Who has started it ends with it, and with its status."""
        os.kill(self.pid, signal.SIGTERM)
        self.process.wait(60)
        super().stop()

    def run_inside(self, role):
        """This file, in the namespace; its answers are lines of JSON."""
        words = ["nsenter", "--pid=/proc/%d/ns/pid" % self.pid, "--", "unshare", "--fork", "--mount"]
        words += ["--mount-proc", "--kill-child=KILL", sys.executable, __file__, role]
        words.append(self.socket_path("gmemd.sock"))
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=linux.die_with_parent,
            text=True,
        )


# What runs inside


def say(value):
    print(json.dumps(value), flush=True)


def be_vmm(path):
    """A VMM that gmemd can see."""
    vmm = Vmm(Peer(path, 60), "inside")
    memory, _ = vmm.create(PAGE, name="ram")
    say([vmm.id, memory, [vm["vm"] for vm in vmm.peer.call("vm.list")["vms"]]])
    sys.stdin.read()


def hand_over_connection(path, channel):
    """What the first process of a pid does: opens a VM, and leaves its connection to its parent."""
    vmm = Vmm(Peer(path, 60), "first")
    fds = array.array("i", [vmm.peer.socket.fileno()])
    channel.sendmsg([vmm.id.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    signal.pause()


def fork_as(pid, body):
    """A child of that pid, None where the pid could not be had."""
    for _ in range(200):
        with open(LAST_PID, "w", encoding="ascii") as file:
            file.write(str(pid - 1))
        child = os.fork()
        if child == 0:
            try:
                if os.getpid() == pid:
                    body()
            finally:
                os._exit(0)
        if child == pid:
            return child
        os.waitpid(child, 0)
    return None


def be_successor(path):
    """Another process has the pid of one that has opened a VM, whose connection lives on."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    first = os.fork()
    if first == 0:
        hand_over_connection(path, theirs)
    _, control, _, _ = ours.recvmsg(64, socket.CMSG_SPACE(4))
    left = Peer.__new__(Peer)
    left.socket = socket.socket(fileno=array.array("i", control[0][2])[0])
    left.socket.settimeout(60)
    left.events, left.number = [], 9000
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)

    def second():
        vmm = Vmm(Peer(path, 60), "second")
        memory, _ = vmm.create(PAGE)
        theirs.send(json.dumps([vmm.id, memory]).encode())
        signal.pause()

    if not os.path.exists(LAST_PID) or not fork_as(first, second):
        say(None)
        return
    ours.settimeout(60)
    ids = json.loads(ours.recv(64))
    answers = {"vm.list": [vm["vm"] for vm in left.call("vm.list")["vms"]]}
    for method, params in (
        ("vm.get", {"vm": ids[0]}),
        ("memory.open", {"memory": ids[1]}),
        ("vm.close", {"vm": ids[0]}),
        ("vm.resume", {"vm": ids[0]}),
        ("vm.open", {"name": "third", "gate": "none"}),
    ):
        error = left.error(method, params)
        answers[method] = error and error["data"]["reason"]
    say(answers)
    sys.stdin.read()


# Tests


def contained_or_skip():
    try:
        return Contained()
    except FileNotFoundError as e:
        raise Skip("no %s" % e.filename)


@test("gmemd in a PID namespace: who is outside is told so, and sees nothing of others'")
def outside():
    daemon = contained_or_skip()
    path = daemon.socket_path("gmemd.sock")
    inside = daemon.run_inside("vmm")
    vm, memory, seen = json.loads(inside.stdout.readline())
    equal(seen, [vm], "a VMM inside has its VM")
    with RemotePeer(path, ALICE) as alice, RemotePeer(path, BOB) as bob:
        for peer in (alice, bob):
            error = peer.error("vm.open", {"name": "mine", "gate": "none"})
            equal(error["code"], -32002, "vm.open")
            check("PID namespace" in error["data"]["missing"], "why: %r" % error)
            error = peer.error("vm.resume", {"vm": "vm-1", "mailbox": 0})
            equal(error["code"], -32002, "vm.resume")
            equal(peer.call("vm.list"), {"vms": []}, "vm.list")
            equal(peer.call("ping"), {}, "ping")
            for method, params in (
                ("vm.get", {"vm": vm}),
                ("vm.close", {"vm": vm}),
                ("vm.resume", {"vm": vm}),
                ("memory.open", {"memory": memory}),
                ("memory.preallocate", {"memory": memory}),
                ("memory.cancel", {"token": "x"}),
            ):
                equal(peer.error(method, params)["code"], -32001, method)
    equal(list(vms(daemon)), [vm], "an operator outside sees it")
    inside.stdin.close()
    inside.wait(60)
    check(wait_until(lambda: vms(daemon) == {}, 60), "its end releases it")
    daemon.stop()


@test("another process with the pid of a dead one is another: its connection sees nothing of it")
def pid_again():
    daemon = contained_or_skip()
    inside = daemon.run_inside("successor")
    answers = json.loads(inside.stdout.readline() or "null")
    inside.stdin.close()
    inside.wait(60)
    daemon.stop()
    if answers is None:
        raise Skip("no pid can be had again here: " + LAST_PID)
    equal(answers.pop("vm.list"), [], "vm.list")
    equal(answers.pop("vm.open"), "gone", "vm.open by a process that has ended")
    equal(set(answers.values()), {"not_found"}, "all else: %r" % answers)


class Changing(Child):
    """A VMM of root's that becomes another user's."""

    def __init__(self):
        super().__init__(lambda channel: _change(channel, host.socket_path("gmemd.sock")))


def _change(channel, path):
    channel.hear()
    vmm = Vmm(Peer(path, 60), "changing")
    memory, fd = vmm.create(PAGE)
    channel.say([vmm.id, memory])
    channel.hear()
    os.setresuid(ALICE, ALICE, ALICE)
    linux.die_with_parent()
    vmm.peer.close()
    vmm.peer = Peer(path, 60)
    channel.say([vm["tenant"] for vm in vmm.peer.call("vm.list")["vms"]])
    channel.hear()
    vmm.peer.close()
    vmm.peer = Peer(path, 60)
    mailbox = vmm.fds[vmm.opened["mailbox"]["fd"]]
    params = {"vm": vmm.id, "mailbox": mailbox, "memories": [{"memory": memory, "fd": fd}]}
    channel.say(vmm.peer.call("vm.resume", params)["rebuilt"])
    channel.hear()


@test("a VM stays its user's, whatever its process becomes")
def user_stays():
    with Changing() as vmm, RemotePeer(host.socket_path("gmemd.sock"), ALICE) as alice:
        vm, _ = vmm.ask("open")
        equal(vms(host)[vm]["tenant"], "uid:0", "as it is opened")
        equal(vmm.ask("change"), ["uid:0"], "as its process sees it as another user")
        equal(alice.call("vm.list"), {"vms": []}, "that user's others see nothing")
        alice.call("vm.open", {"name": "changing", "gate": "none"})
        host.restart()
        equal(vms(host)[vm]["tenant"], "uid:0", "to a successor")
    check(wait_until(lambda: vms(host) == {}, 60), "a VM is left")
    with Changing() as vmm:
        vm, _ = vmm.ask("open")
        vmm.ask("change")
        host.lose_all()
        equal(vmm.ask("resume"), True, "rebuilt, by a process that is another user's by now")
        equal(vms(host)[vm]["tenant"], "uid:0", "it is whose it was")
    check(wait_until(lambda: vms(host) == {}, 60), "a VM is left")


class Cgroup:
    """A memory cgroup of the test's own, with a limit."""

    def __init__(self, limit):
        with open("/proc/self/cgroup", encoding="ascii") as file:
            lines = [line.strip().split(":", 2) for line in file]
        v1 = [path for _, controllers, path in lines if "memory" in controllers.split(",")]
        root = "/sys/fs/cgroup/memory" + v1[0] if v1 else "/sys/fs/cgroup" + lines[-1][2]
        self.names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        if not v1:
            self.names = ("memory.max", "memory.current")
        self.path = os.path.join(root, "gmemd-identity-%d" % os.getpid())
        try:
            os.mkdir(self.path)
            self.write(self.names[0], limit)
        except OSError as e:
            self.remove()
            raise Skip("no memory cgroup can be made and limited: %s" % e)

    def write(self, name, value):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def usage(self):
        with open(os.path.join(self.path, self.names[1]), encoding="ascii") as file:
            return int(file.read())

    def remove(self):
        def gone():
            try:
                os.rmdir(self.path)
            except FileNotFoundError:
                pass
            except OSError:
                return False
            return True

        return wait_until(gone, 60)


class Leaderless(Child):
    """A VMM in a cgroup whose main thread has ended."""

    def __init__(self, cgroup):
        path = host.socket_path("gmemd.sock")
        super().__init__(lambda channel: _go_without_main_thread(channel, path, cgroup))


def _go_without_main_thread(channel, path, cgroup):
    cgroup.write("cgroup.procs", os.getpid())
    threading.Thread(target=_serve, args=(channel, path)).start()
    linux.exit_thread()


def _serve(channel, path):
    try:
        _work(channel, path)
    except EOFError:
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def _work(channel, path):
    channel.hear()
    wait_until(lambda: _state_of(os.getpid()) == "Z", 60)
    vmm = Vmm(Peer(path, 60), "leaderless")
    memory, fd = vmm.create(64 * MIB)
    vmm.bind(0, 0, 64 * MIB, memory, fd)
    channel.say([vmm.id, memory])
    while True:
        order = channel.hear()[0]
        if order == "resume":
            vmm.peer.close()
            vmm.peer = Peer(path, 60)
            mailbox = vmm.fds[vmm.opened["mailbox"]["fd"]]
            params = {"vm": vmm.id, "mailbox": mailbox, "memories": [{"memory": memory, "fd": fd}]}
            vmm.peer.call("vm.resume", params)
        more, another = vmm.create(PAGE)
        vmm.peer.call("memory.close", {"memory": more})
        os.close(another)
        channel.say(_state_of(os.getpid()))


def _state_of(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


@test("a VMM whose main thread has ended works, and is charged where it is")
def leaderless():
    cgroup = Cgroup(32 * MIB)
    try:
        with Leaderless(cgroup) as vmm:
            vm, memory = vmm.ask("open")
            equal(vms(host)[vm]["name"], "leaderless", "its VM")
            operator = host.operator()
            operator.socket.settimeout(60)
            operator.error("memory.preallocate", {"memory": memory})
            got = operator.call("vm.get", {"vm": vm})["memories"][0]["resident"]
            check(got <= 32 * MIB, "%d bytes are past its cgroup's limit" % got)
            small = {"memory": memory, "offset": 0, "size": 8 * MIB}
            everything = [{"offset": 0, "size": 64 * MIB}]
            operator.call("memory.reclaim", {"memory": memory, "ranges": everything})
            before = cgroup.usage()
            equal(operator.call("memory.preallocate", small)["allocated"], 8 * MIB, "what fits")
            check(cgroup.usage() - before >= 7 * MIB, "is charged to it: %d" % cgroup.usage())
            operator.close()
            equal(vmm.ask("work"), "Z", "it goes on")
            host.lose_all()
            equal(vmm.ask("resume"), "Z", "it is resumed")
        check(wait_until(lambda: vms(host) == {}, 60), "its end releases it")
    finally:
        check(cgroup.remove(), "the cgroup can't be removed")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        {"vmm": be_vmm, "successor": be_successor}[sys.argv[1]](sys.argv[2])
    else:
        main(set_up, tear_down)
