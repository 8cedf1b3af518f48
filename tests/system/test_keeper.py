#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd-keeper: what is put there is there for whoever comes next, whatever becomes of its peers."""

import errno
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from gmemtest import keeper as protocol
from gmemtest import linux
from gmemtest.child import Child
from gmemtest.keeper import (
    ACCEPT, BATCH, DROP, HELLO, LIFE, MANY, MORE, OWNED, PUT, REFUSAL, STORE, TAKE, TAKE_MANY, Keeper, KeeperPeer,
)
from gmemtest.keeper import header, request
from gmemtest.tap import Skip, check, equal, main, note, test
from gmemtest.wire import close_all

keeper = None
files = []


def set_up():
    global keeper
    files.extend(os.memfd_create("test %d" % i) for i in range(64))
    keeper = Keeper()


def tear_down():
    keeper.stop()
    close_all(files)


def inode(fd):
    status = os.fstat(fd)
    return (status.st_dev, status.st_ino)


def taken(peer):
    """Inodes by ids of all that it holds."""
    fds = peer.take_all()
    inodes = {one: inode(fd) for one, fd in fds.items()}
    close_all(fds.values())
    return inodes


def empty(peer):
    ids = list(taken(peer))
    for i in range(0, len(ids), BATCH):
        peer.ask(DROP, ids[i : i + BATCH])
    equal(peer.held(), 0, "held after all was dropped")


def eventually(function, what):
    until = time.monotonic() + protocol.SECONDS
    while not function() and time.monotonic() < until:
        time.sleep(0.01)
    return check(function(), what)


@test("its socket is its user's alone")
def mode():
    path = os.path.join(keeper.path, "keeper.sock")
    equal(os.stat(path).st_mode & 0o7777, 0o600, "mode")
    equal(os.stat(path).st_uid, os.geteuid(), "owner")


@test("it says since when it runs, and what it holds and can hold")
def hello():
    with keeper.peer() as peer:
        started, held, limit, version = peer.hello()
        check(0 < started < time.monotonic_ns(), "started at %d" % started)
        equal(held, 0, "held")
        check(limit > 100, "limit %d" % limit)
        check(version.rstrip(b"\0"), "version %r" % version)


@test("what is put is taken: the same files, in the order of their ids, in pieces")
def round_trip():
    ids = [(i % 3, 2**64 - 1 - i % 5, i) for i in range(40)]
    with keeper.peer() as peer:
        for i in range(0, 40, BATCH):
            part = slice(i, min(i + BATCH, 40))
            equal(peer.ask(PUT, ids[part], files[part]).result, 0, "PUT")
        expected = {one: inode(files[i]) for i, one in enumerate(ids)}
        seen = taken(peer)
        equal(seen, expected, "taken")
        equal(list(seen), sorted(ids), "order")
        answer = peer.ask(TAKE)
        equal((answer.count, answer.flags), (BATCH, MORE), "a piece")
        close_all(answer.fds)
        equal(taken(peer), expected, "taken again")
        equal(peer.ask(DROP, ids[:10]).result, 0, "DROP")
        equal(set(taken(peer)), set(ids[10:]), "left")
        equal(peer.ask(DROP, ids[:16]).result, 0, "DROP of what is gone and what is not")
        equal(peer.held(), 24, "held")
        empty(peer)


@test("who asks for many at once is given as many as a packet takes")
def many_at_once():
    ids = [(1, 2, i) for i in range(MANY + 10)]
    with keeper.peer() as peer:
        for i in range(0, len(ids), BATCH):
            peer.ask(PUT, ids[i : i + BATCH], files[:1] * len(ids[i : i + BATCH]))
        answer = peer.ask(TAKE_MANY)
        equal((answer.count, answer.flags, answer.ids), (MANY, MORE, ids[:MANY]), "a piece")
        equal({inode(fd) for fd in answer.fds}, {inode(files[0])}, "its files")
        close_all(answer.fds)
        answer = peer.ask(TAKE_MANY, ids[MANY - 1 : MANY])
        equal((answer.count, answer.flags, answer.ids), (10, 0, ids[MANY:]), "the rest")
        close_all(answer.fds)
        for i in range(0, len(ids), BATCH):
            peer.ask(DROP, ids[i : i + BATCH])
        empty(peer)


