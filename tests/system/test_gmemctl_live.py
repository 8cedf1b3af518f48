#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemctl prealloc, reclaim and top: on a terminal, on a pipe, interrupted."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from gmemtest import linux, tap
from gmemtest.daemon import Daemon
from gmemtest.tap import check, equal, need, test
from gmemtest.vmm import Vmm

MIB = 1 << 20
SIZE = 2 << 30
BOUND = 64 * MIB  # of it, by a slot
SECONDS_MAX = 60

daemon = vmm = memory = fd = None


def set_up():
    global daemon, vmm, memory, fd
    linux.require_guest_memfd()
    daemon = Daemon()
    vmm = Vmm(daemon.peer(), "live")
    memory, fd = vmm.create(SIZE, name="ram")
    vmm.bind(0, 0, BOUND, memory, fd)


def tear_down():
    vmm.close_files()
    os.close(fd)
    daemon.stop()


def command(*arguments):
    program = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
    return [program, "--socket=" + daemon.socket_path("admin.sock"), *arguments]


def run(*arguments):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )


def resident():
    return daemon.operator().call("vm.get", {"vm": vmm.id})["resident"]


def give_all_back():
    vmm.peer.call("memory.reclaim", {"memory": memory, "ranges": [{"offset": 0, "size": SIZE}]})


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, *arguments):
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            linux.die_with_parent()
            os.execv(command()[0], command(*arguments))

    def read_until(self, pattern):
        until = time.monotonic() + SECONDS_MAX
        while not re.search(pattern, self.output) and time.monotonic() < until:
            if not self._read(0.1):
                break
        return re.search(pattern, self.output)

    def _read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                got = os.read(self.fd, 65536)
            except OSError:
                return False
            self.output += got
            return bool(got)
        return True

    def end(self):
        """Its exit status, as a shell has it."""
        while self._read(1):
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@test("prealloc on a pipe: plain lines, and all is there")
def plain():
    done = run("prealloc", "live")
    equal(done.returncode, 0, done.stderr)
    lines = done.stdout.splitlines()
    check(all(re.fullmatch(r"memory \d+ ram: \S+ of 2G, \S+/s.*", line) for line in lines), lines)
    check("2G of 2G" in lines[-1], lines[-1])
    equal(resident(), SIZE, "resident")
    again = run("prealloc", "live", "--json", "--memory=ram", "--threads=2")
    expected = {"allocated": 0, "resident": SIZE, "cancelled": False}
    equal(json.loads(again.stdout), expected, "as JSON")


@test("reclaim gives back what no slot shows, and all where it is forced")
def reclaim():
    done = run("reclaim", vmm.id)
    equal(done.returncode, 0, done.stderr)
    check("1.9G given back" in done.stdout, done.stdout)
    equal(resident(), BOUND, "resident")
    rows = json.loads(run("reclaim", "live", "--json").stdout)
    equal([r["reclaimed"] for r in rows], [0], "nothing more")
    rows = json.loads(run("reclaim", "live", "--force", "--json").stdout)
    equal([(r["memory"], r["reclaimed"]) for r in rows], [(memory, BOUND)], "forced")
    equal(resident(), 0, "resident")


@test("prealloc on a terminal: a bar that fits")
def bar():
    terminal = Terminal("prealloc", "live")
    equal(terminal.end(), 0, "status")
    drawn = terminal.output.decode().split("\r")
    bars = [d.replace("\x1b[K", "").strip("\n") for d in drawn if "[" in d]
    check(any("#" in b for b in bars), "a bar: %r" % bars[-1:])
    check(all(len(b) < 80 for b in bars), "none is wider than the terminal")
    check("2G of 2G" in bars[-1], "the last: %r" % bars[-1])
    give_all_back()


@test("interrupted: it stops, says what stays, and exits as one that was")
def interrupted():
    for number in (signal.SIGINT, signal.SIGTERM):
        program = subprocess.Popen(command("prealloc", "live"), stdout=subprocess.PIPE, text=True)
        first = program.stdout.readline()
        need(first.startswith("memory"), first)
        program.send_signal(number)
        rest, _ = program.communicate(timeout=SECONDS_MAX)
        equal(program.returncode, 128 + number, "status")
        check("stay allocated" in rest, rest)
        check(resident() < SIZE, "it was stopped amid it")
        give_all_back()


@test("what can't be: status and message")
def refused():
    for arguments, status, said in (
        (["prealloc"], 2, "prealloc takes VM"),
        (["prealloc", "live", "--threads=0"], 2, "--threads"),
        (["prealloc", "live", "--node=x"], 2, "--node"),
        (["prealloc", "live", "--force"], 2, "takes no --force"),
        (["prealloc", "live", "--node=999"], 4, "no such memory"),
        (["prealloc", "live", "--memory=rom"], 4, "no such memory"),
        (["prealloc", "dead"], 4, "dead"),
        (["reclaim", "live", "--memory=rom"], 4, "no such memory"),
        (["reclaim", "dead"], 4, "dead"),
        (["top", "--sort=shape"], 2, "--sort"),
        (["top", "--interval=0"], 2, "--interval"),
        (["top", "live"], 2, "no arguments"),
    ):
        done = run(*arguments)
        equal(done.returncode, status, " ".join(arguments))
        check(said in done.stderr, "%s: %r" % (arguments, done.stderr))


@test("top on a pipe: tables")
def top_on_a_pipe():
    done = run("top")
    equal(done.returncode, 0, done.stderr)
    check("1 VM" in done.stdout and "live" in done.stdout, done.stdout)
    twice = run("top", "--count=2", "--interval=1", "--sort=rate", "--json").stdout.splitlines()
    equal([json.loads(line)["vms"][0]["name"] for line in twice], ["live", "live"], "twice")


@test("top on a terminal: keys, and the screen as it was")
def top():
    terminal = Terminal("top")
    need(terminal.read_until(rb"by committed"), "a view")
    check(terminal.output.startswith(b"\x1b[?1049h"), "another screen")
    for key, word in ((b"p", b"by private"), (b"d", b"by rate"), (b"r", b"by resident")):
        os.write(terminal.fd, key)
        check(terminal.read_until(word), word)
    os.write(terminal.fd, b"q")
    equal(terminal.end(), 0, "status")
    check(terminal.output.endswith(b"\x1b[?25h\x1b[?1049l"), "the screen: %r" % terminal.output[-30:])
    terminal = Terminal("top")
    need(terminal.read_until(rb"by committed"), "a view")
    os.kill(terminal.pid, signal.SIGTERM)
    equal(terminal.end(), 128 + signal.SIGTERM, "status")
    check(terminal.output.endswith(b"\x1b[?25h\x1b[?1049l"), "the screen: %r" % terminal.output[-30:])


if __name__ == "__main__":
    tap.main(set_up, tear_down)
