#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that peers name by their numbers: who takes them, what is refused, and files that never let go of who has taken them."""

import contextlib
import errno
import os
import resource
import signal
import socket
import tempfile
import threading
import time

from gmemtest import fuse, linux, tap
from gmemtest.child import Child
from gmemtest.fuse import SlowFiles, require_fuse
from gmemtest.host import Host, wait_until
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need, note, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Peer, RpcError, close_all, request

UID = 61001
SECONDS_MAX = 60
TAKERS_PER_OWNER = 4
# Within which nobody has waited for one that hangs.
SECONDS_TO_SERVE = 4

OTHERS = 12

daemon = vmm = None
others = []


def set_up():
    global daemon, vmm
    linux.require_guest_memfd()
    linux.require_root()
    require_fuse()
    daemon = Host(keep_closed=False)
    # Before this process has mapped a mailbox, which then stays mapped in all that it forks.
    others.extend(Child(be_other) for _ in range(OTHERS))
    vmm = Vmm(daemon.peer(), "honest")


def tear_down():
    for one in others:
        one.end()
    vmm.close_files()
    daemon.stop()


def be_other(channel):
    channel.socket.settimeout(None)
    name, *arguments = channel.hear()
    channel.socket.settimeout(SECONDS_MAX)
    globals()[name](channel, *arguments)


@contextlib.contextmanager
def other(body, *arguments):
    """body(channel, *arguments) in another process, of root's; gives the channel to it."""
    with others.pop() as child:
        child.channel.say([body.__name__, *arguments])
        yield child.channel


def eventually(condition):
    return wait_until(condition, SECONDS_MAX)


def path():
    return daemon.socket_path("gmemd.sock")


def create_and_close(of):
    memory, fd = of.create(PAGE)
    os.close(fd)
    of.peer.call("memory.close", {"memory": memory})


def is_served(of=None):
    """How long a creation takes, which needs a taker."""
    began = time.monotonic()
    create_and_close(of or vmm)
    return time.monotonic() - began


@contextlib.contextmanager
def pending(of, size=PAGE):
    """A creation that is to be reported, ends with that, and is gone then: (call, report with a fd)."""
    call = of.peer.call("memory.create", {"vm": of.id, "size": size})
    done, fd, _ = of.trigger(call["call"])
    equal(done, 1, "the creation")
    params = {"vm": of.id, "call": call["call"]["id"], "done": 1}
    yield params, fd
    of.peer.call("call.done", dict(params, fd=fd))
    of.peer.call("memory.close", {"memory": call["memory"]})
    os.close(fd)


def closed_number():
    fd = os.dup(0)
    os.close(fd)
    return fd


@contextlib.contextmanager
def wrong_files():
    """(what it is, its number) of files that are neither a new guest_memfd nor a listener."""
    pipe, memfd = os.pipe(), os.memfd_create("gmemd-memory-1", os.MFD_ALLOW_SEALING)
    os.ftruncate(memfd, PAGE)
    linux.seal(memfd)
    directory = os.open("/", os.O_RDONLY)
    path_alone = os.open("/", os.O_PATH)
    pair = socket.socketpair()
    kvm = os.open("/dev/kvm", os.O_RDWR)
    yield (
        ("a pipe", pipe[0]),
        ("a sealed memfd", memfd),
        ("a directory", directory),
        ("a path", path_alone),
        ("a socket", pair[0].fileno()),
        ("/dev/kvm", kvm),
        ("a closed number", closed_number()),
        ("the largest number", (1 << 31) - 1),
        ("a number above all limits", resource.getrlimit(resource.RLIMIT_NOFILE)[1] + 1),
    )
    close_all(pipe + (memfd, directory, path_alone, kvm))
    for one in pair:
        one.close()


@test("a creation is served by one taker, which stays for the next and ends when it is idle")
def warm_and_cold():
    need(eventually(lambda: not daemon.takers()), "no taker")
    create_and_close(vmm)
    takers = daemon.takers()
    equal(len(takers), 1, "takers")
    for _ in range(10):
        create_and_close(vmm)
    equal(daemon.takers(), takers, "the same one")
    with open("/proc/%d/status" % takers[0], encoding="utf-8") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    for name in ("CapPrm", "CapEff"):
        equal(int(status[name], 16), 1 << 19, name + ": CAP_SYS_PTRACE alone")
    for name in ("CapInh", "CapAmb"):
        equal(int(status[name], 16), 0, name)
    equal(status["NoNewPrivs"], "1", "no_new_privs")
    files = [os.readlink("/proc/%d/fd/%d" % (takers[0], fd)) for fd in range(3)]
    equal(files, ["/dev/null"] * 3, "its standard files")
    check(eventually(lambda: not daemon.takers()), "an idle one ends")
    create_and_close(vmm)
    equal(len(daemon.takers()), 1, "another one")


