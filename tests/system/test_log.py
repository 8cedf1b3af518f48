#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nobody waits for the log, nor for the service manager: what neither takes is dropped, and the log says how much."""

import contextlib
import fcntl
import os
import pty
import re
import select
import socket
import tempfile
import termios
import time

from gmemtest import linux, programs, tap
from gmemtest.daemon import Daemon
from gmemtest.host import wait_until
from gmemtest.journal import entries, journal
from gmemtest.tap import check, equal, test

SECONDS = 60
VMS = 300  # each has two lines
F_SETPIPE_SZ = 1031
ANOTHER = 4711
ABOUT_VMS = re.compile(rb"(opened as|closed;)")
COUNT = re.compile(rb"(\d+) lines? of this log could not be written")


def set_up():
    programs.let_others_run_them()


def tear_down():
    pass


@contextlib.contextmanager
def gmemd(**options):
    daemon = Daemon(backend="model", **options)
    try:
        yield daemon
        check(daemon.alive(), "gmemd has ended")
    finally:
        daemon.stop()


def have_it_log(daemon, vms=VMS):
    """Two lines for each VM, and every request is answered."""
    with contextlib.closing(daemon.peer()) as peer:
        for i in range(vms):
            vm = peer.call("vm.open", {"name": "vm%d" % i})["vm"]
            peer.call("vm.close", {"vm": vm})
    with contextlib.closing(daemon.operator()) as operator:
        operator.call("ping")


def read_until_counted(read):
    """All that can be read until the log has said how many lines were dropped: (text, how many)."""
    text = b""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        text += read()
        found = COUNT.findall(text)
        if found:
            return text, sum(map(int, found))
    raise tap.Failed("the log does not say how many lines were dropped: %r" % text[-300:])


def reader(fd):
    os.set_blocking(fd, False)

    def read():
        select.select([fd], [], [], 1)
        try:
            return os.read(fd, 1 << 20)
        except (BlockingIOError, OSError):
            return b""

    return read


def check_lines(text, dropped):
    lines = text.replace(b"\r\n", b"\n").splitlines()
    equal([line for line in lines if not line.startswith(b"gmemd: ")], [], "lines that are not whole")
    written = sum(1 for line in lines if ABOUT_VMS.search(line))
    equal(written + dropped, 2 * VMS, "%d lines were written and %d dropped" % (written, dropped))


def unread(write_fd, read_fd, before=None, vms=VMS):
    """gmemd serves on while nobody reads its stderr; later the count appears. Returns the text."""
    with gmemd(stderr=write_fd, before=before) as daemon:
        have_it_log(daemon, vms)
        check(not fcntl.fcntl(write_fd, fcntl.F_GETFL) & os.O_NONBLOCK, "O_NONBLOCK is others', too")
        return read_until_counted(reader(read_fd))


@test("a pipe that nobody reads")
def _():
    read_fd, write_fd = os.pipe()
    fcntl.fcntl(write_fd, F_SETPIPE_SZ, 4096)
    check_lines(*unread(write_fd, read_fd))
    os.close(read_fd)
    os.close(write_fd)


@test("a FIFO that nobody reads, which the kernel can't be asked not to wait for")
def _():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "fifo")
        os.mkfifo(path)
        read_fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        write_fd = os.open(path, os.O_WRONLY)
        fcntl.fcntl(write_fd, F_SETPIPE_SZ, 16384)
        check_lines(*unread(write_fd, read_fd))
        os.close(read_fd)
        os.close(write_fd)


@test("a socket that nobody reads")
def _():
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    check_lines(*unread(theirs.fileno(), ours.fileno()))
    ours.close()
    theirs.close()


def stopped_terminal(before=None):
    master, slave = pty.openpty()
    with gmemd(stderr=slave, before=before) as daemon:
        termios.tcflow(slave, termios.TCOOFF)
        have_it_log(daemon)
        check(not fcntl.fcntl(slave, fcntl.F_GETFL) & os.O_NONBLOCK, "O_NONBLOCK is the shell's, too")
        termios.tcflow(slave, termios.TCOON)
        check_lines(*read_until_counted(reader(master)))
    os.close(master)
    os.close(slave)


@test("a terminal that is stopped")
def _():
    stopped_terminal()


def become_another(daemon):
    os.mkdir(daemon.path)
    os.chown(daemon.path, ANOTHER, ANOTHER)
    os.setgroups([])
    os.setresgid(ANOTHER, ANOTHER, ANOTHER)
    os.setresuid(ANOTHER, ANOTHER, ANOTHER)
    linux.die_with_parent()


@test("a terminal of another user, which can't be opened anew, that is stopped")
def _():
    linux.require_root()
    stopped_terminal(become_another)


@test("the same, that nobody reads")
def _():
    linux.require_root()
    master, slave = pty.openpty()
    text, dropped = unread(slave, master, become_another, vms=5 * VMS)
    check(dropped > 0 and ABOUT_VMS.search(text), "nothing was dropped, or all")
    os.close(master)
    os.close(slave)


@test("a pipe whose reader is gone ends nothing")
def _():
    read_fd, write_fd = os.pipe()
    with gmemd(stderr=write_fd) as daemon:
        os.close(read_fd)
        have_it_log(daemon)
    os.close(write_fd)


# The journal, where stderr leads to one.


@test("a journald that does not read")
def _():
    with journal() as (daemon, entrance, stderr):
        have_it_log(daemon)
        packets = []

        def read():
            select.select([entrance], [], [], 1)
            with contextlib.suppress(BlockingIOError):
                packets.append(entrance.recv(1 << 16, socket.MSG_DONTWAIT))
                return packets[-1]
            return b""

        _, dropped = read_until_counted(read)
        found = list(entries(packets))
        about = [entry for entry in found if ABOUT_VMS.search(entry["MESSAGE"])]
        equal(len(about) + dropped, 2 * VMS, "lines that were written and dropped")
        check(all(entry["GMEMD_VM"].startswith(b"vm-") for entry in about), "GMEMD_VM")
        check(all(entry["PRIORITY"] == b"6" for entry in about), "PRIORITY")
        equal(found[-1]["PRIORITY"], b"4", "the count's PRIORITY")
        equal({entry["SYSLOG_IDENTIFIER"] for entry in found}, {b"gmemd"}, "SYSLOG_IDENTIFIER")
        stderr.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            equal(stderr.recv(1 << 16), b"", "what went to stderr")


@test("a journald that is not there: stderr leads to it all the same, with levels")
def _():
    with journal() as (daemon, entrance, stderr):
        entrance.close()
        with contextlib.closing(daemon.peer()) as peer:
            peer.call("vm.open", {"name": "late"})
        read = reader(stderr.fileno())
        text = b""

        def told():
            nonlocal text
            text += read()
            return b"opened as" in text

        check(wait_until(told, SECONDS), "it logs no more")
        check(re.search(rb"^<6>vm-\d+: opened as", text, re.MULTILINE), text)


# The service manager.


@test("a service manager that does not read")
def _():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(path)
        manager.settimeout(SECONDS)
        fill(path)

        def before(_):
            os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="20000")

        with gmemd(before=before) as daemon:
            have_it_log(daemon)
            told = b""
            while b"WATCHDOG=1" not in told or b"READY=1" not in told:
                told += manager.recv(1 << 16) + b"\n"
            check(b"STATUS=" in told, told)
        manager.close()


def fill(path):
    """A datagram socket's queue."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                full.sendto(b"FILL=1", path)


if __name__ == "__main__":
    tap.main(set_up, tear_down)
