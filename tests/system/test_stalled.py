#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A keeper that does not answer, or ends, or can't send, stops nobody: what needs it not is served as ever, what must outlive
gmemd is put as far as the keeper's queue takes it and then refused as busy, and nothing is lost or left behind."""

import os
import resource
import signal
import socket
import struct
import subprocess
import time

from gmemtest.child import RemotePeer
from gmemtest.host import Host, busy_passes, wait_until
from gmemtest.keeper import KeeperPeer
from gmemtest.tap import Failed, Skip, check, equal, main, need, test
from gmemtest.vmm import PAGE, Vmm
from gmemtest.wire import Peer, RpcError, close_all, request

AT_ONCE = 1  # second, in which others are to be served
WAIT = 60
PEER, MEMORY = 2, 21  # kinds of what the keeper holds
BUSY = -32007
VMS = 60  # that a process opens and closes: more than the keeper is told of at once
MANY = 600  # memories: more than the keeper's queue takes
CONFIG = "[limits]\nclosed-memories-per-vm = 0\nmemories-per-vm = %d\n" % (2 * MANY)
GMEMCTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")

host = vmm = None


def set_up():
    global host, vmm
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    host = Host(config=CONFIG, keep_closed=False)
    vmm = Vmm(connect())


def tear_down():
    host.stop()


def connect():
    return Peer(host.socket_path("gmemd.sock"), WAIT)