@test("call.done: what is no new guest_memfd of that size is refused")
def reported_files():
    fds = daemon.fds()
    with pending(vmm, 2 * PAGE) as (report, _), wrong_files() as wrong:
        memory, other = vmm.create(PAGE)
        listener = linux.seccomp_listener()
        for what, number in wrong + (("another size", other), ("a listener", listener)):
            error = vmm.peer.error("call.done", dict(report, fd=number))
            need(error, what)
            equal((error["code"], error["data"]["param"]), (-32602, "fd"), what)
            check("guest_memfd" in error["data"]["expected"], what + ": what is expected")
        for number in (-1, 1 << 31):
            error = vmm.peer.error("call.done", dict(report, fd=number))
            equal((error["code"], error["data"]["param"]), (-32602, "fd"), str(number))
        close_all([other, listener])
        vmm.peer.call("memory.close", {"memory": memory})
    daemon.fds_come_back(fds)


def try_gates(channel):
    peer = Peer(path())
    vm = peer.call("vm.open", {"name": "gated", "gate": "required"})["vm"]
    with wrong_files() as wrong:
        for what, number in wrong:
            error = peer.error("vm.gate", {"vm": vm, "listener": number})
            channel.say([what, error and [error["code"], error["data"].get("param")]])
    peer.call("vm.gate", {"vm": vm, "listener": linux.seccomp_listener()})
    channel.say(["done", None])
    channel.hear()


@test("vm.gate: what is no listener is refused, then one is taken")
def gates():
    with other(try_gates) as channel:
        while (said := channel.hear())[0] != "done":
            equal(said[1], [-32602, "listener"], said[0])


@test("vm.resume: a file that is not this memory's is refused by its place")
def resumed_files():
    memory, fd = vmm.create(PAGE)
    other_memory, other = vmm.create(PAGE)
    right, name = {"memory": memory, "fd": fd}, "memories[1].fd"
    with wrong_files() as wrong:
        for what, number in wrong + (("another memory's", other),):
            told = [right, {"memory": memory, "fd": number}]
            error = vmm.peer.error("vm.resume", {"vm": vmm.id, "memories": told})
            equal((error["code"], error["data"]["param"]), (-32602, name), what)
    vmm.peer.call("vm.resume", {"vm": vmm.id, "memories": [right] * 16})
    for memory in (memory, other_memory):
        vmm.peer.call("memory.close", {"memory": memory})
    close_all([fd, other])


@test("in a batch, and of notifications, in order")
def batches():
    calls = [vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE}) for _ in range(3)]
    fds = [vmm.trigger(call["call"])[1] for call in calls]
    reports = [
        {"vm": vmm.id, "call": call["call"]["id"], "done": 1, "fd": fd}
        for call, fd in zip(calls, fds)
    ]
    batch = [request("call.done", reports[0], 1), request("ping", number=2)]
    batch.append({"jsonrpc": "2.0", "method": "call.done", "params": reports[1]})
    batch.append(request("call.done", dict(reports[2], fd=closed_number()), 3))
    batch.append(request("call.done", reports[2], 4))
    vmm.peer.send(batch)
    vmm.peer.send(request("ping", number=5))
    answers, _ = vmm.peer.receive()
    equal([(one["id"], "error" in one) for one in answers], [(1, 0), (2, 0), (3, 1), (4, 0)], "all")
    equal(vmm.peer.receive()[0]["id"], 5, "and what was asked after it")
    for call in calls:
        vmm.peer.call("memory.close", {"memory": call["memory"]})
    close_all(fds)


@test("a process that has ended has no files")
def ended():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def connect(channel):
        peer = Peer(path())
        socket.send_fds(theirs, [b"x"], [peer.socket.fileno()])
        channel.say("connected")
        channel.hear()

    with Child(connect) as child:
        equal(child.channel.hear(), "connected", "the other")
        _, [fd], _, _ = socket.recv_fds(ours, 1, 1)
    peer = Peer.__new__(Peer)
    peer.socket, peer.events, peer.number = socket.socket(fileno=fd), [], 1
    peer.socket.settimeout(SECONDS_MAX)
    error = peer.error("vm.resume", {"vm": "vm-1", "mailbox": 0})
    equal(error["code"], -32008, "gone")
    peer.close()


