#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a process inherits is set right at its start, in every program: standard files that are closed, signals that are
blocked or ignored, the umask, the locale.
"""

import contextlib
import fcntl
import json
import os
import signal
import stat
import struct
import subprocess
import tempfile

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.host import wait_until
from gmemtest.keeper import KeeperPeer
from gmemtest.keeper import program as daemon_program
from gmemtest.tap import check, equal, need, test
from gmemtest.vmm import Vmm

SECONDS = 60
SIZE = 1 << 20
STANDARD = (0, 1, 2)
WAY_OUT = (signal.SIGTERM, signal.SIGINT)

model = None  # a gmemd that was started as one should be


def set_up():
    global model
    linux.require_guest_memfd()
    model = Daemon(backend="model")


def tear_down():
    model.stop()


def client(name):
    return os.path.join(os.environ["BUILD_DIR"], "client", name)


# What a parent may leave behind, for a child before it executes a program.


def close_standard(*fds):
    for fd in fds:
        os.close(fd)


def leave_bad_signals():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def leave_all(*_):
    leave_bad_signals()
    os.umask(0o777)
    close_standard(*STANDARD)


def ignore_interrupt(*_):
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# What can be seen of a process.


def status(pid):
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def signals(pid, name):
    bits = int(status(pid)[name], 16)
    return {number for number in range(1, 65) if bits >> (number - 1) & 1}


def standard_files(pid):
    return [os.readlink("/proc/%d/fd/%d" % (pid, fd)) for fd in STANDARD]


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@contextlib.contextmanager
def running(arguments, before, **options):
    """A program that was started with what a parent has left."""

    def before_exec():
        linux.die_with_parent()
        before()

    process = subprocess.Popen(arguments, preexec_fn=before_exec, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextlib.contextmanager
def gmemd(**options):
    daemon = Daemon(**options)
    try:
        yield daemon
    finally:
        daemon.stop()


def ends(process, number, expected=0):
    process.send_signal(number)
    try:
        equal(process.wait(SECONDS), expected, "ended by signal %d with" % number)
    except subprocess.TimeoutExpired:
        check(False, "signal %d does not end it" % number)


# gmemd, with its keeper and its helper.


@test("gmemd: standard files that are closed are /dev/null")
def _():
    for closed in ((0,), (1,), (2,), STANDARD):
        with gmemd(before=lambda _, fds=closed: close_standard(*fds)) as daemon:
            files = standard_files(daemon.pid)
            for fd in closed:
                equal(files[fd], "/dev/null", "fd %d of %s" % (fd, closed))
            [keeper] = daemon.keepers()
            check(all(f == "/dev/null" or f == daemon.log_path for f in standard_files(keeper)), "the keeper's")


def preallocates(daemon):
    """How many bytes it has a helper allocate, for a process with a VM."""

    def body(channel):
        vmm = Vmm(daemon.peer(), "inherited")
        memory, _ = vmm.create(SIZE)
        channel.say(vmm.peer.call("memory.preallocate", {"memory": memory})["allocated"])

    with Child(body) as child:
        return child.channel.hear()


@test("gmemd: whatever its parent has left, it has its keeper and its helper, and SIGTERM ends it")
def _():
    for before in (lambda _: leave_bad_signals(), leave_all):
        with gmemd(before=before) as daemon:
            equal(signals(daemon.pid, "SigBlk"), set(), "blocked")
            equal(len(daemon.keepers()), 1, "keepers")
            equal(preallocates(daemon), SIZE, "preallocated")
            with contextlib.closing(daemon.operator()) as operator:
                check(operator.call("host.describe").get("keeper"), "no keeper is used")


@test("gmemd: whatever the umask is, its sockets have their modes, and so has their directory")
def _():
    def before(_):
        os.umask(0o777)

    with gmemd(before=before) as daemon:
        equal(mode(daemon.path), 0o755, "the directory")
        equal(mode(daemon.socket_path("gmemd.sock")), 0o666, "gmemd.sock")
        equal(mode(daemon.socket_path("admin.sock")), 0o600, "admin.sock")
        equal(mode(daemon.socket_path("keeper.sock")), 0o600, "keeper.sock")


def answers(daemon):
    with contextlib.closing(daemon.operator()) as operator:
        return operator.call("ping") == {}


@test("gmemd: a SIGINT that is ignored stays so, and another ends it")
def _():
    with gmemd(backend="model", before=ignore_interrupt) as daemon:
        os.kill(daemon.pid, signal.SIGINT)
        check(answers(daemon), "it has ended")
    with gmemd(backend="model") as daemon:
        ends(daemon.process, signal.SIGINT)


@test("gmemd and its keeper: SIGHUP does not end them; gmemd reads its configuration anew")
def _():
    with gmemd() as daemon:
        [keeper] = daemon.keepers()
        for pid in (daemon.pid, keeper):
            os.kill(pid, signal.SIGHUP)
        check(wait_until(lambda: "the configuration was read anew" in daemon.log(), SECONDS), "no line")
        check(answers(daemon), "gmemd has ended")
        equal(daemon.keepers(), [keeper], "the keeper")


@test("gmemd: one directory has one spelling, for who comes after")
def _():
    with gmemd() as daemon:
        os.symlink(daemon.path, daemon.path + "-link")
        argument = "--runtime-directory="
        for spelling in ("/", "/.", "/../run", "-link"):
            daemon.process.kill()
            daemon.process.wait()
            [i] = [i for i, a in enumerate(daemon.arguments) if a.startswith(argument)]
            daemon.arguments[i] = argument + daemon.path + spelling
            daemon.start()
        check("another gmemd serves" not in daemon.log(), daemon.log())


# gmemd-keeper by itself.


def keeper_socket(path):
    return os.path.join(path, "keeper.sock")


@contextlib.contextmanager
def keeper(before):
    with tempfile.TemporaryDirectory(prefix="gmemd-test-") as directory:
        path = os.path.join(directory, "run")
        arguments = [daemon_program(), "--runtime-directory=" + path]
        with running(arguments, before) as process:
            check(wait_until(lambda: os.path.exists(keeper_socket(path)), SECONDS), "no socket")
            yield process, path


def holds(path):
    """Whether it serves."""

    def hello():
        try:
            with KeeperPeer(path) as peer:
                peer.hello()
                return True
        except OSError:
            return False

    return wait_until(hello, SECONDS)


@test("gmemd-keeper: whatever its parent has left, it serves its user alone, and SIGTERM ends it")
def _():
    with keeper(leave_all) as (process, path):
        check(holds(path), "it does not serve")
        equal(standard_files(process.pid), ["/dev/null"] * 3, "standard files")
        equal(signals(process.pid, "SigBlk"), set(WAY_OUT), "blocked, for they are read from a file")
        equal(mode(path), 0o755, "the directory")
        equal(mode(keeper_socket(path)), 0o600, "the socket")
        ends(process, signal.SIGTERM)


@test("gmemd-keeper: a SIGINT that is ignored stays so, and another ends it; SIGHUP does not")
def _():
    with keeper(ignore_interrupt) as (process, path):
        need(holds(path), "it does not serve")
        os.kill(process.pid, signal.SIGINT)
        check(holds(path), "it has ended")
        ends(process, signal.SIGTERM)
    with keeper(lambda: None) as (process, path):
        need(holds(path), "it does not serve")
        os.kill(process.pid, signal.SIGHUP)
        check(holds(path), "it has ended")
        ends(process, signal.SIGINT)


# gmemd-allocator by itself: what it is told is in a file (daemon/allocator/shared_progress.h).


@test("gmemd-allocator: whatever its parent has left, it allocates")
def _():
    state, memory = os.memfd_create("state"), os.memfd_create("memory")
    os.ftruncate(memory, SIZE)
    os.ftruncate(state, 1 << 16)
    os.pwrite(state, struct.pack("=i4xQQQi??2xII", os.getpid(), 0, SIZE, SIZE, -1, False, False, 1, 1), 0)

    def before():
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in (state, memory)]
        os.dup2(copies[0], 3)
        os.dup2(copies[1], 4)
        os.closerange(5, 256)
        leave_all()

    with running([daemon_program("gmemd-allocator")], before, close_fds=False) as process:
        equal(process.wait(SECONDS), 0, "it ends with")
    equal(os.fstat(memory).st_blocks * 512, SIZE, "allocated")
    os.close(state)
    os.close(memory)


# gmemctl.


def ctl(*arguments):
    return [client("gmemctl"), "--socket=" + model.socket_path("admin.sock"), *arguments]


@test("gmemctl: standard files that are closed are /dev/null, and output that is lost is an error")
def _():
    for fd, expected in ((0, 0), (1, 1), (2, 0)):
        with running(ctl("vms"), lambda fd=fd: close_standard(fd), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as it:
            error = it.stderr.read().decode()
            equal(it.wait(SECONDS), expected, "fd %d closed: exit status (%s)" % (fd, error))
            equal("stdout" in error, fd == 1, "fd %d closed: error %r" % (fd, error))


def events(before, **options):
    """gmemctl events that has subscribed, for it has printed one."""
    options.setdefault("stdout", subprocess.PIPE)
    return running(ctl("events"), before, **options)


def bring_about_event():
    with contextlib.closing(model.peer()) as peer:
        peer.call("vm.close", {"vm": peer.call("vm.open", {"name": "event"})["vm"]})


def has_subscribed(process):
    """Events come until it prints one."""
    os.set_blocking(process.stdout.fileno(), False)

    def printed():
        bring_about_event()
        return process.stdout.read()

    return need(wait_until(printed, SECONDS), "gmemctl events prints nothing")


@test("gmemctl: SIGTERM and SIGINT end it though its parent has blocked them")
def _():
    for number in WAY_OUT:
        with events(leave_bad_signals) as process:
            has_subscribed(process)
            equal(signals(process.pid, "SigBlk"), set(), "blocked")
            ends(process, number)


@test("gmemctl: a SIGINT that is ignored stays so")
def _():
    with events(ignore_interrupt) as process:
        has_subscribed(process)
        process.send_signal(signal.SIGINT)
        has_subscribed(process)
        ends(process, signal.SIGTERM)


@test("gmemctl: SIGPIPE ends it though its parent ignores it, when nobody reads what it prints")
def _():
    with events(lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)) as process:
        has_subscribed(process)
        process.stdout.close()

        def ended():
            bring_about_event()
            return process.poll() is not None

        check(wait_until(ended, SECONDS), "it goes on")
        equal(process.returncode, -signal.SIGPIPE, "it ends with")


@test("gmemctl: its JSON and its figures are the same in every locale")
def _():
    with contextlib.closing(model.peer()) as peer:
        peer.call("vm.open", {"name": "Straße"})
        said = set()
        for name in ("C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8", "none", ""):
            environment = dict(os.environ, LC_ALL=name, LANGUAGE="de")
            output = subprocess.run(ctl("--json", "vms"), env=environment, capture_output=True, check=True)
            said.add(output.stdout)
        equal(len(said), 1, "outputs")
        equal(json.loads(said.pop())["vms"][0]["name"], "Straße", "the name")


# gmem-run, and what its VMM inherits.

LOOK = """
import json, os, signal
umask = os.umask(0)
print(json.dumps({
    "files": [os.readlink("/proc/self/fd/%d" % fd) for fd in range(3)],
    "connection": int(os.environ["GMEM_FD"]),
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "ignored": sorted(n for n in range(1, 32) if signal.getsignal(n) == signal.SIG_IGN),
    "umask": umask,
}), file=open(os.environ["LOOK"], "w"))
"""


def look(before):
    """What the VMM sees of itself."""
    with tempfile.NamedTemporaryFile() as seen:
        environment = dict(os.environ, LOOK=seen.name)
        command = [client("gmem-run"), "--socket=" + model.socket_path("gmemd.sock"), "--gate=none", "--"]
        with running([*command, "/usr/bin/python3", "-c", LOOK], before, env=environment) as process:
            equal(process.wait(SECONDS), 0, "gmem-run ends with")
        return json.load(seen)


@test("gmem-run: its VMM has standard files, whichever were closed, and none is the connection")
def _():
    for closed in ((0,), (1,), (2,), STANDARD):
        seen = look(lambda fds=closed: close_standard(*fds))
        for fd in closed:
            equal(seen["files"][fd], "/dev/null", "fd %d of %s" % (fd, closed))
        check(seen["connection"] > 2, "the connection is %d" % seen["connection"])


@test("gmem-run: its VMM has no signal blocked, and SIGCHLD is not ignored")
def _():
    seen = look(leave_bad_signals)
    equal(seen["blocked"], [], "blocked")
    check(signal.SIGCHLD not in seen["ignored"], "SIGCHLD is ignored")


@test("gmem-run: what was chosen for the VMM stays: its umask, and a SIGINT that is ignored")
def _():
    def before():
        os.umask(0o027)
        ignore_interrupt()

    seen = look(before)
    equal(seen["umask"], 0o027, "umask")
    check(signal.SIGINT in seen["ignored"], "SIGINT is not ignored")


# gmem-example-vmm.


def stopped_at(process):
    return wait_until(lambda: status(process.pid)["State"].startswith("T"), SECONDS)


@test("gmem-example-vmm: the same")
def _():
    program = client("gmem-example-vmm")
    if not os.path.exists(program):
        raise tap.Skip("the example is built on x86-64 alone")
    arguments = [program, "--socket=" + model.socket_path("gmemd.sock"), "--pause-at=connected"]
    for before, ignored in ((leave_all, False), (ignore_interrupt, True)):
        with running(arguments, before, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            need(stopped_at(process), "it does not stop itself")
            if not ignored:
                equal(standard_files(process.pid), ["/dev/null"] * 3, "standard files")
            equal(signals(process.pid, "SigBlk"), set(), "blocked")
            equal(signal.SIGINT in signals(process.pid, "SigIgn"), ignored, "SIGINT is ignored")
            check(signal.SIGCHLD not in signals(process.pid, "SigIgn"), "SIGCHLD is ignored")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
