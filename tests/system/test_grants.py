#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Grants: who a memory is granted to can open it, and nobody else; who has is known, also after gmemd was killed."""

import contextlib
import os
import signal
import subprocess

from gmemtest import linux, programs, tap
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.host import wait_until
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer

SECONDS = 60
GMEMCTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")  # before others may run what they need
BACK_END, STRANGER = 54323, 54324
CLONE_NEWPID = 0x20000000
NOT_FOUND, GONE, LIMIT, INVALID = -32001, -32008, -32007, -32602
SIZE = 4 * PAGE

daemon = operator = vmm = None
memory = fd = None


def set_up():
    global daemon, operator, vmm
    linux.require_guest_memfd()
    linux.require_root()
    programs.let_others_run_them()
    daemon = Daemon(config="[limits]\ngrants-per-vm = 12\n")
    vmm = Vmm(daemon.peer(), "granting")
    new_memory()


def tear_down():
    os.close(fd)
    vmm.close_files()
    daemon.stop()


def new_memory():
    """Of which there are no grants yet."""
    global memory, fd
    if memory is not None:
        os.close(fd)
        vmm.peer.call("memory.close", {"memory": memory})
    memory, fd = vmm.create(SIZE)
    equal(vmm.get()["grants"], [], "grants")


class BackEnd(Child):
    """Opens memories, when it is told to: ["error", code], or ["file", device, inode]."""

    def __init__(self, uid=None, path=None):
        super().__init__(lambda channel: serve(channel, path or daemon.socket_path("gmemd.sock")), uid)

    def open(self, one=None):
        return tuple(self.ask("open", one or memory))

    def is_refused(self, code=NOT_FOUND):
        equal(self.open(), ("error", code), "what who was granted nothing gets")

    def gets_it(self):
        status = os.fstat(fd)
        equal(self.open(), ("file", status.st_dev, status.st_ino), "the file")


def serve(channel, path):
    kept = []
    peer = None
    while True:
        operation, *arguments = channel.hear()
        if operation == "pid":
            channel.say(os.getpid())
            continue
        peer = peer or Peer(path)
        error, files = None, []
        try:
            _, files = peer.call_with_fds("memory.open", {"memory": arguments[0]})
        except Exception as failure:  # is told
            error = failure.error["code"] if hasattr(failure, "error") else repr(failure)
        kept += files
        if error is None:
            status = os.fstat(files[0])
            channel.say(["file", status.st_dev, status.st_ino])
        else:
            channel.say(["error", error])


def grant(to, **more):
    return vmm.peer.call("memory.grant", dict({"memory": memory, "to": to}, **more))


def holders():
    return [(one["memory"], one["pid"], one["uid"]) for one in vmm.get()["holders"]]


@test("without a grant nobody else can open it")
def _():
    with BackEnd(STRANGER) as other, BackEnd() as same_user:
        other.is_refused()
        same_user.is_refused()


@test("a user's processes can, and the answer says that what they have can't be taken back")
def _():
    answer = grant({"uid": BACK_END})
    equal(answer["revocable"], False, "revocable")
    check("can't be taken back" in answer["notice"], answer)
    with BackEnd(BACK_END) as one, BackEnd(BACK_END) as two, BackEnd(STRANGER) as other:
        one.gets_it()
        two.gets_it()
        one.gets_it()
        other.is_refused()
        equal(holders(), [(memory, one.pid, BACK_END), (memory, two.pid, BACK_END)], "holders")
    ctl = [GMEMCTL, "--socket=" + daemon.socket_path("admin.sock")]
    shown = subprocess.run(ctl + ["show", vmm.id], check=True, capture_output=True, text=True).stdout
    check("Grants:" in shown and "Processes that may hold a memory:" in shown, shown)
    [listed] = vmm.get()["grants"]
    equal(listed, {"grant": answer["grant"], "memory": memory, "uid": BACK_END, "once": False}, "the grant")
    equal([one["ended"] for one in vmm.get()["holders"]], [True, True], "whether they have ended")


@test("it ends with the memory; who has opened it is shown, and what it has there")
def _():
    global memory, fd
    closed = memory
    with BackEnd(BACK_END) as one:
        one.gets_it()
        vmm.peer.call("memory.close", {"memory": closed})
        one.is_refused()
        view = vmm.get()
        equal(view["grants"], [], "grants")
        [held] = [holder for holder in view["holders"] if holder["pid"] == one.pid]
        equal((held["memory"], held["closed"], held["ended"]), (closed, True, False), "the holder")
        linux.allocate(fd, 0, PAGE)
        check(wait_until(lambda: of_closed(closed, one.pid) == PAGE, SECONDS), "what it holds is not counted")
        with contextlib.closing(daemon.operator()) as seen:
            shown = seen.call("vm.get", {"vm": vmm.id})["holders"]
            check(any(holder["resident"] == PAGE for holder in shown), shown)
    os.close(fd)
    memory, fd = vmm.create(SIZE)


