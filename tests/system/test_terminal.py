#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others have written reaches no terminal raw: names, errors, answers of a gmemd that means harm."""

import json
import os
import subprocess
import unicodedata

from gmemtest import tap
from gmemtest.daemon import Daemon
from gmemtest.served import Served
from gmemtest.tap import check, equal, test

BUILD = os.environ["BUILD_DIR"]
RUN, CTL, VMM = (os.path.join(BUILD, "client", name) for name in ("gmem-run", "gmemctl", "gmem-example-vmm"))

# It sets a terminal's title, turns what follows round, hides what is between, and ends a line.
NASTY = "\x1b]0;x\x07\x9b2J\u202egnp\u2066\u200b\ufeff\U000e0041\x7f\n\u2028é"
SHOWN = "\\u{1B}]0;x\\u{7}\\u{9B}2J\\u{202E}gnp\\u{2066}\\u{200B}\\u{FEFF}\\u{E0041}\\u{7F}\\u{A}\\u{2028}é"
# What gmemd takes for a name.
NAME = "".join(c for c in NASTY if unicodedata.category(c) != "Cc")
NAME_SHOWN = "]0;x2J\\u{202E}gnp\\u{2066}\\u{200B}\\u{FEFF}\\u{E0041}\\u{2028}é"

daemon = None


def set_up():
    global daemon
    daemon = Daemon(backend="model")


def tear_down():
    daemon.stop()


def run(*command, **more):
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **more)