@test("a connection that it accepts is held from its beginning")
def accepted():
    path = os.path.join(keeper.path, "listener")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    with keeper.peer() as peer:
        peer.ask(PUT, [(1, 0, 0)], [listener.fileno()])
        equal(peer.ask(ACCEPT, [(1, 0, 0), (2, 7, 0)]).result, -errno.EAGAIN, "nobody waits")
        equal(peer.ask(ACCEPT, [(1, 0, 1), (2, 7, 0)]).result, -errno.ENOENT, "no listener")
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(path)
        answer = peer.ask(ACCEPT, [(1, 0, 0), (2, 7, 0)])
        equal((answer.result, answer.count, len(answer.fds)), (0, 1, 1), "accepted")
        close_all(answer.fds)
        client.send(b"to whoever comes")
        held = peer.take_all()
        equal(os.read(held[(2, 7, 0)], 100), b"to whoever comes", "the connection")
        close_all(held.values())
        peer.ask(DROP, [(2, 7, 0)])
        equal(client.recv(100), b"", "dropped: it ends")
        equal(peer.ask(PUT, [(1, 0, 2)], files[:1]).result, 0, "no socket")
        equal(peer.ask(ACCEPT, [(1, 0, 2), (2, 7, 0)]).result, -errno.ENOTSOCK, "no socket")
        empty(peer)
    client.close()
    listener.close()
    os.unlink(path)


@test("a connection that it could not send is held, and is the answer when it is asked for again")
def accepted_again():
    small = Keeper(files=100)
    path = os.path.join(small.path, "listener")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, small.peer() as peer:
        listener.bind(path)
        listener.listen()
        peer.ask(PUT, [(1, 0, 0)], [listener.fileno()])
        clients = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        for number, client in enumerate(clients):
            client.connect(path)
            client.send(b"%d" % number)
        for _ in range(8):
            socket.send_fds(ours, [b"x"], [0] * 16)  # more on their way than it may have
        for _ in range(2):
            equal(peer.ask(ACCEPT, [(1, 0, 0), (2, 7, 0)]).result, -errno.ETOOMANYREFS, "too many on their way")
        ours.close()
        theirs.close()
        eventually(lambda: answered(peer, (2, 7, 0)) == b"0", "the first, when it can be sent")
        equal(answered(peer, (2, 7, 0)), b"0", "once more")
        equal(answered(peer, (2, 8, 0)), b"1", "the second")
        peer.ask(DROP, [(2, 7, 0), (2, 8, 0)])
        for client in clients:
            check(has_ended(client), "dropped: it ends")
            client.close()
    small.stop()


def has_ended(client):
    try:
        return client.recv(100) == b""
    except ConnectionResetError:  # it had not been read
        return True


def answered(peer, connection):
    """What waits in the connection that it accepts as that; None where it can't."""
    answer = peer.ask(ACCEPT, [(1, 0, 0), connection])
    if answer.result != 0:
        return None
    with socket.socket(fileno=answer.fds[0]) as one:
        return one.recv(100, socket.MSG_PEEK)


@test("an id that is put again is replaced, also within one packet")
def replaced():
    with keeper.peer() as peer:
        before = keeper.fds()
        peer.ask(PUT, [(1, 1, 1)], files[:1])
        peer.ask(PUT, [(1, 1, 1)], files[1:2])
        equal(taken(peer), {(1, 1, 1): inode(files[1])}, "the second")
        equal(peer.ask(PUT, [(1, 1, 1), (1, 1, 2), (1, 1, 1)], files[2:5]).result, 0, "PUT")
        expected = {(1, 1, 1): inode(files[4]), (1, 1, 2): inode(files[3])}
        equal(taken(peer), expected, "the last of one packet")
        equal(keeper.fds(), before + 2, "fds")
        empty(peer)


@test("requests are answered in their order, however many are sent before the first is read")
def pipelined():
    with keeper.peer() as peer:
        for serial in range(60):
            peer.send(request(PUT, [(1, 1, serial)], serial=serial), files[serial : serial + 1])
        for serial in range(60):
            answer = peer.receive()
            equal((answer.serial, answer.result), (serial, 0), "answer")
        expected = {(1, 1, i): inode(files[i]) for i in range(60)}
        equal(taken(peer), expected, "taken")
        empty(peer)


