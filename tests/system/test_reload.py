#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration is read anew while gmemd serves: all of it or nothing, and whoever asked is told."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading

from gmemtest import linux, tap
from gmemtest.host import Host, wait_until
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, need, test
from gmemtest.vmm import Vmm
from gmemtest.wire import Closed, RpcError

SECONDS = 60
RIGHT = "[limits]\nslots-per-vm = 7\n"
WRONG = "[limits]\nslots-per-vm = many\nbogus = 1\n"

host = vmm = None


def set_up():
    global host, vmm
    linux.require_guest_memfd()
    host = Host(config=RIGHT)
    vmm = Vmm(host.peer(), "reload")


def tear_down():
    vmm.close_files()
    host.stop()


def config_path():
    return os.path.join(host.directory, "gmemd.conf")


@contextlib.contextmanager
def operator():
    with contextlib.closing(host.operator()) as peer:
        yield peer


def reload_with(config):
    host.change_config(config)
    with operator() as peer:
        return peer.call("config.reload")


def settings():
    with operator() as peer:
        answer = peer.call("config.get")
        check("cursor" not in answer, "more than a page")
        return {(one["section"], one["name"]): one for one in answer["settings"]}


def value(name, section="limits"):
    return settings()[(section, name)]["value"]


@contextlib.contextmanager
def more(files):
    directory = config_path() + ".d"
    os.mkdir(directory)
    try:
        for name, text in files.items():
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(text)
        yield
    finally:
        shutil.rmtree(directory)


@test("a limit that is changed holds from then on, and what was granted stays")
def _():
    first, _ = vmm.create(4 * PAGE)
    equal(reload_with(RIGHT + "memories-per-vm = 1\n"), {"files": 1, "at_next_start": []}, "the answer")
    error = vmm.peer.error("memory.create", {"vm": vmm.id, "size": PAGE})
    equal(error["data"], {"reason": "limit", "limit": "memories-per-vm", "value": 1, "scope": "vm"}, "data")
    vmm.peer.call("memory.open", {"memory": first})
    reload_with(RIGHT)
    vmm.create(PAGE)
    check("[limits] memories-per-vm is 1 now; it was 64" in host.log(), host.log())


@test("where anything is wrong nothing changes, and who asked is told all of it")
def _():
    host.change_config("[limits]\nmemories-per-vm = 1\n" + WRONG)
    with operator() as peer:
        error = peer.error("config.reload")
    equal(error["code"], -32007, "code")
    faults = error["data"].pop("faults")
    expected = {"reason": "configuration", "file": config_path(), "line": 4, "setting": "slots-per-vm"}
    equal(error["data"], expected, "data")
    check("what holds is as it was" in error["message"], error["message"])
    equal([one.split(": ")[0] for one in faults], [config_path() + ":4", config_path() + ":5"], "faults")
    equal(value("memories-per-vm"), "64", "a limit")
    equal(value("slots-per-vm"), "7", "another")
    with operator() as peer:
        peer.call("ping")
    check("error: " + faults[1] in host.log(), host.log())
    reload_with(RIGHT)


@test("files beside it count in their order, and each value says where it comes from")
def _():
    first = "[limits]\n\nslots-per-vm = 10\n[pressure]\nfloor = 1%\n"
    with more({"20.conf": "[limits]\nslots-per-vm = 20\n", "10.conf": first}):
        equal(reload_with(RIGHT)["files"], 3, "files")
        found = settings()
    slots = found[("limits", "slots-per-vm")]
    equal((slots["value"], slots["source"]), ("20", "file"), "what was set last")
    equal((os.path.basename(slots["file"]), slots["line"]), ("20.conf", 2), "its place")
    equal(found[("pressure", "floor")]["value"], "1%", "an amount")
    equal(found[("gate", "policy")]["source"], "command_line", "an option")
    equal(found[("limits", "overcommit")]["source"], "default", "a default")
    reload_with(RIGHT)
    equal(value("floor", "pressure"), "5%", "the floor")


@test("what can't be changed while gmemd runs is named, and holds from its next start on")
def _():
    before = value("use", "keeper")
    other = "no" if before == "yes" else "yes"
    equal(reload_with("[keeper]\nuse = %s\n" % other)["at_next_start"], [{"section": "keeper", "name": "use"}], "named")
    told = settings()[("keeper", "use")]
    equal((told["value"], told["source"], told["at_next_start"]), (before, "earlier", other), "config.get")
    equal(reload_with(RIGHT)["at_next_start"], [], "as it was")


def mode_of(name):
    return stat.S_IMODE(os.stat(host.socket_path(name)).st_mode)


@test("the sockets' modes follow")
def _():
    reload_with("[sockets]\nvmm-mode = 0660\n")
    equal(oct(mode_of("gmemd.sock")), oct(0o660), "gmemd.sock")
    reload_with(RIGHT)
    equal(oct(mode_of("gmemd.sock")), oct(0o666), "gmemd.sock")


@test("what may be promised follows, and so does where pressure begins")
def _():
    with operator() as peer:
        before = peer.call("host.describe")["commitment"]["limit"]
    reload_with("[limits]\ncommit-limit = 1048576\n[pressure]\nfloor = 4096\n")
    with operator() as peer:
        answer = peer.call("host.describe")
    equal(answer["commitment"]["limit"], 1048576, "the limit")
    equal(answer["pressure"]["floor"], 4096, "the floor")
    error = vmm.peer.error("memory.create", {"vm": vmm.id, "size": 2 << 20})
    equal(error["data"]["reason"], "budget_exceeded", "more")
    reload_with(RIGHT)
    with operator() as peer:
        equal(peer.call("host.describe")["commitment"]["limit"], before, "the limit again")