def create_memory():
    create_and_close(Vmm(Peer(path())))


def create_gated_vm():
    """Behind a filter of this thread's own, which lets memory be made untold: so there is none."""
    peer = Peer(path())
    gated = Vmm(peer, "gated", make=False, gate="required")
    listener = linux.seccomp_listener(linux.KVM_CREATE_VM)
    peer.call("vm.gate", {"vm": gated.id, "listener": listener})
    gated._map_mailbox()
    linux.ioctl(gated.fds[gated.opened["kvm"]], linux.KVM_CREATE_VM, 0)


def without_first_thread(channel, body):
    def run():
        try:
            globals()[body]()
            channel.say("made")
            channel.hear()
        except BaseException as e:  # noqa: B902
            channel.say(repr(e))
        os._exit(0)

    threading.Thread(target=run).start()
    fuse.libc.syscall({"x86_64": 60}.get(os.uname().machine, 93), 0)  # exit(2), of this thread


@test("a process whose first thread has ended goes on with the others")
def leaderless():
    for body in (create_memory, create_gated_vm):
        with other(without_first_thread, body.__name__) as channel:
            equal(channel.hear(), "made", body.__name__)


def be_stranger(channel):
    fuse.become(UID)
    fuse.own_namespace()
    fuse.libc.prctl(fuse.PR_SET_DUMPABLE, 0, 0, 0, 0)
    create_memory()
    channel.say("made")
    channel.hear()


@test("a process of another user, not dumpable, in a user namespace of its own")
def strangers():
    with other(be_stranger) as channel:
        equal(channel.hear(), "made", "the VMM")


@test("a request whose taker doesn't answer is carried out anew by gmemd's successor")
def carried_out_anew():
    create_and_close(vmm)
    call = vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE})
    _, fd, _ = vmm.trigger(call["call"])
    need(eventually(lambda: len(daemon.takers()) == 1), "no taker but its own")
    create_and_close(vmm)
    [taker] = daemon.takers()
    os.kill(taker, signal.SIGSTOP)
    report = {"vm": vmm.id, "call": call["call"]["id"], "done": 1, "fd": fd}
    vmm.peer.send(request("call.done", report, 77))
    vmm.peer.send(request("ping", number=78))
    time.sleep(0.2)
    daemon.kill()
    daemon.start(alone=False)
    answers = [vmm.peer.receive_answer()[0] for _ in range(2)]
    equal([(one["id"], one.get("result")) for one in answers], [(77, {}), (78, {})], "answers")
    vmm.peer.call("memory.close", {"memory": call["memory"]})
    os.close(fd)
    os.kill(taker, signal.SIGKILL)
    check(eventually(lambda: has_ended(taker)), "the stopped one is gone")