@test("fds for the service manager's store are held without one, too")
def stored():
    with keeper.peer() as peer:
        equal(peer.ask(PUT, [(9, 9, 9)], files[:1], STORE).result, 0, "PUT")
        equal(peer.ask(PUT, [(9, 9, 9)], files[1:2], STORE).result, 0, "PUT again")
        equal(taken(peer), {(9, 9, 9): inode(files[1])}, "taken")
        empty(peer)


def refused(what, packet, fds=(), control=None, result=-errno.EBADMSG):
    """It is answered with the error and the end; what is held stays, and nothing else."""
    with keeper.peer() as other, keeper.peer() as peer:
        before = keeper.fds()
        try:
            peer.send(packet, fds, control)
        except OSError as e:
            check(False, "%s can't be sent: %s" % (what, e))
            return
        answer = peer.receive()
        if not check(answer is not None, what + ": no answer"):
            return
        equal((answer.operation, answer.result), (REFUSAL, result), what)
        equal((answer.fds, answer.rest), ([], b""), what + ": what the answer holds")
        equal(peer.receive(), None, what + ": the end")
        equal(taken(other), {(5, 5, 5): inode(files[0])}, what + ": what is held")
        equal(keeper.fds(), before - 1, what + ": fds")


@test("garbage of every kind is answered with an error and the end, and what is held stays")
def garbage():
    one = [(1, 2, 3)]
    with keeper.peer() as peer:
        peer.ask(PUT, [(5, 5, 5)], files[:1])
    refused("one byte", b"x")
    refused("a short header", header(HELLO)[:-1])
    refused("another magic", header(HELLO, magic=1))
    refused("zeroes", bytes(32))
    refused("a later version", header(HELLO, version=2), result=-errno.EPROTONOSUPPORT)
    for operation in (0, REFUSAL, 6, 0xFFFF):
        refused("operation %d" % operation, header(operation))
    for operation in (HELLO, PUT, DROP, TAKE):
        fds = files[:1] if operation == PUT else ()
        ids = () if operation == HELLO else one
        refused("a flag", request(operation, ids, flags=1 << 31), fds)
        refused("a result", request(operation, ids, result=-1), fds)
        refused("what is reserved", request(operation, ids, reserved=1), fds)
        refused("a byte too many", request(operation, ids) + b"x", fds)
        refused("a byte too few", request(operation, ids)[:-1], fds)
        refused("a count that lies", header(operation, 2) + protocol.ID.pack(*one[0]), fds)
        refused("a count past all", header(operation, 0xFFFFFFFF), fds)
        refused("too many ids", request(operation, one * 17), files[:16] if fds else ())
        refused("65536 bytes", request(operation, ids) + bytes(65536), fds)
    for operation in (DROP, PUT):
        refused("no id", header(operation))
    refused("STORE of a DROP", request(DROP, one, flags=STORE))
    refused("two ids after which to go on", request(TAKE, one * 2))
    refused("two ids after which many are to go on", request(TAKE_MANY, one * 2))
    for operation in (HELLO, DROP, TAKE):
        refused("a fd", request(operation, one if operation == DROP else ()), files[:1])
    refused("a PUT of no fd", request(PUT, one))
    refused("fewer fds than ids", request(PUT, one * 2), files[:1])
    refused("more fds than ids", request(PUT, one), files[:2])
    refused("17 fds", request(PUT, one * 16), files[:17])
    refused("60 fds", request(PUT, one * 16), files[:60])
    with keeper.peer() as peer:
        empty(peer)


@test("random bytes, too")
def random_bytes():
    chance = random.Random(1)
    with keeper.peer() as peer:
        before = keeper.fds()
    for _ in range(500):
        with keeper.peer() as peer:
            packet = bytearray(request(chance.randrange(1, 5), [(1, 2, 3)] * chance.randrange(3)))
            for _ in range(chance.randrange(4)):
                packet[chance.randrange(len(packet))] = chance.randrange(256)
            peer.send(bytes(packet), files[: chance.randrange(4)])
            answer = peer.receive()
            if check(answer is not None, "no answer to %s" % packet.hex()):
                close_all(answer.fds)
    with keeper.peer() as peer:
        empty(peer)
        equal(keeper.fds(), before, "fds")


@test("an empty packet ends the connection alone")
def empty_packet():
    with keeper.peer() as peer:
        peer.send(b"", files[:1])
        equal(peer.receive(), None, "the end")
    with keeper.peer() as peer:
        equal(peer.held(), 0, "held")


