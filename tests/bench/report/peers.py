# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a user would otherwise have: each is started in a directory of its own, as nobody's service, and ended with it.

What is not installed raises Skip, with the reason.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from gmemtest import linux
from gmemtest.tap import Skip

SECONDS_TO_START = 60
BUS = """<busconfig><type>session</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
<limit name="max_connections_per_user">256</limit></busconfig>
"""
LIBVIRTD = 'unix_sock_dir = "/run/libvirt"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\nmax_clients = 256\n'
OWN_NAMESPACES = ["unshare", "--mount", "--net", "--propagation", "private"]


def find(program):
    """Its path, also where only root looks."""
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Skip("%s is not installed" % program)
    return path


class Server:
    """A program that serves on a Unix socket."""

    def __init__(self, name):
        self.name = name
        self.directory = tempfile.mkdtemp(prefix="gmemd-bench-")
        self.process = None

    def path(self, name="socket"):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, words, path, kind=socket.SOCK_STREAM, **how):
        """Until it can be connected to."""
        with open(self.path("said"), "ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=linux.die_with_parent, **how
            )
        until = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as one:
                one.connect(path)
                return
            time.sleep(0.01)
        with open(self.path("said"), encoding="utf-8", errors="replace") as log:
            said = log.read().strip().splitlines()[-1:]
        self.stop()
        raise Skip("%s does not serve: %s" % (self.name, " ".join(said)))

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Echo(Server):
    """libevent and json-c, and nothing else."""

    def __init__(self):
        super().__init__("echo")
        self.address = self.path()
        program = os.path.join(os.environ["BUILD_DIR"], "tests", "bench", "report", "echo_server")
        self.start([program, self.address], self.address, socket.SOCK_SEQPACKET)


class DbusDaemon(Server):
    def __init__(self):
        program = find("dbus-daemon")
        super().__init__("dbus-daemon")
        self.address = self.path()
        config = self.write("bus.conf", "<!DOCTYPE busconfig>\n" + BUS % self.address)
        self.start([program, "--nofork", "--nopidfile", "--config-file=" + config], self.address)


class Journal:
    """Takes what is sent to a journal's socket, and forgets it."""

    def __init__(self, path):
        os.makedirs(os.path.dirname(path))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        with contextlib.suppress(OSError):
            while self.socket.recv(1 << 16):
                pass


class DbusBroker(Server):
    """By its launcher, which is given the listener as systemd would, a journal's socket in a /run of its own, and its own bus."""

    def __init__(self):
        launcher = find("dbus-broker-launch")
        linux.require_root()
        super().__init__("dbus-broker")
        self.address = self.path()
        self.journal = Journal(self.path("run/systemd/journal/socket"))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen(128)
        config = self.write("bus.conf", "<!DOCTYPE busconfig>\n" + BUS % self.address)
        script = 'mount --bind "$1" /run && exec 3<&%d && LISTEN_PID=$$ LISTEN_FDS=1 exec "$2" --scope user --config-file "$3"'
        words = OWN_NAMESPACES + ["sh", "-c", script % self.listener.fileno(), "sh", self.path("run"), launcher, config]
        own = dict(os.environ, DBUS_SESSION_BUS_ADDRESS="unix:path=" + self.address)
        self.start(words, self.address, pass_fds=[self.listener.fileno()], env=own)
        self.listener.close()
        self.answers()

    def answers(self):
        """A listener can be connected to though nobody serves it."""
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(10)
            one.connect(self.address)
            one.send(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
            with contextlib.suppress(OSError):
                if one.recv(64).startswith(b"OK"):
                    return
        self.stop()
        raise Skip("dbus-broker does not answer")


class Qemu(Server):
    """Without a machine; a monitor for each client, because a monitor has one."""

    def __init__(self, clients):
        program = find("qemu-system-x86_64")
        super().__init__("qemu")
        self.address = self.path("qmp-")
        words = [program, "-machine", "none", "-display", "none", "-nodefaults", "-S"]
        for number in range(clients + 1):
            words += ["-qmp", "unix:%s%d,server=on,wait=off" % (self.address, number)]
        self.start(words, self.address + str(clients))


class Libvirtd(Server):
    """With its test driver. Its directories and its network are its own."""

    def __init__(self):
        program = find("libvirtd")
        linux.require_root()
        super().__init__("libvirtd")
        self.address = "test+unix:///default?socket=" + self.path("run/libvirt/libvirt-sock")
        config = self.write("libvirtd.conf", LIBVIRTD)
        for name in ("run", "etc", "lib", "log", "cache"):
            os.makedirs(self.path(name + "/libvirt"))
        script = 'mount --bind "$1/run" /run && for d in lib log cache; do [ ! -d /var/$d/libvirt ] || mount --bind "$1/$d" /var/$d/libvirt; done'
        script += ' && exec "$2" --config "$3" --pid-file /run/libvirt/pid'
        words = OWN_NAMESPACES + ["sh", "-c", script, "sh", self.directory, program, config]
        self.start(words, self.path("run/libvirt/libvirt-sock"))
