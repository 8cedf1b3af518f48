#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemd-exporter: what it serves, to how many, and what it does while gmemd is away or hangs."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from gmemtest import tap
from gmemtest.daemon import Daemon
from gmemtest.openmetrics import parse
from gmemtest.tap import check, equal, need, test

CLIENT = os.path.join(os.environ["BUILD_DIR"], "client")
EXPORTER, CTL = os.path.join(CLIENT, "gmemd-exporter"), os.path.join(CLIENT, "gmemctl")
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SECONDS = 60
CLIENTS_MAX = 32

daemon = operator = None


def set_up():
    global daemon, operator
    daemon = Daemon(backend="model")
    operator = daemon.operator()


def tear_down():
    operator.close()
    daemon.stop()


def until(condition, what):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return check(False, what)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self.path)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Exporter:
    """By a port, or in a directory of its own by a unix socket."""

    def __init__(self, *options, unix=False):
        self.directory = tempfile.mkdtemp(prefix="gmemd-test-")
        self.port = None if unix else free_port()
        self.address = self.directory + "/http" if unix else "127.0.0.1:%d" % self.port
        self.log_path = self.directory + "/log"
        command = [EXPORTER, "--socket=" + daemon.socket_path("admin.sock"), "--listen=" + self.address, *options]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stderr=log)
        until(self.serves, "it serves")

    def connection(self):
        return UnixConnection(self.address) if self.port is None else http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def serves(self):
        need(self.process.poll() is None, "it runs: " + self.log())
        try:
            return self.get("/-/healthy").status == 200
        except OSError:
            return False

    def get(self, path, method="GET", body=None):
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.text = answer.read().decode()
            return answer

    def metrics(self):
        answer = self.get("/metrics")
        equal((answer.status, answer.headers["Content-Type"]), (200, OPENMETRICS), "how metrics are answered")
        return parse(answer.text)

    def is_up(self):
        return self.metrics()["gmemd_up"].value() == 1

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def stop(self):
        self.process.terminate()
        equal(self.process.wait(SECONDS), 0, "how it ends")
        log = self.log()
        check("Sanitizer" not in log and "runtime error" not in log, log)
        for name in os.listdir(self.directory):
            check(name == "log", "%s is left" % name)
        os.unlink(self.log_path)
        os.rmdir(self.directory)


@contextlib.contextmanager
def exporter(*options, **more):
    it = Exporter(*options, **more)
    try:
        yield it
    finally:
        it.stop()


def asked():
    """How often metrics.get was."""
    times = operator.call("metrics.get")["gmemd_request_duration_seconds"]["methods"]
    return next(one["count"] for one in times if one["method"] == "metrics.get")


@test("it serves what gmemctl metrics prints")
def same():
    printed = subprocess.run([CTL, "--socket=" + daemon.socket_path("admin.sock"), "metrics"], capture_output=True, text=True, check=True)
    with exporter() as it:
        families = it.metrics()
        equal(set(families), set(parse(printed.stdout)), "families")
        equal(families["gmemd_up"].value(), 1, "gmemd_up")
        equal(families["gmemd_commit_limit_bytes"].value(), operator.call("metrics.get")["gmemd_commit_limit_bytes"], "the limit")


@test("VMs are named where that is asked for alone")
def vms():
    peer = daemon.peer()
    vm = peer.call("vm.open", {"name": 'na"me\u202e', "gate": "none"})["vm"]
    with exporter() as plain, exporter("--vms", unix=True) as named:
        check(vm not in plain.get("/metrics").text and "gmemd_vm_" not in "".join(name for name in plain.metrics() if "_bytes" in name), "no VM is told of")
        [sample] = named.metrics()["gmemd_vm_committed_bytes"].samples
        equal((sample.labels["vm"], sample.labels["name"]), (vm, 'na"me\\u{202E}'), "the VM")
    peer.call("vm.close", {"vm": vm})
    peer.close()


@test("what is not there, and what is not to be done")
def refused():
    with exporter() as it:
        for path in ("/", "/metrics/", "/x", "/-/ready", "/metrics%00"):
            equal(it.get(path).status, 404, path)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = it.get("/metrics", method, "x" if method == "POST" else None)
            equal((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"), method)
        equal((it.get("/metrics", "HEAD").status, it.get("/-/healthy", "HEAD").text), (200, ""), "HEAD")
        equal(it.get("/metrics?x=y").status, 200, "with a query")
        for raw in (b"x\r\n\r\n", b"GET /metrics HTTP/1.1\r\n" + b"A: " + 9000 * b"a" + b"\r\n\r\n", b"POST /metrics HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", it.port), SECONDS) as client:
                client.sendall(raw)
                check(b" 200 " not in client.recv(4096), "%r" % raw[:40])
        check(it.serves(), "it serves on")


@test("gmemd away is told as that, once in the log, and it is seen when it is back")
def away():
    global operator
    with exporter() as it:
        check(it.is_up(), "it is up")
        operator.close()
        daemon.process.terminate()
        daemon.process.wait()
        until(lambda: not it.is_up(), "gmemd_up is 0")
        equal(set(it.metrics()), {"gmemd_up"}, "all there is")
        daemon.start()
        operator = daemon.operator()
        until(it.is_up, "gmemd_up is 1 again")
        equal([re.sub(r".*: gmemd", "gmemd", line).split(": ")[0] for line in it.log().splitlines()], ["gmemd is not up", "gmemd is up"], "its log")


@contextlib.contextmanager
def stopped():
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)