@test("past its limit a PUT is refused whole, and all else goes on")
def limit():
    small = Keeper(files=100)
    with small.peer() as peer:
        room = peer.hello()[2]
        check(0 < room < 100, "room for %d" % room)
        for i in range(room - 1):
            equal(peer.ask(PUT, [(1, 1, i)], files[:1]).result, 0, "PUT %d" % i)
        two = [(1, 1, room - 1), (1, 1, room)]
        for _ in range(3):
            equal(peer.ask(PUT, two, files[:2]).result, -errno.EMFILE, "one too many")
        equal(peer.held(), room - 1, "held")
        equal(peer.ask(PUT, two[:1], files[:1]).result, 0, "the last")
        equal(peer.ask(PUT, two[1:], files[:1]).result, -errno.EMFILE, "one more")
        equal(peer.ask(PUT, two[:1], files[1:2]).result, 0, "a replacement")
        equal(peer.ask(DROP, two[:1]).result, 0, "DROP")
        equal(peer.ask(PUT, two[1:], files[:1]).result, 0, "in its place")
        equal(len(taken(peer)), room, "taken")
    small.stop()


@test("a fifth connection is refused until another ends")
def connections():
    peers = [keeper.peer() for _ in range(4)]
    for peer in peers:
        peer.hello()
    with KeeperPeer(keeper.path) as fifth:
        answer = fifth.receive()
        equal((answer.operation, answer.result), (REFUSAL, -errno.EBUSY), "the fifth")
        equal(fifth.receive(), None, "its end")
    peers.pop().close()
    with keeper.peer() as peer:
        equal(peer.held(), 0, "held")
    for peer in peers:
        peer.hello()
        peer.close()


@test("another user is refused")
def stranger():
    linux.require_root()
    path = os.path.join(keeper.path, "keeper.sock")

    def connect(channel):
        try:
            peer = KeeperPeer(keeper.path)
            answer = peer.receive()
            channel.say([answer.operation, answer.result, peer.receive() is None])
        except OSError as e:
            channel.say(e.errno)
        channel.hear()

    os.chmod(keeper.directory, 0o755)
    with Child(connect, 54321) as child:
        equal(child.channel.hear(), errno.EACCES, "through the socket's mode")
    os.chmod(path, 0o666)
    with Child(connect, 54321) as child:
        equal(child.channel.hear(), [REFUSAL, -errno.EPERM, True], "past it")
    os.chmod(path, 0o600)


@test("a peer that does not read its answers stops nobody else")
def unread():
    with keeper.peer() as lazy:
        lazy.socket.setblocking(False)
        sent = 0
        try:
            while sent < 100000:
                lazy.send(request(TAKE))
                sent += 1
        except BlockingIOError:
            pass
        check(sent < 100000, "it takes requests for ever")
        with keeper.peer() as peer:
            equal(peer.ask(PUT, [(1, 1, 1)], files[:1]).result, 0, "PUT")
            empty(peer)
        lazy.socket.settimeout(protocol.SECONDS)
        for _ in range(sent):
            answer = lazy.receive()
            if not check(answer is not None and answer.operation == TAKE, "a late answer"):
                break


@test("what a killed peer has put is taken by the next")
def killed():
    def put(channel):
        peer = KeeperPeer(keeper.path)
        result = peer.ask(PUT, [(7, 7, i) for i in range(16)], files[:16]).result
        channel.say(result)
        while True:
            peer.send(request(PUT, [(8, 8, 8)]), files[:1])
            peer.receive()

    for _ in range(5):
        with Child(put) as child:
            equal(child.channel.hear(), 0, "PUT")
        with keeper.peer() as peer:
            seen = taken(peer)
            seen.pop((8, 8, 8), None)
            expected = {(7, 7, i): inode(files[i]) for i in range(16)}
            equal(seen, expected, "taken")
            empty(peer)


@test("what a peer has sent before its end is carried out before the next one is served")
def sent_before_its_end():
    count = 60
    for turn in range(1, 30):
        gone = KeeperPeer(keeper.path)
        for i in range(count):
            gone.send(request(PUT, [(turn, 2, i)]), files[:1])
        gone.send(request(DROP, [(turn, 2, 0)]))
        gone.socket.close()  # with answers that were not read
        with keeper.peer() as peer:
            held = peer.take_all()
            close_all(held.values())
            equal(len(held), count - 1, "held")
            empty(peer)