@test("SIGHUP does the same, and the log says what came of it")
def _():
    host.change_config(RIGHT.replace("7", "8"))
    os.kill(host.pid, signal.SIGHUP)
    check(wait_until(lambda: "slots-per-vm is 8 now; it was 7" in host.log(), SECONDS), "no line")
    equal(value("slots-per-vm"), "8", "the limit")
    host.change_config(WRONG)
    before = host.log().count("what holds is as it was")
    os.kill(host.pid, signal.SIGHUP)
    check(wait_until(lambda: host.log().count("what holds is as it was") > before, SECONDS), "no line")
    equal(value("slots-per-vm"), "8", "the limit")
    reload_with(RIGHT)


@test("a VMM may neither ask for it nor see the settings")
def _():
    with contextlib.closing(host.peer()) as peer:
        for method in ("config.get", "config.reload"):
            equal(peer.error(method)["data"]["reason"], "not_permitted", method)


def refusing():
    host.change_config(WRONG)
    host.kill()
    host.spawn()
    need(wait_until(answers, SECONDS), "gmemd does not answer: " + host.log())


def answers():
    with contextlib.suppress(OSError, Closed), operator() as peer:
        peer.error("ping")
        return True
    return False


@test("a gmemd that was started with a wrong one serves by the first right one; who was let in before that has to come again")
def _():
    refusing()
    with contextlib.closing(host.peer()) as early, operator() as peer:
        equal(early.error("ping")["data"]["reason"], "configuration", "a request")
        equal(peer.error("config.reload")["data"]["reason"], "configuration", "the same again")
        host.change_config(RIGHT)
        equal(peer.call("config.reload")["files"], 1, "a right one")
        with contextlib.suppress(Closed, OSError):
            early.error("ping")
            check(False, "an early connection goes on")
        with contextlib.suppress(Closed, OSError):
            peer.error("ping")
            check(False, "and the one that has asked")
    equal(value("slots-per-vm"), "7", "the limit")
    vmm.peer.call("vm.get", {"vm": vmm.id})


@test("what it is then survives gmemd")
def _():
    reload_with(RIGHT.replace("7", "9"))
    host.restart()
    equal(value("slots-per-vm"), "9", "the limit")
    reload_with(RIGHT)


@test("requests go on while it is read anew again and again")
def _():
    stop, failures = threading.Event(), []

    def ask():
        with contextlib.closing(host.peer()) as peer:
            while not stop.is_set():
                try:
                    peer.call("host.describe")
                except (OSError, RpcError, Closed) as e:
                    failures.append(e)
                    return

    thread = threading.Thread(target=ask)
    thread.start()
    for i in range(50):
        host.change_config(WRONG if i % 2 else RIGHT)
        os.kill(host.pid, signal.SIGHUP)
        answers()
    stop.set()
    thread.join()
    equal(failures, [], "failures")
    reload_with(RIGHT)


def gmemctl(*arguments):
    program = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
    command = [program, "--socket=" + host.socket_path("admin.sock"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)


@test("gmemctl reload fails with what is wrong, and gmemctl config shows what holds")
def _():
    host.change_config(WRONG)
    done = gmemctl("reload")
    equal(done.returncode, 1, "it exits with")
    check("gmemd.conf:2: slots-per-vm: must be a number" in done.stderr, done.stderr)
    check("gmemd.conf:3: bogus: there is no such setting" in done.stderr, done.stderr)
    host.change_config(RIGHT)
    done = gmemctl("reload")
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "a right one")
    lines = [line.split() for line in gmemctl("config").stdout.splitlines()]
    check(["limits", "slots-per-vm", "7", config_path() + ":2", "-"] in lines, lines)
    check(["limits", "overcommit", "0", "default", "-"] in lines, lines)


def notified(where):
    """What gmemd tells its service manager, as it comes."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(where)
    listening.settimeout(SECONDS)
    return listening


@test("the service manager is told that it reloads, when it is done, and what came of it")
def _():
    where = os.path.join(host.directory, "notify")
    with contextlib.closing(notified(where)) as manager:
        host.kill()
        host.environment = {"NOTIFY_SOCKET": where}
        host.start(alone=False)
        check("READY=1\nSTATUS=Serving guest memory" in manager.recv(4096).decode(), "ready")
        host.change_config(WRONG)
        os.kill(host.pid, signal.SIGHUP)
        told = manager.recv(4096).decode().splitlines()
        equal(told[0], "RELOADING=1", "first")
        check(told[1].startswith("MONOTONIC_USEC=") and int(told[1].split("=")[1]) > 0, told[1])
        told = manager.recv(4096).decode()
        check(told.startswith("READY=1\nSTATUS=Serving by an earlier configuration: " + config_path() + ":2:"), told)
        reload_with(RIGHT)
        manager.recv(4096)
        check(manager.recv(4096).decode().startswith("READY=1\nSTATUS=Serving guest memory"), "a right one")
    host.environment = {}


if __name__ == "__main__":
    tap.main(set_up, tear_down)
