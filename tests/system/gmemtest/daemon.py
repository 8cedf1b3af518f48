# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gmemd of the test's own, and what can be seen of it from outside."""

import atexit
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

from gmemtest import linux, sock_diag
from gmemtest.tap import Failed, check, need, note
from gmemtest.wire import Peer, RpcError

SECONDS_TO_START = 60
COMM_LENGTH = 15
SANITIZERS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")


def processes(program, argument):
    """The pids of those that run the program with that argument."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            # What is in a process's memory can wait for whoever holds its memory map; its name does not.
            with open("/proc/%s/comm" % pid, "rb") as file:
                if file.read().rstrip(b"\n") != program[:COMM_LENGTH].encode():
                    continue
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == program and argument in words:
            found.append(int(pid))
    return found


def _comm(pid):
    try:
        with open("/proc/%d/comm" % pid, encoding="utf-8", errors="replace") as file:
            return file.read().rstrip()
    except OSError:
        return None


def _remove(directory, pid):
    """At the end of the process that made it, however a test came to its end."""
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


class _Fd:
    """One of a process's, as /proc has it."""

    def __init__(self, pid, fd):
        self.info = "/proc/%d/fdinfo/%s" % (pid, fd)
        try:
            self.link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except OSError:
            self.link = ""

    def is_of(self, processes, sockets):
        """Whether it is a pidfd of one of these, or one of these sockets."""
        if self.link in sockets:
            return True
        if "pidfd" not in self.link:
            return False
        try:
            with open(self.info, encoding="ascii") as file:
                return any(line.split() == ["Pid:", str(pid)] for line in file for pid in processes)
        except OSError:
            return False