def keeper_pid():
    """Of the one that serves; what has started it may be there still."""
    with KeeperPeer(host.path) as peer:
        return struct.unpack("3i", peer.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def other_keeper(than):
    """The next one's pid, once it serves."""
    found = []

    def is_there():
        try:
            found.append(keeper_pid())
        except OSError:
            return False
        return found[-1] != than

    need(wait_until(is_there, WAIT), "there is no other keeper")
    return found[-1]


def process_state(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


class Stopped:
    """The keeper, which goes on at the end."""

    def __enter__(self):
        self.pid = keeper_pid()
        self.goes = False
        os.kill(self.pid, signal.SIGSTOP)
        need(wait_until(lambda: process_state(self.pid) == "T"), "the keeper does not stop")
        return self

    def go_on(self):
        self.goes = True
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        self.goes = True
        os.kill(self.pid, signal.SIGKILL)

    def __exit__(self, *_):
        if not self.goes:
            self.go_on()


class Memories:
    """Memories of this process's one VM, each of a file that gmemd makes and puts; they are closed at the end."""

    def __enter__(self):
        self.peer, self.vm = vmm.peer, vmm.id
        self.files = []
        return self

    def create(self):
        params = {"vm": self.vm, "size": PAGE, "backing": "memfd"}
        result, fds = self.peer.call_with_fds("memory.create", params)
        self.files += fds
        return result["memory"]

    def create_until_busy(self):
        """How many could be made, and the refusal."""
        for number in range(MANY):
            try:
                self.create()
            except RpcError as e:
                return number, e
        raise Failed("nothing is ever refused")

    def __exit__(self, *_):
        close_all(self.files)
        for memory in vmm.get()["memories"]:
            self.peer.call("memory.close", {"memory": memory["memory"]})


def took(function):
    start = time.monotonic()
    function()
    return time.monotonic() - start


def at_once(function, what):
    seconds = took(function)
    check(seconds < AT_ONCE, "%s took %.2f s" % (what, seconds))


def ping_anew():
    peer = connect()
    equal(peer.call("ping"), {}, "a new connection's ping")
    peer.close()


def described():
    peer = host.operator()
    keeper = peer.call("host.describe")["keeper"]
    peer.close()
    return keeper


def is_held():
    return described()["state"] == "held"


def held():
    """Inodes by ids of what the keeper has of VMs and connections."""
    with KeeperPeer(host.path) as peer:
        files = peer.take_all()
    inodes = {one: os.fstat(fd).st_ino for one, fd in files.items() if one[0] >= PEER}
    close_all(files.values())
    return inodes


def memories_held():
    return {one[2] for one in held() if one[0] == MEMORY}


def peers_held():
    return [one for one in held() if one[0] == PEER]


def all_memories():
    return {one["memory"] for one in vmm.get()["memories"]}


def all_are_held():
    expected = all_memories()
    check(wait_until(lambda: memories_held() == expected, WAIT), "not all memories are held")


def status():
    run = subprocess.run(
        [GMEMCTL, "--socket=" + host.socket_path("admin.sock"), "status"],
        capture_output=True, text=True, timeout=WAIT, check=True,
    )
    return run.stdout


@test("a stopped keeper: who is connected and who connects are served at once, and are afterwards")
def connections():
    old = connect()
    equal(old.call("ping"), {}, "before")
    with Stopped() as keeper:
        at_once(lambda: old.call("ping"), "an old connection's ping")
        at_once(ping_anew, "a new connection's")
        crowd = [connect() for _ in range(100)]
        for number, peer in enumerate(crowd):
            at_once(lambda: peer.call("ping"), "ping of connection %d" % number)
        at_once(ping_anew, "another's, meanwhile")
        for peer in crowd[::2]:
            peer.close()
        keeper.go_on()
        for peer in [old, *crowd[1::2]]:
            equal(peer.call("ping"), {}, "afterwards")
        check(wait_until(is_held, WAIT), "the keeper has not caught up")
        check(wait_until(lambda: len(peers_held()) == 52, WAIT), "connections that are held")
    host.restart()
    for peer in [old, *crowd[1::2]]:
        equal(peer.call("ping"), {}, "by the next gmemd")
        peer.close()


@test("it is told once in the log, and as long as it lasts in the status")
def told():
    lines = host.log().count("does not answer")
    with Stopped() as keeper:
        ping_anew()
        check(wait_until(lambda: described()["state"] == "stalled"), "host.describe says nothing")
        check("stalled" in status(), "gmemctl status says nothing: " + status())
        check(wait_until(lambda: host.log().count("does not answer") > lines), "the log says nothing")
        time.sleep(3)
        keeper.go_on()
        check(wait_until(is_held, WAIT), "it is stalled still")
        check("stalled" not in status(), "gmemctl status says so still: " + status())
    equal(host.log().count("does not answer"), lines + 1, "how often the log says so")
    check("gmemd-keeper answers again" in host.log(), "the log does not say when it is over")


@test("what must be put is served until the queue is full, then busy; all else goes on; then all is as if nothing had been")
def queue_is_full():
    with Memories() as memories:
        first, fd = vmm.create(2 * PAGE)
        vmm.bind(0, 0, PAGE, first, fd)
        with Stopped() as keeper:
            made, refusal = memories.create_until_busy()
            check(made >= 100, "%d memories were made" % made)
            equal((refusal.code, refusal.data["reason"]), (BUSY, "busy"), "the refusal")
            check("gmemd-keeper" in refusal.error["message"], "names no keeper: " + refusal.error["message"])
            check(refusal.data["retry_after_ms"] > 0, "does not say when to repeat it")
            refuses_all_that_is_put()
            before = vmm.get()
            at_once(lambda: vmm.bind(1, PAGE, PAGE, first, fd, offset=PAGE), "binding")
            at_once(lambda: vmm.unbind(1), "unbinding")
            at_once(ping_anew, "a new connection's ping")
            closed = before["memories"][-1]["memory"]
            at_once(lambda: vmm.peer.call("memory.close", {"memory": closed}), "closing a memory")
            keeper.go_on()
            params = {"vm": vmm.id, "size": PAGE, "backing": "memfd"}
            close_all(busy_passes(vmm.peer, "memory.create", params)[1])
        all_are_held()
        view = vmm.get()
        host.restart()
        equal(vmm.get(), view, "by the next gmemd")
        check("could not be taken over" not in host.log(), "something could not be taken over")
        vmm.unbind(0)
        os.close(fd)


def refuses_all_that_is_put():
    before = vmm.get()
    for params in ({"size": PAGE}, {"size": PAGE, "backing": "memfd"}):
        error = vmm.peer.error("memory.create", dict(params, vm=vmm.id))
        equal(error and error["code"], BUSY, "memory.create of %r" % params)
    with RemotePeer(host.socket_path("gmemd.sock")) as other:
        error = other.error("vm.open", {"name": "other", "gate": "none"})
        equal(error and error["code"], BUSY, "vm.open")
    equal(len(host.operator().call("vm.list")["vms"]), 1, "VMs")
    equal(vmm.get(), before, "what the refused have changed")


@test("a notification that reports a creation is not lost while the keeper is stalled")
def notified():
    with Memories() as memories:
        created = vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE})
        _, fd, _ = vmm.trigger(created["call"])
        with Stopped():
            memories.create_until_busy()
            vmm.notify_done(created["call"], fd)
            equal(vmm.peer.call("ping"), {}, "it is served")
        os.close(fd)
        states = {one["memory"]: one["state"] for one in vmm.get()["memories"]}
        equal(states[created["memory"]], "ready", "the memory")
        all_are_held()