@test("it leaks nothing in 10,000 operations")
def leaks():
    chance = random.Random(2)
    with keeper.peer() as peer:
        before = keeper.fds()
        for _ in range(10000):
            ids = [(1, 1, chance.randrange(50)) for _ in range(chance.randrange(1, 4))]
            operation = chance.choice((PUT, PUT, DROP, TAKE))
            if operation == TAKE:
                close_all(peer.ask(TAKE, ids[:1]).fds)
            else:
                peer.ask(operation, ids, files[: len(ids)] if operation == PUT else ())
        equal(keeper.fds(), before + peer.held(), "fds")
        empty(peer)
        equal(keeper.fds(), before, "fds when it is empty")


@test("its seccomp filter is in force, and it can gain no privilege")
def confined():
    equal(keeper.status("NoNewPrivs"), "1", "NoNewPrivs")
    if protocol.is_sanitized():
        raise Skip("a build with sanitizers has no filter")
    equal(keeper.status("Seccomp"), "2", "Seccomp")


@test("it is among the last that the kernel kills for memory")
def oom_score():
    linux.require_root()
    with open("/proc/%d/oom_score_adj" % keeper.pid, encoding="utf-8") as file:
        score = int(file.read())
    with open("/proc/self/oom_score_adj", encoding="utf-8") as file:
        own = int(file.read())
    check(score < 0 or score <= own, "oom_score_adj is %d, this test's %d" % (score, own))


@test("a second one in its place is told so; after a killed one there is none in the way")
def second():
    one = Keeper()
    arguments = [protocol.program(), "--runtime-directory=" + one.path]
    other = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    equal(other.returncode, 1, "status")
    check("Address already in use" in other.stderr, other.stderr)
    with one.peer() as peer:
        equal(peer.held(), 0, "the first")
    one.kill()
    again = Keeper(directory=one.directory)
    again.stop()


@test("it has no capability, and can get none")
def capabilities():
    with open("/proc/%d/status" % keeper.pid, encoding="utf-8") as file:
        lines = dict(line.split(":\t") for line in file if line.startswith(("Cap", "NoNew")))
    sets = {name: int(value, 16) for name, value in lines.items() if name.startswith("Cap")}
    bounding = sets.pop("CapBnd")
    equal(set(sets.values()), {0}, "sets")
    check(bounding == 0 or os.geteuid() != 0, "bounding set %x" % bounding)
    equal(int(lines["NoNewPrivs"]), 1, "no_new_privs")


@test("SIGTERM ends it cleanly, whoever is connected and whatever is held")
def terminated():
    one = Keeper()
    with one.peer() as peer:
        peer.ask(PUT, [(1, 1, 1)], files[:1])
        one.process.terminate()
        equal(one.wait(), 0, "status")
        equal(peer.receive(), None, "the end")
    check(not os.path.exists(os.path.join(one.path, "keeper.sock")), "its socket is there still")
    shutil.rmtree(one.directory)


def sleeper():
    """A process that does nothing, and has no file of ours, until it is ended."""
    pid = os.fork()
    if pid == 0:
        linux.die_with_parent()
        os.closerange(3, 4096)
        signal.pause()
        os._exit(0)
    return pid


