#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nobody waits for gmemd in silence, nor for ever: gmemctl and gmem-run say for whom they wait and why, and give up."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.host import Host, wait_until
from gmemtest.tap import check, equal, need, test
from gmemtest.vmm import Vmm

SECONDS = 60
SILENCE = 2  # seconds after which it is said
NO_DAEMON = 3

host = vmm = None


def vmm_that_stays(channel):
    """So that the keeper stays, too."""
    channel.say(Vmm(host.peer(), "stays").id)
    channel.hear()


def set_up():
    global host, vmm
    linux.require_guest_memfd()
    host = Host()
    vmm = Child(vmm_that_stays)
    vmm.channel.hear()


def tear_down():
    vmm.end()
    host.stop()


def client(name):
    return os.path.join(os.environ["BUILD_DIR"], "client", name)


def ctl(*arguments, path=None):
    return [client("gmemctl"), "--socket=" + (path or host.socket_path("admin.sock")), *arguments]


def run(*arguments, path=None):
    path = path or host.socket_path("gmemd.sock")
    return [client("gmem-run"), "--socket=" + path, "--gate=none", *arguments, "--", "/bin/true"]


def start(command):
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


class Ended:
    """What has come of a command."""

    def __init__(self, process, began):
        try:
            self.out, self.err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
            process.wait()
        self.seconds = time.monotonic() - began
        self.status = process.returncode


def ended(*commands):
    """What has come of each, begun together."""
    began = time.monotonic()
    processes = [start(command) for command in commands]
    return [Ended(process, began) for process in processes]


