#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No peer's file enters gmemd or its keeper: sending one fails, and what was sent before gmemd was there to forbid it stops
nobody. Who has sent none is served, with all that was sent, in its order."""

import errno
import os
import signal
import socket
import subprocess
import time

from gmemtest import linux
from gmemtest.child import Child
from gmemtest.fuse_writeback import StuckFile, require_fuse
from gmemtest.host import Host, wait_until
from gmemtest.keeper import KeeperPeer
from gmemtest.passing import NAMES, Passing
from gmemtest.tap import Skip, check, equal, main, need, test
from gmemtest.wire import Peer, close_all, encode, request

AT_ONCE = 1  # second, in which others are to be served
WAIT = 60
USER = 54331  # nobody's, as far as this machine knows
SO_PASSRIGHTS = 83
PEER = 2  # kind of what the keeper holds


def set_up():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    try:
        pass_rights(socket.socketpair()[0])
    except OSError as e:
        raise Skip("the kernel lacks SO_PASSRIGHTS: " + e.strerror) from None


def tear_down():
    pass


def pass_rights(one, value=None):
    if value is not None:
        one.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, value)
    return one.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS)


class Waited(Passing):
    """For which peers wait before it is started."""

    def start(self, alone=True):
        self.listen()


def never_stuck(host):
    for pid in [host.pid, *host.keepers()]:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/stat" % (pid, thread), encoding="utf-8") as file:
                state = file.read().rpartition(")")[2].split()[0]
            check(state != "D", "thread %s of %d waits for ever" % (thread, pid))


def one_is_stuck(host):
    """Else the attack was none."""

    def is_there():
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid, encoding="utf-8") as file:
                    name, _, rest = file.read().partition("(")[2].rpartition(")")
            except OSError:
                continue
            state, parent = rest.split()[:2]
            if name == "gmemd-screener" and int(parent) == host.pid and state == "D":
                return True
        return False

    check(wait_until(is_there, WAIT), "no screener waits for the file")


def attacker(path, nested):
    """A process of another user's that connects, and sends a file that whoever drops it last waits for."""

    def attack(channel):
        peer = Peer(path, WAIT)
        file = StuckFile(USER)
        packet = encode(request("ping"))
        if nested:
            outer = file.nest()
            socket.send_fds(peer.socket, [packet], [outer.fileno()])
            outer.close()
        else:
            socket.send_fds(peer.socket, [packet], [file.fd])
            os.close(file.fd)
        file.arm()
        channel.say("sent")
        channel.hear()
        file.end()
        channel.say("ended")
        channel.hear()

    child = Child(attack)
    equal(child.channel.hear(), "sent", "the attacker")
    return child


def end(attackers):
    for child in attackers:
        equal(child.ask(), "ended", "the attacker")
        child.end()


def served_at_once(host, what):
    start = time.monotonic()
    peer = Peer(host.socket_path("gmemd.sock"), WAIT)
    equal(peer.call("ping"), {}, what)
    seconds = time.monotonic() - start
    check(seconds < AT_ONCE, "%s: after %.2f s" % (what, seconds))
    peer.close()


def held_peers(host):
    with KeeperPeer(host.path) as peer:
        files = peer.take_all()
    close_all(files.values())
    return [one for one in files if one[0] == PEER]


class Waiting:
    """A peer that has connected before gmemd was there, and has asked."""

    def __init__(self, path, count):
        self.peer, self.count = Peer(path, WAIT), count
        for number in range(count):
            self.peer.send(request("ping", number=number))

    def send_files(self, count):
        null = os.open("/dev/null", os.O_RDONLY)
        for _ in range(count):
            socket.send_fds(self.peer.socket, [encode(request("ping"))], [null])
        os.close(null)

    def send_nothing_but_a_file(self):
        null = os.open("/dev/null", os.O_RDONLY)
        socket.send_fds(self.peer.socket, [b""], [null])
        os.close(null)

    def is_served(self, what):
        for number in range(self.count):
            equal(self.peer.receive()[0]["id"], number, what + ": in order")
        equal(self.peer.call("ping"), {}, what)

    def is_ended(self, what):
        self.peer.socket.settimeout(WAIT)
        try:
            packet = self.peer.socket.recv(1 << 16)
        except ConnectionResetError:
            packet = b""
        equal(packet, b"", what + ": its end")


