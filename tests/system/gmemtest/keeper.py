# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gmemd-keeper of the test's own, and its protocol, with nothing but Python's own library."""

import array
import os
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from gmemtest import linux
from gmemtest.daemon import SANITIZERS
from gmemtest.tap import Failed, check, note

HELLO, PUT, DROP, TAKE, REFUSAL, ACCEPT, TAKE_MANY = range(1, 8)
STORE, MORE, LIFE = 1, 2, 4
OWNED = 16  # kinds from here on end with a life
LEDGER, FRAMES, MAILBOX, GATE, PROCESS, MEMORY, REPORTS = range(OWNED, OWNED + 7)  # gmemd's kinds of these
BATCH = 16
MANY = 253
MAGIC, VERSION = 0x4B4D4547, 1
HEADER = struct.Struct("=IHHIiIIQ")
ID = struct.Struct("=QQQ")
REPORT = struct.Struct("=QQQ16s")
SECONDS = 60


def program(name="gmemd-keeper"):
    return os.path.join(os.environ["BUILD_DIR"], "daemon", name)


def is_sanitized():
    with open(program(), "rb") as file:
        return b"__asan_init" in file.read()


def pass_listener(listener):
    """As the service manager does, to what this process is going to execute."""
    os.dup2(listener.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ["LISTEN_FDS"] = "1"
    os.environ["LISTEN_FDNAMES"] = "keeper.sock"
    os.environ["LISTEN_PID"] = str(os.getpid())


class Keeper:
    """Runs until stop(), at most as long as the test."""

    def __init__(self, *arguments, files=None, directory=None, listener=None, first=(), before=None):
        """first: what executes it; before(): what its process does before that."""
        self.directory = directory or tempfile.mkdtemp(prefix="gmemd-test-")
        self.path = os.path.join(self.directory, "run")
        self.log_path = os.path.join(self.directory, "log")

        def before_exec():
            linux.die_with_parent()
            if files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            if listener is not None:
                pass_listener(listener)
            if before is not None:
                before()

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*first, program(), "--runtime-directory=" + self.path, *arguments],
                stdin=subprocess.DEVNULL,
                stderr=log,
                close_fds=False,
                preexec_fn=before_exec,
            )
        self.pid = self.process.pid
        if listener is None:
            self._wait_until_it_serves()

    def _wait_until_it_serves(self):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise Failed("gmemd-keeper has ended: " + self.log())
            try:
                self.peer().close()
                return
            except OSError:
                time.sleep(0.01)
        raise Failed("gmemd-keeper does not serve: " + self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def peer(self):
        """A new connection. What was connected before and is not any more is closed by now."""
        peer = KeeperPeer(self.path)
        peer.hello()
        return peer

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def status(self, name):
        with open("/proc/%d/status" % self.pid, encoding="utf-8") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file)[name]

    def wait(self):
        return self.process.wait(SECONDS)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it and checks that it ends as it should."""
        self.process.terminate()
        try:
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            status = "a timeout"
        log = self.log()
        wrong = [line for line in log.splitlines() if any(s in line for s in SANITIZERS)]
        if not check(status == 0 and not wrong, "gmemd-keeper ended with %s, %s" % (status, wrong)):
            note(log[-8000:])
        shutil.rmtree(self.directory)


class Answer:
    def __init__(self, packet, fds):
        fields = HEADER.unpack_from(packet)
        self.magic, self.version, self.operation, self.flags, self.result = fields[:5]
        self.count, self.reserved, self.serial = fields[5:]
        self.rest = packet[HEADER.size :]
        self.ids = [ID.unpack_from(self.rest, i * ID.size) for i in range(self.count)]
        self.fds = fds


def header(operation, count=0, flags=0, serial=0, magic=MAGIC, version=VERSION, result=0, reserved=0):
    return HEADER.pack(magic, version, operation, flags, result, count, reserved, serial)


def request(operation, ids=(), **fields):
    return header(operation, len(ids), **fields) + b"".join(ID.pack(*one) for one in ids)


class KeeperPeer:
    """One connection."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect(os.path.join(path, "keeper.sock"))
        except OSError:
            self.socket.close()
            raise
        self.serial = 0

    def send(self, packet, fds=(), control=None):
        if control is None:
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([packet], control)

    def receive(self):
        """The next answer, None at the end of the connection. The caller owns its fds."""
        fds = array.array("i")
        space = socket.CMSG_SPACE(MANY * fds.itemsize)
        try:
            packet, control, _, _ = self.socket.recvmsg(8192, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None
        for _, _, data in control:
            fds.frombytes(data)
        return Answer(packet, list(fds)) if packet else None

    def ask(self, operation, ids=(), fds=(), flags=0):
        self.serial += 1
        self.send(request(operation, ids, flags=flags, serial=self.serial), fds)
        answer = self.receive()
        if answer is None:
            raise Failed("the keeper has ended the connection")
        check((answer.operation, answer.serial) == (operation, self.serial), "another's answer")
        return answer

    def hello(self):
        """(started, held, limit, version)"""
        return REPORT.unpack(self.ask(HELLO).rest)

    def held(self):
        return self.hello()[1]

    def take_all(self):
        """All that it holds: fds by ids. The caller owns them."""
        taken, after = {}, ()
        while True:
            answer = self.ask(TAKE, after)
            check(len(answer.fds) == answer.count, "fds of a TAKE")
            taken.update(zip(answer.ids, answer.fds))
            if not answer.flags & MORE:
                return taken
            after = answer.ids[-1:]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def of_closed_memories(held, expected):
    """Of what is held beside what is expected: files of closed memories, with the ledger and the process of a VM that is gone."""
    more = set(held) - set(expected)
    of_memories = {one for one in more if one[0] == MEMORY}
    gone = {owner for _, owner, _ in of_memories} - {owner for _, owner, _ in expected}
    return of_memories | {one for one in more if one[0] in (LEDGER, PROCESS) and one[1] in gone}