@test("a VM whose process has closed others before is there after a kill, though the keeper was not told that those are gone")
def last_of_many():
    params = {"name": "last of many", "gate": "none"}
    with RemotePeer(host.socket_path("gmemd.sock")) as other:
        other.call("ping")  # the keeper has its connection
        with Stopped():
            for _ in range(VMS):
                other.call("vm.open", params)
                other.call("vm.close", {"vm": own_vm(other)})
            other.call("vm.open", params)
            vm = own_vm(other)
            host.kill()
        host.start(alone=False)
        equal(other.error("vm.get", {"vm": vm}), None, "the last one")
        equal(own_vm(other), vm, "what it is shown")


def own_vm(peer):
    [vm] = peer.call("vm.list")["vms"]
    return vm["vm"]


@test("a keeper that is killed while it is stalled: the next one is given all")
def killed_while_stalled():
    with Memories() as memories:
        with Stopped() as keeper:
            memories.create_until_busy()
            peer = connect()
            equal(peer.call("ping"), {}, "a new connection")
            keeper.kill()
            at_once(lambda: vmm.peer.call("ping"), "a ping meanwhile")
        check(wait_until(is_held, WAIT), "there is no other keeper")
        memories.create()
        all_are_held()
        view = vmm.get()
        host.restart()
        equal(vmm.get(), view, "by the next gmemd")
        equal(peer.call("ping"), {}, "the connection")
        peer.close()


@test("keepers that end amid what they are given: the last one has the very same files")
def killed_amid_putting():
    with Memories() as memories:
        for _ in range(MANY):
            memories.create()
        peers = [connect() for _ in range(40)]
        for peer in peers:
            equal(peer.call("ping"), {}, "before")
        host.restart()  # what it has taken over is put again, too
        check(wait_until(is_held, WAIT), "it is not held")
        # Who has asked for that is held as well, until gmemd has seen it go.
        check(wait_until(lambda: len(peers_held()) == len(peers) + 1, WAIT), "connections that are held")
        before = held()
        pid = keeper_pid()
        for number in range(30):
            os.kill(pid, signal.SIGKILL)
            at_once(lambda: vmm.peer.call("ping"), "a ping")
            pid = other_keeper(pid)
            time.sleep(number / 10000)
        check(wait_until(is_held, WAIT), "there is no other keeper")
        check(wait_until(lambda: held() == before, WAIT), "what the last one holds")
        host.restart()
        for peer in peers:
            equal(peer.call("ping"), {}, "by the next gmemd")
            peer.close()
        all_are_held()


def only_the_vmm_is_held():
    """The test's other connections are not held once they have ended."""
    ping_anew()
    check(wait_until(lambda: len(peers_held()) == 1, WAIT), "connections that are held")