@test("who connects can't send files, on either socket, also before the connection is accepted; gmemd can")
def refused():
    host = Host()
    for name in NAMES:
        peer = Peer(host.socket_path(name), WAIT)
        os.kill(host.pid, signal.SIGSTOP)
        late = Peer(host.socket_path(name), WAIT)
        for one in (peer, late):
            try:
                socket.send_fds(one.socket, [encode(request("ping"))], [0])
                check(False, "%s: a file can be sent" % name)
            except OSError as e:
                equal(e.errno, errno.EPERM, name)
        os.kill(host.pid, signal.SIGCONT)
        for one in (peer, late):
            equal(one.call("ping"), {}, name + ": afterwards")
        late.close()
        peer.close()
    vmm = Peer(host.socket_path("gmemd.sock"), WAIT)
    fds = vmm.call_with_fds("vm.open", {"name": "files", "gate": "none"})[1]
    equal(len(fds), 3, "files from gmemd: device, mailbox, report page")
    close_all(fds)
    host.stop()


@test("files that were sent before gmemd is started: others are served at once, with all that they have sent, in order")
def before_it_is_started():
    require_fuse()
    host = Waited()
    path = host.socket_path("gmemd.sock")
    first = Waiting(path, 3)
    attackers = [attacker(path, nested=True), attacker(path, nested=False)]
    second = Waiting(path, 5)
    harmless = [Waiting(path, 0), Waiting(path, 2), Waiting(host.socket_path("admin.sock"), 1)]
    harmless[0].send_nothing_but_a_file()
    harmless[1].send_files(3)
    harmless[2].send_files(1)
    third, silent = Waiting(host.socket_path("admin.sock"), 2), Waiting(path, 0)
    equal({pass_rights(one) for one in host.listeners}, {1}, "SO_PASSRIGHTS before")
    host.spawn()
    late = Peer(path, WAIT)
    equal(late.call("ping"), {}, "who connects now")
    equal({pass_rights(one) for one in host.listeners}, {0}, "SO_PASSRIGHTS of the sockets")
    served_at_once(host, "the next client")
    for peer, what in ((first, "the first"), (second, "the second"), (third, "an operator"), (silent, "a silent one")):
        peer.is_served(what)
        try:
            socket.send_fds(peer.peer.socket, [b"{}"], [0])
            check(False, what + " can send files now")
        except OSError as e:
            equal(e.errno, errno.EPERM, what + " sends a file now")
    one_is_stuck(host)
    never_stuck(host)
    check(wait_until(lambda: len(held_peers(host)) == 5, WAIT), "connections that are held: %r" % held_peers(host))
    for _ in range(3):
        host.kill()
        host.spawn()
        served_at_once(host, "after a restart")
        equal(first.peer.call("ping"), {}, "the first, after a restart")
        never_stuck(host)
    end(attackers)
    for peer in harmless:
        peer.is_ended("one that has sent harmless files")
    for peer in (first, second, third, silent):
        peer.peer.close()
    late.close()
    host.close()
    host.stop()


@test("connections that an older gmemd has left, with files and without")
def of_an_older_gmemd():
    require_fuse()
    host = Host()
    path = host.socket_path("gmemd.sock")
    known = set(sockets_of(host.pid))
    quiet = Peer(path, WAIT)
    equal(quiet.call("ping"), {}, "before")
    child = Child(lambda channel: late_attack(channel, path))
    equal(child.channel.hear(), "connected", "the attacker")
    accepted = set(sockets_of(host.pid)) - known
    need(len(accepted) == 2, "%d connections" % len(accepted))
    os.kill(host.pid, signal.SIGSTOP)
    allow_files(host.pid, accepted)
    equal(child.ask("send"), "sent", "the attacker")
    quiet.send(request("ping", number=7))
    host.kill()
    host.spawn()
    served_at_once(host, "the next client")
    equal(quiet.receive()[0]["id"], 7, "who has sent none")
    one_is_stuck(host)
    never_stuck(host)
    check(wait_until(lambda: len(held_peers(host)) == 1, WAIT), "connections that are held")
    host.kill()
    host.spawn()
    served_at_once(host, "after another restart")
    equal(quiet.call("ping"), {}, "who has sent none")
    never_stuck(host)
    equal(child.ask(), "ended", "the attacker")
    child.end()
    quiet.close()
    host.stop()