def of_closed(closed, pid):
    return next(one["resident"] for one in vmm.get()["holders"] if (one["memory"], one["pid"]) == (closed, pid))


@test("a process can, by its pid, once; another of its user can't")
def _():
    new_memory()
    with BackEnd(BACK_END) as one, BackEnd(BACK_END) as two:
        grant({"pid": one.pid}, once=True)
        two.is_refused()
        one.gets_it()
        one.is_refused()
        equal(vmm.get()["grants"], [], "grants")
        check((memory, one.pid, BACK_END) in holders(), holders())


@test("the next process that has its pid can't")
def _():
    new_memory()
    with BackEnd(BACK_END) as one:
        pid = one.pid
        grant({"pid": pid})
    try:
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
            file.write(str(pid - 1))
    except OSError as error:
        raise Skip("pids can't be chosen: %s" % error) from error
    for _ in range(100):
        with BackEnd(BACK_END) as next_one:
            if next_one.pid == pid:
                next_one.is_refused()
                return
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
            file.write(str(pid - 1))
    raise Skip("the pid did not come back")


@test("a process by a pidfd, as from another PID namespace")
def _():
    new_memory()
    with BackEnd(BACK_END) as one, BackEnd(BACK_END) as two:
        pidfd = os.pidfd_open(one.pid)
        answer = grant({"pidfd": pidfd})
        os.close(pidfd)
        equal(vmm.get()["grants"][0]["pid"], one.pid, "whose it is")
        two.is_refused()
        one.gets_it()
        check(answer["grant"] > 0, answer)


@test("a VMM in a PID namespace of its own can't name a process by a pid")
def _():
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        linux.die_with_parent()
        linux.unshare(CLONE_NEWPID)
        child = os.fork()
        if child == 0:
            inner = Vmm(Peer(daemon.socket_path("gmemd.sock")), "inner", make=False)
            answer = inner.peer.call("memory.create", {"vm": inner.id, "size": PAGE, "backing": "memfd"})
            by_pid = inner.peer.error("memory.grant", {"memory": answer["memory"], "to": {"pid": 1}})
            with os.fdopen(theirs, "w") as told:
                told.write("%d %s" % (by_pid["code"], by_pid["data"]["param"]))
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.close(theirs)
    equal(os.waitpid(pid, 0)[1], 0, "the VMM")
    with os.fdopen(ours) as heard:
        equal(heard.read(), "%d to.pid" % INVALID, "the error")


@test("what can't be granted: one error that names it, and nothing changes")
def _():
    new_memory()
    for to, param in [
        ({}, "to"),
        ({"uid": 1, "pid": 1}, "to"),
        ({"pid": 0x7FFFFFF}, "to.pid"),
        ({"pidfd": 9999}, "to.pidfd"),
        ({"pidfd": fd}, "to.pidfd"),
        ({"uid": 1 << 32}, "to.uid"),
        ({"gid": 1}, "to.gid"),
    ]:
        error = vmm.peer.error("memory.grant", {"memory": memory, "to": to})
        equal((error["code"], error["data"]["param"]), (INVALID, param), str(to))
    equal(vmm.get()["grants"], [], "grants")
    with Child(lambda channel: channel.serve(Peer(daemon.socket_path("gmemd.sock")).error)) as other:
        error = other.ask("memory.grant", {"memory": memory, "to": {"uid": 1}})
        check("-32001" in str(error), "a stranger grants: %r" % error)


@test("grants and holders are bounded")
def _():
    new_memory()
    room = 12 - len(vmm.get()["holders"])
    for uid in range(room):
        grant({"uid": BACK_END + uid})
    error = vmm.peer.error("memory.grant", {"memory": memory, "to": {"uid": 1}})
    equal((error["code"], error["data"]["limit"], error["data"]["scope"]), (LIMIT, "grants-per-vm", "vm"), "one more")
    with BackEnd(BACK_END) as one:
        one.is_refused(LIMIT)
    equal(len(vmm.get()["grants"]), room, "grants")


@test("a grant and its holder outlive gmemd")
def _():
    new_memory()
    grant({"uid": BACK_END})
    with BackEnd(BACK_END) as one, BackEnd(STRANGER) as other:
        grant({"pid": other.pid}, once=True)
        one.gets_it()
        before = vmm.get()
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.process.wait()
        daemon.start(alone=False)
        after = vmm.get()
        equal(after["grants"], before["grants"], "grants")
        equal(after["holders"], before["holders"], "holders")
        one.gets_it()
        other.gets_it()
        other.is_refused()
        with BackEnd() as third:
            third.is_refused()


@test("it ends with the VM")
def _():
    new_memory()
    with BackEnd(STRANGER) as one:
        grant({"uid": STRANGER})
        one.gets_it()
        vmm.peer.call("vm.close", {"vm": vmm.id})
        one.is_refused()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