@test("a keeper that can't send what it has accepted: that is served as well, late, and others at once")
def too_many_on_their_way():
    pid = keeper_pid()
    all_are_held()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    limit = len(os.listdir("/proc/%d/fd" % pid)) + 16
    for _ in range(limit // 16 + 1):
        socket.send_fds(ours, [b"x"], [0] * 16)
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, old[1]))
    try:
        first = connect()
        first.send(request("ping", number=1))
        time.sleep(0.5)
        others = [connect() for _ in range(5)]
        for peer in others:
            at_once(lambda: peer.call("ping"), "another's ping")
    finally:
        ours.close()
        theirs.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
    equal(first.receive()[0]["id"], 1, "whose answer it is")
    equal(keeper_pid(), pid, "the keeper")
    for peer in [first, *others]:
        equal(peer.call("ping"), {}, "afterwards")
        peer.close()
    only_the_vmm_is_held()


@test("gmemd can hold no more files when the keeper sends it a connection: it is served as well")
def no_room_for_it():
    with Stopped() as keeper:
        first = connect()  # which the keeper is asked for
        equal(first.call("ping"), {}, "the first, which gmemd accepts by itself")
        old = host.limit_files(host.lowest_free_fd())
        try:
            second = connect()
            second.send(request("ping", number=1))
            keeper.go_on()
            time.sleep(0.5)
            equal(first.call("ping"), {}, "meanwhile")
        finally:
            host.limit_files(old)
    equal(second.receive()[0]["id"], 1, "whose answer it is")
    for peer in (first, second):
        equal(peer.call("ping"), {}, "afterwards")
        peer.close()
    only_the_vmm_is_held()


@test("gmemd is killed and started while the keeper is stopped: it waits, says for whom, and takes all over")
def started_meanwhile():
    with Memories() as memories:
        for _ in range(10):
            memories.create()
        with Stopped() as keeper:
            memories.create_until_busy()
            view = vmm.get()
            host.kill()
            host.spawn()
            check(wait_until(lambda: "waiting for gmemd-keeper" in host.log(), WAIT), "it does not say for whom it waits")
            time.sleep(1)
            check(host.alive(), "it has ended")
            late = connect()
            keeper.go_on()
        equal(late.call("ping"), {}, "who has connected meanwhile")
        equal(vmm.get(), view, "the VM")
        equal(host.log().count("waiting for gmemd-keeper"), 1, "how often it says so")
        late.close()


@test("a keeper that never answers: gmemd does not start without what it holds, and says why")
def never_answers():
    with Memories() as memories:
        memory = memories.create()
        with Stopped():
            host.kill()
            host.spawn()
            equal(host.process.wait(WAIT), 1, "status")
        last = host.log().splitlines()[-1]
        check("error: gmemd-keeper at" in last and "does not answer" in last, "the log's last line: " + last)
        host.start()
        equal(all_memories(), {memory}, "the VM")


@test("no keeper can be had for a while: gmemd serves on without, and puts all to the next one")
def none_for_a_while():
    with Memories() as memories:
        memories.create()
        lock, pid = os.path.join(host.path, "keeper.lock"), keeper_pid()
        os.kill(host.pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        need(wait_until(lambda: not host.keepers()), "the keeper can't be killed")
        os.unlink(lock)
        os.mkdir(lock)  # which no keeper can lock
        try:
            os.kill(host.pid, signal.SIGCONT)
            check(wait_until(lambda: described()["state"] == "gone", WAIT), "the state")
            check(wait_until(lambda: "no gmemd-keeper" in host.log(), WAIT), "the log says nothing")
            check("gone" in status(), "gmemctl status says nothing")
            at_once(ping_anew, "a new connection's ping")
            at_once(memories.create, "making a memory")
        finally:
            os.rmdir(lock)
        check(wait_until(is_held, WAIT), "there is no other keeper")
        all_are_held()
        view = vmm.get()
        host.restart()
        equal(vmm.get(), view, "by the next gmemd")


@test("it ends when it is told to, though the keeper does not answer, and loses nothing")
def ended_while_stalled():
    with Memories() as memories:
        with Stopped():
            memories.create_until_busy()
            view = vmm.get()
            equal(host.end(), 0, "its exit status")
        host.start()
        equal(vmm.get(), view, "by the next gmemd")


if __name__ == "__main__":
    main(set_up, tear_down)