@test("a gmemd that hangs is waited for by nobody but who asks for metrics, and not for ever")
def hangs():
    with exporter() as it:
        check(it.is_up(), "it is up")
        with stopped():
            time.sleep(1.1)  # what it has is old then
            got = []
            thread = threading.Thread(target=lambda: got.append(it.get("/metrics")))
            thread.start()
            check(it.serves(), "it is healthy meanwhile")
            thread.join(SECONDS)
            equal([parse(answer.text)["gmemd_up"].value() for answer in got], [0], "gmemd_up")
        until(it.is_up, "gmemd_up is 1 again")


@test("gmemd is asked once for all who ask at the same time")
def together():
    with exporter() as it:
        got = []
        before = asked()
        with stopped():
            threads = [threading.Thread(target=lambda: got.append(it.get("/metrics").text)) for _ in range(20)]
            for thread in threads:
                thread.start()
            until(lambda: it.fds() > 20, "all are connected")
        for thread in threads:
            thread.join(SECONDS)
        equal((len(got), len(set(got))), (20, 1), "answers, and different ones")
        equal(asked() - before, 2, "how often gmemd was asked, with this")


@test("clients who leave before they are answered")
def leave():
    with exporter() as it:
        with stopped():
            for _ in range(10):
                with socket.create_connection(("127.0.0.1", it.port), SECONDS) as client:
                    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        until(it.is_up, "it serves on")


@test("there are no more clients than there may be, and those who wait have their turn")
def bounded():
    with exporter() as it:
        without = it.fds()
        idle = [socket.create_connection(("127.0.0.1", it.port), SECONDS) for _ in range(3 * CLIENTS_MAX)]
        until(lambda: it.fds() >= without + CLIENTS_MAX - 2, "as many as may be are accepted")
        check(it.fds() <= without + CLIENTS_MAX + 4, "%d fds" % it.fds())
        for client in idle[: 2 * CLIENTS_MAX]:
            client.close()
        check(it.is_up(), "gmemd is asked all the same")
        for client in idle[2 * CLIENTS_MAX :]:
            client.close()


@test("an idle client is closed")
def idle():
    with exporter() as it, socket.create_connection(("127.0.0.1", it.port), SECONDS) as client:
        client.sendall(b"GET /metr")
        while client.recv(4096):
            pass
        check(it.serves(), "it serves on")


@test("a wrong address is one sentence")
def addresses():
    for address in ("", "x", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "localhost:1", "[::1]", "/" + 120 * "x"):
        answer = subprocess.run([EXPORTER, "--listen=" + address], capture_output=True, text=True, timeout=SECONDS, check=False)
        equal((answer.returncode, answer.stdout, answer.stderr.count("\n")), (2, "", 1), address)
        check("--listen=%s: it must be an address with its port" % address in answer.stderr, answer.stderr)
    with exporter() as it, exporter(unix=True) as other:
        for used in (it, other):
            answer = subprocess.run([EXPORTER, "--listen=" + used.address], capture_output=True, text=True, timeout=SECONDS, check=False)
            equal((answer.returncode, answer.stderr), (1, "<3>--listen=%s: Address already in use\n" % used.address), "one that is used")


@test("a file that is no socket is not replaced")
def no_socket():
    with tempfile.TemporaryDirectory() as directory:
        path = directory + "/file"
        for make in (lambda: open(path, "x", encoding="ascii").close(), lambda: os.symlink("nowhere", path)):
            make()
            answer = subprocess.run([EXPORTER, "--listen=" + path], capture_output=True, text=True, timeout=SECONDS, check=False)
            equal((answer.returncode, answer.stderr), (1, "<3>--listen=%s: Address already in use\n" % path), "its end")
            need(os.path.lexists(path), "the file is there still")
            os.unlink(path)


@test("a socket that a killed one has left is replaced")
def stale():
    it = Exporter(unix=True)
    it.process.kill()
    it.process.wait()
    need(os.path.exists(it.address), "its socket is left")
    it.process = subprocess.Popen([EXPORTER, "--socket=" + daemon.socket_path("admin.sock"), "--listen=" + it.address])
    until(it.serves, "the next serves there")
    it.stop()


@test("the socket of another one that has taken its path stays when it ends")
def taken():
    it = Exporter(unix=True)
    os.unlink(it.address)
    first = it.process
    it.process = subprocess.Popen([EXPORTER, "--socket=" + daemon.socket_path("admin.sock"), "--listen=" + it.address])
    until(it.serves, "the next serves there")
    first.terminate()
    first.wait()
    check(os.path.exists(it.address) and it.serves(), "its socket is gone")
    it.stop()


tap.main(set_up, tear_down)
