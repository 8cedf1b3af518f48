# SPDX-License-Identifier: LGPL-2.1-or-later
"""An unmodified QEMU under gmem-run --shim, as an unprivileged user, with a small firmware as its guest."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

from gmemtest import linux
from gmemtest.tap import Failed, Skip, need

SECONDS = 60
NOBODY = 65534
PROGRAM = "qemu-system-x86_64"
# On some machines KVM offers what it then refuses.
PROCESSORS = ("host", "host,arch-capabilities=off")


def wait_until(truth, what, seconds=SECONDS):
    until = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > until:
            raise Failed("in vain waited for: " + what)
        time.sleep(0.01)


def slurp(path):
    try:
        with open(path, encoding="latin-1") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class Programs:
    """What the unprivileged user runs, where it may: below the directory of a gmemd of the test's."""

    def __init__(self, host):
        self.host = host
        self.directory = os.path.join(host.directory, "bin")
        self.scratch = os.path.join(host.directory, "scratch")
        os.mkdir(self.directory, 0o755)
        os.mkdir(self.scratch)
        os.chmod(self.scratch, 0o777)
        build = os.environ["BUILD_DIR"]
        for name in ("client/gmem-run", "client/libgmem-shim.so", "client/libgmem.so.0", "tests/system/qemu_guest.bin"):
            shutil.copy(os.path.join(build, name), self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def run_options(self, *options):
        return [self.path("gmem-run"), "--socket=" + self.host.socket_path("gmemd.sock"), "--shim", *options, "--"]


def as_nobody():
    linux.die_with_parent()
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    linux.die_with_parent()  # as somebody else, it is forgotten


def require():
    if os.uname().machine != "x86_64":
        raise Skip("the guest is x86 code")
    if not shutil.which(PROGRAM):
        raise Skip("no " + PROGRAM)
    linux.require_guest_memfd()


def find_processor():
    """What -cpu takes here, by a QEMU of root's, without gmemd."""
    said = ""
    for processor in PROCESSORS:
        found = subprocess.run(
            [PROGRAM, "-accel", "kvm", "-cpu", processor, "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"],
            input='{"execute":"qmp_capabilities"}{"execute":"quit"}',
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if found.returncode == 0:
            return processor
        said = found.stderr
    raise Skip("QEMU starts no guest on KVM here: " + " ".join(said.split()))


class Qemu:
    """Runs until end()."""

    number = 0
    processor = None

    def __init__(self, programs, *options, run=(), bios=True, user=as_nobody, environment=None, before=()):
        Qemu.number += 1
        base = os.path.join(programs.scratch, "qemu-%d-" % Qemu.number)
        self.programs = programs
        self.console, self.log, self.path = base + "console", base + "log", base + "qmp"
        self.pidfile = base + "pid"
        if Qemu.processor is None:
            Qemu.processor = find_processor()
        arguments = programs.run_options(*run) + list(before)
        arguments += [PROGRAM, "-accel", "kvm", "-cpu", Qemu.processor, "-nodefaults", "-display", "none"]
        arguments += ["-qmp", "unix:%s,server=on,wait=off" % self.path]
        arguments += ["-debugcon", "file:" + self.console, "-global", "isa-debugcon.iobase=0x402"]
        if bios:
            arguments += ["-bios", programs.path("qemu_guest.bin")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                arguments + list(options),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=user,
                env=dict(os.environ, **environment) if environment else None,
            )
        self.pid = self.process.pid
        self.socket = None

    def said(self):
        return slurp(self.log)

    def shown(self):
        """What the guest has said."""
        return slurp(self.console)

    def _connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect(self.path)
            return True
        except OSError:
            self.socket.close()
            return False

    def connect(self):
        def connected():
            if self.process.poll() not in (None, 0):
                raise Failed("QEMU has ended with %s: %s" % (self.process.returncode, self.said()))
            return self._connect()

        wait_until(connected, "QEMU's monitor")
        self.file = self.socket.makefile("rw")
        need("QMP" in self.file.readline(), "QEMU's monitor doesn't greet")
        self.qmp("qmp_capabilities")
        return self

    def ask(self, command, **arguments):
        """The answer, whatever it is."""
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            line = self.file.readline()
            if not line:
                raise Failed("QEMU has gone: " + self.said())
            answer = json.loads(line)
            if "event" not in answer:
                return answer

    def qmp(self, command, **arguments):
        answer = self.ask(command, **arguments)
        if "error" in answer:
            raise Failed("%s: %s" % (command, answer["error"]["desc"]))
        return answer["return"]

    def hmp(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})

    def passes(self):
        return self.shown().count(".")

    def goes_on(self, passes=2):
        """The guest has checked so many times all its memory since, and found what it had left there."""
        before = self.passes()
        wait_until(lambda: self.passes() >= before + passes or "X" in self.shown() or self.ended(), "the guest goes on")
        need(not self.ended(), "QEMU has ended: " + self.said())
        need("X" not in self.shown(), "the guest has found something else in its memory")

    def shows(self, text):
        wait_until(lambda: text in self.shown() or self.ended(), "the guest says " + text)
        need(text in self.shown(), "QEMU has ended: " + self.said())

    def ended(self):
        return self.process.poll() is not None

    def end(self):
        """By its monitor: its status."""
        if not self.ended() and self.socket:
            try:
                self.ask("quit")
            except (OSError, Failed, ValueError):
                pass
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("QEMU doesn't end: " + self.said()) from None

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