class Screener:
    """A gmemd-screener of this process's, with a connection that brings a file."""

    def __init__(self):
        self.socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = os.path.join(os.environ["BUILD_DIR"], "daemon", "gmemd-screener")
        self.process = subprocess.Popen([program], preexec_fn=lambda: os.dup2(its.fileno(), 3), close_fds=False)
        its.close()
        kept, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.read, write = os.pipe()
        socket.send_fds(self.peer, [b"{}"], [write])
        os.close(write)
        socket.send_fds(self.socket, [b"c"], [kept.fileno()])
        equal(self.socket.recv(1), b"d", "what the screener says")
        kept.close()

    def ends(self, what):
        equal(self.process.wait(WAIT), 0, "its end, " + what)
        equal(os.read(self.read, 1), b"", "the file is gone, " + what)
        for one in (self.socket, self.peer):
            one.close()
        os.close(self.read)


@test("a screener whose gmemd needs it no more ends at once, and so does one whose gmemd is gone")
def screener_ends():
    # This process stands for gmemd; it does not end. One that is not told waits for that, some seconds.
    waits, told = Screener(), Screener()
    waits.socket.close()
    told.socket.send(b"f")
    told.ends("told so")
    # Another does, which was not the parent any more when the screener looked.
    child = Child(lambda channel: channel.say(Screener().process.pid))
    pid = child.channel.hear()
    child.end()
    gone = lambda: not os.path.exists("/proc/%d" % pid) or open("/proc/%d/stat" % pid).read().split()[2] == "Z"
    check(wait_until(gone, WAIT), "its gmemd is gone")
    check(waits.process.poll() is None, "that took as long as to wait for a gmemd")
    waits.process.kill()
    waits.process.wait(WAIT)


def late_attack(channel, path):
    peer = Peer(path, WAIT)
    peer.call("ping")
    file = StuckFile(USER)
    channel.say("connected")
    channel.hear()
    outer = file.nest()
    socket.send_fds(peer.socket, [encode(request("ping"))], [outer.fileno()])
    outer.close()
    file.arm()
    channel.say("sent")
    channel.hear()
    file.end()
    channel.say("ended")
    channel.hear()


def sockets_of(pid):
    directory = "/proc/%d/fd" % pid
    return [int(name) for name in os.listdir(directory) if os.readlink(os.path.join(directory, name)).startswith("socket:")]


def allow_files(pid, fds):
    """As they were before there was SO_PASSRIGHTS."""
    pidfd = os.pidfd_open(pid)
    for fd in fds:
        with socket.socket(fileno=linux.pidfd_getfd(pidfd, fd)) as one:
            pass_rights(one, 1)
    os.close(pidfd)


def without_pass_rights():
    linux.die_with_parent()
    linux.refuse_socket_option(socket.SOL_SOCKET, SO_PASSRIGHTS, errno.ENOPROTOOPT)


@test("a kernel without SO_PASSRIGHTS: the KVM back end does not start and says why; the model does, and warns")
def without():
    host = Host()
    host.end()
    for backend, expected in (("kvm", 1), ("auto", 1)):
        before = host.log()
        arguments = [a for a in host.arguments if not a.startswith("--backend=")] + ["--backend=" + backend]
        with open(host.log_path, "ab") as log:
            run = subprocess.run(arguments, stdin=subprocess.DEVNULL, stderr=log, preexec_fn=without_pass_rights, timeout=WAIT, check=False)
        lines = host.log()[len(before) :].splitlines()
        equal(run.returncode, expected, backend + ": status")
        equal(len(lines), 1, backend + ": lines: %r" % lines)
        check("SO_PASSRIGHTS" in lines[0] and "error" in lines[0], backend + ": " + lines[0])
    model = Host(backend="model")
    model.end()
    with open(model.log_path, "ab") as log:
        model.process = subprocess.Popen(model.arguments, stdin=subprocess.DEVNULL, stderr=log, preexec_fn=without_pass_rights)
    check(wait_until(lambda: model.process.poll() is not None or " serves" in model.log().rpartition("ending on")[2], WAIT), "the model does not start")
    served_at_once(model, "the model")
    check("warning" in next(line for line in model.log().splitlines() if "SO_PASSRIGHTS" in line), "no warning")
    model.stop()
    host.start()
    host.stop()


if __name__ == "__main__":
    main(set_up, tear_down)
