#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gmemd whose configuration is wrong stays, says so to everybody who asks, and watches what a predecessor has left."""

import contextlib
import os
import signal
import subprocess
import tempfile

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.host import Host, wait_until
from gmemtest.keeper import program
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Closed, request

SECONDS = 60
RIGHT = "[limits]\nslots-per-vm = 7\n"
WRONG = "# a comment\n[limits]\nslots-per-vm = many\n"

host = None


def set_up():
    global host
    linux.require_guest_memfd()
    host = Host(config=RIGHT)


def tear_down():
    host.stop()


def config_path():
    return os.path.join(host.directory, "gmemd.conf")


def restart_with(config):
    host.change_config(config)
    host.kill()
    host.spawn()
    need(wait_until(answers, SECONDS), "gmemd does not answer: " + host.log())


def answers():
    try:
        with contextlib.closing(host.operator()) as operator:
            operator.error("ping")
            return True
    except (OSError, Closed):
        return False


def check_refusal(error):
    equal(error["code"], -32007, "code")
    expected = {"reason": "configuration", "file": config_path(), "line": 3, "setting": "slots-per-vm"}
    equal(error["data"], expected, "data")
    check("slots-per-vm: must be a number" in error["message"], error["message"])


@contextlib.contextmanager
def refusing():
    restart_with(WRONG)
    try:
        yield
    finally:
        restart_with(RIGHT)


@test("each request is refused with the file, the line and the setting")
def _():
    with refusing():
        for peer in (host.peer(), host.operator()):
            with contextlib.closing(peer):
                for method, params in (
                    ("ping", None),
                    ("host.describe", None),
                    ("vm.list", None),
                    ("vm.open", {"name": "x"}),
                    ("vm.open", {"nonsense": 1}),
                    ("no.method", None),
                ):
                    check_refusal(peer.error(method, params))


@test("so is each of a batch; a notification changes nothing and has no answer")
def _():
    with refusing(), contextlib.closing(host.peer()) as peer:
        peer.send({"jsonrpc": "2.0", "method": "vm.open", "params": {"name": "x"}})
        peer.send([request("ping", number=1), request("vm.list", number=2)])
        answer, _ = peer.receive()
        equal([one["id"] for one in answer], [1, 2], "the batch")
        for one in answer:
            check_refusal(one["error"])


@test("the log says it once for each fault, and what is to be done")
def _():
    before = len(host.log())
    with refusing():
        with contextlib.closing(host.peer()) as peer:
            for _ in range(100):
                peer.error("ping")
        said = host.log()[before:]
    equal(said.count("gmemd.conf:3: slots-per-vm: must be a number"), 1, "how often")
    equal(said.count("refuses all requests until"), 1, "how often")
    check("error: %s:3:" % config_path() in said, said)


def vmm_with_memory(channel):
    """A VMM with a memory, and then whatever it is asked for."""
    peer = host.peer()
    vmm = Vmm(peer, "left")
    memory, _ = vmm.create(4 * PAGE)
    channel.say([vmm.id, memory])
    while True:
        method, params = channel.hear()
        error = peer.error(method, params)
        channel.say(error["data"]["reason"] if error else "served")


def state_of(vm):
    with contextlib.closing(host.operator()) as operator:
        return {one["vm"]: one["state"] for one in operator.call("vm.list")["vms"]}.get(vm)


@test("what a predecessor had goes on: its VMs, their memories, their connections")
def _():
    with Child(vmm_with_memory) as child:
        vm, memory = child.channel.hear()
        with refusing():
            equal(child.ask("vm.get", {"vm": vm}), "configuration", "the VMM's request")
            equal(child.ask("memory.close", {"memory": memory}), "configuration", "another")
        equal(state_of(vm), "running", "its VM")
        equal(child.ask("vm.get", {"vm": vm}), "served", "the VMM's request, of the successor")
        equal(child.ask("memory.close", {"memory": memory}), "served", "another")


@test("a VM whose process ends meanwhile is released")
def _():
    with Child(vmm_with_memory) as child:
        vm, _ = child.channel.hear()
        with refusing():
            child.end()
            told = "%s: process" % vm
            check(wait_until(lambda: told in host.log(), SECONDS), "the log says nothing of its release")
        equal(state_of(vm), None, "the VM")


@test("who is let in meanwhile is not let in by that for later")
def _():
    restart_with(WRONG)
    with contextlib.closing(host.peer()) as peer:
        check_refusal(peer.error("ping"))
        restart_with(RIGHT)
        with contextlib.suppress(Closed, OSError):
            peer.error("ping")
            check(False, "the connection outlives gmemd")


@test("a file that can't be read, or is not there")
def _():
    path = config_path()
    host.kill()
    os.unlink(path)
    host.spawn()
    need(wait_until(answers, SECONDS), "gmemd does not answer")
    with contextlib.closing(host.peer()) as peer:
        error = peer.error("ping")
        equal(error["data"], {"reason": "configuration", "file": path}, "data")
        check("No such file" in error["message"], error["message"])
    restart_with(RIGHT)


@test("SIGTERM ends one that refuses, and SIGHUP does not")
def _():
    restart_with(WRONG)
    os.kill(host.pid, signal.SIGHUP)
    check(wait_until(lambda: "what holds is as it was" in host.log(), SECONDS), "no line")
    check(answers(), "it has ended")
    equal(host.end(), 0, "it ends with")
    host.change_config(RIGHT)
    host.start(alone=False)


def check_config(config, *arguments):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(config)
        file.flush()
        command = [program("gmemd"), "--check-config", "--config=" + file.name, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        equal(done.stdout, "", "stdout")
        return done.returncode, done.stderr.replace(file.name, "FILE").splitlines()


@test("gmemd --check-config says what is wrong, in which line, and what is allowed")
def _():
    equal(check_config(RIGHT), (0, []), "a right one")
    wrong = WRONG + "[gate]\npolicy = maybe\n"
    expected = ["FILE:3: slots-per-vm: must be a number", "FILE:5: policy: must be required or preferred"]
    equal(check_config(wrong), (1, expected), "a wrong one")
    done = subprocess.run([program("gmemd"), "--check-config", "--config=/nowhere"], capture_output=True, text=True)
    equal((done.returncode, done.stderr), (1, "/nowhere: No such file or directory\n"), "none")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