def has_ended(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


class Attacker:
    """body(channel, directory) in another process, which makes SlowFiles there and says who serves them."""

    def __init__(self, body):
        self.directory = tempfile.TemporaryDirectory()
        os.chmod(self.directory.name, 0o755)
        self.other = other(body, self.directory.name)

    def __enter__(self):
        self.channel = self.other.__enter__()
        self.server = self.channel.hear()
        return self

    def end_files(self):
        """Whoever waits for them waits no more; which may be the attacker itself."""
        if self.server:
            os.kill(self.server, signal.SIGKILL)
        self.server = None

    def __exit__(self, *why):
        self.end_files()
        self.other.__exit__(*why)
        self.directory.cleanup()


def hang_all(channel, directory):
    """Has each taker of its VM hang, and says what it is answered; then what one more is."""
    files = SlowFiles(UID, directory, {fuse.FLUSH})
    channel.say(files.server)
    hostile = Vmm(Peer(path(), SECONDS_MAX), "hostile")
    peers = [Peer(path(), SECONDS_MAX) for _ in range(TAKERS_PER_OWNER)]
    with pending(hostile) as (report, fd):
        slow = files.open()
        channel.say("ready")
        channel.hear()
        for peer in peers:
            peer.send(request("call.done", dict(report, fd=slow), 5))
        channel.say([peer.receive_answer()[0]["error"] for peer in peers])
        channel.hear()
        channel.say(hostile.peer.error("call.done", dict(report, fd=slow)))
        channel.say(hostile.peer.error("call.done", dict(report, fd=fd)))
        channel.hear()
    channel.say("made")
    channel.hear()


def honest_of_same_user(channel):
    fuse.become(UID)
    own = Vmm(Peer(path(), SECONDS_MAX), "of the same user")
    while channel.hear() == "create":
        channel.say(is_served(own))


def check_served(neighbour, what):
    """This user's VM, and another of the attacker's user."""
    slowest = 0
    for _ in range(20):
        neighbour.say("create")
        slowest = max(slowest, is_served(), neighbour.hear())
        time.sleep(0.05)
    check(slowest < SECONDS_TO_SERVE, "%s: another waited %.1f s" % (what, slowest))
    note("%s: the slowest creation of another's took %.4f s" % (what, slowest))


def check_refused(error):
    equal(error["code"], -32007, "one more")
    told = {key: error["data"].get(key) for key in ("reason", "limit", "value")}
    equal(told, {"reason": "limit", "limit": "takers-per-owner", "value": 4}, "what it is told")


@test("files whose close never ends hang their owner's takers alone, at most four of them")
def slow_closes():
    fds = daemon.fds()
    with other(honest_of_same_user) as neighbour, Attacker(hang_all) as attacker:
        channel = attacker.channel
        equal(channel.hear(), "ready", "the attacker")
        channel.say("go")
        check_served(neighbour, "while they begin to hang")
        for error in channel.hear():
            equal((error["code"], error["data"]["reason"]), (-32007, "busy"), "the attacker's")
        check_served(neighbour, "while they hang")
        hung = daemon.takers()
        check(len(hung) >= TAKERS_PER_OWNER, "takers: %r" % hung)
        channel.say("more")
        check_refused(channel.hear())
        check_refused(channel.hear())
        attacker.end_files()
        check(eventually(lambda: sum(map(has_ended, hung)) >= TAKERS_PER_OWNER), "those that hung")
        channel.say("report")
        equal(channel.hear(), "made", "the attacker")
    check(eventually(lambda: not daemon.takers()), "all takers end")
    daemon.fds_come_back(fds)


@test("a gmemd that is killed while takers hang has a successor at once, which they are nothing to")
def killed_amid():
    with Attacker(hang_all) as attacker:
        channel = attacker.channel
        equal(channel.hear(), "ready", "the attacker")
        channel.say("go")
        need(eventually(lambda: len(daemon.takers()) >= TAKERS_PER_OWNER), "hung takers")
        hung = daemon.takers()
        began = time.monotonic()
        daemon.kill()
        daemon.start(alone=False)
        seconds = time.monotonic() - began
        check(seconds < SECONDS_TO_SERVE, "the successor came after %.1f s" % seconds)
        check(is_served() < SECONDS_TO_SERVE, "and serves")
        # What the attacker has asked is asked anew, and hangs anew.
        for error in channel.hear():
            equal((error["code"], error["data"]["reason"]), (-32007, "busy"), "the attacker's")
        check(sum(map(has_ended, hung)) < len(hung), "the predecessor's hang on")
        channel.say("more")
        check_refused(channel.hear())
        check_refused(channel.hear())
        attacker.end_files()
        check(eventually(lambda: all(map(has_ended, hung))), "the predecessor's end")
        need(eventually(lambda: len(daemon.takers()) < TAKERS_PER_OWNER), "its own end")
        channel.say("report")
        equal(channel.hear(), "made", "the attacker")
    note("the successor served after %.2f s" % seconds)


def be_killed_amid(channel, directory):
    files = SlowFiles(UID, directory, {fuse.FLUSH})
    channel.say(files.server)
    hostile = Vmm(Peer(path(), SECONDS_MAX), "to be killed")
    call = hostile.peer.call("memory.create", {"vm": hostile.id, "size": PAGE})["call"]
    hostile.trigger(call)
    report = {"vm": hostile.id, "call": call["id"], "done": 1, "fd": files.open()}
    hostile.peer.send(request("call.done", report))
    channel.say("sent")
    channel.hear()


@test("a process that is killed while its taker hangs leaves nothing")
def peer_killed_amid():
    need(eventually(lambda: not daemon.takers()), "no taker")
    fds, operator = daemon.fds(), daemon.operator()
    vms = operator.call("vm.list")["vms"]
    with Attacker(be_killed_amid) as attacker:
        equal(attacker.channel.hear(), "sent", "the attacker")
        need(eventually(daemon.takers), "its taker")
    check(eventually(lambda: operator.call("vm.list")["vms"] == vms), "its VM is gone")
    check(eventually(lambda: not daemon.takers()), "so is its taker")
    operator.close()
    daemon.fds_come_back(fds)


def hold_memory_map(files):
    """A thread waits for a page of the file, another to map it, which holds the lock of the memory map."""
    waited_for, mapped = files.open(), files.open()
    threading.Thread(target=os.pread, args=[waited_for, 1, 0], daemon=True).start()
    time.sleep(0.3)
    arguments = [0, PAGE, linux.PROT_READ, linux.MAP_PRIVATE, mapped]
    threading.Thread(target=linux.mmap, args=arguments, daemon=True).start()
    time.sleep(0.3)


def make_unreadable(channel, directory):
    files = SlowFiles(UID, directory, {fuse.READ})
    channel.say(files.server)
    peer = Peer(path(), SECONDS_MAX)
    gated = Vmm(peer, "unreadable", make=False, gate="required")
    listener = linux.seccomp_listener(linux.KVM_CREATE_VM)
    peer.call("vm.gate", {"vm": gated.id, "listener": listener})
    gated._map_mailbox()
    kvm = gated.fds[gated.opened["kvm"]]
    channel.say("ready")
    channel.hear()
    hold_memory_map(files)
    try:
        linux.ioctl(kvm, linux.KVM_CREATE_VM, 0)
        channel.say("made")
    except OSError as e:
        channel.say(e.errno)
    channel.hear()


@test("a memory map that can't be read, for a file that is being mapped never answers, hangs one taker alone")
def slow_maps():
    with other(honest_of_same_user) as neighbour, Attacker(make_unreadable) as attacker:
        equal(attacker.channel.hear(), "ready", "the attacker")
        attacker.channel.say("go")
        check_served(neighbour, "while one hangs")
        equal(attacker.channel.hear(), errno.EPERM, "its KVM_CREATE_VM")
        check("refused KVM_CREATE_VM" in daemon.log() and "in time" in daemon.log(), "the log")
        check_served(neighbour, "while it hangs on")
        check(daemon.takers(), "the one that hangs")
        attacker.end_files()
    check(eventually(lambda: not daemon.takers()), "all takers end")


def show_unreadable(channel, directory):
    files = SlowFiles(UID, directory, {fuse.READ})
    channel.say(files.server)
    shower = Vmm(Peer(path(), SECONDS_MAX), "unreadable")
    memory, fd = shower.create(PAGE)
    mapped = shower.map(fd, PAGE)
    shower.bind_mapping(0, 0, PAGE, memory, mapped)
    channel.say("ready")
    channel.hear()
    hold_memory_map(files)
    params = dict(shower.mapping_params(1, 1 << 30, PAGE, memory, mapped), vm=shower.id)
    error = shower.peer.error("slot.bind", params)
    channel.say(error["data"]["reason"] if error else "bound")
    slots = shower.get()["slots"]
    channel.say([[slot["slot"], slot.get("astray", False)] for slot in slots])
    channel.hear()


@test("a memory map that is held for ever, of who binds a slot through a mapping, keeps nobody else waiting")
def slow_views():
    with other(honest_of_same_user) as neighbour, Attacker(show_unreadable) as attacker:
        equal(attacker.channel.hear(), "ready", "the attacker")
        attacker.channel.say("go")
        check_served(neighbour, "while one hangs")
        # Since Linux 6.17 it can be read all the same.
        binding = attacker.channel.hear()
        check(binding in ("bound", "busy"), "its binding: " + binding)
        expected = [[0, False]] + [[1, False]] * (binding == "bound")
        equal(attacker.channel.hear(), expected, "what was known of it stays known")
        check_served(neighbour, "while it hangs on")
        attacker.end_files()
    check(eventually(lambda: not daemon.takers()), "all takers end")


@test("where nobody may attach to a process, gmemd says so at its start")
def nobody_attaches():
    def forbid(_):
        # What Yama shows there. No kernel of a test's can be set so: it holds until the next boot.
        fuse.own_mounts()
        fuse.checked(fuse.libc.mount(b"gmemd", b"/proc/sys/kernel", b"tmpfs", 0, b"mode=755"))
        os.mkdir("/proc/sys/kernel/yama")
        with open("/proc/sys/kernel/yama/ptrace_scope", "wb") as file:
            file.write(b"3\n")

    other = Host(before=forbid)
    said = [line for line in other.log().splitlines() if "ptrace_scope" in line]
    equal(len(said), 1, "what is said")
    check(said and "warning" in said[0], "a warning")
    other.stop()
    check("ptrace_scope" not in daemon.log(), "where they may, it says nothing")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