def harmless(output, what):
    """Nothing but what is to be seen, and ends of lines."""
    text = output.decode("utf-8", "strict")
    wrong = {c for c in text if c != "\n" and (unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cn"))}
    return check(not wrong, "%s: %r in %r" % (what, wrong, text[:300]))


class Hostile(Served):
    """Serves at a socket of its own: answers whatever it is asked, with what answer(method) says."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = 0
        super().__init__()

    def serve(self, peer):
        while True:
            packet = peer.recv(65536)
            if not packet:
                return
            request = json.loads(packet)
            self.asked += 1
            answer = {"jsonrpc": "2.0", "id": request.get("id"), **self.answer(request["method"])}
            try:
                peer.send(json.dumps(answer, ensure_ascii=False).encode())
                if request["method"] == "event.subscribe":
                    peer.send(json.dumps({"jsonrpc": "2.0", "method": "event", "params": {**nasty_vm(), "seq": 1, "kind": NASTY, NASTY: NASTY}}, ensure_ascii=False).encode())
                    return
            except OSError:
                return


def nasty_vm():
    names = ("vm", "name", "uuid", "tenant", "state", "gate")
    vm = {name: NASTY for name in names}
    vm.update(pid=1, committed=1, resident=1)
    memory = {"memory": 1, "name": NASTY, "backing": NASTY, "flags": [NASTY], "state": "ready", "size": 4096}
    slot = {"slot": 1, "flags": [NASTY], "state": NASTY, "memory_size": NASTY}
    vm.update(memories=[memory], slots=[slot], private_ranges=[], calls=[])
    return vm


def nasty_result(method):
    if method == "vm.list":
        return {"result": {"vms": [nasty_vm()]}}
    if method == "host.describe":
        kernel = {"release": NASTY, "guest_memfd_flags": [NASTY], "vm_types": [{"type": 0, "name": NASTY}]}
        return {
            "result": {
                "version": NASTY,
                "protocol": NASTY,
                "backend": NASTY,
                "kernel": kernel,
                "gate": {"reason": NASTY},
                "keeper": {"version": NASTY},
                "pressure": {"level": NASTY, "asks": [{"vm": NASTY}]},
            }
        }
    return {"result": nasty_vm()}


def nasty_error(_method):
    return {"error": {"code": -32602, "message": NASTY, "data": {"reason": NASTY, NASTY: NASTY, "list": [NASTY]}}}


VERBS = (
    ["status"],
    ["vms"],
    ["show", "x"],
    ["slots", "x"],
    ["top"],
    ["reclaim", "x"],
    ["prealloc", "x"],
    ["ping"],
    ["probe"],
    ["call", "vm.get"],
    ["events", "--count=1"],
)


@test("answers of a gmemd that means harm")
def hostile_results():
    hostile = Hostile(nasty_result)
    for verb in VERBS:
        for options in ([], ["--json"]):
            done = run(CTL, "--socket=" + hostile.path, *options, *verb)
            harmless(done.stdout, "gmemctl %s %s" % (options, verb))
            harmless(done.stderr, "gmemctl %s %s, stderr" % (options, verb))
    shown = run(CTL, "--socket=" + hostile.path, "vms").stdout.decode()
    check(SHOWN in shown, shown)
    same = json.loads(run(CTL, "--socket=" + hostile.path, "--json", "vms").stdout)
    equal(same["vms"][0]["name"], NASTY, "what JSON says")
    same = json.loads(run(CTL, "--socket=" + hostile.path, "call", "vm.list").stdout)
    equal(same["vms"][0]["name"], NASTY, "what call says")
    hostile.stop()


@test("errors of a gmemd that means harm")
def hostile_errors():
    hostile = Hostile(nasty_error)
    for verb in VERBS:
        for options in ([], ["--json"]):
            done = run(CTL, "--socket=" + hostile.path, *options, *verb)
            harmless(done.stdout + done.stderr, "gmemctl %s %s" % (options, verb))
    for command in ([RUN, "--socket=" + hostile.path, "--", "true"], [VMM, "--socket=" + hostile.path]):
        if os.access(command[0], os.X_OK):
            done = run(*command)
            harmless(done.stdout + done.stderr, command[0])
            check(SHOWN.encode() in done.stderr, done.stderr)
    hostile.stop()


@test("a cursor that comes again")
def cursors():
    for turns in (1, 2, 7):
        count = [0]

        def answer(_method, count=count, turns=turns):
            count[0] += 1
            return {"result": {"vms": [], "memories": [], "cursor": "c%d" % (count[0] % turns)}}

        hostile = Hostile(answer)
        for verb in (["vms"], ["status"], ["show", "x"], ["nodes"]):
            done = run(CTL, "--socket=" + hostile.path, *verb)
            equal(done.returncode, 1, verb)
            check(b"same cursor twice" in done.stderr, done.stderr)
        check(hostile.asked < 16 * turns + 16, "it was asked %d times" % hostile.asked)
        hostile.stop()


@test("names of VMs and memories")
def names():
    peer = daemon.peer()
    vm = peer.call("vm.open", {"name": NAME, "gate": "none"})["vm"]
    peer.call("memory.create", {"vm": vm, "size": 4096, "name": NAME, "backing": "memfd"})
    socket_option = "--socket=" + daemon.socket_path("admin.sock")
    for verb in (["vms"], ["top"], ["show", vm], ["slots", vm], ["reclaim", "--memory=" + NAME, vm], ["prealloc", vm]):
        for options in ([], ["--json"]):
            done = run(CTL, socket_option, *options, *verb)
            equal(done.returncode, 0, "%s: %r" % (verb, done.stderr))
            harmless(done.stdout + done.stderr, verb)
    for name in (NAME, NAME_SHOWN):
        done = run(CTL, socket_option, "show", name)
        equal(done.returncode, 0, "by the name %r: %r" % (name, done.stderr))
    done = run(CTL, socket_option, "show", NAME + "x")
    equal(done.returncode, 4, done.stderr)
    harmless(done.stderr, "an error of a name")
    peer.close()


@test("names in the log")
def log():
    done = run(os.path.join(BUILD, "daemon", "gmemd"), "--check-config", "--config=/nowhere/" + NASTY)
    check(done.returncode != 0 and SHOWN.encode() in done.stderr, done.stderr)
    harmless(done.stderr, "gmemd's error")
    with open(os.path.join(daemon.directory, "nasty.conf"), "w", encoding="utf-8") as file:
        file.write("[limits]\n" + NASTY.replace("\n", "") + " = 1\n")
    done = run(os.path.join(BUILD, "daemon", "gmemd"), "--check-config", "--config=" + file.name)
    check(done.returncode != 0, done)
    harmless(done.stderr, "a setting's name")


@test("two members of one name")
def duplicates():
    peer = daemon.operator()
    for text in (
        '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1,"a":1}}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1,"\\u0061":1}}',
    ):
        peer.send(text.encode())
        alone = peer.receive()[0]
        error = alone["error"]
        equal(error["code"], -32700, text)
        check("two members of one name" in error["message"], error["message"])
        ping = '{"jsonrpc":"2.0","id":"ping","method":"ping"}'
        peer.send(("[%s,%s,%s]" % (ping, text, ping)).encode())
        pong = {"jsonrpc": "2.0", "id": "ping", "result": {}}
        equal(peer.receive()[0], [pong, alone, pong], "in a batch: " + text)
    peer.close()


tap.main(set_up, tear_down)