@contextlib.contextmanager
def stopped():
    os.kill(host.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(host.pid, signal.SIGCONT)


def check_given_up(one, status, reason, limit):
    equal(one.status, status, "exit status")
    check(one.seconds >= limit, "it gave up after %.1f s" % one.seconds)
    lines = one.err.splitlines()
    if check(len(lines) == 2, "what it said: %r" % one.err):
        check(re.search("waiting for gmemd at .*sock: .*" + reason, lines[0]), lines[0])
        check(re.search(r"no answer in %d s: .*%s" % (limit, reason), lines[1]), lines[1])


@test("gmemctl, whatever it is to do: where gmemd is stopped it says so, and exits with 3")
def _():
    verbs = ("ping", "status", "vms", "show x", "slots x", "reclaim x", "prealloc x", "events", "top --count=1", "call ping")
    reason = "process %d has not read the request" % host.pid
    with stopped():
        began = time.monotonic()
        processes = {verb: start(ctl("--timeout=4", *verb.split())) for verb in verbs}
        for verb, process in processes.items():
            out, err = process.communicate(timeout=SECONDS)
            equal((process.returncode, out), (NO_DAEMON, ""), verb)
            check(err.count(reason) == 2, "%s: %r" % (verb, err))
        check(time.monotonic() - began >= 4, "they gave up too soon")


@test("gmemctl --json says it in JSON")
def _():
    with stopped():
        (one,) = ended(ctl("--json", "--timeout=3", "ping"))
    equal(one.status, NO_DAEMON, "exit status")
    reasons = [json.loads(line)["data"]["reason"] for line in one.err.splitlines()]
    equal(reasons, ["waiting", "no_daemon"], "reasons")


@test("gmem-run: the same, and exits with 125")
def _():
    reason = "process %d has not read the request" % host.pid
    with stopped():
        check_given_up(*ended(run("--timeout=3")), 125, reason, 3)


@test("a limit below the time of silence: it is all that is said")
def _():
    with stopped():
        both = ended(ctl("--timeout=1", "ping"), run("--timeout=1"))
    for one, status in zip(both, (NO_DAEMON, 125)):
        equal((one.status, len(one.err.splitlines())), (status, 1), one.err)
        check("no answer in 1 s" in one.err, one.err)


def says_something(process, began=None):
    """Its first line, which it must not have said at once."""
    began = began or time.monotonic()
    line = process.stderr.readline()
    check(time.monotonic() - began >= SILENCE - 0.1, "it said at once: " + line)
    return line


@test("an answer that comes later is an answer")
def _():
    with stopped():
        began = time.monotonic()
        processes = [start(command) for command in (ctl("vms"), ctl("--timeout=0", "vms"), run(), run("--timeout=0"))]
        for process in processes:
            check("waiting for gmemd" in says_something(process, began), "it says nothing")
    for process in processes:
        _, err = process.communicate(timeout=SECONDS)
        equal((process.returncode, err), (0, ""), "exit status, and what else it said")


def hears_events(process):
    """Of a VM that comes and goes."""
    peer = host.peer()
    peer.call("vm.close", {"vm": peer.call("vm.open", {"name": "short", "gate": "none"})["vm"]})
    peer.close()
    return select.select([process.stdout], [], [], 0.1)[0]


@test("a keeper alone")
def _():
    listening = start(ctl("--timeout=3", "events"))
    need(wait_until(lambda: hears_events(listening)), "gmemctl events prints nothing")
    host.kill()
    reason = "gmemd-keeper alone holds the socket"
    began = time.monotonic()
    both = ended(ctl("--timeout=3", "status"), run("--timeout=3"))
    for one, status in zip(both, (NO_DAEMON, 125)):
        check_given_up(one, status, reason, 3)
    check_given_up(Ended(listening, began), NO_DAEMON, reason, 3)
    process = start(ctl("status"))
    check(reason in says_something(process), "it does not say why")
    host.start(alone=False)
    _, err = process.communicate(timeout=SECONDS)
    equal((process.returncode, err), (0, ""), "gmemctl, when gmemd is there again")


@test("nobody at all: at once")
def _():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "gone.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
            gone.bind(path)
        for where in (path, os.path.join(directory, "none.sock")):
            for command, status in ((ctl("ping", path=where), NO_DAEMON), (run(path=where), 125)):
                (one,) = ended(command)
                equal(one.status, status, "exit status")
                check("waiting" not in one.err, one.err)


@contextlib.contextmanager
def somebody(backlog):
    """Who listens, and is no gmemd."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "some.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(path)
            listener.listen(backlog)
            listener.settimeout(SECONDS)
            yield path, listener


def fill_up(path):
    """Connections, until no more are let in to wait."""
    waiting = []
    with contextlib.suppress(BlockingIOError):
        while True:
            one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            waiting.append(one)
            one.setblocking(False)
            one.connect(path)
    return waiting


@test("one that lets nobody in")
def _():
    with somebody(0) as (path, _):
        waiting = fill_up(path)
        both = ended(ctl("--timeout=3", "ping", path=path), run("--timeout=3", path=path))
        for one, status in zip(both, (NO_DAEMON, 125)):
            check_given_up(one, status, "nobody accepts them", 3)
        for one in waiting:
            one.close()


@contextlib.contextmanager
def received(*arguments):
    """(gmemctl, the connection on which its request was received)"""
    with somebody(8) as (path, listener):
        process = start(ctl("--timeout=3", *arguments, path=path))
        connection, _ = listener.accept()
        connection.recv(1 << 16)
        yield process, connection
        connection.close()


@test("one that has the request and does not answer: call alone waits on")
def _():
    with received("ping") as (process, _):
        _, err = process.communicate(timeout=SECONDS)
        equal((process.returncode, err.count("it has the request and has not answered yet")), (NO_DAEMON, 2), err)
    with received("call", "ping") as (process, connection):
        line = says_something(process)
        check("it has the request" in line, "it does not say why: " + line)
        time.sleep(2)  # past the limit
        connection.send(b'{"jsonrpc":"2.0","id":1,"result":{}}')
        out, _ = process.communicate(timeout=SECONDS)
        equal((process.returncode, json.loads(out)), (0, {}), "gmemctl call")


@test("--timeout takes seconds")
def _():
    for value in ("", "x", "-1", "1.5", "86401"):
        both = ended(ctl("--timeout=" + value, "ping"), run("--timeout=" + value))
        equal([one.status for one in both], [2, 2], "--timeout=" + value)


if __name__ == "__main__":
    tap.main(set_up, tear_down)