def end_sleeper(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def held_by(one):
    with one.peer() as peer:
        return peer.held()


@test("passed a socket, it serves there; it ends when it is of no use, and not before")
def idle():
    directory = tempfile.mkdtemp(prefix="gmemd-test-")
    os.mkdir(os.path.join(directory, "run"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(os.path.join(directory, "run", "keeper.sock"))
        listener.listen()
        peer = KeeperPeer(os.path.join(directory, "run"))  # who waits already when it starts
        one = Keeper("--exit-when-idle=0", directory=directory, listener=listener)
    life = os.pidfd_open(living := sleeper())
    owned, other = (OWNED, 7, 0), (OWNED, 8, 0)
    peer.ask(PUT, [(1, 7, 1), owned, (OWNED + 1, 7, 3), other], files[:4])
    peer.ask(PUT, [(OWNED + 2, 7, 0)], [life], flags=LIFE)
    peer.close()
    with one.peer() as peer:
        equal(peer.held(), 5, "held while nobody was connected")
        equal(os.listdir(one.path), ["keeper.sock"], "what it has made")
        other_life = os.pidfd_open(other_living := sleeper())
        peer.ask(PUT, [(OWNED + 2, 8, 0)], [other_life], flags=LIFE)
        end_sleeper(living)
        equal(peer.held(), 6, "held while somebody is connected, whoever ends")
    eventually(lambda: held_by(one) == 3, "what the process's was is dropped")
    end_sleeper(other_living)
    close_all((life, other_life))
    equal(one.wait(), 0, "status")
    check(os.path.exists(os.path.join(one.path, "keeper.sock")), "it has removed the socket")
    equal(one.log(), "", "log")
    shutil.rmtree(one.directory)


class Background:
    """Keepers that gmemd's side starts, beside a program that does so; they end with the test."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="gmemd-test-")
        self.path = os.path.join(self.directory, "run")
        shutil.copy(protocol.program(), self.directory)
        self.keep = shutil.copy(
            os.path.join(os.environ["BUILD_DIR"], "tests", "system", "keep"), self.directory
        )

    def start(self, *arguments):
        return subprocess.Popen(
            [self.keep, "start", self.path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=linux.die_with_parent,
        )

    def pid(self):
        """The keeper's."""
        with KeeperPeer(self.path) as peer:
            credentials = peer.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return int.from_bytes(credentials[:4], "little")

    def end(self):
        try:
            pid = self.pid()
            pidfd = os.pidfd_open(pid)
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            os.close(pidfd)
            eventually(lambda: not os.path.exists(os.path.join(self.path, "keeper.sock")), "the end")
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        shutil.rmtree(self.directory)


def keepers_in(directory):
    """The pids of all that run the program there."""
    pids = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.readlink("/proc/%s/exe" % name).startswith(directory + "/gmemd"):
                pids.append(int(name))
        except OSError:
            pass
    return pids


@test("of eight that start one at once, all have one, and it is the same")
def race():
    background = Background()
    starters = [background.start() for _ in range(8)]
    for starter in starters:
        equal(starter.communicate(timeout=60)[0], "started\n", "a starter")
        equal(starter.returncode, 0, "its status")
    eventually(lambda: len(keepers_in(background.directory)) == 1, "there is one")
    equal(keepers_in(background.directory), [background.pid()], "who serves")
    background.end()


@test("it outlives who has started it, killed with all of its process group")
def outlives():
    background = Background()
    starter = background.start("60")
    equal(starter.stdout.readline(), "started\n", "the starter")
    with KeeperPeer(background.path) as peer:
        equal(peer.ask(PUT, [(1, 1, 1)], files[:1]).result, 0, "PUT")
        pid = background.pid()
        os.killpg(starter.pid, signal.SIGKILL)
        starter.communicate()
        equal(taken(peer), {(1, 1, 1): inode(files[0])}, "taken")
        check(os.getsid(pid) != starter.pid, "it is of the starter's session")
        equal(len(os.listdir("/proc/%d/fd" % pid)) <= 9, True, "it has none of the starter's files")
        peer.ask(DROP, [(1, 1, 1)])
    background.end()


@test("gmemd's side puts, posts, takes and drops")
def client():
    keep = os.path.join(os.environ["BUILD_DIR"], "tests", "system", "keep")
    for what in ("use", "time"):
        run = subprocess.run(
            [keep, what, keeper.path], capture_output=True, text=True, timeout=60, check=False
        )
        equal((run.returncode, run.stderr), (0, ""), what)
        note(run.stdout)
    with keeper.peer() as peer:
        equal(peer.held(), 0, "held")


@test("wrong arguments are explained")
def arguments():
    for argument in ("--runtime-directory=x", "--exit-when-idle=x", "--bogus", "x"):
        run = subprocess.run(
            [protocol.program(), argument], capture_output=True, text=True, timeout=60, check=False
        )
        equal((run.returncode, run.stdout), (2, ""), argument)
        check("gmemd-keeper" in run.stderr, "%s: %s" % (argument, run.stderr))
    for argument in ("--help", "--version"):
        run = subprocess.run(
            [protocol.program(), argument], capture_output=True, text=True, timeout=60, check=False
        )
        equal((run.returncode, run.stderr), (0, ""), argument)
        check("gmemd-keeper" in run.stdout, argument)


if __name__ == "__main__":
    main(set_up, tear_down)