class Daemon:
    """Runs until stop(), at most as long as the test; with KEEPER=no in the environment, alone."""

    def __init__(
        self, gate="preferred", config="", files=None, backend="auto", before=None, stderr=None, keep_closed=True,
        environment=None,
    ):
        """before(daemon): what its process does before it becomes gmemd; stderr: an fd for its log; keep_closed:
        whether it goes on holding files of closed memories, for a minute after their VM's end; environment: what it has
        beside this process's."""
        self.directory = tempfile.mkdtemp(prefix="gmemd-test-")
        atexit.register(_remove, self.directory, os.getpid())
        os.chmod(self.directory, 0o755)
        self.path = os.path.join(self.directory, "run")
        config_path = os.path.join(self.directory, "gmemd.conf")
        if os.environ.get("KEEPER") == "no":
            config += "\n[keeper]\nuse = no\n"
        if not keep_closed:
            config += "\n[limits]\nclosed-memories-per-vm = 0\n"
        with open(config_path, "w", encoding="utf-8") as file:
            file.write(config)
        self.log_path = os.path.join(self.directory, "log")
        program = os.path.join(os.environ["BUILD_DIR"], "daemon", "gmemd")
        self.arguments = [
            program,
            "--runtime-directory=" + self.path,
            "--config=" + config_path,
            "--gate=" + gate,
            "--backend=" + backend,
        ]
        self.files = files
        self.before = before
        self.stderr = stderr
        self.environment = environment or {}
        self.start()

    def change_config(self, config):
        """From its next start on."""
        with open(os.path.join(self.directory, "gmemd.conf"), "w", encoding="utf-8") as file:
            file.write(config)

    def start(self, alone=True):
        """alone: nobody else makes it open or close anything meanwhile."""
        self.spawn()
        self._wait_until_it_serves(alone)

    close_fds = True  # of what is executed

    def before_exec(self):
        linux.die_with_parent()
        os.environ.update(self.environment)
        if self.files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))
        if self.before is not None:
            self.before(self)

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stderr=log if self.stderr is None else self.stderr,
                preexec_fn=self.before_exec,
                close_fds=self.close_fds,
            )
        self.pid = self.process.pid

    def _wait_until_it_serves(self, alone):
        until = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise Failed("gmemd has ended: " + self.log())
            try:
                peer = self.operator()
                peer.call("ping")
                if alone:
                    self._have_all_recovered(peer)
                fds = self.fds()
                peer.close()
                if alone:
                    self.fds_come_back(fds - 2)  # the connection and its pidfd
                return
            except OSError:
                time.sleep(0.01)
        raise Failed("gmemd does not serve: " + self.log())

    @staticmethod
    def _have_all_recovered(peer):
        """What it has taken over it may go on recovering while it serves, until it is asked how much that was."""
        try:
            peer.call("host.describe")
        except RpcError:
            pass  # it refuses all requests

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def socket_path(self, name):
        return os.path.join(self.path, name)

    def peer(self):
        return Peer(self.socket_path("gmemd.sock"))

    def operator(self):
        return Peer(self.socket_path("admin.sock"))

    def alive(self):
        return self.process.poll() is None

    def helpers(self, name):
        """The programs of that name that its threads have started and that have not ended."""
        found = []
        try:
            for task in os.listdir("/proc/%d/task" % self.pid):
                with open("/proc/%d/task/%s/children" % (self.pid, task), encoding="ascii") as file:
                    found += [int(pid) for pid in file.read().split() if _comm(int(pid)) == name]
        except OSError:
            pass
        return found

    def takers(self):
        """They come and go by themselves."""
        return self.helpers("gmemd-taker")

    def fds(self):
        """How many it has open, but for those that it has for its helpers that come and go."""
        helpers = self.takers() + self.helpers("gmemd-puncher")
        theirs = sock_diag.sockets_of(helpers)
        peers = {"socket:[%d]" % one for one, peer in sock_diag.unix_peers().items() if peer in theirs}
        return sum(1 for fd in self._links() if not fd.is_of(helpers, peers))

    def _links(self):
        return [_Fd(self.pid, fd) for fd in os.listdir("/proc/%d/fd" % self.pid)]

    def lowest_free_fd(self):
        used = {int(name) for name in os.listdir("/proc/%d/fd" % self.pid)}
        return min(set(range(len(used) + 1)) - used)

    def number_of_free_fd(self, count):
        """As a limit it leaves room for so many, whatever number those are that it has."""
        used = {int(name) for name in os.listdir("/proc/%d/fd" % self.pid)}
        free = (number for number in range(1 << 20) if number not in used)
        return [next(free) for _ in range(count)][-1] + 1

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.pid, encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def limit_files(self, number):
        """Its RLIMIT_NOFILE from now on; returns what it was, but for moments in which it has its reserve open.

        What is set back in such a moment to what the reserve makes of it would be undone at its end.
        """
        until = time.monotonic() + 60
        soft, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        while soft == hard and time.monotonic() < until:
            soft, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        need(soft < hard, "gmemd has no reserve of files")
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (number, max(number, hard)))
        return soft

    def fds_come_back(self, to, seconds=60):
        """Whether it has no more open than that within the time."""
        until = time.monotonic() + seconds
        count = self.fds()
        while count > to and time.monotonic() < until:
            time.sleep(0.02)
            count = self.fds()
        return check(count <= to, "gmemd has %d fds open, %d before" % (count, to))

    def keepers(self):
        return processes("gmemd-keeper", "--runtime-directory=" + self.path)

    def kill_keepers(self):
        for pid in self.keepers():
            os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + SECONDS_TO_START
        while self.keepers():
            if time.monotonic() > until:
                raise Failed("a keeper can't be killed")
            time.sleep(0.01)

    def stop(self):
        """Ends it and checks that it ends as it should."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            status = self.process.wait(SECONDS_TO_START)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process = None
        self.kill_keepers()
        log = self.log()
        wrong = [line for line in log.splitlines() if any(s in line for s in SANITIZERS)]
        if not check(status == 0 and not wrong, "gmemd ended with %d, %s" % (status, wrong)):
            note(log[-8000:])
        shutil.rmtree(self.directory)
